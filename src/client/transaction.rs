//! The transactions of a session: the actions that start, commit and abort one, and the one that also runs it, again and again
//! where that may help (Convenient API for Transactions).

use std::time::{Duration, Instant};

use super::ClientSession;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, FaultKind, Result, Stage, codes};
use crate::error::{TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT};
use crate::operation::end_transaction::EndTransaction;
use crate::options::action::start_transaction_setters;
use crate::options::{ReadConcern, SelectionCriteria, TransactionOptions, WriteConcern};
use crate::session::{OperationSession, Pin, TransactionState};

/// How long [`StartTransaction::and_run`] begins anew, where `timeoutMS` does not limit it.
const LIMIT: Duration = Duration::from_secs(120);
/// The name of that limit in errors.
const LIMIT_NAME: &str = "the limit of 120 seconds on and_run";
/// The longest pause before a transaction is begun anew, without its random factor (BACKOFF_MAX), in seconds.
const LONGEST_PAUSE: f64 = 0.5;
/// What the pauses grow from (BACKOFF_INITIAL), in seconds.
const FIRST_PAUSE: f64 = 0.005;
/// By how much each pause is longer than the one before.
const GROWTH: f64 = 1.5;
/// From here on every pause is the longest.
const MAX_EXPONENT: u32 = 12;
/// How long a session that is dropped waits for the server to confirm that its transaction is aborted.
const DROP_LIMIT: Duration = Duration::from_millis(500);

