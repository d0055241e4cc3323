//! What a server reports about itself, and what type of server that makes it: pure data, read once from a reply to `hello`.
//!
//! Every field has the right type and is within its bound, or reading fails with an error that names the field. Facts about
//! one connection (its number, the mechanisms offered to a user) are not part of it; the handshake reads those.

use std::fmt;

use bson::oid::ObjectId;
use bson::{DateTime, RawArray, RawBsonRef, RawDocument};

use crate::address::ServerAddress;
use crate::bson_ext::whole_number;
use crate::error::{Error, FaultKind, Result, Stage, command_error};
pub(crate) use crate::event::sdam::ServerType;

/// A server, as its reply to `hello` describes it.
#[derive(Clone, Debug, PartialEq)]
#[allow(dead_code, reason = "some fields are read only where a deployment has several servers")]
pub(crate) struct ServerDescription {
    pub(crate) server_type: ServerType,
    pub(crate) min_wire_version: WireVersion,
    pub(crate) max_wire_version: WireVersion,
    /// The largest document that the server stores, in bytes.
    pub(crate) max_bson_object_size: usize,
    /// The largest message that the server accepts, in bytes.
    pub(crate) max_message_size_bytes: usize,
    /// How many writes one command may have.
    pub(crate) max_write_batch_size: usize,
    /// How long an unused session lives; `None` where the server has no sessions.
    pub(crate) logical_session_timeout_minutes: Option<i64>,
    pub(crate) set_name: Option<String>,
    pub(crate) set_version: Option<i64>,
    pub(crate) election_id: Option<ObjectId>,
    /// Members that hold data and may become primary.
    pub(crate) hosts: Vec<ServerAddress>,
    /// Members that hold data and never become primary.
    pub(crate) passives: Vec<ServerAddress>,
    pub(crate) arbiters: Vec<ServerAddress>,
    pub(crate) primary: Option<ServerAddress>,
    /// The address by which the replica set knows this server.
    pub(crate) me: Option<ServerAddress>,
    /// Entries of the five fields above that are no addresses and were left out; for a warning.
    pub(crate) invalid_addresses: Vec<String>,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) last_write_date: Option<DateTime>,
    pub(crate) topology_version: Option<TopologyVersion>,
    /// Whether later checks may use `hello` instead of its older form.
    pub(crate) hello_ok: bool,
}

/// The version of the protocol between driver and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct WireVersion(i32);

/// The version of a server's own view of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TopologyVersion {
    pub(crate) process_id: ObjectId,
    pub(crate) counter: i64,
}

#[allow(dead_code, reason = "the list is complete, whether or not a command depends on each release")]
impl WireVersion {
    /// The first release with OP_MSG.
    pub(crate) const MONGODB_3_6: WireVersion = WireVersion(6);
    pub(crate) const MONGODB_4_0: WireVersion = WireVersion(7);
    pub(crate) const MONGODB_4_2: WireVersion = WireVersion(8);
    pub(crate) const MONGODB_4_4: WireVersion = WireVersion(9);
    pub(crate) const MONGODB_5_0: WireVersion = WireVersion(13);
    pub(crate) const MONGODB_6_0: WireVersion = WireVersion(17);
    pub(crate) const MONGODB_7_0: WireVersion = WireVersion(21);
    pub(crate) const MONGODB_8_0: WireVersion = WireVersion(25);
    pub(crate) const MONGODB_8_2: WireVersion = WireVersion(27);

    /// The oldest version that this driver speaks.
    pub(crate) const OLDEST_SUPPORTED: WireVersion = WireVersion::MONGODB_3_6;
    /// The newest version that this driver speaks. A newer server is usable as long as it still speaks this one.
    pub(crate) const NEWEST_SUPPORTED: WireVersion = WireVersion::MONGODB_8_2;

    /// The number that the server sends.
    pub(crate) const fn number(self) -> i32 {
        self.0
    }

