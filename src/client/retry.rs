//! Whether an operation that failed is tried again, when, and which error its caller gets: Retryable Reads, Retryable Writes and
//! Client Backpressure as one policy.
//!
//! [`Retries`] decides from errors alone. `execute.rs` tells it what an attempt came to, and does what it decides.

use std::sync::Arc;
#[cfg(test)]
use std::sync::Mutex;
use std::time::Duration;

use bson::raw::cstr;
use bson::{RawArrayBuf, RawDocument};

use crate::bson_ext;
use crate::deadline::Deadline;
use crate::description::{ServerDescription, ServerType, WireVersion};
use crate::error::{
    Error, ErrorKind, FaultKind, NO_WRITES_PERFORMED, RETRYABLE_ERROR, RETRYABLE_WRITE_ERROR, Result,
    SYSTEM_OVERLOADED_ERROR, Stage, codes,
};
use crate::event::sdam::TopologyType;
use crate::operation::reply::check_write_concern;
use crate::operation::{Access, Command, Operation, Retry};
use crate::options::{ClientSettings, ServerAddress};
use crate::session::OperationSession;
use crate::system::System;
use crate::topology::Selected;
use crate::wire::Reply;

/// The longest pause before an overloaded server is asked again, without its random factor (MAX_BACKOFF).
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// What the pauses grow from, unless the server asks for another value (BASE_BACKOFF).
const BASE_PAUSE: Duration = Duration::from_millis(100);
/// What the error of a server whose storage engine knows no numbered writes reads, as Retryable Writes prescribes.
const NOT_SUPPORTED_BY_STORAGE: &str = "This MongoDB deployment does not support retryable writes. Please add retryWrites=false to your connection string.";

/// The attempts at one operation.
pub(super) struct Retries {
    /// Whether it is a read that an error which is likely to pass is reason enough to send again.
    retries_read: bool,
    /// Whether it is a write that is numbered, and sent again, where the server supports that.
    retries_write: bool,
    /// Whether it ends a transaction, so that it has that one's number.
    ends_transaction: bool,
    /// Whether an error with `NoWritesPerformed` counts as no attempt: for all but reads.
    heeds_no_writes: bool,
    /// Whether a server that refused the command because it is overloaded may be asked again.
    after_overload: bool,
    /// `maxAdaptiveRetries`
    max_adaptive: u32,
    /// `enableOverloadRetargeting`
    retargets: bool,
    /// Whether `timeoutMS` limits the operation, so that it is retried as long as there is time.
    limited: bool,
    /// How many attempts there were after the first.
    made: u32,
    /// Whether a server was overloaded: from then on `maxAdaptiveRetries` limits all retries.
    overloaded: bool,
    /// Servers that are chosen only if no other one suits.
    deprioritised: Vec<ServerAddress>,
    /// The number of a write, the same in all attempts.
    txn_number: Option<i64>,
    attempt: Attempt,
    /// What the caller gets, as far as is known now.
    outcome: Option<Failure>,
}

/// A reply with `ok: 1`, which the operation is to read.
pub(super) struct Answer {
    pub(super) reply: Reply,
    pub(super) server: Arc<ServerAddress>,
    /// Whether the server's time limit was `timeoutMS`.
    pub(super) limit_is_ours: bool,
}

/// What a failed attempt has led to.
pub(super) struct Failure {
    pub(super) error: Error,
    /// The reply with a write concern error, which the operation reads better than this module.
    pub(super) answer: Option<Answer>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure { error, answer: None }
    }
}

/// The random numbers that spread the retries of many clients.
pub(super) struct Jitter {
    system: Arc<dyn System>,
    /// In tests, the number that comes next, and always.
    #[cfg(test)]
    pub(super) fixed: Mutex<Option<f64>>,
}

impl Jitter {
    pub(super) fn new(system: Arc<dyn System>) -> Self {
        Jitter {
            system,
            #[cfg(test)]
            fixed: Mutex::default(),
        }
    }

