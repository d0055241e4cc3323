//! `count`: how many documents the collection's metadata say there are.

use bson::RawBsonRef;
use bson::raw::cstr;

use crate::error::{Error, Result, Stage};
use crate::options::EstimatedDocumentCountOptions;

use super::body::Body;
use super::reply::malformed;
use super::{ClientInner, Command, Namespace, execute};

pub(crate) fn count(
    deployment: &ClientInner,
    namespace: Namespace<'_>,
    options: &EstimatedDocumentCountOptions,
) -> Result<u64> {
    let mut body = Body::new(cstr!("count"), namespace.collection);
    body.max_time(options.max_time);
    body.any(cstr!("comment"), options.comment.as_ref())?;
    body.read_concern(options.read_concern.as_ref());
    let mut command = Command::new(deployment, "count", namespace.database, body.done());
    command.read_preference = options.read_preference.as_ref();
    let reply = execute(deployment, command)?;
    number(reply.document().get("n").map_err(malformed)?)
        .ok_or_else(|| Error::invalid_reply(Stage::Decode, "the reply to count has no number 'n'"))
}

/// A count, in whatever numeric type the server chose.
pub(crate) fn number(value: Option<RawBsonRef<'_>>) -> Option<u64> {
    match value? {
        RawBsonRef::Int32(number) => u64::try_from(number).ok(),
        RawBsonRef::Int64(number) => u64::try_from(number).ok(),
        // The cast saturates, and a count is never so large that a double loses it.
        RawBsonRef::Double(number) if number >= 0.0 => Some(number as u64),
        _ => None,
    }
}
