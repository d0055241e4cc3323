//! A replica set of our own: three mongods, which a test can kill, freeze and start again.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use std::{fs, io, thread};

use bson::{Bson, DateTime, Document, doc};

use super::mongod::{self, launcher};
use super::socks_proxy::{nss_wrapper, own_hosts};
use super::{ROOT, Scratch, free_port};
use crate::answers::truth;
use crate::fault_proxy::FaultProxy;
use crate::forward::{Upstream, UpstreamConnection};

/// A running replica set of three members. It ends when this value is dropped, and also when the test process ends in any other
/// way.
///
/// Elections take about 2 s: `electionTimeoutMillis` is 2000 and `heartbeatIntervalMillis` 500.
#[derive(Debug)]
pub struct ReplicaSet {
    version: String,
    options: ReplicaSetOptions,
    members: Vec<Member>,
}

/// How a replica set is started. The default: named `rs0`, on free ports of 127.0.0.1, without access control and TLS.
#[derive(Debug, Clone)]
pub struct ReplicaSetOptions {
    /// The set's name.
    pub name: String,
    /// The host by which the members know each other and clients find them: `127.0.0.1`, `localhost`, or one of `hosts`.
    pub host: &'static str,
    /// Names that hold for the members only, in the form of `/etc/hosts`; empty: they look names up as everybody does.
    pub hosts: String,
    /// The members' ports; 0 is a free one.
    pub ports: [u16; MEMBERS],
    /// `--keyFile`, and the user [`ROOT`] with the role root.
    pub access_control: bool,
    /// TLS connections only.
    pub tls: Option<MemberCertificates>,
    /// A [`FaultProxy`] before each member, whose address is the one in the set's configuration.
    pub proxied: bool,
    /// More arguments for each mongod.
    pub arguments: Vec<String>,
}

/// What the members of a set with TLS show to clients and to each other.
#[derive(Debug, Clone)]
pub struct MemberCertificates {
    /// PEM of the authority that issued the other two.
    pub authority: String,
    /// PEM of a server's certificate with its key.
    pub server: String,
    /// PEM of a client's certificate with its key, which a member shows to the other members.
    pub client: String,
}

impl Default for ReplicaSetOptions {
    fn default() -> ReplicaSetOptions {
        ReplicaSetOptions {
            name: "rs0".to_owned(),
            host: "127.0.0.1",
            hosts: String::new(),
            ports: [0; MEMBERS],
            access_control: false,
            tls: None,
            proxied: false,
            arguments: Vec::new(),
        }
    }
}

/// Connections that a member's log tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggedConnections {
    /// All of them.
    pub made: usize,
    /// Those on which a user has logged in.
    pub logged_in: usize,
}

#[derive(Debug)]
struct Member {
    /// In the set's configuration.
    port: u16,
    /// Where its mongod listens; the same without a proxy.
    own_port: u16,
    proxy: Option<FaultProxy>,
    scratch: Scratch,
    /// The command line of its mongod.
    command: Vec<PathBuf>,
    environment: Vec<(OsString, OsString)>,
    running: Mutex<Running>,
}

#[derive(Debug)]
struct Running {
    /// `None` while it is killed.
    child: Option<Child>,
    frozen: bool,
}

