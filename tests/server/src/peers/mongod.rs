//! A mongod of our own, started in a scratch folder and ended with its owner.

use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};
use std::{fs, thread};

use bson::{Document, doc};

use super::{Scratch, require, unix_path};
use crate::wire;

/// A running mongod. It ends when this value is dropped, and also when the test process ends in any other way.
#[derive(Debug)]
pub struct Mongod {
    version: String,
    port: u16,
    child: Child,
    scratch: Scratch,
}

impl Mongod {
    /// Starts mongod of the given generation (`"6.0"`, `"5.0"`, `"4.4"`, `"4.2"`) on a free port of 127.0.0.1 and waits
    /// until it takes connections. `args` come after the usual ones. `None`, after a [`skip`](super::skip), if that server isn't there.
    ///
    /// ```no_run
    /// # use mongo_blocking_test_server::peers::Mongod;
    /// let Some(mongod) = Mongod::start("6.0", &["--auth"]) else { return };
    /// println!("{}", mongod.uri());
    /// ```
    ///
    /// # Panics
    /// If mongod is there but does not start; the message ends with its log.
    pub fn start(version: &str, args: &[&str]) -> Option<Mongod> {
        let launcher = launcher(version)?;
        // The port was free a moment ago; another process may have taken it since.
        for attempt in 1..=PORT_ATTEMPTS {
            match spawn(version, &launcher, args) {
                Ok(mongod) => return Some(mongod),
                Err(log) if attempt < PORT_ATTEMPTS && log.contains("already in use") => {}
                Err(log) => panic!("mongod {version} did not start. {log}"),
            }
        }
        None
    }

    /// Starts mongod with TLS connections only. `key` is the file with the server's certificate and key, `authority` the one with the
    /// authority of its clients; `args` come after these.
    ///
    /// # Panics
    /// As [`Mongod::start`].
    pub fn start_with_tls(version: &str, key: &str, authority: &str, args: &[&str]) -> Option<Mongod> {
        let tls = ["--tlsMode", "requireTLS", "--tlsCertificateKeyFile", key, "--tlsCAFile", authority];
        Mongod::start(version, &[&tls, args].concat())
    }

    /// One mongod without access control for the whole test process, started at the first call. Each test uses a
    /// database of its own name on it. `None`, after a [`skip`](super::skip), if that server isn't there.
    ///
    /// # Panics
    /// As [`Mongod::start`].
    pub fn shared(version: &str) -> Option<&'static Mongod> {
        static SHARED: Mutex<Vec<(String, &'static Mongod)>> = Mutex::new(Vec::new());
        let mut shared = SHARED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some((_, mongod)) = shared.iter().find(|(v, _)| v == version) {
            return Some(mongod);
        }
        let mongod: &'static Mongod = Box::leak(Box::new(Mongod::start(version, &[])?));
        shared.push((version.to_owned(), mongod));
        Some(mongod)
    }

    /// Like [`Mongod::shared`], with access control: `--auth` and the user [`ROOT`] with the role root, who has
    /// credentials for both SCRAM mechanisms.
    ///
    /// # Panics
    /// As [`Mongod::start`].
    pub fn shared_with_auth(version: &str) -> Option<&'static Mongod> {
        static SHARED: OnceLock<Mutex<Vec<(String, &'static Mongod)>>> = OnceLock::new();
        let shared = SHARED.get_or_init(Default::default);
        let mut shared = shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some((_, mongod)) = shared.iter().find(|(v, _)| v == version) {
            return Some(mongod);
        }
        let mongod: &'static Mongod = Box::leak(Box::new(Mongod::start_with_auth(version)?));
        shared.push((version.to_owned(), mongod));
        Some(mongod)
    }

    /// Starts mongod with `--auth` and the user [`ROOT`].
    ///
    /// # Panics
    /// As [`Mongod::start`], and if the user can't be made.
    pub fn start_with_auth(version: &str) -> Option<Mongod> {
        let mongod = Mongod::start(version, &["--auth"])?;
        let made = mongod.run("admin", doc! {"createUser": ROOT.0, "pwd": ROOT.1, "roles": ["root"]});
        assert_eq!(number(&made, "ok"), 1, "createUser: {made}");
        Some(mongod)
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URI without credentials.
    pub fn uri(&self) -> String {
        format!("mongodb://{}/", self.address())
    }

    /// The URI that logs in as [`ROOT`].
    pub fn root_uri(&self) -> String {
        format!("mongodb://{}:{}@{}/", ROOT.0, ROOT.1, self.address())
    }

    /// The generation it was asked for by.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The Unix socket it listens on too.
    pub fn unix_socket(&self) -> PathBuf {
        self.scratch.path().join(format!("mongodb-{}.sock", self.port))
    }

    /// Its folder: data, log, socket.
    pub fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        log_of(self.scratch.path())
    }

    /// Stops it where it is (SIGSTOP): its host goes on taking connections and what is sent on them, and nothing answers.
    ///
    /// # Panics
    /// If it does not run.
    pub fn freeze(&self) {
        signal(self.scratch.path(), "STOP");
    }

    /// Lets it go on after [`Mongod::freeze`].
    ///
    /// # Panics
    /// If it does not run.
    pub fn thaw(&self) {
        signal(self.scratch.path(), "CONT");
    }

    /// Runs a command on a connection of its own, without login (so, with `--auth`, by the localhost exception).
    ///
    /// # Panics
    /// If the exchange fails; an answer with `ok: 0` is returned like any other.
    pub fn run(&self, database: &str, command: Document) -> Document {
        run_command(&self.address(), database, command).expect("an answer from mongod")
    }
}

