//! The wire protocol, server side: OP_MSG, and OP_QUERY with OP_REPLY for the first hello.
//!
//! Written from the protocol's description, sharing nothing with the driver: a mistake made on one side shows on the other.

use std::io::{self, Read, Write};

use bson::{Bson, Document, RawDocument, RawDocumentBuf};

/// A message from a client, parsed.
#[derive(Debug, Clone)]
pub struct Request {
    /// The client's number for this message; the reply names it.
    pub request_id: i32,
    /// OP_MSG flags; 0 for OP_QUERY.
    pub flags: u32,
    /// True for OP_QUERY, which is answered by OP_REPLY.
    pub legacy: bool,
    /// The database the command runs against.
    pub database: String,
    /// The command, with kind-1 sections already set in it as arrays.
    pub body: Document,
    /// The whole message as it came, header included.
    pub bytes: Vec<u8>,
}

impl Request {
    /// The command's name: the key of the first element.
    pub fn name(&self) -> &str {
        self.body.keys().next().map_or("", String::as_str)
    }

    /// True if the client waits for an answer.
    pub fn wants_reply(&self) -> bool {
        self.flags & MORE_TO_COME == 0
    }
}

/// Reads one message, header and all. `Ok(None)` when the client closed between two messages.
///
/// # Errors
/// An I/O error, `UnexpectedEof` inside a message, or `InvalidData` for a length out of bounds.
pub fn read_message(stream: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut message = Vec::new();
    Ok(read_message_into(stream, &mut message)?.then_some(message))
}

/// As [`read_message`], into a buffer that is used again and again; false when the client closed between two messages.
pub(crate) fn read_message_into(stream: &mut impl Read, message: &mut Vec<u8>) -> io::Result<bool> {
    let mut first = [0u8; 4];
    if !fill_or_end(stream, &mut first)? {
        return Ok(false);
    }
    let length = i32::from_le_bytes(first);
    if !(HEADER_BYTES..=MAX_MESSAGE_BYTES).contains(&length) {
        return Err(bad(format!("message length {length} is out of bounds")));
    }
    message.resize(length as usize, 0);
    message[..4].copy_from_slice(&first);
    stream.read_exact(&mut message[4..])?;
    Ok(true)
}

/// Reads and parses one message. `Ok(None)` when the client closed between two messages.
///
/// # Errors
/// As [`read_message`] and [`parse`].
pub fn read_request(stream: &mut impl Read) -> io::Result<Option<Request>> {
    read_message(stream)?.map(parse).transpose()
}

/// Parses a whole message.
///
/// # Errors
/// `InvalidData` that says what is wrong with it.
pub fn parse(bytes: Vec<u8>) -> io::Result<Request> {
    match int_at(&bytes, 12)? {
        OP_MSG => parse_msg(bytes),
        OP_QUERY => parse_query(bytes),
        other => Err(bad(format!("op code {other} is not one this server takes"))),
    }
}

/// What a forged reply does differently. The default is an honest reply.
#[derive(Debug, Clone, Default)]
pub struct Forge {
    /// The length written in the header, whatever is sent.
    pub length: Option<i32>,
    /// The responseTo written in the header.
    pub response_to: Option<i32>,
    /// The op code written in the header.
    pub op_code: Option<i32>,
    /// OP_MSG flag bits, or OP_REPLY response flags.
    pub flags: Option<u32>,
    /// Everything after the flags of an OP_MSG (or after the fixed part of an OP_REPLY), instead of the document.
    pub sections: Option<Vec<u8>>,
}

/// The bytes of a reply to `request`: OP_REPLY to an OP_QUERY, OP_MSG otherwise.
pub fn reply_bytes(request: &Request, body: &RawDocument, forge: &Forge) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.as_bytes().len() + 64);
    out.extend_from_slice(&[0; 4]);
    put_int(&mut out, next_id());
    put_int(&mut out, forge.response_to.unwrap_or(request.request_id));
    let honest_op = if request.legacy { OP_REPLY } else { OP_MSG };
    put_int(&mut out, forge.op_code.unwrap_or(honest_op));
    if request.legacy {
        // Response flags (8: await capable), cursor id, starting from, number of documents.
        put_int(&mut out, forge.flags.unwrap_or(8) as i32);
        out.extend_from_slice(&[0; 12]);
        put_int(&mut out, 1);
    } else {
        put_int(&mut out, forge.flags.unwrap_or(0) as i32);
        if forge.sections.is_none() {
            out.push(0);
        }
    }
    match &forge.sections {
        Some(sections) => out.extend_from_slice(sections),
        None => out.extend_from_slice(body.as_bytes()),
    }
    let length = forge.length.unwrap_or(out.len() as i32);
    out[..4].copy_from_slice(&length.to_le_bytes());
    out
}

