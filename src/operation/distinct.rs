//! `distinct`: the different values of a field.

use std::sync::Arc;

use bson::raw::cstr;
use bson::{Bson, Document};

use super::body::{Body, raw};
use super::reply::malformed;
use super::{Command, Namespace, Operation, Retry, Target};
use crate::description::ServerDescription;
use crate::error::{Error, Result, Stage};
use crate::options::{DistinctOptions, ServerAddress};
use crate::wire::{Reply, check_nesting};

/// `distinct` among the documents that match the filter.
pub(crate) struct Distinct<'a> {
    pub(crate) namespace: Namespace<'a>,
    pub(crate) field: &'a str,
    pub(crate) filter: &'a Document,
    pub(crate) options: &'a DistinctOptions,
}

impl Operation for Distinct<'_> {
    type Output = Vec<Bson>;

    fn target(&self) -> Target<'_> {
        Target::of(self.options.read_preference.as_ref())
    }

    fn retry(&self) -> Retry {
        Retry::Read
    }

    fn build(&mut self, _server: &ServerDescription) -> Result<Command<'_>> {
        let mut body = Body::new(cstr!("distinct"), self.namespace.collection);
        body.put(cstr!("key"), self.field);
        body.put(cstr!("query"), raw(self.filter)?);
        body.collation(self.options.collation.as_ref());
        body.any(cstr!("comment"), self.options.comment.as_ref())?;
        body.hint(self.options.hint.as_ref())?;
        body.max_time(self.options.max_time);
        body.read_concern(self.options.read_concern.as_ref());
        let command = Command::new("distinct", self.namespace.database, body.finish());
        Ok(Command { read_preference: self.options.read_preference.as_ref(), ..command })
    }

    fn read(&mut self, reply: Reply, _server: &Arc<ServerAddress>) -> Result<Vec<Bson>> {
        check_nesting(reply.document())?;
        let missing = |_| Error::invalid_reply(Stage::Decode, "the reply to distinct has no array 'values'");
        let values = reply.document().get_array("values").map_err(missing)?;
        values
            .into_iter()
            .map(|value| value.map_err(malformed).and_then(|value| Bson::try_from(value).map_err(malformed)))
            .collect()
    }
}
