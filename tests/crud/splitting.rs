//! Many documents, large documents, and iterators that do something themselves.

use mongo_blocking::bson::{Bson, Document, RawDocumentBuf, doc, rawdoc, spec::BinarySubtype};
use mongo_blocking::error::ErrorKind;
use mongo_blocking_test_server::peers::Mongod;

use super::Watched;

#[test]
fn more_than_100_000_documents_go_in_two_commands() {
    let Some(mongod) = Mongod::shared_with_auth("6.0") else { return };
    let watched = Watched::new(mongod, "");
    let tiny = watched.collection("tiny").clone_with_type::<RawDocumentBuf>();
    let done = tiny.insert_many((0..100_002).map(|n| rawdoc! {"_id": n})).run().unwrap();
    assert_eq!(done.inserted_ids.len(), 100_002);
    assert_eq!(done.inserted_ids[&100_001], Bson::Int32(100_001));
    let sent: Vec<usize> = watched.sent("insert").iter().map(|c| c.get_array("documents").unwrap().len()).collect();
    assert_eq!(sent, [100_000, 2]);
    assert_eq!(tiny.count_documents(doc! {}).run().unwrap(), 100_002);
}

/// Every tenth is a duplicate: the place of each is right, and finding what was inserted takes no longer than sending it.
#[test]
fn unordered_errors_have_their_place_over_two_commands() {
    let Some(mongod) = Mongod::shared_with_auth("6.0") else { return };
    let watched = Watched::new(mongod, "");
    let twice = watched.collection("twice").clone_with_type::<RawDocumentBuf>();
    twice.insert_one(rawdoc! {"_id": 0}).run().unwrap();
    let id = |n: i32| if n % 10 == 0 { 0 } else { n };
    let error = twice.insert_many((0..100_011).map(|n| rawdoc! {"_id": id(n)})).ordered(false).run().unwrap_err();
    let ErrorKind::InsertMany(failed) = error.kind() else { panic!("{error:?}") };
    let places: Vec<usize> = failed.write_errors().iter().map(|e| e.index).collect();
    let expected: Vec<usize> = (0..100_011).step_by(10).collect();
    assert!(places == expected, "{} places", places.len());
    assert!(failed.write_errors().iter().all(|e| e.code == 11_000));
    assert_eq!(failed.inserted_ids().len(), 100_011 - expected.len());
    assert_eq!(failed.inserted_ids()[&100_009], Bson::Int32(100_009));
    assert!(!failed.inserted_ids().contains_key(&100_010));
    assert_eq!(watched.sent("insert").len(), 3, "one document, 100,000, and the rest");
}

#[test]
fn more_than_48_mb_go_in_two_commands() {
    let Some(mongod) = Mongod::shared_with_auth("6.0") else { return };
    let watched = Watched::new(mongod, "");
    let large = watched.collection("large").clone_with_type::<RawDocumentBuf>();
    large.insert_many((0..4).map(|n| sized(n, 15_000_000))).run().unwrap();
    let sent: Vec<usize> = watched.sent("insert").iter().map(|c| c.get_array("documents").unwrap().len()).collect();
    assert_eq!(sent, [3, 1]);
    assert_eq!(large.count_documents(doc! {}).run().unwrap(), 4);
    large.drop().run().unwrap();
}

#[test]
fn a_document_that_is_too_large_is_refused_before_it_is_sent() {
    let Some(mongod) = Mongod::shared_with_auth("6.0") else { return };
    let watched = Watched::new(mongod, "");
    let large = watched.collection("too_large").clone_with_type::<RawDocumentBuf>();
    let error = large.insert_one(sized(0, 16 * 1024 * 1024)).run().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::BsonSerialization(_)), "{error:?}");
    let length = sized(0, 16 * 1024 * 1024).as_bytes().len();
    assert!(error.to_string().contains(&length.to_string()) && error.to_string().contains("16777216"), "{error}");
    assert!(watched.sent("insert").is_empty());
    // In an ordered insert_many, what stands before it is there.
    let error = large.insert_many([rawdoc! {"_id": 1}, sized(2, 16 * 1024 * 1024)]).run().unwrap_err();
    let ErrorKind::InsertMany(failed) = error.kind() else { panic!("{error:?}") };
    assert_eq!(failed.inserted_ids().len(), 1);
    assert_eq!(large.count_documents(doc! {}).run().unwrap(), 1);
}

/// The documents come out of a cursor of the same client, whose only connection must be free for its next batches.
#[test]
fn insert_many_reads_from_a_cursor_on_a_pool_of_one() {
    let Some(mongod) = Mongod::shared_with_auth("6.0") else { return };
    let watched = Watched::new(mongod, "maxPoolSize=1&waitQueueTimeoutMS=3000");
    let (from, to) = (watched.collection("pool_of_one_from"), watched.collection("pool_of_one_to"));
    from.insert_many((0..10).map(|n| doc! {"_id": n}).collect::<Vec<_>>()).run().unwrap();
    let read = from.find(doc! {}).batch_size(2).run().unwrap();
    let copied = to.insert_many(read.map(|document| document.unwrap())).run().unwrap();
    assert_eq!(copied.inserted_ids.len(), 10);
    assert_eq!(to.count_documents(doc! {}).run().unwrap(), 10);
}

/// Two cursors take turns on one connection.
#[test]
fn two_cursors_on_a_pool_of_one() {
    let Some(mongod) = Mongod::shared_with_auth("6.0") else { return };
    let watched = Watched::new(mongod, "maxPoolSize=1&waitQueueTimeoutMS=3000");
    let numbers = watched.collection("two_cursors");
    numbers.insert_many((0..6).map(|n| doc! {"_id": n}).collect::<Vec<_>>()).run().unwrap();
    let open = || numbers.find(doc! {}).sort(doc! {"_id": 1}).batch_size(2).run().unwrap();
    let pairs: Vec<(Document, Document)> = open().zip(open()).map(|(a, b)| (a.unwrap(), b.unwrap())).collect();
    assert_eq!(pairs.len(), 6);
    assert!(pairs.iter().all(|(a, b)| a == b));
}

fn sized(id: i32, bytes: usize) -> RawDocumentBuf {
    let filler = mongo_blocking::bson::Binary { subtype: BinarySubtype::Generic, bytes: vec![0; bytes] };
    rawdoc! {"_id": id, "filler": filler}
}