    /// The version of this number.
    #[cfg(test)]
    pub(crate) const fn new(number: i32) -> Self {
        WireVersion(number)
    }

    /// The release that first spoke this version, or the one before where no release did.
    pub(crate) fn release(self) -> &'static str {
        match self.0 {
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
}

impl fmt::Display for WireVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ServerDescription {
    /// A server about which nothing is known.
    pub(crate) fn unknown() -> Self {
        ServerDescription {
            server_type: ServerType::Unknown,
            min_wire_version: WireVersion(0),
            max_wire_version: WireVersion(0),
            max_bson_object_size: MAX_BSON_OBJECT_SIZE,
            max_message_size_bytes: MAX_MESSAGE_SIZE_BYTES,
            max_write_batch_size: MAX_WRITE_BATCH_SIZE,
            logical_session_timeout_minutes: None,
            set_name: None,
            set_version: None,
            election_id: None,
            hosts: Vec::new(),
            passives: Vec::new(),
            arbiters: Vec::new(),
            primary: None,
            me: None,
            invalid_addresses: Vec::new(),
            tags: Vec::new(),
            last_write_date: None,
            topology_version: None,
            hello_ok: false,
        }
    }

    /// Reads a reply to `hello` or its older form. `ok: 0` is the server's own error.
    pub(crate) fn read(reply: &RawDocument) -> Result<Self> {
        if reply.as_bytes().len() > MAX_REPLY {
            return Err(broken(format!("the server's reply is longer than {MAX_REPLY} bytes")));
        }
        if let Some(refused) = command_error(reply, Stage::Hello) {
            return Err(refused);
        }
        let max_document = number(reply, "maxBsonObjectSize")?;
        let mut invalid = Vec::new();
        Ok(ServerDescription {
            server_type: server_type(reply)?,
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
            set_name: string(reply, "setName")?,
            set_version: number(reply, "setVersion")?,
            election_id: object_id(reply, "electionId")?,
            hosts: members(reply, "hosts", &mut invalid)?,
            passives: members(reply, "passives", &mut invalid)?,
            arbiters: members(reply, "arbiters", &mut invalid)?,
            primary: string(reply, "primary")?.and_then(|entry| address(entry, &mut invalid)),
            me: string(reply, "me")?.and_then(|entry| address(entry, &mut invalid)),
            invalid_addresses: invalid,
            tags: tags(reply)?,
            last_write_date: last_write_date(reply)?,
            topology_version: topology_version(reply)?,
            hello_ok: flag(reply, "helloOk")?.unwrap_or(false),
        })
    }

