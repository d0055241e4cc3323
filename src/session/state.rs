//! What a session of the program's remembers from one operation to the next.

use bson::{RawDocument, Timestamp};

use super::cluster_time::ClusterTime;
use super::server_session::{ServerSession, SessionId};
use super::transaction::Transaction;
use crate::error::{Error, Result};
use crate::options::{SessionOptions, TransactionOptions, WriteConcern};

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
    pub(crate) transaction: Transaction,
    /// What its transactions do unless they are told otherwise.
    transaction_defaults: TransactionOptions,
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
            transaction: Transaction::default(),
            transaction_defaults: options.default_transaction_options.clone().unwrap_or_default(),
        }
    }

    pub(crate) fn id(&self) -> SessionId {
        self.server_session.id()
    }

    pub(crate) fn into_server_session(mut self) -> Box<ServerSession> {
        self.transaction.reset();
        self.server_session
    }

    /// Starts a transaction. What its options leave open is taken from the session's, and then from the client's (`defaults`).
    ///
    /// # Errors
    /// In a session that has a transaction already, or a snapshot, and for a write concern that no server acknowledges.
    pub(crate) fn start_transaction(
        &mut self,
        options: TransactionOptions,
        defaults: TransactionOptions,
        load_balanced: bool,
    ) -> Result<()> {
        if self.is_snapshot {
            return Err(Error::transaction("Transactions are not supported in snapshot sessions")
                .with_hint("start a session without snapshot(true)"));
        }
        if self.transaction.is_running() {
            return Err(Error::transaction("Transaction already in progress")
                .with_hint("commit it or abort it, or use another session"));
        }
        let of_session = self.transaction_defaults.clone();
        let options = TransactionOptions {
            read_concern: options.read_concern.or(of_session.read_concern).or(defaults.read_concern),
            write_concern: options.write_concern.or(of_session.write_concern).or(defaults.write_concern),
            selection_criteria: options
                .selection_criteria
                .or(of_session.selection_criteria)
                .or(defaults.selection_criteria),
            max_commit_time: options.max_commit_time.or(of_session.max_commit_time).or(defaults.max_commit_time),
        };
        if !options.write_concern.as_ref().is_none_or(WriteConcern::is_acknowledged) {
            return Err(Error::transaction("transactions do not support unacknowledged write concerns")
                .with_hint("start_transaction takes a write concern, which goes before that of the client"));
        }
        self.server_session.next_txn_number();
        self.transaction.start(options, load_balanced);
        Ok(())
    }

    /// An operation begins that neither commits nor aborts: a transaction that has ended is forgotten.
    pub(crate) fn begin_operation(&mut self) {
        if self.transaction.has_ended() {
            self.transaction.reset();
        }
    }

    pub(crate) fn is_dirty(&self) -> bool {
        self.server_session.is_dirty()
    }

    /// Whether this process started it.
    pub(crate) fn is_ours(&self) -> bool {
        self.server_session.is_ours()
    }

    /// # Errors
    /// Where another process started it.
    pub(crate) fn check_process(&self) -> Result<()> {
        if self.is_ours() {
            return Ok(());
        }
        Err(Error::invalid_argument("this process was forked, and the session belongs to its parent")
            .with_hint("start a session in the child"))
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
