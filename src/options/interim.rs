//! The first few options of a connection string, until the table of options takes over.

use std::time::Duration;

use super::{ClientOptions, ReadPreference, ServerAddress, TlsOptions};
use crate::credential::{Credential, ScramCredential, ScramMechanism};
use crate::error::{Error, Result};
use crate::policy::SecurityPolicy;
use crate::warning::Warning;

impl ClientOptions {
    /// Reads a connection string.
    ///
    /// # Errors
    /// What cannot be right, or is not supported yet.
    pub fn parse(uri: &str) -> Result<Self> {
        let bad = |what: &'static str| Error::invalid_argument(what);
        let rest = uri.strip_prefix("mongodb://").ok_or_else(|| bad("the scheme must be mongodb://"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (rest, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user_info, host) = match rest.rsplit_once('@') {
            Some((user_info, host)) => (Some(user_info), host),
            None => (None, rest),
        };
        if user_info.is_some_and(|info| info.contains('@')) {
            return Err(bad("an '@' in the user info: percent-encode it as %40"));
        }
        let host = decode(host)?;
        let address = match host.rsplit_once(':') {
            _ if host.ends_with(".sock") => ServerAddress::Unix { path: host.into() },
            Some((host, port)) => {
                ServerAddress::Tcp { host: host.to_lowercase(), port: port.parse().map_err(|_| bad("bad port"))? }
            }
            None => ServerAddress::Tcp { host: host.to_lowercase(), port: 27017 },
        };
        let mut options = ClientOptions {
            hosts: vec![address],
            credential: None,
            default_database: (!database.is_empty()).then(|| database.to_owned()),
            app_name: None,
            driver_info: Vec::new(),
            server_api: None,
            tls: None,
            connect_timeout: Duration::from_secs(10),
            socket_timeout: None,
            server_selection_timeout: Duration::from_secs(30),
            server_selection_try_once: true,
            wait_queue_timeout: None,
            timeout: None,
            max_pool_size: 100,
            min_pool_size: 0,
            max_connecting: 2,
            max_idle_time: None,
            direct_connection: None,
            replica_set: None,
            local_threshold: Duration::from_millis(15),
            heartbeat_frequency: Duration::from_secs(10),
            read_preference: ReadPreference::default(),
            read_concern: None,
            write_concern: None,
            retry_reads: None,
            retry_writes: None,
            scram_max_iterations: 1_000_000,
            command_event_handler: None,
            policy: SecurityPolicy::default(),
            warnings: Vec::new(),
        };
        let (mut source, mut mechanism) = (None, None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or_else(|| bad("an option without a value"))?;
            let number = || value.parse::<u32>().map_err(|_| bad("not a number"));
            let time = || number().map(|number| Duration::from_millis(number.into()));
            match name.to_lowercase().as_str() {
                "authsource" => source = Some(decode(value)?),
                "authmechanism" => mechanism = Some(value.to_owned()),
                "maxpoolsize" => options.max_pool_size = number()?,
                "minpoolsize" => options.min_pool_size = number()?,
                "maxidletimems" => options.max_idle_time = Some(time()?),
                "waitqueuetimeoutms" => options.wait_queue_timeout = Some(time()?),
                "connecttimeoutms" => options.connect_timeout = time()?,
                "sockettimeoutms" => options.socket_timeout = Some(time()?),
                "serverselectiontimeoutms" => options.server_selection_timeout = time()?,
                "timeoutms" => options.timeout = Some(time()?),
                "tls" | "ssl" if value == "true" => {
                    options.tls.get_or_insert_default();
                }
                "tlscafile" => options.tls.get_or_insert_default().ca_file = Some(decode(value)?.into()),
                _ => return Err(Error::not_supported(format!("the option {name} is not supported yet"))),
            }
        }
        if let Some(user_info) = user_info {
            let (user, password) = user_info.split_once(':').ok_or_else(|| bad("no password"))?;
            let credential = ScramCredential {
                mechanism: match mechanism.as_deref() {
                    None => None,
                    Some("SCRAM-SHA-1") => Some(ScramMechanism::Sha1),
                    Some("SCRAM-SHA-256") => Some(ScramMechanism::Sha256),
                    Some(_) => return Err(Error::not_supported("this mechanism is not supported yet")),
                },
                username: decode(user)?,
                password: decode(password)?.into(),
                source: source.unwrap_or(if database.is_empty() { "admin".into() } else { database.into() }),
                plus_in_uri: user_info.contains('+'),
            };
            options.credential = Some(Credential::Scram(credential));
        }
        Ok(options)
    }

    /// What was accepted, and deserves a second look.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    pub(crate) fn check_supported(&self) -> Result<()> {
        Ok(())
    }
}

/// Percent-encodes everything but letters, digits, `-`, `.`, `_` and `~`.
pub fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

fn decode(text: &str) -> Result<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next().unwrap_or(0), rest.next().unwrap_or(0)];
        let digits = std::str::from_utf8(&digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(digits.ok_or_else(|| Error::invalid_argument("a percent sign must be written %25"))?);
    }
    String::from_utf8(bytes).map_err(|_| Error::invalid_argument("not UTF-8"))
}
