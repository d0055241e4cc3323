//! The transaction of a session of the program's (Transactions): how far it is, what its commands carry, and what an error means for it.
//!
//! Only the client keeps this state. A server hears of a transaction with its first command.

use std::sync::Arc;
use std::time::Duration;

use bson::raw::cstr;
use bson::{RawDocument, RawDocumentBuf, Timestamp};

use crate::deadline::Deadline;
use crate::error::{
    Error, ErrorKind, RETRYABLE_ERROR, RETRYABLE_WRITE_ERROR, Result, SYSTEM_OVERLOADED_ERROR, Stage,
    TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT, WriteFailure, codes,
};
use crate::operation::body::Body;
use crate::operation::{Access, Command, Target};
use crate::options::{
    Acknowledgment, ReadConcern, ReadPreference, ReadPreferenceMode, SelectionCriteria, ServerAddress,
    TransactionOptions, WriteConcern,
};
use crate::pool::PinnedConnection;
use crate::serde_util::whole_millis;

/// How long a commit that is tried again waits for a majority, unless the program has set a limit.
const MAJORITY_LIMIT: Duration = Duration::from_secs(10);
/// The longest `recoveryToken` that is kept and sent on: it names a shard.
const MAX_RECOVERY_TOKEN_BYTES: usize = 16 * 1024;

/// How far the transaction of a session is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransactionState {
    /// There is none.
    #[default]
    None,
    /// It was started, and no command of it was sent.
    Starting,
    /// At least one of its commands was sent.
    InProgress,
    /// It was committed, with success or not, and no other operation was run in the session since. It can be committed again.
    Committed,
    /// It was aborted, and no other operation was run in the session since.
    Aborted,
}

/// The transaction of a session.
#[derive(Default)]
pub(crate) struct Transaction {
    state: TransactionState,
    options: TransactionOptions,
    pin: Pin,
    /// What lets another mongos find out what has become of it, as the last reply had it.
    recovery_token: Option<RawDocumentBuf>,
    /// Whether the operation that runs has the first command.
    runs_first: bool,
    /// Whether a commit has anything to commit: a command was sent.
    has_begun: bool,
    /// Whether a server may have executed a commit.
    commit_attempted: bool,
    /// By when its operations must end.
    limit: Option<Deadline>,
}

/// What the commands of a transaction are bound to.
#[derive(Clone, Default)]
pub(crate) enum Pin {
    #[default]
    Nothing,
    /// The mongos that the first command was sent to.
    Router(Arc<ServerAddress>),
    /// Behind a load balancer, the connection that the first command was sent on; none before that.
    Connection(Arc<PinnedConnection>),
}

impl Transaction {
    /// A new transaction in place of the one before.
    pub(super) fn start(&mut self, options: TransactionOptions, load_balanced: bool) {
        self.reset();
        self.state = TransactionState::Starting;
        self.options = options;
        if load_balanced {
            self.pin = Pin::Connection(Arc::default());
        }
    }

    /// An operation outside of a transaction begins, another transaction does, or the session ends: what was is forgotten.
    pub(crate) fn reset(&mut self) {
        self.unpin();
        let limit = self.limit;
        *self = Transaction { limit, ..Transaction::default() };
    }

    pub(crate) fn state(&self) -> TransactionState {
        self.state
    }