impl ClientSession {
    /// Starts a transaction. The operations that are given this session are part of it, until it is committed or aborted.
    ///
    /// Nothing is sent: the servers hear of it with its first operation. Transactions need a replica set or a sharded cluster.
    /// [`guide::transactions`](crate::guide::transactions) tells more.
    ///
    /// ```no_run
    /// # fn f(client: mongo_blocking::Client) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::{Document, doc};
    ///
    /// let accounts = client.database("bank").collection::<Document>("accounts");
    /// let mut session = client.start_session().run()?;
    /// session.start_transaction().run()?;
    /// accounts.update_one(doc! { "_id": "a" }, doc! { "$inc": { "balance": -10 } }).session(&mut session).run()?;
    /// accounts.update_one(doc! { "_id": "b" }, doc! { "$inc": { "balance": 10 } }).session(&mut session).run()?;
    /// session.commit_transaction().run()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn start_transaction(&mut self) -> StartTransaction<'_> {
        StartTransaction { session: self, options: TransactionOptions::default() }
    }

    /// Commits the transaction: from now on everybody sees what it wrote.
    ///
    /// After an error with the label [`UNKNOWN_TRANSACTION_COMMIT_RESULT`] it may be called again, which cannot execute the
    /// transaction twice.
    ///
    /// ```no_run
    /// # fn f(mut session: mongo_blocking::ClientSession) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::error::UNKNOWN_TRANSACTION_COMMIT_RESULT;
    ///
    /// let committed = session.commit_transaction().run();
    /// if committed.is_err_and(|error| error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT)) {
    ///     session.commit_transaction().run()?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn commit_transaction(&mut self) -> CommitTransaction<'_> {
        CommitTransaction { session: self }
    }

    /// Aborts the transaction: what it wrote is as if it had never been written.
    ///
    /// ```no_run
    /// # fn f(client: mongo_blocking::Client) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::{Document, doc};
    ///
    /// let accounts = client.database("bank").collection::<Document>("accounts");
    /// let mut session = client.start_session().run()?;
    /// session.start_transaction().run()?;
    /// let taken = doc! { "$inc": { "balance": -10 } };
    /// let taken = accounts.update_one(doc! { "_id": "a", "balance": { "$gte": 10 } }, taken).session(&mut session).run()?;
    /// if taken.modified_count == 0 {
    ///     session.abort_transaction().run()?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn abort_transaction(&mut self) -> AbortTransaction<'_> {
        AbortTransaction { session: self }
    }

    fn start(&mut self, options: TransactionOptions) -> Result<()> {
        let client = self.client();
        let state = self.state_mut()?;
        if client.inner().topology().has_no_transactions() {
            return Err(Error::transaction("Transactions are not supported by this deployment")
                .with_hint("they need a replica set or a sharded cluster; a replica set of one member will do"));
        }
        let defaults = TransactionOptions {
            read_concern: client.read_concern().cloned(),
            write_concern: client.write_concern().cloned(),
            selection_criteria: client.selection_criteria().cloned(),
            max_commit_time: None,
        };
        state.start_transaction(options, defaults, client.inner().options().load_balanced())
    }

    fn commit(&mut self) -> Result<()> {
        let client = self.client();
        let state = self.state_mut()?;
        if !state.transaction.commits()? {
            return Ok(());
        }
        let (inner, mut session) = (client.inner(), OperationSession::Explicit(state));
        inner.execute(&mut EndTransaction::Commit, &mut session, inner.operation_deadline(), None)?;
        drop(session);
        self.state_mut()?.transaction.committed();
        Ok(())
    }

    fn abort(&mut self) -> Result<()> {
        let client = self.client();
        let state = self.state_mut()?;
        if !state.transaction.aborts()? {
            return Ok(());
        }
        let (inner, mut session) = (client.inner(), OperationSession::Explicit(state));
        let aborted = inner.execute(&mut EndTransaction::Abort, &mut session, inner.operation_deadline(), None);
        drop(session);
        self.state_mut()?.transaction.aborted();
        if let Err(error) = aborted {
            log::debug!("the transaction was left to the servers' own time limit: {error:#}");
        }
        Ok(())
    }

    /// Aborts a transaction that is in progress over a connection that is there, if there is one: a session that is dropped does not
    /// keep its program waiting.
    pub(super) fn abort_at_once(&mut self) {
        let client = self.client();
        let inner = client.inner();
        // While a panic unwinds, nothing may call functions of the program's, such as an event handler.
        if self.transaction_state() != TransactionState::InProgress || inner.is_closed() || std::thread::panicking() {
            return;
        }
        let Ok(state) = self.state_mut() else { return };
        let connection = match state.transaction.pin() {
            Pin::Connection(pin) => pin.check_out(Instant::now()),
            Pin::Router(address) => inner.topology().borrow_idle_connection_to(address),
            Pin::Nothing => inner.topology().borrow_idle_connection_to_primary(),
        };
        let (Some(mut connection), Ok(true)) = (connection, state.transaction.aborts()) else { return };
        let mut session = OperationSession::Explicit(state);
        let limit = Deadline::after(DROP_LIMIT);
        if let Err(error) = inner.execute_on(&mut connection, &mut EndTransaction::Abort, &mut session, limit) {
            log::debug!("the transaction was left to the servers' own time limit: {error:#}");
        }
    }

    /// Runs a transaction, and again where that may help, for this long if `timeoutMS` does not say for how long.
    pub(super) fn run_transaction<R>(
        &mut self,
        options: &TransactionOptions,
        limit: Duration,
        mut callback: impl FnMut(&mut ClientSession) -> Result<R>,
    ) -> Result<R> {
        let client = self.client();
        let inner = client.inner();
        let deadline = match inner.options().timeout() {
            Some(_) => inner.operation_deadline(),
            None => Deadline::after(limit).named(LIMIT_NAME),
        };
        let of_operations = inner.limits_operations().then_some(deadline);
        let limited = LimitedSession::new(self, of_operations)?;
        let session = &mut *limited.session;
        let mut attempt = 0;
        loop {
            session.start(options.clone())?;
            attempt += 1;
            let failure = match callback(session) {
                Ok(result) if session.transaction().is_none() => return Ok(result),
                Ok(result) => match session.commit_by(deadline) {
                    Ok(()) => return Ok(result),
                    Err(error) => error,
                },
                Err(error) => {
                    if session.transaction().is_some() {
                        // With a time limit of its own: that of the callback may have run out.
                        LimitedSession::new(session, None)?.session.abort()?;
                    }
                    error
                }
            };
            if !failure.contains_label(TRANSIENT_TRANSACTION_ERROR) {
                return Err(failure);
            }
            let pause = pause(attempt, inner.jitter.next());
            if deadline.remaining().is_some_and(|left| left <= pause) {
                return Err(out_of_time(failure, deadline));
            }
            inner.topology().pause(pause);
        }
    }

    /// Commits, and again as long as it is not known whether that succeeded.
    fn commit_by(&mut self, deadline: Deadline) -> Result<()> {
        loop {
            match self.commit() {
                Err(error)
                    if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT)
                        && error.code() != Some(codes::MAX_TIME_MS_EXPIRED) =>
                {
                    if deadline.expired() {
                        return Err(out_of_time(error, deadline));
                    }
                }
                done => return done,
            }
        }
    }
}

/// The session whose transaction's operations must end by a limit, until this is dropped.
struct LimitedSession<'a> {
    session: &'a mut ClientSession,
    before: Option<Deadline>,
}

impl<'a> LimitedSession<'a> {
    fn new(session: &'a mut ClientSession, limit: Option<Deadline>) -> Result<Self> {
        let before = session.state_mut()?.transaction.set_limit(limit);
        Ok(LimitedSession { session, before })
    }
}

impl Drop for LimitedSession<'_> {
    fn drop(&mut self) {
        if let Ok(state) = self.session.state_mut() {
            state.transaction.set_limit(self.before);
        }
    }
}