/// The requestID of a whole message.
///
/// # Errors
/// `InvalidData` if it is too short.
pub fn request_id(message: &[u8]) -> io::Result<i32> {
    int_at(message, 4)
}

/// Writes an honest reply.
///
/// # Errors
/// An I/O error, or `InvalidData` if `body` can't be encoded.
pub fn write_reply(stream: &mut impl Write, request: &Request, body: &Document) -> io::Result<()> {
    write_forged(stream, request, body, &Forge::default())
}

/// Writes a reply with some of it forged.
///
/// # Errors
/// As [`write_reply`].
pub fn write_forged(stream: &mut impl Write, request: &Request, body: &Document, forge: &Forge) -> io::Result<()> {
    stream.write_all(&reply_bytes(request, &raw(body)?, forge))?;
    stream.flush()
}

/// The bytes of an OP_MSG with `body` as a client would send it.
///
/// # Errors
/// `InvalidData` if `body` can't be encoded.
pub fn command_bytes(request_id: i32, body: &Document) -> io::Result<Vec<u8>> {
    let body = raw(body)?;
    let mut out = vec![0; 4];
    put_int(&mut out, request_id);
    put_int(&mut out, 0);
    put_int(&mut out, OP_MSG);
    put_int(&mut out, 0);
    out.push(0);
    out.extend_from_slice(body.as_bytes());
    let length = out.len() as i32;
    out[..4].copy_from_slice(&length.to_le_bytes());
    Ok(out)
}

/// A document as raw BSON.
///
/// # Errors
/// `InvalidData` if it can't be encoded.
pub fn raw(document: &Document) -> io::Result<RawDocumentBuf> {
    RawDocumentBuf::try_from(document).map_err(|e| bad(e.to_string()))
}

fn parse_msg(bytes: Vec<u8>) -> io::Result<Request> {
    let flags = int_at(&bytes, 16)? as u32;
    if flags & REQUIRED_BITS & !(CHECKSUM_PRESENT | MORE_TO_COME) != 0 {
        return Err(bad(format!("OP_MSG has unknown required flag bits: {flags:#x}")));
    }
    let checksum = if flags & CHECKSUM_PRESENT != 0 { 4 } else { 0 };
    let end = bytes.len().checked_sub(checksum).ok_or_else(|| bad("no room for the checksum"))?;
    let mut rest = bytes.get(20..end).ok_or_else(|| bad("OP_MSG ends inside its flags"))?;
    let mut body = None;
    let mut sequences = Vec::new();
    while let Some((kind, after)) = rest.split_first() {
        rest = match kind {
            0 if body.is_some() => return Err(bad("OP_MSG with two body sections")),
            0 => {
                let (document, after) = take_document(after)?;
                body = Some(document);
                after
            }
            1 => {
                let (name, documents, after) = take_sequence(after)?;
                sequences.push((name, documents));
                after
            }
            other => return Err(bad(format!("OP_MSG section of kind {other}"))),
        };
    }
    let mut body = body.ok_or_else(|| bad("OP_MSG without a body section"))?;
    for (name, documents) in sequences {
        if body.insert(name.clone(), documents).is_some() {
            return Err(bad(format!("the sequence {name} is in the body too")));
        }
    }
    let database = body.get_str("$db").map_err(|_| bad("OP_MSG without $db"))?.to_owned();
    Ok(Request { request_id: int_at(&bytes, 4)?, flags, legacy: false, database, body, bytes })
}

fn parse_query(bytes: Vec<u8>) -> io::Result<Request> {
    let rest = bytes.get(20..).ok_or_else(|| bad("OP_QUERY ends inside its flags"))?;
    let (namespace, rest) = take_cstring(rest)?;
    let database = namespace
        .strip_suffix(".$cmd")
        .ok_or_else(|| bad(format!("OP_QUERY on {namespace}: only commands are taken")))?;
    let rest = rest.get(8..).ok_or_else(|| bad("OP_QUERY ends inside its numbers"))?;
    let (body, rest) = take_document(rest)?;
    if !rest.is_empty() {
        return Err(bad("OP_QUERY with something after its document"));
    }
    let database = database.to_owned();
    Ok(Request { request_id: int_at(&bytes, 4)?, flags: 0, legacy: true, database, body, bytes })
}

