//! An MIT KDC of our own with two realms that trust each other, in a scratch folder, ended with its owner.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use super::{Scratch, free_port, skip};

/// A running `krb5kdc`. It ends when this value is dropped, and also when the test process ends in any other way.
#[derive(Debug)]
pub struct Kdc {
    port: u16,
    child: Child,
    scratch: Scratch,
}

/// The realm of the host names that no other rule covers.
pub const REALM: &str = "TEST.LOCAL";
/// The realm of `*.other.local`; each of the two lets the other's users in.
pub const OTHER_REALM: &str = "OTHER.LOCAL";

impl Kdc {
    /// Starts one on a free port of 127.0.0.1 and waits until it answers. `None`, after a [`skip`], where MIT Kerberos
    /// isn't installed.
    ///
    /// # Panics
    /// If it is there but does not start; the message has its log.
    pub fn start() -> Option<Kdc> {
        if ["krb5kdc", "kdb5_util", "kadmin.local", "kinit"].iter().any(|name| program(name).is_none()) {
            skip("there is no MIT KDC here; tests/peers/fetch.sh kdc says how to get one");
            return None;
        }
        for attempt in 1..=PORT_ATTEMPTS {
            match Kdc::spawn() {
                Ok(kdc) => return Some(kdc),
                Err(log) if attempt < PORT_ATTEMPTS && log.contains("in use") => {}
                Err(log) => panic!("krb5kdc did not start. {log}"),
            }
        }
        None
    }

    fn spawn() -> Result<Kdc, String> {
        let scratch = Scratch::new("kdc");
        let (folder, port) = (scratch.path().to_owned(), free_port());
        let write = |name: &str, text: String| fs::write(folder.join(name), text).expect("a file of the KDC");
        write("krb5.conf", client_configuration(port, &folder, ""));
        write("canonicalizing.conf", client_configuration(port, &folder, CANONICALIZING));
        write("kdc.conf", kdc_configuration(port, &folder));
        for realm in [REALM, OTHER_REALM] {
            let arguments = ["create", "-s", "-r", realm, "-P", "masterpw"];
            run(command("kdb5_util", &folder).args(arguments), "");
            let trust: String = [(REALM, OTHER_REALM), (OTHER_REALM, REALM)]
                .map(|(to, from)| format!("addprinc -pw trust-{to} krbtgt/{to}@{from}\n"))
                .concat();
            run(command("kadmin.local", &folder).args(["-r", realm]), &trust);
        }
        let log = fs::File::create(folder.join("kdc.out")).map_err(|e| e.to_string())?;
        let mut child = Command::new("sh")
            .args(["-c", WATCH, "krb5kdc"])
            .arg(program("krb5kdc").ok_or("no krb5kdc")?)
            .args(["-n", "-r", REALM, "-r", OTHER_REALM])
            .envs(environment(&folder))
            .env("SCRATCH", &folder)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().map_err(|e| e.to_string())?)
            .stderr(log)
            .spawn()
            .map_err(|e| e.to_string())?;
        let started = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if child.try_wait().map_err(|e| e.to_string())?.is_some() || started.elapsed() > START_LIMIT {
                drop(child.stdin.take());
                let _ = child.wait();
                return Err(["kdc.out", "kdc.log"]
                    .map(|n| fs::read_to_string(folder.join(n)).unwrap_or_default())
                    .concat());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(Kdc { port, child, scratch })
    }

    /// Adds a user (`ann@TEST.LOCAL`, perhaps after flags of kadmin's: `+requires_preauth ann@TEST.LOCAL`).
    ///
    /// # Panics
    /// If the KDC's own tools refuse; so for all the others here.
    pub fn add_user(&self, principal: &str, password: &str) {
        self.administer(principal, &format!("addprinc -pw {password} {principal}\n"));
    }

    /// Gives a service a new key that its keytab does not have.
    pub fn rotate(&self, principal: &str) {
        self.administer(principal, &format!("cpw -randkey {principal}\n"));
    }

    /// Puts a principal's key into a keytab; the password goes on working.
    pub fn export(&self, principal: &str, keytab: &str) -> PathBuf {
        let path = self.file(keytab);
        self.administer(principal, &format!("ktadd -norandkey -k {} {principal}\n", path.display()));
        path
    }

    /// Adds a service with a random key, in the keytab of this name.
    pub fn add_service(&self, principal: &str, keytab: &str) -> PathBuf {
        let path = self.file(keytab);
        self.administer(
            principal,
            &format!("addprinc -randkey {principal}\nktadd -k {} {principal}\n", path.display()),
        );
        path
    }

