//! The servers of a deployment, and which of them an operation goes to.
//!
//! [`description`] is what is known, [`transition`] how that changes, and [`selection`] how a server is chosen from it: functions
//! without clock, lock or socket. [`state`] and [`shared`] keep it for the threads of one client, [`check`] and, in the background,
//! [`monitor`] find out more, and [`inline`] is what an operation calls.

mod background_threads;
mod check;
mod description;
mod failure;
mod inline;
mod monitor;
mod monitor_control;
mod pool_observer;
mod round_trip;
mod round_trip_monitor;
mod selection;
mod selection_error;
mod shared;
mod silent;
#[cfg(feature = "srv")]
mod srv;
mod state;
#[cfg(test)]
mod tests;
mod transition;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bson::RawDocument;
use bson::oid::ObjectId;

use crate::connection::ConnectionFactory;
use crate::deadline::Deadline;
use crate::description::{ServerDescription, ServerType};
#[cfg(feature = "srv")]
use crate::dns::SrvPolling;
use crate::error::{Error, FaultKind, Result, Stage};
use crate::event::sdam;
use crate::fork;
use crate::operation::Target;
use crate::options::{ClientSettings, SelectionCriteria, ServerAddress};
use crate::pool::PooledConnection;
use crate::server::Server;

pub(crate) use inline::Selected;
pub(crate) use selection::read_preference_document;

use description::ServerEntry;
use inline::SERVER_SELECTION_TIMEOUT;
use selection::Criteria;
use shared::{Shared, StartMonitor};
use state::TopologyOptions;
use transition::OperationFailure;

/// The servers of a deployment.
pub(crate) struct Topology {
    options: Arc<ClientSettings>,
    settings: Arc<TopologyOptions>,
    authenticates: bool,
    node: Node,
}

/// The topology of one process, and that of a child of it. A child cannot use its parent's: a thread that does not exist there
/// may hold the lock, and the sockets are the parent's.
struct Node {
    process: u64,
    /// Made by the first operation of a child. Only threads of its own process wait for that.
    shared: OnceLock<Arc<Shared>>,
    /// Set in one step: a process that comes to be while a thread of its parent makes it would wait for it for ever.
    child: OnceLock<Box<Node>>,
}

/// How a command failed.
pub(crate) struct CommandFailure<'a> {
    pub(crate) error: &'a Error,
    /// The server's whole reply, where there was one.
    pub(crate) reply: Option<&'a RawDocument>,
    /// Whether the connection was established before.
    pub(crate) handshake_completed: bool,
    /// The generation of its connection.
    pub(crate) generation: u64,
    pub(crate) service_id: Option<ObjectId>,
}

impl Topology {
    /// The servers that the options name. Connects to none.
    ///
    /// Fails where the polling of DNS cannot be set up.
    pub(crate) fn new(options: &Arc<ClientSettings>, factory: &Arc<ConnectionFactory>) -> Result<Self> {
        let settings = TopologyOptions::new(options, factory.clone());
        #[cfg(feature = "srv")]
        let settings = TopologyOptions { srv: SrvPolling::new(options, factory.system())?, ..settings };
        let settings = Arc::new(settings);
        let node = Node::new();
        node.open(|| settings.clone());
        Ok(Topology { options: options.clone(), settings, authenticates: factory.authenticates(), node })
    }

    /// What connections are made with in this process.
    pub(crate) fn factory(&self) -> &ConnectionFactory {
        &self.shared().settings.factory
    }

    /// What is known about the servers now.
    pub(crate) fn description(&self) -> sdam::TopologyDescription {
        self.shared().lock().description.clone().to_public()
    }

    /// How long the servers keep a session that is not used; `None`: for ever, as far as is known now.
    pub(crate) fn session_timeout(&self) -> Option<Duration> {
        self.shared().lock().description.session_timeout()
    }

