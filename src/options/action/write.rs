//! Options of writes.

use std::time::Duration;

use bson::{Bson, Document};
use serde::{Deserialize, Serialize};

use super::{Hint, action_options};
use crate::options::{Collation, WriteConcern};
use crate::serde_util;

/// Which form of the document `find_one_and_update` and `find_one_and_replace` return.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReturnDocument {
    /// As it was before.
    #[default]
    #[serde(alias = "Before")]
    Before,
    /// As it is now.
    #[serde(alias = "After")]
    After,
}

/// What an update does: operators, or a pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum UpdateModifications {
    /// Update operators: `{ "$set": { .. } }`.
    Document(Document),
    /// The stages of a pipeline: `[{ "$set": { .. } }]`.
    Pipeline(Vec<Document>),
}

impl From<Document> for UpdateModifications {
    fn from(update: Document) -> Self {
        UpdateModifications::Document(update)
    }
}

impl<const N: usize> From<[Document; N]> for UpdateModifications {
    fn from(pipeline: [Document; N]) -> Self {
        UpdateModifications::Pipeline(pipeline.into())
    }
}

impl From<Vec<Document>> for UpdateModifications {
    fn from(pipeline: Vec<Document>) -> Self {
        UpdateModifications::Pipeline(pipeline)
    }
}

action_options! {
    /// Options of [`Collection::insert_one`](crate::Collection::insert_one).
    InsertOneOptions into BulkWriteOptions with insert_one_setters {
        /// Write what the collection's validator refuses.
        bypass_document_validation: bool,
        /// A note for the server's logs and profiler.
        comment into Bson,
        /// The write concern, instead of the collection's.
        #[serde(skip_serializing)]
        write_concern: WriteConcern,
    }
}

action_options! {
    /// Options of [`Collection::insert_many`](crate::Collection::insert_many).
    InsertManyOptions into BulkWriteOptions with insert_many_setters {
        /// Stop at the first failure (the default), or go on with the rest.
        ordered: bool,
        /// Write what the collection's validator refuses.
        bypass_document_validation: bool,
        /// A note for the server's logs and profiler.
        comment into Bson,
        /// The write concern, instead of the collection's.
        #[serde(skip_serializing)]
        write_concern: WriteConcern,
    }
}

action_options! {
    /// Options of `update_one` and `update_many`.
    UpdateOptions with update_setters {
        /// Which elements of arrays `$[name]` means.
        array_filters each Vec<Document>,
        /// Write what the collection's validator refuses.
        bypass_document_validation: bool,
        /// Insert a document if none matches.
        upsert: bool,
        /// How strings are compared.
        collation: Collation,
        /// The index to use.
        hint into Hint,
        /// Which of several matches `update_one` takes (MongoDB 8.0 and later).
        sort: Document,
        /// Variables that the filter and the update may use as `$$name` (`let`).
        #[serde(rename = "let")]
        let_vars: Document,
        /// A note for the server's logs and profiler.
        comment into Bson,
        /// The write concern, instead of the collection's.
        #[serde(skip_serializing)]
        write_concern: WriteConcern,
    }
}

action_options! {
    /// Options of [`Collection::replace_one`](crate::Collection::replace_one).
    ReplaceOptions into UpdateOptions with replace_setters {
        /// Write what the collection's validator refuses.
        bypass_document_validation: bool,
        /// Insert the document if none matches.
        upsert: bool,
        /// How strings are compared.
        collation: Collation,
        /// The index to use.
        hint into Hint,
        /// Which of several matches is replaced (MongoDB 8.0 and later).
        sort: Document,
        /// Variables that the filter may use as `$$name` (`let`).
        #[serde(rename = "let")]
        let_vars: Document,
        /// A note for the server's logs and profiler.
        comment into Bson,
        /// The write concern, instead of the collection's.
        #[serde(skip_serializing)]
        write_concern: WriteConcern,
    }
}

action_options! {
    /// Options of `delete_one` and `delete_many`.
    DeleteOptions into UpdateOptions with delete_setters {
        /// How strings are compared.
        collation: Collation,
        /// The index to use.
        hint into Hint,
        /// Variables that the filter may use as `$$name` (`let`).
        #[serde(rename = "let")]
        let_vars: Document,
        /// A note for the server's logs and profiler.
        comment into Bson,
        /// The write concern, instead of the collection's.
        #[serde(skip_serializing)]
        write_concern: WriteConcern,
    }
}

