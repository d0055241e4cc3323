//! The process that logs in: this test program once more, with an environment of its own.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Barrier;
use std::{env, fs, thread};

use mongo_blocking::Client;
use mongo_blocking::bson::doc;
use mongo_blocking::event::EventHandler;
use mongo_blocking::options::ClientOptions;

/// A login to try.
#[derive(Clone, Default)]
pub struct Login {
    /// Perhaps several, a line each, which the threads take in turn.
    pub uri: String,
    /// `gssapi_credential_cache` in code; a line for each URI.
    pub cache: Option<OsString>,
    /// `gssapi_client_keytab` in code.
    pub keytab: Option<OsString>,
    /// What else stands in the environment.
    pub environment: Vec<(&'static str, OsString)>,
    /// What does not.
    pub without: Vec<&'static str>,
    /// Everything in code instead of the URI.
    pub in_code: Option<InCode>,
    /// How often, each time with a new client; 0 counts as 1.
    pub times: usize,
    /// In how many threads side by side; 0 counts as 1.
    pub threads: usize,
    /// A program to run it under, with arguments.
    pub under: Vec<String>,
    /// Another build of this test program.
    pub program: Option<PathBuf>,
}

/// A login written in code: host, user, and the mechanism's properties as one text.
#[derive(Clone)]
pub struct InCode {
    pub host: String,
    pub username: String,
    pub password: Option<String>,
    pub properties: String,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// Who the server says we are, or the error in full.
    pub verdict: Result<String, String>,
    /// Each login: the URI's user, and who logged in.
    pub logins: Vec<String>,
    /// The warnings while it worked.
    pub warnings: Vec<String>,
}

impl Outcome {
    /// Who logged in.
    pub fn user(&self) -> &str {
        self.verdict.as_deref().unwrap_or_else(|error| panic!("not logged in: {error}"))
    }

    /// The error, which must have all these words.
    pub fn refused(&self, words: &[&str]) -> &str {
        let error = self.verdict.as_ref().expect_err("an error");
        for word in words {
            assert!(error.contains(word), "this does not say {word:?}: {error}");
        }
        error
    }
}

impl Login {
    pub fn new(uri: impl Into<String>) -> Login {
        Login { uri: uri.into(), ..Login::default() }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<OsString>) -> Login {
        self.environment.push((name, value.into()));
        self
    }

    pub fn without(mut self, name: &'static str) -> Login {
        self.without.push(name);
        self
    }

    /// With this ticket cache in code.
    pub fn cache(mut self, cache: impl Into<OsString>) -> Login {
        self.cache = Some(cache.into());
        self
    }

    /// With this keytab in code.
    pub fn keytab(mut self, keytab: impl Into<OsString>) -> Login {
        self.keytab = Some(keytab.into());
        self
    }

    /// Runs it in a process of its own.
    pub fn run(&self) -> Outcome {
        self.try_run().unwrap_or_else(|problem| panic!("{problem}"))
    }

