//! A MongoDB driver that blocks.

mod auth;
mod client;
mod connection;
mod credential;
mod cursor;
mod database;
mod deadline;
pub mod error;
pub mod event;
mod handshake;
mod operation;
pub mod options;
mod policy;
mod pool;
pub mod results;
mod secret;
mod stream;
mod tls;
mod topology;
pub mod uri;
mod warning;
mod wire;

pub use bson;

pub use client::Client;
pub use credential::{
    AwsCredential, AwsKeys, CanonicalizeHostName, CrCredential, Credential, GssapiCredential, OidcCredential,
    OidcEnvironment, PlainCredential, ScramCredential, ScramMechanism, X509Credential,
};
pub use cursor::Cursor;
pub use database::Database;
pub use error::{Error, Result};
pub use policy::SecurityPolicy;
pub use secret::Secret;
pub use warning::{Warning, WarningKind};
