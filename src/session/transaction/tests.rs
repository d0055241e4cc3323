//! The states of a transaction, what its commands carry, and what errors mean for it.

use bson::rawdoc;

use super::*;
use crate::error::{FaultKind, command_error};
use crate::operation::reply::check_write_concern;
use crate::options::ReadPreference;

const LABELS: [&str; 2] = [TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT];

fn in_state(state: TransactionState) -> Transaction {
    Transaction { state, ..Transaction::default() }
}

fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
    let error = result.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Transaction { .. }), "{error:?}");
    error.message().to_owned()
}

fn completed(transaction: &Transaction, name: &'static str) -> RawDocumentBuf {
    let mut command = Command::new(name, "db", rawdoc! {});
    transaction.complete(&mut command, 7, Some(Timestamp { time: 1, increment: 2 }));
    command.body.finish()
}

#[test]
fn each_state_allows_what_the_specification_says() {
    use TransactionState::{Aborted, Committed, InProgress, None, Starting};
    assert_eq!(message(in_state(None).commits()), "No transaction started");
    assert_eq!(message(in_state(Aborted).commits()), "Cannot call commitTransaction after calling abortTransaction");
    assert_eq!(message(in_state(None).aborts()), "No transaction started");
    assert_eq!(message(in_state(Committed).aborts()), "Cannot call abortTransaction after calling commitTransaction");
    assert_eq!(message(in_state(Aborted).aborts()), "Cannot call abortTransaction twice");
    for (state, is_sent) in [(Starting, false), (InProgress, true)] {
        let mut transaction = in_state(state);
        assert_eq!((transaction.commits().unwrap(), transaction.state()), (is_sent, Committed));
        // Once more it is as before.
        assert_eq!((transaction.commits().unwrap(), transaction.state()), (is_sent, Committed));
        let mut transaction = in_state(state);
        assert_eq!((transaction.aborts().unwrap(), transaction.state()), (is_sent, Aborted));
    }
}

#[test]
fn an_error_changes_no_state() {
    for state in [TransactionState::None, TransactionState::Committed, TransactionState::Aborted] {
        let mut transaction = in_state(state);
        assert!(transaction.aborts().is_err());
        assert_eq!(transaction.state(), state);
    }
}

#[test]
fn the_first_command_starts_the_transaction_and_the_last_has_its_write_concern() {
    let mut transaction = Transaction::default();
    let options = TransactionOptions::default()
        .read_concern(ReadConcern::snapshot())
        .write_concern(WriteConcern::nodes(1))
        .max_commit_time(Duration::from_millis(60_000));
    transaction.start(options, false);
    let first = completed(&transaction, "find");
    let concern = rawdoc! { "level": "snapshot", "afterClusterTime": Timestamp { time: 1, increment: 2 } };
    let expected =
        rawdoc! { "txnNumber": 7_i64, "startTransaction": true, "readConcern": concern, "autocommit": false };
    assert_eq!(first, expected);
    // It was not sent, so it is the first still.
    assert_eq!(completed(&transaction, "find"), expected);
    transaction.sent();
    transaction.recovery_token_reported(&rawdoc! { "a": 1 });
    transaction.recovery_token_reported(&rawdoc! { "a": 2 });
    assert_eq!(completed(&transaction, "find"), rawdoc! { "txnNumber": 7_i64, "autocommit": false });

    let (writes, token) = (rawdoc! { "w": 1 }, rawdoc! { "a": 2 });
    let mut aborted = in_state(TransactionState::Aborted);
    aborted.options = transaction.options.clone();
    let expected = rawdoc! { "txnNumber": 7_i64, "writeConcern": writes.clone(), "autocommit": false };
    assert_eq!(completed(&aborted, "abortTransaction"), expected);
    assert!(transaction.commits().unwrap());
    let commit = |concern: RawDocumentBuf| {
        rawdoc! {
            "txnNumber": 7_i64, "writeConcern": concern, "maxTimeMS": 60_000_i64, "recoveryToken": token.clone(), "autocommit": false,
        }
    };
    assert_eq!(completed(&transaction, "commitTransaction"), commit(writes));
    transaction.committed();
    let majority = rawdoc! { "w": "majority", "wtimeout": 10_000 };
    assert_eq!(completed(&transaction, "commitTransaction"), commit(majority));

    // Another transaction has nothing of this one.
    transaction.start(TransactionOptions::default(), false);
    transaction.sent();
    assert!(transaction.commits().unwrap());
    assert_eq!(completed(&transaction, "commitTransaction"), rawdoc! { "txnNumber": 7_i64, "autocommit": false });
}

