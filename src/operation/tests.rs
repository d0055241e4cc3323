//! Operations without a server: what they build for which server, where they may run, and whether they may be sent again.

use bson::{Document, RawDocument, RawDocumentBuf, doc, rawdoc};

use super::aggregate::Aggregate;
use super::count::Count;
use super::distinct::Distinct;
use super::find::Find;
use super::find_and_modify::{Change, FindAndModify};
use super::get_more::GetMore;
use super::indexes::CreateIndexes;
use super::run_command::RunCommand;
use super::write::{Statement, WriteBatcher, WriteKind};
use super::*;
use crate::description::ServerDescription;
use crate::document::NestingLimits;
use crate::options::{
    AggregateOptions, BulkWriteOptions, CreateIndexOptions, FindOneAndUpdateOptions, FindOptions, IndexModel,
    ReadPreferenceMode, WriteConcern,
};

const NAMESPACE: Namespace<'_> = Namespace { database: "zoo", collection: "animals" };

/// A server of this wire version whose messages and batches are small.
fn server(wire_version: i32) -> ServerDescription {
    let reply = rawdoc! {
        "ok": 1, "ismaster": true, "minWireVersion": 0, "maxWireVersion": wire_version,
        "maxBsonObjectSize": 1000, "maxMessageSizeBytes": 100_000, "maxWriteBatchSize": 3,
    };
    ServerDescription::read(&reply).unwrap()
}

fn address() -> Arc<ServerAddress> {
    Arc::new(ServerAddress::Tcp { host: "localhost".to_owned(), port: Some(27017) })
}

fn secondary() -> ReadPreference {
    ReadPreference::with_mode(ReadPreferenceMode::Secondary, None)
}

/// The body that the operation builds for a server, as a document.
fn body(operation: &mut impl Operation, wire_version: i32) -> Document {
    Document::try_from(&*operation.build(&server(wire_version)).unwrap().body).unwrap()
}

#[test]
fn a_read_goes_where_its_read_preference_says() {
    let options = FindOptions::default().read_preference(secondary());
    let filter = doc! {};
    let mut find = Find::new(NAMESPACE, &filter, &options).unwrap();
    assert_eq!(find.target(), Target::Readable(&secondary()));
    assert_eq!(find.build(&server(17)).unwrap().read_preference, Some(&secondary()));

    let plain = bson::rawdoc! { "ping": 1 };
    assert_eq!(RunCommand::new("zoo", &plain, None).unwrap().target(), Target::Writable);
    let criteria = SelectionCriteria::from(secondary());
    assert_eq!(RunCommand::new("zoo", &plain, Some(&criteria)).unwrap().target(), Target::Readable(&secondary()));
    let predicate = SelectionCriteria::Predicate(std::sync::Arc::new(|_: &crate::ServerInfo| true));
    let mut command = RunCommand::new("zoo", &plain, Some(&predicate)).unwrap();
    assert_eq!(command.target(), Target::Predicate(&predicate));
    assert_eq!(command.build(&server(17)).unwrap().read_preference, None);
}

#[test]
fn an_operation_on_a_cursor_goes_to_the_server_that_holds_it() {
    let server = address();
    let get_more = GetMore {
        namespace: NAMESPACE,
        server: &server,
        cursor_id: 7,
        batch_size: None,
        max_await_time: None,
        await_time: None,
        comment: None,
        reply_buffer: None,
    };
    assert_eq!(get_more.target(), Target::Pinned(&server));
    assert_eq!(get_more.retry(), Retry::Never);
}

#[test]
fn get_more_has_a_comment_since_mongodb_4_4() {
    let (server, comment) = (address(), "why".into());
    let mut get_more = GetMore {
        namespace: NAMESPACE,
        server: &server,
        cursor_id: 7,
        batch_size: Some(2),
        max_await_time: None,
        await_time: None,
        comment: Some(&comment),
        reply_buffer: None,
    };
    let without = doc! { "getMore": 7_i64, "collection": "animals", "batchSize": 2_i64 };
    assert_eq!(body(&mut get_more, 8), without);
    let mut with = without;
    with.insert("comment", "why");
    assert_eq!(body(&mut get_more, 9), with);
}

#[test]
fn a_pipeline_that_writes_has_a_read_preference_since_mongodb_5_0_and_is_sent_once() {
    let options = AggregateOptions::default().read_preference(secondary());
    let writing = [doc! { "$out": "o" }];
    let mut aggregate = Aggregate { database: "zoo", collection: Some("a"), pipeline: &writing, options: &options };
    assert_eq!(aggregate.build(&server(12)).unwrap().read_preference, None);
    assert_eq!(aggregate.build(&server(13)).unwrap().read_preference, Some(&secondary()));
    assert_eq!(aggregate.retry(), Retry::Never);
    let reading = [doc! { "$match": {} }];
    let aggregate = Aggregate { database: "zoo", collection: Some("a"), pipeline: &reading, options: &options };
    assert_eq!(aggregate.retry(), Retry::Read);
}

