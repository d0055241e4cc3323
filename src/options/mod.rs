//! What a client is told: from a connection string or in code, judged before anything is connected.

mod concern;
mod interim;

use std::time::Duration;

pub use concern::{Acknowledgment, Collation, ReadConcern, ReadPreference, ReadPreferenceMode, WriteConcern};

pub use interim::percent_encode;

use crate::credential::Credential;
use crate::event::{CommandEvent, Handler};
use crate::policy::SecurityPolicy;
use crate::warning::Warning;

/// Everything a client can be told. (The options part fills in parsing, the builder and the table.)
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientOptions {
    pub(crate) hosts: Vec<ServerAddress>,
    pub(crate) credential: Option<Credential>,
    pub(crate) default_database: Option<String>,
    pub(crate) app_name: Option<String>,
    pub(crate) driver_info: Vec<DriverInfo>,
    pub(crate) server_api: Option<ServerApi>,
    pub(crate) tls: Option<TlsOptions>,
    pub(crate) connect_timeout: Duration,
    pub(crate) socket_timeout: Option<Duration>,
    pub(crate) server_selection_timeout: Duration,
    pub(crate) server_selection_try_once: bool,
    pub(crate) wait_queue_timeout: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) max_pool_size: u32,
    pub(crate) min_pool_size: u32,
    pub(crate) max_connecting: u32,
    pub(crate) max_idle_time: Option<Duration>,
    pub(crate) direct_connection: Option<bool>,
    pub(crate) replica_set: Option<String>,
    pub(crate) local_threshold: Duration,
    pub(crate) heartbeat_frequency: Duration,
    pub(crate) read_preference: ReadPreference,
    pub(crate) read_concern: Option<ReadConcern>,
    pub(crate) write_concern: Option<WriteConcern>,
    pub(crate) retry_reads: Option<bool>,
    pub(crate) retry_writes: Option<bool>,
    pub(crate) scram_max_iterations: u32,
    pub(crate) command_event_handler: Option<Handler<CommandEvent>>,
    pub(crate) policy: SecurityPolicy,
    pub(crate) warnings: Vec<Warning>,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServerAddress {
    /// A name or IP address and a port.
    Tcp {
        /// The name in lower case, or the address; an IPv6 address without brackets.
        host: String,
        /// The port; 27017 unless given.
        port: u16,
    },
    /// The path of a Unix domain socket.
    Unix {
        /// The path.
        path: std::path::PathBuf,
    },
}

/// The version of the Stable API that every command declares.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerApi {
    /// The version: `"1"`.
    pub version: String,
    /// Whether the server refuses what is not part of that version.
    pub strict: Option<bool>,
    /// Whether the server refuses what that version deprecates.
    pub deprecation_errors: Option<bool>,
}

/// What a library that wraps this driver adds to the client metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverInfo {
    /// The wrapper's name.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// More about its platform.
    pub platform: Option<String>,
}

/// How the channel is secured.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TlsOptions {
    /// The authorities to trust instead of the system's (`tlsCAFile`): a PEM file with one or more certificates.
    pub ca_file: Option<std::path::PathBuf>,
}

/// `host:port`, an IPv6 address in brackets; or the socket's path.
impl std::fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ServerAddress::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            ServerAddress::Tcp { host, port } => write!(f, "{host}:{port}"),
            ServerAddress::Unix { path } => write!(f, "{}", path.display()),
        }
    }
}
