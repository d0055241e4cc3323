//! A session as a server knows it.

use std::time::{Duration, Instant};

use bson::spec::BinarySubtype;
use bson::{Binary, Document, RawDocumentBuf, doc};

use crate::error::Result;
use crate::fork;
use crate::operation::body::Body;
use crate::system::System;

/// A session that is to be used has at least this long to live.
const LEAST_REST: Duration = Duration::from_secs(60);

/// The id of a session: a UUID of version 4.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SessionId([u8; 16]);

/// A session as a server knows it. At any moment one operation uses it.
pub(crate) struct ServerSession {
    id: SessionId,
    /// The field that commands carry: the id under the key `lsid`.
    field: [u8; FIELD_LENGTH],
    /// When its id was last sent, or else when it was made.
    last_use: Instant,
    /// Whether its id was ever sent.
    is_used: bool,
    /// Whether an exchange failed that it was part of, so that the server may still be at work for it.
    is_dirty: bool,
    /// Whether it is in use beyond one operation, which [`Sessions`](super::Sessions) knows.
    pub(super) is_lent: bool,
    /// The last number that a transaction or a write was given.
    txn_number: i64,
    /// The process that made it.
    process: u64,
}

impl ServerSession {
    /// A session with an id of its own, made `now`. Fails where the operating system has no random bytes.
    pub(super) fn new(system: &dyn System, now: Instant) -> Result<Box<Self>> {
        let mut id = [0; 16];
        system.random(&mut id)?;
        // What makes it a UUID of version 4 (RFC 4122, section 4.4).
        id[6] = id[6] & 0x0f | 0x40;
        id[8] = id[8] & 0x3f | 0x80;
        Ok(Box::new(ServerSession {
            id: SessionId(id),
            field: field(id),
            last_use: now,
            is_used: false,
            is_dirty: false,
            is_lent: false,
            txn_number: 0,
            process: fork::process(),
        }))
    }

    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    /// Adds `lsid` to a command that is about to be sent. It is `now`.
    pub(super) fn append_to(&mut self, body: &mut Body, now: Instant) {
        body.append_fields(&self.field);
        self.last_use = now;
        self.is_used = true;
    }

    /// When its id was last sent, or else when it was made.
    pub(super) fn last_use(&self) -> Instant {
        self.last_use
    }

    /// The number for another transaction or retryable write of this session.
    pub(super) fn next_txn_number(&mut self) -> i64 {
        self.txn_number += 1;
        self.txn_number
    }

    /// The last number that a transaction or a retryable write was given.
    pub(super) fn txn_number(&self) -> i64 {
        self.txn_number
    }

    /// An exchange failed that it was part of: it is not used by another operation.
    pub(super) fn mark_dirty(&mut self) {
        self.is_dirty = true;
    }

    pub(crate) fn is_dirty(&self) -> bool {
        self.is_dirty
    }

    pub(super) fn is_used(&self) -> bool {
        self.is_used
    }

    /// Whether this process made it. A session of the parent is left to the parent.
    pub(crate) fn is_ours(&self) -> bool {
        self.process == fork::process()
    }

    /// Whether the servers, which forget a session that was not used for `timeout`, will forget it within a minute.
    pub(super) fn expires_soon(&self, timeout: Option<Duration>, now: Instant) -> bool {
        let Some(timeout) = timeout else { return false };
        match timeout.checked_sub(LEAST_REST) {
            Some(usable) => self.last_use.checked_add(usable).is_some_and(|end| now > end),
            None => true,
        }
    }
}

impl SessionId {
    /// `{ id: UUID }`
    pub(crate) fn to_document(self) -> Document {
        doc! { "id": Binary { subtype: BinarySubtype::Uuid, bytes: self.0.to_vec() } }
    }

    /// The same as commands carry it.
    pub(super) fn to_raw(self) -> RawDocumentBuf {
        RawDocumentBuf::from_bytes(field(self.0)[KEY.len()..].to_vec()).unwrap_or_default()
    }
}

/// The field of a command that names the session: `lsid: { id: UUID }`.
fn field(id: [u8; 16]) -> [u8; FIELD_LENGTH] {
    let mut bytes = [0; FIELD_LENGTH];
    let (key, rest) = bytes.split_at_mut(KEY.len());
    let (head, rest) = rest.split_at_mut(HEAD.len());
    key.copy_from_slice(&KEY);
    head.copy_from_slice(&HEAD);
    rest[..id.len()].copy_from_slice(&id);
    bytes
}

/// The type of a document, and the key.
const KEY: [u8; 6] = *b"\x03lsid\0";
/// What stands before the id: the document's length, type and key of its field, the length of the UUID and its subtype.
const HEAD: [u8; 13] = [DOCUMENT_LENGTH as u8, 0, 0, 0, 5, b'i', b'd', 0, 16, 0, 0, 0, 4];
/// The head, the id, and the byte that ends a document.
const DOCUMENT_LENGTH: usize = 13 + 16 + 1;
const FIELD_LENGTH: usize = KEY.len() + DOCUMENT_LENGTH;

impl std::fmt::Debug for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for ServerSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ServerSession({:?})", self.id)
    }
}
