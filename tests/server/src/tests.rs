//! The fake server as a whole, seen from a small client of its own.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bson::{Document, doc, oid::ObjectId};

use crate::canned::{Answers, documents};
use crate::fake_server::{Answer, Behaviour, FakeServer, FakeServerBuilder, Forge, Mechanism, ScramTamper};
use crate::forward::{Upstream, UpstreamConnection};
use crate::peers::{HaProxy, Mongod, ROOT, ReplicaSet};
use crate::wire;

#[test]
fn commands_want_a_login() {
    let fake_server = with_ann().start();
    let mut stranger = connect(&fake_server, None);
    assert_eq!(code(&mut stranger, doc! {"find": "c", "$db": "d"}), 13);
    assert_eq!(code(&mut stranger, doc! {"noSuchThing": 1, "$db": "d"}), 59);
    assert_eq!(code(&mut stranger, doc! {"ping": 1, "$db": "d"}), 0);
    assert_eq!(code(&mut stranger, doc! {"saslContinue": 1, "conversationId": 1, "$db": "admin"}), 17);
    let mut ann = connect(&fake_server, Some("pencil"));
    assert_eq!(code(&mut ann, doc! {"find": "c", "$db": "d"}), 0);
    assert_eq!(fake_server.logins(), 1);
    assert!(open(&fake_server, Some("wrong")).is_err());
    assert_eq!((fake_server.logins(), fake_server.connections()), (1, 3));
    assert_eq!(fake_server.commands_named("find").len(), 2);
}

#[test]
fn hello_in_every_dress() {
    let ask = |builder: FakeServerBuilder, command: Document| connect(&builder.start(), None).run(&command).unwrap();
    let modern = doc! {"hello": 1, "helloOk": true, "$db": "admin"};
    let answer = ask(FakeServer::builder(), modern.clone());
    assert!(answer.get_bool("isWritablePrimary").unwrap() && answer.get_bool("helloOk").unwrap());
    assert_eq!(answer.get_i32("maxWireVersion").unwrap(), 17);
    let old = ask(FakeServer::builder().wire_version(8), doc! {"isMaster": 1, "helloOk": true, "$db": "admin"});
    assert!(old.get_bool("ismaster").unwrap() && !old.contains_key("helloOk"));
    assert_eq!(ask(FakeServer::builder().wire_version(8), modern.clone()).get_i32("code").unwrap(), 59);
    let mongos = ask(FakeServer::builder().mongos(), modern.clone());
    assert_eq!(mongos.get_str("msg").unwrap(), "isdbgrid");
    let id = ObjectId::new();
    let mut balanced = modern.clone();
    assert!(!ask(FakeServer::builder().load_balancer(id), balanced.clone()).contains_key("serviceId"));
    balanced.insert("loadBalanced", true);
    assert_eq!(ask(FakeServer::builder().load_balancer(id), balanced).get_object_id("serviceId").unwrap(), id);
    let set = ask(FakeServer::builder().replica_set("rs0"), modern.clone());
    assert_eq!(set.get_str("me").unwrap(), set.get_array("hosts").unwrap()[0].as_str().unwrap());
    let wished = FakeServer::builder().hello_fields(doc! {"maxWireVersion": 99}).hello_without("readOnly");
    let wished = ask(wished, modern);
    assert!(wished.get_i32("maxWireVersion").unwrap() == 99 && !wished.contains_key("readOnly"));
}

#[test]
fn hello_takes_metadata_once_and_names_mechanisms() {
    let fake_server = with_ann().start();
    let mut client = connect(&fake_server, None);
    let hello = doc! {"hello": 1, "client": {}, "saslSupportedMechs": "admin.ann", "$db": "admin"};
    let answer = client.run(&hello).unwrap();
    assert_eq!(answer.get_array("saslSupportedMechs").unwrap().len(), 2);
    assert_eq!(code(&mut client, hello), 186);
    let nobody = doc! {"hello": 1, "saslSupportedMechs": "admin.bob", "$db": "admin"};
    assert!(!client.run(&nobody).unwrap().contains_key("saslSupportedMechs"));
}

