//! The pool of server sessions, and what sessions add to commands.

use std::time::{Duration, Instant};

use bson::{RawDocument, RawDocumentBuf, Timestamp, doc, rawdoc};

use super::server_session::SessionId;
use super::{ClusterTime, OperationSession, ServerSession, SessionState, Sessions};
use crate::description::ServerDescription;
use crate::error::ErrorKind;
use crate::operation::Command;
use crate::operation::body::Body;
use crate::options::{ReadConcern, SessionOptions, TransactionOptions};
use crate::system::RealSystem;
use crate::wire::Reply;

const HALF_AN_HOUR: Option<Duration> = Some(Duration::from_secs(30 * 60));

fn member(wire_version: i32, sessions: bool) -> ServerDescription {
    let mut hello = rawdoc! { "ok": 1, "setName": "rs", "isWritablePrimary": true, "maxWireVersion": wire_version };
    if sessions {
        hello.append(bson::raw::cstr!("logicalSessionTimeoutMinutes"), 30);
    }
    ServerDescription::read(&hello).unwrap()
}

fn standalone() -> ServerDescription {
    ServerDescription::read(&rawdoc! { "ok": 1, "maxWireVersion": 17, "logicalSessionTimeoutMinutes": 30 }).unwrap()
}

fn state(options: SessionOptions) -> SessionState {
    SessionState::check(&options).unwrap();
    SessionState::new(ServerSession::new(&RealSystem, Instant::now()).unwrap(), &options)
}

fn completed(
    session: &mut OperationSession<'_>,
    sessions: &Sessions,
    server: &ServerDescription,
    command: Command<'_>,
) -> crate::error::Result<RawDocumentBuf> {
    let mut command = command;
    session.complete(&mut command, server, HALF_AN_HOUR, sessions, Instant::now())?;
    Ok(command.body.finish())
}

fn find() -> Command<'static> {
    Command::new("find", "db", rawdoc! { "find": "things" })
}

fn lsid(body: &RawDocument) -> Option<Vec<u8>> {
    Some(body.get_document("lsid").ok()?.as_bytes().to_vec())
}

fn time(seconds: u32) -> Timestamp {
    Timestamp { time: seconds, increment: 1 }
}

fn cluster_time(seconds: u32) -> RawDocumentBuf {
    rawdoc! { "clusterTime": time(seconds), "signature": { "keyId": 7_i64 } }
}

#[test]
fn an_id_is_a_uuid_of_version_4_in_the_form_that_servers_want() {
    let session = ServerSession::new(&RealSystem, Instant::now()).unwrap();
    let document = session.id().to_document();
    let id = document.get("id").and_then(|id| match id {
        bson::Bson::Binary(binary) => Some(binary.clone()),
        _ => None,
    });
    let id = id.expect("a binary");
    assert_eq!((id.subtype, id.bytes.len()), (bson::spec::BinarySubtype::Uuid, 16));
    assert_eq!((id.bytes[6] >> 4, id.bytes[8] >> 6), (4, 2));
    assert_eq!(session.id().to_raw(), RawDocumentBuf::try_from(&document).unwrap());
    assert!(session.id() != ServerSession::new(&RealSystem, Instant::now()).unwrap().id());
}

#[test]
fn the_session_that_was_given_back_last_is_taken_first() {
    let sessions = Sessions::new(RealSystem::shared());
    let (a, b) =
        (sessions.take(HALF_AN_HOUR, Instant::now()).unwrap(), sessions.take(HALF_AN_HOUR, Instant::now()).unwrap());
    let (first, second) = (a.id(), b.id());
    sessions.give_back(a, Instant::now());
    sessions.give_back(b, Instant::now());
    let ids: [SessionId; 2] = [(); 2].map(|()| sessions.take(HALF_AN_HOUR, Instant::now()).unwrap().id());
    assert!(ids == [second, first]);
}

#[test]
fn a_session_that_is_about_to_expire_is_not_used_again() {
    let now = Instant::now();
    for (age, timeout, kept) in [
        (28 * 60, HALF_AN_HOUR, true),
        (29 * 60 + 1, HALF_AN_HOUR, false),
        // Behind a load balancer, and where the servers do not tell, none expires.
        (29 * 60 + 1, None, true),
    ] {
        let sessions = Sessions::new(RealSystem::shared());
        // What the servers' limit is, the pool learns when a session is taken.
        let _taken = sessions.take(timeout, now).unwrap();
        let session = ServerSession::new(&RealSystem, Instant::now()).unwrap();
        let id = session.id();
        sessions.give_back(session, now);
        let later = now + Duration::from_secs(age);
        assert_eq!(sessions.take(timeout, later).unwrap().id() == id, kept, "{age} {timeout:?}");
    }
}

