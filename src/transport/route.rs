//! The way to a server: straight to its addresses, or through a proxy, which looks the name up itself.

use std::io;
use std::net::SocketAddr;

use super::socket::Socket;
use super::socks5::{self, Failure, Proxy};
use super::supervisor::Supervisor;
use super::{failure, happy_eyeballs, resolve};
use crate::deadline::Deadline;
use crate::error::{Error, FaultKind, Result, Stage};
use crate::options::ClientSettings;
use crate::resolver::SharedResolver;

/// How a client's connections reach servers; one for each client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Route {
    /// Looks up names in place of the system.
    resolver: Option<SharedResolver>,
    proxy: Option<Proxy>,
}

/// The addresses to connect to for one server. They serve for a second connection too.
#[derive(Debug)]
pub(super) struct Path<'a> {
    host: &'a str,
    port: u16,
    proxy: Option<&'a Proxy>,
    addresses: Vec<SocketAddr>,
}

impl Route {
    /// What the options ask for.
    pub(crate) fn of(options: &ClientSettings) -> Self {
        Route { resolver: options.resolver().cloned(), proxy: Proxy::of(options) }
    }

    /// Looks up the server's name, or only the proxy's if there is one.
    pub(super) fn find<'a>(&'a self, host: &'a str, port: u16, deadline: Deadline) -> Result<Path<'a>> {
        let look_up = |host, port| resolve::resolve(host, port, self.resolver.as_ref(), deadline);
        let proxy = self.proxy.as_ref();
        let addresses = match proxy {
            None => look_up(host, port)?,
            Some(proxy) => look_up(&proxy.host, proxy.port).map_err(|error| unreachable_proxy(error, proxy))?,
        };
        Ok(Path { host, port, proxy, addresses })
    }
}

impl Path<'_> {
    /// Connects. A failure of TCP is a sign of overload; that of a proxy says nothing about the server.
    pub(super) fn connect(&self, deadline: Deadline, supervisor: Option<&Supervisor<'_>>) -> Result<Socket> {
        let connected = happy_eyeballs::connect(&self.addresses, deadline, supervisor)
            .map_err(|failed| failure::connect_failed(failed, deadline))
            .and_then(|tcp| {
                Socket::from_tcp(tcp, deadline).map_err(|error| failure::network_error(error, Stage::Connect, deadline))
            });
        let connected = connected.map(|mut socket| {
            supervisor.into_iter().for_each(|supervisor| supervisor.supervise(&mut socket));
            socket
        });
        let Some(proxy) = self.proxy else { return connected.map_err(failure::overload) };
        let mut socket = connected.map_err(|error| unreachable_proxy(error, proxy))?;
        socks5::negotiate(&mut socket, proxy, self.host, self.port)
            .map_err(|failure| proxy_failed(failure, proxy, deadline))?;
        Ok(socket)
    }
}

fn unreachable_proxy(error: Error, proxy: &Proxy) -> Error {
    let message = format!("the SOCKS5 proxy {proxy} could not be connected to: {}", error.message());
    error.with_message(message)
}

/// A failure of the proxy counts as one of the network.
fn proxy_failed(failure: Failure, proxy: &Proxy, deadline: Deadline) -> Error {
    let failed = |message| Error::new(FaultKind::ProxyConnect, Stage::Connect, message);
    match failure {
        Failure::Refused(refusal) => {
            let error = failed(format!("the SOCKS5 proxy {proxy} did not connect: {refusal}"));
            match refusal.hint() {
                Some(hint) => error.with_hint(hint),
                None => error,
            }
        }
        Failure::Io(error) if failure::is_deadline(&error) => {
            let message = format!("{} ran out before the SOCKS5 proxy {proxy} had connected", deadline.name());
            deadline.ran_out(Stage::Connect, message)
        }
        Failure::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            failed(format!("the SOCKS5 proxy {proxy} closed the connection before it had connected"))
                .with_hint("is it a SOCKS5 proxy that listens on this port (proxyPort)?")
        }
        Failure::Io(error) => failed(format!("the connection to the SOCKS5 proxy {proxy} failed")).with_source(error),
    }
}
