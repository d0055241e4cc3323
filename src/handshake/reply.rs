//! What a server says of itself in its reply to hello, read once: every field of the right type and within bounds, or an
//! error that names the field.

use bson::oid::ObjectId;
use bson::{DateTime, RawArray, RawBsonRef, RawDocument, RawDocumentBuf};

use crate::error::{Error, ErrorKind, Result, Stage, command_error};

/// A server, as it describes itself.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "what a deployment of several servers is judged by")]
pub(crate) struct HelloReply {
    pub(crate) kind: ServerKind,
    pub(crate) min_wire_version: i32,
    pub(crate) max_wire_version: i32,
    /// The largest document it stores, in bytes.
    pub(crate) max_bson_object_size: usize,
    /// The largest message it takes, in bytes.
    pub(crate) max_message_size_bytes: usize,
    /// How many writes one command may have.
    pub(crate) max_write_batch_size: usize,
    /// How long a session lives unused; `None` where the server has no sessions.
    pub(crate) logical_session_timeout_minutes: Option<i64>,
    pub(crate) set_name: Option<String>,
    pub(crate) set_version: Option<i64>,
    pub(crate) election_id: Option<ObjectId>,
    /// Members, as `host:port` in lower case.
    pub(crate) hosts: Vec<String>,
    pub(crate) passives: Vec<String>,
    pub(crate) arbiters: Vec<String>,
    pub(crate) primary: Option<String>,
    /// The server's own name for itself.
    pub(crate) me: Option<String>,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) last_write_date: Option<DateTime>,
    pub(crate) topology_version: Option<TopologyVersion>,
    /// The server's number for this connection.
    pub(crate) connection_id: Option<i64>,
    /// Which of the servers behind a load balancer it is.
    pub(crate) service_id: Option<ObjectId>,
    /// Whether later monitoring commands may be `hello`.
    pub(crate) hello_ok: bool,
    /// The mechanisms for the user that was asked about, unjudged.
    pub(crate) supported_mechanisms: Option<Vec<String>>,
    /// The answer to a speculative authentication.
    pub(crate) speculative: Option<RawDocumentBuf>,
    pub(crate) cluster_time: Option<RawDocumentBuf>,
}

/// What kind of server answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ServerKind {
    Standalone,
    Mongos,
    RsPrimary,
    RsSecondary,
    RsArbiter,
    /// A member that is hidden, or in no state to be used.
    RsOther,
    /// A server that is to become a member and has no configuration yet.
    RsGhost,
}

/// The version of a server's own view of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TopologyVersion {
    pub(crate) process_id: ObjectId,
    pub(crate) counter: i64,
}

impl HelloReply {
    /// Reads a reply to `hello` or its older form. `ok: 0` is the server's own error.
    pub(crate) fn read(reply: &RawDocument) -> Result<Self> {
        if reply.as_bytes().len() > MAX_REPLY {
            return Err(broken(format!("the server's reply is longer than {MAX_REPLY} bytes")));
        }
        if let Some(refused) = command_error(reply, Stage::Hello) {
            return Err(refused);
        }
        let max_document = number(reply, "maxBsonObjectSize")?;
        Ok(HelloReply {
            kind: kind(reply)?,
            min_wire_version: wire_version(reply, "minWireVersion")?,
            max_wire_version: wire_version(reply, "maxWireVersion")?,
            max_bson_object_size: limit("maxBsonObjectSize", max_document, MAX_BSON_OBJECT_SIZE)?,
            max_message_size_bytes: limit(
                "maxMessageSizeBytes",
                number(reply, "maxMessageSizeBytes")?,
                MAX_MESSAGE_SIZE_BYTES,
            )?,
            max_write_batch_size: limit(
                "maxWriteBatchSize",
                number(reply, "maxWriteBatchSize")?,
                MAX_WRITE_BATCH_SIZE,
            )?,
            logical_session_timeout_minutes: number(reply, "logicalSessionTimeoutMinutes")?,
            set_name: text(reply, "setName")?,
            set_version: number(reply, "setVersion")?,
            election_id: object_id(reply, "electionId")?,
            hosts: members(reply, "hosts")?,
            passives: members(reply, "passives")?,
            arbiters: members(reply, "arbiters")?,
            primary: text(reply, "primary")?.map(lower),
            me: text(reply, "me")?.map(lower),
            tags: tags(reply)?,
            last_write_date: last_write_date(reply)?,
            topology_version: topology_version(reply)?,
            connection_id: number(reply, "connectionId")?,
            service_id: object_id(reply, "serviceId")?,
            hello_ok: flag(reply, "helloOk")?,
            supported_mechanisms: supported_mechanisms(reply),
            speculative: document(reply, "speculativeAuthenticate")?.map(RawDocument::to_owned),
            cluster_time: document(reply, "$clusterTime")?.map(RawDocument::to_owned),
        })
    }

