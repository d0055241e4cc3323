//! Options of reads.

use std::time::Duration;

use bson::{Bson, Document};
use serde::{Deserialize, Serialize};

use super::{Hint, action_options};
use crate::options::{Collation, ReadConcern, SelectionCriteria, WriteConcern};
use crate::serde_util;

/// What a cursor does at the end of its results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum CursorType {
    /// It ends.
    #[default]
    NonTailable,
    /// It stays open for what is added later (capped collections). Its iteration ends where there is nothing new, and may be begun
    /// again. On a collection without a matching document the server opens none, and the iteration ends at once.
    Tailable,
    /// It stays open, and its iteration waits for what is added later. The server holds each request for a while. On a collection
    /// without a matching document the server opens none, and the iteration ends at once.
    TailableAwait,
}

action_options! {
    /// Options of [`Collection::find`](crate::Collection::find).
    FindOptions with find_setters {
        /// The order.
        sort: Document,
        /// The fields to return.
        projection: Document,
        /// How many documents to leave out first.
        skip: u64,
        /// The most documents to return; 0 for no limit. Negative: at most that many in one batch, which a smaller
        /// `batch_size` and the server's limit of 16 MiB for a reply make smaller.
        #[serde(serialize_with = "serde_util::magnitude")]
        limit: i64,
        /// Documents in a batch; 0 opens the cursor with an empty first batch.
        #[serde(with = "serde_util::optional_i32")]
        batch_size: u32,
        /// The index to use.
        hint into Hint,
        /// A note for the server's logs and profiler.
        comment into Bson,
        /// How long the server may work on it, if `timeoutMS` is not given.
        #[serde(rename = "maxTimeMS", alias = "maxTime", with = "serde_util::optional_millis")]
        max_time: Duration,
        /// The exclusive upper bound of the index keys; needs `hint`.
        max: Document,
        /// The inclusive lower bound of the index keys; needs `hint`.
        min: Document,
        /// Return the index keys only.
        return_key: bool,
        /// Add `$recordId` to each document.
        show_record_id: bool,
        /// How strings are compared.
        collation: Collation,
        /// Variables that the filter may use as `$$name` (`let`).
        #[serde(rename = "let")]
        let_vars: Document,
        /// Whether the server may use temporary files.
        allow_disk_use: bool,
        /// What the cursor does at the end.
        #[serde(skip_serializing)]
        cursor_type: CursorType,
        /// How long the server waits for news (`TailableAwait` only); by default a second. More than zero, and less than `timeoutMS`.
        #[serde(skip_serializing, alias = "maxAwaitTimeMS", deserialize_with = "serde_util::optional_millis::deserialize")]
        max_await_time: Duration,
        /// Keep the cursor open while nobody asks.
        no_cursor_timeout: bool,
        /// Return what the reachable shards have.
        allow_partial_results: bool,
        /// The read concern, instead of the collection's.
        #[serde(skip_serializing)]
        read_concern: ReadConcern,
        /// Which servers it may go to, instead of the collection's choice.
        #[serde(skip_serializing, alias = "readPreference")]
        selection_criteria criteria SelectionCriteria,
    }
}

action_options! {
    /// Options of [`Collection::find_one`](crate::Collection::find_one).
    FindOneOptions into FindOptions with find_one_setters {
        /// The order, of which the first is returned.
        sort: Document,
        /// The fields to return.
        projection: Document,
        /// How many documents to leave out first.
        skip: u64,
        /// The index to use.
        hint into Hint,
        /// A note for the server's logs and profiler.
        comment into Bson,
        /// How long the server may work on it, if `timeoutMS` is not given.
        #[serde(rename = "maxTimeMS", alias = "maxTime", with = "serde_util::optional_millis")]
        max_time: Duration,
        /// The exclusive upper bound of the index keys; needs `hint`.
        max: Document,
        /// The inclusive lower bound of the index keys; needs `hint`.
        min: Document,
        /// Return the index keys only.
        return_key: bool,
        /// Add `$recordId` to the document.
        show_record_id: bool,
        /// How strings are compared.
        collation: Collation,
        /// Variables that the filter may use as `$$name` (`let`).
        #[serde(rename = "let")]
        let_vars: Document,
        /// Whether the server may use temporary files.
        allow_disk_use: bool,
        /// Return what the reachable shards have.
        allow_partial_results: bool,
        /// The read concern, instead of the collection's.
        #[serde(skip_serializing)]
        read_concern: ReadConcern,
        /// Which servers it may go to, instead of the collection's choice.
        #[serde(skip_serializing, alias = "readPreference")]
        selection_criteria criteria SelectionCriteria,
    }
}