    /// The same, where the process itself may fail: then what it said.
    pub fn try_run(&self) -> Result<Outcome, String> {
        let this = self.program.clone().unwrap_or_else(|| env::current_exe().unwrap());
        let mut program = self.under.iter().map(OsString::from).chain([this.into_os_string()]);
        let mut command = Command::new(program.next().unwrap());
        command.args(program).args(["--exact", PROGRAM, "--nocapture", "--test-threads", "1"]);
        command.env(URI, &self.uri).env(TIMES, self.times.max(1).to_string());
        command.env(THREADS, self.threads.max(1).to_string());
        for (name, value) in [(CACHE, &self.cache), (KEYTAB, &self.keytab)] {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        if let Some(InCode { host, username, password, properties }) = &self.in_code {
            command.env(HOST, host).env(USERNAME, username).env(PROPERTIES, properties);
            password.iter().fold(&mut command, |command, password| command.env(PASSWORD, password));
        }
        for (name, value) in &self.environment {
            command.env(name, value);
        }
        for name in &self.without {
            command.env_remove(name);
        }
        let output = command.output().unwrap();
        let (said, errors) = (text(&output.stdout), text(&output.stderr));
        let lines = |mark: &str| -> Vec<String> {
            said.lines().filter_map(|line| line.split_once(mark)).map(|(_, rest)| rest.to_owned()).collect()
        };
        if !output.status.success() {
            return Err(format!("the process that logs in failed: {said}{errors}"));
        }
        let verdict = match (lines(OK).pop(), lines(REFUSED).pop()) {
            (_, Some(error)) => Err(error),
            (Some(user), None) => Ok(user),
            (None, None) => panic!("no verdict: {said}{errors}"),
        };
        Ok(Outcome { verdict, logins: lines(AS), warnings: lines(WARNING) })
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Called by itself it shows that a login that cannot be is reported; called by [`Login::run`] it is the program that logs in.
#[test]
fn login_program() {
    let Ok(uri) = env::var(URI) else {
        let outcome = Login::new("mongodb://ann@localhost/?authMechanism=GSSAPI&authSource=admin").run();
        outcome.refused(&["$external"]);
        return;
    };
    let before: Vec<_> = env::vars_os().collect();
    let number = |name: &str| -> usize { env::var(name).unwrap().parse().unwrap() };
    let (times, threads) = (number(TIMES), number(THREADS));
    let start = Barrier::new(threads);
    let (uris, caches) = (uri.lines().collect::<Vec<_>>(), env::var(CACHE).unwrap_or_default());
    let caches: Vec<&str> = caches.lines().collect();
    let log_in = |thread: usize| {
        start.wait();
        let turn = thread % uris.len();
        (0..times).for_each(|_| log_in(uris[turn], caches.get(turn).copied()));
    };
    thread::scope(|scope| (0..threads).for_each(|thread| drop(scope.spawn(move || log_in(thread)))));
    assert_eq!(before, env::vars_os().collect::<Vec<_>>(), "the login changed the environment");
}

fn log_in(uri: &str, cache: Option<&str>) {
    match who(uri, cache) {
        Ok(user) => {
            let asked = uri.trim_start_matches("mongodb://").split('@').next().unwrap_or_default();
            println!("{AS}{} is {user}", asked.replace("%40", "@"));
            println!("{OK}{user}");
        }
        Err(error) => println!("{REFUSED}{error}"),
    }
    if env::var_os(LEAK).is_some() {
        std::hint::black_box(Box::leak(Box::new([0u8; 64])));
    }
}

fn who(uri: &str, cache: Option<&str>) -> mongo_blocking::Result<String> {
    let mut options = match env::var(HOST) {
        Err(_) => ClientOptions::builder().uri(uri),
        Ok(host) => ClientOptions::builder()
            .host(host)
            .username(env::var(USERNAME).unwrap())
            .auth_mechanism("GSSAPI")
            .auth_mechanism_properties(env::var(PROPERTIES).unwrap()),
    };
    if let Ok(password) = env::var(PASSWORD) {
        options = options.password(password);
    }
    options =
        options.warning_handler(EventHandler::new(|warning: &mongo_blocking::Warning| println!("{WARNING}{warning}")));
    if let Some(cache) = cache {
        options = options.gssapi_credential_cache(cache);
    }
    if let Ok(keytab) = env::var(KEYTAB) {
        options = options.gssapi_client_keytab(keytab);
    }
    let client = Client::with_options(options.build())?;
    let status = client.database("test").run_command(doc! {"connectionStatus": 1}).run()?;
    let users = status.get_document("authInfo").unwrap().get_array("authenticatedUsers").unwrap();
    let user = users.first().expect("somebody is logged in").as_document().unwrap();
    Ok(format!("{} of {}", user.get_str("user").unwrap(), user.get_str("db").unwrap()))
}

/// Files in the temporary folder that a Kerberos library leaves behind.
pub fn left_behind() -> Vec<String> {
    let names = fs::read_dir(env::temp_dir()).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter_map(|name| name.into_string().ok()).filter(|name| name.starts_with("krb5")).collect()
}

const PROGRAM: &str = "child::login_program";
const URI: &str = "MONGO_BLOCKING_LOGIN_URI";
const CACHE: &str = "MONGO_BLOCKING_LOGIN_CACHE";
const KEYTAB: &str = "MONGO_BLOCKING_LOGIN_KEYTAB";
const HOST: &str = "MONGO_BLOCKING_LOGIN_HOST";
const USERNAME: &str = "MONGO_BLOCKING_LOGIN_USERNAME";
const PASSWORD: &str = "MONGO_BLOCKING_LOGIN_PASSWORD";
const PROPERTIES: &str = "MONGO_BLOCKING_LOGIN_PROPERTIES";
const THREADS: &str = "MONGO_BLOCKING_LOGIN_THREADS";
const TIMES: &str = "MONGO_BLOCKING_LOGIN_TIMES";
/// Makes the program lose memory with each login, to see that this is noticed.
pub const LEAK: &str = "MONGO_BLOCKING_LOGIN_LEAK";
const OK: &str = "LOGGED IN: ";
const AS: &str = "AS: ";
const REFUSED: &str = "REFUSED: ";
const WARNING: &str = "WARNING: ";
