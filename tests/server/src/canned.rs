//! Answers made beforehand, for measurements: the server costs next to nothing, so what is measured is the client.

use bson::raw::cstr;
use bson::{RawArrayBuf, RawDocumentBuf, rawdoc};

use crate::wire::{self, Forge, OP_MSG, Request};

/// Prebuilt answers to ping, insert, find and getMore. Everything else, logging in first of all, goes the usual way.
///
/// An insert is answered as one of one document. A find, whatever it asks for, gets all the documents in batches of at
/// most 16 MiB.
#[derive(Debug)]
pub struct Answers {
    ping: Vec<u8>,
    insert: Vec<u8>,
    /// The answer to a find, then those to the getMores, in order. All cursors have the same id, which each answer but
    /// the last repeats, as real servers do.
    batches: Vec<Vec<u8>>,
}

impl Answers {
    /// Builds the answers; every find returns `documents`.
    ///
    /// # Panics
    /// If a document does not fit in a batch.
    pub fn new(documents: impl IntoIterator<Item = RawDocumentBuf>) -> Answers {
        let mut groups = vec![RawArrayBuf::new()];
        for document in documents {
            let last = groups.last().expect("there is always one");
            if last.as_bytes().len() + document.as_bytes().len() + KEY_BYTES > BATCH_BYTES {
                groups.push(RawArrayBuf::new());
            }
            groups.last_mut().expect("there is always one").push(document);
        }
        let count = groups.len();
        let batches = groups.into_iter().enumerate().map(|(at, group)| batch(at, count, group)).collect();
        let insert = message(&rawdoc! {"n": 1, "ok": 1.0});
        Answers { ping: message(&rawdoc! {"ok": 1.0}), insert, batches }
    }

    /// The answer to a message, its responseTo still 0; `None` if the usual way is the one to go.
    ///
    /// `next_batch` is the connection's own: the place of what its next getMore gets.
    pub(crate) fn to(&self, message: &[u8], next_batch: &mut usize) -> Option<&[u8]> {
        let int = |at: usize| message.get(at..at + 4).and_then(|b| b.try_into().ok()).map(i32::from_le_bytes);
        // OP_MSG without flags, its body first.
        if int(12)? != OP_MSG || int(16)? != 0 || *message.get(20)? != 0 {
            return None;
        }
        let element = message.get(25..)?;
        let end = element.iter().take(LONGEST_NAME).position(|b| *b == 0)?;
        let answer = match element.get(1..end)? {
            b"ping" => &self.ping,
            b"insert" => &self.insert,
            b"find" => {
                *next_batch = 1;
                self.batches.first()?
            }
            b"getMore" => {
                let batch = self.batches.get(*next_batch)?;
                *next_batch += 1;
                batch
            }
            _ => return None,
        };
        Some(answer)
    }
}

/// `count` documents of exactly 1,024 bytes: a number, a float, strings, an array and a nested document in each.
pub fn documents(count: usize) -> impl Iterator<Item = RawDocumentBuf> {
    (0..count).map(|n| {
        let number = n as i64;
        let mut document = rawdoc! {
            "_id": n as i32,
            "number": number,
            "score": number as f64 / 7.0,
            "name": format!("name-{n:08}"),
            "active": n % 2 == 0,
            "tags": ["red", "green", "blue"],
            "place": {"city": "Sample City", "zip": format!("{:05}", n % 100_000)},
        };
        // An element's type, its name and their end, a string's length and its end.
        let filler = DOCUMENT_BYTES - document.as_bytes().len() - 1 - FILLER.len() - 1 - 4 - 1;
        document.append(cstr!("filler"), "x".repeat(filler));
        document
    })
}

fn batch(at: usize, count: usize, group: RawArrayBuf) -> Vec<u8> {
    let name = if at == 0 { cstr!("firstBatch") } else { cstr!("nextBatch") };
    let id = if at + 1 == count { 0 } else { CURSOR };
    let mut cursor = RawDocumentBuf::new();
    cursor.append(name, group);
    cursor.append(cstr!("id"), id);
    cursor.append(cstr!("ns"), "bench.documents");
    message(&rawdoc! {"cursor": cursor, "ok": 1.0})
}

fn message(body: &RawDocumentBuf) -> Vec<u8> {
    let request = Request {
        request_id: 0,
        flags: 0,
        legacy: false,
        database: String::new(),
        body: bson::Document::new(),
        bytes: Vec::new(),
    };
    wire::reply_bytes(&request, body, &Forge::default())
}

/// Bytes of each document of [`documents`].
pub const DOCUMENT_BYTES: usize = 1024;
const FILLER: &str = "filler";
/// As servers fill a batch.
const BATCH_BYTES: usize = 16 * 1024 * 1024;
/// The number of every cursor.
const CURSOR: i64 = 1;
/// Type, key and end of an array's element, generously.
const KEY_BYTES: usize = 16;
/// No command here has a longer name.
const LONGEST_NAME: usize = 16;

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn documents_are_a_kibibyte_each() {
        for document in documents(300) {
            assert_eq!(document.as_bytes().len(), DOCUMENT_BYTES);
        }
    }

    #[test]
    fn batches_follow_each_other() {
        let answers = Answers::new(documents(20_000));
        let mut command = doc! {"find": "c", "$db": "d"};
        let (mut found, mut rounds, mut next) = (0, 0, 0);
        loop {
            let asked = wire::command_bytes(9, &command).unwrap();
            let answer = answers.to(&asked, &mut next).unwrap();
            let answer = bson::RawDocument::from_bytes(&answer[21..]).unwrap();
            let cursor = answer.get_document("cursor").unwrap();
            let batch = cursor.get_array("firstBatch").or_else(|_| cursor.get_array("nextBatch")).unwrap();
            (found, rounds) = (found + batch.into_iter().count(), rounds + 1);
            match cursor.get_i64("id").unwrap() {
                0 => break,
                id => command = doc! {"getMore": id, "collection": "c", "$db": "d"},
            }
        }
        assert_eq!((found, rounds), (20_000, 2));
        assert!(answers.to(&wire::command_bytes(9, &doc! {"hello": 1, "$db": "d"}).unwrap(), &mut next).is_none());
    }
}
