//! `killCursors`: lets the server close cursors that are not needed any longer.

use std::sync::Arc;

use bson::RawArrayBuf;
use bson::raw::cstr;

use super::body::Body;
use super::{Access, Command, Namespace, Operation, Target};
use crate::description::ServerDescription;
use crate::error::Result;
use crate::options::ServerAddress;
use crate::wire::Reply;

/// `killCursors` on the server that holds the cursors.
pub(crate) struct KillCursors<'a> {
    pub(crate) namespace: Namespace<'a>,
    pub(crate) server: &'a ServerAddress,
    pub(crate) ids: &'a [i64],
}

impl Operation for KillCursors<'_> {
    type Output = ();

    fn target(&self) -> Target<'_> {
        Target::Pinned(self.server)
    }

    fn namespace(&self) -> Option<Namespace<'_>> {
        Some(self.namespace)
    }

    fn access(&self) -> Access {
        Access::Read
    }

    fn build(&mut self, _server: &ServerDescription) -> Result<Command<'_>> {
        let mut ids = RawArrayBuf::new();
        for id in self.ids {
            ids.push(*id);
        }
        let mut body = Body::new(cstr!("killCursors"), self.namespace.collection);
        body.append(cstr!("cursors"), ids);
        Ok(Command::new("killCursors", self.namespace.database, body))
    }

    fn read(&mut self, _reply: Reply, _server: &Arc<ServerAddress>) -> Result<()> {
        Ok(())
    }
}
