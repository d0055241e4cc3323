//! What a server or a person may do that no fixture has.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::oid::ObjectId;
use bson::raw::cstr;
use bson::{RawArrayBuf, RawDocumentBuf, rawdoc};

use crate::address::ServerAddress;
use crate::description::{ServerDescription, ServerType};
use crate::error::{Error, FaultKind, Result, SYSTEM_OVERLOADED_ERROR, Stage, command_error};
use crate::event::sdam::{ServerInfo, TopologyType};
use crate::options::{ReadPreference, ReadPreferenceMode};
use crate::topology::description::{MAX_SERVERS, ServerEntry, TopologyChange, TopologyDescription};
use crate::topology::failure::Prospect;
use crate::topology::selection::{Conditions, Criteria, select};
use crate::topology::selection_error::{no_server, prospect};
use crate::topology::transition::{
    CheckAction, InitialTopology, OperationFailure, Outcome, PoolAction, Update, apply, close, open,
    with_round_trip_time, with_srv_hosts,
};

/// A client of the set `rs` or of what the function makes of it.
fn client(hosts: &[&str], change: impl FnOnce(&mut InitialTopology)) -> Arc<TopologyDescription> {
    let mut initial = InitialTopology {
        id: ObjectId::new(),
        hosts: hosts.iter().map(|host| address(host)).collect(),
        replica_set: Some("rs".to_owned()),
        direct_connection: false,
        load_balanced: false,
        seeds_of_dns: false,
    };
    change(&mut initial);
    open(initial).description
}

fn address(host: &str) -> ServerAddress {
    ServerAddress::parse(host).unwrap()
}

/// A member's reply with these fields besides the usual ones.
fn member(hosts: &[&str], fields: RawDocumentBuf) -> RawDocumentBuf {
    let hosts: RawArrayBuf = hosts.iter().copied().collect();
    let mut reply = rawdoc! { "ok": 1, "setName": "rs", "hosts": hosts, "maxWireVersion": 21 };
    fields.iter().flatten().for_each(|(key, value)| reply.append(key, value));
    reply
}

fn primary(hosts: &[&str], election: (u8, i64)) -> RawDocumentBuf {
    let election_id = ObjectId::from_bytes([election.0; 12]);
    member(hosts, rawdoc! { "isWritablePrimary": true, "electionId": election_id, "setVersion": election.1 })
}

fn answer(current: &Arc<TopologyDescription>, host: &str, reply: &RawDocumentBuf) -> Update {
    let hello = Arc::new(ServerDescription::read(reply).unwrap());
    let round_trip_time = Some(Duration::from_millis(1));
    apply(current, Outcome::Answered { address: &address(host), hello, round_trip_time, at: Instant::now() })
}

fn fail_check(current: &Arc<TopologyDescription>, host: &str, error: Error) -> Update {
    let (error, at) = (Arc::new(error), Instant::now());
    apply(current, Outcome::CheckFailed { address: &address(host), error, overload_is_no_verdict: true, at })
}

/// An operation on a connection of the pool's generation fails.
fn fail_operation<'a>(
    current: &'a Arc<TopologyDescription>,
    error: &'a Error,
    change: impl FnOnce(&mut OperationFailure<'a>),
) -> Update {
    let address = current.servers.keys().next().unwrap();
    let mut failure = OperationFailure {
        address,
        error,
        reply: None,
        handshake_completed: true,
        generation: Some(3),
        pool_generation: 3,
        service_id: None,
        at: Instant::now(),
    };
    change(&mut failure);
    apply(current, Outcome::OperationFailed(failure))
}

fn server_type(description: &TopologyDescription, host: &str) -> ServerType {
    description.server(&address(host)).unwrap().server_type
}

fn io(stage: Stage) -> Error {
    Error::new(FaultKind::Io, stage, "the server closed the connection")
}

