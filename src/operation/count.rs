//! `count`: how many documents a collection has according to its metadata.

use std::sync::Arc;

use bson::raw::cstr;

use super::body::Body;
use super::reply::malformed;
use super::{Command, Namespace, Operation, Retry, Target};
use crate::bson_ext;
use crate::description::ServerDescription;
use crate::error::{Error, Result, Stage};
use crate::options::{EstimatedDocumentCountOptions, SelectionCriteria, ServerAddress};
use crate::wire::Reply;

/// `count` without a filter.
pub(crate) struct Count<'a> {
    pub(crate) namespace: Namespace<'a>,
    pub(crate) options: &'a EstimatedDocumentCountOptions,
}

impl Operation for Count<'_> {
    type Output = u64;

    fn target(&self) -> Target<'_> {
        Target::of(self.options.selection_criteria.as_ref())
    }

    fn retry(&self) -> Retry {
        Retry::Read
    }

    fn namespace(&self) -> Option<Namespace<'_>> {
        Some(self.namespace)
    }

    fn build(&mut self, _server: &ServerDescription) -> Result<Command<'_>> {
        let mut body = Body::new(cstr!("count"), self.namespace.collection);
        body.max_time(self.options.max_time);
        body.any(cstr!("comment"), self.options.comment.as_ref())?;
        body.read_concern(self.options.read_concern.as_ref());
        let command = Command::new("count", self.namespace.database, body);
        Ok(Command {
            read_preference: SelectionCriteria::preference(self.options.selection_criteria.as_ref()),
            ..command
        })
    }

    fn read(&mut self, reply: Reply, _server: &Arc<ServerAddress>) -> Result<u64> {
        let count = reply.document().get("n").map_err(malformed)?.and_then(bson_ext::count);
        count.ok_or_else(|| Error::invalid_reply(Stage::Decode, "the reply to count has no number 'n'"))
    }
}
