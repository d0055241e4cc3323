//! `findAndModify`: change one document, and return it as it was or as it is.

use std::time::Duration;

use bson::raw::cstr;
use bson::{Bson, Document, RawBson, RawBsonRef};

use crate::error::{Error, Result, Stage};
use crate::options::{Collation, Hint, WriteConcern};
use crate::wire::Reply;

use super::body::{Body, raw, raw_array};
use super::reply::malformed;
use super::write::check_hint;
use super::{ClientInner, Command, Namespace, check_write_concern, run_on, send_on};
use crate::options::UpdateModifications;

/// What is to become of the document.
pub(crate) enum Change<'a> {
    Remove,
    /// Operators, a pipeline, or a whole replacement already in its form for the wire.
    Update(&'a UpdateModifications),
    Replace(RawBson),
}

/// Everything the three actions can say.
#[derive(Default)]
pub(crate) struct FindAndModify<'a> {
    pub(crate) array_filters: Option<&'a Vec<Document>>,
    pub(crate) bypass_document_validation: Option<bool>,
    pub(crate) return_new: bool,
    pub(crate) upsert: Option<bool>,
    pub(crate) sort: Option<&'a Document>,
    pub(crate) projection: Option<&'a Document>,
    pub(crate) collation: Option<&'a Collation>,
    pub(crate) hint: Option<&'a Hint>,
    pub(crate) let_vars: Option<&'a Document>,
    pub(crate) max_time: Option<Duration>,
    pub(crate) comment: Option<&'a Bson>,
    pub(crate) write_concern: Option<&'a WriteConcern>,
}

/// The reply, of which [`value`] is the document; `None` where the write is not acknowledged.
pub(crate) fn find_and_modify(
    deployment: &ClientInner,
    namespace: Namespace<'_>,
    filter: &Document,
    change: Change<'_>,
    options: &FindAndModify<'_>,
) -> Result<Option<Reply>> {
    let mut body = Body::new(cstr!("findAndModify"), namespace.collection);
    body.put(cstr!("query"), raw(filter)?);
    match change {
        Change::Remove => body.put(cstr!("remove"), true),
        Change::Update(UpdateModifications::Document(update)) => body.put(cstr!("update"), raw(update)?),
        Change::Update(UpdateModifications::Pipeline(stages)) => body.put(cstr!("update"), raw_array(stages)?),
        Change::Replace(document) => body.put(cstr!("update"), document),
    }
    body.flag(cstr!("new"), options.return_new.then_some(true));
    body.flag(cstr!("upsert"), options.upsert);
    body.document(cstr!("sort"), options.sort)?;
    body.document(cstr!("fields"), options.projection)?;
    body.documents(cstr!("arrayFilters"), options.array_filters)?;
    body.flag(cstr!("bypassDocumentValidation"), options.bypass_document_validation);
    body.collation(options.collation);
    body.hint(options.hint)?;
    body.document(cstr!("let"), options.let_vars)?;
    body.max_time(options.max_time);
    body.any(cstr!("comment"), options.comment)?;
    body.write_concern(options.write_concern)?;

    let acknowledged = options.write_concern.is_none_or(WriteConcern::is_acknowledged);
    let command = Command::new(deployment, "findAndModify", namespace.database, body.done());
    let mut lease = deployment.lease(command.deadline)?;
    if options.hint.is_some() {
        check_hint(acknowledged, lease.description().max_wire_version, super::write::WriteKind::Delete)?;
    }
    if !acknowledged {
        send_on(deployment, &mut lease, command)?;
        return Ok(None);
    }
    let reply = run_on(deployment, &mut lease, command)?;
    check_write_concern(reply.document())?;
    Ok(Some(reply))
}

/// The document of the reply, if there was one.
pub(crate) fn value(reply: &Reply) -> Result<Option<&bson::RawDocument>> {
    match reply.document().get("value").map_err(malformed)? {
        Some(RawBsonRef::Document(document)) => Ok(Some(document)),
        None | Some(RawBsonRef::Null) => Ok(None),
        Some(_) => Err(Error::invalid_reply(Stage::Decode, "the reply's 'value' is neither a document nor null")),
    }
}
