//! What a session of the program's remembers from one operation to the next.

use bson::{RawDocument, Timestamp};

use super::cluster_time::ClusterTime;
use super::server_session::{ServerSession, SessionId};
use crate::error::{Error, Result};
use crate::options::SessionOptions;

/// What a session of the program's remembers.
#[derive(Debug)]
pub(crate) struct SessionState {
    pub(super) server_session: Box<ServerSession>,
    /// Whether each operation sees what the ones before it saw and did.
    pub(super) is_causal: bool,
    /// Whether all operations read the data of the same moment.
    pub(super) is_snapshot: bool,
    pub(super) cluster_time: Option<ClusterTime>,
    pub(super) operation_time: Option<Timestamp>,
    pub(super) snapshot_time: Option<Timestamp>,
}

impl SessionState {
    /// Checks the options.
    pub(crate) fn check(options: &SessionOptions) -> Result<()> {
        let snapshot = options.snapshot == Some(true);
        if snapshot && options.causal_consistency == Some(true) {
            return Err(Error::invalid_argument("a session cannot be both causally consistent and a snapshot")
                .with_hint("leave causal_consistency out: a snapshot session does without it"));
        }
        if options.snapshot_time.is_some() && !snapshot {
            return Err(Error::invalid_argument("snapshot_time is for a session with snapshot(true)"));
        }
        Ok(())
    }

    pub(crate) fn new(server_session: Box<ServerSession>, options: &SessionOptions) -> Self {
        let is_snapshot = options.snapshot == Some(true);
        SessionState {
            server_session,
            is_causal: options.causal_consistency.unwrap_or(!is_snapshot),
            is_snapshot,
            cluster_time: None,
            operation_time: None,
            snapshot_time: options.snapshot_time,
        }
    }

    pub(crate) fn id(&self) -> SessionId {
        self.server_session.id()
    }

    pub(crate) fn into_server_session(self) -> Box<ServerSession> {
        self.server_session
    }

    pub(crate) fn is_dirty(&self) -> bool {
        self.server_session.is_dirty()
    }

    /// Whether this process started it.
    pub(crate) fn is_ours(&self) -> bool {
        self.server_session.is_ours()
    }

    pub(crate) fn cluster_time(&self) -> Option<&ClusterTime> {
        self.cluster_time.as_ref()
    }

    pub(crate) fn operation_time(&self) -> Option<Timestamp> {
        self.operation_time
    }

    pub(crate) fn snapshot_time(&self) -> Option<Timestamp> {
        self.snapshot_time
    }

    pub(crate) fn advance_cluster_time(&mut self, to: &ClusterTime) {
        if self.cluster_time.as_ref().is_none_or(|time| time < to) {
            self.cluster_time = Some(to.clone());
        }
    }

    pub(crate) fn advance_operation_time(&mut self, to: Timestamp) {
        self.operation_time = self.operation_time.max(Some(to));
    }

    /// The first read of a snapshot session has told at which moment all others read.
    pub(super) fn read_snapshot_time(&mut self, reply: &RawDocument) {
        if !self.is_snapshot || self.snapshot_time.is_some() {
            return;
        }
        let of_cursor = reply.get_document("cursor").and_then(|cursor| cursor.get_timestamp("atClusterTime"));
        self.snapshot_time = of_cursor.or_else(|_| reply.get_timestamp("atClusterTime")).ok();
    }
}
