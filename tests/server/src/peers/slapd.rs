//! OpenLDAP's server with a directory of our own, in a scratch folder, ended with its owner.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::kdc::WATCH;
use super::{Scratch, free_port, run, skip, unix_path};

/// A running `slapd`. It ends when this value is dropped, and also when the test process ends in any other way.
#[derive(Debug)]
pub struct Slapd {
    port: u16,
    child: Child,
    scratch: Scratch,
}

impl Slapd {
    /// Starts one on a free port of 127.0.0.1 that knows these users (name, password), and waits until it answers. `None`,
    /// after a [`skip`], where OpenLDAP isn't installed.
    ///
    /// # Panics
    /// If it is there but does not start; the message has its log.
    pub fn start(users: &[(&str, &str)]) -> Option<Slapd> {
        if !Path::new(SLAPD).exists() || Command::new("ldapwhoami").arg("-VV").output().is_err() {
            skip("there is no slapd here; tests/peers/fetch.sh slapd says how to get one");
            return None;
        }
        for attempt in 1..=PORT_ATTEMPTS {
            match Slapd::spawn(users) {
                Ok(slapd) => return Some(slapd),
                // Somebody else may have taken the port by now.
                Err(_) if attempt < PORT_ATTEMPTS => {}
                Err(log) => panic!("slapd did not start: {log}"),
            }
        }
        None
    }

    fn spawn(users: &[(&str, &str)]) -> Result<Slapd, String> {
        let scratch = Scratch::new("slapd");
        let folder = scratch.path();
        fs::create_dir(folder.join("db")).expect("a folder for the directory");
        fs::write(folder.join("slapd.conf"), configuration(folder)).expect("a file of slapd");
        fs::write(folder.join("users.ldif"), entries(users)).expect("a file of slapd");
        let conf = folder.join("slapd.conf");
        run(Command::new("sh")
            .args(["-c", r#"exec "$@""#, "slapd", SLAPD, "-T", "add", "-f"])
            .arg(&conf)
            .arg("-l")
            .arg(folder.join("users.ldif")));
        let port = free_port();
        let log = fs::File::create(folder.join("log")).expect("a log");
        let child = Command::new("sh")
            .args(["-c", WATCH, "slapd", SLAPD, "-d", "0", "-h", &format!("ldap://127.0.0.1:{port}"), "-f"])
            .arg(&conf)
            .env("SCRATCH", folder)
            .stdin(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("a shell starts");
        let mut slapd = Slapd { port, child, scratch };
        slapd.wait()?;
        Ok(slapd)
    }

    /// Whether the directory takes a simple bind of this user with this password.
    ///
    /// # Panics
    /// If the directory cannot be asked.
    pub fn takes(&self, user: &str, password: &str) -> bool {
        let file = self.scratch.path().join(format!("password-{:?}", std::thread::current().id()));
        fs::write(&file, password).expect("the scratch folder can be written to");
        let url = format!("ldap://127.0.0.1:{}", self.port);
        let asked = Command::new("ldapwhoami")
            .args(["-x", "-H", &url, "-D", &name_of(user), "-y"])
            .arg(&file)
            .output()
            .expect("ldapwhoami starts");
        match asked.status.code() {
            Some(0) => true,
            Some(INVALID_CREDENTIALS) => false,
            other => panic!("ldapwhoami: {other:?}: {}", String::from_utf8_lossy(&asked.stderr)),
        }
    }

    fn wait(&mut self) -> Result<(), String> {
        let started = Instant::now();
        let url = format!("ldap://127.0.0.1:{}", self.port);
        loop {
            let ended = self.child.try_wait().ok().flatten().is_some();
            if ended || started.elapsed() > START_LIMIT {
                return Err(fs::read_to_string(self.scratch.path().join("log")).unwrap_or_default());
            }
            // Whoever answers an anonymous login is a directory.
            let listens = TcpStream::connect(("127.0.0.1", self.port)).is_ok();
            let asked =
                |mut whoami: Command| whoami.args(["-x", "-H", &url]).output().is_ok_and(|o| o.status.success());
            if listens && asked(Command::new("ldapwhoami")) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn configuration(folder: &Path) -> String {
    let schemas = ["core", "cosine", "inetorgperson"].map(|name| format!("include /etc/ldap/schema/{name}.schema\n"));
    format!(
        "{}modulepath /usr/lib/ldap\nmoduleload back_mdb.la\ndatabase mdb\nmaxsize 10485760\nsuffix \"{ROOT}\"\n\
         directory {}\naccess to attrs=userPassword by anonymous auth by * none\naccess to * by * none\n",
        schemas.concat(),
        unix_path(&folder.join("db"))
    )
}

fn entries(users: &[(&str, &str)]) -> String {
    let mut ldif = format!("dn: {ROOT}\nobjectClass: dcObject\nobjectClass: organization\no: test\ndc: test\n\n");
    for (user, password) in users {
        let base64 = |text: &str| openssl::base64::encode_block(text.as_bytes());
        let _ = writeln!(ldif, "dn:: {}\nobjectClass: inetOrgPerson", base64(&name_of(user)));
        let _ = writeln!(ldif, "uid:: {0}\ncn:: {0}\nsn:: {0}\nuserPassword:: {1}\n", base64(user), base64(password));
    }
    ldif
}

/// The entry's distinguished name; every byte that is no letter or digit is written as a number (RFC 4514, section 2.4).
fn name_of(user: &str) -> String {
    let mut escaped = String::new();
    for byte in user.bytes() {
        match byte.is_ascii_alphanumeric() {
            true => escaped.push(char::from(byte)),
            false => drop(write!(escaped, "\\{byte:02x}")),
        }
    }
    format!("uid={escaped},{ROOT}")
}

const SLAPD: &str = "/usr/sbin/slapd";
const PORT_ATTEMPTS: u32 = 5;
const START_LIMIT: Duration = Duration::from_secs(10);
const ROOT: &str = "dc=test";
/// What `ldapwhoami` ends with when the directory does not know user and password (RFC 4511, section 4.1.9).
const INVALID_CREDENTIALS: i32 = 49;