#[test]
fn a_primary_that_names_a_thousand_others_is_followed_up_to_the_limit() {
    let names: Vec<String> = (0..999).map(|number| format!("h{number}")).collect();
    let mut hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    hosts.push("a");
    let seeds = client(&["a", "b"], |_| {});
    let update = answer(&seeds, "a", &primary(&hosts, (1, 1)));
    assert_eq!(update.description.servers.len(), MAX_SERVERS);
    assert!(update.description.server(&address("b")).is_none());
    // Its passives are a thousand more, of which none has room.
    let passives: RawArrayBuf = (0..1_000).map(|number| format!("p{number}")).collect();
    let mut reply = primary(&hosts, (1, 1));
    reply.append(cstr!("passives"), passives);
    let crowded = answer(&update.description, "a", &reply);
    assert_eq!(crowded.description.servers.len(), MAX_SERVERS);
    assert_eq!(crowded.warnings.len(), 1, "{:?}", crowded.warnings);
    // A whole new list replaces the old one although both together are too many.
    let others: Vec<String> = (0..999).map(|number| format!("n{number}")).collect();
    let mut hosts: Vec<&str> = others.iter().map(String::as_str).collect();
    hosts.push("a");
    let moved = answer(&update.description, "a", &primary(&hosts, (1, 2)));
    assert_eq!(moved.description.servers.len(), MAX_SERVERS);
    assert!(moved.description.server(&address("n998")).is_some() && moved.warnings.is_empty());
}

#[test]
fn a_secondary_adds_members_and_never_more_than_the_limit() {
    let mut description = client(&["s0"], |_| {});
    for round in 0..3 {
        let names: Vec<String> = (0..600).map(|number| format!("s{}", round * 600 + number)).collect();
        let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
        description = answer(&description, "s0", &member(&hosts, rawdoc! { "secondary": true })).description;
    }
    assert_eq!(description.servers.len(), MAX_SERVERS);
}

#[test]
fn a_member_under_another_name_makes_way_for_the_names_that_the_set_uses() {
    let seeds = client(&["127.0.0.1"], |_| {});
    let reply = member(&["a", "b"], rawdoc! { "secondary": true, "me": "a" });
    let update = answer(&seeds, "127.0.0.1", &reply);
    assert_eq!(update.description.servers.keys().cloned().collect::<Vec<_>>(), [address("a"), address("b")]);
    assert_eq!(update.pools, [PoolAction::Close(address("127.0.0.1"))]);
    let update = answer(&seeds, "127.0.0.1", &primary(&["a", "b"], (1, 1)));
    assert_eq!(update.description.topology_type, TopologyType::ReplicaSetNoPrimary);
    assert!(update.description.primary().is_none() && update.description.servers.len() == 2);
}

#[test]
fn a_client_with_no_server_left_says_so() {
    let update = answer(&client(&["a"], |_| {}), "a", &rawdoc! { "ok": 1, "maxWireVersion": 21 });
    assert!(update.description.servers.is_empty());
    assert_eq!(update.warnings.len(), 1, "{:?}", update.warnings);
    let error = no_writable(&update.description);
    assert!(error.hint().unwrap().contains("replicaSet"), "{error}");
}

#[test]
fn the_primary_of_another_set_is_removed_and_changes_nothing_else() {
    let known = answer(&client(&["a", "b"], |_| {}), "a", &primary(&["a", "b"], (1, 1))).description;
    let mut other = rawdoc! { "ok": 1, "setName": "other", "isWritablePrimary": true, "maxWireVersion": 21 };
    other.append(cstr!("hosts"), ["b", "x"].into_iter().collect::<RawArrayBuf>());
    other.append(cstr!("electionId"), ObjectId::from_bytes([9; 12]));
    let update = answer(&known, "b", &other);
    assert_eq!(update.description.servers.keys().cloned().collect::<Vec<_>>(), [address("a")]);
    assert_eq!(server_type(&update.description, "a"), ServerType::RsPrimary);
    assert_eq!(update.description.max_election_id, known.max_election_id);
    assert_eq!(update.description.topology_type, TopologyType::ReplicaSetWithPrimary);
}

#[test]
fn a_huge_set_version_cannot_outrank_a_newer_election() {
    let hosts = ["a", "b"];
    let first = answer(&client(&hosts, |_| {}), "a", &primary(&hosts, (1, i64::MAX))).description;
    let second = answer(&first, "b", &primary(&hosts, (2, 1)));
    assert_eq!(server_type(&second.description, "b"), ServerType::RsPrimary);
    assert_eq!(second.description.max_set_version, Some(1));
    // The old primary is asked again, and its connections stay.
    assert_eq!(second.checks, [CheckAction::Request(address("a"))]);
    assert_eq!(second.pools, [PoolAction::Ready(address("b"))]);
}