#[test]
fn hello_as_op_query_gets_op_reply() {
    let fake_server = FakeServer::builder().start();
    let mut stream = TcpStream::connect(fake_server.address()).unwrap();
    let mut message = vec![0; 12];
    message[4] = 7;
    message.extend_from_slice(&wire::OP_QUERY.to_le_bytes());
    message.extend_from_slice(&[0; 4]);
    message.extend_from_slice(b"admin.$cmd\0");
    message.extend_from_slice(&[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    message.extend_from_slice(wire::raw(&doc! {"isMaster": 1}).unwrap().as_bytes());
    let length = message.len() as i32;
    message[..4].copy_from_slice(&length.to_le_bytes());
    stream.write_all(&message).unwrap();
    let reply = wire::read_message(&mut stream).unwrap().unwrap();
    assert_eq!((reply[8], reply[12]), (7, wire::OP_REPLY as u8));
    assert!(Document::from_reader(&reply[36..]).unwrap().get_bool("ismaster").unwrap());
    assert!(fake_server.commands()[0].legacy);
}

#[test]
fn the_fail_point_fails_blocks_and_closes() {
    let fake_server = FakeServer::builder().start();
    let mut client = connect(&fake_server, None);
    let set = |data: Document| {
        doc! {"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": data, "$db": "admin"}
    };
    let insert = doc! {"insert": "c", "documents": [{"x": 1}], "$db": "d"};
    assert_eq!(code(&mut client, set(doc! {"failCommands": ["insert"], "errorCode": 91})), 0);
    assert_eq!(code(&mut client, insert.clone()), 91);
    let concern = doc! {"code": 64, "errmsg": "waited in vain"};
    client.run(&set(doc! {"failCommands": ["insert"], "writeConcernError": concern, "errorLabels": ["L"]})).unwrap();
    let answer = client.run(&insert).unwrap();
    assert_eq!(answer.get_i32("n").unwrap(), 1);
    assert!(answer.contains_key("writeConcernError") && answer.contains_key("errorLabels"));
    client.run(&set(doc! {"failCommands": ["ping"], "blockConnection": true, "blockTimeMS": 60})).unwrap();
    let start = Instant::now();
    client.run(&doc! {"ping": 1, "$db": "d"}).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(60));
    client.run(&set(doc! {"failCommands": ["ping"], "closeConnection": true})).unwrap();
    assert!(client.run(&doc! {"ping": 1, "$db": "d"}).is_err());
}

#[test]
fn behaviours_break_replies() {
    let ping = wire::command_bytes(5, &doc! {"ping": 1, "$db": "d"}).unwrap();
    let bytes = |behaviour: Behaviour| {
        let fake_server = FakeServer::builder().behaviour(behaviour).start();
        let mut stream = TcpStream::connect(fake_server.address()).unwrap();
        stream.write_all(&ping).unwrap();
        // The fake server sees that no more will come, and closes when it has answered.
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        reply
    };
    let honest = bytes(Behaviour::Drip);
    assert_eq!(honest[8], 5);
    assert_eq!(bytes(Behaviour::CloseAfterBytes(7)).len(), 7);
    assert_eq!(bytes(Behaviour::CloseAtReply(1)).len(), 0);
    assert_eq!(bytes(Behaviour::StallAtReply(1)).len(), 0);
    let forge = Forge { length: Some(-1), response_to: Some(9), ..Forge::default() };
    let forged = bytes(Behaviour::ForgeReply(1, forge));
    assert_eq!((&forged[..4], forged[8]), (&[255; 4][..], 9));
    assert!(Document::from_reader(&bytes(Behaviour::GarbageAtReply(1))[21..]).is_err());
    let canned = Behaviour::Answer("ping".to_owned(), doc! {"ok": 0});
    assert_eq!(Document::from_reader(&bytes(canned)[21..]).unwrap(), doc! {"ok": 0});
}

/// The fake server's own login code checks what it is told, so each of these knobs shows.
#[test]
fn tampering_shows() {
    for tamper in [
        ScramTamper::NonceReplaced,
        ScramTamper::Iterations(4096),
        ScramTamper::SaltEmpty,
        ScramTamper::SaltHuge(1000),
        ScramTamper::VerifierWrong,
        ScramTamper::VerifierMissing,
        ScramTamper::ServerError("x".to_owned()),
        ScramTamper::ServerFirst("r={nonce},s={salt}".to_owned()),
        ScramTamper::ServerFinal("V={verifier}".to_owned()),
    ] {
        let fake_server = with_ann().behaviour(Behaviour::Scram(tamper.clone())).start();
        assert!(open(&fake_server, Some("pencil")).is_err(), "{tamper:?}");
    }
}

#[test]
fn a_handler_decides_first() {
    let fake_server = FakeServer::builder()
        .on_command(|request, _| match request.name() {
            "ping" => Some(Answer::Reply(doc! {"ok": 1.0, "pong": true})),
            "die" => Some(Answer::Close),
            _ => None,
        })
        .start();
    let mut client = connect(&fake_server, None);
    assert!(client.run(&doc! {"ping": 1, "$db": "d"}).unwrap().get_bool("pong").unwrap());
    assert_eq!(code(&mut client, doc! {"buildInfo": 1, "$db": "d"}), 0);
    assert!(client.run(&doc! {"die": 1, "$db": "d"}).is_err());
}

#[test]
fn canned_answers_want_the_login_too() {
    let fake_server = with_ann().canned(Answers::new(documents(10))).start();
    assert_eq!(code(&mut connect(&fake_server, None), doc! {"find": "c", "$db": "d"}), 13);
    let mut ann = connect(&fake_server, Some("pencil"));
    let answer = ann.run(&doc! {"find": "c", "$db": "d"}).unwrap();
    assert_eq!(answer.get_document("cursor").unwrap().get_array("firstBatch").unwrap().len(), 10);
}

#[test]
fn one_write_is_one_read() {
    let fake_server = FakeServer::builder().start();
    let mut client = connect(&fake_server, None);
    for _ in 0..20 {
        client.run(&doc! {"ping": 1, "$db": "d"}).unwrap();
    }
    assert_eq!((fake_server.reads(), fake_server.command_count()), (20, 20));
}

#[test]
fn forwards_to_a_real_server() {
    let Some(mongod) = Mongod::shared_with_auth("6.0") else { return };
    let fake_server = with_ann().forward_to(&mongod.address(), Some(ROOT)).start();
    let mut ann = connect(&fake_server, Some("pencil"));
    let database = "forwards";
    let insert = doc! {"insert": "c", "documents": [{"_id": 1, "a": [1, 2]}], "$db": database};
    assert_eq!(code(&mut ann, insert), 0);
    let find = doc! {"find": "c", "filter": {"a": {"$gt": 1}}, "$db": database};
    let found = ann.run(&find).unwrap();
    assert_eq!(found.get_document("cursor").unwrap().get_array("firstBatch").unwrap().len(), 1);
    let set = doc! {"configureFailPoint": "failCommand", "mode": {"times": 1},
    "data": {"failCommands": ["insert"], "writeConcernError": {"code": 64}}};
    fake_server.fail_command(&set);
    let insert = doc! {"insert": "c", "documents": [{"_id": 2}], "$db": database};
    assert!(ann.run(&insert).unwrap().contains_key("writeConcernError"));
    assert_eq!(code(&mut connect(&fake_server, None), find), 13);
}

#[test]
fn ends_while_clients_wait() {
    let fake_server = FakeServer::builder().behaviour(Behaviour::Delay(Duration::from_secs(600))).start();
    let mut stream = TcpStream::connect(fake_server.address()).unwrap();
    stream.write_all(&wire::command_bytes(1, &doc! {"ping": 1, "$db": "d"}).unwrap()).unwrap();
    assert!(fake_server.wait_until(Duration::from_secs(10), |fake_server| fake_server.command_count() == 1));
    let start = Instant::now();
    drop(fake_server);
    assert!(start.elapsed() < Duration::from_secs(5));
}

fn with_ann() -> FakeServerBuilder {
    let both = [Mechanism::ScramSha1, Mechanism::ScramSha256];
    FakeServer::builder().iterations(4096 * 2).user("ann", "pencil", &both, "admin")
}

fn open(fake_server: &FakeServer, password: Option<&str>) -> io::Result<UpstreamConnection> {
    let credential = password.map(|password| ("ann".to_owned(), password.to_owned()));
    UpstreamConnection::open(&Upstream { address: fake_server.address(), credential, ..Upstream::default() })
}

fn connect(fake_server: &FakeServer, password: Option<&str>) -> UpstreamConnection {
    open(fake_server, password).unwrap()
}

/// The answer's error code; 0 if it is none.
fn code(client: &mut UpstreamConnection, command: Document) -> i32 {
    client.run(&command).unwrap().get_i32("code").unwrap_or(0)
}

/// A mongos that has not opened a cursor, or seen a transaction begin, knows nothing of it.
#[test]
fn routers_refuse_cursors_and_transactions_of_each_other() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let fronts = FakeServer::two_routers(&set.addresses());
    let [mut one, mut other] = [&fronts[0], &fronts[1]].map(|front| connect(front, None));
    let documents: Vec<Document> = (0..5).map(|n| doc! {"_id": n}).collect();
    one.run(&doc! {"drop": "routed", "$db": "fronts"}).unwrap();
    assert_eq!(code(&mut one, doc! {"insert": "routed", "documents": documents, "$db": "fronts"}), 0);
    let opened = one.run(&doc! {"find": "routed", "batchSize": 2, "$db": "fronts"}).unwrap();
    let id = opened.get_document("cursor").unwrap().get_i64("id").unwrap();
    let get_more = doc! {"getMore": id, "collection": "routed", "batchSize": 2, "$db": "fronts"};
    assert_eq!(code(&mut other, get_more.clone()), 43);
    assert_eq!(code(&mut one, get_more.clone()), 0);
    assert_eq!(code(&mut connect(&fronts[0], None), get_more), 0, "the router keeps cursors, not the connection");

    let session = bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![7; 16] };
    let in_transaction = |command: Document, starts: bool| {
        let mut command = command;
        command.extend(doc! {"lsid": {"id": session.clone()}, "txnNumber": 1_i64, "autocommit": false});
        if starts {
            command.insert("startTransaction", true);
        }
        command
    };
    let find = |starts| in_transaction(doc! {"find": "routed", "$db": "fronts"}, starts);
    assert_eq!(code(&mut one, find(true)), 0);
    assert_eq!(code(&mut other, find(false)), 251);
    assert_eq!(code(&mut one, find(false)), 0);
    assert_eq!(code(&mut one, in_transaction(doc! {"abortTransaction": 1, "$db": "admin"}, false)), 0);

    // With the token of an answer, another router finds out what has become of a transaction; it does not commit it.
    for (number, committed) in [(2_i64, false), (3, true)] {
        let numbered = |command: Document, starts: bool| {
            let mut command = in_transaction(command, starts);
            command.insert("txnNumber", number);
            command
        };
        let begun = one.run(&numbered(doc! {"find": "routed", "$db": "fronts"}, true)).unwrap();
        let mut commit = numbered(doc! {"commitTransaction": 1, "$db": "admin"}, false);
        assert_eq!(code(&mut other, commit.clone()), 251);
        commit.insert("recoveryToken", begun.get_document("recoveryToken").unwrap());
        if committed {
            assert_eq!(code(&mut one, commit.clone()), 0);
        }
        assert_eq!(code(&mut other, commit), if committed { 0 } else { 251 });
    }

    // The fail point is the real server's, which knows the client by the name that it gave to the router.
    let named = doc! {"hello": 1, "client": {"application": {"name": "routed"}, "driver": {"name": "d", "version": "1"}, "os": {"type": "t"}}, "$db": "admin"};
    let mut client = connect(&fronts[0], None);
    client.run(&named).unwrap();
    let data = doc! {"failCommands": ["insert"], "errorCode": 11600, "appName": "routed"};
    let set_point = doc! {"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": data, "$db": "admin"};
    assert_eq!(code(&mut client, set_point), 0);
    let insert = doc! {"insert": "routed", "documents": [{}], "$db": "fronts"};
    assert_eq!(code(&mut one, insert.clone()), 0);
    assert_eq!(code(&mut client, insert.clone()), 11600);
    assert_eq!(code(&mut client, insert), 0);
}