impl Drop for Mongod {
    fn drop(&mut self) {
        // The watching shell sees the end of its input, ends mongod by its id and then itself.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// One command on a fresh connection to `address`, without login.
///
/// # Errors
/// Any I/O error, or an answer that can't be parsed.
pub fn run_command(address: &str, database: &str, mut command: Document) -> io::Result<Document> {
    command.insert("$db", database);
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(START_LIMIT))?;
    io::Write::write_all(&mut stream, &wire::command_bytes(1, &command)?)?;
    let answer = wire::read_message(&mut stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    Document::from_reader(&answer[21..]).map_err(io::Error::other)
}

fn number(answer: &Document, key: &str) -> i64 {
    match answer.get(key) {
        Some(bson::Bson::Double(n)) => *n as i64,
        Some(bson::Bson::Int32(n)) => i64::from(*n),
        Some(bson::Bson::Int64(n)) => *n,
        _ => 0,
    }
}

pub(super) fn launcher(version: &str) -> Option<PathBuf> {
    let variable = format!("MONGOD_{}", version.replace('.', "_"));
    require(&variable, &format!("mongod-{version}/mongod"))
}

fn spawn(version: &str, launcher: &Path, args: &[&str]) -> Result<Mongod, String> {
    let scratch = Scratch::new("mongod");
    let data = scratch.path().join("data");
    fs::create_dir_all(&data).map_err(|e| e.to_string())?;
    let port = free_port();
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(WATCH)
        .arg("mongod")
        .arg(launcher)
        .arg("--dbpath")
        .arg(&data)
        .arg("--logpath")
        .arg(scratch.path().join("log"))
        .arg("--unixSocketPrefix")
        .arg(scratch.path())
        .args(["--bind_ip", "127.0.0.1", "--port", &port.to_string()])
        .args(["--wiredTigerCacheSizeGB", "0.25"])
        .args(["--setParameter", "enableTestCommands=1"])
        .args(["--setParameter", "diagnosticDataCollectionEnabled=false"])
        .args(args)
        .env("SCRATCH", scratch.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let started = Instant::now();
    while !log_of(scratch.path()).contains("aiting for connections") {
        let ended = child.try_wait().map_err(|e| e.to_string())?.is_some();
        if ended || started.elapsed() > START_LIMIT {
            drop(child.stdin.take());
            let mut errors = String::new();
            if let Some(mut stderr) = child.stderr.take() {
                let _ = stderr.read_to_string(&mut errors);
            }
            let log = log_of(scratch.path());
            let tail = log.len().saturating_sub(LOG_TAIL);
            return Err(format!("{errors}{}", log.get(tail..).unwrap_or(&log)));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(Mongod { version: version.to_owned(), port, child, scratch })
}

/// Sends a signal to the mongod whose folder this is. After STOP, waits until each of its threads has stopped.
pub(super) fn signal(folder: &Path, signal: &str) {
    let script = r#"
pid=$(cat "$2")
kill "-$1" "$pid" || exit
[ "$1" = STOP ] || exit 0
while grep -h ^State: /proc/"$pid"/task/*/status 2>/dev/null | grep -qv stopped; do sleep 0.01; done
"#;
    let file = unix_path(&folder.join("pid"));
    let sent = Command::new("sh").args(["-c", script, "signal", signal, &file]).status();
    assert!(sent.is_ok_and(|status| status.success()), "the mongod in {file} could not be sent {signal}");
}

fn log_of(folder: &Path) -> String {
    let log = fs::read(folder.join("log")).unwrap_or_default();
    String::from_utf8_lossy(&log).into_owned()
}

/// A port of 127.0.0.1 that nobody listened on a moment ago.
///
/// # Panics
/// If the machine has none.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// Name and password of the user with the role root.
pub const ROOT: (&str, &str) = ("root", "pencil");

/// The shell that stands between: it starts mongod and waits for the end of its own input or of mongod, whichever is
/// first. Its input is a pipe from the test process, so however that ends, mongod ends with it and its folder goes.
const WATCH: &str = r#"
"$@" &
mongod=$!
echo $mongod >"$SCRATCH/pid"
exec 3<&0 2>/dev/null
(read -r _ <&3; kill -9 $mongod 2>/dev/null) &
watcher=$!
wait $mongod
[ $? -ne 137 ] || rm -rf "$SCRATCH"
kill $watcher 2>/dev/null
"#;

const PORT_ATTEMPTS: u32 = 5;
const START_LIMIT: Duration = Duration::from_secs(60);
const LOG_TAIL: usize = 4000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_answers_and_ends_with_its_owner() {
        let Some(mongod) = Mongod::start("6.0", &[]) else {
            return;
        };
        let answer = mongod.run("admin", doc! {"buildInfo": 1});
        assert!(answer.get_str("version").unwrap().starts_with("6.0"));
        assert!(mongod.unix_socket().exists());
        let (address, folder) = (mongod.address(), mongod.folder().to_owned());
        drop(mongod);
        assert!(TcpStream::connect(address).is_err());
        assert!(!folder.exists());
    }

    #[test]
    fn access_control_starts_with_one_user() {
        let Some(mongod) = Mongod::shared_with_auth("6.0") else {
            return;
        };
        let refused = mongod.run("admin", doc! {"listDatabases": 1});
        assert_eq!(number(&refused, "code"), 13);
    }
}
