//! Whether an operation that failed is tried again, when, and which error its caller gets: Retryable Reads, Retryable Writes and
//! Client Backpressure as one policy.
//!
//! [`Retries`] decides from errors alone. `execute.rs` tells it what an attempt came to, and does what it decides.

use std::sync::Arc;
#[cfg(test)]
use std::sync::Mutex;
use std::time::Duration;

use crate::bson_ext;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, FaultKind, RETRYABLE_ERROR, Result, SYSTEM_OVERLOADED_ERROR, Stage, codes};
use crate::event::sdam::TopologyType;
use crate::operation::{Access, Operation, Retry};
use crate::options::{ClientSettings, ServerAddress};
use crate::system::{RealSystem, System};

/// The longest pause before an overloaded server is asked again, without its random factor (MAX_BACKOFF).
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// What the pauses grow from, unless the server asks for another value (BASE_BACKOFF).
const BASE_PAUSE: Duration = Duration::from_millis(100);

/// The attempts at one operation.
pub(super) struct Retries {
    /// Whether an error that is likely to pass is reason enough for another attempt.
    after_transient_errors: bool,
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
    attempt: Attempt,
    /// The error for the caller so far.
    error: Option<Error>,
}

/// The random numbers that spread the retries of many clients.
#[derive(Default)]
pub(super) struct Jitter {
    /// In tests, the number that comes next, and always.
    #[cfg(test)]
    pub(super) fixed: Mutex<Option<f64>>,
}