    /// A number from 0 up to 1. Where the operating system has no random bytes, 1: the whole pause.
    pub(super) fn next(&self) -> f64 {
        #[cfg(test)]
        if let Some(fixed) = *crate::locks::lock(&self.fixed) {
            return fixed;
        }
        let mut bytes = [0; 4];
        match self.system.random(&mut bytes) {
            Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
            Err(_) => 1.0,
        }
    }
}

/// How far the present attempt has come.
#[derive(Default)]
struct Attempt {
    server: Option<Arc<ServerAddress>>,
    is_sharded: bool,
    /// Whether a numbered write may be sent to the server, as far as is known before a connection is there.
    takes_numbers: bool,
    /// Whether the server itself says which errors are worth another attempt at a write (since MongoDB 4.4).
    labels_errors: bool,
    is_mongos: bool,
    /// Whether the command has a number.
    numbered: bool,
    /// Whether the command may have reached the server.
    sent: bool,
}

impl Retries {
    /// `in_transaction`: only what ends it is sent again, and what a server has refused because of overload.
    pub(super) fn new(options: &ClientSettings, operation: &impl Operation, in_transaction: bool) -> Self {
        let retry = match operation.retry() {
            Retry::Read | Retry::Write if in_transaction => Retry::Never,
            retry => retry,
        };
        Retries::of(options, retry, operation.access())
    }

    #[inline]
    fn of(options: &ClientSettings, retry: Retry, access: Access) -> Self {
        let (reads, writes) = (options.retry_reads() != Some(false), options.retry_writes() != Some(false));
        Retries {
            retries_read: retry == Retry::Read && reads,
            retries_write: (retry == Retry::Write && writes) || retry == Retry::Always,
            ends_transaction: retry == Retry::Always,
            heeds_no_writes: access != Access::Read,
            after_overload: match (retry, access) {
                // What ends a transaction is sent again whatever the options say.
                (Retry::Always, _) => true,
                (_, Access::Read) => reads,
                (_, Access::Write) => writes,
                (_, Access::Unknown) => reads && writes,
            },
            max_adaptive: options.max_adaptive_retries(),
            retargets: options.enable_overload_retargeting(),
            limited: options.timeout().is_some(),
            made: 0,
            overloaded: false,
            deprioritised: Vec::new(),
            txn_number: None,
            attempt: Attempt::default(),
            outcome: None,
        }
    }

    /// Servers where the operation has failed, for the next selection to avoid.
    pub(super) fn deprioritised(&self) -> &[ServerAddress] {
        &self.deprioritised
    }

    /// The present attempt has chosen this server.
    pub(super) fn selected(&mut self, selected: &Selected) {
        self.chosen(selected.server.address(), selected.topology_type, selected.server_type);
    }

    fn chosen(&mut self, server: &Arc<ServerAddress>, topology_type: TopologyType, server_type: ServerType) {
        self.attempt.server = Some(server.clone());
        self.attempt.is_sharded = topology_type == TopologyType::Sharded;
        self.attempt.takes_numbers = server_type != ServerType::Standalone;
    }

    /// The present attempt is about to send this command to this server. A write gets a number, by which the server recognises it
    /// if it comes again.
    ///
    /// # Errors
    /// Where the write was sent with a number before, and this server would not recognise it.
    pub(super) fn sends(
        &mut self,
        command: &mut Command<'_>,
        server: &ServerDescription,
        session: &mut OperationSession<'_>,
    ) -> Result<()> {
        self.attempt.labels_errors = server.max_wire_version >= WireVersion::MONGODB_4_4;
        self.attempt.is_mongos = server.server_type == ServerType::Mongos;
        if self.retries_write && command.is_retryable_write {
            let supported =
                server.logical_session_timeout_minutes.is_some() && server.server_type != ServerType::Standalone;
            if !supported && self.txn_number.is_some() {
                return Err(Error::incompatible_server(
                    "the server that was chosen for the retry knows no retryable writes",
                ));
            }
            if self.txn_number.is_none() && supported {
                self.txn_number = session.next_txn_number();
            }
            if let Some(number) = self.txn_number {
                command.body.append(cstr!("txnNumber"), number);
                self.attempt.numbered = true;
            }
        }
        self.attempt.numbered |= self.ends_transaction;
        self.attempt.sent = true;
        Ok(())
    }