#[test]
fn giving_one_back_throws_away_those_that_are_about_to_expire() {
    let now = Instant::now();
    let later = now + Duration::from_secs(29 * 60 + 1);
    let sessions = Sessions::new(RealSystem::shared());
    let [old, older] = [(); 2].map(|()| sessions.take(HALF_AN_HOUR, now).unwrap());
    sessions.give_back(older, now);
    sessions.give_back(old, now);
    let mut fresh = ServerSession::new(&RealSystem, Instant::now()).unwrap();
    let (id, mut body) = (fresh.id(), Body::empty());
    fresh.append_to(&mut body, later);
    sessions.give_back(fresh, later);
    assert!(sessions.take(HALF_AN_HOUR, now).unwrap().id() == id);
    assert_eq!(sessions.idle(), 0);
}

#[test]
fn a_dirty_session_is_not_used_again() {
    let sessions = Sessions::new(RealSystem::shared());
    let mut session = sessions.take(HALF_AN_HOUR, Instant::now()).unwrap();
    session.mark_dirty();
    sessions.give_back(session, Instant::now());
    assert_eq!(sessions.idle(), 0);
}

#[test]
fn only_sessions_that_servers_know_of_are_ended() {
    let sessions = Sessions::new(RealSystem::shared());
    let now = Instant::now();
    let (mut used, unused) = (sessions.take(None, now).unwrap(), sessions.take(None, now).unwrap());
    let mut body = Body::empty();
    used.append_to(&mut body, now);
    let id = used.id().to_raw();
    assert_eq!(lsid(&body).as_deref(), Some(id.as_bytes()));
    sessions.give_back(used, Instant::now());
    sessions.give_back(unused, Instant::now());
    assert_eq!(sessions.take_all(), [id]);
    assert!(sessions.take_all().is_empty());
}

#[test]
fn an_implicit_session_is_the_same_for_all_commands_of_an_operation_and_returns_afterwards() {
    let (sessions, server) = (Sessions::new(RealSystem::shared()), standalone());
    let mut session = OperationSession::implicit(&sessions);
    let first = lsid(&completed(&mut session, &sessions, &server, find()).unwrap()).unwrap();
    let second = lsid(&completed(&mut session, &sessions, &server, find()).unwrap()).unwrap();
    assert_eq!(first, second);
    assert_eq!(sessions.idle(), 0);
    drop(session);
    assert_eq!(sessions.idle(), 1);
}

#[test]
fn an_implicit_session_is_left_out_where_it_must_be() {
    let (sessions, server) = (Sessions::new(RealSystem::shared()), standalone());
    let unacknowledged = Command { acknowledged: false, ..find() };
    let named = rawdoc! { "find": "things", "lsid": { "id": 1 } };
    let of_caller = Command { is_composed_by_caller: true, ..Command::new("find", "db", named) };
    let mut session = OperationSession::implicit(&sessions);
    assert_eq!(lsid(&completed(&mut session, &sessions, &server, unacknowledged).unwrap()), None);
    assert_eq!(lsid(&completed(&mut session, &sessions, &member(17, false), find()).unwrap()), None);
    let body = completed(&mut session, &sessions, &server, of_caller).unwrap();
    assert_eq!(body.iter().flatten().filter(|(key, _)| key.as_str() == "lsid").count(), 1);
    drop(session);
    assert_eq!(sessions.idle(), 0);
}

#[test]
fn a_session_of_the_program_is_an_error_where_it_cannot_be_used() {
    let sessions = Sessions::new(RealSystem::shared());
    let mut causal = state(SessionOptions::default());
    let mut refused = |server: &ServerDescription, command| {
        completed(&mut OperationSession::Explicit(&mut causal), &sessions, server, command).unwrap_err()
    };
    let error = refused(&member(17, false), find());
    assert!(matches!(error.kind(), ErrorKind::SessionsNotSupported), "{error}");
    let error = refused(&member(17, true), Command { acknowledged: false, ..find() });
    assert!(matches!(error.kind(), ErrorKind::InvalidArgument { .. }), "{error}");

    let mut snapshot = state(SessionOptions::default().snapshot(true));
    let error =
        completed(&mut OperationSession::Explicit(&mut snapshot), &sessions, &member(9, true), find()).unwrap_err();
    assert!(error.message().contains("Snapshot reads require MongoDB 5.0 or later"), "{error}");
}