    /// When the selection for an operation that begins `now` and must end by `operation` must be over.
    pub(crate) fn selection_deadline(&self, now: Instant, operation: Deadline) -> Deadline {
        Deadline::counted_from(now, self.settings.server_selection_timeout)
            .named(SERVER_SELECTION_TIMEOUT)
            .earliest(operation)
    }

    /// A server that suits the target, by `limit` at the latest. The selection begins `now`. A `deprioritised`
    /// server is chosen only if no other one suits.
    #[inline]
    pub(crate) fn select(
        &self,
        target: Target<'_>,
        deprioritised: &[ServerAddress],
        limit: Deadline,
        now: Instant,
    ) -> Result<Selected> {
        let shared = self.shared();
        match target {
            Target::Writable => inline::select(shared, Criteria::Write, deprioritised, limit, now),
            Target::Readable(preference) => {
                inline::select(shared, Criteria::Read(preference), deprioritised, limit, now)
            }
            Target::ReadableAndWritable(preference) => {
                inline::select(shared, Criteria::ReadAndWriteResult(preference), deprioritised, limit, now)
            }
            Target::Predicate(criteria) => {
                let criteria = match criteria {
                    SelectionCriteria::ReadPreference(preference) => Criteria::Read(preference),
                    SelectionCriteria::Predicate(wants) => Criteria::Predicate(&**wants),
                };
                inline::select(shared, criteria, deprioritised, limit, now)
            }
            Target::Pinned(address) => {
                let selected = inline::select_address(shared, address, now)?;
                // A paused pool gives no connection before its server has answered a check.
                if selected.server.pool().is_some_and(|pool| pool.is_paused()) {
                    return inline::select(shared, Criteria::Address(address), &[], limit, now);
                }
                Ok(selected)
            }
        }
    }

    /// An idle connection to a server that takes writes or, if there is none, to a secondary. Nothing is waited for.
    pub(crate) fn borrow_idle_connection(&self) -> Option<PooledConnection> {
        let is_secondary = |entry: &ServerEntry| entry.server_type == ServerType::RsSecondary;
        self.borrow_idle_connection_to_primary().or_else(|| self.borrow_idle_connection_where(is_secondary))
    }

    /// An idle connection to a server that takes writes. Nothing is waited for.
    pub(crate) fn borrow_idle_connection_to_primary(&self) -> Option<PooledConnection> {
        use ServerType::{LoadBalancer, Mongos, RsPrimary, Standalone};
        self.borrow_idle_connection_where(|entry| {
            matches!(entry.server_type, RsPrimary | Mongos | Standalone | LoadBalancer)
        })
    }

    /// An idle connection to the server with this address. Nothing is waited for.
    pub(crate) fn borrow_idle_connection_to(&self, address: &ServerAddress) -> Option<PooledConnection> {
        self.borrow_idle_connection_where(|entry| entry.address == *address)
    }

    fn borrow_idle_connection_where(&self, suits: impl Fn(&ServerEntry) -> bool) -> Option<PooledConnection> {
        let state = self.shared().lock();
        let entries = state.description.servers.values().filter(|entry| suits(entry));
        let servers = entries.filter_map(|entry| Some(state.members.get(&entry.address)?.server.clone()));
        let servers: Vec<Arc<Server>> = servers.collect();
        drop(state);
        servers.iter().find_map(|server| Some(server.pool()?.borrow_idle()?.0))
    }

    /// Whether a server is known to be none that has transactions: a standalone server, or one without sessions.
    pub(crate) fn has_no_transactions(&self) -> bool {
        let state = self.shared().lock();
        state.description.servers.values().any(|entry| {
            let without_sessions = |hello: &Arc<ServerDescription>| hello.logical_session_timeout_minutes.is_none();
            entry.server_type == ServerType::Standalone
                || (matches!(entry.server_type, ServerType::RsPrimary | ServerType::RsSecondary | ServerType::Mongos)
                    && entry.hello.as_ref().is_some_and(without_sessions))
        })
    }

