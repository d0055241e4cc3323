//! Cursors of the tiny store: what is left of a result, handed out in batches.

use std::collections::HashMap;

use bson::{Bson, Document, doc};

use super::{Answer, name_of, whole};
use crate::answers::{error, integer, truth};

/// Open cursors by id.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    last: i64,
    open: HashMap<i64, Cursor>,
}

#[derive(Debug)]
struct Cursor {
    namespace: String,
    rest: std::vec::IntoIter<Document>,
}

impl Cursors {
    /// The first batch of `found`, as `options` (`batchSize`, `singleBatch`) want it.
    pub(super) fn open(&mut self, namespace: &str, found: Vec<Document>, options: &Document) -> Answer {
        let size = if options.contains_key("batchSize") { whole(options, "batchSize")? } else { FIRST_BATCH };
        let mut rest = found.into_iter();
        let batch = take_batch(&mut rest, size);
        let id = if rest.len() == 0 || truth(options.get("singleBatch")) {
            0
        } else {
            self.last += 1;
            self.open.insert(self.last, Cursor { namespace: namespace.to_owned(), rest });
            self.last
        };
        Ok(doc! {"cursor": {"firstBatch": batch, "id": id, "ns": namespace}, "ok": 1.0})
    }

    /// The next batch.
    pub(super) fn get_more(&mut self, database: &str, command: &Document) -> Answer {
        let id = integer(command.get("getMore")).unwrap_or(0);
        let namespace = format!("{database}.{}", command.get_str("collection").unwrap_or_default());
        let cursor = self.open.get_mut(&id).ok_or_else(|| error(43, &format!("cursor id {id} not found")))?;
        if cursor.namespace != namespace {
            return Err(error(13, &format!("cursor id {id} belongs to {}", cursor.namespace)));
        }
        let size = match whole(command, "batchSize")? {
            0 => usize::MAX,
            size => size,
        };
        let batch = take_batch(&mut cursor.rest, size);
        let left = cursor.rest.len();
        if left == 0 {
            self.open.remove(&id);
        }
        let id = if left == 0 { 0 } else { id };
        Ok(doc! {"cursor": {"nextBatch": batch, "id": id, "ns": namespace}, "ok": 1.0})
    }

    /// Forgets cursors.
    pub(super) fn kill(&mut self, command: &Document) -> Answer {
        name_of(command)?;
        let ids = command.get_array("cursors").map_err(|_| error(14, "cursors must be an array"))?;
        let (killed, unknown): (Vec<Bson>, Vec<Bson>) =
            ids.iter().cloned().partition(|id| integer(Some(id)).is_some_and(|id| self.open.remove(&id).is_some()));
        Ok(doc! {
            "cursorsKilled": killed, "cursorsNotFound": unknown, "cursorsAlive": [], "cursorsUnknown": [], "ok": 1.0,
        })
    }
}

/// At most `size` documents and, but for the first of them, at most a message's worth of bytes.
fn take_batch(rest: &mut std::vec::IntoIter<Document>, size: usize) -> Vec<Bson> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    while batch.len() < size {
        let Some(next) = rest.as_slice().first() else { break };
        bytes += next.to_vec().map_or(0, |b| b.len());
        if bytes > BATCH_BYTES && !batch.is_empty() {
            break;
        }
        batch.extend(rest.next().map(Bson::Document));
    }
    batch
}

/// How many documents a first batch has when nobody asks for another number.
const FIRST_BATCH: usize = 101;
/// A batch's bytes.
const BATCH_BYTES: usize = 16 * 1024 * 1024;