#[test]
fn falling_election_ids_leave_the_newest_primary_in_place() {
    let hosts = ["a", "b"];
    let mut description = answer(&client(&hosts, |_| {}), "a", &primary(&hosts, (9, 1))).description;
    for election in (0..9).rev() {
        let update = answer(&description, "b", &primary(&hosts, (election, 99)));
        description = update.description;
        assert_eq!(server_type(&description, "a"), ServerType::RsPrimary);
        let stale = description.server(&address("b")).unwrap();
        assert_eq!(stale.server_type, ServerType::Unknown);
        let message = stale.error.as_ref().unwrap().message().to_owned();
        assert!(
            message.starts_with("primary marked stale due to electionId/setVersion mismatch, (electionId: 0"),
            "{message}"
        );
        assert!(
            message.ends_with("is stale compared to (electionId: 090909090909090909090909, setVersion: 1)"),
            "{message}"
        );
        assert_eq!(update.pools, []);
    }
}

#[test]
fn a_reply_of_a_server_that_is_gone_is_ignored() {
    let known = answer(&client(&["a", "b"], |_| {}), "a", &primary(&["a"], (1, 1))).description;
    for update in [
        answer(&known, "b", &primary(&["b"], (9, 9))),
        fail_check(&known, "b", io(Stage::Hello)),
        answer(&known, "never-seen", &primary(&["b"], (9, 9))),
    ] {
        assert!(!update.replaces(&known) && update.changes.is_empty() && update.pools.is_empty());
    }
}

#[test]
fn an_entry_that_is_no_address_is_left_out_with_a_warning() {
    let reply = primary(&["a", "not an address", "c:99999"], (1, 1));
    let update = answer(&client(&["a"], |_| {}), "a", &reply);
    assert_eq!(update.description.servers.len(), 1);
    assert_eq!(update.warnings.len(), 2, "{:?}", update.warnings);
}

#[test]
fn a_failed_check_clears_and_interrupts_only_after_a_time_limit() {
    let known = answer(&client(&["a"], |_| {}), "a", &primary(&["a"], (1, 1))).description;
    let clear = |interrupt_in_use| PoolAction::Clear { address: address("a"), interrupt_in_use, service_id: None };
    let broken = fail_check(&known, "a", io(Stage::Hello));
    assert_eq!((broken.pools, broken.checks), (vec![clear(false)], vec![CheckAction::Repeat(address("a"))]));
    let late = fail_check(&known, "a", Error::new(FaultKind::TimedOut, Stage::Hello, "connectTimeoutMS ran out"));
    assert_eq!((late.pools, late.checks), (vec![clear(true)], vec![CheckAction::Repeat(address("a"))]));
    let refusal = command_error(&rawdoc! { "ok": 0, "code": 1 }, Stage::Hello).unwrap();
    let refused = fail_check(&known, "a", refusal);
    assert_eq!((refused.pools, refused.checks), (vec![clear(false)], vec![]));
    // The second failure is no surprise, so nothing is repeated.
    assert_eq!(fail_check(&broken.description, "a", io(Stage::Hello)).checks, []);
}

#[test]
fn the_label_of_overload_leaves_description_and_pool_alone() {
    let known = answer(&client(&["a"], |_| {}), "a", &primary(&["a"], (1, 1))).description;
    let labelled = || io(Stage::Connect).with_label(SYSTEM_OVERLOADED_ERROR);
    let handshake = fail_operation(&known, &labelled(), |failure| failure.handshake_completed = false);
    let check = fail_check(&known, "a", labelled());
    for update in [handshake, check] {
        assert!(!update.replaces(&known) && update.pools.is_empty());
        assert_eq!(update.checks, [CheckAction::BeforeUse(address("a"))]);
    }
    // Where nothing speaks for the server, the label does not either.
    let (error, at) = (Arc::new(labelled()), Instant::now());
    let outcome = Outcome::CheckFailed { address: &address("a"), error, overload_is_no_verdict: false, at };
    assert_eq!(server_type(&apply(&known, outcome).description, "a"), ServerType::Unknown);
}