    /// Whether the command that is being sent has a number, so that it may be ended and sent to another server.
    pub(super) fn is_numbered(&self) -> bool {
        self.attempt.numbered
    }

    /// The write concern error of a reply to a numbered write, if the write should be sent again because of it. Before MongoDB
    /// 4.4 the reply gets the label that it then lacks.
    pub(super) fn write_concern_failure(&self, answer: &mut Answer) -> Option<Error> {
        let Attempt { numbered: true, labels_errors, is_mongos, .. } = self.attempt else { return None };
        if !answer.reply.may_have_write_concern_error() {
            return None;
        }
        bson_ext::find_field(answer.reply.document(), "writeConcernError").ok()??;
        let error = check_write_concern(answer.reply.document()).err()?;
        if error.contains_label(RETRYABLE_WRITE_ERROR) {
            return Some(error);
        }
        let transient = error.code().is_some_and(|code| codes::TRANSIENT.contains(&code));
        if labels_errors || is_mongos || !transient {
            return None;
        }
        answer.reply = labelled(answer.reply.document());
        Some(error.with_label(RETRYABLE_WRITE_ERROR))
    }

    /// The present attempt has failed. How long to wait before the next one; `jitter` is a random number from 0 up to 1.
    ///
    /// # Errors
    /// Where there is no other attempt, what the caller of the operation gets.
    pub(super) fn after(
        &mut self,
        failure: impl Into<Failure>,
        deadline: Deadline,
        jitter: impl FnOnce() -> f64,
    ) -> Result<Duration, Failure> {
        let attempt = std::mem::take(&mut self.attempt);
        let mut failure = failure.into();
        failure.error = self.judged(failure.error, &attempt);
        let error = &failure.error;
        // Without a server there was no attempt, and the operation is not retried: no other server would be found.
        let retryable = attempt.server.is_some() && self.is_retryable(error, &attempt);
        let overload = error.contains_label(SYSTEM_OVERLOADED_ERROR);
        let out_of_time = self.limited && deadline.expired();
        let base = base_pause(error);
        self.keep(failure, &attempt, out_of_time);
        self.overloaded |= retryable && overload;
        if !retryable || out_of_time || self.allowed().is_some_and(|allowed| self.made >= allowed) {
            return Err(self.give_up());
        }
        self.made += 1;
        if attempt.is_sharded || (self.retargets && overload) {
            self.deprioritised.extend(attempt.server.map(|server| (*server).clone()));
        }
        if !overload {
            return Ok(Duration::ZERO);
        }
        let pause = pause(base, self.made, jitter());
        match deadline.remaining() {
            Some(left) if left <= pause => Err(self.no_time_for(pause, deadline)),
            _ => Ok(pause),
        }
    }

    /// How many retries there may be; `None`: as many as the time allows.
    fn allowed(&self) -> Option<u32> {
        match (self.overloaded, self.limited) {
            (true, _) => Some(self.max_adaptive),
            (false, true) => None,
            (false, false) => Some(1),
        }
    }

    /// The error of the present attempt, with the label and the words that the driver has to add.
    pub(super) fn labelled(&self, error: Error) -> Error {
        self.judged(error, &self.attempt)
    }

