//! Sessions of the program's: [`ClientSession`], and the action that starts one.

use std::sync::Arc;
use std::time::Instant;

use bson::{Document, Timestamp};

use super::Client;
use crate::error::{Error, Result};
use crate::operation::Operation;
use crate::options::action::start_session_setters;
use crate::options::{ServerAddress, SessionOptions, TransactionOptions};
use crate::session::{ClusterTime, OperationSession, Pin, SessionState, Transaction, TransactionState};

/// The setter `session` of an action that holds `session: Option<&'a mut ClientSession>`. The lifetime is the action's.
macro_rules! session_setter {
    ($lifetime:lifetime) => {
        /// Runs the operation in this session. With a write concern of `w: 0` that is an error.
        pub fn session(mut self, session: &$lifetime mut $crate::client::ClientSession) -> Self {
            self.session = Some(session);
            self
        }
    };
}

/// The setter `session` of an action whose cursor is read in the session. `S` is the type of its field `session`; the fields are the
/// others.
macro_rules! cursor_session_setter {
    ($lifetime:lifetime, $action:ident<$($parameter:ty),* $(; $after:ty)?> { $($field:ident),* }) => {
        /// Opens the cursor in this session, in which it is also read: `run` returns a
        /// [`SessionCursor`](crate::SessionCursor).
        pub fn session(
            self,
            session: &$lifetime mut $crate::client::ClientSession,
        ) -> $action<$lifetime, $($parameter,)* $crate::client::ExplicitSession<$lifetime> $(, $after)?> {
            self.replace_session($crate::client::ExplicitSession(session)).0
        }

        /// The same with another session, and the session that it had.
        fn replace_session<N>(self, session: N) -> ($action<$lifetime, $($parameter,)* N $(, $after)?>, S) {
            ($action { $($field: self.$field,)* session }, self.session)
        }
    };
}

pub(crate) use cursor_session_setter;
pub(crate) use session_setter;

/// Marks an action that was given no session: the driver takes one for its cursor alone.
#[derive(Debug)]
pub struct ImplicitSession;

/// Marks an action that was given a session, in which its cursor is opened and read.
#[derive(Debug)]
pub struct ExplicitSession<'a>(pub(crate) &'a mut ClientSession);

impl Client {
    /// Starts a session, in which operations are run one after the other by their `session`.
    ///
    /// Unless the options say otherwise it is causally consistent: what one of its operations has read or written, the next one
    /// sees, whichever member of the replica set it goes to. [`guide::sessions`](crate::guide::sessions) tells more.
    ///
    /// ```no_run
    /// # fn f(client: mongo_blocking::Client) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::{Document, doc};
    ///
    /// let mut session = client.start_session().run()?;
    /// let animals = client.database("zoo").collection::<Document>("animals");
    /// animals.insert_one(doc! { "name": "Zoe" }).session(&mut session).run()?;
    /// let zoe = animals.find_one(doc! { "name": "Zoe" }).session(&mut session).run()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn start_session(&self) -> StartSession<'_> {
        StartSession { client: self, options: SessionOptions::default() }
    }

    /// Executes an operation, in a session of the program's or in one that is taken for this operation alone.
    pub(crate) fn execute<O: Operation>(
        &self,
        operation: &mut O,
        session: Option<&mut ClientSession>,
    ) -> Result<O::Output> {
        let inner = self.inner();
        inner.execute(operation, &mut self.operation_session(session)?, inner.operation_deadline(), None)
    }

    /// The session of an operation that is about to begin.
    pub(crate) fn operation_session<'a>(
        &'a self,
        session: Option<&'a mut ClientSession>,
    ) -> Result<OperationSession<'a>> {
        match session {
            None => Ok(OperationSession::implicit(self.inner().sessions())),
            Some(session) => session.for_operation(self),
        }
    }
}

/// The action that [`Client::start_session`] makes.
#[must_use = "no session is started until `run`"]
#[derive(Debug)]
pub struct StartSession<'a> {
    client: &'a Client,
    options: SessionOptions,
}

