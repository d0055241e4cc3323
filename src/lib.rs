//! A MongoDB driver that blocks.

mod auth;
mod client;
mod collection;
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
pub use collection::{Collection, CollectionOptions, WriteModel};
pub use credential::{
    AwsCredential, AwsKeys, CanonicalizeHostName, CrCredential, Credential, GssapiCredential, OidcCredential,
    OidcEnvironment, PlainCredential, ScramCredential, ScramMechanism, X509Credential,
};
pub use cursor::Cursor;
pub use database::{Database, DatabaseOptions};
pub use error::{Error, Result};
pub use policy::SecurityPolicy;
pub use secret::Secret;
pub use warning::{Warning, WarningKind};

/// The actions: values that collect options and are sent by their `run`.
pub mod action {
    pub use crate::collection::{
        Aggregate, BulkWrite, CountDocuments, CreateIndexes, Delete, Distinct, DropCollection, DropIndexes,
        EstimatedDocumentCount, Find, FindOne, FindOneAndDelete, FindOneAndReplace, FindOneAndUpdate, InsertMany,
        InsertOne, ListIndexes, ReplaceOne, Update,
    };
    pub use crate::database::{
        CreateCollection, DropDatabase, ListCollections, ListDatabases, RunCommand, RunCursorCommand,
    };
}

// The examples of the README are compiled like those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
