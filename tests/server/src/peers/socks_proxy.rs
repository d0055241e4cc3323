//! Real SOCKS5 proxies, whose view of names is a test's own: microsocks and Dante.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::daemon::{Daemon, Invocation, system_program};
use super::skip;

/// A running proxy. It ends when this value is dropped.
#[derive(Debug)]
pub struct SocksProxy(Daemon);

impl SocksProxy {
    /// microsocks, which asks for this user name and password, or for none. `hosts` has the form of `/etc/hosts` and holds
    /// for the proxy only. `None`, after a [`skip`], where something of it isn't installed.
    ///
    /// # Panics
    /// If it is there but does not start.
    pub fn microsocks(login: Option<(&str, &str)>, hosts: &str) -> Option<SocksProxy> {
        let program = system_program("/usr/bin/microsocks", "microsocks")?;
        let wrapper = nss_wrapper()?;
        Some(SocksProxy(Daemon::start("microsocks", |folder, port| {
            let mut arguments: Vec<OsString> =
                vec!["-i".into(), "127.0.0.1".into(), "-p".into(), port.to_string().into()];
            if let Some((name, password)) = login {
                arguments.extend(["-u", name, "-P", password].map(Into::into));
            }
            Invocation { program: program.clone(), arguments, environment: own_hosts(&wrapper, folder, hosts) }
        })))
    }

    /// Dante, which asks for [`DANTE_LOGIN`] or for no login. `hosts` as for [`microsocks`](SocksProxy::microsocks). `None`, after a [`skip`], where something of it isn't installed.
    ///
    /// # Panics
    /// If it is there but does not start.
    pub fn dante(with_login: bool, hosts: &str) -> Option<SocksProxy> {
        let program = system_program("/usr/sbin/danted", "dante")?;
        let wrapper = nss_wrapper()?;
        Some(SocksProxy(Daemon::start("dante", |folder, port| {
            let method = if with_login { "username" } else { "none" };
            let conf = format!(
                "logoutput: stderr\ninternal: 127.0.0.1 port = {port}\nexternal: 127.0.0.1\nclientmethod: none\n\
                 socksmethod: {method}\nuser.privileged: proxy\nuser.unprivileged: proxy\n\
                 client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}\n\
                 socks pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 log: connect error }}\n"
            );
            fs::write(folder.join("danted.conf"), conf).expect("a file of Dante");
            let arguments =
                vec!["-f".into(), folder.join("danted.conf").into(), "-p".into(), folder.join("pid").into()];
            let mut environment = own_hosts(&wrapper, folder, hosts);
            environment.extend(own_accounts(folder));
            Invocation { program: program.clone(), arguments, environment }
        })))
    }

    /// The port on 127.0.0.1 where it listens.
    pub fn port(&self) -> u16 {
        self.0.address.port()
    }

    /// What it has written to its log.
    pub fn log(&self) -> String {
        self.0.log()
    }
}

/// The account that [`SocksProxy::dante`] takes, and its password. Dante's users are those of the system; nss_wrapper gives it
/// a system with this one.
pub const DANTE_LOGIN: (&str, &str) = ("mongo-socks", "p4ssw0rd");

/// Environment variables that have a program look up names in a list of its own.
pub(super) fn own_hosts(wrapper: &Path, folder: &Path, hosts: &str) -> Vec<(OsString, OsString)> {
    let file = folder.join("hosts");
    fs::write(&file, hosts).expect("a file with hosts");
    vec![("LD_PRELOAD".into(), wrapper.into()), ("NSS_WRAPPER_HOSTS".into(), file.into())]
}

/// And has it know these accounts only: one that it runs as, which is the user that runs the tests, and [`DANTE_LOGIN`].
fn own_accounts(folder: &Path) -> Vec<(OsString, OsString)> {
    let (user, group) = owner(folder);
    let files = [
        ("PASSWD", format!("proxy:x:{user}:{group}::/:/bin/false\n{}:x:65534:65534::/:/bin/false\n", DANTE_LOGIN.0)),
        ("GROUP", format!("proxy:x:{group}:\nnogroup:x:65534:\n")),
        ("SHADOW", format!("{}:{DANTE_PASSWORD_HASH}:19000:0:99999:7:::\n", DANTE_LOGIN.0)),
    ];
    let written = files.map(|(name, text)| {
        let file = folder.join(name);
        fs::write(&file, text).expect("a file with accounts");
        (format!("NSS_WRAPPER_{name}").into(), file.into())
    });
    written.to_vec()
}

#[cfg(unix)]
fn owner(folder: &Path) -> (u32, u32) {
    use std::os::unix::fs::MetadataExt;
    let folder = fs::metadata(folder).expect("the scratch folder is there");
    (folder.uid(), folder.gid())
}

#[cfg(not(unix))]
fn owner(_folder: &Path) -> (u32, u32) {
    (0, 0)
}

/// `openssl passwd -6 -salt mongosocks p4ssw0rd`
const DANTE_PASSWORD_HASH: &str =
    "$6$mongosocks$Oi7SQskt9hVv5sDsFqPiwg82BIX4n0N3z/xcIF92k.5kwlxPmLv8mzmFdtzcqrtgOSb3lIfdsA44EKe9cqInU1";

pub(super) fn nss_wrapper() -> Option<PathBuf> {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
    let found = folders.iter().map(|folder| Path::new(folder).join("libnss_wrapper.so")).find(|path| path.exists());
    if found.is_none() {
        skip("there is no libnss_wrapper.so");
    }
    found
}