impl StartSession<'_> {
    start_session_setters! {}

    /// Starts it. Nothing is sent: a server learns of a session with its first operation.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) where both `snapshot` and `causal_consistency`
    /// are set to true, and for `snapshot_time` without `snapshot`; [`ErrorKind::Io`](crate::error::ErrorKind::Io) where the
    /// operating system has no random bytes for an id.
    pub fn run(self) -> Result<ClientSession> {
        SessionState::check(&self.options)?;
        let inner = self.client.inner();
        let server_session = inner.sessions().take(inner.topology().session_timeout(), Instant::now())?;
        let state = SessionState::new(server_session, &self.options);
        Ok(ClientSession { client: self.client.clone(), id: state.id().to_document(), state: Some(state) })
    }
}

/// A session: operations that are run in it, one after the other, belong together.
///
/// [`Client::start_session`] starts it, and dropping it ends it; a transaction in progress is aborted then, over an idle connection if
/// there is one. It belongs to one client, to one thread at a time (every
/// operation borrows it mutably), and to one process: in a child after a `fork`, a session of the parent is an error.
///
/// A session should be used within a minute after it was started, and not be left unused for longer than the servers keep it
/// (`localLogicalSessionTimeoutMinutes`, 30 minutes): they forget it then.
///
/// An operation in a session that has ended does not compile:
///
/// ```compile_fail
/// # fn f(client: mongo_blocking::Client) -> mongo_blocking::Result<()> {
/// let mut session = client.start_session().run()?;
/// drop(session);
/// client.list_database_names().session(&mut session).run()?;
/// # Ok(())
/// # }
/// ```
pub struct ClientSession {
    client: Client,
    id: Document,
    /// There until it is dropped.
    state: Option<SessionState>,
}

impl ClientSession {
    /// The client that started it.
    ///
    /// ```no_run
    /// # fn f(session: mongo_blocking::ClientSession) -> mongo_blocking::Result<()> {
    /// session.client().ping()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Its id, the `lsid` of its commands. Another session may have the same id after this one has ended, never at the same time.
    ///
    /// ```no_run
    /// # fn f(session: mongo_blocking::ClientSession) {
    /// println!("{}", session.id());
    /// # }
    /// ```
    pub fn id(&self) -> &Document {
        &self.id
    }

    /// The highest cluster time that the session has seen. `None` before its first operation, and always where the deployment
    /// has none, as a standalone server.
    ///
    /// ```no_run
    /// # fn f(session: mongo_blocking::ClientSession) {
    /// println!("{:?}", session.cluster_time());
    /// # }
    /// ```
    pub fn cluster_time(&self) -> Option<&ClusterTime> {
        self.state().cluster_time()
    }

    /// When its last operation took place, in the cluster's logical time. `None` before its first operation, and always where
    /// the deployment has no such time, as a standalone server.
    ///
    /// ```no_run
    /// # fn f(session: mongo_blocking::ClientSession) {
    /// println!("{:?}", session.operation_time());
    /// # }
    /// ```
    pub fn operation_time(&self) -> Option<Timestamp> {
        self.state().operation_time()
    }

    /// The moment that a snapshot session reads. `None` before its first read unless the options name it, and always in other
    /// sessions.
    ///
    /// ```no_run
    /// # fn f(client: mongo_blocking::Client) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::{Document, doc};
    ///
    /// let animals = client.database("zoo").collection::<Document>("animals");
    /// let mut session = client.start_session().snapshot(true).run()?;
    /// animals.find_one(doc! {}).session(&mut session).run()?;
    /// println!("{:?}", session.snapshot_time());
    /// # Ok(())
    /// # }
    /// ```
    pub fn snapshot_time(&self) -> Option<Timestamp> {
        self.state().snapshot_time()
    }

    /// Whether the network failed in the midst of one of its operations. The server may still be at work for it then; it can be
    /// used on, but the client does not use its id for another session.
    ///
    /// ```no_run
    /// # fn f(session: mongo_blocking::ClientSession) {
    /// if session.is_dirty() {
    ///     eprintln!("an operation of the session broke off");
    /// }
    /// # }
    /// ```
    pub fn is_dirty(&self) -> bool {
        self.state().is_dirty()
    }

