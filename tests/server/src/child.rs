//! A test that changes its process (environment, log level, signals) or looks at all of it (memory) runs once more, alone in a
//! process of its own, so that tests of one program do not disturb each other.

use std::env;
use std::process::Command;

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

const ALONE: &str = "MONGO_BLOCKING_TEST_ALONE";