    /// Whether server and driver have a protocol in common; an error that says which versions would.
    pub(crate) fn check_wire_version(&self) -> Result<()> {
        let (min, max) = (self.min_wire_version, self.max_wire_version);
        if max < MIN_WIRE_VERSION {
            let message = format!(
                "the server is too old: it is {}, wire version {max}, and this driver needs at least MongoDB 3.6, wire \
                 version {MIN_WIRE_VERSION}",
                release(max)
            );
            return Err(Error::new(ErrorKind::NotSupported, Stage::Hello, message)
                .with_hint("update the server to a release that is still maintained"));
        }
        if min > MAX_WIRE_VERSION {
            let message = format!(
                "the server is too new: it needs wire version {min} or later, and this driver speaks up to \
                 {MAX_WIRE_VERSION} ({})",
                release(MAX_WIRE_VERSION)
            );
            return Err(Error::new(ErrorKind::NotSupported, Stage::Hello, message).with_hint("update mongo-blocking"));
        }
        Ok(())
    }
}

/// The specification's table of server types.
fn kind(reply: &RawDocument) -> Result<ServerKind> {
    if text(reply, "msg")?.as_deref() == Some("isdbgrid") {
        return Ok(ServerKind::Mongos);
    }
    if flag(reply, "isreplicaset")? {
        return Ok(ServerKind::RsGhost);
    }
    if text(reply, "setName")?.is_none() {
        return Ok(ServerKind::Standalone);
    }
    if flag(reply, "hidden")? {
        return Ok(ServerKind::RsOther);
    }
    if flag(reply, "isWritablePrimary")? || flag(reply, "ismaster")? {
        return Ok(ServerKind::RsPrimary);
    }
    if flag(reply, "secondary")? {
        return Ok(ServerKind::RsSecondary);
    }
    Ok(if flag(reply, "arbiterOnly")? { ServerKind::RsArbiter } else { ServerKind::RsOther })
}

/// The field, if it is there. `null` counts as absent.
fn field<'a>(reply: &'a RawDocument, name: &str) -> Result<Option<RawBsonRef<'a>>> {
    match reply.get(name) {
        Ok(Some(RawBsonRef::Null)) | Ok(None) => Ok(None),
        Ok(value) => Ok(value),
        Err(error) => Err(broken("the server's reply is not valid BSON").with_source(error)),
    }
}

/// A whole number of whichever type.
fn number(reply: &RawDocument, name: &str) -> Result<Option<i64>> {
    match field(reply, name)? {
        None => Ok(None),
        Some(RawBsonRef::Int32(value)) => Ok(Some(value.into())),
        Some(RawBsonRef::Int64(value)) => Ok(Some(value)),
        Some(RawBsonRef::Double(value)) if value.fract() == 0.0 && value.abs() < EXACT => Ok(Some(value as i64)),
        Some(_) => Err(wrong(name, "a whole number")),
    }
}

fn wire_version(reply: &RawDocument, name: &str) -> Result<i32> {
    match i32::try_from(number(reply, name)?.unwrap_or(0)) {
        Ok(version) if version >= 0 => Ok(version),
        _ => Err(wrong(name, "a wire version")),
    }
}

/// A limit the server sets: ours where it sets none or a larger one, and never zero or less.
fn limit(name: &str, value: Option<i64>, ours: usize) -> Result<usize> {
    match value.map(usize::try_from) {
        None => Ok(ours),
        Some(Ok(value)) if value > 0 => Ok(value.min(ours)),
        Some(_) => Err(wrong(name, "a number above zero")),
    }
}

