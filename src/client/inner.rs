//! What all clones of a client share: the options, the servers, the time limits, and the list of open cursors.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar};
use std::time::Duration;

use bson::oid::ObjectId;

use super::retry::Jitter;
use crate::connection::ConnectionFactory;
use crate::deadline::Deadline;
use crate::document::NestingLimits;
use crate::error::Result;
use crate::fork::{self, PerProcess};
use crate::locks::unpoisoned;
use crate::operation::Namespace;
use crate::operation::kill_cursors::KillCursors;
use crate::options::{ClientSettings, DriverInfo, ServerAddress};
use crate::pool::PinnedConnection;
use crate::session::{OperationSession, Sessions};
use crate::system::System;
use crate::topology::Topology;

/// The state that all clones of a client share.
pub(crate) struct ClientInner {
    options: Arc<ClientSettings>,
    topology: Topology,
    pub(super) jitter: Jitter,
    pub(super) sessions: Sessions,
    closed: AtomicBool,
    /// Notified when the client is closed.
    closing: PerProcess<Arc<Condvar>>,
    /// The cursors that are open, so that closing the client can end them.
    cursors: PerProcess<HashMap<CursorKey, CursorHandle>>,
}

/// What distinguishes an open cursor from all others. Two servers may give the same id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct CursorKey {
    server: Arc<ServerAddress>,
    /// Which one it is of the servers behind a load balancer.
    service_id: Option<ObjectId>,
    id: i64,
}

/// What it takes to go on with a cursor, or to end it.
#[derive(Clone)]
pub(crate) struct CursorHandle {
    pub(crate) database: String,
    pub(crate) collection: String,
    /// The server that holds it.
    pub(crate) server: Arc<ServerAddress>,
    /// Behind a load balancer, the connection that leads to the server which holds it.
    pub(crate) pin: Option<Arc<PinnedConnection>>,
    service_id: Option<ObjectId>,
    /// The process that opened it.
    process: u64,
}

impl CursorHandle {
    /// A cursor that this process has opened.
    pub(crate) fn new(
        database: &str,
        collection: &str,
        server: Arc<ServerAddress>,
        pin: Option<Arc<PinnedConnection>>,
    ) -> Self {
        let (database, collection) = (database.to_owned(), collection.to_owned());
        let service_id = pin.as_ref().and_then(|pin| pin.service_id());
        CursorHandle { database, collection, server, pin, service_id, process: fork::process() }
    }

    /// Whether a command can still reach it. Behind a load balancer it ends with its connection.
    pub(crate) fn is_reachable(&self) -> bool {
        self.pin.as_ref().is_none_or(|pin| pin.is_usable())
    }

    fn key(&self, id: i64) -> CursorKey {
        CursorKey { server: self.server.clone(), service_id: self.service_id, id }
    }

    pub(crate) fn namespace(&self) -> Namespace<'_> {
        Namespace { database: &self.database, collection: &self.collection }
    }

    /// Whether this process may end it. After a `fork`, cursors of the parent are left to the parent.
    pub(crate) fn is_ours(&self) -> bool {
        self.process == fork::process()
    }
}

impl ClientInner {
    /// Checks the options that concern connections, and reads the files that they name. Connects to no server.
    pub(crate) fn new(mut options: ClientSettings, system: Arc<dyn System>) -> Result<Self> {
        let factory = Arc::new(ConnectionFactory::new(&options, &system)?);
        options.warnings.extend_from_slice(factory.warnings());
        let options = Arc::new(options);
        let topology = Topology::new(&options, &factory)?;
        Ok(ClientInner {
            options,
            topology,
            jitter: Jitter::new(system.clone()),
            sessions: Sessions::new(system),
            closed: AtomicBool::new(false),
            closing: PerProcess::new(),
            cursors: PerProcess::new(),
        })
    }

    pub(crate) fn options(&self) -> &ClientSettings {
        &self.options
    }

