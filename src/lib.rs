//! A MongoDB driver that blocks.

mod auth;
mod connection;
mod credential;
mod deadline;
pub mod error;
pub mod event;
mod handshake;
pub mod options;
mod policy;
pub mod results;
mod secret;
mod stream;
mod tls;
mod warning;
mod wire;

pub use bson;

pub use credential::{Credential, ScramCredential, ScramMechanism};
pub use error::{Error, Result};
pub use policy::SecurityPolicy;
pub use secret::Secret;
pub use warning::{Warning, WarningKind};