fn flag(reply: &RawDocument, name: &str) -> Result<bool> {
    match field(reply, name)? {
        None => Ok(false),
        Some(RawBsonRef::Boolean(value)) => Ok(value),
        Some(_) => Err(wrong(name, "a boolean")),
    }
}

fn text(reply: &RawDocument, name: &str) -> Result<Option<String>> {
    field(reply, name)?.map(|value| short_text(name, value)).transpose()
}

fn short_text(name: &str, value: RawBsonRef<'_>) -> Result<String> {
    match value.as_str() {
        Some(text) if text.len() <= MAX_NAME => Ok(text.to_owned()),
        Some(_) => Err(broken(format!("in the server's reply {name} is longer than {MAX_NAME} bytes"))),
        None => Err(wrong(name, "a text")),
    }
}

fn lower(host: String) -> String {
    host.to_ascii_lowercase()
}

fn object_id(reply: &RawDocument, name: &str) -> Result<Option<ObjectId>> {
    field(reply, name)?.map(|value| value.as_object_id().ok_or_else(|| wrong(name, "an ObjectId"))).transpose()
}

fn document<'a>(reply: &'a RawDocument, name: &str) -> Result<Option<&'a RawDocument>> {
    field(reply, name)?.map(|value| value.as_document().ok_or_else(|| wrong(name, "a document"))).transpose()
}

fn members(reply: &RawDocument, name: &str) -> Result<Vec<String>> {
    let Some(value) = field(reply, name)? else { return Ok(Vec::new()) };
    let hosts = value.as_array().ok_or_else(|| wrong(name, "an array"))?;
    texts(name, hosts).map(|hosts| hosts.into_iter().map(lower).collect())
}

fn texts(name: &str, array: &RawArray) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for value in array {
        if texts.len() == MAX_MEMBERS {
            return Err(broken(format!("in the server's reply {name} has more than {MAX_MEMBERS} entries")));
        }
        let value = value.map_err(|error| broken("the server's reply is not valid BSON").with_source(error))?;
        texts.push(short_text(name, value)?);
    }
    Ok(texts)
}

fn tags(reply: &RawDocument) -> Result<Vec<(String, String)>> {
    let mut tags = Vec::new();
    for element in document(reply, "tags")?.into_iter().flatten() {
        if tags.len() == MAX_MEMBERS {
            return Err(broken(format!("in the server's reply tags has more than {MAX_MEMBERS} entries")));
        }
        let (key, value) =
            element.map_err(|error| broken("the server's reply is not valid BSON").with_source(error))?;
        tags.push((key.as_str().to_owned(), short_text("tags", value)?));
    }
    Ok(tags)
}

fn last_write_date(reply: &RawDocument) -> Result<Option<DateTime>> {
    let Some(last_write) = document(reply, "lastWrite")? else { return Ok(None) };
    let date = field(last_write, "lastWriteDate")?;
    date.map(|value| value.as_datetime().ok_or_else(|| wrong("lastWriteDate", "a date"))).transpose()
}

fn topology_version(reply: &RawDocument) -> Result<Option<TopologyVersion>> {
    let Some(version) = document(reply, "topologyVersion")? else { return Ok(None) };
    match (object_id(version, "processId")?, number(version, "counter")?) {
        (Some(process_id), Some(counter)) => Ok(Some(TopologyVersion { process_id, counter })),
        _ => Err(wrong("topologyVersion", "a processId and a counter")),
    }
}

/// The list is not judged: what is no text in it, or no list at all, is as good as absent.
fn supported_mechanisms(reply: &RawDocument) -> Option<Vec<String>> {
    let list = reply.get_array("saslSupportedMechs").ok()?;
    Some(list.into_iter().take(MAX_MEMBERS).filter_map(|name| name.ok()?.as_str().map(str::to_owned)).collect())
}

fn broken(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::invalid_reply(Stage::Hello, message)
}

fn wrong(name: &str, expected: &str) -> Error {
    broken(format!("in the server's reply {name} is not {expected}"))
}

