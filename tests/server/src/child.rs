//! A test that changes its process (environment, log level, signals) or looks at all of it (memory) runs once more, alone in a
//! process of its own, so that tests of one program do not disturb each other.

use std::process::Command;
use std::{env, fs};

use crate::peers::{NameServer, Scratch, skip};

/// The name of the test function `test` in the module `module_path!()`, as the test program's filter wants it.
pub fn test_name(module: &str, test: &str) -> String {
    match module.split_once("::") {
        Some((_, inner)) => format!("{inner}::{test}"),
        None => test.to_owned(),
    }
}

/// A command that runs this one test of the current test program; `module` is the caller's `module_path!()`.
///
/// # Panics
/// If the current program has no path.
pub fn command(module: &str, test: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("the path of this test program"));
    command.args(["--exact", &test_name(module, test), "--nocapture", "--test-threads=1"]);
    command
}

/// Runs such a command to its end.
///
/// # Panics
/// If the test did not run or did not pass; the message is what it printed.
pub fn run(command: &mut Command) {
    let output = command.output().expect("this test program runs once more");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
}

/// Whether this process is one that this function started. If not, runs the test in one and returns false once it has passed.
///
/// ```no_run
/// # use mongo_blocking_test_server::child;
/// fn needs_the_process_to_itself() {
///     if !child::alone(module_path!(), "needs_the_process_to_itself") {
///         return;
///     }
///     // Sets a logger, for example.
/// }
/// ```
///
/// # Panics
/// As [`run`] does.
pub fn alone(module: &str, test: &str) -> bool {
    let name = test_name(module, test);
    if env::var(ALONE).is_ok_and(|own| own == name) {
        return true;
    }
    run(command(module, test).env(ALONE, name));
    false
}

/// Runs this test once more where `server` is the system's only name server: in a mount namespace of its own, a process has another
/// `/etc/resolv.conf`. `None`, after a [`skip`](crate::peers::skip), where that is not allowed.
///
/// # Panics
/// As [`run`] does.
pub fn with_name_server(server: &NameServer, module: &str, test: &str, variables: &[(&str, String)]) -> Option<()> {
    let allowed = Command::new("unshare").args(["--mount", "true"]).output().is_ok_and(|out| out.status.success());
    if !allowed {
        skip("mount namespaces are not allowed here (unshare --mount)");
        return None;
    }
    let folder = Scratch::new("resolv-conf");
    let conf = folder.path().join("resolv.conf");
    fs::write(&conf, format!("nameserver {}\n", server.address().ip())).expect("a file in the scratch folder");
    let own = command(module, test);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\""]).arg(&conf);
    command.arg(own.get_program()).args(own.get_args()).env(NAME_SERVER, test_name(module, test));
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    run(&mut command);
    Some(())
}

/// Whether this process is one that [`with_name_server`] started.
pub fn has_own_name_server() -> bool {
    env::var_os(NAME_SERVER).is_some()
}

const NAME_SERVER: &str = "MONGO_BLOCKING_TEST_NAME_SERVER";
const ALONE: &str = "MONGO_BLOCKING_TEST_ALONE";