    pub(crate) fn topology(&self) -> &Topology {
        &self.topology
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    pub(super) fn factory(&self) -> &ConnectionFactory {
        self.topology.factory()
    }

    /// Adds to the client metadata of connections that are made from now on.
    pub(super) fn append_metadata(&self, info: DriverInfo) -> Result<()> {
        self.factory().append_metadata(info)
    }

    /// When an operation that begins now must end (`timeoutMS`).
    pub(crate) fn operation_deadline(&self) -> Deadline {
        Deadline::after_option(self.options.timeout()).named("timeoutMS")
    }

    /// Whether operations have a time limit of their own (`timeoutMS`).
    pub(crate) fn limits_operations(&self) -> bool {
        self.options.timeout().is_some_and(|limit| !limit.is_zero())
    }

    /// How deep documents are decoded.
    pub(crate) fn nesting_limits(&self) -> NestingLimits {
        NestingLimits::lowered(self.options.max_document_nesting())
    }

    /// When one command must have its reply: by the end of its operation, or without `timeoutMS` after `socketTimeoutMS`, to
    /// which the time is added that the server itself may wait.
    pub(super) fn command_deadline(&self, operation: Deadline, server_waits: Option<Duration>) -> Deadline {
        match self.options.socket_timeout() {
            Some(limit) if self.options.timeout().is_none() && !limit.is_zero() => {
                Deadline::after(limit.saturating_add(server_waits.unwrap_or_default()))
                    .named("socketTimeoutMS")
                    .earliest(operation)
            }
            _ => operation,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Waits for this long. `false`: the client is closed.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        if !time.is_zero() {
            let guard = self.closing.lock();
            let closing = Arc::clone(&guard);
            let (guard, _) = unpoisoned(closing.wait_timeout_while(guard, time, |_| !self.is_closed()));
            drop(guard);
        }
        !self.is_closed()
    }

    /// Ends the open cursors and the sessions on their servers, within `limit`, and closes every connection. Does nothing the second time.
    pub(super) fn close(&self, limit: Deadline) {
        if self.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        self.closing.lock().notify_all();
        // One command for all cursors of a collection on a server; behind a load balancer one on each cursor's connection.
        let mut groups: Vec<(CursorHandle, Vec<i64>)> = Vec::new();
        let open = std::mem::take(&mut *self.cursors.lock());
        for (key, cursor) in open.into_iter().filter(|(_, cursor)| cursor.is_reachable()) {
            let same = |(group, _): &&mut (CursorHandle, Vec<i64>)| {
                group.pin.is_none()
                    && cursor.pin.is_none()
                    && group.server == cursor.server
                    && (&group.database, &group.collection) == (&cursor.database, &cursor.collection)
            };
            match groups.iter_mut().find(same) {
                Some((_, ids)) => ids.push(key.id),
                None => groups.push((cursor, vec![key.id])),
            }
        }
        for (cursor, ids) in groups {
            if let Err(error) = self.kill_cursors(&cursor, &ids, &mut OperationSession::Absent, limit) {
                log::debug!("cursors were left to the server's own time limit: {error:#}");
                if limit.expired() {
                    break;
                }
            }
        }
        self.end_sessions(limit);
        self.topology.close();
        self.factory().close();
    }

    /// Ends cursors of one collection on the server that holds them.
    pub(crate) fn kill_cursors(
        &self,
        cursor: &CursorHandle,
        ids: &[i64],
        session: &mut OperationSession<'_>,
        limit: Deadline,
    ) -> Result<()> {
        let mut kill = KillCursors { namespace: cursor.namespace(), server: &cursor.server, ids };
        self.execute(&mut kill, session, limit, cursor.pin.as_ref())
    }

    pub(crate) fn cursor_opened(&self, id: i64, cursor: CursorHandle) {
        self.cursors.lock().insert(cursor.key(id), cursor);
    }

    pub(crate) fn cursor_ended(&self, id: i64, cursor: &CursorHandle) {
        let ended = self.cursors.lock().remove(&cursor.key(id));
        // Its connection goes back to the pool, which takes other locks.
        drop(ended);
    }
}

impl std::fmt::Debug for CursorHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("CursorHandle");
        shown.field("database", &self.database).field("collection", &self.collection).field("server", &self.server);
        shown.field("service_id", &self.service_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::client::Client;

    #[test]
    fn a_pause_ends_when_the_client_is_closed() {
        let client = Client::with_uri_str("mongodb://127.0.0.1:9/").unwrap();
        assert!(client.inner().pause(Duration::from_millis(1)) && client.inner().pause(Duration::ZERO));
        let (begins, begun) = mpsc::channel();
        thread::scope(|scope| {
            // Without an end the test would not end either.
            let paused = scope.spawn(|| {
                begins.send(()).unwrap();
                client.inner().pause(Duration::MAX)
            });
            begun.recv().unwrap();
            client.close();
            assert!(!paused.join().unwrap());
        });
        assert!(!client.inner().pause(Duration::ZERO));
    }
}