/// The release that first spoke a wire version, or the one before where none did.
fn release(wire_version: i32) -> &'static str {
    match wire_version {
        ..=2 => "MongoDB 2.6 or older",
        3 => "MongoDB 3.0",
        4 => "MongoDB 3.2",
        5 => "MongoDB 3.4",
        6 => "MongoDB 3.6",
        7 => "MongoDB 4.0",
        8 => "MongoDB 4.2",
        9..=12 => "MongoDB 4.4",
        13..=16 => "MongoDB 5.0",
        17..=20 => "MongoDB 6.0",
        21..=24 => "MongoDB 7.0",
        25 => "MongoDB 8.0",
        26 => "MongoDB 8.1",
        27 => "MongoDB 8.2",
        _ => "newer than MongoDB 8.2",
    }
}

/// MongoDB 3.6, the first server with OP_MSG.
const MIN_WIRE_VERSION: i32 = 6;

/// MongoDB 8.2. A newer server is no obstacle as long as it still speaks this one.
const MAX_WIRE_VERSION: i32 = 27;

/// What every server says: 16 MiB.
const MAX_BSON_OBJECT_SIZE: usize = 16 * 1024 * 1024;

/// What every server says.
const MAX_MESSAGE_SIZE_BYTES: usize = 48_000_000;

/// What every server since 3.6 says.
const MAX_WRITE_BATCH_SIZE: usize = 100_000;

/// A hello of a set with 50 members and many tags stays below 20 KB.
const MAX_REPLY: usize = 1024 * 1024;

/// A set has at most 50 members.
const MAX_MEMBERS: usize = 1000;

/// A DNS name has at most 255 bytes, and a port and a set's name are shorter.
const MAX_NAME: usize = 1024;

