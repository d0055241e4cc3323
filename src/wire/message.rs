//! A command as an OP_MSG.

use bson::RawDocument;

use crate::error::{Error, FaultKind, Result, Stage};
use crate::wire::header::{put_header, set_length};
use crate::wire::{Header, MAX_MESSAGE_BYTES, OP_MSG};

/// A command to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    /// The database it runs on; goes out as `$db`.
    pub(crate) database: &'a str,
    /// The command, without `$db`.
    pub(crate) body: &'a RawDocument,
    /// Documents that belong to it.
    pub(crate) sequence: Option<Sequence<'a>>,
    /// Whether the server is to send no reply.
    pub(crate) more_to_come: bool,
}

/// Documents beside a command (a kind-1 section), as in an array of that name within it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sequence<'a> {
    /// The name of the array: `documents`, `updates` or `deletes`.
    pub(crate) identifier: &'static str,
    /// The documents, one after the other.
    pub(crate) documents: &'a [u8],
    /// How many there are.
    pub(crate) count: usize,
}

impl<'a> Message<'a> {
    /// Writes the message into `buffer`, whose old content is lost, and gives back what is to be sent after it: a long
    /// sequence, which is not worth a copy.
    ///
    /// `limit` is the server's `maxMessageSizeBytes`; a longer message is refused.
    pub(crate) fn encode(&self, buffer: &mut Vec<u8>, request_id: i32, limit: usize) -> Result<&'a [u8]> {
        buffer.clear();
        put_header(buffer, request_id, OP_MSG);
        let flags = if self.more_to_come { MORE_TO_COME } else { 0 };
        buffer.extend_from_slice(&flags.to_le_bytes());
        self.put_body(buffer);
        let tail = self.put_sequence(buffer);
        let length = buffer.len() + tail.len();
        check_length(length, self.sequence.map_or(0, |sequence| sequence.count), limit)?;
        set_length(buffer, 0, length);
        Ok(tail)
    }

    /// The kind-0 section: the body with `$db` at its end.
    fn put_body(&self, buffer: &mut Vec<u8>) {
        buffer.push(BODY);
        let start = buffer.len();
        let bytes = self.body.as_bytes();
        buffer.extend_from_slice(bytes.get(..bytes.len().saturating_sub(1)).unwrap_or_default());
        buffer.extend_from_slice(b"\x02$db\0\0\0\0\0");
        let at = buffer.len() - 4;
        buffer.extend_from_slice(self.database.as_bytes());
        buffer.extend_from_slice(b"\0\0");
        set_length(buffer, at, self.database.len() + 1);
        let length = buffer.len() - start;
        set_length(buffer, start, length);
    }

    /// The kind-1 section, without its documents if they are many; those are given back.
    fn put_sequence(&self, buffer: &mut Vec<u8>) -> &'a [u8] {
        let Some(sequence) = self.sequence else { return &[] };
        buffer.push(SEQUENCE);
        let start = buffer.len();
        buffer.extend_from_slice(&[0; 4]);
        buffer.extend_from_slice(sequence.identifier.as_bytes());
        buffer.push(0);
        let length = buffer.len() - start + sequence.documents.len();
        set_length(buffer, start, length);
        if sequence.documents.len() > LONG_SEQUENCE {
            return sequence.documents;
        }
        buffer.extend_from_slice(sequence.documents);
        &[]
    }

    /// How many bytes the message has, computed without writing it.
    #[cfg(test)]
    fn length(&self) -> usize {
        let sequence = self.sequence.map_or(0, |s| 1 + 4 + s.identifier.len() + 1 + s.documents.len());
        16 + 4 + 1 + self.body.as_bytes().len() + 1 + 4 + 4 + self.database.len() + 1 + sequence
    }
}

/// Allows the server to send any number of replies to an encoded message.
pub(crate) fn allow_exhaust(message: &mut [u8]) {
    if let Some(flags) = message.get_mut(Header::BYTES..).and_then(|rest| rest.first_chunk_mut::<4>()) {
        *flags = (u32::from_le_bytes(*flags) | EXHAUST_ALLOWED).to_le_bytes();
    }
}

