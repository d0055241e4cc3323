//! The front: a small synchronous MongoDB server for tests, and the other peers that tests need.
//!
//! - [`wire`]: messages, written from the protocol's description and sharing nothing with the driver.
//! - [`script`]: a peer whose every byte a test decides.
//! - [`peers`]: real servers, started and ended with the test.

pub mod peers;
pub mod script;
pub mod wire;
