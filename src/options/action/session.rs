//! Options of sessions and transactions.

use std::time::Duration;

use bson::Timestamp;

use super::action_options;
use crate::options::{ReadConcern, SelectionCriteria, WriteConcern};
use crate::serde_util;

action_options! {
    /// Options of [`Client::start_session`](crate::Client::start_session).
    SessionOptions with start_session_setters {
        /// Whether each operation of the session sees what those before it have read and written. Unset: yes, unless `snapshot`
        /// is set. Writes that are not acknowledged cannot be part of a session.
        causal_consistency: bool,
        /// Whether all reads of the session read the data of the same moment: that of the first one, or `snapshot_time`. Needs
        /// MongoDB 5.0 and a replica set or a sharded cluster; other operations than `find`, `aggregate` and `distinct` are
        /// refused by the server.
        snapshot: bool,
        /// The moment that a snapshot session reads, for instance the
        /// [`snapshot_time`](crate::ClientSession::snapshot_time) of another one.
        snapshot_time: Timestamp,
        /// What its transactions do unless [`start_transaction`](crate::ClientSession::start_transaction) is told otherwise.
        default_transaction_options: TransactionOptions,
    }
}

action_options! {
    /// Options of [`ClientSession::start_transaction`](crate::ClientSession::start_transaction). What is unset is taken from the
    /// session's `default_transaction_options`, and what is unset there too from the client. A database's and a collection's own do
    /// not apply within a transaction.
    TransactionOptions with start_transaction_setters {
        /// The read concern of all its reads. It is sent with the first command.
        #[serde(skip_serializing)]
        read_concern: ReadConcern,
        /// The write concern of its commit. An unacknowledged one is an error.
        #[serde(skip_serializing)]
        write_concern: WriteConcern,
        /// Which servers its reads go to. Reads with another read preference than `primary` are an error.
        #[serde(skip_serializing, alias = "readPreference")]
        selection_criteria criteria SelectionCriteria,
        /// How long the server may work on one commit (`maxTimeMS`), if `timeoutMS` is not given. Whole milliseconds.
        #[serde(rename = "maxTimeMS", alias = "maxCommitTimeMS", with = "serde_util::optional_millis")]
        max_commit_time: Duration,
    }
}