#[test]
fn what_the_handshake_fails_with_decides() {
    let known = answer(&client(&["a"], |_| {}), "a", &primary(&["a"], (1, 1))).description;
    let mechanism = Stage::Authentication { mechanism: "PLAIN", step: "the verdict" };
    for (error, is_unknown) in [
        (Error::new(FaultKind::Authentication, mechanism, "refused"), true),
        (Error::new(FaultKind::TimedOut, mechanism, "connectTimeoutMS ran out"), true),
        (Error::new(FaultKind::Tls, Stage::Tls, "the certificate was refused"), true),
        (Error::new(FaultKind::DnsResolve, Stage::Dns, "no such name"), true),
        (command_error(&rawdoc! { "ok": 0, "code": 1 }, Stage::Hello).unwrap(), true),
        (Error::new(FaultKind::TimedOut, Stage::Http, "the token service is slow"), false),
        (Error::new(FaultKind::InvalidArgument, Stage::Options, "no such file"), false),
        (Error::new(FaultKind::Shutdown, Stage::Hello, "the client was closed"), false),
    ] {
        let update = fail_operation(&known, &error, |failure| failure.handshake_completed = false);
        assert_eq!(server_type(&update.description, "a") == ServerType::Unknown, is_unknown, "{error}");
        assert_eq!(update.pools.len(), usize::from(is_unknown), "{error}");
        assert_eq!(update.checks.contains(&CheckAction::Cancel(address("a"))), is_unknown, "{error}");
    }
}

#[test]
fn after_the_handshake_only_a_broken_connection_counts() {
    let known = answer(&client(&["a"], |_| {}), "a", &primary(&["a"], (1, 1))).description;
    for (error, is_unknown) in [
        (io(Stage::Command), true),
        (Error::new(FaultKind::TimedOut, Stage::Command, "socketTimeoutMS ran out"), false),
        (Error::invalid_reply(Stage::Command, "no ok"), false),
        (command_error(&rawdoc! { "ok": 0, "code": 2 }, Stage::Command).unwrap(), false),
    ] {
        let update = fail_operation(&known, &error, |_| {});
        assert_eq!(server_type(&update.description, "a") == ServerType::Unknown, is_unknown, "{error}");
        assert_eq!(update.pools.is_empty(), !is_unknown, "{error}");
    }
    // An older connection says nothing about the new ones.
    let old = fail_operation(&known, &io(Stage::Command), |failure| failure.generation = Some(2));
    assert!(!old.replaces(&known));
}

#[test]
fn a_state_change_clears_the_pool_only_if_the_server_ends() {
    let known = answer(&client(&["a"], |_| {}), "a", &primary(&["a"], (1, 1))).description;
    for (code, clears) in [(11600, true), (91, true), (11602, false), (10107, false), (189, false)] {
        let reply = rawdoc! { "ok": 1, "writeConcernError": { "code": code, "errmsg": "x" } };
        let error = Error::new(FaultKind::InvalidResponse, Stage::Command, "x");
        let update = fail_operation(&known, &error, |failure| failure.reply = Some(&reply));
        assert_eq!(server_type(&update.description, "a"), ServerType::Unknown, "{code}");
        assert_eq!(update.description.topology_type, TopologyType::ReplicaSetNoPrimary, "{code}");
        assert_eq!(!update.pools.is_empty(), clears, "{code}");
        assert_eq!(update.checks, [CheckAction::Request(address("a"))], "{code}");
    }
}

#[test]
fn behind_a_load_balancer_only_the_service_is_cleared() {
    let known = client(&["lb"], |initial| (initial.replica_set, initial.load_balanced) = (None, true));
    let service_id = Some(ObjectId::new());
    let clear = PoolAction::Clear { address: address("lb"), interrupt_in_use: false, service_id };
    let broken = fail_operation(&known, &io(Stage::Command), |failure| failure.service_id = service_id);
    assert_eq!(broken.pools, std::slice::from_ref(&clear));
    let reply = rawdoc! { "ok": 0, "code": 91 };
    let ending = fail_operation(&known, &command_error(&reply, Stage::Command).unwrap(), |failure| {
        failure.reply = Some(&reply);
        failure.service_id = service_id;
    });
    assert_eq!(ending.pools, [clear]);
    let early = fail_operation(&known, &io(Stage::Hello), |failure| {
        (failure.handshake_completed, failure.generation) = (false, None);
    });
    assert_eq!(early.pools, []);
    for update in [broken, ending, early, fail_check(&known, "lb", io(Stage::Hello))] {
        assert_eq!(server_type(&update.description, "lb"), ServerType::LoadBalancer);
        assert!(update.changes.is_empty() && update.checks.is_empty());
    }
}

