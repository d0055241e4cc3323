//! `getMore`: the next batch of a cursor.

use std::time::Duration;

use bson::raw::cstr;
use bson::{RawBson, rawdoc};

use crate::deadline::{Deadline, whole_millis};
use crate::description::WireVersion;
use crate::error::Result;
use crate::wire::Reply;

use super::{ClientInner, Command, run_on};

/// What a `getMore` asks for.
pub(crate) struct GetMore<'a> {
    pub(crate) database: &'a str,
    pub(crate) collection: &'a str,
    pub(crate) id: i64,
    pub(crate) batch_size: Option<u32>,
    pub(crate) max_await_time: Option<Duration>,
    pub(crate) comment: Option<&'a RawBson>,
    pub(crate) deadline: Deadline,
    /// A spent batch, whose memory the next one may use.
    pub(crate) spent: Option<Vec<u8>>,
}

pub(crate) fn get_more(deployment: &ClientInner, request: GetMore<'_>) -> Result<Reply> {
    let mut body = rawdoc! { "getMore": request.id, "collection": request.collection };
    if let Some(size) = request.batch_size.filter(|size| *size > 0) {
        body.append(cstr!("batchSize"), i64::from(size));
    }
    if let Some(limit) = request.max_await_time {
        body.append(cstr!("maxTimeMS"), whole_millis(limit));
    }
    let mut lease = deployment.lease(request.deadline)?;
    if let Some(comment) = request.comment.filter(|_| lease.description().max_wire_version >= GET_MORE_COMMENT) {
        body.append(cstr!("comment"), comment.as_raw_bson_ref());
    }
    let mut command = Command::new(deployment, "getMore", request.database, body);
    command.await_time = request.max_await_time;
    command.deadline = request.deadline;
    if let Some(buffer) = request.spent {
        lease.recycle(buffer);
    }
    run_on(deployment, &mut lease, command)
}

/// The version from which `getMore` takes a comment; before, a server refuses the command for it.
const GET_MORE_COMMENT: WireVersion = WireVersion::MONGODB_4_4;
