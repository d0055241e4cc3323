//! HAProxy, a real load balancer.

use std::fs;
use std::net::Ipv4Addr;

use super::daemon::{Daemon, Invocation, system_program};
use super::free_port;

/// A running HAProxy that hands TCP connections to the servers behind it in turn, by one thread so that the turns are strict. It ends when this value is dropped.
#[derive(Debug)]
pub struct HaProxy(Daemon);

impl HaProxy {
    /// Starts it before these servers (`127.0.0.1:port`). `None`, after a [`skip`](super::skip), where it isn't installed.
    ///
    /// # Panics
    /// If it is there but does not start.
    pub fn before(servers: &[String]) -> Option<HaProxy> {
        HaProxy::at(free_port, servers)
    }

    /// The same on this port.
    ///
    /// # Panics
    /// As [`HaProxy::before`], and where the port is taken.
    pub fn on_port(port: u16, servers: &[String]) -> Option<HaProxy> {
        HaProxy::at(|| port, servers)
    }

    fn at(port: impl Fn() -> u16, servers: &[String]) -> Option<HaProxy> {
        let program = system_program("/usr/sbin/haproxy", "haproxy")?;
        let place = || (Ipv4Addr::LOCALHOST, port()).into();
        Some(HaProxy(Daemon::start_at("haproxy", place, |folder, port| {
            let servers = servers.iter().enumerate().map(|(n, address)| format!("    server s{n} {address}\n"));
            let conf = format!(
                "global\n    nbthread 1\ndefaults\n    mode tcp\n    timeout connect 10s\n    timeout client 1h\n    timeout server 1h\n\
                 listen mongodb\n    bind 127.0.0.1:{port}\n    balance roundrobin\n{}",
                servers.collect::<String>()
            );
            let path = folder.join("haproxy.cfg");
            fs::write(&path, conf).expect("a file of HAProxy");
            let arguments = vec!["-db".into(), "-f".into(), path.into()];
            Invocation { program: program.clone(), arguments, environment: Vec::new() }
        })))
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.0.address.to_string()
    }
}
