//! Other people's drivers: a program that logs in to URIs and prints a verdict for each.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Scratch, node, python, require, skip};

/// A reference client: how to start it on some URIs.
#[derive(Debug)]
pub struct Reference {
    name: &'static str,
    program: PathBuf,
    first: Vec<PathBuf>,
    environment: Vec<(&'static str, OsString)>,
    oldest: i32,
    /// libmongoc is built once for a test.
    _scratch: Option<Scratch>,
}

impl Reference {
    /// PyMongo, latest. `None`, after a [`skip`], if it isn't there; so for the others.
    ///
    /// # Panics
    /// As [`skip`].
    pub fn pymongo() -> Option<Reference> {
        Some(Reference::python("PyMongo", python()?, 9))
    }

    /// PyMongo 3.13.0, which still knows MONGODB-CR and the `ssl_*` options.
    ///
    /// # Panics
    /// As [`skip`].
    pub fn pymongo_3() -> Option<Reference> {
        Some(Reference::python("PyMongo 3.13", require("PYMONGO_3_13", "pymongo-3.13/bin/python")?, 0))
    }

    /// The Node driver.
    ///
    /// # Panics
    /// As [`skip`].
    pub fn node() -> Option<Reference> {
        let folder = node()?;
        Some(Reference {
            name: "Node driver",
            program: folder.join("node"),
            first: vec![script("node_login.js")],
            environment: vec![("NODE_PATH", folder.join("node_modules").into())],
            oldest: 8,
            _scratch: None,
        })
    }

    /// libmongoc, as the system has it.
    ///
    /// # Panics
    /// As [`skip`], and if it does not build.
    pub fn libmongoc() -> Option<Reference> {
        let flags = Command::new("pkg-config").args(["--cflags", "--libs", "libmongoc-1.0"]).output();
        let Some(flags) = flags.ok().filter(|f| f.status.success()) else {
            skip("pkg-config finds no libmongoc-1.0");
            return None;
        };
        let flags = String::from_utf8(flags.stdout).expect("flags");
        let scratch = Scratch::new("libmongoc");
        let program = scratch.path().join("libmongoc_login");
        let mut cc = Command::new("cc");
        cc.arg(script("libmongoc_login.c")).args(flags.split_whitespace()).arg("-o").arg(&program);
        run(&mut cc);
        Some(Reference {
            name: "libmongoc",
            program,
            first: vec![],
            environment: vec![],
            oldest: 6,
            _scratch: Some(scratch),
        })
    }

    /// The same in an environment that has these besides.
    pub fn with_environment(mut self, environment: Vec<(&'static str, OsString)>) -> Reference {
        self.environment.extend(environment);
        self
    }

    /// What it is called.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The oldest wire version it takes.
    pub fn oldest(&self) -> i32 {
        self.oldest
    }

    /// A line for each URI: `ok USER@DATABASE`, `auth CODE`, or `error WHAT`.
    ///
    /// # Panics
    /// If the program fails as a whole.
    pub fn verdicts(&self, uris: &[String]) -> Vec<String> {
        let mut command = Command::new(&self.program);
        command.args(&self.first).args(uris).envs(self.environment.iter().map(|(k, v)| (k, v)));
        let lines = run(&mut command);
        assert_eq!(lines.len(), uris.len(), "{lines:?}");
        lines
    }

    fn python(name: &'static str, program: PathBuf, oldest: i32) -> Reference {
        let first = vec![script("pymongo_login.py")];
        Reference { name, program, first, environment: vec![], oldest, _scratch: None }
    }
}

/// A program in `tests/clients`.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients").join(name)
}

/// Runs a program to its end; the lines it printed.
///
/// # Panics
/// If it does not start, or does not end well; the message has what it said.
pub fn run(command: &mut Command) -> Vec<String> {
    let output = command.output().expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).expect("UTF-8").lines().map(str::to_owned).collect()
}