impl Jitter {
    /// A number from 0 up to 1. Where the operating system has no random bytes, 1: the whole pause.
    pub(super) fn next(&self) -> f64 {
        #[cfg(test)]
        if let Some(fixed) = *crate::locks::lock(&self.fixed) {
            return fixed;
        }
        let mut bytes = [0; 4];
        match RealSystem.random(&mut bytes) {
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
    /// Whether the command may have reached the server.
    sent: bool,
}

impl Retries {
    pub(super) fn new(options: &ClientSettings, operation: &impl Operation) -> Self {
        Retries::of(options, operation.retry(), operation.access())
    }

    fn of(options: &ClientSettings, retry: Retry, access: Access) -> Self {
        let (reads, writes) = (options.retry_reads != Some(false), options.retry_writes != Some(false));
        Retries {
            after_transient_errors: retry == Retry::Read && reads,
            after_overload: match access {
                Access::Read => reads,
                Access::Write => writes,
                Access::Unknown => reads && writes,
            },
            max_adaptive: options.max_adaptive_retries(),
            retargets: options.enable_overload_retargeting(),
            limited: options.timeout.is_some(),
            made: 0,
            overloaded: false,
            deprioritised: Vec::new(),
            attempt: Attempt::default(),
            error: None,
        }
    }

    /// Servers where the operation has failed, for the next selection to avoid.
    pub(super) fn deprioritised(&self) -> &[ServerAddress] {
        &self.deprioritised
    }

    /// The present attempt has chosen this server.
    pub(super) fn selected(&mut self, server: &Arc<ServerAddress>, topology_type: TopologyType) {
        self.attempt.server = Some(server.clone());
        self.attempt.is_sharded = topology_type == TopologyType::Sharded;
    }

    /// The present attempt is about to send its command.
    pub(super) fn sends(&mut self) {
        self.attempt.sent = true;
    }

    /// The present attempt has failed with this error. How long to wait before the next one; `jitter` is a random number from 0 up
    /// to 1.
    ///
    /// # Errors
    /// Where there is no other attempt, the error that the caller of the operation gets.
    pub(super) fn after(&mut self, error: Error, deadline: Deadline, jitter: impl FnOnce() -> f64) -> Result<Duration> {
        let Attempt { server, is_sharded, sent } = std::mem::take(&mut self.attempt);
        // Without a server there was no attempt, and the operation is not retried: no other server would be found.
        let retryable = server.is_some() && self.is_retryable(&error);
        let overload = error.contains_label(SYSTEM_OVERLOADED_ERROR);
        let out_of_time = self.limited && deadline.expired();
        let base = base_pause(&error);
        self.keep(error, sent, out_of_time);
        self.overloaded |= retryable && overload;
        if !retryable || out_of_time || self.allowed().is_some_and(|allowed| self.made >= allowed) {
            return Err(self.give_up());
        }
        self.made += 1;
        if is_sharded || (self.retargets && overload) {
            self.deprioritised.extend(server.map(|server| (*server).clone()));
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

    fn is_retryable(&self, error: &Error) -> bool {
        let refused_unread = || error.contains_label(SYSTEM_OVERLOADED_ERROR) && error.contains_label(RETRYABLE_ERROR);
        (self.after_transient_errors && is_transient(error)) || (self.after_overload && refused_unread())
    }

    /// Of several errors, the last one counts that leaves open whether the command was executed; if there is none, the first.
    fn keep(&mut self, error: Error, sent: bool, out_of_time: bool) {
        match self.error.take() {
            Some(before) if out_of_time && matches!(error.kind(), ErrorKind::Timeout { .. }) => {
                // What ran out is the time of the whole operation.
                self.error = Some(if sent { error } else { error.with_source(before) });
            }
            Some(before) if !sent => self.error = Some(before),
            _ => self.error = Some(error),
        }
    }

    fn give_up(&mut self) -> Error {
        self.error
            .take()
            .unwrap_or_else(|| Error::new(FaultKind::Shutdown, Stage::Command, "the operation was given up"))
    }

    fn no_time_for(&mut self, pause: Duration, deadline: Deadline) -> Error {
        let cause = self.give_up();
        let message = format!(
            "{} leaves no time for the pause of {} ms before an overloaded server is asked again",
            deadline.name(),
            pause.as_millis()
        );
        cause.into_cause_of(Error::new(FaultKind::Timeout, Stage::Command, message))
    }
}

/// Whether an error is likely to pass, so that a read is tried again (Retryable Reads).
fn is_transient(error: &Error) -> bool {
    let of_network = error.is_network_error() && error.stage() != Stage::Http;
    let of_server = error
        .code()
        .is_some_and(|code| codes::TRANSIENT.contains(&code) || code == codes::READ_CONCERN_MAJORITY_NOT_AVAILABLE_YET);
    of_network || of_server || matches!(error.kind(), ErrorKind::ConnectionPoolCleared { .. })
}

/// What the pause grows from: what the server's reply asks for, or else the usual value.
fn base_pause(error: &Error) -> Duration {
    let asked = error.server_response().and_then(|reply| bson_ext::count(reply.get("baseBackoffMS").ok()??));
    asked.filter(|millis| *millis > 0).map_or(BASE_PAUSE, Duration::from_millis)
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

    struct Case {
        options: ClientSettings,
        deadline: Deadline,
        retry: Retry,
        access: Access,
    }

    fn case(uri: &str, retry: Retry, access: Access) -> Case {
        let options = ClientSettings::parse(&format!("mongodb://localhost/?{uri}")).unwrap();
        let deadline = Deadline::after_option(options.timeout).named("timeoutMS");
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
                    Err(error) => return (pauses, Some(error)),
                }
            }
            (pauses, None)
        }
    }

    fn sent_to(retries: &mut Retries, address: &str) {
        retries.selected(&Arc::new(ServerAddress::parse(address).unwrap()), TopologyType::ReplicaSetWithPrimary);
        retries.sends();
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
            Error::new(FaultKind::Timeout, Stage::Command, "socketTimeoutMS ran out"),
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
            Error::new(FaultKind::Timeout, Stage::Http, "slow"),
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
        let end = read.begin().after(none.clone(), Deadline::NEVER, || 1.0).unwrap_err();
        assert!(matches!(end.kind(), ErrorKind::ServerSelection { .. }));
        let mut retries = read.begin();
        sent_to(&mut retries, "a:1");
        retries.after(refused(91, &[]), Deadline::NEVER, || 1.0).unwrap();
        assert_eq!(retries.after(none, Deadline::NEVER, || 1.0).unwrap_err().code(), Some(91));
    }

    #[test]
    fn an_error_before_the_command_was_sent_does_not_hide_one_after_it() {
        let mut retries = case("", Retry::Read, Access::Read).begin();
        sent_to(&mut retries, "a:1");
        retries.after(refused(91, &[]), Deadline::NEVER, || 1.0).unwrap();
        retries.selected(&Arc::new(ServerAddress::parse("b:1").unwrap()), TopologyType::Sharded);
        let unsent = Error::new(FaultKind::ConnectionPoolCleared, Stage::CheckOut, "cleared");
        assert_eq!(retries.after(unsent, Deadline::NEVER, || 1.0).unwrap_err().code(), Some(91));
    }

    #[test]
    fn routers_are_avoided_after_any_error_and_other_servers_after_overload_if_asked_for() {
        let avoided = |uri: &str, topology_type, error| {
            let mut retries = case(uri, Retry::Read, Access::Read).begin();
            retries.selected(&Arc::new(ServerAddress::parse("a:1").unwrap()), topology_type);
            retries.sends();
            retries.after(error, Deadline::NEVER, || 0.0).unwrap();
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
        let jitter = Jitter::default();
        let numbers: Vec<f64> = (0..100).map(|_| jitter.next()).collect();
        assert!(numbers.iter().all(|number| (0.0..=1.0).contains(number)));
        assert!(numbers.iter().any(|number| *number != numbers[0]));
    }

    const OVERLOAD: &[&str] = &[SYSTEM_OVERLOADED_ERROR, RETRYABLE_ERROR];
}
