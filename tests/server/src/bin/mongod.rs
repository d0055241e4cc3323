//! A real MongoDB 6.0 with access control and one user, both SCRAM mechanisms; or, with the argument `set`, a replica set without access
//! control. Prints the URI, and ends the server when its own input ends or it is ended itself. For scripts; the server is found as
//! the tests find it.

use std::io::{self, Write};
use std::process::ExitCode;

use mongo_blocking_test_server::peers::{Mongod, ReplicaSet, ReplicaSetOptions};

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None => hold(Mongod::start_with_auth("6.0"), Mongod::root_uri),
        Some("set") => hold(ReplicaSet::start("6.0", ReplicaSetOptions::default()), ReplicaSet::uri),
        Some(other) => {
            eprintln!("there is no {other}; the only argument is `set`");
            ExitCode::FAILURE
        }
    }
}

/// Prints where the server is, and waits for the end of the input.
fn hold<S>(server: Option<S>, uri: impl Fn(&S) -> String) -> ExitCode {
    let Some(server) = server else { return ExitCode::from(NOT_HERE) };
    let mut out = io::stdout();
    if writeln!(out, "{}", uri(&server)).and_then(|()| out.flush()).is_err() {
        return ExitCode::FAILURE;
    }
    let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
    ExitCode::SUCCESS
}

/// As `tests/peers/fetch.sh` says it: what is needed cannot be had here.
const NOT_HERE: u8 = 77;