    /// The error of an attempt at a write, with the label and the words that the driver has to add.
    fn judged(&self, error: Error, attempt: &Attempt) -> Error {
        if !self.may_repeat_write(attempt) {
            return error;
        }
        if attempt.sent && has_no_transaction_numbers(&error) {
            return error.with_message(NOT_SUPPORTED_BY_STORAGE);
        }
        // Before the command is sent no server has had the occasion to say which errors are worth another attempt.
        let by_code = !attempt.sent || !attempt.labels_errors;
        let transient = by_code && error.code().is_some_and(|code| codes::TRANSIENT.contains(&code));
        if transient || is_broken(&error) { error.with_label(RETRYABLE_WRITE_ERROR) } else { error }
    }

    /// Whether a write that has come this far may be sent again: the server recognises it, or has not seen it.
    fn may_repeat_write(&self, attempt: &Attempt) -> bool {
        self.retries_write && if attempt.sent { attempt.numbered } else { attempt.takes_numbers }
    }

    fn is_retryable(&self, error: &Error, attempt: &Attempt) -> bool {
        let refused_by_overload =
            || error.contains_label(SYSTEM_OVERLOADED_ERROR) && error.contains_label(RETRYABLE_ERROR);
        (self.retries_read && is_transient(error))
            || (self.may_repeat_write(attempt) && error.contains_label(RETRYABLE_WRITE_ERROR))
            || (self.after_overload && refused_by_overload())
    }

    /// Keeps the error that the caller gets if there is no other attempt. An error counts if the server may have executed something in its
    /// attempt. The caller gets the last error that counts, or else the first one.
    fn keep(&mut self, failure: Failure, attempt: &Attempt, out_of_time: bool) {
        let no_writes = self.heeds_no_writes && failure.error.contains_label(NO_WRITES_PERFORMED);
        let attempted = attempt.sent && !no_writes;
        self.outcome = Some(match self.outcome.take() {
            // What ran out is the time of the whole operation.
            Some(before) if out_of_time && !attempted && failure.error.is_timeout() => {
                failure.error.with_source(before.error).into()
            }
            Some(before) if !attempted => before,
            _ => failure,
        });
    }

    fn give_up(&mut self) -> Failure {
        let nothing = || Error::new(FaultKind::Shutdown, Stage::Command, "the operation was given up").into();
        self.outcome.take().unwrap_or_else(nothing)
    }

    fn no_time_for(&mut self, pause: Duration, deadline: Deadline) -> Failure {
        let cause = self.give_up().error;
        let message = format!(
            "{} leaves no time for the pause of {} ms before an overloaded server is asked again",
            deadline.name(),
            pause.as_millis()
        );
        cause.into_cause_of(Error::new(FaultKind::Timeout, Stage::Command, message)).into()
    }
}

/// Whether an error is likely to pass, so that a read is tried again (Retryable Reads).
fn is_transient(error: &Error) -> bool {
    let of_server = error
        .code()
        .is_some_and(|code| codes::TRANSIENT.contains(&code) || code == codes::READ_CONCERN_MAJORITY_NOT_AVAILABLE_YET);
    of_server || is_broken(error)
}

/// Whether the way to the server is broken.
fn is_broken(error: &Error) -> bool {
    (error.is_network_error() && error.stage() != Stage::Http)
        || matches!(error.kind(), ErrorKind::ConnectionPoolCleared { .. })
}

/// Whether the server's storage engine (MMAPv1) knows no numbered writes.
fn has_no_transaction_numbers(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Command(refused)
        if refused.code == codes::ILLEGAL_OPERATION && refused.message.starts_with("Transaction numbers"))
}

/// The reply with the label of a write that may be tried again.
fn labelled(reply: &RawDocument) -> Reply {
    let mut document = reply.to_owned();
    let mut labels = RawArrayBuf::new();
    labels.push(RETRYABLE_WRITE_ERROR);
    document.append(cstr!("errorLabels"), labels);
    Reply::of(document)
}

/// What the pause grows from: what the server's reply asks for, or else the usual value.
fn base_pause(error: &Error) -> Duration {
    error.base_backoff().filter(|asked| !asked.is_zero()).unwrap_or(BASE_PAUSE)
}

