//! Replies of a server to reads and writes, and documents as values.

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::{Document, RawDocumentBuf, Utf8Lossy, doc};
use serde::Deserialize;

use crate::cursor::documents_of;
use crate::description::ServerDescription;
use crate::document::{NestingLimits, decode, decode_owned};
use crate::error::{Error, ErrorKind};
use crate::operation::databases::ListDatabases;
use crate::operation::distinct::Distinct;
use crate::operation::write::{Statement, WriteBatcher, WriteKind};
use crate::operation::{Namespace, Operation};
use crate::options::{BulkWriteOptions, ServerAddress};
use crate::wire::Reply;

/// The batch of a cursor's reply: its documents lie within the reply, one behind the other.
pub fn cursor_batch(data: &[u8]) {
    let Ok(reply) = RawDocumentBuf::from_bytes(data.to_vec()) else { return };
    for key in ["firstBatch", "nextBatch"] {
        let (places, error) = documents_of(Reply::of(reply.clone()), key);
        let mut end = 4;
        for place in places {
            assert!(place.start >= end && place.end <= data.len() && place.len() >= 5, "{place:?} of {}", data.len());
            end = place.end;
        }
        error.iter().for_each(check);
    }
}

/// The reply to a write of a few statements: no more errors than statements, each about one of them, and what failed was not
/// inserted. The first byte says which writes, and whether they are ordered.
pub fn write_reply(data: &[u8]) {
    let Some((&choice, data)) = data.split_first() else { return };
    let Ok(reply) = RawDocumentBuf::from_bytes(data.to_vec()) else { return };
    let options = BulkWriteOptions::default().ordered(choice & 4 == 0);
    let namespace = Namespace { database: "d", collection: "c" };
    let mut batch = WriteBatcher::new(namespace, &options, NestingLimits::DEFAULT).expect("the options are right");
    for index in 0..STATEMENTS {
        let kind = if choice & 1 == 0 { WriteKind::Update } else { WriteKind::Delete };
        let document = bson::rawdoc! { "q": {}, "u": {} };
        match choice & 2 {
            0 => batch.insert(index, &doc! { "_id": 0 }).expect("a document"),
            _ => batch.add(index, &Statement { kind, multi: false, document }),
        }
    }
    let server = ServerDescription::unknown();
    batch.build(&server).expect("a command");
    let read = batch.read(Reply::of(reply), &Arc::new(server_address()));
    if let Err(error) = read {
        return check(&error);
    }
    let Err(error) = batch.into_outcome().bulk_write() else { return };
    check(&error);
    let ErrorKind::BulkWrite(failed) = error.kind() else { panic!("{error:?}") };
    let inserted = &failed.partial_result.inserted_ids;
    assert!(failed.write_errors.len() <= STATEMENTS && inserted.len() <= STATEMENTS);
    for refused in &failed.write_errors {
        assert!(refused.index < STATEMENTS && !inserted.contains_key(&refused.index), "{refused:?}");
    }
}

/// A document as values of many types: read or refused, and a refusal tells of it on one line, without a string of it.
pub fn typed(data: &[u8]) {
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "what is read is of no interest")]
    enum Shape {
        Unit,
        One(Box<Nested>),
        Two(i32, String),
        Three { nested: Vec<Nested> },
    }
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "what is read is of no interest")]
    struct Nested {
        #[serde(rename = "_id")]
        id: Option<bson::oid::ObjectId>,
        shape: Option<Shape>,
        list: Option<Vec<Nested>>,
        map: Option<BTreeMap<String, i64>>,
    }
    let Ok(document) = RawDocumentBuf::from_bytes(data.to_vec()) else { return };
    for limits in [NestingLimits::DEFAULT, NestingLimits::lowered(6)] {
        let tree = decode_owned::<Document>(&document, limits);
        if let Ok(tree) = &tree {
            RawDocumentBuf::try_from(tree).expect("a document that was read can be written");
        }
        let raw = decode::<RawDocumentBuf>(&document, limits).expect("raw access has no limits");
        assert_eq!(raw, document);
        let errors = [
            tree.err(),
            decode::<Nested>(&document, limits).err(),
            decode::<BTreeMap<String, i32>>(&document, limits).err(),
            decode::<Utf8Lossy<Document>>(&document, limits).err(),
        ];
        for error in errors.iter().flatten() {
            check(error);
            assert!(
                matches!(error.kind(), ErrorKind::BsonDeserialization(_) | ErrorKind::InvalidResponse { .. }),
                "{error:?}"
            );
        }
    }
}

/// Replies to `distinct` and `listDatabases`: as many values as the reply has, or an error.
pub fn values(data: &[u8]) {
    let Ok(reply) = RawDocumentBuf::from_bytes(data.to_vec()) else { return };
    let (filter, options, databases) = (doc! {}, Default::default(), Default::default());
    let namespace = Namespace { database: "d", collection: "c" };
    let limits = NestingLimits::DEFAULT;
    let mut distinct = Distinct { namespace, field: "f", filter: &filter, options: &options, limits };
    let server = Arc::new(server_address());
    match distinct.read(Reply::of(reply.clone()), &server) {
        Ok(values) => {
            let there = reply.get_array("values").map(|values| values.into_iter().count());
            assert_eq!(there.ok(), Some(values.len()));
        }
        Err(error) => check(&error),
    }
    let mut list = ListDatabases { name_only: false, options: &databases };
    match list.read(Reply::of(reply.clone()), &server) {
        Ok(listed) => assert!(listed.len() * 14 <= data.len(), "{} of {} bytes", listed.len(), data.len()),
        Err(error) => check(&error),
    }
}

fn server_address() -> ServerAddress {
    ServerAddress::Tcp { host: "localhost".to_owned(), port: Some(27017) }
}

/// What an error shows is one line, bounded.
fn check(error: &Error) {
    let shown = format!("{error:#}");
    assert!(!shown.contains(char::is_control), "{shown:?}");
    assert!(shown.len() < 40_000, "{}", shown.len());
    assert!(!format!("{error:?}").contains("RawDocumentBuf {"), "{error:?}");
}

const STATEMENTS: usize = 3;
