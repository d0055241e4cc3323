//! A reply: a whole message that has been validated, and the one document in it.

use std::fmt;
use std::mem;
use std::ops::Range;

use bson::{RawDocument, RawDocumentBuf, rawdoc};

use crate::bson_ext::is_plainly_valid;
use crate::error::{Error, Result, Stage, command_error};
use crate::wire::Header;
use crate::wire::header::{broken, int_at};

/// A server's reply. It owns its bytes.
pub(crate) struct Reply {
    bytes: Vec<u8>,
    document: Range<usize>,
    more_to_come: bool,
    contents: Contents,
}

/// What every reply is searched for, found while its fields were validated.
#[derive(Clone, Copy)]
struct Contents {
    /// Whether `ok` is 1, as far as that was seen.
    is_ok: bool,
    /// Whether there may be a write concern error.
    write_concern_error: bool,
    /// Whether there may be a `$clusterTime` or an `operationTime`.
    times: bool,
}

impl Contents {
    /// Nothing is known.
    const UNKNOWN: Contents = Contents { is_ok: false, write_concern_error: true, times: true };
}

impl Reply {
    /// Validates a reply that arrived whole: the first `header.length` bytes of `bytes`, which may be longer.
    pub(crate) fn decode(bytes: Vec<u8>, header: &Header) -> Result<Reply> {
        let reply = Reply::decode_one_of_many(bytes, header)?;
        if reply.more_to_come {
            Err(broken("the reply announces more replies, which we did not ask for"))
        } else {
            Ok(reply)
        }
    }

    /// The same for a reply that others may follow.
    pub(crate) fn decode_one_of_many(bytes: Vec<u8>, header: &Header) -> Result<Reply> {
        let message = bytes
            .get(..header.length)
            .ok_or_else(|| broken(format!("the reply has {} bytes of {}", bytes.len(), header.length)))?;
        let document = document_in_msg(message)?;
        let contents = check_document(message.get(document.clone()).unwrap_or_default())?;
        let more_to_come = int_at(message, FLAGS_AT).is_some_and(|flags| flags as u32 & MORE_TO_COME != 0);
        Ok(Reply { bytes, document, more_to_come, contents })
    }

    /// What stands for the reply to a command that the server does not reply to: `{ ok: 1 }`.
    pub(crate) fn of_unacknowledged() -> Reply {
        Reply::of(rawdoc! { "ok": 1 })
    }

    /// A reply with this document, which no server has sent.
    pub(crate) fn of(document: RawDocumentBuf) -> Reply {
        let bytes = document.into_bytes();
        Reply { document: 0..bytes.len(), bytes, more_to_come: false, contents: Contents::UNKNOWN }
    }

    /// Whether the server sends another reply of itself.
    pub(crate) fn more_to_come(&self) -> bool {
        self.more_to_come
    }

    /// The server's error, where the reply is one.
    pub(crate) fn command_error(&self) -> Option<Error> {
        if self.contents.is_ok { None } else { command_error(self.document(), Stage::Command) }
    }

    /// Whether there may be a write concern error.
    pub(crate) fn may_have_write_concern_error(&self) -> bool {
        self.contents.write_concern_error
    }

    /// Whether there may be a `$clusterTime` or an `operationTime`.
    pub(crate) fn may_have_times(&self) -> bool {
        self.contents.times
    }

    /// The document.
    pub(crate) fn document(&self) -> &RawDocument {
        RawDocument::from_bytes(self.document_bytes()).expect("validated when it was decoded")
    }

    /// The document's bytes, without another look at whether they are one.
    pub(crate) fn document_bytes(&self) -> &[u8] {
        &self.bytes[self.document.clone()]
    }

    /// The buffer, for use with another reply.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }
}

/// A reply may carry what a log must not show, so only its size is shown.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({} bytes)", self.document.len())
    }
}

/// Where in an OP_MSG its one body is.
fn document_in_msg(message: &[u8]) -> Result<Range<usize>> {
    let flags = int_at(message, FLAGS_AT).ok_or_else(|| broken("the reply ends before its flags"))? as u32;
    check_flags(flags)?;
    let end = match flags & CHECKSUM_PRESENT {
        0 => message.len(),
        _ => message.len().checked_sub(4).ok_or_else(|| broken("the reply has no room for its checksum"))?,
    };
    let sections = message.get(SECTIONS_AT..end).filter(|sections| !sections.is_empty());
    let sections = sections.ok_or_else(|| broken("the reply has no section"))?;
    let length = check_body(sections)?;
    let document = SECTIONS_AT + 1..SECTIONS_AT + 1 + length;
    match message.get(document.end..end).and_then(|rest| rest.first().map(|kind| (*kind, rest.len()))) {
        None => Ok(document),
        Some((BODY, more)) if more > MIN_DOCUMENT => Err(broken("the reply has two body sections")),
        Some((SEQUENCE, more)) if more > MIN_DOCUMENT => {
            Err(broken("the reply has a document sequence, which is not supported in replies"))
        }
        Some((_, more)) => Err(broken(format!("the reply has {more} bytes after its document"))),
    }
}

