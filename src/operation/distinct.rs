//! `distinct`: the different values of a field.

use std::sync::Arc;

use bson::raw::cstr;
use bson::{Bson, Document};

use super::body::{Body, raw};
use super::{Command, Namespace, Operation, Retry, Target};
use crate::description::ServerDescription;
use crate::document::{NestingLimits, check_nesting, decode_value, not_a_tree};
use crate::error::{Error, Result, Stage};
use crate::options::{DistinctOptions, SelectionCriteria, ServerAddress};
use crate::wire::Reply;

/// `distinct` among the documents that match the filter.
pub(crate) struct Distinct<'a> {
    pub(crate) namespace: Namespace<'a>,
    pub(crate) field: &'a str,
    pub(crate) filter: &'a Document,
    pub(crate) options: &'a DistinctOptions,
    pub(crate) limits: NestingLimits,
}

impl Operation for Distinct<'_> {
    type Output = Vec<Bson>;

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
        let mut body = Body::new(cstr!("distinct"), self.namespace.collection);
        body.append(cstr!("key"), self.field);
        body.append(cstr!("query"), raw(self.filter)?);
        body.collation(self.options.collation.as_ref());
        body.any(cstr!("comment"), self.options.comment.as_ref())?;
        body.hint(self.options.hint.as_ref())?;
        body.max_time(self.options.max_time);
        body.read_concern(self.options.read_concern.as_ref());
        let command = Command::new("distinct", self.namespace.database, body);
        Ok(Command {
            read_preference: SelectionCriteria::preference(self.options.selection_criteria.as_ref()),
            ..command
        })
    }

    fn read(&mut self, reply: Reply, _server: &Arc<ServerAddress>) -> Result<Vec<Bson>> {
        check_nesting(reply.document(), self.limits)?;
        let missing = |_| Error::invalid_reply(Stage::Decode, "the reply to distinct has no array 'values'");
        let document = reply.document();
        let values = document.get_array("values").map_err(missing)?;
        values
            .into_iter()
            .map(|value| match value {
                Ok(value) => decode_value(value, document, self.limits),
                Err(source) => Err(not_a_tree(document, source, self.limits)),
            })
            .collect()
    }
}