impl ReplicaSet {
    /// One set without access control for the whole test process, started at the first call. Each test uses a database of its own
    /// on it, and leaves the members as they are. `None`, after a [`skip`](super::skip), if that server isn't there.
    ///
    /// ```no_run
    /// # use mongo_blocking_test_server::peers::ReplicaSet;
    /// let Some(set) = ReplicaSet::shared("6.0") else { return };
    /// println!("{}", set.uri());
    /// ```
    ///
    /// # Panics
    /// As [`ReplicaSet::start`].
    pub fn shared(version: &str) -> Option<&'static ReplicaSet> {
        ReplicaSet::shared_with(version, false)
    }

    /// Like [`ReplicaSet::shared`], with access control: `--keyFile` and the user [`ROOT`] with the role root.
    ///
    /// # Panics
    /// As [`ReplicaSet::start`].
    pub fn shared_with_auth(version: &str) -> Option<&'static ReplicaSet> {
        ReplicaSet::shared_with(version, true)
    }

    fn shared_with(version: &str, access_control: bool) -> Option<&'static ReplicaSet> {
        static SHARED: Mutex<Vec<&'static ReplicaSet>> = Mutex::new(Vec::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let is_wanted = |set: &&&ReplicaSet| set.version == version && set.options.access_control == access_control;
        if let Some(set) = shared.iter().find(is_wanted) {
            return Some(set);
        }
        let options = ReplicaSetOptions { access_control, ..ReplicaSetOptions::default() };
        let set: &'static ReplicaSet = Box::leak(Box::new(ReplicaSet::start(version, options)?));
        shared.push(set);
        Some(set)
    }

    /// Starts a set of mongods of the given generation (`"6.0"`, `"5.0"`, `"4.4"`, `"4.2"`) and waits until it has a primary and
    /// two secondaries. `None`, after a [`skip`](super::skip), if that server isn't there.
    ///
    /// # Panics
    /// If mongod is there but the set does not come up; the message ends with a member's log.
    pub fn start(version: &str, options: ReplicaSetOptions) -> Option<ReplicaSet> {
        let launcher = launcher(version)?;
        let wrapper = if options.hosts.is_empty() { None } else { Some(nss_wrapper()?) };
        // Ports were free a moment ago; another process may have taken one since.
        for attempt in 1..=START_ATTEMPTS {
            match ReplicaSet::start_members(version, &launcher, wrapper.as_deref(), &options) {
                Ok(set) => {
                    set.initiate();
                    return Some(set);
                }
                Err(log) if attempt < START_ATTEMPTS && log.contains("already in use") => {}
                Err(log) => panic!("a member of a replica set of mongod {version} did not start. {log}"),
            }
        }
        None
    }

    fn start_members(
        version: &str,
        launcher: &Path,
        wrapper: Option<&Path>,
        options: &ReplicaSetOptions,
    ) -> Result<ReplicaSet, String> {
        let members = options.ports.iter().map(|port| Member::new(launcher, wrapper, *port, options)).collect();
        let set = ReplicaSet { version: version.to_owned(), options: options.clone(), members };
        set.members.iter().try_for_each(Member::spawn)?;
        (0..MEMBERS).try_for_each(|n| set.wait_until_it_answers(n))?;
        Ok(set)
    }

    fn initiate(&self) {
        let members = (0..MEMBERS).map(|n| doc! {"_id": n as i32, "host": self.address(n)}).collect::<Vec<_>>();
        let settings = doc! {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500};
        let config = doc! {"_id": &self.options.name, "members": members, "settings": settings};
        let initiated =
            self.run_without_login(0, doc! {"replSetInitiate": config}).expect("an answer of the first member");
        assert!(succeeded(&initiated), "replSetInitiate: {initiated}");
        if self.options.access_control {
            // The first user may be made without a login, on a connection from this machine.
            let user = doc! {"createUser": ROOT.0, "pwd": ROOT.1, "roles": ["root"], "writeConcern": {"w": 3}};
            let made = self.run_without_login(self.primary(), user).expect("an answer of the primary");
            assert!(succeeded(&made), "createUser: {made}");
        }
        self.wait_until_complete();
    }

    /// The generation it was asked for by.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The set's name.
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// The address of a member, counted from 0, as clients and the other members know it.
    pub fn address(&self, member: usize) -> String {
        format!("{}:{}", self.options.host, self.members[member].port)
    }

    /// The addresses of all members.
    pub fn addresses(&self) -> Vec<String> {
        (0..MEMBERS).map(|n| self.address(n)).collect()
    }

    /// The URI with all members as seeds, the set's name, and the login of [`ROOT`] where there is access control. Where there is
    /// TLS it says so, and leaves the authority to the caller.
    pub fn uri(&self) -> String {
        self.uri_of(&self.addresses().join(","), &format!("replicaSet={}", self.options.name))
    }

    /// The URI with one member as the only seed: a client finds the others by it.
    pub fn uri_by(&self, member: usize) -> String {
        self.uri_of(&self.address(member), &format!("replicaSet={}", self.options.name))
    }

    /// The URI of a client that talks to this member and no other.
    pub fn direct_uri(&self, member: usize) -> String {
        self.uri_of(&self.address(member), "directConnection=true")
    }

    fn uri_of(&self, hosts: &str, options: &str) -> String {
        let login = if self.options.access_control { format!("{}:{}@", ROOT.0, ROOT.1) } else { String::new() };
        let tls = if self.options.tls.is_some() { "&tls=true" } else { "" };
        format!("mongodb://{login}{hosts}/?{options}{tls}")
    }

    /// The proxy before a member. The other members come through it too, so that a fault there is one for the set as well; what the
    /// member itself sends to the others goes through theirs.
    ///
    /// # Panics
    /// If the set was started without proxies.
    pub fn proxy(&self, member: usize) -> &FaultProxy {
        self.members[member].proxy.as_ref().expect("a set with proxies")
    }

    /// Which member is the primary. Waits until there is one.
    ///
    /// # Panics
    /// If there is none in time.
    pub fn primary(&self) -> usize {
        let primary = self.wait_for(|set| set.current_primary());
        primary.unwrap_or_else(|| panic!("the set has no primary. {}", self.last_log()))
    }

    /// As [`ReplicaSet::primary`], but another one than this member.
    ///
    /// # Panics
    /// If there is none in time.
    pub fn primary_other_than(&self, member: usize) -> usize {
        let primary = self.wait_for(|set| set.current_primary().filter(|primary| *primary != member));
        primary.unwrap_or_else(|| panic!("the set has no other primary. {}", self.last_log()))
    }

    /// The members that are no primaries.
    ///
    /// # Panics
    /// As [`ReplicaSet::primary`].
    pub fn secondaries(&self) -> Vec<usize> {
        let primary = self.primary();
        (0..MEMBERS).filter(|n| *n != primary).collect()
    }

    /// Waits until there are a primary and two secondaries, after a fault is over.
    ///
    /// # Panics
    /// If that does not come about in time.
    pub fn wait_until_complete(&self) {
        let complete = self.wait_for(|set| {
            let hellos: Vec<_> = (0..MEMBERS).filter_map(|n| set.hello(n)).collect();
            let count = |field| hellos.iter().filter(|hello| truth(hello.get(field))).count();
            (count("ismaster") == 1 && count("secondary") == MEMBERS - 1).then_some(())
        });
        assert!(complete.is_some(), "the set did not come to a primary and two secondaries. {}", self.last_log());
    }

    /// Waits until the primary's replies tell the time of the cluster. With access control it needs keys to sign that with, and may come
    /// to them late.
    ///
    /// # Panics
    /// If it does not tell the time within a minute and a half.
    pub fn wait_for_cluster_time(&self) {
        let tells = |set: &ReplicaSet| set.run(set.primary(), "admin", doc! {"ping": 1}).contains_key("$clusterTime");
        let told = self.wait_for(|set| tells(set).then_some(()));
        assert!(told.is_some(), "the set tells no cluster time. {}", self.last_log());
    }

    /// Makes the primary step down, for 2 s at least, and gives its number. Its connections stay open.
    ///
    /// # Panics
    /// If there is no primary, or it refuses.
    pub fn step_down(&self) -> usize {
        let primary = self.primary();
        let answer =
            self.run(primary, "admin", doc! {"replSetStepDown": 10, "secondaryCatchUpPeriodSecs": 1, "force": true});
        assert!(succeeded(&answer), "replSetStepDown: {answer}");
        primary
    }

    /// Ends a member without warning (SIGKILL). [`ReplicaSet::restart`] brings it back.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill(&self, member: usize) {
        self.members[member].signal("KILL");
        if let Some(proxy) = &self.members[member].proxy {
            proxy.cut();
        }
        let mut running = self.members[member].running();
        if let Some(mut child) = running.child.take() {
            // Kept open meanwhile: the end of this input means that the owner is gone.
            let input = child.stdin.take();
            let _ = child.wait();
            drop(input);
        }
        running.frozen = false;
    }

    /// Starts a killed member again, with its data and on its port, and waits until it answers.
    ///
    /// # Panics
    /// If it runs, or does not start.
    pub fn restart(&self, member: usize) {
        assert!(self.members[member].running().child.is_none(), "the member {member} runs");
        if let Some(proxy) = &self.members[member].proxy {
            proxy.heal();
        }
        let started = self.members[member].spawn().and_then(|()| self.wait_until_it_answers(member));
        started.unwrap_or_else(|log| panic!("the member {member} did not start again. {log}"));
    }

    /// Stops a member where it is (SIGSTOP): its host goes on taking connections and what is sent on them, and nothing answers.
    ///
    /// # Panics
    /// If it does not run.
    pub fn freeze(&self, member: usize) {
        self.members[member].signal("STOP");
        self.members[member].running().frozen = true;
    }

    /// Lets a frozen member go on.
    ///
    /// # Panics
    /// If it does not run.
    pub fn thaw(&self, member: usize) {
        self.members[member].signal("CONT");
        self.members[member].running().frozen = false;
    }

    /// When members that had won elections began to take writes, by their logs, from this moment on, the earliest first.
    ///
    /// # Panics
    /// If a log cannot be read.
    pub fn elections_since(&self, since: SystemTime) -> Vec<SystemTime> {
        let logs = self.members.iter().map(|member| fs::read_to_string(member.scratch.path().join("log")));
        let logs: Vec<String> = logs.collect::<Result<_, _>>().expect("the members' logs");
        let lines = logs.iter().flat_map(|log| log.lines().rev());
        let lines = lines.filter(|line| line.contains(TAKES_WRITES));
        let lines = lines.filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let times = lines.filter_map(|line| DateTime::parse_rfc3339_str(line["t"]["$date"].as_str()?).ok());
        let mut times: Vec<SystemTime> = times.map(DateTime::to_system_time).filter(|time| *time >= since).collect();
        times.sort();
        times
    }

    /// From when on the present primary could acknowledge writes with `w: "majority"`, as it says itself.
    ///
    /// # Panics
    /// If there is no primary in time.
    pub fn majority_since(&self) -> Option<SystemTime> {
        let status = self.run(self.primary(), "admin", doc! {"replSetGetStatus": 1});
        let metrics = status.get_document("electionCandidateMetrics").ok()?;
        metrics.get_datetime("wMajorityWriteAvailabilityDate").ok().map(|date| date.to_system_time())
    }

    /// The connections that clients of this `appName` have made to a member so far and said hello on, as its log has them.
    ///
    /// # Panics
    /// If the log has a line that is no JSON.
    pub fn connections_of(&self, member: usize, app_name: &str) -> LoggedConnections {
        let (mut made, mut logged_in) = (HashSet::new(), HashSet::new());
        // The last line may not be complete.
        let log = self.members[member].log();
        for line in log.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let entry: serde_json::Value = serde_json::from_str(line).expect("a line of mongod's log");
            let connection = entry["ctx"].as_str().unwrap_or_default().to_owned();
            match entry["msg"].as_str() {
                Some("client metadata") if entry["attr"]["doc"]["application"]["name"] == app_name => {
                    made.insert(connection);
                }
                Some("Authentication succeeded" | "Successfully authenticated") => {
                    logged_in.insert(connection);
                }
                _ => {}
            }
        }
        LoggedConnections { made: made.len(), logged_in: made.intersection(&logged_in).count() }
    }

    /// Runs a command on a member, on a connection of its own, logged in as [`ROOT`] where there is access control.
    ///
    /// # Panics
    /// If the exchange fails; an answer with `ok: 0` is returned like any other.
    pub fn run(&self, member: usize, database: &str, mut command: Document) -> Document {
        command.insert("$db", database);
        let credential = self.options.access_control.then(|| (ROOT.0.to_owned(), ROOT.1.to_owned()));
        self.ask(member, credential, &command).expect("an answer of a member")
    }

    fn run_without_login(&self, member: usize, mut command: Document) -> io::Result<Document> {
        command.insert("$db", "admin");
        self.ask(member, None, &command)
    }

    fn ask(&self, member: usize, credential: Option<(String, String)>, command: &Document) -> io::Result<Document> {
        // The localhost exception is for 127.0.0.1, by whichever name the members know each other.
        let address = format!("127.0.0.1:{}", self.members[member].own_port);
        let tls = self.options.tls.is_some();
        let upstream = Upstream { address, credential, tls, limit: Some(ANSWER_LIMIT), ..Upstream::default() };
        UpstreamConnection::open(&upstream)?.run(command)
    }

    /// `None` where a member does not run, is frozen or does not answer.
    fn hello(&self, member: usize) -> Option<Document> {
        let can_answer = {
            let running = self.members[member].running();
            running.child.is_some() && !running.frozen
        };
        // The name that every generation knows.
        can_answer.then(|| self.run_without_login(member, doc! {"isMaster": 1}).ok()).flatten()
    }

    /// The one of the newest election, where an old primary has not noticed yet.
    fn current_primary(&self) -> Option<usize> {
        let primaries = (0..MEMBERS).filter_map(|n| Some((n, self.hello(n)?)));
        let primaries = primaries.filter(|(_, hello)| truth(hello.get("ismaster")));
        let newest = primaries.max_by_key(|(_, hello)| hello.get_object_id("electionId").map(|id| id.bytes()).ok());
        newest.map(|(n, _)| n)
    }

    fn wait_until_it_answers(&self, member: usize) -> Result<(), String> {
        let started = Instant::now();
        while self.hello(member).is_none() {
            let mut running = self.members[member].running();
            let ended = running.child.as_mut().is_none_or(|child| child.try_wait().ok().flatten().is_some());
            if ended || started.elapsed() > SET_LIMIT {
                let mut said = String::new();
                if let Some(mut errors) = running.child.take().and_then(|mut child| child.stderr.take()) {
                    let _ = errors.read_to_string(&mut said);
                }
                return Err(said + &self.members[member].end_of_log());
            }
            drop(running);
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn wait_for<T>(&self, condition: impl Fn(&ReplicaSet) -> Option<T>) -> Option<T> {
        let started = Instant::now();
        loop {
            match condition(self) {
                None if started.elapsed() < SET_LIMIT => thread::sleep(PAUSE),
                found => return found,
            }
        }
    }

    fn last_log(&self) -> String {
        self.members[0].end_of_log()
    }
}

impl Drop for ReplicaSet {
    fn drop(&mut self) {
        // All are told before one is waited for.
        let children: Vec<_> = self.members.iter().filter_map(|member| member.running().child.take()).collect();
        let told = children.into_iter().map(|mut child| {
            drop(child.stdin.take());
            child
        });
        for mut child in told.collect::<Vec<_>>() {
            let _ = child.wait();
        }
    }
}

impl Member {
    fn new(launcher: &Path, wrapper: Option<&Path>, port: u16, options: &ReplicaSetOptions) -> Member {
        let scratch = Scratch::new("member");
        let folder = scratch.path();
        let port = if port == 0 && !options.proxied { free_port() } else { port };
        let own_port = if options.proxied { free_port() } else { port };
        let proxy = options.proxied.then(|| FaultProxy::start_on(port, &format!("127.0.0.1:{own_port}")));
        let port = proxy.as_ref().map_or(port, FaultProxy::port);
        fs::create_dir_all(folder.join("data")).expect("a folder for the data");
        let mut command: Vec<PathBuf> = vec![launcher.to_owned()];
        let mut add = |arguments: &[&Path]| command.extend(arguments.iter().map(|argument| argument.to_path_buf()));
        add(&["--dbpath".as_ref(), &folder.join("data"), "--logpath".as_ref(), &folder.join("log")]);
        add(&["--unixSocketPrefix".as_ref(), folder, "--bind_ip".as_ref(), "127.0.0.1".as_ref()]);
        add(&["--port".as_ref(), own_port.to_string().as_ref(), "--replSet".as_ref(), options.name.as_ref()]);
        for argument in ARGUMENTS {
            add(&[argument.as_ref()]);
        }
        if options.access_control {
            add(&["--keyFile".as_ref(), &private_file(folder, "key", KEY)]);
        }
        if let Some(certificates) = &options.tls {
            let authority = private_file(folder, "authority.pem", &certificates.authority);
            let server = private_file(folder, "server.pem", &certificates.server);
            let client = private_file(folder, "client.pem", &certificates.client);
            add(&["--tlsMode".as_ref(), "requireTLS".as_ref(), "--tlsCAFile".as_ref(), &authority]);
            add(&["--tlsCertificateKeyFile".as_ref(), &server, "--tlsClusterFile".as_ref(), &client]);
            add(&["--tlsAllowConnectionsWithoutCertificates".as_ref()]);
        }
        for argument in &options.arguments {
            add(&[argument.as_ref()]);
        }
        let environment = wrapper.map(|wrapper| own_hosts(wrapper, folder, &options.hosts)).unwrap_or_default();
        Member {
            port,
            own_port,
            proxy,
            scratch,
            command,
            environment,
            running: Mutex::new(Running { child: None, frozen: false }),
        }
    }

    fn spawn(&self) -> Result<(), String> {
        let mut command = Command::new("sh");
        command.args(["-c", WATCH, "mongod"]).args(&self.command).env("SCRATCH", self.scratch.path());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|e| e.to_string())?;
        *self.running() = Running { child: Some(child), frozen: false };
        Ok(())
    }

    fn signal(&self, signal: &str) {
        mongod::signal(self.scratch.path(), signal);
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.scratch.path().join("log")).unwrap_or_default()).into_owned()
    }

    fn end_of_log(&self) -> String {
        let log = self.log();
        let start = (log.len().saturating_sub(LOG_TAIL)..log.len()).find(|at| log.is_char_boundary(*at));
        log.get(start.unwrap_or_default()..).unwrap_or_default().to_owned()
    }
}