fn check_flags(flags: u32) -> Result<()> {
    let unknown = flags & REQUIRED_BITS & !(CHECKSUM_PRESENT | MORE_TO_COME);
    if unknown != 0 {
        return Err(broken(format!("the reply has required flag bits that we do not know ({unknown:#06x})")));
    }
    Ok(())
}

/// The length of the body in the first section, checked against the bytes that are there.
fn check_body(sections: &[u8]) -> Result<usize> {
    let (kind, rest) = sections.split_first().ok_or_else(|| broken("the reply has no section"))?;
    match *kind {
        BODY => {}
        SEQUENCE => return Err(broken("the reply has a document sequence, which is not supported in replies")),
        other => return Err(broken(format!("the reply has a section of unknown kind {other}"))),
    }
    let length = int_at(rest, 0).ok_or_else(|| broken("the reply ends before its document"))?;
    usize::try_from(length)
        .ok()
        .filter(|length| (MIN_DOCUMENT..=rest.len()).contains(length))
        .ok_or_else(|| broken(format!("the reply's document announces {length} bytes, but {} follow", rest.len())))
}

/// Length, end and top level of a document. What lies deeper is checked when it is used.
fn check_document(bytes: &[u8]) -> Result<Contents> {
    let document = RawDocument::from_bytes(bytes).map_err(invalid_bson)?;
    let mut contents = Contents { is_ok: false, write_concern_error: false, times: false };
    let mut first_ok = true;
    let valid = is_plainly_valid(document, |element_type, name, value| match name {
        b"ok" => contents.is_ok = mem::take(&mut first_ok) && is_one(element_type, value),
        b"writeConcernError" => contents.write_concern_error = true,
        b"$clusterTime" | b"operationTime" => contents.times = true,
        _ => {}
    });
    if valid {
        return Ok(contents);
    }
    for element in document.iter_elements() {
        element.map_err(invalid_bson)?;
    }
    Ok(Contents::UNKNOWN)
}

/// Whether a value is 1, in one of the types that servers use for `ok`.
#[inline]
fn is_one(element_type: u8, value: &[u8]) -> bool {
    matches!((element_type, value), (0x01, [0, 0, 0, 0, 0, 0, 0xf0, 0x3f]) | (0x10, [1, 0, 0, 0]))
}

fn invalid_bson(error: impl fmt::Display) -> Error {
    broken(format!("the reply is not valid BSON: {error}"))
}

const FLAGS_AT: usize = Header::BYTES;
const SECTIONS_AT: usize = FLAGS_AT + 4;
const BODY: u8 = 0;
const SEQUENCE: u8 = 1;
/// Length and end of an empty document.
const MIN_DOCUMENT: usize = 5;

const CHECKSUM_PRESENT: u32 = 1;
const MORE_TO_COME: u32 = 2;
/// The bits that must be known to understand the message; the others may be ignored.
const REQUIRED_BITS: u32 = 0xffff;

#[cfg(test)]
mod tests {
    use bson::{RawDocumentBuf, rawdoc};
    use mongo_blocking_test_server::wire::{self, Forge, Request};

    use super::*;
    use crate::document::{NestingLimits, check_nesting};
    use crate::wire::{MAX_MESSAGE_BYTES, Message};

    fn request() -> Request {
        wire::parse(wire::command_bytes(7, &bson::doc! { "ping": 1, "$db": "admin" }).unwrap()).unwrap()
    }

    fn forged(forge: &Forge) -> Vec<u8> {
        wire::reply_bytes(&request(), &rawdoc! { "ok": 1 }, forge)
    }

    fn decode(bytes: Vec<u8>) -> Result<Reply> {
        let header = Header::read(&bytes)?.ok_or_else(|| broken("no header"))?;
        header.check(7)?;
        Reply::decode(bytes, &header)
    }

    fn refusal(forge: Forge) -> String {
        decode(forged(&forge)).unwrap_err().message().to_owned()
    }

    #[test]
    fn an_honest_reply() {
        let reply = decode(forged(&Forge::default())).unwrap();
        assert_eq!(reply.document().get_i32("ok").unwrap(), 1);
        assert_eq!(format!("{reply:?}"), "Reply(13 bytes)");
    }

    #[test]
    fn bytes_beyond_the_message_are_not_looked_at() {
        let bytes = forged(&Forge::default());
        let header = Header::read(&bytes).unwrap().unwrap();
        let longer = [bytes, vec![0xff; 100]].concat();
        assert!(Reply::decode(longer, &header).is_ok());
    }

    #[test]
    fn a_checksum_is_cut_off() {
        let mut sections = vec![0];
        sections.extend_from_slice(rawdoc! { "ok": 1 }.as_bytes());
        sections.extend_from_slice(&[1, 2, 3, 4]);
        let reply = decode(forged(&Forge { flags: Some(1), sections: Some(sections), ..Forge::default() })).unwrap();
        assert_eq!(reply.document().as_bytes().len(), 13 + 2 - 2);
    }

