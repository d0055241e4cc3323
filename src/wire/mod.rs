//! The wire protocol: commands to bytes, bytes to replies. Pure: no socket, no clock.
//!
//! Every message is an OP_MSG, the legacy hello included: each server that this driver supports knows it.
//!
//! When a reply is validated, and how deep:
//! - When it arrives ([`Reply::decode`]): header, flags, sections, the document's length, and each element of its top
//!   level (type, key, length). A connection whose peer fails here is broken.
//! - When it is used: what lies deeper. `bson` checks each element as it walks over it, and a failure is an error for
//!   the operation. Code that decodes does so through the module `document`, which bounds depth and size first.
//!
//! The checksum that an OP_MSG may end with is cut off and not verified: TCP and TLS guard the bytes already, and
//! servers send it only where they are asked for it, which this driver does not do.

mod header;
mod message;
mod reply;

pub(crate) use header::Header;
pub(crate) use message::{Message, Sequence, allow_exhaust};
pub(crate) use reply::Reply;

/// The op code of every message.
pub(crate) const OP_MSG: i32 = 2013;

/// The largest message that any server makes or takes: 48,000,000 bytes. A server may ask for less
/// (`maxMessageSizeBytes`), and a larger number has no effect.
pub(crate) const MAX_MESSAGE_BYTES: usize = 48_000_000;
