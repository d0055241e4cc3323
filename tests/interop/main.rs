//! Interoperability: our client with servers that we did not write, clients that we did not write with our fake server, every
//! version of MongoDB that the driver supports, and the guides' examples.

mod clients;
mod credentials;
mod first_answer;
mod guide;
mod server_versions;
mod servers;
