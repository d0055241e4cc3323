//! The name servers to ask where the program names none: those of the system.

#[cfg(unix)]
use std::io;
#[cfg(unix)]
use std::net::Ipv4Addr;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::Path;

use crate::error::{Error, FaultKind, Result, Stage};
#[cfg(unix)]
use crate::resolver::name_server;
use crate::system::System;

/// The name servers of the system, read anew for each look-up.
#[cfg(unix)]
pub(super) fn of_system(system: &dyn System) -> Result<Vec<SocketAddr>> {
    match system.read_file(Path::new(RESOLV_CONF), MAX_FILE) {
        Ok(text) => Ok(in_resolv_conf(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(in_resolv_conf(b"")),
        Err(error) => {
            let message = format!("{RESOLV_CONF} could not be read, which names the name servers");
            Err(Error::new(FaultKind::DnsResolve, Stage::Dns, message)
                .with_source(error)
                .with_hint("name_servers(…) in code names others"))
        }
    }
}

/// There is no such file here.
#[cfg(not(unix))]
pub(super) fn of_system(_: &dyn System) -> Result<Vec<SocketAddr>> {
    Err(Error::new(
        FaultKind::NotSupported,
        Stage::Dns,
        "mongodb+srv needs name servers, and this platform has no /etc/resolv.conf that names them",
    )
    .with_hint("give name servers in code, name_servers([\"10.0.0.53\"]), or a resolver of your own, resolver(…)"))
}

/// The first three `nameserver` lines, as everywhere; without one, this machine itself.
#[cfg(unix)]
fn in_resolv_conf(text: &[u8]) -> Vec<SocketAddr> {
    let (config, _) = resolv_conf::Config::parse_with_errors(text);
    let servers = config.nameservers.iter().take(MAX_SERVERS).filter_map(|address| name_server(&address.to_string()));
    let servers: Vec<SocketAddr> = servers.collect();
    if servers.is_empty() { vec![(Ipv4Addr::LOCALHOST, DNS_PORT).into()] } else { servers }
}

#[cfg(unix)]
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Far more than such a file ever has.
#[cfg(unix)]
const MAX_FILE: u64 = 65_536;
/// What the C library takes of it (MAXNS).
#[cfg(unix)]
const MAX_SERVERS: usize = 3;
#[cfg(unix)]
const DNS_PORT: u16 = 53;

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::system::TestSystem;

    fn servers(text: &str) -> Vec<String> {
        in_resolv_conf(text.as_bytes()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn name_servers_of_a_file() {
        let text =
            "# a comment\nsearch example.com\nnameserver 10.0.0.1\n\tnameserver ::1 \noptions ndots:5 odd\nnonsense\n";
        assert_eq!(servers(text), ["10.0.0.1:53", "[::1]:53"]);
        let text = "nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n";
        assert_eq!(servers(text), ["10.0.0.1:53", "10.0.0.2:53", "10.0.0.3:53"]);
    }

    #[test]
    fn this_machine_where_the_file_names_none() {
        for text in ["", "search example.com\n", "nameserver\n", "nameserver ns.example.com\n", "\u{fffd}\0"] {
            assert_eq!(servers(text), ["127.0.0.1:53"], "{text:?}");
        }
    }

    #[test]
    fn the_file_is_that_of_the_system_given() {
        let system = TestSystem::default();
        assert_eq!(of_system(&system).unwrap(), ["127.0.0.1:53".parse().unwrap()]);
        system.set_file(RESOLV_CONF, "nameserver 10.0.0.7\n");
        assert_eq!(of_system(&system).unwrap(), ["10.0.0.7:53".parse().unwrap()]);
        system.set_file(RESOLV_CONF, "#".repeat(70_000));
        let error = of_system(&system).unwrap_err();
        assert!(error.to_string().contains("/etc/resolv.conf could not be read"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_scoped_address_keeps_its_interface() {
        assert_eq!(servers("nameserver fe80::1%lo\n"), ["[fe80::1%1]:53"]);
    }
}