    /// Whether server and driver have a protocol version in common; otherwise an error that names both ranges.
    pub(crate) fn check_wire_version(&self) -> Result<()> {
        let (min, max) = (self.min_wire_version, self.max_wire_version);
        let (oldest, newest) = (WireVersion::OLDEST_SUPPORTED, WireVersion::NEWEST_SUPPORTED);
        if max < oldest {
            let message = format!(
                "the server is too old: it is {}, wire version {max}, and this driver needs at least {}, wire version \
                 {oldest}",
                max.release(),
                oldest.release(),
            );
            return Err(Error::new(FaultKind::IncompatibleServer, Stage::Hello, message)
                .with_hint("update the server to a release that is still maintained"));
        }
        if min > newest {
            let message = format!(
                "the server is too new: it needs wire version {min} or later, and this driver speaks up to {newest} ({})",
                newest.release()
            );
            return Err(
                Error::new(FaultKind::IncompatibleServer, Stage::Hello, message).with_hint("update mongo-blocking")
            );
        }
        Ok(())
    }
}

/// The specification's table of server types.
fn server_type(reply: &RawDocument) -> Result<ServerType> {
    if string(reply, "msg")?.as_deref() == Some("isdbgrid") {
        return Ok(ServerType::Mongos);
    }
    if flag(reply, "isreplicaset")? == Some(true) {
        return Ok(ServerType::RsGhost);
    }
    if string(reply, "setName")?.is_none() {
        return Ok(ServerType::Standalone);
    }
    if flag(reply, "hidden")? == Some(true) {
        return Ok(ServerType::RsOther);
    }
    // The older name counts only where the newer one is missing.
    let primary = match flag(reply, "isWritablePrimary")? {
        Some(primary) => primary,
        None => flag(reply, "ismaster")? == Some(true),
    };
    if primary {
        return Ok(ServerType::RsPrimary);
    }
    if flag(reply, "secondary")? == Some(true) {
        return Ok(ServerType::RsSecondary);
    }
    let arbiter = flag(reply, "arbiterOnly")? == Some(true);
    Ok(if arbiter { ServerType::RsArbiter } else { ServerType::RsOther })
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
pub(crate) fn number(reply: &RawDocument, name: &str) -> Result<Option<i64>> {
    match field(reply, name)? {
        None => Ok(None),
        Some(value) => whole_number(value).map(Some).ok_or_else(|| wrong(name, "a whole number")),
    }
}

fn wire_version(reply: &RawDocument, name: &str) -> Result<WireVersion> {
    match i32::try_from(number(reply, name)?.unwrap_or(0)) {
        Ok(version) if version >= 0 => Ok(WireVersion(version)),
        _ => Err(wrong(name, "a wire version")),
    }
}

/// A limit that the server sets: ours where it sets none or a larger one. Zero and less are errors.
fn limit(name: &str, value: Option<i64>, ours: usize) -> Result<usize> {
    match value.map(usize::try_from) {
        None => Ok(ours),
        Some(Ok(value)) if value > 0 => Ok(value.min(ours)),
        Some(_) => Err(wrong(name, "a number above zero")),
    }
}

fn flag(reply: &RawDocument, name: &str) -> Result<Option<bool>> {
    match field(reply, name)? {
        None => Ok(None),
        Some(RawBsonRef::Boolean(value)) => Ok(Some(value)),
        Some(_) => Err(wrong(name, "a boolean")),
    }
}

fn string(reply: &RawDocument, name: &str) -> Result<Option<String>> {
    field(reply, name)?.map(|value| short_string(name, value)).transpose()
}

fn short_string(name: &str, value: RawBsonRef<'_>) -> Result<String> {
    match value.as_str() {
        Some(string) if string.len() <= MAX_NAME => Ok(string.to_owned()),
        Some(_) => Err(broken(format!("in the server's reply {name} is longer than {MAX_NAME} bytes"))),
        None => Err(wrong(name, "a string")),
    }
}

pub(crate) fn object_id(reply: &RawDocument, name: &str) -> Result<Option<ObjectId>> {
    field(reply, name)?.map(|value| value.as_object_id().ok_or_else(|| wrong(name, "an ObjectId"))).transpose()
}

pub(crate) fn document<'a>(reply: &'a RawDocument, name: &str) -> Result<Option<&'a RawDocument>> {
    field(reply, name)?.map(|value| value.as_document().ok_or_else(|| wrong(name, "a document"))).transpose()
}

/// The addresses of an array of them, in the server's order.
fn members(reply: &RawDocument, name: &str, invalid: &mut Vec<String>) -> Result<Vec<ServerAddress>> {
    let Some(value) = field(reply, name)? else { return Ok(Vec::new()) };
    let entries = value.as_array().ok_or_else(|| wrong(name, "an array"))?;
    Ok(strings(name, entries)?.into_iter().filter_map(|entry| address(entry, invalid)).collect())
}

/// A member's address, its host name in lower case. An entry that is no address is left out and remembered. A member never
/// listens on a Unix socket: a server must not lead a client to files of the client's machine.
fn address(entry: String, invalid: &mut Vec<String>) -> Option<ServerAddress> {
    match ServerAddress::parse(&entry) {
        Ok(address @ ServerAddress::Tcp { .. }) => Some(address),
        _ => {
            invalid.push(entry);
            None
        }
    }
}