/// Below this a double holds every whole number exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    fn kind_of(reply: RawDocumentBuf) -> ServerKind {
        HelloReply::read(&reply).unwrap().kind
    }

    #[test]
    fn the_kind_follows_the_specifications_table() {
        assert_eq!(kind_of(rawdoc! { "ok": 1, "ismaster": true }), ServerKind::Standalone);
        assert_eq!(kind_of(rawdoc! { "ok": 1, "isWritablePrimary": true, "msg": "isdbgrid" }), ServerKind::Mongos);
        assert_eq!(kind_of(rawdoc! { "ok": 1, "isreplicaset": true }), ServerKind::RsGhost);
        let member = |extra: RawDocumentBuf| {
            let mut reply = rawdoc! { "ok": 1, "setName": "rs" };
            extra.iter().flatten().for_each(|(key, value)| reply.append(key, value));
            kind_of(reply)
        };
        assert_eq!(member(rawdoc! { "isWritablePrimary": true }), ServerKind::RsPrimary);
        assert_eq!(member(rawdoc! { "ismaster": true }), ServerKind::RsPrimary);
        assert_eq!(member(rawdoc! { "ismaster": false, "secondary": true }), ServerKind::RsSecondary);
        assert_eq!(member(rawdoc! { "secondary": true, "hidden": true }), ServerKind::RsOther);
        assert_eq!(member(rawdoc! { "arbiterOnly": true }), ServerKind::RsArbiter);
        assert_eq!(member(rawdoc! {}), ServerKind::RsOther);
    }

    #[test]
    fn limits_are_bounded_and_have_defaults() {
        let plain = HelloReply::read(&rawdoc! { "ok": 1 }).unwrap();
        assert_eq!(plain.max_bson_object_size, 16_777_216);
        assert_eq!((plain.max_message_size_bytes, plain.max_write_batch_size), (48_000_000, 100_000));
        let reply = rawdoc! {
            "ok": 1.0, "maxBsonObjectSize": i32::MAX, "maxMessageSizeBytes": 1e15, "maxWriteBatchSize": 1000_i64
        };
        let bounded = HelloReply::read(&reply).unwrap();
        assert_eq!(bounded.max_bson_object_size, 16_777_216);
        assert_eq!((bounded.max_message_size_bytes, bounded.max_write_batch_size), (48_000_000, 1000));
    }

    #[test]
    fn a_field_of_the_wrong_type_is_named() {
        let many: Vec<bson::RawBson> = (0..=MAX_MEMBERS).map(|_| "a:1".into()).collect();
        for (reply, words) in [
            (rawdoc! { "ok": 1, "maxWireVersion": "6" }, "maxWireVersion is not a whole number"),
            (rawdoc! { "ok": 1, "maxWireVersion": -1 }, "maxWireVersion is not a wire version"),
            (rawdoc! { "ok": 1, "maxWireVersion": i64::MAX }, "maxWireVersion is not a wire version"),
            (rawdoc! { "ok": 1, "maxBsonObjectSize": 0 }, "maxBsonObjectSize is not a number above zero"),
            (rawdoc! { "ok": 1, "maxMessageSizeBytes": -5 }, "maxMessageSizeBytes is not a number above zero"),
            (rawdoc! { "ok": 1, "maxWriteBatchSize": 1.5 }, "maxWriteBatchSize is not a whole number"),
            (rawdoc! { "ok": 1, "setName": 5 }, "setName is not a text"),
            (rawdoc! { "ok": 1, "setName": "x".repeat(2000) }, "setName is longer"),
            (rawdoc! { "ok": 1, "setName": "rs", "secondary": "yes" }, "secondary is not a boolean"),
            (rawdoc! { "ok": 1, "hosts": "a:1" }, "hosts is not an array"),
            (rawdoc! { "ok": 1, "hosts": [1] }, "hosts is not a text"),
            (rawdoc! { "ok": 1, "hosts": bson::RawArrayBuf::from_iter(many) }, "hosts has more than"),
            (rawdoc! { "ok": 1, "tags": { "a": 1 } }, "tags is not a text"),
            (rawdoc! { "ok": 1, "electionId": 1 }, "electionId is not an ObjectId"),
            (rawdoc! { "ok": 1, "topologyVersion": {} }, "topologyVersion is not"),
            (rawdoc! { "ok": 1, "lastWrite": { "lastWriteDate": 1 } }, "lastWriteDate is not a date"),
            (rawdoc! { "ok": 1, "speculativeAuthenticate": 1 }, "speculativeAuthenticate is not a document"),
            (rawdoc! { "ok": 1, "x": "x".repeat(MAX_REPLY) }, "longer than 1048576 bytes"),
            (rawdoc! { "ok": 0, "code": 59, "errmsg": "no such command" }, "no such command"),
            (rawdoc! {}, "no `ok`"),
        ] {
            let error = HelloReply::read(&reply).unwrap_err();
            assert!(error.message().contains(words), "{words}: {error}");
            assert_eq!(error.stage(), Stage::Hello);
        }
    }

    #[test]
    fn unusual_mechanism_lists_are_no_error() {
        let list = |reply: RawDocumentBuf| HelloReply::read(&reply).unwrap().supported_mechanisms;
        assert_eq!(list(rawdoc! { "ok": 1 }), None);
        assert_eq!(list(rawdoc! { "ok": 1, "saslSupportedMechs": 1 }), None);
        assert_eq!(list(rawdoc! { "ok": 1, "saslSupportedMechs": [1, "NEW"] }), Some(vec!["NEW".to_owned()]));
    }

    #[test]
    fn versions_out_of_reach_are_named_on_both_sides() {
        let check = |min: i32, max: i32| {
            HelloReply::read(&rawdoc! { "ok": 1, "minWireVersion": min, "maxWireVersion": max })
                .unwrap()
                .check_wire_version()
                .map_err(|error| error.message().to_owned())
        };
        for (min, max) in [(0, 6), (0, 17), (6, 99), (MAX_WIRE_VERSION, 99)] {
            assert_eq!(check(min, max), Ok(()));
        }
        let old = check(0, 5).unwrap_err();
        for words in ["MongoDB 3.4", "wire version 5", "MongoDB 3.6", "wire version 6"] {
            assert!(old.contains(words), "{old}");
        }
        let new = check(999, 1000).unwrap_err();
        assert!(new.contains("999") && new.contains("27"), "{new}");
        let silent = HelloReply::read(&rawdoc! { "ok": 1 }).unwrap();
        assert!(silent.check_wire_version().is_err());
    }
}
