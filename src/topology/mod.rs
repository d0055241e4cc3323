//! Which server an operation goes to.
//!
//! Today a client knows one server. What selects among several stands behind the same door, [`Topology::lease`].

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

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::connection::ConnectionFactory;
use crate::deadline::Deadline;
use crate::description::ServerType;
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::locks;
use crate::options::{ClientOptions, ServerAddress};
use crate::pool::{Pool, PoolSettings, PooledConnection};

/// A server that could not be reached is not tried again sooner than this (minHeartbeatFrequencyMS).
const MIN_HEARTBEAT_FREQUENCY: Duration = Duration::from_millis(500);

/// The servers of a deployment, and what is known about them.
pub(crate) struct Topology {
    pool: Pool,
    factory: Arc<ConnectionFactory>,
    replica_set: Option<String>,
    server_selection_timeout: Duration,
    try_once: bool,
    wait_queue_timeout: Option<Duration>,
    closed: Mutex<bool>,
    closing: Condvar,
}

impl Topology {
    /// Judges what the options name; connects nothing.
    pub(crate) fn new(options: &ClientOptions) -> Result<Self> {
        let [address] = options.hosts.as_slice() else {
            return Err(Error::not_supported(format!(
                "{} hosts in one connection string: a deployment of several servers is not supported yet",
                options.hosts.len()
            ))
            .with_hint("name one server; for a replica set, its primary"));
        };
        let factory = Arc::new(ConnectionFactory::new(options)?);
        let settings = PoolSettings {
            max_size: options.max_pool_size,
            min_size: options.min_pool_size,
            max_connecting: options.max_connecting,
            max_idle_time: options.max_idle_time,
            fill: !factory.asks_a_person(),
        };
        Ok(Topology {
            pool: Pool::new(settings, factory.clone(), address.clone()),
            factory,
            replica_set: options.replica_set.clone(),
            server_selection_timeout: options.server_selection_timeout,
            try_once: options.server_selection_try_once,
            wait_queue_timeout: options.wait_queue_timeout,
            closed: Mutex::new(false),
            closing: Condvar::new(),
        })
    }

    /// A connection to a server that suits the operation, by `operation` at the latest.
    ///
    /// A server that cannot be reached is an error at once, or with `serverSelectionTryOnce=false` after
    /// `serverSelectionTimeoutMS`.
    pub(crate) fn lease(&self, operation: Deadline) -> Result<PooledConnection> {
        let began = Instant::now();
        let selection = Deadline::counted_from(began, self.server_selection_timeout)
            .named("serverSelectionTimeoutMS")
            .earliest(operation);
        // With a limit on the whole operation, that one counts; without it, each step has its own.
        let (queue, connect) = match operation.instant() {
            Some(_) => (operation, selection),
            None => (Deadline::after_option(self.wait_queue_timeout).named("waitQueueTimeoutMS"), Deadline::NEVER),
        };
        loop {
            let generation = self.pool.generation();
            let error = match self.pool.check_out(queue, connect) {
                Ok(lease) => return self.check_login(self.check_set_name(lease)?),
                Err(error) => error,
            };
            self.failed_to_connect(&error, generation);
            if self.try_once || !error.is_network_error() {
                return Err(error);
            }
            if !self.pause(selection) {
                return Err(no_server(error, began));
            }
        }
    }

    /// What a failed operation says about its server: after a network error no connection of that time is used again.
    ///
    /// A time limit is no such sign: the server may just be slow with this one command.
    pub(crate) fn failed(&self, error: &Error, generation: u64) {
        if error.is_network_error() && !error.is_network_timeout() {
            self.pool.clear(generation);
        }
    }

    /// What a login that failed on a connection in use says about its server.
    pub(crate) fn login_failed(&self, generation: u64) {
        self.pool.clear(generation);
    }

    /// What the client makes its connections with.
    pub(crate) fn factory(&self) -> &ConnectionFactory {
        &self.factory
    }

    /// The server.
    pub(crate) fn address(&self) -> &ServerAddress {
        self.pool.address()
    }

    /// Ends every connection and every wait.
    pub(crate) fn close(&self) {
        *locks::lock(&self.closed) = true;
        self.closing.notify_all();
        self.pool.close();
        self.factory.close();
    }

    /// A refusal to let us in concerns every connection; an overloaded network does not (mechanisms' labels tell).
    fn failed_to_connect(&self, error: &Error, generation: u64) {
        let connection_failed = !matches!(error.stage(), Stage::CheckOut | Stage::Options);
        if connection_failed && !error.contains_label(crate::error::SYSTEM_OVERLOADED_ERROR) {
            self.pool.clear(generation);
        }
    }

    fn check_set_name(&self, lease: PooledConnection) -> Result<PooledConnection> {
        let Some(wanted) = &self.replica_set else { return Ok(lease) };
        let seen = lease.description().set_name.as_deref();
        if seen == Some(wanted) {
            return Ok(lease);
        }
        let seen = seen.map_or("is not a member of a replica set".to_owned(), |name| format!("belongs to '{name}'"));
        Err(Error::new(
            ErrorKind::ServerSelection,
            Stage::ServerSelection,
            format!("the server {seen}, and replicaSet asks for '{wanted}'"),
        )
        .with_address(self.pool.address())
        .with_hint("correct replicaSet, or the host"))
    }

    /// An arbiter holds no users, so the handshake skips the login there. It holds no data either, and whoever calls itself
    /// one has not proved that it knows the password: with a credential, no operation goes there.
    fn check_login(&self, lease: PooledConnection) -> Result<PooledConnection> {
        if lease.description().server_type != ServerType::RsArbiter || !self.factory.authenticates() {
            return Ok(lease);
        }
        let message = "the server says it is an arbiter, which holds no data, and where nobody can log in";
        Err(Error::new(ErrorKind::ServerSelection, Stage::ServerSelection, message)
            .with_address(self.pool.address())
            .with_hint("name a member that holds data; to ask an arbiter about itself, leave the user name out"))
    }

    /// Waits before the next try. False: there is none, because time is up or the client was closed.
    fn pause(&self, deadline: Deadline) -> bool {
        let left = deadline.remaining().unwrap_or(MIN_HEARTBEAT_FREQUENCY);
        let closed = locks::lock(&self.closed);
        let wait = left.min(MIN_HEARTBEAT_FREQUENCY);
        let (closed, _) = locks::unpoisoned(self.closing.wait_timeout_while(closed, wait, |closed| !*closed));
        !*closed && !deadline.expired()
    }
}

fn no_server(last: Error, began: Instant) -> Error {
    Error::new(ErrorKind::ServerSelection, Stage::ServerSelection, "no server could be reached in time")
        .with_elapsed(began.elapsed())
        .with_source(last)
}