    fn administer(&self, principal: &str, commands: &str) {
        let realm = principal.rsplit_once('@').map_or(REALM, |(_, realm)| realm);
        run(command("kadmin.local", self.folder()).args(["-r", realm]), commands);
    }

    /// Gets a ticket into the cache file of this name, as `kinit` does; `lifetime` as it takes it (`1s`).
    pub fn kinit(&self, principal: &str, password: &str, cache: &str, lifetime: &str) -> PathBuf {
        let path = self.file(cache);
        let arguments = ["-l", lifetime, "-c", &path.display().to_string(), principal].map(str::to_owned);
        run(command("kinit", self.folder()).args(arguments), &format!("{password}\n"));
        path
    }

    /// Whether a cache has a ticket that is still good.
    pub fn has_ticket(&self, cache: &Path) -> bool {
        let mut klist = command("klist", self.folder());
        klist.arg("-s").arg("-c").arg(cache).status().is_ok_and(|status| status.success())
    }

    /// A path in its folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// Its folder: databases, configuration, log.
    pub fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// What it did so far: a line for each request.
    pub fn log(&self) -> String {
        fs::read_to_string(self.file("kdc.log")).unwrap_or_default()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What a program needs in its environment to use this KDC.
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        environment(self.folder())
    }
}

impl Drop for Kdc {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn environment(folder: &Path) -> Vec<(&'static str, OsString)> {
    vec![
        ("KRB5_CONFIG", folder.join("krb5.conf").into()),
        ("KRB5_KDC_PROFILE", folder.join("kdc.conf").into()),
        ("KRB5CCNAME", format!("FILE:{}", folder.join("no-tickets").display()).into()),
        ("KRB5_CLIENT_KTNAME", folder.join("no-keytab").into()),
        ("KRB5RCACHENAME", "none:".into()),
        ("LC_ALL", "C".into()),
    ]
}

/// One of Kerberos' programs; those for administrators are often not on the path.
fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|path| path.exists())
}

fn command(name: &str, folder: &Path) -> Command {
    let mut command = Command::new(program(name).unwrap_or_else(|| PathBuf::from(name)));
    command.envs(environment(folder));
    command
}

fn run(command: &mut Command, input: &str) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).unwrap_or_else(|e| panic!("{command:?}: {e}"));
    }
    let output = child.wait_with_output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    // kadmin.local ends well whatever its commands did.
    let failed = errors.lines().any(|line| line.contains(": ") && !line.contains("No policy specified"));
    assert!(output.status.success() && !failed, "{command:?}: {errors}");
}

fn client_configuration(port: u16, folder: &Path, more: &str) -> String {
    let canonicalize = if more.is_empty() { "dns_canonicalize_hostname = false\n rdns = false" } else { more };
    format!(
        "[libdefaults]\n default_realm = {REALM}\n dns_lookup_realm = false\n dns_lookup_kdc = false\n {canonicalize}\n \
         udp_preference_limit = 1\n[realms]\n {REALM} = {{\n kdc = 127.0.0.1:{port}\n }}\n {OTHER_REALM} = {{\n kdc = \
         127.0.0.1:{port}\n }}\n DOWN.LOCAL = {{\n kdc = 127.0.0.1:1\n }}\n[domain_realm]\n .other.local = {OTHER_REALM}\n[logging]\n kdc = \
         FILE:{}\n",
        folder.join("kdc.log").display()
    )
}

fn kdc_configuration(port: u16, folder: &Path) -> String {
    let realm = |realm: &str| {
        let folder = folder.display();
        format!(
            " {realm} = {{\n database_name = {folder}/{realm}.db\n key_stash_file = {folder}/{realm}.stash\n acl_file = \
             {folder}/kadm5.acl\n }}\n"
        )
    };
    let listen = format!("127.0.0.1:{port}");
    format!(
        "[kdcdefaults]\n kdc_listen = {listen}\n kdc_tcp_listen = {listen}\n[realms]\n{}{}",
        realm(REALM),
        realm(OTHER_REALM)
    )
}

/// A library that makes host names canonical by itself, as its defaults have it.
const CANONICALIZING: &str = "dns_canonicalize_hostname = true\n rdns = true";

/// As for mongod: the shell ends the server when its own input ends.
pub(super) const WATCH: &str = r#"
"$@" &
server=$!
exec 3<&0 2>/dev/null
(read -r _ <&3; kill -9 $server 2>/dev/null) &
watcher=$!
wait $server
[ $? -ne 137 ] || rm -rf "$SCRATCH"
kill $watcher 2>/dev/null
"#;

const PORT_ATTEMPTS: u32 = 5;
const START_LIMIT: Duration = Duration::from_secs(30);
