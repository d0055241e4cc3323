//! A MongoDB driver that blocks: no async runtime, and the platform's own TLS. By default it keeps no thread of its own.
//!
//! ```no_run
//! use mongo_blocking::Client;
//! use mongo_blocking::bson::{Document, doc};
//!
//! fn main() -> mongo_blocking::Result<()> {
//!     let client = Client::with_uri_str("mongodb://user:pencil@localhost/")?;
//!     let books = client.database("library").collection::<Document>("books");
//!     books.insert_one(doc! { "title": "Emma", "year": 1815 }).run()?;
//!     for book in books.find(doc! { "year": { "$lt": 1900 } }).limit(5).run()? {
//!         println!("{}", book?);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # The tour
//!
//! A [`Client`] is made from a connection string or from [`ClientOptions`](options::ClientOptions), and connects when it is
//! first used. It gives [`Database`]s, these give [`Collection`]s, and their methods make [`action`]s, which do nothing until
//! their `run`. What finds many documents returns a [`Cursor`]. What fails returns an [`Error`], which says at which
//! [`Stage`](error::Stage) it happened, how long it took, and what to look at.
//!
//! For readers of the code, the modules in the order in which data flows; each uses only those before it:
//!
//! | modules | what they do |
//! | --- | --- |
//! | `error`, `address`, `secret`, `event`, `warning`, `policy`, `deadline`, `fork`, `resolver`, `outcome` | types that all others use |
//! | `uri`, `credential`, `options`, `namespace`, `specification` | connection string and code become validated options |
//! | `description`, `document`, `wire`, `operation`, `json`, `http`, `dns`, `auth` | what a server reports about itself, values to BSON and back, messages, a value for each command, HTTP and JSON for credentials of clouds, names to hosts, and the mechanisms; none knows a connection to MongoDB |
//! | `tls`, `transport`, `handshake`, `connection` | a socket becomes a connection that is logged in |
//! | `pool`, `server`, `topology` | what is known about the servers, which of them an operation goes to, and which of its connections |
//! | `session`, `client`, `cursor`, `collection`, `database` | `client/execute.rs` runs an operation from the choice of a server to the reply; the rest is the public face |
//!
//! On a connection that is open, `database.run_command(..).run()` reaches the call that writes to the socket through five
//! functions: `RunCommand::run`, `ClientInner::execute`, `ClientInner::attempt`, `Connection::run` and `Transport::write_all`. With a
//! pool that has no connection yet, six functions lead from the check-out to the step of the authentication: `Pool::check_out`,
//! `ConnectionFactory::authenticate`, `Handshake::authenticate`, `conversation::authenticate`, `Sasl::step` and `Scram::step`.
//! A test holds each list.
//!
//! # Reference
//!
//! The [`guide`] has a page for each subject: [authentication](guide::authentication), [OIDC](guide::oidc), [TLS](guide::tls),
//! [deployments](guide::deployments), [retries](guide::retries), [sessions](guide::sessions),
//! [transactions](guide::transactions), [hosts from DNS](guide::srv),
//! [proxies](guide::proxy), [connection string options](guide::options), [Cargo features](guide::features),
//! [platforms](guide::platforms), [dates, UUIDs, decimals and JSON](guide::values), [moving over from the official driver](guide::moving_over), [benchmarks](guide::benchmarks).
//!
//! # What it promises
//!
//! - By default it keeps no thread of its own. Look-ups of names, staggered connects, checks of several servers or of a silent primary,
//!   and connections towards `minPoolSize` use short-lived ones. Background checks keep one or two threads for each server.
//! - No call outlives its time limit: `timeoutMS`, `connectTimeoutMS`, `socketTimeoutMS`, `serverSelectionTimeoutMS`,
//!   `waitQueueTimeoutMS`.
//! - The server's knowledge of the password is verified before a login counts as done, and nothing is sent over TLS before the
//!   server's certificate has been verified.
//! - Whatever a server sends is bounded before room is made for it, and never makes the driver panic.
//! - No secret appears in an error, a log line, an event or a `Debug` form.

mod address;
mod auth;
pub mod bson;
mod bson_ext;
#[cfg(test)]
mod call_stack;
mod certificate;
mod characters;
mod client;
mod collection;
mod connection;
mod credential;
mod cursor;
mod database;
mod deadline;
mod description;
#[cfg(feature = "srv")]
mod dns;
mod document;
pub mod error;
pub mod event;
mod fork;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
#[allow(missing_docs, reason = "no part of the public face")]
pub mod fuzzing;
pub mod guide;
mod handshake;
mod helper_thread;
mod hex;
#[cfg(any(feature = "aws", feature = "oidc", feature = "ocsp"))]
#[allow(dead_code, reason = "each feature by itself uses a part of it")]
mod http;
#[cfg(any(feature = "aws", feature = "oidc"))]
mod json;
mod locks;
mod namespace;
mod operation;
pub mod options;
mod outcome;
mod policy;
mod pool;
#[cfg(any(feature = "aws", feature = "oidc"))]
mod process;
mod resolver;
mod secret;
mod secret_file;
mod serde_util;
mod server;
mod session;
#[cfg(any(feature = "aws", feature = "oidc"))]
mod single_flight;
mod specification;
mod system;
mod tls;
mod topology;
mod transport;
pub mod uri;
mod warning;
mod wire;

