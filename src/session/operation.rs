//! The session that one operation runs in, over all its commands and attempts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::raw::cstr;
use bson::spec::ElementType;
use bson::{RawDocument, RawDocumentBuf};

use super::pool::Sessions;
use super::server_session::ServerSession;
use super::state::SessionState;
use super::transaction::{Pin, Transaction, TransactionState};
use crate::bson_ext::plain_fields;
use crate::deadline::Deadline;
use crate::description::{ServerDescription, ServerType, WireVersion};
use crate::error::{Error, FaultKind, Result, Stage};
use crate::operation::body::Body;
use crate::operation::{Access, Command, Target};
use crate::options::ServerAddress;
use crate::pool::{PinnedConnection, PooledConnection, Purpose};
use crate::wire::Reply;

/// The type of documents.
const DOCUMENT: u8 = ElementType::EmbeddedDocument as u8;

/// The commands that take part in causal consistency: those with a read concern, and those that write.
const CAUSAL: &[&str] = &[
    "aggregate",
    "count",
    "create",
    "createIndexes",
    "delete",
    "distinct",
    "drop",
    "dropDatabase",
    "dropIndexes",
    "find",
    "findAndModify",
    "insert",
    "update",
];
/// Commands about what another command has opened. That one had the read concern.
const WITHOUT_READ_CONCERN: &[&str] = &["getMore", "killCursors"];
/// What the driver adds to the commands of a transaction.
const OF_TRANSACTION: &[&str] = &["autocommit", "readConcern", "startTransaction", "txnNumber"];

/// The session of one operation. A server session that was taken for it goes back to the pool when this is dropped, hence after
/// the connection.
pub(crate) enum OperationSession<'a> {
    /// None.
    Absent,
    /// One for this operation alone.
    Implicit(TakenSession<'a>),
    /// One of the program's.
    Explicit(&'a mut SessionState),
}

/// A session that the driver takes for one operation.
pub(crate) struct TakenSession<'a> {
    sessions: &'a Sessions,
    /// Taken when a connection is there for the first command.
    server_session: Option<Box<ServerSession>>,
}

impl<'a> OperationSession<'a> {
    /// A session for one operation alone.
    pub(crate) fn implicit(sessions: &'a Sessions) -> Self {
        OperationSession::Implicit(TakenSession { sessions, server_session: None })
    }

    /// The session that a cursor has kept.
    pub(crate) fn of_cursor(sessions: &'a Sessions, server_session: Option<Box<ServerSession>>) -> Self {
        match server_session {
            Some(_) => OperationSession::Implicit(TakenSession { sessions, server_session }),
            None => OperationSession::Absent,
        }
    }

    /// The server session, for a cursor to keep. A session of the program's stays with the program.
    pub(crate) fn into_server_session(mut self) -> Option<Box<ServerSession>> {
        match &mut self {
            OperationSession::Implicit(implicit) => {
                let mut session = implicit.server_session.take()?;
                implicit.sessions.lend(&mut session);
                Some(session)
            }
            OperationSession::Absent | OperationSession::Explicit(_) => None,
        }
    }

    /// Adds to a command what its session and the time of the cluster ask for. `server` is that of its connection, `timeout`
    /// how long servers keep sessions. It is `now`.
    ///
    /// # Errors
    /// For a session of the program's: where the server has no sessions, where the command is not acknowledged, and where a
    /// snapshot is wanted of a server before MongoDB 5.0; in a transaction, for a command of the caller's that has a field which the
    /// transaction gives it.
    pub(crate) fn complete(
        &mut self,
        command: &mut Command<'_>,
        server: &ServerDescription,
        timeout: Option<Duration>,
        sessions: &Sessions,
        now: Instant,
    ) -> Result<()> {
        let supported = server.logical_session_timeout_minutes.is_some();
        let composed = command.is_composed_by_caller;
        match self {
            OperationSession::Absent => {}
            OperationSession::Implicit(implicit) => {
                let named_by_caller = composed && matches!(command.body.get("lsid"), Ok(Some(_)));
                if supported && command.acknowledged && !named_by_caller {
                    implicit.server_session(timeout, now)?.append_to(&mut command.body, now);
                }
            }
            OperationSession::Explicit(state) => {
                check_explicit(state, command, server)?;
                state.server_session.append_to(&mut command.body, now);
                sessions.lend(&mut state.server_session);
                match state.transaction.state() {
                    TransactionState::None => append_read_concern(state, command, server),
                    _ => {
                        let after = state.operation_time.filter(|_| state.is_causal);
                        state.transaction.complete(command, state.server_session.txn_number(), after);
                    }
                }
            }
        }
        let has_cluster_time = server.server_type != ServerType::Standalone
            && !(composed && matches!(command.body.get("$clusterTime"), Ok(Some(_))));
        if has_cluster_time {
            let of_session = match self {
                OperationSession::Explicit(state) => state.cluster_time.as_ref(),
                _ => None,
            };
            sessions.append_cluster_time(&mut command.body, of_session);
        }
        Ok(())
    }

