//! The first legacy hello: an OP_QUERY, answered by an OP_REPLY.

use std::ops::Range;

use bson::RawDocument;

use crate::error::Result;
use crate::wire::header::{broken, int_at, put_header, set_length};
use crate::wire::{Header, OP_QUERY};

/// Writes a command for the `admin` database as OP_QUERY into `buffer`, whose old content is lost.
pub(crate) fn encode_query(buffer: &mut Vec<u8>, request_id: i32, body: &RawDocument) {
    buffer.clear();
    put_header(buffer, request_id, OP_QUERY);
    buffer.extend_from_slice(&SECONDARY_OK.to_le_bytes());
    buffer.extend_from_slice(b"admin.$cmd\0");
    // Nothing to skip, and one document wanted (-1: and no cursor).
    buffer.extend_from_slice(&0_i32.to_le_bytes());
    buffer.extend_from_slice(&(-1_i32).to_le_bytes());
    buffer.extend_from_slice(body.as_bytes());
    let length = buffer.len();
    set_length(buffer, 0, length);
}

/// Where in an OP_REPLY its one document is.
pub(super) fn document_in_reply(message: &[u8]) -> Result<Range<usize>> {
    let (Some(flags), Some(low), Some(high), Some(count)) =
        (int_at(message, 16), int_at(message, 20), int_at(message, 24), int_at(message, 32))
    else {
        return Err(broken(format!("the legacy reply has only {} bytes", message.len())));
    };
    if flags & CURSOR_NOT_FOUND != 0 || (low, high) != (0, 0) {
        return Err(broken("the legacy reply to hello names a cursor"));
    }
    if count != 1 {
        return Err(broken(format!("the legacy reply has {count} documents, not one")));
    }
    if flags & QUERY_FAILURE != 0 {
        return Err(broken(format!("the server refused the query: {}", failure_text(message))));
    }
    Ok(DOCUMENT_AT..message.len())
}

/// The message of a query failure, as far as it can be read.
fn failure_text(message: &[u8]) -> String {
    let document = message.get(DOCUMENT_AT..).and_then(|bytes| RawDocument::from_bytes(bytes).ok());
    let text = document.and_then(|document| document.get_str("$err").ok());
    text.unwrap_or("it did not say why").chars().take(MAX_FAILURE_TEXT).collect()
}

/// Header, flags, cursor id, starting from, number of documents.
const DOCUMENT_AT: usize = Header::BYTES + 4 + 8 + 4 + 4;
/// A secondary may answer.
const SECONDARY_OK: i32 = 4;
const CURSOR_NOT_FOUND: i32 = 1;
const QUERY_FAILURE: i32 = 2;
/// How many characters of a server's message go into an error.
const MAX_FAILURE_TEXT: usize = 1000;

#[cfg(test)]
mod tests {
    use bson::{doc, rawdoc};
    use mongo_blocking_test_server::wire;

    use super::*;
    use crate::wire::{OP_REPLY, Reply};

    fn query() -> wire::Request {
        let mut buffer = Vec::new();
        encode_query(&mut buffer, 3, &rawdoc! { "isMaster": 1, "helloOk": true });
        wire::parse(buffer).unwrap()
    }

    fn decode(bytes: Vec<u8>) -> Result<Reply> {
        let header = Header::read(&bytes).unwrap().unwrap();
        header.check(3, OP_REPLY)?;
        Reply::decode(bytes, &header)
    }

    #[test]
    fn the_other_side_reads_the_query_and_we_its_reply() {
        let request = query();
        assert!(request.legacy);
        assert_eq!((request.name(), request.database.as_str(), request.request_id), ("isMaster", "admin", 3));
        let bytes = wire::reply_bytes(&request, &rawdoc! { "ok": 1 }, &wire::Forge::default());
        assert_eq!(decode(bytes).unwrap().document().get_i32("ok").unwrap(), 1);
    }

    #[test]
    fn a_refused_query_says_why() {
        let forge = wire::Forge { flags: Some(2), ..wire::Forge::default() };
        let body = wire::raw(&doc! { "$err": "no such thing" }).unwrap();
        let error = decode(wire::reply_bytes(&query(), &body, &forge)).unwrap_err();
        assert!(error.message().contains("no such thing"), "{error}");
    }

    #[test]
    fn other_counts_and_cursors_are_refused() {
        let honest = wire::reply_bytes(&query(), &rawdoc! { "ok": 1 }, &wire::Forge::default());
        for (at, words) in [(16, "cursor"), (20, "cursor"), (27, "cursor"), (32, "documents, not one")] {
            let mut bytes = honest.clone();
            bytes[at] ^= 1;
            let error = decode(bytes).unwrap_err();
            assert!(error.message().contains(words), "{at}: {error}");
        }
    }
}
