//! `commitTransaction` and `abortTransaction`.

use std::sync::Arc;

use bson::raw::cstr;

use super::body::Body;
use super::reply::check_write_concern;
use super::{Command, Operation, Retry, Target};
use crate::description::ServerDescription;
use crate::error::Result;
use crate::options::ServerAddress;
use crate::wire::Reply;

/// Ends the transaction of the session that it is executed in, which adds everything that depends on the transaction.
pub(crate) enum EndTransaction {
    Commit,
    Abort,
}

impl Operation for EndTransaction {
    type Output = ();

    fn target(&self) -> Target<'_> {
        Target::Writable
    }

    fn retry(&self) -> Retry {
        Retry::Always
    }

    fn build(&mut self, _server: &ServerDescription) -> Result<Command<'_>> {
        Ok(match self {
            EndTransaction::Commit => {
                Command::new("commitTransaction", "admin", Body::new(cstr!("commitTransaction"), 1))
            }
            EndTransaction::Abort => Command::new("abortTransaction", "admin", Body::new(cstr!("abortTransaction"), 1)),
        })
    }

    fn read(&mut self, reply: Reply, _server: &Arc<ServerAddress>) -> Result<()> {
        check_write_concern(reply.document())
    }
}