fn take_sequence(rest: &[u8]) -> io::Result<(String, Vec<Bson>, &[u8])> {
    let length = int_at(rest, 0)?;
    let (section, after) = usize::try_from(length)
        .ok()
        .and_then(|n| rest.split_at_checked(n))
        .ok_or_else(|| bad(format!("document sequence of {length} bytes")))?;
    let section = section.get(4..).ok_or_else(|| bad("document sequence too short"))?;
    let (name, mut section) = take_cstring(section)?;
    let mut documents = Vec::new();
    while !section.is_empty() {
        let (document, after) = take_document(section)?;
        documents.push(Bson::Document(document));
        section = after;
    }
    Ok((name.to_owned(), documents, after))
}

fn take_document(rest: &[u8]) -> io::Result<(Document, &[u8])> {
    let length = int_at(rest, 0)?;
    let (document, after) = usize::try_from(length)
        .ok()
        .and_then(|n| rest.split_at_checked(n))
        .ok_or_else(|| bad(format!("document of {length} bytes")))?;
    let document = Document::from_reader(document).map_err(|e| bad(format!("BSON: {e}")))?;
    Ok((document, after))
}

fn take_cstring(rest: &[u8]) -> io::Result<(&str, &[u8])> {
    let end = rest.iter().position(|b| *b == 0).ok_or_else(|| bad("string without an end"))?;
    let text = std::str::from_utf8(&rest[..end]).map_err(|_| bad("string is not UTF-8"))?;
    Ok((text, &rest[end + 1..]))
}

/// Fills `buffer`; false if the stream ended before its first byte.
fn fill_or_end(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(true)
}

fn int_at(bytes: &[u8], at: usize) -> io::Result<i32> {
    bytes
        .get(at..at + 4)
        .and_then(|b| b.try_into().ok())
        .map(i32::from_le_bytes)
        .ok_or_else(|| bad("message ends inside a number"))
}

fn put_int(out: &mut Vec<u8>, value: i32) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn next_id() -> i32 {
    use std::sync::atomic::{AtomicI32, Ordering};
    static NEXT: AtomicI32 = AtomicI32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn bad(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

/// Bytes of a message header.
pub const HEADER_BYTES: i32 = 16;
/// The largest message taken, as mongod says in hello.
pub const MAX_MESSAGE_BYTES: i32 = 48_000_000;
/// Op code of a legacy reply.
pub const OP_REPLY: i32 = 1;
/// Op code of a legacy query, which a client's first hello may be.
pub const OP_QUERY: i32 = 2004;
/// Op code of everything else.
pub const OP_MSG: i32 = 2013;

const CHECKSUM_PRESENT: u32 = 1;
/// Flag: another message follows that no one asks for.
pub const MORE_TO_COME: u32 = 2;
/// Flag: the client takes more than one answer.
pub const EXHAUST_ALLOWED: u32 = 1 << 16;
/// The bits that a peer must know to understand the message.
const REQUIRED_BITS: u32 = 0xffff;

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn a_command_and_its_reply() {
        let bytes = command_bytes(7, &doc! {"ping": 1, "$db": "admin"}).unwrap();
        let request = parse(bytes).unwrap();
        assert_eq!((request.name(), request.request_id, request.legacy), ("ping", 7, false));
        let mut out = Vec::new();
        write_reply(&mut out, &request, &doc! {"ok": 1}).unwrap();
        assert_eq!(int_at(&out, 8).unwrap(), 7);
        assert_eq!(out.len(), int_at(&out, 0).unwrap() as usize);
    }

    #[test]
    fn a_sequence_becomes_an_array() {
        let body = raw(&doc! {"insert": "c", "$db": "d"}).unwrap();
        let one = raw(&doc! {"_id": 1}).unwrap();
        let mut section = b"documents\0".to_vec();
        section.extend_from_slice(one.as_bytes());
        let mut bytes = vec![0; 20];
        bytes[12..16].copy_from_slice(&OP_MSG.to_le_bytes());
        bytes.push(1);
        bytes.extend_from_slice(&(section.len() as i32 + 4).to_le_bytes());
        bytes.extend_from_slice(&section);
        bytes.push(0);
        bytes.extend_from_slice(body.as_bytes());
        let request = parse(bytes).unwrap();
        assert_eq!(request.body.get_array("documents").unwrap().len(), 1);
    }

    #[test]
    fn two_bodies_are_refused() {
        let mut bytes = command_bytes(1, &doc! {"ping": 1, "$db": "admin"}).unwrap();
        let section = bytes[20..].to_vec();
        bytes.extend_from_slice(&section);
        assert!(parse(bytes).unwrap_err().to_string().contains("two body sections"));
    }
}