#[test]
fn hello_waits_for_a_change_and_streams() {
    let fake_server = FakeServer::builder().replica_set("rs0").streams_hello().start();
    let mut stream = TcpStream::connect(fake_server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut ask = |body: &Document, exhaust: bool| {
        let mut bytes = wire::command_bytes(9, body).unwrap();
        if exhaust {
            bytes[16..20].copy_from_slice(&wire::EXHAUST_ALLOWED.to_le_bytes());
        }
        stream.write_all(&bytes).unwrap();
        stream.try_clone().unwrap()
    };
    let mut reader = ask(&doc! {"hello": 1, "$db": "admin"}, false);
    let (first, flags, _, to) = next_answer(&mut reader);
    assert_eq!((flags, to), (0, 9));
    let version = first.get_document("topologyVersion").unwrap().clone();
    let waiting = doc! {"hello": 1, "topologyVersion": version.clone(), "maxAwaitTimeMS": 100, "$db": "admin"};

    let began = Instant::now();
    let mut reader = ask(&waiting, false);
    assert_eq!(next_answer(&mut reader).1, 0);
    assert!(began.elapsed() >= Duration::from_millis(100));

    let mut patient = waiting.clone();
    patient.insert("maxAwaitTimeMS", 60_000);
    let mut reader = ask(&patient, true);
    assert!(fake_server.wait_until(Duration::from_secs(10), |server| server.commands_named("hello").len() == 3));
    fake_server.change_hello(doc! {"isWritablePrimary": false, "secondary": true});
    let (second, flags, id, to) = next_answer(&mut reader);
    assert_eq!((flags, to), (wire::MORE_TO_COME, 9));
    assert!(second.get_bool("secondary").unwrap());
    assert_ne!(second.get_document("topologyVersion").unwrap(), &version);
    fake_server.change_hello(doc! {});
    let (third, flags, _, to) = next_answer(&mut reader);
    assert_eq!((flags, to), (wire::MORE_TO_COME, id));
    assert!(third.get_bool("isWritablePrimary").unwrap());

    // The next change may come before the server waits again.
    for round in 0..200 {
        fake_server.change_hello(doc! {"round": round});
        assert_eq!(next_answer(&mut reader).0.get_i32("round").unwrap(), round);
    }

    // A fail point meets the next answer or, if the wait for that has begun, the one after it, which is then the last.
    fake_server.fail_command(&doc! {"mode": {"times": 1}, "data": {"failCommands": ["hello"], "errorCode": 91}});
    fake_server.change_hello(doc! {});
    let (mut last, mut flags, ..) = next_answer(&mut reader);
    if flags == wire::MORE_TO_COME {
        (last, flags, ..) = next_answer(&mut reader);
    }
    assert_eq!((flags, last.get_i32("code").ok()), (0, Some(91)), "{last}");
}

/// Document, flags, requestID, responseTo.
fn next_answer(stream: &mut TcpStream) -> (Document, u32, i32, i32) {
    let message = wire::read_message(stream).unwrap().unwrap();
    let int = |at: usize| i32::from_le_bytes(message[at..at + 4].try_into().unwrap());
    (Document::from_reader(&message[21..]).unwrap(), int(16) as u32, int(4), int(8))
}

#[test]
fn a_load_balancer_before_two_routers_takes_turns() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let services = [(); 2].map(|()| ObjectId::new());
    let fronts = services.map(|id| FakeServer::builder().load_balancer(id).routes_to(&set.addresses(), None).start());
    let mut one = connect(&fronts[0], None);
    one.run(&doc! {"drop": "balanced", "$db": "fronts"}).unwrap();
    let documents: Vec<Document> = (0..5).map(|n| doc! {"_id": n}).collect();
    assert_eq!(code(&mut one, doc! {"insert": "balanced", "documents": documents, "$db": "fronts"}), 0);
    let opened = one.run(&doc! {"find": "balanced", "batchSize": 2, "$db": "fronts"}).unwrap();
    let id = opened.get_document("cursor").unwrap().get_i64("id").unwrap();
    let get_more = doc! {"getMore": id, "collection": "balanced", "batchSize": 2, "$db": "fronts"};
    assert_eq!(code(&mut connect(&fronts[0], None), get_more.clone()), 43, "the connection keeps the cursor");
    assert_eq!(code(&mut one, get_more), 0);

    let Some(balancer) = HaProxy::before(&fronts.each_ref().map(FakeServer::address)) else { return };
    let hello = doc! {"hello": 1, "loadBalanced": true, "$db": "admin"};
    let mut seen: Vec<ObjectId> = (0..4)
        .map(|_| {
            let upstream = Upstream { address: balancer.address(), ..Upstream::default() };
            let answer = UpstreamConnection::open(&upstream).and_then(|mut client| client.run(&hello)).unwrap();
            answer.get_object_id("serviceId").unwrap()
        })
        .collect();
    assert!(seen[0] != seen[1] && seen[0] == seen[2] && seen[1] == seen[3], "{seen:?}");
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.iter().all(|id| services.contains(id)));
}
