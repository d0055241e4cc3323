//! The driver's results as the documents that the files expect.

use std::collections::HashMap;

use bson::{Bson, Document, bson, doc};
use mongo_blocking::results::{BulkWriteResult, DeleteResult, InsertManyResult, InsertOneResult, UpdateResult};

pub fn insert_one(result: &InsertOneResult) -> Bson {
    bson!({"insertedId": result.inserted_id.clone()})
}

pub fn insert_many(result: &InsertManyResult) -> Bson {
    bson!({
        "insertedIds": by_index(&result.inserted_ids),
        "insertedCount": count(result.inserted_ids.len() as u64),
        "deletedCount": 0,
        "matchedCount": 0,
        "modifiedCount": 0,
        "upsertedCount": 0,
        "upsertedIds": {},
    })
}

pub fn update(result: &UpdateResult) -> Bson {
    let mut document = doc! {
        "matchedCount": count(result.matched_count),
        "modifiedCount": count(result.modified_count),
        "upsertedCount": i32::from(result.upserted_id.is_some()),
    };
    if let Some(id) = &result.upserted_id {
        document.insert("upsertedId", id.clone());
    }
    Bson::Document(document)
}

pub fn delete(result: &DeleteResult) -> Bson {
    bson!({"deletedCount": count(result.deleted_count)})
}

pub fn bulk_write(result: &BulkWriteResult) -> Bson {
    bson!({
        "insertedCount": count(result.inserted_count),
        "matchedCount": count(result.matched_count),
        "modifiedCount": count(result.modified_count),
        "deletedCount": count(result.deleted_count),
        "upsertedCount": count(result.upserted_count),
        "insertedIds": by_index(&result.inserted_ids),
        "upsertedIds": by_index(&result.upserted_ids),
    })
}

/// A count as BSON; no test counts beyond 2^63.
pub fn count(count: u64) -> Bson {
    Bson::Int64(i64::try_from(count).unwrap_or(i64::MAX))
}

fn by_index(ids: &HashMap<usize, Bson>) -> Document {
    let mut indexes: Vec<&usize> = ids.keys().collect();
    indexes.sort();
    indexes.into_iter().map(|index| (index.to_string(), ids[index].clone())).collect()
}