fn strings(name: &str, array: &RawArray) -> Result<Vec<String>> {
    let mut strings = Vec::new();
    for value in array {
        if strings.len() == MAX_MEMBERS {
            return Err(broken(format!("in the server's reply {name} has more than {MAX_MEMBERS} entries")));
        }
        let value = value.map_err(|error| broken("the server's reply is not valid BSON").with_source(error))?;
        strings.push(short_string(name, value)?);
    }
    Ok(strings)
}

fn tags(reply: &RawDocument) -> Result<Vec<(String, String)>> {
    let mut tags = Vec::new();
    for element in document(reply, "tags")?.into_iter().flatten() {
        if tags.len() == MAX_MEMBERS {
            return Err(broken(format!("in the server's reply tags has more than {MAX_MEMBERS} entries")));
        }
        let (key, value) =
            element.map_err(|error| broken("the server's reply is not valid BSON").with_source(error))?;
        tags.push((key.as_str().to_owned(), short_string("tags", value)?));
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

fn broken(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::invalid_reply(Stage::Hello, message)
}

fn wrong(name: &str, expected: &str) -> Error {
    broken(format!("in the server's reply {name} is not {expected}"))
}

/// The value of every server: 16 MiB.
const MAX_BSON_OBJECT_SIZE: usize = 16 * 1024 * 1024;

/// The value of every server.
const MAX_MESSAGE_SIZE_BYTES: usize = 48_000_000;

/// The value of every server since 3.6.
const MAX_WRITE_BATCH_SIZE: usize = 100_000;

/// A hello of a set with 50 members and many tags stays below 20 KB.
const MAX_REPLY: usize = 1024 * 1024;

/// A set has at most 50 members.
pub(crate) const MAX_MEMBERS: usize = 1000;

/// A DNS name has at most 255 bytes, and a port and a set's name are shorter.
const MAX_NAME: usize = 1024;

#[cfg(test)]
mod tests {
    use bson::{RawDocumentBuf, rawdoc};

    use super::*;

    fn type_of(reply: RawDocumentBuf) -> ServerType {
        ServerDescription::read(&reply).unwrap().server_type
    }

    #[test]
    fn the_type_follows_the_specifications_table() {
        assert_eq!(type_of(rawdoc! { "ok": 1, "ismaster": true }), ServerType::Standalone);
        assert_eq!(type_of(rawdoc! { "ok": 1, "isWritablePrimary": true, "msg": "isdbgrid" }), ServerType::Mongos);
        assert_eq!(type_of(rawdoc! { "ok": 1, "isreplicaset": true }), ServerType::RsGhost);
        let member = |extra: RawDocumentBuf| {
            let mut reply = rawdoc! { "ok": 1, "setName": "rs" };
            extra.iter().flatten().for_each(|(key, value)| reply.append(key, value));
            type_of(reply)
        };
        assert_eq!(member(rawdoc! { "isWritablePrimary": true }), ServerType::RsPrimary);
        assert_eq!(member(rawdoc! { "ismaster": true }), ServerType::RsPrimary);
        assert_eq!(member(rawdoc! { "ismaster": false, "secondary": true }), ServerType::RsSecondary);
        assert_eq!(member(rawdoc! { "secondary": true, "hidden": true }), ServerType::RsOther);
        assert_eq!(member(rawdoc! { "arbiterOnly": true }), ServerType::RsArbiter);
        assert_eq!(member(rawdoc! {}), ServerType::RsOther);
        assert_eq!(member(rawdoc! { "isWritablePrimary": false, "ismaster": true }), ServerType::RsOther);
        assert_eq!(
            member(rawdoc! { "isWritablePrimary": false, "ismaster": true, "secondary": true }),
            ServerType::RsSecondary
        );
    }

    #[test]
    fn addresses_are_read_and_invalid_ones_are_left_out() {
        let reply = rawdoc! {
            "ok": 1, "setName": "rs",
            "hosts": ["A.example:27018", "b", "", "c:0", "[::1]:5", "/tmp/mongodb-27017.sock", "d:1:2"],
            "passives": ["P:1"], "arbiters": ["x y:1"], "primary": "A.EXAMPLE:27018", "me": "mongodb://a",
        };
        let read = ServerDescription::read(&reply).unwrap();
        let shown = |addresses: &[ServerAddress]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(shown(&read.hosts), ["a.example:27018", "b:27017", "[::1]:5"]);
        assert_eq!((shown(&read.passives), read.arbiters.len()), (vec!["p:1".to_owned()], 0));
        assert_eq!((read.primary.as_ref(), read.me), (read.hosts.first(), None));
        assert_eq!(read.invalid_addresses, ["", "c:0", "/tmp/mongodb-27017.sock", "d:1:2", "x y:1", "mongodb://a"]);
    }

    #[test]
    fn limits_are_bounded_and_have_defaults() {
        let plain = ServerDescription::read(&rawdoc! { "ok": 1 }).unwrap();
        assert_eq!(plain.max_bson_object_size, 16_777_216);
        assert_eq!((plain.max_message_size_bytes, plain.max_write_batch_size), (48_000_000, 100_000));
        let reply = rawdoc! {
            "ok": 1.0, "maxBsonObjectSize": i32::MAX, "maxMessageSizeBytes": 1e15, "maxWriteBatchSize": 1000_i64
        };
        let bounded = ServerDescription::read(&reply).unwrap();
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
            (rawdoc! { "ok": 1, "setName": 5 }, "setName is not a string"),
            (rawdoc! { "ok": 1, "setName": "x".repeat(2000) }, "setName is longer"),
            (rawdoc! { "ok": 1, "setName": "rs", "secondary": "yes" }, "secondary is not a boolean"),
            (rawdoc! { "ok": 1, "hosts": "a:1" }, "hosts is not an array"),
            (rawdoc! { "ok": 1, "hosts": [1] }, "hosts is not a string"),
            (rawdoc! { "ok": 1, "hosts": bson::RawArrayBuf::from_iter(many) }, "hosts has more than"),
            (rawdoc! { "ok": 1, "tags": { "a": 1 } }, "tags is not a string"),
            (rawdoc! { "ok": 1, "electionId": 1 }, "electionId is not an ObjectId"),
            (rawdoc! { "ok": 1, "topologyVersion": {} }, "topologyVersion is not"),
            (rawdoc! { "ok": 1, "lastWrite": { "lastWriteDate": 1 } }, "lastWriteDate is not a date"),
            (rawdoc! { "ok": 1, "x": "x".repeat(MAX_REPLY) }, "longer than 1048576 bytes"),
            (rawdoc! { "ok": 0, "code": 59, "errmsg": "no such command" }, "no such command"),
            (rawdoc! {}, "no `ok`"),
        ] {
            let error = ServerDescription::read(&reply).unwrap_err();
            assert!(error.message().contains(words), "{words}: {error}");
            assert_eq!(error.stage(), Stage::Hello);
        }
    }

    #[test]
    fn versions_out_of_reach_are_named_on_both_sides() {
        let check = |min: i32, max: i32| {
            ServerDescription::read(&rawdoc! { "ok": 1, "minWireVersion": min, "maxWireVersion": max })
                .unwrap()
                .check_wire_version()
                .map_err(|error| error.message().to_owned())
        };
        for (min, max) in [(0, 6), (0, 17), (6, 99), (27, 99)] {
            assert_eq!(check(min, max), Ok(()));
        }
        let old = check(0, 5).unwrap_err();
        for words in ["MongoDB 3.4", "wire version 5", "MongoDB 3.6", "wire version 6"] {
            assert!(old.contains(words), "{old}");
        }
        let new = check(999, 1000).unwrap_err();
        assert!(new.contains("999") && new.contains("27"), "{new}");
        let silent = ServerDescription::read(&rawdoc! { "ok": 1 }).unwrap();
        assert!(silent.check_wire_version().is_err());
    }
}