/// mongod takes no key that others may read.
fn private_file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).expect("a file in the scratch folder");
    // By the program, since a Windows build under Wine has no call for it.
    let done = Command::new("sh").args(["-c", "chmod 600 \"$1\"", "chmod"]).arg(&path).status().expect("a shell");
    assert!(done.success(), "chmod of {}", path.display());
    path
}

fn succeeded(answer: &Document) -> bool {
    matches!(answer.get("ok"), Some(Bson::Double(ok)) if *ok == 1.0)
}

/// As for a lone mongod, but the folder is kept where mongod ends and its owner does not: it may be started again.
const WATCH: &str = r#"
"$@" &
mongod=$!
echo $mongod >"$SCRATCH/pid"
exec 3<&0 2>/dev/null
(read -r _ <&3; : >"$SCRATCH/owner-is-gone"; kill -9 $mongod 2>/dev/null) &
watcher=$!
wait $mongod
[ ! -e "$SCRATCH/owner-is-gone" ] || rm -rf "$SCRATCH"
kill $watcher 2>/dev/null
"#;

/// A set's members.
const MEMBERS: usize = 3;
const ARGUMENTS: [&str; 8] = [
    "--oplogSize",
    "64",
    "--wiredTigerCacheSizeGB",
    "0.25",
    "--setParameter",
    "enableTestCommands=1",
    "--setParameter",
    "diagnosticDataCollectionEnabled=false",
];
/// The members' common secret, in base64.
const KEY: &str = "bW9uZ28tYmxvY2tpbmcgdGVzdCBzZXQ=";
const START_ATTEMPTS: u32 = 3;
/// How long a set may take to come up or to elect a primary, on a machine with much else to do.
const SET_LIMIT: Duration = Duration::from_secs(90);
/// How long a member may take for an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);
const LOG_TAIL: usize = 4000;
/// What a member logs when its election is over.
const TAKES_WRITES: &str = "Transition to primary complete; database writes are now permitted";

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;
    use crate::peers::certs::{Authority, CertPurpose};

    #[test]
    fn a_set_elects_survives_faults_and_ends_with_its_owner() {
        let Some(set) = ReplicaSet::start("6.0", ReplicaSetOptions::default()) else { return };
        let first = set.step_down();
        let second = set.primary_other_than(first);
        assert_ne!(first, second);
        set.kill(second);
        let third = set.primary_other_than(second);
        set.restart(second);
        set.wait_until_complete();
        set.freeze(third);
        let fourth = set.primary_other_than(third);
        assert_ne!(third, fourth);
        set.thaw(third);
        set.wait_until_complete();
        let written =
            set.run(set.primary(), "test", doc! {"insert": "c", "documents": [{"_id": 1}], "writeConcern": {"w": 3}});
        assert!(succeeded(&written) && !written.contains_key("writeConcernError"), "{written}");
        let (addresses, folder) = (set.addresses(), set.members[0].scratch.path().to_owned());
        drop(set);
        assert!(addresses.iter().all(|address| TcpStream::connect(address).is_err()));
        assert!(!folder.exists());
    }

    #[test]
    fn a_primary_that_vanishes_from_the_network_is_replaced() {
        let options = ReplicaSetOptions { proxied: true, ..ReplicaSetOptions::default() };
        let Some(set) = ReplicaSet::start("6.0", options) else { return };
        let old = set.primary();
        set.proxy(old).vanish();
        let new = set.primary_other_than(old);
        set.proxy(old).heal();
        set.wait_until_complete();
        assert_ne!(old, new);
    }

    #[test]
    fn a_set_with_access_control_refuses_strangers() {
        let Some(set) = ReplicaSet::shared_with_auth("6.0") else { return };
        let refused = set.run_without_login(set.primary(), doc! {"listDatabases": 1}).unwrap();
        assert_eq!(refused.get_i32("code").unwrap(), 13);
        let listed = set.run(set.primary(), "admin", doc! {"listDatabases": 1});
        assert!(succeeded(&listed), "{listed}");
    }

    #[test]
    fn a_set_with_tls_takes_no_other_connections() {
        let authority = Authority::new();
        let certificates = MemberCertificates {
            authority: authority.pem(),
            server: authority.issue(CertPurpose::Server, "localhost").both(),
            client: authority.issue(CertPurpose::Client, "member").both(),
        };
        let options = ReplicaSetOptions {
            name: "repl0".to_owned(),
            host: "localhost",
            tls: Some(certificates),
            ..ReplicaSetOptions::default()
        };
        let Some(set) = ReplicaSet::start("6.0", options) else { return };
        let answer = set.run(set.primary(), "admin", doc! {"isMaster": 1});
        assert_eq!(answer.get_str("primary").unwrap(), set.address(set.primary()));
        let plain = Upstream { address: set.address(0), limit: Some(ANSWER_LIMIT), ..Upstream::default() };
        let refused = UpstreamConnection::open(&plain).and_then(|mut c| c.run(&doc! {"isMaster": 1, "$db": "admin"}));
        assert!(refused.is_err());
    }
}
