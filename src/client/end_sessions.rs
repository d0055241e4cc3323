//! What a client tells its servers when it ends: that its sessions are not needed any longer.
//!
//! [`ClientInner::close`](super::ClientInner) sends it like any other operation. A client that is dropped must not keep its
//! program waiting, so it sends it only over a connection that is there.

use std::time::{Duration, Instant};

use super::inner::ClientInner;
use super::monitoring::ActiveCommand;
use crate::deadline::Deadline;
use crate::error::Result;
use crate::operation::Operation;
use crate::operation::end_sessions::{EndSessions, SESSIONS_PER_COMMAND};
use crate::pool::PooledConnection;
use crate::session::OperationSession;

/// How long a client that is dropped waits for the server to confirm.
const DROP_LIMIT: Duration = Duration::from_millis(500);

impl ClientInner {
    /// Ends the sessions in the pool, by `limit` at the latest.
    pub(super) fn end_sessions(&self, limit: Deadline) {
        for ids in self.sessions.take_all().chunks(SESSIONS_PER_COMMAND) {
            let end = self.execute(&mut EndSessions { ids }, &mut OperationSession::Absent, limit, None);
            if let Err(error) = end {
                log::debug!("sessions were left to the servers' own time limit: {error:#}");
                return;
            }
        }
    }

    /// The same over an idle connection to the primary, or else to a secondary, if there is one.
    fn end_sessions_at_once(&self) {
        let ids = self.sessions.take_all();
        if ids.is_empty() {
            return;
        }
        let Some(mut connection) = self.topology().borrow_idle_connection() else { return };
        let limit = Deadline::after(DROP_LIMIT);
        for ids in ids.chunks(SESSIONS_PER_COMMAND) {
            let mut end = EndSessions { ids };
            if let Err(error) = self.execute_on(&mut connection, &mut end, &mut OperationSession::Absent, limit) {
                log::debug!("sessions were left to the servers' own time limit: {error:#}");
                return;
            }
        }
    }

    /// Sends an operation once, on this connection, by `limit` at the latest.
    pub(super) fn execute_on(
        &self,
        connection: &mut PooledConnection,
        operation: &mut impl Operation,
        session: &mut OperationSession<'_>,
        limit: Deadline,
    ) -> Result<()> {
        let server = connection.description().clone();
        let mut command = operation.build(&server)?;
        self.add_context(&mut command, connection, session, None)?;
        let active = ActiveCommand::started(self.options(), connection, &command);
        let received = connection.run(&command.message(), limit, Instant::now());
        match self.answered(received, connection, session) {
            Ok(reply) => {
                active.succeeded(&reply);
                Ok(())
            }
            Err(error) => Err(active.failed(error)),
        }
    }
}

impl Drop for ClientInner {
    fn drop(&mut self) {
        // Every operation, every cursor and every session of the program's has given back what it took.
        debug_assert!(std::thread::panicking() || self.sessions.in_use() == 0, "a session was not given back");
        // While a panic unwinds, nothing may call functions of the program's, such as an event handler.
        if !self.is_closed() && !std::thread::panicking() {
            self.end_sessions_at_once();
        }
    }
}