#[test]
fn a_command_of_the_caller_cannot_have_what_its_transaction_adds() {
    let sessions = Sessions::new(RealSystem::shared());
    let mut state = state(SessionOptions::default());
    let composed = |key: &str| {
        let body = RawDocumentBuf::try_from(doc! { "find": "things", key: {} }).unwrap();
        Command { is_composed_by_caller: true, ..Command::new("find", "db", body) }
    };
    let server = member(17, true);
    state.transaction.start(TransactionOptions::default().read_concern(ReadConcern::snapshot()), false);
    for is_first in [true, false] {
        let mut session = OperationSession::Explicit(&mut state);
        for key in ["autocommit", "readConcern", "startTransaction", "txnNumber"] {
            let error = completed(&mut session, &sessions, &server, composed(key)).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Transaction { .. }), "{error:?}");
            assert!(error.message().contains(key), "{error}");
        }
        let body = completed(&mut session, &sessions, &server, composed("filter")).unwrap();
        assert_eq!(matches!(body.get("readConcern"), Ok(Some(_))), is_first);
        drop(session);
        state.transaction.sent();
    }
}

#[test]
fn the_highest_cluster_time_is_sent() {
    let (sessions, server) = (Sessions::new(RealSystem::shared()), member(17, true));
    let mut session = OperationSession::implicit(&sessions);
    let sent = |session: &mut OperationSession<'_>| {
        let body = completed(session, &sessions, &server, find()).unwrap();
        body.get_document("$clusterTime").ok().map(|time| time.get_timestamp("clusterTime").unwrap())
    };
    assert_eq!(sent(&mut session), None);
    for (reported, highest) in [(5, 5), (4, 5), (7, 7)] {
        session.replied(&Reply::of(rawdoc! { "ok": 0, "$clusterTime": cluster_time(reported) }), &sessions);
        assert_eq!(sent(&mut session), Some(time(highest)));
    }
    // A time that only a session has is sent in this session only.
    let mut state = state(SessionOptions::default());
    state.advance_cluster_time(&ClusterTime::read(&cluster_time(9)).unwrap());
    assert_eq!(sent(&mut OperationSession::Explicit(&mut state)), Some(time(9)));
    assert_eq!(sent(&mut session), Some(time(7)));
    // What the servers report is the client's and the session's.
    OperationSession::Explicit(&mut state).replied(&Reply::of(rawdoc! { "$clusterTime": cluster_time(11) }), &sessions);
    assert_eq!(sent(&mut session), Some(time(11)));
    assert_eq!(state.cluster_time(), ClusterTime::read(&cluster_time(11)).as_ref());
}

#[test]
fn a_standalone_is_sent_no_time() {
    let sessions = Sessions::new(RealSystem::shared());
    let mut state = state(SessionOptions::default());
    state.advance_cluster_time(&ClusterTime::read(&cluster_time(9)).unwrap());
    state.advance_operation_time(time(9));
    let body = completed(&mut OperationSession::Explicit(&mut state), &sessions, &standalone(), find()).unwrap();
    assert_eq!((body.get("$clusterTime").unwrap(), body.get("readConcern").unwrap()), (None, None));
    assert!(lsid(&body).is_some());
}

#[test]
fn a_cluster_time_that_is_none_or_too_long_is_ignored() {
    let sessions = Sessions::new(RealSystem::shared());
    let mut session = OperationSession::implicit(&sessions);
    let long = rawdoc! { "clusterTime": time(5), "signature": "x".repeat(2000) };
    for value in [rawdoc! {}, rawdoc! { "clusterTime": 5 }, long] {
        session.replied(&Reply::of(rawdoc! { "ok": 1, "$clusterTime": value }), &sessions);
        session.replied(&Reply::of(rawdoc! { "ok": 1, "$clusterTime": 5, "operationTime": "late" }), &sessions);
        let body = completed(&mut session, &sessions, &member(17, true), find()).unwrap();
        assert_eq!(body.get("$clusterTime").unwrap(), None);
    }
}