/// The pause before the transaction is begun for another time, after this many attempts; `jitter` is a random number from 0 to 1.
fn pause(attempts: u32, jitter: f64) -> Duration {
    let exponent = attempts.min(MAX_EXPONENT).try_into().unwrap_or(i32::MAX);
    Duration::from_secs_f64((FIRST_PAUSE * GROWTH.powi(exponent)).min(LONGEST_PAUSE) * jitter.clamp(0.0, 1.0))
}

/// There is no time for another attempt.
fn out_of_time(failure: Error, deadline: Deadline) -> Error {
    if matches!(failure.kind(), ErrorKind::Timeout { .. }) {
        return failure;
    }
    let message = format!("{} leaves no time for another attempt at the transaction", deadline.name());
    failure.into_cause_of(Error::new(FaultKind::Timeout, Stage::Command, message))
}

/// The action that [`ClientSession::start_transaction`] makes.
#[must_use = "no transaction is started until `run` or `and_run`"]
#[derive(Debug)]
pub struct StartTransaction<'a> {
    session: &'a mut ClientSession,
    options: TransactionOptions,
}

impl StartTransaction<'_> {
    start_transaction_setters! {}

    /// Starts it.
    ///
    /// # Errors
    /// [`ErrorKind::Transaction`] where one is in progress already, for a session with a snapshot, for an unacknowledged write
    /// concern, and for a deployment without transactions, as far as that is known.
    pub fn run(self) -> Result<()> {
        self.session.start(self.options)
    }

    /// Starts a transaction, calls `callback` with the session, and commits.
    ///
    /// Where the callback returns an error, the transaction is aborted. If the error has the label [`TRANSIENT_TRANSACTION_ERROR`],
    /// as that of two transactions that write the same document has, all is begun anew after a random pause, which grows from
    /// 7.5 ms to half a second at most: **the callback may be called several times**, so it should do nothing outside of the transaction that
    /// must not be done twice. A commit of which it is not known whether it succeeded is tried again by itself. All this ends after 120
    /// seconds, or by `timeoutMS`, which limits the callback's operations in the session too. (Operations without the session it
    /// does not.)
    ///
    /// The callback passes the session to each operation that is to be part of the transaction, and returns the errors of these
    /// operations. An error may have ended the transaction on the server. If the callback returns `Ok` all the same, the commit fails
    /// with the label `TransientTransactionError`, and the callback is called again until the time is up. To handle errors otherwise, use
    /// [`run`](StartTransaction::run). A callback that has committed or aborted the transaction itself is left at that.
    ///
    /// ```no_run
    /// # fn f(client: mongo_blocking::Client) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::{Document, doc};
    ///
    /// let accounts = client.database("bank").collection::<Document>("accounts");
    /// let mut session = client.start_session().run()?;
    /// session.start_transaction().and_run(|session| {
    ///     accounts.update_one(doc! { "_id": "a" }, doc! { "$inc": { "balance": -10 } }).session(&mut *session).run()?;
    ///     accounts.update_one(doc! { "_id": "b" }, doc! { "$inc": { "balance": 10 } }).session(&mut *session).run()
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of `callback`, as they are (a program's own: [`Error::custom`](crate::Error::custom)); those of
    /// [`StartTransaction::run`] and [`CommitTransaction::run`]; [`ErrorKind::Timeout`] where there is no time to begin anew, with the
    /// last error as its [`source`](std::error::Error::source) and with that one's labels.
    pub fn and_run<R, F>(self, callback: F) -> Result<R>
    where
        F: FnMut(&mut ClientSession) -> Result<R>,
    {
        self.session.run_transaction(&self.options, LIMIT, callback)
    }
}

/// The action that [`ClientSession::commit_transaction`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct CommitTransaction<'a> {
    session: &'a mut ClientSession,
}

impl CommitTransaction<'_> {
    /// Commits it. Where no operation was run in it, nothing is sent.
    ///
    /// # Errors
    /// [`ErrorKind::Transaction`] if no transaction was started, or if it was aborted; [`ErrorKind::Command`] where the server refuses:
    /// with the label [`TRANSIENT_TRANSACTION_ERROR`] where the transaction may be begun anew; [`ErrorKind::Write`] where it cannot satisfy
    /// the write concern; [the errors of every action](crate::action#errors). The label [`UNKNOWN_TRANSACTION_COMMIT_RESULT`] says that
    /// the commit may have succeeded, and may be called again.
    pub fn run(self) -> Result<()> {
        self.session.commit()
    }
}

/// The action that [`ClientSession::abort_transaction`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct AbortTransaction<'a> {
    session: &'a mut ClientSession,
}

impl AbortTransaction<'_> {
    /// Aborts it. Where no operation was run in it, nothing is sent. What the server answers is of no consequence: a transaction
    /// that it does not hear of any longer it aborts after a minute.
    ///
    /// # Errors
    /// [`ErrorKind::Transaction`] if no transaction was started, or if it was committed or aborted before.
    pub fn run(self) -> Result<()> {
        self.session.abort()
    }
}