/// The pause before the retry with this number, from 1.
fn pause(base: Duration, retry: u32, jitter: f64) -> Duration {
    let factor = 2_u32.checked_pow(retry).unwrap_or(u32::MAX);
    base.saturating_mul(factor).min(LONGEST_PAUSE).mul_f64(jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use bson::{RawDocumentBuf, rawdoc};

    use super::*;
    use crate::error::command_error;
    use crate::system::RealSystem;

    struct Case {
        options: ClientSettings,
        deadline: Deadline,
        retry: Retry,
        access: Access,
    }

    fn case(uri: &str, retry: Retry, access: Access) -> Case {
        let options = ClientSettings::parse(&format!("mongodb://localhost/?{uri}")).unwrap();
        let deadline = Deadline::after_option(options.timeout()).named("timeoutMS");
        Case { options, deadline, retry, access }
    }

    impl Case {
        fn begin(&self) -> Retries {
            Retries::of(&self.options, self.retry, self.access)
        }

        /// What follows when the attempts fail like this, one after the other: the pauses, and the error of the last.
        fn run(&self, errors: &[Error]) -> (Vec<Duration>, Option<Error>) {
            let (mut retries, mut pauses) = (self.begin(), Vec::new());
            for error in errors {
                sent_to(&mut retries, "a:1");
                match retries.after(error.clone(), self.deadline, || 1.0) {
                    Ok(pause) => pauses.push(pause),
                    Err(failure) => return (pauses, Some(failure.error)),
                }
            }
            (pauses, None)
        }
    }

    fn chosen(retries: &mut Retries, address: &str, topology_type: TopologyType) {
        retries.chosen(&Arc::new(ServerAddress::parse(address).unwrap()), topology_type, ServerType::RsPrimary);
    }

    fn sent_to(retries: &mut Retries, address: &str) {
        chosen(retries, address, TopologyType::ReplicaSetWithPrimary);
        retries.attempt = Attempt { sent: true, labels_errors: true, ..std::mem::take(&mut retries.attempt) };
    }

    /// A numbered write is on its way.
    fn wrote_to(retries: &mut Retries, address: &str) {
        sent_to(retries, address);
        retries.attempt.numbered = true;
    }

    fn next(retries: &mut Retries, error: Error) -> Result<Duration> {
        retries.after(error, Deadline::NEVER, || 1.0).map_err(|failure| failure.error)
    }

    fn refused(code: i32, labels: &[&str]) -> Error {
        replied(rawdoc! { "ok": 0, "code": code, "errmsg": "x" }, labels)
    }

    fn replied(reply: RawDocumentBuf, labels: &[&str]) -> Error {
        let error = command_error(&reply, Stage::Command).unwrap();
        labels.iter().fold(error, |error, label| error.with_label(*label))
    }

    fn overloaded() -> Error {
        refused(462, OVERLOAD)
    }

    fn broken() -> Error {
        Error::new(FaultKind::Io, Stage::Command, "reset")
    }

    fn millis(pauses: &[Duration]) -> Vec<u128> {
        pauses.iter().map(Duration::as_millis).collect()
    }

    #[test]
    fn a_read_is_retried_once_after_an_error_that_may_pass() {
        let read = case("", Retry::Read, Access::Read);
        for error in [
            broken(),
            Error::new(FaultKind::TimedOut, Stage::Command, "socketTimeoutMS ran out"),
            Error::new(FaultKind::ConnectionPoolCleared, Stage::CheckOut, "cleared"),
            refused(134, &[]),
            refused(91, &[]),
        ] {
            let (pauses, end) = read.run(&[error.clone(), error.clone(), error.clone()]);
            assert_eq!((millis(&pauses), end.map(|end| end.to_string())), (vec![0], Some(error.to_string())));
        }
        for error in [
            refused(2, &[]),
            refused(2, &["RetryableWriteError", RETRYABLE_ERROR]),
            Error::new(FaultKind::Pool, Stage::CheckOut, "waitQueueTimeoutMS ran out"),
            Error::new(FaultKind::TimedOut, Stage::Http, "slow"),
            Error::invalid_reply(Stage::Decode, "no ok"),
            Error::new(FaultKind::Shutdown, Stage::Command, "closed"),
        ] {
            assert!(read.run(&[error]).1.is_some());
        }
        assert!(case("retryReads=false", Retry::Read, Access::Read).run(&[broken()]).1.is_some());
        assert!(case("", Retry::Never, Access::Read).run(&[broken()]).1.is_some());
    }

    #[test]
    fn with_timeout_a_read_is_retried_as_long_as_there_is_time() {
        let errors: Vec<Error> = (0..50).map(|_| broken()).collect();
        assert_eq!(case("timeoutMS=60000", Retry::Read, Access::Read).run(&errors).0.len(), 50);
        let late = Case {
            deadline: Deadline::after(Duration::from_nanos(1)),
            ..case("timeoutMS=1", Retry::Read, Access::Read)
        };
        assert!(late.run(&errors).1.is_some());
    }

    #[test]
    fn overload_limits_all_retries_and_brings_pauses() {
        for uri in ["", "timeoutMS=60000"] {
            let read = case(uri, Retry::Read, Access::Read);
            let (pauses, end) = read.run(&[overloaded(), overloaded(), overloaded()]);
            assert_eq!((millis(&pauses), end.unwrap().code()), (vec![200, 400], Some(462)), "{uri}");
            let (pauses, end) = read.run(&[overloaded(), broken(), broken()]);
            assert_eq!((millis(&pauses), end.is_some()), (vec![200, 0], true), "{uri}");
        }
        let more = case("maxAdaptiveRetries=9", Retry::Never, Access::Write);
        let pauses = more.run(&vec![overloaded(); 12]).0;
        assert_eq!(millis(&pauses), [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000]);
        assert!(case("maxAdaptiveRetries=0", Retry::Read, Access::Read).run(&[overloaded()]).1.is_some());
    }

    #[test]
    fn the_server_may_set_what_the_pauses_grow_from() {
        for (base, pause) in [(50, 100), (0, 200), (-5, 200), (i32::MAX, 10_000)] {
            let reply = rawdoc! { "ok": 0, "code": 462, "errmsg": "x", "baseBackoffMS": base };
            let (pauses, _) = case("", Retry::Never, Access::Read).run(&[replied(reply, OVERLOAD)]);
            assert_eq!(millis(&pauses), [pause], "{base}");
        }
    }

    #[test]
    fn overload_is_retried_by_the_option_of_what_the_operation_does() {
        for (access, reads, writes) in
            [(Access::Read, true, false), (Access::Write, false, true), (Access::Unknown, false, false)]
        {
            let without_writes = case("retryWrites=false", Retry::Never, access).run(&[overloaded()]).1.is_none();
            let without_reads = case("retryReads=false", Retry::Never, access).run(&[overloaded()]).1.is_none();
            assert_eq!((without_writes, without_reads), (reads, writes), "{access:?}");
            assert!(case("", Retry::Never, access).run(&[overloaded()]).1.is_none());
        }
        for uri in ["retryWrites=false", "retryReads=false&retryWrites=false"] {
            assert!(case(uri, Retry::Always, Access::Write).run(&[overloaded()]).1.is_none(), "{uri}");
        }
        // Only both labels together say that the server has not read it.
        let never = case("", Retry::Never, Access::Write);
        assert!(never.run(&[refused(462, &[SYSTEM_OVERLOADED_ERROR])]).1.is_some());
        assert!(never.run(&[refused(462, &[RETRYABLE_ERROR])]).1.is_some());
    }

    #[test]
    fn a_pause_that_the_time_does_not_allow_fails_at_once() {
        let case = case("timeoutMS=150", Retry::Read, Access::Read);
        let error = case.run(&[overloaded()]).1.unwrap();
        assert!(matches!(error.kind(), ErrorKind::Timeout { .. }), "{error}");
        assert_eq!(error.code(), Some(462));
        assert!(
            error.contains_label(SYSTEM_OVERLOADED_ERROR) && error.message().starts_with("timeoutMS leaves no time")
        );
    }

    #[test]
    fn without_a_server_nothing_is_retried_and_the_error_before_is_returned() {
        let read = case("", Retry::Read, Access::Read);
        let none =
            Error::new(FaultKind::ServerSelection, Stage::ServerSelection, "no server").with_label(RETRYABLE_ERROR);
        let none = none.with_label(SYSTEM_OVERLOADED_ERROR);
        let end = next(&mut read.begin(), none.clone()).unwrap_err();
        assert!(matches!(end.kind(), ErrorKind::ServerSelection { .. }));
        let mut retries = read.begin();
        sent_to(&mut retries, "a:1");
        next(&mut retries, refused(91, &[])).unwrap();
        assert_eq!(next(&mut retries, none).unwrap_err().code(), Some(91));
    }

    #[test]
    fn an_error_before_the_command_was_sent_does_not_hide_one_after_it() {
        let mut retries = case("", Retry::Read, Access::Read).begin();
        sent_to(&mut retries, "a:1");
        next(&mut retries, refused(91, &[])).unwrap();
        chosen(&mut retries, "b:1", TopologyType::Sharded);
        let unsent = Error::new(FaultKind::ConnectionPoolCleared, Stage::CheckOut, "cleared");
        assert_eq!(next(&mut retries, unsent).unwrap_err().code(), Some(91));
    }

    #[test]
    fn routers_are_avoided_after_any_error_and_other_servers_after_overload_if_asked_for() {
        let avoided = |uri: &str, topology_type, error| {
            let mut retries = case(uri, Retry::Read, Access::Read).begin();
            chosen(&mut retries, "a:1", topology_type);
            next(&mut retries, error).unwrap();
            retries.deprioritised().len()
        };
        let (set, routers) = (TopologyType::ReplicaSetWithPrimary, TopologyType::Sharded);
        assert_eq!(avoided("", routers, broken()), 1);
        assert_eq!(avoided("", set, overloaded()), 0);
        assert_eq!(avoided("enableOverloadRetargeting=true", set, overloaded()), 1);
        assert_eq!(avoided("enableOverloadRetargeting=true", set, broken()), 0);
    }

    #[test]
    fn jitter_is_between_0_and_1_and_differs() {
        let jitter = Jitter::new(RealSystem::shared());
        let numbers: Vec<f64> = (0..100).map(|_| jitter.next()).collect();
        assert!(numbers.iter().all(|number| (0.0..=1.0).contains(number)));
        assert!(numbers.iter().any(|number| *number != numbers[0]));
    }

    const WRITE: &str = RETRYABLE_WRITE_ERROR;

    #[test]
    fn a_numbered_write_is_retried_by_the_label() {
        let write = case("", Retry::Write, Access::Write);
        let retried = |error: Error, prepare: fn(&mut Retries, &str)| {
            let mut retries = write.begin();
            prepare(&mut retries, "a:1");
            let again = next(&mut retries, error.clone()).is_ok();
            prepare(&mut retries, "a:1");
            (again, next(&mut retries, error).unwrap_err().contains_label(WRITE))
        };
        let cleared = Error::new(FaultKind::ConnectionPoolCleared, Stage::CheckOut, "cleared");
        for error in [broken(), cleared.clone(), refused(1, &[WRITE])] {
            assert_eq!(retried(error, wrote_to), (true, true));
        }
        // Since MongoDB 4.4 only the server adds it to its own errors.
        assert_eq!(retried(refused(91, &[]), wrote_to), (false, false));
        let to_older = |retries: &mut Retries, address: &str| {
            wrote_to(retries, address);
            retries.attempt.labels_errors = false;
        };
        assert_eq!(retried(refused(91, &[]), to_older), (true, true));
        assert_eq!(retried(refused(134, &[]), to_older), (false, false));
        // Without a number it is sent once, and nothing is labelled.
        assert_eq!(retried(broken(), sent_to), (false, false));
        // Before it was sent no number is needed, and what the server says in the handshake counts by its code.
        let unsent = |retries: &mut Retries, address: &str| chosen(retries, address, TopologyType::Sharded);
        for error in [broken(), cleared, refused(91, &[])] {
            assert_eq!(retried(error, unsent), (true, true));
        }
        let standalone = |retries: &mut Retries, address: &str| {
            let address = Arc::new(ServerAddress::parse(address).unwrap());
            retries.chosen(&address, TopologyType::Single, ServerType::Standalone);
        };
        assert_eq!(retried(broken(), standalone), (false, false));
        let mut off = case("retryWrites=false", Retry::Write, Access::Write).begin();
        wrote_to(&mut off, "a:1");
        assert!(!next(&mut off, broken()).unwrap_err().contains_label(WRITE));
    }

    #[test]
    fn no_writes_performed_decides_which_error_of_a_write_is_returned() {
        let labels = |none: bool| if none { vec![WRITE, NO_WRITES_PERFORMED] } else { vec![WRITE] };
        for (first, second, returned) in [(false, false, 2), (true, true, 1), (false, true, 1), (true, false, 2)] {
            let mut retries = case("", Retry::Write, Access::Write).begin();
            wrote_to(&mut retries, "a:1");
            next(&mut retries, refused(1, &labels(first))).unwrap();
            wrote_to(&mut retries, "b:1");
            let error = next(&mut retries, refused(2, &labels(second))).unwrap_err();
            assert_eq!(error.code(), Some(returned), "{first} {second}");
            // Nothing was written is said only where it holds for all attempts.
            assert_eq!(error.contains_label(NO_WRITES_PERFORMED), first && second);
        }
    }

    #[test]
    fn a_storage_engine_without_numbered_writes_is_named() {
        let refused = replied(
            rawdoc! { "ok": 0, "code": 20, "errmsg": "Transaction numbers are only allowed on a replica set" },
            &[],
        );
        let mut retries = case("", Retry::Write, Access::Write).begin();
        wrote_to(&mut retries, "a:1");
        let error = next(&mut retries, refused).unwrap_err();
        assert_eq!((error.message(), error.code()), (NOT_SUPPORTED_BY_STORAGE, Some(20)));
    }

    #[test]
    fn a_write_concern_error_is_reason_for_a_retry_by_its_label_or_before_4_4_by_its_code() {
        let failure = |labelled: bool, labels_errors: bool, is_mongos: bool, code: i32| {
            let mut retries = case("", Retry::Write, Access::Write).begin();
            wrote_to(&mut retries, "a:1");
            (retries.attempt.labels_errors, retries.attempt.is_mongos) = (labels_errors, is_mongos);
            let mut reply = rawdoc! { "ok": 1, "n": 1, "writeConcernError": { "code": code, "errmsg": "x" } };
            if labelled {
                reply.append(cstr!("errorLabels"), [WRITE].into_iter().collect::<RawArrayBuf>());
            }
            let server = Arc::new(ServerAddress::parse("a:1").unwrap());
            let mut answer = Answer { reply: Reply::of(reply), server, limit_is_ours: false };
            let error = retries.write_concern_failure(&mut answer);
            let kept = check_write_concern(answer.reply.document()).unwrap_err();
            assert_eq!(error.is_some(), kept.contains_label(WRITE));
            error.is_some()
        };
        assert!(failure(true, true, false, 1) && failure(true, true, true, 1));
        assert!(!failure(false, true, false, 91));
        assert!(
            failure(false, false, false, 91) && !failure(false, false, true, 91) && !failure(false, false, false, 64)
        );
    }

    const OVERLOAD: &[&str] = &[SYSTEM_OVERLOADED_ERROR, RETRYABLE_ERROR];
}