    /// A command failed, or the server reported its state in a reply that is no failure of the command.
    pub(crate) fn command_failed(&self, server: &Arc<Server>, failure: &CommandFailure<'_>) {
        let shared = self.shared();
        shared.operation_failed(
            server,
            OperationFailure {
                address: server.address(),
                error: failure.error,
                reply: failure.reply,
                handshake_completed: failure.handshake_completed,
                generation: Some(failure.generation),
                pool_generation: 0,
                service_id: failure.service_id,
                at: shared.clock.now(),
            },
        );
    }

    /// Whether operations may go to a server with this description, which its connection has just been made or taken for.
    pub(crate) fn check(&self, server: &Server, description: &ServerDescription) -> Result<()> {
        // An arbiter has no users, so the handshake skips the login there. It has no data either, and a server that claims to
        // be one has not proved that it knows the password: with a credential, no operation goes there.
        if description.server_type == ServerType::RsArbiter && self.authenticates {
            let message = "the server says it is an arbiter, which holds no data, and where nobody can log in";
            let error = Error::new(FaultKind::ServerSelection, Stage::ServerSelection, message);
            return Err(error
                .with_address(server.address())
                .with_hint("name a member that holds data; to ask an arbiter about itself, leave the user name out"));
        }
        Ok(())
    }

    /// Waits for this time, or until the client is closed.
    pub(crate) fn pause(&self, time: Duration) {
        if !time.is_zero() {
            self.shared().pause(time);
        }
    }

    /// Ends every connection and every wait.
    pub(crate) fn close(&self) {
        self.shared().close();
    }

    /// The topology of this process.
    fn shared(&self) -> &Shared {
        let process = fork::process();
        let mut node = &self.node;
        while node.process != process {
            node = match node.child.get() {
                Some(child) => child,
                None => {
                    let _ = node.child.set(Box::new(Node::new())); // Another thread's will do.
                    continue;
                }
            };
        }
        node.open(|| self.settings_of_child())
    }

    /// A child does not even lock what its parent made connections with: TLS contexts, keys and tokens of authentication. Where the
    /// files that the options name cannot be read any more, there is nothing else.
    fn settings_of_child(&self) -> Arc<TopologyOptions> {
        match self.settings.factory.of_child(&self.options) {
            Ok(factory) => Arc::new(self.settings.with_factory(factory)),
            Err(error) => {
                log::warn!("after a fork, connections are made with what the parent process had: {error:#}");
                self.settings.clone()
            }
        }
    }
}

impl Drop for Topology {
    fn drop(&mut self) {
        let process = fork::process();
        let mut node = Some(&self.node);
        while let Some(one) = node {
            if let Some(shared) = one.shared.get().filter(|_| one.process == process) {
                shared.close();
            }
            node = one.child.get().map(|child| &**child);
        }
    }
}

impl Node {
    fn new() -> Self {
        Node { process: fork::process(), shared: OnceLock::new(), child: OnceLock::new() }
    }

    /// The topology of the process, made now if there is none.
    fn open(&self, settings: impl FnOnce() -> Arc<TopologyOptions>) -> &Shared {
        let mut opened = None;
        let shared = self.shared.get_or_init(|| {
            let settings = settings();
            let start_monitor = settings.background.then_some(monitor::start as StartMonitor);
            let (shared, aftermath) = Shared::new(&settings, start_monitor);
            opened = Some(aftermath);
            shared
        });
        // Handlers may use the client.
        opened.into_iter().for_each(|aftermath| shared.finish(aftermath));
        shared
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // What a thread of the parent was about to change is not taken apart, but left as it is.
        if let Some(shared) =
            self.shared.get().filter(|shared| self.process != fork::process() && !shared.is_unlocked())
        {
            std::mem::forget(shared.clone());
        }
    }
}
