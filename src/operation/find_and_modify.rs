//! `findAndModify`: changes one document and returns it as it was before or as it is afterwards.

use std::sync::Arc;

use bson::raw::cstr;
use bson::{Document, RawBsonRef, RawDocument, RawDocumentBuf};

use super::body::{Body, raw, raw_array};
use super::reply::{check_write_concern, malformed};
use super::write::check_hint;
use super::{Command, CursorReply, Namespace, Operation, Retry, Target};
use crate::description::{ServerDescription, WireVersion};
use crate::error::{Error, Result, Stage};
use crate::options::{FindOneAndUpdateOptions, ReturnDocument, ServerAddress, UpdateModifications, WriteConcern};
use crate::wire::Reply;

/// The change.
pub(crate) enum Change<'a> {
    Remove,
    Update(&'a UpdateModifications),
    Replace(RawDocumentBuf),
}

/// One of `find_one_and_delete`, `find_one_and_replace` and `find_one_and_update`. The options of the last are those of all
/// three.
pub(crate) struct FindAndModify<'a> {
    pub(crate) namespace: Namespace<'a>,
    pub(crate) filter: &'a Document,
    pub(crate) change: Change<'a>,
    pub(crate) options: &'a FindOneAndUpdateOptions,
}

impl FindAndModify<'_> {
    fn is_acknowledged(&self) -> bool {
        self.options.write_concern.as_ref().is_none_or(WriteConcern::is_acknowledged)
    }
}

impl Operation for FindAndModify<'_> {
    /// The reply, of which [`value`] is the document; `None` where the write is not acknowledged.
    type Output = Option<CursorReply>;

    fn target(&self) -> Target<'_> {
        Target::Writable
    }

    fn retry(&self) -> Retry {
        if self.is_acknowledged() { Retry::Write } else { Retry::Never }
    }

    fn namespace(&self) -> Option<Namespace<'_>> {
        Some(self.namespace)
    }

    fn build(&mut self, server: &ServerDescription) -> Result<Command<'_>> {
        let options = self.options;
        if options.hint.is_some() {
            check_hint(self.is_acknowledged(), server.max_wire_version, WireVersion::MONGODB_4_4)?;
        }
        let mut body = Body::new(cstr!("findAndModify"), self.namespace.collection);
        body.append(cstr!("query"), raw(self.filter)?);
        match &self.change {
            Change::Remove => body.append(cstr!("remove"), true),
            Change::Update(UpdateModifications::Document(update)) => body.append(cstr!("update"), raw(update)?),
            Change::Update(UpdateModifications::Pipeline(stages)) => body.append(cstr!("update"), raw_array(stages)?),
            Change::Replace(document) => body.append(cstr!("update"), document.clone()),
        }
        body.flag(cstr!("new"), (options.return_document == Some(ReturnDocument::After)).then_some(true));
        body.flag(cstr!("upsert"), options.upsert);
        body.document(cstr!("sort"), options.sort.as_ref())?;
        body.document(cstr!("fields"), options.projection.as_ref())?;
        body.documents(cstr!("arrayFilters"), options.array_filters.as_ref())?;
        body.flag(cstr!("bypassDocumentValidation"), options.bypass_document_validation);
        body.collation(options.collation.as_ref());
        body.hint(options.hint.as_ref())?;
        body.document(cstr!("let"), options.let_vars.as_ref())?;
        body.max_time(options.max_time);
        body.any(cstr!("comment"), options.comment.as_ref())?;
        body.write_concern(options.write_concern.as_ref())?;
        let command = Command::new("findAndModify", self.namespace.database, body);
        let acknowledged = self.is_acknowledged();
        Ok(Command { acknowledged, is_retryable_write: acknowledged, ..command })
    }

    fn read(&mut self, reply: Reply, server: &Arc<ServerAddress>) -> Result<Option<CursorReply>> {
        if !self.is_acknowledged() {
            return Ok(None);
        }
        check_write_concern(reply.document())?;
        Ok(Some(CursorReply::new(reply, server)))
    }
}

/// The document of the reply, if there was one.
pub(crate) fn value(reply: &Reply) -> Result<Option<&RawDocument>> {
    match reply.document().get("value").map_err(malformed)? {
        Some(RawBsonRef::Document(document)) => Ok(Some(document)),
        None | Some(RawBsonRef::Null) => Ok(None),
        Some(_) => Err(Error::invalid_reply(Stage::Decode, "the reply's 'value' is neither a document nor null")),
    }
}