    /// A number for a write that the server is to recognise if it comes a second time; all attempts at it have the same one.
    /// `None`: no server session was taken, since the server has none or the write is not acknowledged.
    pub(crate) fn next_txn_number(&mut self) -> Option<i64> {
        Some(self.server_session_mut()?.next_txn_number())
    }

    /// An exchange on the network failed: the server may still be at work for the session, so no other operation uses it.
    pub(crate) fn mark_dirty(&mut self) {
        if let Some(session) = self.server_session_mut() {
            session.mark_dirty();
        }
        if let OperationSession::Explicit(state) = self {
            state.transaction.sent();
        }
    }

    /// Whether the operation is part of a transaction, or ends one.
    pub(crate) fn is_in_transaction(&self) -> bool {
        matches!(self, OperationSession::Explicit(state) if state.transaction.state() != TransactionState::None)
    }

    /// By when an operation must end that must end by `deadline`.
    pub(crate) fn limit(&self, deadline: Deadline) -> Deadline {
        match self {
            OperationSession::Explicit(state) => {
                state.transaction.limit().map_or(deadline, |limit| limit.earliest(deadline))
            }
            OperationSession::Absent | OperationSession::Implicit(_) => deadline,
        }
    }

    /// What the operation's transaction is bound to, before the operation chooses its server.
    ///
    /// # Errors
    /// For a read in a transaction from another server than the primary.
    pub(crate) fn bind(&mut self, target: Target<'_>, access: Access) -> Result<Pin> {
        self.transaction_mut().map_or(Ok(Pin::Nothing), |transaction| transaction.bind(target, access))
    }

    /// The connection that a cursor in the session's transaction needs, behind a load balancer.
    pub(crate) fn pinned_connection(&self) -> Option<Arc<PinnedConnection>> {
        match self {
            OperationSession::Explicit(state) if state.transaction.is_running() => match state.transaction.pin() {
                Pin::Connection(pin) => Some(pin.clone()),
                Pin::Nothing | Pin::Router(_) => None,
            },
            _ => None,
        }
    }

    /// The operation's command is about to be sent to this server on this connection. Those of its transaction that follow need the
    /// same mongos or, behind a load balancer, the same connection.
    pub(crate) fn pin(&mut self, server: &Arc<ServerAddress>, connection: &mut PooledConnection) {
        let Some(transaction) = self.transaction_mut().filter(|transaction| transaction.is_running()) else { return };
        match transaction.pin() {
            Pin::Nothing if connection.description().server_type == ServerType::Mongos => transaction.pin_to(server),
            Pin::Connection(pin) => connection.pin_to(pin, Purpose::Transaction),
            Pin::Nothing | Pin::Router(_) => {}
        }
    }

    /// What an error of an attempt means for the operation's transaction, and the labels that it gets.
    pub(crate) fn failed(&mut self, error: Error) -> Error {
        match self.transaction_mut() {
            Some(transaction) => transaction.failed(error),
            None => error,
        }
    }

    /// The operation that failed is tried again.
    pub(crate) fn tries_again(&mut self) {
        if let Some(transaction) = self.transaction_mut() {
            transaction.tries_again();
        }
    }

    fn transaction_mut(&mut self) -> Option<&mut Transaction> {
        match self {
            OperationSession::Explicit(state) => Some(&mut state.transaction),
            OperationSession::Absent | OperationSession::Implicit(_) => None,
        }
    }

    /// Learns from a reply, of an error too, what time it is in the cluster.
    pub(crate) fn replied(&mut self, reply: &Reply, sessions: &Sessions) {
        if !reply.may_have_times() && !matches!(self, OperationSession::Explicit(_)) {
            return;
        }
        let reply = reply.document();
        let mut operation_time = None;
        for (element_type, name, value) in plain_fields(reply) {
            match (element_type, name) {
                (DOCUMENT, b"$clusterTime") => {
                    if let Ok(time) = RawDocument::from_bytes(value) {
                        sessions.cluster_time_reported(time);
                        if let OperationSession::Explicit(state) = self {
                            super::ClusterTime::advance(&mut state.cluster_time, time);
                        }
                    }
                }
                (_, b"operationTime") => operation_time = reply.get_timestamp("operationTime").ok(),
                (DOCUMENT, b"recoveryToken") => {
                    if let (OperationSession::Explicit(state), Ok(token)) = (&mut *self, RawDocument::from_bytes(value))
                    {
                        state.transaction.recovery_token_reported(token);
                    }
                }
                _ => {}
            }
        }
        if let OperationSession::Explicit(state) = self {
            if let Some(time) = operation_time {
                state.advance_operation_time(time);
            }
            state.read_snapshot_time(reply);
            state.transaction.sent();
        }
    }

