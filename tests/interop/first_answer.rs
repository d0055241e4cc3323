//! What a program's first answer costs: connections and round trips, counted at the server, with this driver and with others.

use std::env;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

use mongo_blocking::Client;
use mongo_blocking::bson::{Document, doc};
use mongo_blocking::options::{ClientOptions, Monitoring};
use mongo_blocking_test_server::counting_proxy::CountingProxy;
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose};
use mongo_blocking_test_server::peers::{self, Mongod, ROOT, ReplicaSet, Scratch, report, run, script, skip};

/// Names the program of `tests/move_over/official/first_answer.rs`, which is built apart.
const OFFICIAL: &str = "MONGO_BLOCKING_OFFICIAL_FIRST_ANSWER";

/// A program that inserts one document at a URI, and what it is called.
struct Program {
    name: &'static str,
    kind: Kind,
}

enum Kind {
    Ours(Monitoring),
    Other(Vec<PathBuf>, &'static [&'static str]),
}

impl Program {
    fn all(scratch: &Scratch) -> Vec<Program> {
        let mut all = vec![
            Program { name: "mongo-blocking", kind: Kind::Ours(Monitoring::Inline) },
            Program { name: "mongo-blocking, checks in the background", kind: Kind::Ours(Monitoring::Background) },
        ];
        if let Some(python) = peers::python() {
            all.push(Program { name: "PyMongo", kind: Kind::Other(vec![python, script("pymongo_first.py")], &[]) });
        }
        if let Some(program) = libmongoc(scratch) {
            all.push(Program { name: "libmongoc", kind: Kind::Other(vec![program.clone()], &[]) });
            all.push(Program {
                name: "libmongoc, with a pool of clients",
                kind: Kind::Other(vec![program], &["pool"]),
            });
        }
        if let Some(program) = env::var_os(OFFICIAL) {
            all.push(Program { name: "the crate mongodb, sync", kind: Kind::Other(vec![program.into()], &[]) });
        }
        all
    }

    /// Inserts a document, and calls this when the answer is there.
    fn insert<T>(&self, uri: &str, count: impl FnOnce() -> T) -> T {
        match &self.kind {
            Kind::Ours(monitoring) => {
                let options = ClientOptions::builder().uri(uri).monitoring(*monitoring).build();
                let client = Client::with_options(options).unwrap();
                client.database("first").collection::<Document>("c").insert_one(doc! {}).run().unwrap();
                count()
            }
            Kind::Other(program, more) => {
                let mut command = Command::new(&program[0]);
                command.args(&program[1..]).arg(uri).args(*more);
                assert_eq!(run(&mut command), ["ok"], "{}", self.name);
                count()
            }
        }
    }
}

fn libmongoc(scratch: &Scratch) -> Option<PathBuf> {
    let flags = Command::new("pkg-config").args(["--cflags", "--libs", "libmongoc-1.0"]).output();
    let Some(flags) = flags.ok().filter(|flags| flags.status.success()) else {
        skip("pkg-config finds no libmongoc-1.0");
        return None;
    };
    let program = scratch.path().join("libmongoc_first");
    let mut cc = Command::new("cc");
    cc.arg(script("libmongoc_first.c")).args(String::from_utf8(flags.stdout).unwrap().split_whitespace());
    run(cc.arg("-o").arg(&program));
    Some(program)
}

/// TCP, TLS, hello with the first step of SCRAM, its second step, and the command.
#[test]
fn one_host_with_tls_and_scram_costs_one_connection_and_five_round_trips() {
    let scratch = Scratch::new("first-answer");
    let authority = Authority::new();
    let ca = scratch.file("ca.pem", authority.pem());
    let key = scratch.file("server.pem", authority.issue(CertPurpose::Server, "localhost").both());
    let arguments = ["--auth", "--tlsAllowConnectionsWithoutCertificates"];
    let Some(mongod) = Mongod::start_with_tls("6.0", &key, &ca, &arguments) else { return };
    let user = doc! {"createUser": ROOT.0, "pwd": ROOT.1, "roles": ["root"], "mechanisms": ["SCRAM-SHA-256"]};
    // The first user may be made without a login.
    let stranger = Client::with_uri_str(format!("{}?tls=true&tlsCAFile={ca}", mongod.uri())).unwrap();
    stranger.database("admin").run_command(user).run().unwrap();
    let mut table = "The first answer of one host, with TLS and SCRAM-SHA-256: connections, round trips".to_owned();
    for program in Program::all(&scratch) {
        let proxy = CountingProxy::start(&mongod.address());
        let uri = format!("mongodb://{}:{}@{}/?tls=true&tlsCAFile={ca}", ROOT.0, ROOT.1, proxy.address());
        let (connections, round_trips) = program.insert(&uri, || (proxy.connections(), proxy.round_trips()));
        write!(table, "\n  {:<44} {connections} {round_trips:>3}", program.name).unwrap();
        if let Kind::Ours(Monitoring::Inline) = program.kind {
            assert_eq!((connections, round_trips), (1, 5));
        }
    }
    report(&table);
}

#[test]
fn a_set_by_its_primary_costs_one_connection() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let scratch = Scratch::new("first-answer");
    let primary = set.primary();
    let mut table =
        "The first answer of a replica set: connections by one seed that is its primary, by three seeds".to_owned();
    for (n, program) in Program::all(&scratch).into_iter().enumerate() {
        let connections = |seeds: &str, uri: String| {
            let name = format!("first-answer-{seeds}-{n}");
            program.insert(&format!("{uri}&appName={name}"), || {
                (0..set.addresses().len()).map(|member| set.connections_of(member, &name).made).sum::<usize>()
            })
        };
        let (one, three) = (connections("one", set.uri_by(primary)), connections("three", set.uri()));
        write!(table, "\n  {:<44} {one} {three:>3}", program.name).unwrap();
        if let Kind::Ours(Monitoring::Inline) = program.kind {
            assert_eq!(one, 1);
            assert!(three <= set.addresses().len(), "{three}");
        }
    }
    report(&table);
}
