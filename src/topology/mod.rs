//! The servers of a deployment, and which of them an operation goes to.
//!
//! Today a deployment is one server. It is discovered by the first connection of an operation, not by a connection of its own.

#[cfg_attr(not(test), expect(dead_code, reason = "the runtime that uses it comes next"))]
mod description;
mod failure;
mod round_trip;
#[cfg_attr(not(test), expect(dead_code, reason = "the runtime that uses it comes next"))]
mod selection;
#[cfg_attr(not(test), expect(dead_code, reason = "the runtime that uses it comes next"))]
mod selection_error;
#[cfg(test)]
mod tests;
#[cfg_attr(not(test), expect(dead_code, reason = "the runtime that uses it comes next"))]
mod transition;

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::{Duration, Instant};

use crate::connection::ConnectionFactory;
use crate::deadline::Deadline;
use crate::description::{ServerDescription, ServerType};
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::event::EventQueue;
use crate::locks::{lock, unpoisoned};
use crate::operation::Target;
use crate::options::{ClientOptions, ServerAddress};
use crate::pool::{FailedAttempt, Pool, PoolObserver, PoolSettings};
use crate::server::Server;

/// A server that could not be reached is not tried again sooner than this (minHeartbeatFrequencyMS).
const MIN_HEARTBEAT_FREQUENCY: Duration = Duration::from_millis(500);

/// The servers of a deployment.
pub(crate) struct Topology {
    servers: HashMap<ServerAddress, Arc<Server>>,
    replica_set: Option<String>,
    authenticates: bool,
    server_selection_timeout: Duration,
    try_once: bool,
    closed: Mutex<bool>,
    closing: Condvar,
}

/// Nothing is told yet.
struct Unobserved;

impl PoolObserver for Unobserved {
    fn hello_answered(&self, _: &ServerAddress, _: &Arc<ServerDescription>, _: Duration) {}

    fn attempt_failed(&self, _: &ServerAddress, _: &Error, _: FailedAttempt) {}
}

/// The selection of a server for one operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selection {
    began: Instant,
    deadline: Deadline,
}

impl Selection {
    /// When it must be over.
    pub(crate) fn deadline(&self) -> Deadline {
        self.deadline
    }
}

impl Topology {
    /// The servers that the options name. Connects to none.
    pub(crate) fn new(
        options: &ClientOptions,
        factory: &Arc<ConnectionFactory>,
        events: &Arc<EventQueue>,
    ) -> Result<Self> {
        let [address] = options.hosts.as_slice() else {
            return Err(Error::not_supported(format!(
                "{} hosts in one connection string: a deployment of several servers is not supported yet",
                options.hosts.len()
            ))
            .with_hint("name one server; for a replica set, its primary"));
        };
        let settings = PoolSettings {
            max_size: options.max_pool_size,
            min_size: options.min_pool_size,
            max_connecting: options.max_connecting,
            max_idle_time: options.max_idle_time,
            fill: !factory.asks_a_person(),
            load_balanced: options.load_balanced(),
        };
        let pool = Pool::new(settings, factory.clone(), Arc::new(address.clone()), Weak::<Unobserved>::new(), events);
        let server = Arc::new(Server::new(pool));
        Ok(Topology {
            servers: HashMap::from([(address.clone(), server)]),
            replica_set: options.replica_set.clone(),
            authenticates: factory.authenticates(),
            server_selection_timeout: options.server_selection_timeout,
            try_once: options.server_selection_try_once,
            closed: Mutex::new(false),
            closing: Condvar::new(),
        })
    }

    /// Begins the selection for an operation that must end by `operation`.
    pub(crate) fn begin_selection(&self, operation: Deadline) -> Selection {
        let began = Instant::now();
        let deadline = Deadline::counted_from(began, self.server_selection_timeout)
            .named("serverSelectionTimeoutMS")
            .earliest(operation);
        Selection { began, deadline }
    }

    /// A server that suits the target.
    pub(crate) fn select(&self, target: Target<'_>) -> Result<Arc<Server>> {
        let server = match target {
            Target::Pinned(address) => self.servers.get(address),
            Target::Writable | Target::Readable(_) => self.servers.values().next(),
        };
        server.cloned().ok_or_else(|| {
            let error = Error::new(
                ErrorKind::ServerSelection,
                Stage::ServerSelection,
                "the server that the operation needs no longer belongs to the deployment",
            );
            match target {
                Target::Pinned(address) => error.with_address(address),
                Target::Writable | Target::Readable(_) => error,
            }
        })
    }

    /// Whether operations may go to a server with this description, which its connection has just been made or taken for.
    pub(crate) fn check(&self, server: &Server, description: &ServerDescription) -> Result<()> {
        let refused = |message: String, hint: &'static str| {
            let error = Error::new(ErrorKind::ServerSelection, Stage::ServerSelection, message);
            Err(error.with_address(server.address()).with_hint(hint))
        };
        let set_name = description.set_name.as_deref();
        if let Some(wanted) = &self.replica_set
            && set_name != Some(wanted)
        {
            let seen =
                set_name.map_or("is not a member of a replica set".to_owned(), |name| format!("belongs to '{name}'"));
            return refused(
                format!("the server {seen}, and replicaSet asks for '{wanted}'"),
                "correct replicaSet, or the host",
            );
        }
        // An arbiter has no users, so the handshake skips the login there. It has no data either, and a server that claims to
        // be one has not proved that it knows the password: with a credential, no operation goes there.
        if description.server_type == ServerType::RsArbiter && self.authenticates {
            return refused(
                "the server says it is an arbiter, which holds no data, and where nobody can log in".to_owned(),
                "name a member that holds data; to ask an arbiter about itself, leave the user name out",
            );
        }
        Ok(())
    }

    /// Waits before a server is tried again that could not be reached. The error, if there is no other try: it is not one of
    /// the network, `serverSelectionTryOnce` is set, time is up, or the client was closed.
    pub(crate) fn wait_to_try_again(&self, error: Error, selection: Selection) -> Result<()> {
        if self.try_once || !error.is_network_error() {
            return Err(error);
        }
        let left = selection.deadline.remaining().unwrap_or(MIN_HEARTBEAT_FREQUENCY);
        let closed = lock(&self.closed);
        let wait = left.min(MIN_HEARTBEAT_FREQUENCY);
        let (closed, _) = unpoisoned(self.closing.wait_timeout_while(closed, wait, |closed| !*closed));
        if !*closed && !selection.deadline.expired() {
            return Ok(());
        }
        let message = "no server could be reached in time";
        Err(Error::new(ErrorKind::ServerSelection, Stage::ServerSelection, message)
            .with_elapsed(selection.began.elapsed())
            .with_source(error))
    }

    /// Ends every connection and every wait.
    pub(crate) fn close(&self) {
        *lock(&self.closed) = true;
        self.closing.notify_all();
        for server in self.servers.values() {
            server.close();
        }
    }
}