#[cfg(feature = "aws")]
pub use auth::aws_source_report;
pub use client::{Client, ClientSession};
pub use collection::{Collection, WriteModel};
pub use credential::{
    AllowedHosts, AwsCredential, AwsCredentialProvider, AwsKeys, AwsSearchFailed, AwsSkipped, AwsSource,
    AwsSourceReport, CanonicalizeHostName, CrCredential, Credential, GssapiCredential, IdpServerInfo,
    IdpServerResponse, OidcCallback, OidcCallbackContext, OidcCommand, OidcCredential, OidcEnvironment, OidcSource,
    PlainCredential, ScramCredential, ScramMechanism, X509Credential,
};
pub use cursor::{Cursor, SessionCursor, SessionCursorIter};
pub use database::Database;
pub use error::{Error, Result};
pub use event::sdam::{ServerInfo, ServerType, TopologyType};
pub use namespace::Namespace;
pub use options::{CollectionOptions, DatabaseOptions, IndexModel};
pub use policy::SecurityPolicy;
pub use resolver::{Resolver, SrvRecord};
pub use secret::Secret;
pub use session::{ClusterTime, TransactionState};
pub use warning::{Warning, WarningKind};

/// What operations return.
pub mod results {
    pub use crate::outcome::*;
    pub use crate::specification::{CollectionSpecification, CollectionSpecificationInfo, CollectionType};
}

/// The client's types under the path that the official driver has for its blocking API.
pub mod sync {
    pub use crate::client::{Client, ClientSession};
    pub use crate::collection::Collection;
    pub use crate::cursor::{Cursor, SessionCursor, SessionCursorIter};
    pub use crate::database::Database;
}

/// The actions: values that collect options and are sent by their `run`.
///
/// Where a program forgot `run`, the compiler speaks of the action instead: "the `?` operator can only be applied to values that
/// implement `Try`", "`Find<'_, Document>` is not an iterator", "no method named `matched_count` found for struct `Update`", or "unused
/// `InsertOne` that must be used". Each means that `.run()` is missing:
///
/// ```compile_fail,E0277
/// # fn f(books: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
/// for book in books.find(mongo_blocking::bson::doc! {}) {} // .run()?
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Besides the errors that its `run` names, each action can fail with these [kinds](crate::error::ErrorKind):
///
/// - `InvalidArgument` for an invalid name of a database or collection, options that contradict each other, or a session of another
///   client or of the parent process; `BsonSerialization` for a
///   value that BSON cannot hold. Nothing was sent.
/// - `Transaction` in a session's transaction: for a read concern or a write concern of the action's own, for a read from another server
///   than the primary, and on a deployment without transactions. Nothing was sent.
/// - `ServerSelection`, `DnsResolve`, `Io`, `ProxyConnect`, `Tls` and `Authentication` where no connection could be made, `Pool` where none became free
///   in time. Nothing was sent.
/// - `ConnectionPoolCleared` where the pool was cleared while the action waited for a connection, or where the server stopped answering
///   while the action waited for its reply.
/// - `Io` where the connection broke or a time limit ran out, `Timeout` where `timeoutMS` ran out. [`Error::stage`](crate::Error::stage) tells whether the command had been
///   sent ([`Stage::Command`](crate::error::Stage::Command)): a write may then have happened.
/// - `Timeout` where `timeoutMS` does not allow the pause before an overloaded server is asked again.
/// - `Command` for [`Client::ping`](crate::Client::ping), where the server refuses it.
/// - `IncompatibleServer` for an option that the server at hand is too old for, `SessionsNotSupported` for a session on a server
///   without sessions, `InvalidResponse` for a reply that breaks the protocol.
/// - `Shutdown` after [`Client::close`](crate::Client::close).
pub mod action {
    pub use crate::client::{
        AbortTransaction, CommitTransaction, ExplicitSession, ImplicitSession, Shutdown, StartSession,
        StartTransaction, WarmConnectionPool,
    };
    pub use crate::collection::{
        Aggregate, BulkWrite, CountDocuments, CreateIndex, CreateIndexes, Delete, Distinct, DropCollection,
        DropIndexes, DropIndexes as DropIndex, EstimatedDocumentCount, Find, FindOne, FindOneAndDelete,
        FindOneAndReplace, FindOneAndUpdate, InsertMany, InsertOne, ListIndexNames, ListIndexes, ReplaceOne, Update,
    };
    pub use crate::database::{
        CreateCollection, DropDatabase, ListCollectionNames, ListCollections, ListDatabaseNames, ListDatabases,
        RunCommand, RunCursorCommand,
    };
    pub use crate::options::ParseConnectionString;

    /// The method [`optional`](Action::optional) under the path that the official driver has for it. Each action has it without this trait,
    /// too.
    pub trait Action: Sized {
        /// Calls `set` with the action and the value if there is a value.
        fn optional<V>(self, value: Option<V>, set: impl FnOnce(Self, V) -> Self) -> Self {
            match value {
                Some(value) => set(self, value),
                None => self,
            }
        }
    }

    impl<A> Action for A {}
}

// The examples of the README are compiled like those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