    /// How far its transaction is.
    ///
    /// ```no_run
    /// # fn f(mut session: mongo_blocking::ClientSession) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::TransactionState;
    ///
    /// session.start_transaction().run()?;
    /// assert_eq!(session.transaction_state(), TransactionState::Starting);
    /// # Ok(())
    /// # }
    /// ```
    pub fn transaction_state(&self) -> TransactionState {
        self.state().transaction.state()
    }

    /// The mongos that its transaction is bound to, or the load balancer where the transaction keeps a connection for itself. `None`
    /// on a replica set, and before the transaction's first command.
    ///
    /// ```no_run
    /// # fn f(session: mongo_blocking::ClientSession) {
    /// if let Some(router) = session.pinned_server() {
    ///     println!("the transaction runs on {router}");
    /// }
    /// # }
    /// ```
    pub fn pinned_server(&self) -> Option<ServerAddress> {
        match self.state().transaction.pin() {
            Pin::Nothing => None,
            Pin::Router(address) => Some((**address).clone()),
            Pin::Connection(pin) => pin.address(),
        }
    }

    /// Takes this cluster time over if it is higher than the session's own. With
    /// [`advance_operation_time`](ClientSession::advance_operation_time) a session follows another one.
    ///
    /// It is sent in this session only. One that no server has signed makes its operations fail.
    ///
    /// ```no_run
    /// # fn f(client: mongo_blocking::Client, first: mongo_blocking::ClientSession) -> mongo_blocking::Result<()> {
    /// let mut second = client.start_session().run()?;
    /// if let (Some(cluster), Some(operation)) = (first.cluster_time(), first.operation_time()) {
    ///     second.advance_cluster_time(cluster);
    ///     second.advance_operation_time(operation);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn advance_cluster_time(&mut self, to: &ClusterTime) {
        if let Some(state) = &mut self.state {
            state.advance_cluster_time(to);
        }
    }

    /// Takes this operation time over if it is later than the session's own: its next operation, where it is causally consistent,
    /// sees what had happened by then.
    ///
    /// ```no_run
    /// # fn f(mut session: mongo_blocking::ClientSession) {
    /// use mongo_blocking::bson::Timestamp;
    ///
    /// session.advance_operation_time(Timestamp { time: 1_700_000_000, increment: 1 });
    /// # }
    /// ```
    pub fn advance_operation_time(&mut self, to: Timestamp) {
        if let Some(state) = &mut self.state {
            state.advance_operation_time(to);
        }
    }

    fn state(&self) -> &SessionState {
        self.state.as_ref().expect("the state is there until the session is dropped")
    }

    /// The session as that of an operation of this client.
    fn for_operation(&mut self, client: &Client) -> Result<OperationSession<'_>> {
        if !Arc::ptr_eq(&self.client.0, &client.0) {
            return Err(Error::invalid_argument("the session was started by another client"));
        }
        let state = self.state.as_mut().expect("the state is there until the session is dropped");
        state.check_process()?;
        state.begin_operation();
        Ok(OperationSession::Explicit(state))
    }

    /// The state for what starts and ends transactions.
    pub(super) fn state_mut(&mut self) -> Result<&mut SessionState> {
        let state = self.state.as_mut().expect("the state is there until the session is dropped");
        state.check_process()?;
        Ok(state)
    }

    /// The transaction that operations of the session are part of.
    pub(crate) fn transaction(&self) -> Option<&Transaction> {
        Some(&self.state().transaction).filter(|transaction| transaction.is_running())
    }
}

impl Drop for ClientSession {
    fn drop(&mut self) {
        self.abort_at_once();
        if let Some(state) = self.state.take() {
            self.client.inner().sessions().give_back(state.into_server_session(), Instant::now());
        }
    }
}

impl std::fmt::Debug for ClientSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientSession").field("id", &self.id).finish_non_exhaustive()
    }
}