#[test]
fn commit_quorum_needs_mongodb_4_4() {
    let options = CreateIndexOptions::default().commit_quorum("majority");
    let indexes = [IndexModel::new(doc! { "a": 1 })];
    let mut create = CreateIndexes { namespace: NAMESPACE, indexes: &indexes, options: &options };
    assert!(create.build(&server(8)).is_err());
    assert_eq!(body(&mut create, 9).get_str("commitQuorum").unwrap(), "majority");
    assert_eq!(create.retry(), Retry::Never);
}

#[test]
fn reads_may_be_sent_again_as_reads() {
    let (filter, find, count, distinct) = (doc! {}, Default::default(), Default::default(), Default::default());
    assert_eq!(Find::new(NAMESPACE, &filter, &find).unwrap().retry(), Retry::Read);
    assert_eq!(Count { namespace: NAMESPACE, options: &count }.retry(), Retry::Read);
    let distinct = Distinct {
        namespace: NAMESPACE,
        field: "legs",
        filter: &filter,
        options: &distinct,
        limits: NestingLimits::DEFAULT,
    };
    assert_eq!(distinct.retry(), Retry::Read);
}

#[test]
fn find_and_modify_without_acknowledgment_has_a_hint_since_mongodb_4_4_and_is_sent_once() {
    let filter = doc! {};
    let options = FindOneAndUpdateOptions::default().hint("name_1");
    let find_and_modify =
        |options| FindAndModify { namespace: NAMESPACE, filter: &filter, change: Change::Remove, options };
    assert_eq!(find_and_modify(&options).retry(), Retry::Write);
    assert!(find_and_modify(&options).build(&server(8)).is_ok(), "the server itself reports that it does not know it");
    let silent = options.clone().write_concern(WriteConcern::unacknowledged());
    assert_eq!(find_and_modify(&silent).retry(), Retry::Never);
    assert!(find_and_modify(&silent).build(&server(8)).is_err());
    assert!(!find_and_modify(&silent).build(&server(9)).unwrap().acknowledged);
}

/// What a command of a batch is, and how many statements it has.
fn next(batch: &mut WriteBatcher<'_>) -> (String, usize) {
    let command = batch.build(&server(17)).unwrap();
    (command.name.to_owned(), command.sequence.map_or(0, |sequence| sequence.count))
}

fn acknowledge(batch: &mut WriteBatcher<'_>, count: i32) {
    batch.read(reply(&rawdoc! { "ok": 1, "n": count, "nModified": count }), &address()).unwrap();
}

fn reply(document: &RawDocument) -> Reply {
    Reply::of(document.to_owned())
}

fn update(multi: bool) -> Statement {
    Statement { kind: WriteKind::Update, multi, document: rawdoc! { "q": {}, "u": { "$set": { "a": 1 } } } }
}

#[test]
fn a_batch_is_cut_by_the_limits_of_the_server_at_hand() {
    let options = BulkWriteOptions::default();
    let mut batch = WriteBatcher::new(NAMESPACE, &options, NestingLimits::DEFAULT).unwrap();
    for index in 0..5 {
        batch.insert(index, &doc! { "_id": index as i32 }).unwrap();
        assert!(!batch.is_full(), "before a server is known, the usual limits count");
    }
    assert_eq!(next(&mut batch), ("insert".to_owned(), 3));
    assert_eq!(next(&mut batch), ("insert".to_owned(), 3), "built again, it is the same command");
    acknowledge(&mut batch, 3);
    assert_eq!(next(&mut batch), ("insert".to_owned(), 2));
    acknowledge(&mut batch, 2);
    assert!(!batch.has_statements());
    // From now on the limits of that server are known.
    for index in 5..8 {
        batch.insert(index, &doc! { "_id": index as i32 }).unwrap();
        assert!(!batch.is_full());
    }
    batch.insert(8, &doc! { "_id": 8 }).unwrap();
    assert!(batch.is_full());
    let result = batch.into_outcome().single().unwrap();
    assert_eq!((result.inserted_count, result.inserted_ids.len()), (5, 5));
}

#[test]
fn a_batch_is_cut_by_the_length_of_a_message() {
    let options = BulkWriteOptions::default();
    let mut batch = WriteBatcher::new(NAMESPACE, &options, NestingLimits::DEFAULT).unwrap();
    let mut limits = server(17);
    limits.max_message_size_bytes = 18_000;
    let filler = "x".repeat(900);
    for index in 0..3 {
        batch.insert(index, &doc! { "_id": index as i32, "filler": &filler }).unwrap();
    }
    let count = batch.build(&limits).unwrap().sequence.map(|sequence| (sequence.count, sequence.documents.len()));
    assert!(matches!(count, Some((1, length)) if length < 1000), "{count:?}");
}

