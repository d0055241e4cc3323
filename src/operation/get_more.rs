//! `getMore`: the next batch of a cursor.

use std::sync::Arc;
use std::time::Duration;

use bson::RawBson;
use bson::raw::cstr;

use super::body::Body;
use super::{Access, Command, Namespace, Operation, Target};
use crate::description::{ServerDescription, WireVersion};
use crate::error::Result;
use crate::options::ServerAddress;
use crate::serde_util::whole_millis;
use crate::wire::Reply;

/// `getMore` on the server that holds the cursor.
pub(crate) struct GetMore<'a> {
    pub(crate) namespace: Namespace<'a>,
    pub(crate) server: &'a ServerAddress,
    pub(crate) cursor_id: i64,
    pub(crate) batch_size: Option<u32>,
    pub(crate) max_await_time: Option<Duration>,
    /// How long the server may hold it, whether it is told so or does it by default.
    pub(crate) await_time: Option<Duration>,
    pub(crate) comment: Option<&'a RawBson>,
    /// The buffer of a batch that has been read, whose memory the next one may use.
    pub(crate) reply_buffer: Option<Vec<u8>>,
}

impl Operation for GetMore<'_> {
    type Output = Reply;

    fn target(&self) -> Target<'_> {
        Target::Pinned(self.server)
    }

    fn namespace(&self) -> Option<Namespace<'_>> {
        Some(self.namespace)
    }

    fn access(&self) -> Access {
        Access::Read
    }

    fn build(&mut self, server: &ServerDescription) -> Result<Command<'_>> {
        let mut body = Body::new(cstr!("getMore"), self.cursor_id);
        body.append(cstr!("collection"), self.namespace.collection);
        if let Some(size) = self.batch_size.filter(|size| *size > 0) {
            body.append(cstr!("batchSize"), i64::from(size));
        }
        if let Some(limit) = self.max_await_time {
            body.append(cstr!("maxTimeMS"), whole_millis(limit));
        }
        // An older server refuses the command because of a comment.
        if let Some(comment) = self.comment.filter(|_| server.max_wire_version >= WireVersion::MONGODB_4_4) {
            body.append(cstr!("comment"), comment.as_raw_bson_ref());
        }
        let mut command = Command::new("getMore", self.namespace.database, body);
        command.await_time = self.await_time;
        command.reply_buffer = self.reply_buffer.take();
        Ok(command)
    }

    fn read(&mut self, reply: Reply, _server: &Arc<ServerAddress>) -> Result<Reply> {
        Ok(reply)
    }
}
