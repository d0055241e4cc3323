//! What went wrong, to branch on.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize, de, ser};

use super::{BulkWriteError, CommandError, InsertManyError, WriteConcernError, WriteError, harmless};

/// What went wrong, to branch on. The variants that the official driver has too have its names and fields.
///
/// | Kind | At the [stages](super::Stage) |
/// |---|---|
/// | `InvalidArgument` | `ConnectionString`, `Options`; `Encode` for an argument of an action |
/// | `InvalidTlsConfig` | `Options`: a certificate, key or list that cannot be used |
/// | `NotSupported` | any: this build or this platform lacks it |
/// | `IncompatibleServer` | `Options`, `Hello`, `ServerSelection`: the server at hand lacks it |
/// | `SessionsNotSupported` | `Options` |
/// | `DnsResolve` | `Dns`, `Connect`; `Http` for the host of a service |
/// | `Io` | `Connect`, `Tls`, `Hello`, `Authentication`, `Command`, `Http`; `Program` for the program's own; `Dns` where a limit ran out |
/// | `ProxyConnect` | `Connect` |
/// | `Tls` | `Tls`; `Http` for the host of a service |
/// | `Timeout` | the stage at which `timeoutMS` ran out |
/// | `ServerSelection` | `ServerSelection` |
/// | `Pool`, `ConnectionPoolCleared` | `CheckOut`; `Command` for an operation that the cleared pool ended |
/// | `Authentication` | `Authentication` |
/// | `InvalidResponse` | the stage whose reply it was: `Dns`, `Hello`, `Authentication`, `Command`, `Decode`, `Http` |
/// | `Command`, `Write`, `InsertMany`, `BulkWrite` | `Command`; `Hello` and `Authentication` for a `Command` |
/// | `BsonSerialization` | `Encode`, `Program` |
/// | `BsonDeserialization` | `Decode`, `Program` |
/// | `Transaction` | `Options` |
/// | `Shutdown` | the stage that the closing interrupted |
/// | `Custom` | `Program` |
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A connection string, an option or an argument that cannot be right.
    #[non_exhaustive]
    InvalidArgument {
        /// What cannot be right, and why.
        message: String,
    },
    /// A certificate, a key or another setting of TLS that cannot be used.
    #[non_exhaustive]
    InvalidTlsConfig {
        /// What cannot be used, and why.
        message: String,
    },
    /// Something this driver, this build of it or this platform does not offer.
    #[non_exhaustive]
    NotSupported {
        /// What is not offered.
        message: String,
    },
    /// What was asked for needs another version of the server.
    #[non_exhaustive]
    IncompatibleServer {
        /// What needs which version.
        message: String,
    },
    /// The deployment has no sessions.
    SessionsNotSupported,
    /// A host name that could not be resolved.
    #[non_exhaustive]
    DnsResolve {
        /// Which name, and why.
        message: String,
    },
    /// The network failed: refused, reset, closed, unreachable, or no answer within `connectTimeoutMS` or `socketTimeoutMS`
    /// ([`io::ErrorKind::TimedOut`]). Or input or output of the program's own failed.
    Io(Arc<io::Error>),
    /// A SOCKS5 proxy refused, or did not connect to the server. A proxy that cannot be reached is `Io`.
    #[non_exhaustive]
    ProxyConnect {
        /// Which proxy, and why.
        message: String,
    },
    /// The TLS handshake failed, or the peer's certificate was not accepted.
    #[non_exhaustive]
    Tls {
        /// What was not accepted, and why.
        message: String,
    },
    /// The limit on a whole operation, `timeoutMS`, ran out, or the time that
    /// [`and_run`](crate::action::StartTransaction::and_run) has. Every other limit on the network is
    /// [`Io`](ErrorKind::Io) with [`io::ErrorKind::TimedOut`].
    #[non_exhaustive]
    Timeout {
        /// What was not done in time.
        message: String,
    },
    /// No server was suitable, or could be reached, in time.
    #[non_exhaustive]
    ServerSelection {
        /// What kind of server was looked for, and for how long.
        message: String,
    },
    /// The connection pool had no connection to give in time.
    #[non_exhaustive]
    Pool {
        /// How the connections were in use.
        message: String,
    },
    /// The connections to the server were given up while the operation waited for one or used one, because the server could
    /// not be reached. The operation may be tried again.
    #[non_exhaustive]
    ConnectionPoolCleared {
        /// Why they were given up.
        message: String,
    },
    /// The server refused the credentials, or failed to prove that it knows them.
    #[non_exhaustive]
    Authentication {
        /// What was refused.
        message: String,
    },
    /// The peer broke the protocol.
    #[non_exhaustive]
    InvalidResponse {
        /// How it broke the protocol.
        message: String,
    },
    /// The server answered a command with an error.
    Command(CommandError),
    /// The server refused a write, or could not satisfy its write concern.
    Write(WriteFailure),
    /// Some documents of an `insert_many` were not inserted.
    InsertMany(InsertManyError),
    /// Some writes of a bulk write failed.
    BulkWrite(BulkWriteError),
    /// A value could not be turned into BSON.
    BsonSerialization(bson::error::Error),
    /// BSON could not be turned into the type that was asked for.
    BsonDeserialization(bson::error::Error),
    /// A session's transaction does not allow this.
    #[non_exhaustive]
    Transaction {
        /// What is not allowed.
        message: String,
    },
    /// The client, cursor or database handle was closed before.
    Shutdown,
    /// An error that the program made by [`Error::custom`](super::Error::custom);
    /// [`Error::get_custom`](super::Error::get_custom) returns the value.
    Custom(Arc<dyn Any + Send + Sync>),
}