#[test]
fn statements_of_one_kind_travel_together() {
    let options = BulkWriteOptions::default();
    let mut batch = WriteBatcher::new(NAMESPACE, &options, NestingLimits::DEFAULT).unwrap();
    batch.insert(0, &doc! { "_id": 0 }).unwrap();
    assert!(!batch.is_full());
    batch.add(1, &update(false));
    assert!(batch.is_full(), "two kinds are two commands");
    batch.add(2, &update(false));
    assert_eq!(next(&mut batch), ("insert".to_owned(), 1));
    acknowledge(&mut batch, 1);
    assert_eq!(next(&mut batch), ("update".to_owned(), 2));
    acknowledge(&mut batch, 2);
    assert!(!batch.has_statements() && !batch.has_stopped());
}

#[test]
fn what_stands_before_a_document_that_is_too_large_is_sent() {
    let options = BulkWriteOptions::default();
    let mut batch = WriteBatcher::new(NAMESPACE, &options, NestingLimits::DEFAULT).unwrap();
    batch.insert(0, &doc! { "_id": 0 }).unwrap();
    batch.insert(1, &doc! { "_id": 1, "filler": "x".repeat(1000) }).unwrap();
    assert_eq!(next(&mut batch), ("insert".to_owned(), 1));
    acknowledge(&mut batch, 1);
    let error = batch.build(&server(17)).err().unwrap();
    assert!(error.to_string().contains("maxBsonObjectSize"), "{error}");
}

/// A command that may change several documents must not be sent twice, nor may one without acknowledgment.
#[test]
fn a_command_of_a_batch_is_retryable_without_multi_and_with_acknowledgment() {
    let options = BulkWriteOptions::default();
    let mut batch = WriteBatcher::new(NAMESPACE, &options, NestingLimits::DEFAULT).unwrap();
    batch.add(0, &update(false));
    assert_eq!(batch.retry(), Retry::Write);
    batch.insert(1, &doc! { "_id": 1 }).unwrap();
    assert_eq!(batch.retry(), Retry::Write);
    let mut batch = WriteBatcher::new(NAMESPACE, &options, NestingLimits::DEFAULT).unwrap();
    batch.add(0, &update(false));
    batch.add(1, &update(true));
    assert_eq!(batch.retry(), Retry::Never);
    let options = BulkWriteOptions::default().write_concern(WriteConcern::unacknowledged());
    let mut batch = WriteBatcher::new(NAMESPACE, &options, NestingLimits::DEFAULT).unwrap();
    batch.insert(0, &doc! { "_id": 0 }).unwrap();
    assert_eq!(batch.retry(), Retry::Never);
    assert!(!batch.build(&server(17)).unwrap().acknowledged);
    batch.read(Reply::of_unacknowledged(), &address()).unwrap();
    let result = batch.into_outcome().single().unwrap();
    assert_eq!((result.inserted_count, result.inserted_ids.len()), (0, 1));
}

#[test]
fn statements_added_after_a_partial_send_keep_their_index() {
    let options = BulkWriteOptions::default();
    let mut batch = WriteBatcher::new(NAMESPACE, &options, NestingLimits::DEFAULT).unwrap();
    for index in 0..4 {
        batch.insert(index, &doc! { "_id": 10 + index as i32 }).unwrap();
    }
    next(&mut batch);
    acknowledge(&mut batch, 3);
    batch.insert(4, &doc! { "_id": 14 }).unwrap();
    let documents: Vec<u8> = batch.build(&server(17)).unwrap().sequence.unwrap().documents.to_vec();
    let expected: Vec<u8> = [13, 14].iter().flat_map(|id| RawDocumentBuf::into_bytes(rawdoc! { "_id": *id })).collect();
    assert_eq!(documents, expected);
    let failed = rawdoc! { "ok": 1, "n": 1, "writeErrors": [{ "index": 1, "code": 11000, "errmsg": "twice" }] };
    batch.read(reply(&failed), &address()).unwrap();
    assert!(batch.has_stopped());
    let outcome = batch.into_outcome();
    assert_eq!(outcome.write_errors[0].index, 4);
    assert_eq!(outcome.result.inserted_ids.len(), 4);
}

#[test]
fn the_limits_that_timeout_overrides_are_taken_out_and_nothing_else() {
    for (given, kept) in [
        (rawdoc! { "a": 1 }, rawdoc! { "a": 1 }),
        (
            rawdoc! { "a": { "maxTimeMS": 1 }, "maxTimeMS": 5_i64, "b": [2] },
            rawdoc! { "a": { "maxTimeMS": 1 }, "b": [2] },
        ),
        (
            rawdoc! { "writeConcern": { "w": 1, "wtimeout": 7, "j": true }, "b": 2 },
            rawdoc! { "b": 2, "writeConcern": { "w": 1, "j": true } },
        ),
        (rawdoc! { "writeConcern": { "w": 1 }, "b": 2 }, rawdoc! { "writeConcern": { "w": 1 }, "b": 2 }),
        (rawdoc! { "a": 1, "writeConcern": { "wtimeout": 7_i64 }, "maxTimeMS": 1 }, rawdoc! { "a": 1 }),
    ] {
        let mut body = Body::from(given);
        body.remove_overridden_limits().unwrap();
        assert_eq!(body.finish(), kept);
    }
}
