//! `distinct`: the values that a field has.

use bson::raw::cstr;
use bson::{Bson, Document};

use crate::error::{Error, Result, Stage};
use crate::options::DistinctOptions;
use crate::wire::check_nesting;

use super::body::{Body, raw};
use super::reply::malformed;
use super::{ClientInner, Command, Namespace, execute};

pub(crate) fn distinct(
    deployment: &ClientInner,
    namespace: Namespace<'_>,
    key: &str,
    filter: &Document,
    options: &DistinctOptions,
) -> Result<Vec<Bson>> {
    let mut body = Body::new(cstr!("distinct"), namespace.collection);
    body.put(cstr!("key"), key);
    body.put(cstr!("query"), raw(filter)?);
    body.collation(options.collation.as_ref());
    body.any(cstr!("comment"), options.comment.as_ref())?;
    body.hint(options.hint.as_ref())?;
    body.max_time(options.max_time);
    body.read_concern(options.read_concern.as_ref());
    let mut command = Command::new(deployment, "distinct", namespace.database, body.done());
    command.read_preference = options.read_preference.as_ref();
    let reply = execute(deployment, command)?;
    check_nesting(reply.document())?;
    let missing = |_| Error::invalid_reply(Stage::Decode, "the reply to distinct has no array 'values'");
    let values = reply.document().get_array("values").map_err(missing)?;
    values
        .into_iter()
        .map(|value| value.map_err(malformed).and_then(|value| Bson::try_from(value).map_err(malformed)))
        .collect()
}