/// Refuses what the server would not take.
fn check_length(length: usize, documents: usize, limit: usize) -> Result<()> {
    let limit = limit.min(MAX_MESSAGE_BYTES);
    if length <= limit {
        return Ok(());
    }
    let what = match documents {
        0 => "the command".to_owned(),
        count => format!("the command with its {count} documents"),
    };
    Err(Error::new(
        FaultKind::InvalidArgument,
        Stage::Encode,
        format!("{what} has {length} bytes, more than the {limit} that the server takes (maxMessageSizeBytes)"),
    )
    .with_hint("send fewer or smaller documents at a time"))
}

/// A sequence of more bytes than this goes to the socket from where it is.
const LONG_SEQUENCE: usize = 64 * 1024;

const MORE_TO_COME: u32 = 2;
const EXHAUST_ALLOWED: u32 = 1 << 16;
const BODY: u8 = 0;
const SEQUENCE: u8 = 1;

#[cfg(test)]
mod tests {
    use bson::rawdoc;
    use mongo_blocking_test_server::wire;

    use super::*;

    fn whole(message: &Message<'_>) -> Vec<u8> {
        let mut buffer = Vec::new();
        let tail = message.encode(&mut buffer, 5, MAX_MESSAGE_BYTES).unwrap();
        buffer.extend_from_slice(tail);
        assert_eq!(buffer.len(), message.length());
        buffer
    }

    #[test]
    fn the_other_side_reads_the_same_command() {
        let body = rawdoc! { "ping": 1, "comment": "grüße" };
        let message = Message { database: "admin", body: &body, sequence: None, more_to_come: false };
        let request = wire::parse(whole(&message)).unwrap();
        assert_eq!((request.request_id, request.name(), request.database.as_str()), (5, "ping", "admin"));
        assert_eq!(request.body.get_str("comment").unwrap(), "grüße");
        assert!(request.wants_reply());
    }

    #[test]
    fn documents_go_beside_the_command_short_or_long() {
        let body = rawdoc! { "insert": "things" };
        for size in [10, 100 * 1024] {
            let one = rawdoc! { "_id": 1, "text": "x".repeat(size) };
            let documents = [one.as_bytes(), one.as_bytes()].concat();
            let sequence = Sequence { identifier: "documents", documents: &documents, count: 2 };
            let message = Message { database: "db", body: &body, sequence: Some(sequence), more_to_come: true };
            let request = wire::parse(whole(&message)).unwrap();
            assert_eq!(request.body.get_array("documents").unwrap().len(), sequence.count);
            assert!(!request.wants_reply());
        }
    }

    #[test]
    fn a_long_sequence_is_not_copied() {
        let body = rawdoc! { "insert": "things" };
        let documents = rawdoc! { "text": "x".repeat(100_000) }.into_bytes();
        let sequence = Sequence { identifier: "documents", documents: &documents, count: 1 };
        let message = Message { database: "db", body: &body, sequence: Some(sequence), more_to_come: false };
        let mut buffer = Vec::new();
        let tail = message.encode(&mut buffer, 1, MAX_MESSAGE_BYTES).unwrap();
        assert_eq!(tail.as_ptr(), documents.as_ptr());
        assert!(buffer.len() < 200);
    }

    #[test]
    fn what_the_server_would_not_take_is_refused() {
        let body = rawdoc! { "x": "x".repeat(1000) };
        let message = Message { database: "db", body: &body, sequence: None, more_to_come: false };
        let length = message.length();
        assert!(message.encode(&mut Vec::new(), 1, length).is_ok());
        let error = message.encode(&mut Vec::new(), 1, length - 1).unwrap_err();
        assert_eq!(error.stage(), Stage::Encode);
        assert!(error.message().contains("maxMessageSizeBytes"), "{error}");
    }

    #[test]
    fn a_server_is_not_believed_that_takes_more_than_any_does() {
        assert!(check_length(MAX_MESSAGE_BYTES, 0, usize::MAX).is_ok());
        assert!(check_length(MAX_MESSAGE_BYTES + 1, 3, usize::MAX).unwrap_err().message().contains("its 3 documents"));
    }
}
