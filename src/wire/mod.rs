//! The wire protocol: commands to bytes, bytes to replies. Pure: no socket, no clock.
//!
//! Everything goes as OP_MSG, but for the first legacy hello of a connection, which goes as OP_QUERY and is answered by
//! OP_REPLY, since a server that does not know OP_MSG must be able to answer.
//!
//! When a reply is validated, and how deep:
//! - When it arrives ([`Reply::decode`]): header, flags, sections, the document's length, and each element of its top
//!   level (type, key, length). A connection whose peer fails here is broken.
//! - When it is used: what lies deeper. `bson` checks each element as it walks over it, and a failure is an error for
//!   the operation. Code that decodes calls [`check_nesting`] (trees) or [`check_typed_nesting`] (types) first, since
//!   those recurse.
//!
//! The checksum that an OP_MSG may end with is cut off and not verified: TCP and TLS guard the bytes already, and
//! servers send it only where they are asked for it, which this driver does not do.

mod header;
mod legacy;
mod message;
mod nesting;
mod reply;

pub(crate) use header::Header;
pub(crate) use legacy::encode_query;
pub(crate) use message::{Message, Sequence};
pub(crate) use nesting::{check_nesting, check_typed_nesting};
pub(crate) use reply::Reply;

/// The op code of a legacy reply.
pub(crate) const OP_REPLY: i32 = 1;
/// The op code of a legacy query.
pub(crate) const OP_QUERY: i32 = 2004;
/// The op code of everything else.
pub(crate) const OP_MSG: i32 = 2013;

/// The largest message that any server makes or takes: 48,000,000 bytes. A server may ask for less
/// (`maxMessageSizeBytes`), and a larger number has no effect.
pub(crate) const MAX_MESSAGE_BYTES: usize = 48_000_000;