    /// Whether operations of the session are part of it.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.state, TransactionState::Starting | TransactionState::InProgress)
    }

    /// Whether it has ended, and nothing was run in the session since.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, TransactionState::Committed | TransactionState::Aborted)
    }

    pub(crate) fn pin(&self) -> &Pin {
        &self.pin
    }

    /// By when its operations must end.
    pub(super) fn limit(&self) -> Option<Deadline> {
        self.limit
    }

    /// Sets another limit; `None`: that of each operation. Returns the one before.
    pub(crate) fn set_limit(&mut self, limit: Option<Deadline>) -> Option<Deadline> {
        std::mem::replace(&mut self.limit, limit)
    }

    /// Prepares the options of a read in the transaction: the read preference of the transaction applies, and not that of the database or
    /// the collection.
    ///
    /// # Errors
    /// For a read concern, which only the transaction may have.
    pub(crate) fn fill_in_read(
        &self,
        concern: &Option<ReadConcern>,
        criteria: &mut Option<SelectionCriteria>,
    ) -> Result<()> {
        if concern.is_some() {
            return Err(Error::transaction("Cannot set read concern after starting a transaction")
                .with_hint("start_transaction takes the read concern of a transaction"));
        }
        self.fill_in_criteria(criteria);
        Ok(())
    }

    /// Says which servers a read goes to that does not say so itself.
    pub(crate) fn fill_in_criteria(&self, criteria: &mut Option<SelectionCriteria>) {
        if criteria.is_none() {
            criteria.clone_from(&self.options.selection_criteria);
        }
    }

    /// Checks the options of a write in the transaction. The write concern of the transaction is sent with its commit or abort, and that
    /// of the database or the collection does not apply.
    ///
    /// # Errors
    /// For a write concern of the operation's own.
    pub(crate) fn check_write(&self, concern: &Option<WriteConcern>) -> Result<()> {
        if concern.is_some() {
            return Err(Error::transaction("Cannot set write concern after starting a transaction")
                .with_hint("start_transaction takes the write concern of a transaction"));
        }
        Ok(())
    }

    /// It is to be committed. False: no command of it was sent, so there is nothing to commit.
    ///
    /// # Errors
    /// Where there is none, or it was aborted.
    pub(crate) fn commits(&mut self) -> Result<bool> {
        match self.state {
            TransactionState::None => return Err(Error::transaction(NOT_STARTED)),
            TransactionState::Aborted => {
                return Err(Error::transaction("Cannot call commitTransaction after calling abortTransaction"));
            }
            TransactionState::Starting => self.has_begun = false,
            TransactionState::InProgress => self.has_begun = true,
            TransactionState::Committed => {}
        }
        self.state = TransactionState::Committed;
        Ok(self.has_begun)
    }

    /// It was committed.
    pub(crate) fn committed(&mut self) {
        self.commit_attempted = true;
    }

    /// It is to be aborted. False: no command of it was sent, so the servers need not hear of it.
    ///
    /// # Errors
    /// Where there is none, or it has ended.
    pub(crate) fn aborts(&mut self) -> Result<bool> {
        match self.state {
            TransactionState::None => Err(Error::transaction(NOT_STARTED)),
            TransactionState::Committed => {
                Err(Error::transaction("Cannot call abortTransaction after calling commitTransaction"))
            }
            TransactionState::Aborted => Err(Error::transaction("Cannot call abortTransaction twice")),
            TransactionState::Starting => {
                self.state = TransactionState::Aborted;
                self.unpin();
                Ok(false)
            }
            TransactionState::InProgress => {
                self.state = TransactionState::Aborted;
                Ok(true)
            }
        }
    }

    /// It was aborted, whether or not a server has heard of it.
    pub(crate) fn aborted(&mut self) {
        self.unpin();
    }

    /// An operation is about to choose its server. What it is bound to.
    ///
    /// # Errors
    /// For a read from another server than the primary.
    pub(super) fn bind(&mut self, target: Target<'_>, access: Access) -> Result<Pin> {
        self.runs_first = self.state == TransactionState::Starting;
        let is_primary = |preference: &ReadPreference| preference.mode() == ReadPreferenceMode::Primary;
        let suits = match target {
            Target::Readable(preference) | Target::ReadableAndWritable(preference) => is_primary(preference),
            // A list, which has no preference of its own.
            Target::Writable if access == Access::Read => {
                SelectionCriteria::preference(self.options.selection_criteria.as_ref()).is_none_or(is_primary)
            }
            Target::Predicate(_) => false,
            Target::Writable | Target::Pinned(_) => true,
        };
        if self.is_running() && !suits {
            return Err(Error::transaction("read preference in a transaction must be primary")
                .with_hint("start_transaction takes the read preference of a transaction"));
        }
        Ok(self.pin.clone())
    }

    /// Its commands go to this mongos from now on.
    pub(super) fn pin_to(&mut self, router: &Arc<ServerAddress>) {
        self.pin = Pin::Router(router.clone());
    }

    fn unpin(&mut self) {
        match &mut self.pin {
            Pin::Connection(pin) => std::mem::take(pin).leave_to_cursors(),
            pin => *pin = Pin::Nothing,
        }
    }

    /// Adds to a command what makes it a part, or the end, of the transaction with this number. `after`: what time its reads
    /// must have reached.
    pub(super) fn complete(&self, command: &mut Command<'_>, number: i64, after: Option<Timestamp>) {
        let body = &mut command.body;
        body.append(cstr!("txnNumber"), number);
        match self.state {
            TransactionState::None | TransactionState::InProgress => {}
            TransactionState::Starting => {
                body.append(cstr!("startTransaction"), true);
                let level = self.options.read_concern.as_ref().map(|concern| concern.level.as_str());
                let level = level.filter(|level| !level.is_empty());
                if level.is_some() || after.is_some() {
                    let mut concern = RawDocumentBuf::new();
                    level.into_iter().for_each(|level| concern.append(cstr!("level"), level));
                    after.into_iter().for_each(|time| concern.append(cstr!("afterClusterTime"), time));
                    body.append(cstr!("readConcern"), concern);
                }
            }
            TransactionState::Committed => {
                self.append_write_concern(body, self.commit_attempted);
                if let Some(limit) = self.options.max_commit_time {
                    body.append(cstr!("maxTimeMS"), whole_millis(limit));
                }
            }
            TransactionState::Aborted => self.append_write_concern(body, false),
        }
        if let Some(token) = self.recovery_token.as_ref().filter(|_| !self.is_running()) {
            body.append(cstr!("recoveryToken"), &**token);
        }
        body.append(cstr!("autocommit"), false);
    }

    /// `again`: a majority must have the commit, so that it is not lost with a primary and the transaction executed once more.
    fn append_write_concern(&self, body: &mut Body, again: bool) {
        let mut concern = self.options.write_concern.clone().unwrap_or_default();
        if again {
            concern.w = Some(Acknowledgment::Majority);
            concern.w_timeout.get_or_insert(MAJORITY_LIMIT);
        }
        if concern != WriteConcern::default() {
            body.append(cstr!("writeConcern"), concern.to_document());
        }
    }

    /// A command of it was sent, whatever came of it.
    pub(super) fn sent(&mut self) {
        if self.state == TransactionState::Starting {
            self.state = TransactionState::InProgress;
        }
    }

    /// A reply had this token.
    pub(super) fn recovery_token_reported(&mut self, token: &RawDocument) {
        if self.state == TransactionState::None {
            return;
        }
        if token.as_bytes().len() > MAX_RECOVERY_TOKEN_BYTES {
            log::debug!("a recoveryToken of more than {MAX_RECOVERY_TOKEN_BYTES} bytes was ignored");
            return;
        }
        self.recovery_token = Some(token.to_owned());
    }

    /// What an attempt at an operation came to: the error with the labels that the driver has to add.
    pub(super) fn failed(&mut self, error: Error) -> Error {
        match self.state {
            TransactionState::None => error,
            TransactionState::Starting | TransactionState::InProgress => {
                let error = if has_no_reply(&error) { error.with_label(TRANSIENT_TRANSACTION_ERROR) } else { error };
                if error.contains_label(TRANSIENT_TRANSACTION_ERROR) {
                    self.unpin();
                }
                error
            }
            TransactionState::Committed => {
                self.commit_attempted |= !is_refused_by_overload(&error);
                let error = match leaves_commit_open(&error) {
                    true => error.with_label(UNKNOWN_TRANSACTION_COMMIT_RESULT),
                    false => error,
                };
                if [TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT]
                    .iter()
                    .any(|label| error.contains_label(label))
                {
                    self.unpin();
                }
                error
            }
            TransactionState::Aborted => {
                self.unpin();
                error
            }
        }
    }

    /// The operation that failed is tried again. If it had the first command, it has it again.
    pub(super) fn tries_again(&mut self) {
        if self.runs_first && self.is_running() {
            self.state = TransactionState::Starting;
            self.unpin();
        }
    }
}