#[test]
fn a_limit_of_the_programs_is_left_as_it_is() {
    let mut transaction = Transaction::default();
    let concern = WriteConcern::nodes(3).with_w_timeout(Duration::from_millis(5)).with_journal(true);
    transaction.start(TransactionOptions::default().write_concern(concern), false);
    transaction.sent();
    assert!(transaction.commits().unwrap());
    transaction.committed();
    let concern = rawdoc! { "w": "majority", "wtimeout": 5, "j": true };
    assert_eq!(completed(&transaction, "commitTransaction").get_document("writeConcern").unwrap(), &*concern);
}

#[test]
fn a_recovery_token_that_is_too_long_is_not_kept() {
    let mut transaction = in_state(TransactionState::InProgress);
    transaction.recovery_token_reported(&rawdoc! { "a": "x".repeat(MAX_RECOVERY_TOKEN_BYTES) });
    assert!(transaction.recovery_token.is_none());
    // Nor one that comes outside of a transaction.
    let mut transaction = in_state(TransactionState::None);
    transaction.recovery_token_reported(&rawdoc! { "a": 1 });
    assert!(transaction.recovery_token.is_none());
}

#[test]
fn after_overload_alone_a_commit_is_repeated_as_it_was() {
    let overload = || refused(462).with_label(SYSTEM_OVERLOADED_ERROR).with_label(RETRYABLE_ERROR);
    let mut transaction = in_state(TransactionState::InProgress);
    assert!(transaction.commits().unwrap());
    transaction.failed(overload());
    assert!(
        !completed(&transaction, "commitTransaction").iter().any(|field| field.unwrap().0.as_str() == "writeConcern")
    );
    transaction.failed(refused(91).with_label(RETRYABLE_WRITE_ERROR));
    transaction.failed(overload());
    let again = completed(&transaction, "commitTransaction");
    assert_eq!(again.get_document("writeConcern").unwrap().get_str("w").unwrap(), "majority");
}

#[test]
fn a_first_command_that_is_sent_again_is_the_first_again() {
    let mut transaction = Transaction::default();
    transaction.start(TransactionOptions::default(), false);
    transaction.bind(Target::Writable, Access::Write).unwrap();
    transaction.sent();
    transaction.tries_again();
    assert_eq!(transaction.state(), TransactionState::Starting);
    transaction.bind(Target::Writable, Access::Write).unwrap();
    transaction.sent();
    transaction.bind(Target::Writable, Access::Write).unwrap();
    transaction.tries_again();
    assert_eq!(transaction.state(), TransactionState::InProgress);
}

#[test]
fn only_the_primary_is_read() {
    let secondary = ReadPreference::secondary(None);
    for (state, allowed) in [(TransactionState::InProgress, false), (TransactionState::None, true)] {
        let mut transaction = in_state(state);
        for target in [Target::Readable(&secondary), Target::ReadableAndWritable(&secondary)] {
            let bound = transaction.bind(target, Access::Read).map(drop);
            assert_eq!(bound.is_ok(), allowed);
            if let Err(error) = bound {
                assert_eq!(error.message(), "read preference in a transaction must be primary");
            }
        }
        assert!(transaction.bind(Target::Readable(&ReadPreference::Primary), Access::Read).is_ok());
        assert!(transaction.bind(Target::Writable, Access::Write).is_ok());
        // Lists go by what the transaction says.
        assert!(transaction.bind(Target::Writable, Access::Read).is_ok());
        transaction.options.selection_criteria = Some(secondary.clone().into());
        assert_eq!(transaction.bind(Target::Writable, Access::Read).is_ok(), allowed);
        assert!(transaction.bind(Target::Writable, Access::Write).is_ok());
    }
}

fn refused(code: i32) -> Error {
    command_error(&rawdoc! { "ok": 0, "code": code, "errmsg": "x" }, Stage::Command).unwrap()
}

fn write_concern_error(code: i32) -> Error {
    check_write_concern(&rawdoc! { "ok": 1, "writeConcernError": { "code": code, "errmsg": "x" } }).unwrap_err()
}

/// The labels of the error, as of [`LABELS`].
fn labels(state: TransactionState, error: &Error) -> [bool; 2] {
    let error = in_state(state).failed(error.clone());
    LABELS.map(|label| error.contains_label(label))
}