#[test]
fn a_closed_client_knows_nothing_and_says_so_last() {
    let known = answer(&client(&["a", "b"], |_| {}), "a", &primary(&["a", "b"], (1, 1))).description;
    let update = close(&known);
    assert!(update.description.servers.is_empty() && update.description.topology_type == TopologyType::Unknown);
    assert!(matches!(
        update.changes.as_slice(),
        [
            TopologyChange::ServerClosed(_),
            TopologyChange::ServerClosed(_),
            TopologyChange::TopologyDescriptionChanged { .. },
            TopologyChange::TopologyClosed
        ]
    ));
    assert_eq!(update.pools, [PoolAction::Close(address("a")), PoolAction::Close(address("b"))]);
    assert_eq!(update.warnings, [""; 0]);
}

#[test]
fn renewed_dns_records_keep_the_hosts_that_stay() {
    let mongos = rawdoc! { "ok": 1, "msg": "isdbgrid", "maxWireVersion": 21 };
    let seeds = client(&["a", "b"], |initial| initial.replica_set = None);
    let known = answer(&seeds, "a", &mongos).description;
    let hosts = [address("a"), address("c"), address("d")];
    let mut last = |below: usize| below - 1;
    let all = with_srv_hosts(&known, &hosts, 0, &mut last);
    assert_eq!(all.description.servers.keys().cloned().collect::<Vec<_>>(), hosts);
    assert_eq!(server_type(&all.description, "a"), ServerType::Mongos);
    assert_eq!(all.pools, [PoolAction::Close(address("b"))]);
    let bounded = with_srv_hosts(&known, &hosts, 2, &mut last);
    assert_eq!(bounded.description.servers.keys().cloned().collect::<Vec<_>>(), [address("a"), address("d")]);
    assert!(!with_srv_hosts(&known, &[], 0, &mut last).replaces(&known), "no records: no change");
    let set = answer(&client(&["a"], |_| {}), "a", &primary(&["a"], (1, 1))).description;
    assert!(!with_srv_hosts(&set, &hosts, 0, &mut last).replaces(&set), "a set tells its own members");
}

#[test]
fn a_sample_of_the_round_trip_time_is_only_taken_of_a_known_server() {
    let seeds = client(&["a"], |_| {});
    let sample = Duration::from_millis(11);
    assert!(Arc::ptr_eq(&with_round_trip_time(&seeds, &address("a"), sample), &seeds));
    let known = answer(&seeds, "a", &primary(&["a"], (1, 1))).description;
    let sampled = with_round_trip_time(&known, &address("a"), sample);
    let times = |description: &TopologyDescription| description.server(&address("a")).unwrap().round_trip_times;
    assert_eq!(times(&sampled).average(), Some(Duration::from_millis(3)));
    assert_eq!(times(&sampled).minimum(), Duration::from_millis(1));
    // Unknown again: it begins anew.
    let failed = fail_check(&sampled, "a", io(Stage::Hello)).description;
    assert_eq!(times(&failed).average(), None);
    let again = answer(&failed, "a", &primary(&["a"], (1, 1))).description;
    assert_eq!((times(&again).average(), times(&again).minimum()), (Some(Duration::from_millis(1)), Duration::ZERO));
}

#[test]
fn the_error_of_selection_has_a_line_for_each_server() {
    let known = client(&["a", "b", "c"], |_| {});
    let known = fail_check(&known, "a", io(Stage::Connect).with_hint("is it running?")).description;
    let known = answer(&known, "b", &member(&["a", "b", "c"], rawdoc! { "secondary": true })).description;
    let error = no_writable(&known);
    assert!(
        error.message().starts_with("No servers are suitable for writes: serverSelectionTimeoutMS ran out"),
        "{error}"
    );
    let lines: Vec<&str> = error.servers().collect();
    assert_eq!(lines.len(), 3, "{error}");
    assert!(lines[0].starts_with("a:27017: Unknown, connect: the server closed the connection, "), "{error}");
    assert!(
        lines[0].ends_with(" s ago [is it running?]") && lines[1].starts_with("b:27017: RSSecondary, checked "),
        "{error}"
    );
    assert_eq!(lines[2], "c:27017: Unknown, not checked yet");
    assert_eq!(error.to_string().lines().count(), 4, "{error}");
    assert_eq!(prospect(&known), Prospect::MayChange);
    let refused = Error::new(FaultKind::Authentication, Stage::Hello, "no");
    assert_eq!(prospect(&fail_check(&client(&["a"], |_| {}), "a", refused).description), Prospect::Final);
}

