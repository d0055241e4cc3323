//! Real name servers with records of a test's own: NSD, which answers for zones, and dnsmasq, as home routers have it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use super::daemon::{Daemon, Invocation, system_program};
use super::{free_port, unix_path};

/// A running name server, over UDP and TCP. It ends when this value is dropped.
#[derive(Debug)]
pub struct NameServer(Daemon);

impl NameServer {
    /// NSD with these records, in the form of a zone file with absolute names, one a line. `None`, after a
    /// [`skip`](super::skip), where NSD isn't installed.
    ///
    /// # Panics
    /// If it is there but does not start.
    pub fn nsd(records: &str) -> Option<NameServer> {
        NameServer::nsd_at(Ipv4Addr::LOCALHOST, free_port, records)
    }

    /// The same on port 53 of a loopback address, where a system looks for its name servers. Only root may do that.
    ///
    /// # Panics
    /// As [`NameServer::nsd`], and where the port is taken or forbidden.
    pub fn nsd_of_system(address: Ipv4Addr, records: &str) -> Option<NameServer> {
        NameServer::nsd_at(address, || 53, records)
    }

    fn nsd_at(ip: Ipv4Addr, port: impl Fn() -> u16, records: &str) -> Option<NameServer> {
        let program = system_program("/usr/sbin/nsd", "nsd")?;
        let place = || (ip, port()).into();
        Some(NameServer(Daemon::start_at("nsd", place, |folder, port| {
            // It answers for the root, so for every name there is.
            let zone = format!(
                ". 86400 IN SOA ns.invalid. root.invalid. 1 3600 600 86400 60\n. 86400 IN NS ns.invalid.\n{records}\n"
            );
            fs::write(folder.join("zone"), zone).expect("a file of nsd");
            let conf_file = folder.join("nsd.conf");
            let folder = unix_path(folder);
            let conf = format!(
                "server:\n ip-address: {ip}@{port}\n username: \"\"\n zonesdir: \"{folder}\"\n database: \"\"\n \
                 pidfile: \"{folder}/pid\"\n xfrdfile: \"{folder}/xfrd.state\"\n xfrdir: \"{folder}\"\n \
                 zonelistfile: \"{folder}/zone.list\"\n server-count: 1\n\
                 remote-control:\n control-enable: no\nzone:\n name: \".\"\n zonefile: \"zone\"\n"
            );
            fs::write(&conf_file, conf).expect("a file of nsd");
            let arguments = vec!["-d".into(), "-c".into(), conf_file.into()];
            Invocation { program: program.clone(), arguments, environment: Vec::new() }
        })))
    }

    /// dnsmasq with these options (`--srv-host=…`, `--txt-record=…`), which knows nothing else. `None`, after a
    /// [`skip`](super::skip), where it isn't installed.
    ///
    /// # Panics
    /// If it is there but does not start.
    pub fn dnsmasq(options: &[&str]) -> Option<NameServer> {
        NameServer::dnsmasq_at(Ipv4Addr::LOCALHOST, free_port, options)
    }

    /// The same on port 53 of a loopback address, where a system looks for its name servers. Only root may do that.
    ///
    /// # Panics
    /// As [`NameServer::dnsmasq`], and where the port is taken or forbidden.
    pub fn dnsmasq_of_system(address: Ipv4Addr, options: &[&str]) -> Option<NameServer> {
        NameServer::dnsmasq_at(address, || 53, options)
    }

    fn dnsmasq_at(ip: Ipv4Addr, port: impl Fn() -> u16, options: &[&str]) -> Option<NameServer> {
        let program = system_program("/usr/sbin/dnsmasq", "dnsmasq")?;
        Some(NameServer(Daemon::start_at(
            "dnsmasq",
            || (ip, port()).into(),
            |folder, port| {
                let usual = [
                    "--keep-in-foreground",
                    "--conf-file=/dev/null",
                    "--no-resolv",
                    "--no-hosts",
                    "--bind-interfaces",
                    "--log-queries",
                    "--log-facility=-",
                    "--user=",
                    "--local=//",
                ];
                let mut arguments: Vec<_> = usual.iter().chain(options).map(Into::into).collect();
                arguments.push(format!("--listen-address={ip}").into());
                arguments.push(format!("--port={port}").into());
                arguments.push(format!("--pid-file={}", folder.join("pid").display()).into());
                Invocation { program: program.clone(), arguments, environment: Vec::new() }
            },
        )))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// What it has written to its log; dnsmasq notes each question.
    pub fn log(&self) -> String {
        self.0.log()
    }
}
