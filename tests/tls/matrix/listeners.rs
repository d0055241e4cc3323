//! The other ends of the rows.

use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::certs::Issued;
use mongo_blocking_test_server::peers::{Mongod, SServer, Scratch};

/// A server that takes TLS with some certificate.
pub enum Listener {
    Mongod(Mongod),
    FakeServer(FakeServer),
    SServer(SServer),
}

impl Listener {
    /// MongoDB 6.0 with this certificate. It starts with none that is expired.
    pub fn mongod(scratch: &Scratch, issued: &Issued, authority: &str) -> Option<Listener> {
        let key = scratch.file(&format!("mongod-{}.pem", next_number()), issued.both());
        let mongod = Mongod::start_with_tls("6.0", &key, authority, &["--tlsAllowConnectionsWithoutCertificates"]);
        mongod.map(Listener::Mongod)
    }

    /// Our own fake server.
    pub fn fake_server(issued: &Issued) -> Option<Listener> {
        Some(Listener::FakeServer(FakeServer::builder().tls(&issued.certificate, &issued.key).start()))
    }

    /// `openssl s_server`.
    pub fn s_server(issued: &Issued) -> Option<Listener> {
        SServer::start(&issued.both(), &[]).map(Listener::SServer)
    }

    /// Our own fake server, which staples this as its OCSP answer.
    #[cfg_attr(
        any(windows, target_os = "macos", mongo_blocking_native_tls),
        expect(dead_code, reason = "revocation is the platform's there")
    )]
    pub fn stapling_front(issued: &Issued, answer: &[u8]) -> Option<Listener> {
        Some(Listener::FakeServer(FakeServer::builder().tls(&issued.certificate, &issued.key).staples(answer).start()))
    }

    /// `openssl s_server` with these arguments more.
    #[cfg_attr(
        any(windows, target_os = "macos", mongo_blocking_native_tls),
        expect(dead_code, reason = "revocation is the platform's there")
    )]
    pub fn s_server_with(issued: &Issued, arguments: &[&str]) -> Option<Listener> {
        SServer::start(&issued.both(), arguments).map(Listener::SServer)
    }

    pub fn name(&self) -> &'static str {
        match self {
            Listener::Mongod(_) => "mongod 6.0",
            Listener::FakeServer(_) => "fake server",
            Listener::SServer(_) => "s_server",
        }
    }

    pub fn port(&self) -> u16 {
        match self {
            Listener::Mongod(mongod) => mongod.port(),
            Listener::FakeServer(fake_server) => fake_server.port(),
            Listener::SServer(server) => server.port(),
        }
    }
}

fn next_number() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