    fn server_session_mut(&mut self) -> Option<&mut ServerSession> {
        match self {
            OperationSession::Absent => None,
            OperationSession::Implicit(implicit) => implicit.server_session.as_deref_mut(),
            OperationSession::Explicit(state) => Some(&mut state.server_session),
        }
    }
}

impl TakenSession<'_> {
    /// The server session, taken from the pool the first time.
    fn server_session(&mut self, timeout: Option<Duration>, now: Instant) -> Result<&mut ServerSession> {
        let session = match self.server_session.take() {
            Some(session) => session,
            None => self.sessions.take(timeout, now)?,
        };
        Ok(self.server_session.insert(session))
    }
}

impl Drop for TakenSession<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.server_session.take() {
            // Saves a look at the clock: whoever takes it next looks whether it is about to expire.
            let last_use = session.last_use();
            self.sessions.give_back(session, last_use);
        }
    }
}

fn check_explicit(state: &SessionState, command: &Command<'_>, server: &ServerDescription) -> Result<()> {
    if server.logical_session_timeout_minutes.is_none() {
        return Err(Error::new(
            FaultKind::SessionsNotSupported,
            Stage::Options,
            "the server does not support sessions",
        )
        .with_hint("it reports no logicalSessionTimeoutMinutes; leave the session out"));
    }
    if !command.acknowledged {
        return Err(Error::invalid_argument("a write that is not acknowledged (w: 0) cannot be part of a session")
            .with_hint("leave the session out, or use another write concern"));
    }
    if command.is_composed_by_caller && matches!(command.body.get("lsid"), Ok(Some(_))) {
        return Err(Error::invalid_argument("the command names a session (lsid) besides the one that it is run in"));
    }
    if command.is_composed_by_caller && state.transaction.is_running() {
        let named = |key: &&&str| matches!(command.body.get(**key), Ok(Some(_)));
        if let Some(key) = OF_TRANSACTION.iter().find(named) {
            return Err(Error::transaction(format!("a command of a transaction cannot have a {key} of its own"))
                .with_hint("leave it out; start_transaction takes the read concern of a transaction"));
        }
    }
    if state.is_snapshot && server.max_wire_version < WireVersion::MONGODB_5_0 {
        return Err(Error::incompatible_server("Snapshot reads require MongoDB 5.0 or later"));
    }
    if server.server_type == ServerType::Standalone && state.transaction.state() != TransactionState::None {
        return Err(Error::transaction("Transactions are not supported by this deployment")
            .with_hint("they need a replica set or a sharded cluster; a replica set of one member will do"));
    }
    Ok(())
}

/// Adds to the command's read concern since when, or as of when, it reads.
fn append_read_concern(state: &SessionState, command: &mut Command<'_>, server: &ServerDescription) {
    if state.is_snapshot {
        // Also for commands that take no read concern: then the server refuses them, which it should.
        if !WITHOUT_READ_CONCERN.contains(&command.name) {
            let mut concern = RawDocumentBuf::new();
            concern.append(cstr!("level"), "snapshot");
            if let Some(time) = state.snapshot_time {
                concern.append(cstr!("atClusterTime"), time);
            }
            set_read_concern(&mut command.body, concern);
        }
        return;
    }
    let Some(time) = state.operation_time.filter(|_| state.is_causal) else { return };
    if command.is_composed_by_caller || server.server_type == ServerType::Standalone || !CAUSAL.contains(&command.name)
    {
        return;
    }
    let mut concern = match command.body.get_document("readConcern") {
        Ok(concern) => concern.to_owned(),
        Err(_) => RawDocumentBuf::new(),
    };
    concern.append(cstr!("afterClusterTime"), time);
    set_read_concern(&mut command.body, concern);
}

/// Puts the read concern in the place of the one that is there.
fn set_read_concern(body: &mut Body, concern: RawDocumentBuf) {
    if matches!(body.get("readConcern"), Ok(Some(_))) {
        let mut rest = Body::empty();
        for (key, value) in body.iter().flatten() {
            if key.as_str() != "readConcern" {
                rest.append(key, value);
            }
        }
        *body = rest;
    }
    body.append(cstr!("readConcern"), concern);
}
