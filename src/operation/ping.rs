//! `ping`: does the server answer?

use std::sync::Arc;

use bson::raw::cstr;

use super::body::Body;
use super::{Access, Command, Operation, Target};
use crate::description::ServerDescription;
use crate::error::Result;
use crate::options::ServerAddress;
use crate::wire::Reply;

/// `ping` on `admin`.
pub(crate) struct Ping;

impl Operation for Ping {
    type Output = ();

    fn target(&self) -> Target<'_> {
        Target::Writable
    }

    fn access(&self) -> Access {
        Access::Unknown
    }

    fn build(&mut self, _server: &ServerDescription) -> Result<Command<'_>> {
        Ok(Command::new("ping", "admin", Body::new(cstr!("ping"), 1)))
    }

    fn read(&mut self, _reply: Reply, _server: &Arc<ServerAddress>) -> Result<()> {
        Ok(())
    }
}