action_options! {
    /// Options of `aggregate` on a collection or a database.
    AggregateOptions with aggregate_setters {
        /// Whether the server may use temporary files.
        allow_disk_use: bool,
        /// Documents in a batch.
        #[serde(rename(serialize = "cursor"), serialize_with = "serde_util::cursor_of_batch_size")]
        batch_size: u32,
        /// Let `$out` and `$merge` write what the collection's validator refuses.
        bypass_document_validation: bool,
        /// How strings are compared.
        collation: Collation,
        /// A note for the server's logs and profiler.
        comment into Bson,
        /// The index to use.
        hint into Hint,
        /// Variables that the stages may use as `$$name` (`let`).
        #[serde(rename = "let")]
        let_vars: Document,
        /// How long the server may work on it, if `timeoutMS` is not given.
        #[serde(rename = "maxTimeMS", alias = "maxTime", with = "serde_util::optional_millis")]
        max_time: Duration,
        /// How long the server waits for news, where the cursor is tailable. More than zero, and less than `timeoutMS`.
        #[serde(skip_serializing, alias = "maxAwaitTimeMS", deserialize_with = "serde_util::optional_millis::deserialize")]
        max_await_time: Duration,
        /// The read concern, instead of the collection's.
        #[serde(skip_serializing)]
        read_concern: ReadConcern,
        /// Which servers it may go to, instead of the collection's choice.
        #[serde(skip_serializing, alias = "readPreference")]
        selection_criteria criteria SelectionCriteria,
        /// The write concern of `$out` and `$merge`, instead of the collection's.
        #[serde(skip_serializing)]
        write_concern: WriteConcern,
    }
}

action_options! {
    /// Options of [`Collection::count_documents`](crate::Collection::count_documents).
    CountOptions with count_setters {
        /// How many documents to leave out first.
        skip: u64,
        /// The most to count.
        limit: u64,
        /// The index to use.
        hint into Hint,
        /// How strings are compared.
        collation: Collation,
        /// A note for the server's logs and profiler.
        comment into Bson,
        /// How long the server may work on it, if `timeoutMS` is not given.
        #[serde(rename = "maxTimeMS", alias = "maxTime", with = "serde_util::optional_millis")]
        max_time: Duration,
        /// The read concern, instead of the collection's.
        #[serde(skip_serializing)]
        read_concern: ReadConcern,
        /// Which servers it may go to, instead of the collection's choice.
        #[serde(skip_serializing, alias = "readPreference")]
        selection_criteria criteria SelectionCriteria,
    }
}

action_options! {
    /// Options of [`Collection::estimated_document_count`](crate::Collection::estimated_document_count).
    EstimatedDocumentCountOptions with estimated_document_count_setters {
        /// A note for the server's logs and profiler.
        comment into Bson,
        /// How long the server may work on it, if `timeoutMS` is not given.
        #[serde(rename = "maxTimeMS", alias = "maxTime", with = "serde_util::optional_millis")]
        max_time: Duration,
        /// The read concern, instead of the collection's.
        #[serde(skip_serializing)]
        read_concern: ReadConcern,
        /// Which servers it may go to, instead of the collection's choice.
        #[serde(skip_serializing, alias = "readPreference")]
        selection_criteria criteria SelectionCriteria,
    }
}

action_options! {
    /// Options of [`Collection::distinct`](crate::Collection::distinct).
    DistinctOptions with distinct_setters {
        /// How strings are compared.
        collation: Collation,
        /// A note for the server's logs and profiler.
        comment into Bson,
        /// The index to use (MongoDB 7.1 and later).
        hint into Hint,
        /// How long the server may work on it, if `timeoutMS` is not given.
        #[serde(rename = "maxTimeMS", alias = "maxTime", with = "serde_util::optional_millis")]
        max_time: Duration,
        /// The read concern, instead of the collection's.
        #[serde(skip_serializing)]
        read_concern: ReadConcern,
        /// Which servers it may go to, instead of the collection's choice.
        #[serde(skip_serializing, alias = "readPreference")]
        selection_criteria criteria SelectionCriteria,
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn a_limit_is_written_without_its_sign() {
        for limit in [5, -5] {
            let written = bson::serialize_to_document(&FindOptions::default().limit(limit)).unwrap();
            assert_eq!(written, doc! { "limit": 5_i64 });
        }
    }
}
