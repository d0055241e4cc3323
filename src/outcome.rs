//! What operations answer.

use std::collections::HashMap;

use bson::{Bson, Document};
use serde::{Deserialize, Serialize};

use crate::serde_util;

/// What an `insert_one` did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct InsertOneResult {
    /// The document's `_id`: its own, or the one that the driver made.
    pub inserted_id: Bson,
}

/// What an `insert_many` did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct InsertManyResult {
    /// The `_id` of each inserted document, by its place in the call.
    pub inserted_ids: HashMap<usize, Bson>,
}

/// What an update or a replacement did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct UpdateResult {
    /// How many documents matched the filter.
    pub matched_count: u64,
    /// How many documents were changed.
    pub modified_count: u64,
    /// The `_id` of the document that an upsert inserted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upserted_id: Option<Bson>,
}

/// What a delete did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DeleteResult {
    /// How many documents were deleted.
    pub deleted_count: u64,
}

/// What a bulk write did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct BulkWriteResult {
    /// How many documents were inserted, upserts not counted.
    pub inserted_count: u64,
    /// How many documents matched the filters of updates and replacements.
    pub matched_count: u64,
    /// How many documents were changed.
    pub modified_count: u64,
    /// How many documents were deleted.
    pub deleted_count: u64,
    /// How many documents upserts inserted.
    pub upserted_count: u64,
    /// The `_id` of each inserted document, by its write's place in the call.
    pub inserted_ids: HashMap<usize, Bson>,
    /// The `_id` of each upserted document, by its write's place in the call.
    pub upserted_ids: HashMap<usize, Bson>,
}

/// What a `create_index` did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CreateIndexResult {
    /// The index's name.
    pub index_name: String,
}

/// What a `create_indexes` did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CreateIndexesResult {
    /// The indexes' names, in the order of the call.
    pub index_names: Vec<String>,
}

/// A database, as the server lists it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[non_exhaustive]
pub struct DatabaseSpecification {
    /// Its name.
    pub name: String,
    /// How many bytes its files take.
    #[serde(deserialize_with = "serde_util::count")]
    pub size_on_disk: u64,
    /// Whether it holds no data.
    pub empty: bool,
    /// How many bytes its files take on each shard, by the shard's name; `None` where the deployment has no shards.
    pub shards: Option<Document>,
}

#[cfg(test)]
mod tests {
    use bson::{bson, doc};

    use super::*;

    #[test]
    fn the_size_of_a_database_is_a_number_of_any_type() {
        for size in [bson!(4096), bson!(4096_i64), bson!(4096.0)] {
            let listed = doc! { "name": "shop", "sizeOnDisk": size, "empty": false };
            let database: DatabaseSpecification = bson::deserialize_from_document(listed).unwrap();
            assert_eq!(database.size_on_disk, 4096);
        }
        bson::deserialize_from_document::<DatabaseSpecification>(doc! { "sizeOnDisk": -1 }).unwrap_err();
    }
}
