//! `aggregate`.

use std::sync::Arc;

use bson::Document;
use bson::raw::cstr;

use super::body::{Body, raw_array};
use super::reply::check_write_concern;
use super::{Command, CursorReply, Namespace, Operation, Retry, Target};
use crate::description::{ServerDescription, WireVersion};
use crate::error::Result;
use crate::options::{AggregateOptions, SelectionCriteria, ServerAddress};
use crate::wire::Reply;

/// A pipeline on a collection, or on the database where `collection` is `None`.
pub(crate) struct Aggregate<'a> {
    pub(crate) database: &'a str,
    pub(crate) collection: Option<&'a str>,
    pub(crate) pipeline: &'a [Document],
    pub(crate) options: &'a AggregateOptions,
}

impl Aggregate<'_> {
    /// Whether the pipeline ends with a stage that writes.
    fn writes(&self) -> bool {
        self.pipeline.last().is_some_and(|stage| stage.contains_key("$out") || stage.contains_key("$merge"))
    }
}

impl Operation for Aggregate<'_> {
    type Output = CursorReply;

    fn target(&self) -> Target<'_> {
        match self.options.selection_criteria.as_ref() {
            Some(SelectionCriteria::ReadPreference(preference)) if self.writes() => {
                Target::ReadableAndWritable(preference)
            }
            criteria => Target::of(criteria),
        }
    }

    fn retry(&self) -> Retry {
        if self.writes() { Retry::Never } else { Retry::Read }
    }

    fn namespace(&self) -> Option<Namespace<'_>> {
        self.collection.map(|collection| Namespace { database: self.database, collection })
    }

    fn build(&mut self, server: &ServerDescription) -> Result<Command<'_>> {
        let writes = self.writes();
        let options = self.options;
        let mut body = match self.collection {
            Some(name) => Body::new(cstr!("aggregate"), name),
            None => Body::new(cstr!("aggregate"), 1),
        };
        body.append(cstr!("pipeline"), raw_array(self.pipeline)?);
        let mut cursor = Body::empty();
        // A pipeline that writes returns nothing, and an empty first batch would keep it from running.
        cursor.long(cstr!("batchSize"), options.batch_size.filter(|size| !(writes && *size == 0)).map(u64::from));
        body.append(cstr!("cursor"), cursor.finish());
        body.flag(cstr!("allowDiskUse"), options.allow_disk_use);
        body.flag(cstr!("bypassDocumentValidation"), options.bypass_document_validation);
        body.collation(options.collation.as_ref());
        body.any(cstr!("comment"), options.comment.as_ref())?;
        body.hint(options.hint.as_ref())?;
        body.document(cstr!("let"), options.let_vars.as_ref())?;
        body.max_time(options.max_time);
        body.read_concern(options.read_concern.as_ref());
        if writes {
            body.write_concern(options.write_concern.as_ref())?;
        }
        let mut command = Command::new("aggregate", self.database, body);
        // Before MongoDB 5.0 only a primary runs $out and $merge.
        if !writes || server.max_wire_version >= WireVersion::MONGODB_5_0 {
            command.read_preference = SelectionCriteria::preference(options.selection_criteria.as_ref());
        }
        Ok(command)
    }

    fn read(&mut self, reply: Reply, server: &Arc<ServerAddress>) -> Result<CursorReply> {
        check_write_concern(reply.document())?;
        Ok(CursorReply::new(reply, server))
    }
}
