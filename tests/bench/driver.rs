//! The same work through the driver.

use std::hint::black_box;
use std::thread;

use mongo_blocking::bson::{Document, RawDocumentBuf, doc};
use mongo_blocking::{Client, Collection};
use mongo_blocking_test_server::canned::{DOCUMENT_BYTES, documents};

use crate::measure::Work;
use crate::process::Server;
use crate::row::{Row, THREADS};
use crate::sample::Sample;

/// The driver's side of a row.
pub fn work(row: Row, server: &Server) -> Work {
    let client = connect(&server.uri());
    let expected = server.documents;
    match row {
        Row::Ping => Box::new(move |operations| (0..operations).for_each(|_| client.ping().expect("ping"))),
        Row::Insert => insert(&client),
        Row::FindRaw => find(expected, move || read_raw(&found(&client))),
        Row::FindTyped => find(expected, move || read_all::<Sample>(&found(&client))),
        Row::FindDocument => find(expected, move || read_all::<Document>(&found(&client))),
        Row::Threads => threads(client),
        Row::Login => login(server.uri()),
    }
}

/// A ping, an insert, a find to its end, on one connection.
pub fn each_once(uri: &str) {
    let client = connect(uri);
    client.ping().expect("ping");
    insert(&client)(1);
    read_raw(&found(&client));
}

/// What [`each_once`] and the rows find.
pub fn fill(server: &Server) {
    let collection: Collection<RawDocumentBuf> = found(&connect(&server.uri()));
    let all: Vec<RawDocumentBuf> = documents(server.documents).collect();
    for some in all.chunks(10_000) {
        collection.insert_many(some).run().expect("insert_many");
    }
}

fn connect(uri: &str) -> Client {
    Client::with_uri_str(uri).expect("a client")
}

/// The collection that the canned server has, too.
fn found<T: Send + Sync>(client: &Client) -> Collection<T> {
    client.database("bench").collection("documents")
}

fn insert(client: &Client) -> Work {
    let collection: Collection<Sample> = client.database("bench").collection("inserted");
    let sample = Sample::to_insert();
    Box::new(move |operations| {
        for _ in 0..operations {
            collection.insert_one(&sample).run().expect("insert_one");
        }
    })
}

fn find(expected: usize, read: impl Fn() -> usize + 'static) -> Work {
    Box::new(move |operations| (0..operations).for_each(|_| assert_eq!(read(), expected)))
}

fn read_raw(collection: &Collection<RawDocumentBuf>) -> usize {
    let mut cursor = collection.find(doc! {}).run().expect("find");
    let mut count = 0;
    while cursor.advance().expect("a document") {
        assert_eq!(black_box(cursor.current()).as_bytes().len(), DOCUMENT_BYTES);
        count += 1;
    }
    count
}

fn read_all<T>(collection: &Collection<T>) -> usize
where
    T: Send + Sync + serde::de::DeserializeOwned + 'static,
{
    let mut count = 0;
    for document in collection.find(doc! {}).run().expect("find") {
        black_box(document.expect("a document"));
        count += 1;
    }
    count
}

fn threads(client: Client) -> Work {
    Box::new(move |operations| {
        let client = &client;
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(move || {
                    (0..operations / THREADS as u64).for_each(|_| client.ping().expect("ping"));
                });
            }
        });
    })
}

fn login(uri: String) -> Work {
    Box::new(move |operations| (0..operations).for_each(|_| connect(&uri).ping().expect("ping")))
}