#[test]
fn errors_get_the_labels_that_the_specification_names() {
    use TransactionState::{Aborted, Committed, InProgress, None};
    // In the order of LABELS: in an operation, in a commit.
    for (error, operation, commit) in [
        (Error::new(FaultKind::Io, Stage::Command, "reset"), [true, false], [false, true]),
        (Error::new(FaultKind::Io, Stage::Connect, "refused"), [true, false], [false, true]),
        (Error::new(FaultKind::TimedOut, Stage::Command, "socketTimeoutMS"), [true, false], [false, true]),
        (Error::new(FaultKind::ServerSelection, Stage::ServerSelection, "none"), [true, false], [false, true]),
        (Error::new(FaultKind::Timeout, Stage::ServerSelection, "timeoutMS"), [true, false], [false, true]),
        (Error::new(FaultKind::ConnectionPoolCleared, Stage::CheckOut, "cleared"), [true, false], [false, true]),
        (Error::new(FaultKind::Pool, Stage::CheckOut, "waitQueueTimeoutMS"), [false, false], [false, false]),
        (Error::new(FaultKind::Io, Stage::Http, "reset"), [false, false], [false, false]),
        (Error::invalid_argument("x"), [false, false], [false, false]),
        (refused(11000), [false, false], [false, false]),
        (refused(50), [false, false], [false, true]),
        (refused(91).with_label(RETRYABLE_WRITE_ERROR), [false, false], [false, true]),
        (refused(251).with_label(TRANSIENT_TRANSACTION_ERROR), [true, false], [true, false]),
        (write_concern_error(64), [false, false], [false, true]),
        (write_concern_error(100), [false, false], [false, false]),
        (write_concern_error(79), [false, false], [false, false]),
    ] {
        assert_eq!(labels(InProgress, &error), operation, "{error}");
        assert_eq!(labels(Committed, &error), commit, "{error}");
        for state in [None, Aborted] {
            let own = LABELS.map(|label| error.contains_label(label));
            assert_eq!(labels(state, &error), own, "{error}");
        }
    }
}

#[test]
fn errors_that_end_a_transaction_unbind_it() {
    use TransactionState::{Aborted, Committed, InProgress};
    let router = Arc::new(ServerAddress::parse("a:1").unwrap());
    for (state, error, stays) in [
        (InProgress, refused(11000), true),
        (InProgress, refused(251).with_label(TRANSIENT_TRANSACTION_ERROR), false),
        (InProgress, Error::new(FaultKind::Io, Stage::Command, "reset"), false),
        (Committed, refused(11000), true),
        (Committed, refused(251).with_label(TRANSIENT_TRANSACTION_ERROR), false),
        (Committed, write_concern_error(64), false),
        (Aborted, refused(11000), false),
    ] {
        let mut transaction = in_state(state);
        transaction.pin_to(&router);
        let error = transaction.failed(error);
        assert_eq!(matches!(transaction.pin(), Pin::Router(_)), stays, "{error}");
    }
    // A commit that succeeds may be called again; an abort, another operation and another transaction end it.
    type End = fn(&mut Transaction);
    let ends: [(&str, End, bool); 4] = [
        ("commit", |transaction| transaction.committed(), true),
        ("abort", |transaction| transaction.aborted(), false),
        ("operation", |transaction| transaction.reset(), false),
        ("transaction", |transaction| transaction.start(TransactionOptions::default(), false), false),
    ];
    for (what, end, stays) in ends {
        let mut transaction = in_state(InProgress);
        transaction.pin_to(&router);
        end(&mut transaction);
        assert_eq!(matches!(transaction.pin(), Pin::Router(_)), stays, "{what}");
    }
    let mut never_sent = in_state(TransactionState::Starting);
    never_sent.pin_to(&router);
    assert!(!never_sent.aborts().unwrap());
    assert!(matches!(never_sent.pin(), Pin::Nothing));
}

#[test]
fn operations_have_no_concerns_of_their_own() {
    let transaction = in_state(TransactionState::InProgress);
    let read = transaction.fill_in_read(&Some(ReadConcern::majority()), &mut None);
    assert_eq!(message(read), "Cannot set read concern after starting a transaction");
    let write = transaction.check_write(&Some(WriteConcern::majority()));
    assert_eq!(message(write), "Cannot set write concern after starting a transaction");
    transaction.fill_in_read(&None, &mut None).unwrap();
    transaction.check_write(&None).unwrap();
}