/// How a single write failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum WriteFailure {
    /// The server could not satisfy the write concern. The write itself may have happened.
    WriteConcernError(WriteConcernError),
    /// The server refused the write.
    WriteError(WriteError),
}

/// A kind as the driver names it where an error is made. The error's message then becomes a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    InvalidArgument,
    InvalidTlsConfig,
    NotSupported,
    IncompatibleServer,
    SessionsNotSupported,
    ProxyConnect,
    DnsResolve,
    /// Of no more precise kind, until a source says more.
    Io,
    /// A time limit on the network other than `timeoutMS`: input or output that timed out.
    TimedOut,
    Tls,
    Timeout,
    ServerSelection,
    Pool,
    ConnectionPoolCleared,
    Authentication,
    InvalidResponse,
    BsonSerialization,
    BsonDeserialization,
    Transaction,
    Shutdown,
}

/// What [`Error::new`](super::Error::new) makes a kind of.
pub(crate) trait IntoErrorKind {
    fn into_error_kind(self, message: &str) -> ErrorKind;
}

impl IntoErrorKind for ErrorKind {
    fn into_error_kind(self, _message: &str) -> ErrorKind {
        self
    }
}

impl IntoErrorKind for FaultKind {
    fn into_error_kind(self, message: &str) -> ErrorKind {
        let text = || message.to_owned();
        match self {
            FaultKind::InvalidArgument => ErrorKind::InvalidArgument { message: text() },
            FaultKind::InvalidTlsConfig => ErrorKind::InvalidTlsConfig { message: text() },
            FaultKind::NotSupported => ErrorKind::NotSupported { message: text() },
            FaultKind::IncompatibleServer => ErrorKind::IncompatibleServer { message: text() },
            FaultKind::SessionsNotSupported => ErrorKind::SessionsNotSupported,
            FaultKind::ProxyConnect => ErrorKind::ProxyConnect { message: text() },
            FaultKind::DnsResolve => ErrorKind::DnsResolve { message: text() },
            FaultKind::Io => ErrorKind::Io(Arc::new(io::Error::other(message))),
            FaultKind::TimedOut => ErrorKind::Io(Arc::new(io::Error::new(io::ErrorKind::TimedOut, message))),
            FaultKind::Tls => ErrorKind::Tls { message: text() },
            FaultKind::Timeout => ErrorKind::Timeout { message: text() },
            FaultKind::ServerSelection => ErrorKind::ServerSelection { message: text() },
            FaultKind::Pool => ErrorKind::Pool { message: text() },
            FaultKind::ConnectionPoolCleared => ErrorKind::ConnectionPoolCleared { message: text() },
            FaultKind::Authentication => ErrorKind::Authentication { message: text() },
            FaultKind::InvalidResponse => ErrorKind::InvalidResponse { message: text() },
            FaultKind::BsonSerialization => ErrorKind::BsonSerialization(ser::Error::custom(message)),
            FaultKind::BsonDeserialization => ErrorKind::BsonDeserialization(de::Error::custom(message)),
            FaultKind::Transaction => ErrorKind::Transaction { message: text() },
            FaultKind::Shutdown => ErrorKind::Shutdown,
        }
    }
}

