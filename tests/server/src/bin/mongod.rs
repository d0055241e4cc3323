//! A real MongoDB 6.0 with access control and one user, both SCRAM mechanisms: prints the URI that logs in, and ends the server
//! when its own input ends or it is ended itself. For `examples/run.sh`; the server is found as the tests find it.

use std::io::{self, Write};
use std::process::ExitCode;

use mongo_blocking_test_server::peers::Mongod;

fn main() -> ExitCode {
    let Some(mongod) = Mongod::start_with_auth("6.0") else {
        return ExitCode::from(NOT_HERE);
    };
    let mut out = io::stdout();
    if writeln!(out, "{}", mongod.root_uri()).and_then(|()| out.flush()).is_err() {
        return ExitCode::FAILURE;
    }
    let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
    ExitCode::SUCCESS
}

/// As `tests/peers/fetch.sh` says it: what is needed cannot be had here.
const NOT_HERE: u8 = 77;
