//! `find`.

use std::sync::Arc;

use bson::Document;
use bson::raw::cstr;

use super::body::{Body, raw};
use super::{Command, CursorReply, Namespace, Operation, Retry, Target};
use crate::description::ServerDescription;
use crate::error::{Error, Result};
use crate::options::{CursorType, FindOptions, SelectionCriteria, ServerAddress};
use crate::wire::Reply;

/// `find`, which opens a cursor on the documents that match the filter.
pub(crate) struct Find<'a> {
    namespace: Namespace<'a>,
    filter: &'a Document,
    options: &'a FindOptions,
}

impl<'a> Find<'a> {
    /// Fails on options that contradict each other.
    pub(crate) fn new(namespace: Namespace<'a>, filter: &'a Document, options: &'a FindOptions) -> Result<Self> {
        if options.max_await_time.is_some() && options.cursor_type != Some(CursorType::TailableAwait) {
            return Err(Error::invalid_argument("max_await_time is for a cursor of type TailableAwait only"));
        }
        Ok(Find { namespace, filter, options })
    }
}

impl Operation for Find<'_> {
    type Output = CursorReply;

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
        let options = self.options;
        let mut body = Body::new(cstr!("find"), self.namespace.collection);
        body.append(cstr!("filter"), raw(self.filter)?);
        body.document(cstr!("sort"), options.sort.as_ref())?;
        body.document(cstr!("projection"), options.projection.as_ref())?;
        body.hint(options.hint.as_ref())?;
        body.long(cstr!("skip"), options.skip);
        let limit = options.limit.unwrap_or(0);
        if options.limit.is_some() {
            body.append(cstr!("limit"), i64::try_from(limit.unsigned_abs()).unwrap_or(i64::MAX));
        }
        let single = i64::try_from(limit.unsigned_abs()).unwrap_or(i64::MAX);
        match options.batch_size.map(i64::from) {
            // The one batch holds all: a server's first batch would be 101 documents, and one of 0 documents none.
            None | Some(0) if limit < -1 => body.append(cstr!("batchSize"), single),
            // A batch as large as the limit would leave the cursor open for nothing: one more lets the server close it.
            Some(size) if limit > 0 && limit == size => body.append(cstr!("batchSize"), size + 1),
            Some(size) if limit < 0 && size == 0 => body.append(cstr!("batchSize"), single),
            Some(size) => body.append(cstr!("batchSize"), size),
            None => {}
        }
        if limit < 0 {
            body.append(cstr!("singleBatch"), true);
        }
        body.any(cstr!("comment"), options.comment.as_ref())?;
        body.max_time(options.max_time);
        body.document(cstr!("max"), options.max.as_ref())?;
        body.document(cstr!("min"), options.min.as_ref())?;
        body.flag(cstr!("returnKey"), options.return_key);
        body.flag(cstr!("showRecordId"), options.show_record_id);
        let cursor_type = options.cursor_type.unwrap_or_default();
        body.flag(cstr!("tailable"), (cursor_type != CursorType::NonTailable).then_some(true));
        body.flag(cstr!("awaitData"), (cursor_type == CursorType::TailableAwait).then_some(true));
        body.flag(cstr!("noCursorTimeout"), options.no_cursor_timeout);
        body.flag(cstr!("allowPartialResults"), options.allow_partial_results);
        body.flag(cstr!("allowDiskUse"), options.allow_disk_use);
        body.collation(options.collation.as_ref());
        body.document(cstr!("let"), options.let_vars.as_ref())?;
        body.read_concern(options.read_concern.as_ref());
        let mut command = Command::new("find", self.namespace.database, body);
        command.read_preference = SelectionCriteria::preference(options.selection_criteria.as_ref());
        command.await_time = options.max_await_time;
        Ok(command)
    }

    fn read(&mut self, reply: Reply, server: &Arc<ServerAddress>) -> Result<CursorReply> {
        Ok(CursorReply::new(reply, server))
    }
}