action_options! {
    /// Options of [`Collection::find_one_and_delete`](crate::Collection::find_one_and_delete).
    FindOneAndDeleteOptions into FindOneAndUpdateOptions with find_one_and_delete_setters {
        /// Which of several matches is taken.
        sort: Document,
        /// The fields to return.
        projection: Document,
        /// How strings are compared.
        collation: Collation,
        /// The index to use.
        hint into Hint,
        /// Variables that the filter may use as `$$name` (`let`).
        #[serde(rename = "let")]
        let_vars: Document,
        /// How long the server may work on it, if `timeoutMS` is not given.
        #[serde(rename = "maxTimeMS", alias = "maxTime", with = "serde_util::optional_millis")]
        max_time: Duration,
        /// A note for the server's logs and profiler.
        comment into Bson,
        /// The write concern, instead of the collection's.
        #[serde(skip_serializing)]
        write_concern: WriteConcern,
    }
}

action_options! {
    /// Options of [`Collection::find_one_and_replace`](crate::Collection::find_one_and_replace).
    FindOneAndReplaceOptions into FindOneAndUpdateOptions with find_one_and_replace_setters {
        /// Write what the collection's validator refuses.
        bypass_document_validation: bool,
        /// Which form to return.
        return_document: ReturnDocument,
        /// Insert the document if none matches.
        upsert: bool,
        /// Which of several matches is taken.
        sort: Document,
        /// The fields to return.
        projection: Document,
        /// How strings are compared.
        collation: Collation,
        /// The index to use.
        hint into Hint,
        /// Variables that the filter may use as `$$name` (`let`).
        #[serde(rename = "let")]
        let_vars: Document,
        /// How long the server may work on it, if `timeoutMS` is not given.
        #[serde(rename = "maxTimeMS", alias = "maxTime", with = "serde_util::optional_millis")]
        max_time: Duration,
        /// A note for the server's logs and profiler.
        comment into Bson,
        /// The write concern, instead of the collection's.
        #[serde(skip_serializing)]
        write_concern: WriteConcern,
    }
}

action_options! {
    /// Options of [`Collection::find_one_and_update`](crate::Collection::find_one_and_update).
    FindOneAndUpdateOptions with find_one_and_update_setters {
        /// Which elements of arrays `$[name]` means.
        array_filters each Vec<Document>,
        /// Write what the collection's validator refuses.
        bypass_document_validation: bool,
        /// Which form to return.
        return_document: ReturnDocument,
        /// Insert a document if none matches.
        upsert: bool,
        /// Which of several matches is taken.
        sort: Document,
        /// The fields to return.
        projection: Document,
        /// How strings are compared.
        collation: Collation,
        /// The index to use.
        hint into Hint,
        /// Variables that the filter and the update may use as `$$name` (`let`).
        #[serde(rename = "let")]
        let_vars: Document,
        /// How long the server may work on it, if `timeoutMS` is not given.
        #[serde(rename = "maxTimeMS", alias = "maxTime", with = "serde_util::optional_millis")]
        max_time: Duration,
        /// A note for the server's logs and profiler.
        comment into Bson,
        /// The write concern, instead of the collection's.
        #[serde(skip_serializing)]
        write_concern: WriteConcern,
    }
}

action_options! {
    /// Options of [`Collection::bulk_write`](crate::Collection::bulk_write).
    BulkWriteOptions with bulk_write_setters {
        /// Stop at the first failure (the default), or go on with the rest, in whatever order suits.
        ordered: bool,
        /// Write what the collection's validator refuses.
        bypass_document_validation: bool,
        /// Variables that filters and updates may use as `$$name` (`let`).
        #[serde(rename = "let")]
        let_vars: Document,
        /// A note for the server's logs and profiler.
        comment into Bson,
        /// The write concern, instead of the collection's.
        #[serde(skip_serializing)]
        write_concern: WriteConcern,
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn the_order_of_a_bulk_write_is_written_where_it_is_set() {
        let written = |options: BulkWriteOptions| bson::serialize_to_document(&options).unwrap();
        assert_eq!(written(BulkWriteOptions::default()), doc! {});
        assert_eq!(written(BulkWriteOptions::default().ordered(false)), doc! { "ordered": false });
    }
}