/// Whether the operation ended without a server's reply to it.
fn has_no_reply(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::ServerSelection { .. } | ErrorKind::ConnectionPoolCleared { .. } => true,
        ErrorKind::Timeout { .. } if error.stage() == Stage::ServerSelection => true,
        _ => error.is_network_error() && error.stage() != Stage::Http,
    }
}

/// Whether the server has refused a command, unread, because of overload.
fn is_refused_by_overload(error: &Error) -> bool {
    error.contains_label(SYSTEM_OVERLOADED_ERROR) && error.contains_label(RETRYABLE_ERROR)
}

/// Whether a commit that failed like this may have been executed, or may be yet, with its write concern.
fn leaves_commit_open(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Write(WriteFailure::WriteConcernError(refused)) => {
            ![codes::UNSATISFIABLE_WRITE_CONCERN, codes::UNKNOWN_REPL_WRITE_CONCERN].contains(&refused.code)
        }
        _ => {
            has_no_reply(error)
                || error.contains_label(RETRYABLE_WRITE_ERROR)
                || error.code() == Some(codes::MAX_TIME_MS_EXPIRED)
        }
    }
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction").field("state", &self.state).finish_non_exhaustive()
    }
}

const NOT_STARTED: &str = "No transaction started";

#[cfg(test)]
mod tests;