/// The message of a kind that has one, borrowed as the kind is.
macro_rules! message_of {
    ($kind:expr) => {
        match $kind {
            ErrorKind::InvalidArgument { message }
            | ErrorKind::InvalidTlsConfig { message }
            | ErrorKind::NotSupported { message }
            | ErrorKind::IncompatibleServer { message }
            | ErrorKind::ProxyConnect { message }
            | ErrorKind::DnsResolve { message }
            | ErrorKind::Tls { message }
            | ErrorKind::Timeout { message }
            | ErrorKind::ServerSelection { message }
            | ErrorKind::Pool { message }
            | ErrorKind::ConnectionPoolCleared { message }
            | ErrorKind::Authentication { message }
            | ErrorKind::InvalidResponse { message }
            | ErrorKind::Transaction { message } => Some(message),
            _ => None,
        }
    };
}

impl ErrorKind {
    /// The message of a kind that has one.
    pub(super) fn message(&self) -> Option<&str> {
        message_of!(self)
    }

    pub(super) fn message_mut(&mut self) -> Option<&mut String> {
        message_of!(self)
    }

    /// Takes the error that caused this one where the kind has a place for it. A failure of bson or of the system says more than
    /// the kind that was made without it.
    pub(super) fn take_source(&mut self, source: Box<dyn StdError + Send + Sync>) -> Arc<dyn StdError + Send + Sync> {
        match self {
            ErrorKind::Io(held) => match source.downcast::<io::Error>() {
                Ok(source) => {
                    *held = Arc::from(source);
                    held.clone()
                }
                Err(source) => Arc::from(source),
            },
            ErrorKind::BsonSerialization(held) | ErrorKind::BsonDeserialization(held) => {
                if let Some(source) = source.downcast_ref::<bson::error::Error>() {
                    *held = source.clone();
                }
                Arc::from(source)
            }
            _ => Arc::from(source),
        }
    }
}

/// What went wrong, in one line.
impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorKind::Io(error) => write!(f, "I/O error: {}", harmless(error.to_string().into())),
            ErrorKind::Command(error) => write!(f, "the command failed: {error}"),
            ErrorKind::Write(WriteFailure::WriteError(error)) => {
                write!(f, "write error {}", harmless(error.describe().into()))
            }
            ErrorKind::Write(WriteFailure::WriteConcernError(error)) => f.write_str(&harmless(error.describe().into())),
            ErrorKind::InsertMany(error) => {
                let failed = error.write_errors.as_ref().map_or(0, Vec::len);
                write!(f, "{failed} documents were not inserted")
            }
            ErrorKind::BulkWrite(error) => write!(f, "{} of the writes failed", error.write_errors.len()),
            ErrorKind::BsonSerialization(error) | ErrorKind::BsonDeserialization(error) => {
                write!(f, "{}", harmless(error.to_string().into()))
            }
            ErrorKind::SessionsNotSupported => f.write_str("the deployment has no sessions"),
            ErrorKind::Shutdown => f.write_str("the client was closed"),
            ErrorKind::Custom(value) => match value.downcast_ref::<String>() {
                Some(value) => write!(f, "an error that the program made: {value}"),
                None => f.write_str("an error that the program made"),
            },
            kind => f.write_str(kind.message().unwrap_or_default()),
        }
    }
}

impl StdError for ErrorKind {}
