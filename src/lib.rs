//! A MongoDB driver that blocks: no async runtime, no standing threads, the platform's own TLS.
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
//! | `error`, `secret`, `event`, `warning`, `policy`, `deadline`, `fork`, `resolver`, `results` | the words that all others speak |
//! | `uri`, `credential`, `options` | connection string and code become judged options |
//! | `dns`, `wire`, `json`, `http`, `auth` | names to hosts, messages, HTTP and JSON for credentials of clouds, and the mechanisms as machines that know no socket |
//! | `tls`, `transport`, `handshake`, `connection` | a socket becomes a connection that is logged in |
//! | `topology`, `pool` | which server, and which of its connections |
//! | `operation`, `client`, `cursor`, `collection`, `database` | a command for each action, and the public face |
//!
//! A command passes through five of them on its way to the socket: the action, its function in `operation`, `run_on`,
//! `Connection::run`, and the line that writes and reads.
//!
//! # Reference
//!
//! The [`guide`] has a page for each subject: [authentication](guide::authentication), [OIDC](guide::oidc), [TLS](guide::tls),
//! [connection string options](guide::options), [Cargo features](guide::features), [benchmarks](guide::benchmarks).
//!
//! # What it promises
//!
//! - It keeps no thread of its own. Look-ups of names and staggered connects use short-lived ones.
//! - No call outlives its time limit: `timeoutMS`, `connectTimeoutMS`, `socketTimeoutMS`, `serverSelectionTimeoutMS`,
//!   `waitQueueTimeoutMS`.
//! - The server's knowledge of the password is verified before a login counts as done, and nothing is sent over TLS before the
//!   server's certificate has been verified.
//! - Whatever a server sends is bounded before room is made for it, and never makes the driver panic.
//! - No secret appears in an error, a log line, an event or a `Debug` form.

mod auth;
pub mod bson;
mod bson_ext;
#[cfg(test)]
mod call_stack;
mod certificate;
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
mod operation;
pub mod options;
mod policy;
mod pool;
#[cfg(any(feature = "aws", feature = "oidc"))]
mod process;
mod resolver;
pub mod results;
mod secret;
mod server;
mod system;
mod tls;
mod topology;
mod transport;
pub mod uri;
mod warning;
mod wire;

#[cfg(feature = "aws")]
pub use auth::aws_source_report;
pub use client::Client;
pub use collection::{Collection, CollectionOptions, WriteModel};
pub use credential::{
    AllowedHosts, AwsCredential, AwsCredentialProvider, AwsKeys, AwsProvider, AwsSearchFailed, AwsSkipped, AwsSource,
    AwsSourceReport, CanonicalizeHostName, CrCredential, Credential, GssapiCredential, IdpServerInfo,
    IdpServerResponse, OidcCallback, OidcCallbackContext, OidcCommand, OidcCredential, OidcEnvironment, OidcProvider,
    OidcSource, PlainCredential, ScramCredential, ScramMechanism, X509Credential,
};
pub use cursor::Cursor;
pub use database::{Database, DatabaseOptions};
pub use error::{Error, Result};
pub use policy::SecurityPolicy;
pub use resolver::{Resolver, SrvRecord};
pub use secret::Secret;
pub use warning::{Warning, WarningKind};

/// The client's types under the path that the official driver has for its blocking API.
pub mod sync {
    pub use crate::client::Client;
    pub use crate::collection::Collection;
    pub use crate::cursor::Cursor;
    pub use crate::database::Database;
}

/// The actions: values that collect options and are sent by their `run`.
pub mod action {
    pub use crate::collection::{
        Aggregate, BulkWrite, CountDocuments, CreateIndex, CreateIndexes, Delete, Distinct, DropCollection,
        DropIndexes, EstimatedDocumentCount, Find, FindOne, FindOneAndDelete, FindOneAndReplace, FindOneAndUpdate,
        InsertMany, InsertOne, ListIndexNames, ListIndexes, ReplaceOne, Update,
    };
    pub use crate::database::{
        CreateCollection, DropDatabase, ListCollectionNames, ListCollections, ListDatabaseNames, ListDatabases,
        RunCommand, RunCursorCommand,
    };
}

// The examples of the README are compiled like those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