#[test]
fn a_causal_session_reads_and_writes_after_what_it_has_seen() {
    let (sessions, server) = (Sessions::new(RealSystem::shared()), member(17, true));
    let mut state = state(SessionOptions::default());
    let mut session = OperationSession::Explicit(&mut state);
    let concern = |session: &mut OperationSession<'_>, command| {
        let body = completed(session, &sessions, &server, command).unwrap();
        assert!(body.iter().flatten().filter(|(key, _)| key.as_str() == "readConcern").count() < 2);
        body.get_document("readConcern").ok().map(RawDocument::to_owned)
    };
    assert_eq!(concern(&mut session, find()), None);
    session.replied(&Reply::of(rawdoc! { "ok": 0, "operationTime": time(3) }), &sessions);
    let after = rawdoc! { "afterClusterTime": time(3) };
    let insert = || Command::new("insert", "db", rawdoc! { "insert": "things" });
    assert_eq!(concern(&mut session, find()), Some(after.clone()));
    assert_eq!(concern(&mut session, insert()), Some(after));
    let majority = rawdoc! { "find": "things", "readConcern": { "level": "majority" }, "filter": {} };
    let merged = rawdoc! { "level": "majority", "afterClusterTime": time(3) };
    assert_eq!(concern(&mut session, Command::new("find", "db", majority)), Some(merged));
    // Not where it has no meaning, nor in a command of the program's own.
    for command in [
        Command::new("getMore", "db", rawdoc! { "getMore": 1_i64 }),
        Command::new("listCollections", "db", rawdoc! { "listCollections": 1 }),
        Command { is_composed_by_caller: true, ..find() },
    ] {
        assert_eq!(concern(&mut session, command), None);
    }
}

#[test]
fn a_session_that_is_not_causal_knows_the_time_and_does_not_send_it() {
    let (sessions, server) = (Sessions::new(RealSystem::shared()), member(17, true));
    let mut state = state(SessionOptions::default().causal_consistency(false));
    let mut session = OperationSession::Explicit(&mut state);
    session.replied(&Reply::of(rawdoc! { "ok": 1, "operationTime": time(3) }), &sessions);
    assert_eq!(completed(&mut session, &sessions, &server, find()).unwrap().get("readConcern").unwrap(), None);
    drop(session);
    assert_eq!(state.operation_time(), Some(time(3)));
}

#[test]
fn a_snapshot_session_reads_as_of_its_first_read() {
    let (sessions, server) = (Sessions::new(RealSystem::shared()), member(17, true));
    let mut state = state(SessionOptions::default().snapshot(true));
    let mut session = OperationSession::Explicit(&mut state);
    let concern = |session: &mut OperationSession<'_>, command| {
        let body = completed(session, &sessions, &server, command).unwrap();
        body.get_document("readConcern").ok().map(RawDocument::to_owned)
    };
    assert_eq!(concern(&mut session, find()), Some(rawdoc! { "level": "snapshot" }));
    session.replied(
        &Reply::of(rawdoc! { "ok": 1, "operationTime": time(9), "cursor": { "atClusterTime": time(3) } }),
        &sessions,
    );
    session.replied(&Reply::of(rawdoc! { "ok": 1, "atClusterTime": time(5) }), &sessions);
    let of_then = rawdoc! { "level": "snapshot", "atClusterTime": time(3) };
    let local = rawdoc! { "find": "things", "readConcern": { "level": "local" } };
    assert_eq!(concern(&mut session, find()), Some(of_then.clone()));
    assert_eq!(concern(&mut session, Command::new("find", "db", local)), Some(of_then.clone()));
    // The server is to refuse what it cannot read as of a moment, so it is told.
    let insert = Command::new("insert", "db", rawdoc! { "insert": "things" });
    assert_eq!(concern(&mut session, insert), Some(of_then));
    assert_eq!(concern(&mut session, Command::new("getMore", "db", rawdoc! { "getMore": 1_i64 })), None);
    drop(session);
    assert_eq!(state.snapshot_time(), Some(time(3)));
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let options = SessionOptions::default();
    for refused in [
        options.clone().snapshot(true).causal_consistency(true),
        options.clone().snapshot_time(time(1)),
        options.clone().snapshot(false).snapshot_time(time(1)),
    ] {
        let error = SessionState::check(&refused).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidArgument { .. }), "{error}");
    }
    for fine in
        [options.clone().snapshot(true).causal_consistency(false), options.snapshot(true).snapshot_time(time(1))]
    {
        SessionState::check(&fine).unwrap();
    }
}

#[test]
fn a_cluster_time_is_compared_by_its_timestamp_and_survives_serialization() {
    let time = ClusterTime::read(&cluster_time(5)).unwrap();
    let later = ClusterTime::read(&cluster_time(6)).unwrap();
    assert!(time < later && time != later);
    let document = bson::serialize_to_document(&time).unwrap();
    assert_eq!(RawDocumentBuf::try_from(&document).unwrap(), cluster_time(5));
    assert_eq!(bson::deserialize_from_document::<ClusterTime>(document).unwrap(), time);
    assert!(bson::deserialize_from_document::<ClusterTime>(bson::doc! { "clusterTime": 5 }).is_err());
}