    #[test]
    fn flags_that_must_be_known_and_those_that_need_not() {
        for bit in 2..16 {
            let words = refusal(Forge { flags: Some(1 << bit), ..Forge::default() });
            assert!(words.contains("flag bits"), "{words}");
        }
        assert!(refusal(Forge { flags: Some(2), ..Forge::default() }).contains("announces more replies"));
        for bit in 16..32 {
            assert!(decode(forged(&Forge { flags: Some(1 << bit), ..Forge::default() })).is_ok());
        }
    }

    #[test]
    fn exactly_one_body() {
        let body = rawdoc! { "ok": 1 }.into_bytes();
        let section = |kind: u8| [&[kind][..], &body].concat();
        for (sections, words) in [
            (Vec::new(), "no section"),
            ([section(0), section(0)].concat(), "two body sections"),
            (section(7), "unknown kind 7"),
            (section(1), "document sequence"),
            ([section(0), section(1)].concat(), "document sequence"),
            ([section(0), vec![0]].concat(), "1 bytes after its document"),
            ([section(0), vec![9, 9]].concat(), "2 bytes after its document"),
            (vec![0], "ends before its document"),
            (vec![0, 255, 255, 255, 255], "announces -1 bytes"),
            (vec![0, 4, 0, 0, 0], "announces 4 bytes"),
            (vec![0, 255, 255, 255, 127, 0], "announces 2147483647 bytes"),
        ] {
            let found = refusal(Forge { sections: Some(sections), ..Forge::default() });
            assert!(found.contains(words), "{found}");
        }
    }

    #[test]
    fn invalid_bson_is_refused() {
        let good = rawdoc! { "ok": 1, "text": "four" }.into_bytes();
        for (at, byte) in [(4, 0x7e), (good.len() - 1, 1), (17, 0xff), (19, 0x7f)] {
            let mut bad = good.clone();
            bad[at] = byte;
            let sections = [&[0][..], &bad].concat();
            let found = refusal(Forge { sections: Some(sections), ..Forge::default() });
            assert!(found.contains("not valid BSON"), "{at}: {found}");
        }
    }

    #[test]
    fn encode_then_decode_is_the_same_document() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for _ in 0..500 {
            let body = random.document(4);
            let message = Message { database: "d", body: &body, sequence: None, more_to_come: false };
            let mut bytes = Vec::new();
            message.encode(&mut bytes, 1, MAX_MESSAGE_BYTES).unwrap();
            let mut header = Header::read(&bytes).unwrap().unwrap();
            header.response_to = 7;
            let reply = Reply::decode(bytes, &header).unwrap();
            let mut expected = body;
            expected.append(bson::raw::cstr!("$db"), "d");
            assert_eq!(reply.document(), &*expected);
        }
    }

    #[test]
    fn mutated_replies_never_panic() {
        let mut random = Random(0x2545_f491_4f6c_dd1d);
        let mut accepted = 0;
        for _ in 0..20_000 {
            let body = random.document(3);
            let mut bytes = wire::reply_bytes(&request(), &body, &Forge::default());
            for _ in 0..=random.below(3) {
                let at = random.below(bytes.len());
                bytes[at] = random.next() as u8;
            }
            if random.below(4) == 0 {
                bytes.truncate(random.below(bytes.len()));
            }
            let Ok(reply) = decode(bytes) else { continue };
            accepted += 1;
            if check_nesting(reply.document(), NestingLimits::DEFAULT).is_ok() {
                let _ = bson::Document::try_from(reply.document());
            }
        }
        assert!(accepted > 100, "the mutations are too wild to reach the inside: {accepted}");
    }

    /// A small generator (xorshift64*), so that a failure repeats.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
        }

        fn below(&mut self, end: usize) -> usize {
            (self.next() % end.max(1) as u64) as usize
        }

        fn document(&mut self, depth: usize) -> RawDocumentBuf {
            let mut document = bson::Document::new();
            for n in 0..self.below(5) {
                document.insert(format!("k{n}"), self.value(depth));
            }
            wire::raw(&document).unwrap()
        }

        fn value(&mut self, depth: usize) -> bson::Bson {
            match self.below(if depth == 0 { 9 } else { 12 }) {
                0 => bson::Bson::Null,
                1 => (self.next() as i32).into(),
                2 => (self.next() as i64).into(),
                3 => f64::from(self.next() as i32).into(),
                4 => "é".repeat(self.below(9)).into(),
                5 => bson::oid::ObjectId::new().into(),
                6 => bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![7; self.below(9)] }.into(),
                7 => bson::Bson::JavaScriptCodeWithScope(bson::JavaScriptCodeWithScope {
                    code: "f".to_owned(),
                    scope: bson::doc! { "a": 1 },
                }),
                8 => {
                    bson::Regex { pattern: bson::raw::cstr!("a").into(), options: bson::raw::cstr!("i").into() }.into()
                }
                9 => bson::Bson::Array((0..self.below(4)).map(|_| self.value(depth - 1)).collect()),
                _ => bson::Document::try_from(&*self.document(depth - 1)).unwrap().into(),
            }
        }
    }
}
