//! One server: its address, its connections, and what an error says about it.

use std::sync::Arc;

use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::options::ServerAddress;
use crate::pool::{Pool, PooledConnection};

/// A server of the deployment.
pub(crate) struct Server {
    pool: Pool,
}

impl Server {
    pub(crate) fn new(pool: Pool) -> Self {
        // Until the first operation nothing connects, so minPoolSize waits for that.
        drop(pool.ready());
        Server { pool }
    }

    pub(crate) fn address(&self) -> &Arc<ServerAddress> {
        self.pool.address()
    }

    /// A connection out of the pool, or a new one. `queue` limits the wait for the pool, `connect` the making of a connection.
    pub(crate) fn check_out(&self, queue: Deadline, connect: Deadline) -> Result<PooledConnection> {
        self.pool.check_out(queue, connect, None).map_err(|failure| {
            // A server that refuses the client refuses all of its connections. An overloaded network does not concern those
            // that exist.
            if let Some(attempt) = failure.attempt
                && attempt.condemns_others(&failure.error)
            {
                self.clear(attempt.generation);
            }
            failure.error
        })
    }

    fn clear(&self, generation: u64) {
        if self.pool.generation(None) == generation {
            let cleanup = self.pool.clear(false, None);
            let made_ready = self.pool.ready();
            cleanup.run();
            made_ready.run();
        }
    }

    /// Draws the conclusion from a command that failed on a connection of this generation: after a network error no connection
    /// of that generation is used again.
    ///
    /// A time limit that ran out is not such an error: the server may be slow with this one command.
    pub(crate) fn failed(&self, error: &Error, generation: u64) {
        if error.is_network_error() && !error.is_network_timeout() {
            self.clear(generation);
        }
    }

    /// Draws the conclusion from a login that failed on a connection in use: none of its generation is used again.
    pub(crate) fn login_failed(&self, generation: u64) {
        self.clear(generation);
    }

    /// Closes every connection, and ends every wait for one.
    pub(crate) fn close(&self) {
        self.pool.close().run();
    }
}
