//! The fake server: a small synchronous MongoDB server for tests, and the other peers that tests need.
//!
//! - [`fake_server`]: a server with users, both SCRAM mechanisms, a fail point, ways of breaking the rules, a tiny store of its
//!   own or a real server behind it.
//! - [`fault_proxy`]: a network's faults, before any server.
//! - [`counting_proxy`]: a client's connections and round trips, counted.
//! - [`aws`]: the server's half of MONGODB-AWS.
//! - [`oidc`]: the server's half of MONGODB-OIDC.
//! - [`canned`]: answers made beforehand, for measurements.
//! - [`http`]: an HTTP server whose every answer a test decides.
//! - [`chain`]: an error with its sources.
//! - [`child`]: a test of the running program once more, in a process of its own.
//! - [`report`]: what became of the drivers' common fixtures, folder by folder.
//! - [`script`]: a peer whose every byte a test decides.
//! - [`tls_flood`]: a TLS server that never stops sending records without data.
//! - [`wire`]: messages, written from the protocol's description and sharing nothing with the driver.
//! - [`peers`]: real servers, started and ended with the test.
//!
//! A thread for each connection, no runtime. It is trusted only because other people's clients log in to it.

pub mod aws;
pub mod behaviour;
pub mod canned;
pub mod chain;
pub mod child;
pub mod counting_proxy;
pub mod fake_server;
pub mod fault_proxy;
pub mod gssapi;
pub mod http;
pub mod oidc;
pub mod peers;
pub mod plain;
pub mod report;
pub mod script;
pub mod tls_flood;
pub mod users;
pub mod wire;

mod answers;
mod builder;
mod channel;
mod cr;
mod failpoint;
mod forward;
mod hello;
mod relay;
mod router;
mod sasl_server;
mod scram;
mod session;
mod store;

#[cfg(test)]
mod tests;
