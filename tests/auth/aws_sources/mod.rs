//! AWS keys from every source, each until a server has let their holder in; the order, beside boto3; and endpoints that fail.
//!
//! The environment belongs to a process, so each case is a child process: this program again, with the one test [`child`].

mod container;
mod ec2;
mod files;
mod hostile;
mod identity_center;
mod order;
mod sts;

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use mongo_blocking::bson::{Document, doc};
use mongo_blocking::{AwsSearchFailed, Client, aws_source_report};
use mongo_blocking_test_server::aws::AwsServer;
use mongo_blocking_test_server::child;
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::{self, Iam, Moto, Scratch};

/// Somewhere to look for keys: a home folder and an environment, and nothing else.
struct Place {
    home: Scratch,
    variables: Vec<(String, String)>,
}

/// What the search in a place came to.
#[derive(Debug)]
struct Outcome {
    /// The source that had keys, or the error.
    source: Result<String, String>,
    /// The access key's id.
    id: String,
    /// When they expire, in seconds since 1970.
    expires: Option<u64>,
    skipped: Vec<String>,
    took: Duration,
    /// The most memory that the process ever had, in KiB; 0 where that is not told.
    memory: u64,
}

impl Place {
    /// An empty one, on no EC2 instance.
    fn new() -> Place {
        let path = env::var("PATH").unwrap_or_default();
        let place = Place { home: Scratch::new("aws-sources"), variables: Vec::new() };
        let home = place.home.path().to_str().expect("a path").to_owned();
        place.set("HOME", &home).set("USERPROFILE", &home).set("PATH", &path).set("AWS_EC2_METADATA_DISABLED", "true")
    }

    fn set(mut self, name: &str, value: &str) -> Place {
        self.variables.retain(|(own, _)| own != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A file in the home folder.
    fn file(self, name: &str, text: &str) -> Place {
        let path = self.home.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
        self
    }

    fn config(self, text: &str) -> Place {
        self.file(".aws/config", text)
    }

    fn credentials(self, text: &str) -> Place {
        self.file(".aws/credentials", text)
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).to_str().expect("a path").to_owned()
    }

    /// Looks for keys.
    fn look(&self) -> Outcome {
        let began = Instant::now();
        let lines = self.child(&[]);
        let took = began.elapsed();
        let all =
            |mark: &str| lines.iter().filter_map(|line| line.strip_prefix(mark)).map(str::to_owned).collect::<Vec<_>>();
        let one = |mark: &str| all(mark).pop();
        Outcome {
            source: one("@source ").ok_or_else(|| one("@error ").unwrap_or_else(|| panic!("{lines:?}"))),
            id: one("@id ").unwrap_or_default(),
            expires: one("@expires ").map(|seconds| seconds.parse().expect("seconds")),
            skipped: all("@skipped "),
            took,
            memory: one("@memory ").and_then(|kib| kib.parse().ok()).unwrap_or_default(),
        }
    }

    /// Logs in with the keys; who a server says that is, judged by this STS.
    fn log_in(&self, moto: &Moto) -> String {
        let fake_server =
            FakeServer::builder().mechanism("MONGODB-AWS", AwsServer::judged_by_sts(moto.address()).start()).start();
        let uri = format!("mongodb://{}/?authMechanism=MONGODB-AWS", fake_server.address());
        let lines = self.child(&[("TEST_URI", &uri)]);
        lines.iter().find_map(|line| line.strip_prefix("@user ")).unwrap_or_else(|| panic!("{lines:?}")).to_owned()
    }

    fn child(&self, more: &[(&str, &str)]) -> Vec<String> {
        let mut command = child::command(module_path!(), "child");
        command.env_clear();
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        peers::run(command.env("TEST_CHILD", "1").envs(more.iter().copied()))
    }
}

impl Outcome {
    /// The keys' id and source.
    fn keys(&self) -> (&str, &str) {
        (self.source.as_deref().unwrap_or_else(|error| panic!("{error}")), &self.id)
    }

    /// The error.
    fn error(&self) -> &str {
        self.source.as_deref().expect_err("no keys")
    }
}

/// Not a test by itself: what happens in a [`Place`].
#[test]
fn child() {
    if env::var_os("TEST_CHILD").is_none() {
        return;
    }
    if let Ok(uri) = env::var("TEST_URI") {
        println!("\n@user {}", who(&uri).unwrap_or_else(|error| error.to_string()));
        return;
    }
    let within =
        env::var("TEST_WITHIN").map_or(LIMIT, |seconds| Duration::from_secs(seconds.parse().expect("seconds")));
    let skipped = match aws_source_report(within) {
        Ok(report) => {
            println!("\n@source {}\n@id {}", report.source, report.access_key_id.replace('\n', "\\n"));
            if let Some(at) = report.expires {
                println!("@expires {}", at.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs());
            }
            report.skipped
        }
        Err(error) => {
            println!("\n@error {error}");
            let search = error.source().and_then(|source| source.downcast_ref::<AwsSearchFailed>());
            search.map(|search| search.skipped.clone()).unwrap_or_default()
        }
    };
    for skipped in skipped {
        println!("@skipped {skipped}");
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    println!("@memory {}", peak.trim().trim_end_matches(" kB"));
}

fn who(uri: &str) -> mongo_blocking::Result<String> {
    let client = Client::with_uri_str(uri)?;
    let status: Document = client.database("admin").run_command(doc! { "connectionStatus": 1 }).run()?;
    let users = status.get_document("authInfo").and_then(|info| info.get_array("authenticatedUsers")).expect("users");
    let name = |user: &Document| user.get_str("user").expect("a user").to_owned();
    Ok(users.iter().map(|user| name(user.as_document().expect("a user"))).collect::<Vec<_>>().join(" "))
}

/// One moto that verifies signatures, for all tests; it ends with the process.
fn moto() -> Option<&'static Moto> {
    static MOTO: OnceLock<Option<Moto>> = OnceLock::new();
    one_moto(&MOTO, Iam::Enforced)
}

/// One that takes unsigned calls.
fn lenient_moto() -> Option<&'static Moto> {
    static MOTO: OnceLock<Option<Moto>> = OnceLock::new();
    one_moto(&MOTO, Iam::Off)
}

fn one_moto(place: &'static OnceLock<Option<Moto>>, iam: Iam) -> Option<&'static Moto> {
    let moto = place.get_or_init(|| Moto::start(iam)).as_ref();
    if moto.is_none() {
        peers::skip("there is no Python with moto");
    }
    moto
}

/// The program that tests run as a `credential_process`.
fn script(place: &Place, name: &str, text: &str) -> String {
    let path = place.path(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("a script");
    make_executable(Path::new(&path));
    path
}

#[cfg(unix)]
fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a program");
}

/// Windows goes by the name alone.
#[cfg(not(unix))]
fn make_executable(_path: &Path) {}

/// Of temporary keys in tests.
const FAR: &str = "2099-01-01T00:00:00Z";
const FAR_SECONDS: u64 = 4_070_908_800;

/// Who the temporary keys of moto are.
const STUB: &str = "arn:aws:sts::123456789012:assumed-role/second/stub";

/// How long the search may take, in a child, unless `TEST_WITHIN` gives it other seconds.
const LIMIT: Duration = Duration::from_secs(8);