#[test]
fn a_server_of_an_unknown_protocol_ends_selection_in_the_prescribed_words() {
    let known = client(&["a"], |_| {});
    let mut reply = member(&["a"], rawdoc! { "secondary": true });
    reply.append(cstr!("minWireVersion"), 99);
    let description = answer(&known, "a", &reply).description;
    let error = choose(&description, Criteria::Write, &[]).unwrap_err();
    assert_eq!(
        error.message(),
        "Server at a:27017 requires wire version 99, but this version of mongo-blocking only supports up to 27."
    );
    let old = rawdoc! { "ok": 1, "setName": "rs", "secondary": true, "maxWireVersion": 5 };
    let error = choose(&answer(&known, "a", &old).description, Criteria::Write, &[]).unwrap_err();
    assert_eq!(
        error.message(),
        "Server at a:27017 reports wire version 5, but this version of mongo-blocking requires at least 6 (MongoDB 3.6)."
    );
}

#[test]
fn criteria_beyond_the_fixtures() {
    let hosts = ["a", "b"];
    let known = answer(&client(&hosts, |_| {}), "a", &primary(&hosts, (1, 1))).description;
    let secondary = rawdoc! { "secondary": true };
    let known = answer(&known, "b", &member(&hosts, secondary.clone())).description;
    let (a, b, c) = (address("a"), address("b"), address("c"));
    let is_secondary = |server: &ServerInfo| server.server_type() == ServerType::RsSecondary;
    let secondaries = ReadPreference::with_mode(ReadPreferenceMode::Secondary, None);
    let chosen = |description: &TopologyDescription, criteria, deprioritised: &[ServerAddress]| {
        choose(description, criteria, deprioritised).unwrap().map(|server| server.address.clone())
    };
    assert_eq!(chosen(&known, Criteria::Address(&b), &[]), Some(b.clone()));
    assert_eq!(chosen(&known, Criteria::Address(&c), &[]), None);
    assert_eq!(chosen(&known, Criteria::Predicate(&is_secondary), &[]), Some(b.clone()));
    assert_eq!(chosen(&known, Criteria::Write, std::slice::from_ref(&a)), Some(a.clone()));
    assert_eq!(chosen(&known, Criteria::ReadAndWriteResult(&secondaries), &[]), Some(b.clone()));
    let mut old = member(&hosts, secondary);
    old = old.iter().flatten().filter(|(key, _)| key.as_str() != "maxWireVersion").fold(
        RawDocumentBuf::new(),
        |mut reply, (key, value)| {
            reply.append(key, value);
            reply
        },
    );
    old.append(cstr!("maxWireVersion"), 9);
    let mixed = answer(&known, "b", &old).description;
    assert_eq!(chosen(&mixed, Criteria::ReadAndWriteResult(&secondaries), &[]), Some(a));
    let public = known.to_public();
    assert!(public.has_writable_server() && public.has_readable_server(None));
    assert!(public.has_readable_server(Some(secondaries.clone().into())));
    let alone = fail_check(&known, "a", io(Stage::Hello)).description.to_public();
    assert!(!alone.has_writable_server() && !alone.has_readable_server(None));
    assert!(alone.has_readable_server(Some(secondaries.into())));
}

fn choose(
    description: &TopologyDescription,
    criteria: Criteria<'_>,
    deprioritised: &[ServerAddress],
) -> Result<Option<Arc<ServerEntry>>> {
    let conditions = Conditions {
        criteria,
        deprioritised,
        local_threshold: Duration::from_millis(15),
        heartbeat_frequency: Duration::from_secs(10),
    };
    select(description, &conditions, &|_| 0, &mut |_| 0)
}

fn no_writable(description: &TopologyDescription) -> Error {
    let elapsed = Duration::from_secs(30);
    no_server(description, Criteria::Write, "serverSelectionTimeoutMS ran out", Instant::now(), elapsed)
}
