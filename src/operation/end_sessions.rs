//! `endSessions`: tells the servers that sessions are not needed any longer.

use std::sync::Arc;

use bson::raw::cstr;
use bson::{RawArrayBuf, RawDocumentBuf};

use super::body::Body;
use super::{Command, Operation, Target};
use crate::description::ServerDescription;
use crate::error::Result;
use crate::options::{ReadPreference, ServerAddress};
use crate::wire::Reply;

/// How many sessions one command ends, so that it does not become too long.
pub(crate) const SESSIONS_PER_COMMAND: usize = 10_000;

/// `endSessions` on the primary or, if there is none, on a secondary.
pub(crate) struct EndSessions<'a> {
    /// The ids as commands carry them.
    pub(crate) ids: &'a [RawDocumentBuf],
}

impl Operation for EndSessions<'_> {
    type Output = ();

    fn target(&self) -> Target<'_> {
        Target::Readable(&ReadPreference::PrimaryPreferred { options: None })
    }

    fn build(&mut self, _server: &ServerDescription) -> Result<Command<'_>> {
        let mut ids = RawArrayBuf::new();
        for id in self.ids {
            ids.push(&**id);
        }
        Ok(Command::new("endSessions", "admin", Body::new(cstr!("endSessions"), ids)))
    }

    fn read(&mut self, _reply: Reply, _server: &Arc<ServerAddress>) -> Result<()> {
        Ok(())
    }
}
