//! `aggregate`.

use bson::Document;
use bson::raw::cstr;

use crate::description::WireVersion;
use crate::error::Result;
use crate::options::AggregateOptions;
use crate::wire::Reply;

use super::body::{Body, raw_array};
use super::{ClientInner, Command, check_write_concern, run_on};

/// The first version whose secondaries run `$out` and `$merge`.
const SECONDARIES_WRITE: WireVersion = WireVersion::MONGODB_5_0;

/// Runs a pipeline on a collection, or on the database where `collection` is `None`.
pub(crate) fn aggregate(
    deployment: &ClientInner,
    database: &str,
    collection: Option<&str>,
    pipeline: &[Document],
    options: &AggregateOptions,
) -> Result<Reply> {
    let writes = writes(pipeline);
    let mut body = match collection {
        Some(name) => Body::new(cstr!("aggregate"), name),
        None => Body::new(cstr!("aggregate"), 1),
    };
    body.put(cstr!("pipeline"), raw_array(pipeline)?);
    let mut cursor = Body::empty();
    // A pipeline that writes returns nothing, and an empty first batch would keep it from running.
    cursor.long(cstr!("batchSize"), options.batch_size.filter(|size| !(writes && *size == 0)).map(u64::from));
    body.put(cstr!("cursor"), cursor.done());
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
    let mut command = Command::new(deployment, "aggregate", database, body.done());
    let mut lease = deployment.lease(command.deadline)?;
    if !writes || lease.description().max_wire_version >= SECONDARIES_WRITE {
        command.read_preference = options.read_preference.as_ref();
    }
    let reply = run_on(deployment, &mut lease, command)?;
    check_write_concern(reply.document())?;
    Ok(reply)
}

fn writes(pipeline: &[Document]) -> bool {
    pipeline.last().is_some_and(|stage| stage.contains_key("$out") || stage.contains_key("$merge"))
}
