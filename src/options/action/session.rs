//! Options of sessions.

use bson::Timestamp;

use super::action_options;

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
    }
}
