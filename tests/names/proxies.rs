//! SOCKS5: the table of the specification against real proxies, before real servers, with and without TLS.
//!
//! The servers have a name that only the proxy can look up, so that a driver that does so itself, or that passes the proxy
//! by, cannot reach them.

use std::fs;
use std::sync::{Arc, Mutex};

use mongo_blocking::bson::doc;
use mongo_blocking::error::{ErrorKind, Stage};
use mongo_blocking::event::sdam::TopologyType;
use mongo_blocking::event::{CommandEvent, EventHandler};
use mongo_blocking::options::{ClientOptions, ClientOptionsBuilder, ClientSettings};
use mongo_blocking::{Client, Error, WarningKind};
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose};
use mongo_blocking_test_server::peers::{
    DANTE_LOGIN, MemberCertificates, Mongod, NameServer, ReplicaSet, ReplicaSetOptions, Scratch, SocksProxy,
};

const NAME: &str = "db.only-the-proxy-knows.test";
const HOSTS: &str = "127.0.0.1 db.only-the-proxy-knows.test\n";
const LOGIN: (&str, &str) = ("username", "p4ssw0rd");

/// Two proxies of a kind, one that wants a login and one that does not; and the login.
struct Proxies {
    with_login: SocksProxy,
    without: SocksProxy,
    login: (&'static str, &'static str),
}

fn microsocks() -> Option<Proxies> {
    let (with_login, without) = (SocksProxy::microsocks(Some(LOGIN), HOSTS)?, SocksProxy::microsocks(None, HOSTS)?);
    Some(Proxies { with_login, without, login: LOGIN })
}

fn dante() -> Option<Proxies> {
    let (with_login, without) = (SocksProxy::dante(true, HOSTS)?, SocksProxy::dante(false, HOSTS)?);
    Some(Proxies { with_login, without, login: DANTE_LOGIN })
}

impl Proxies {
    /// The rows of the specification's table: the proxy's port, the login, and whether it succeeds.
    #[allow(clippy::type_complexity, reason = "the rows of a table")]
    fn rows(&self) -> [(u16, Option<(&str, &str)>, bool); 6] {
        let (wants, takes_all) = (self.with_login.port(), self.without.port());
        let wrong = Some(("nonexistentuser", "badauth"));
        [
            (wants, None, false),
            (takes_all, None, true),
            (wants, wrong, false),
            (takes_all, wrong, true),
            (wants, Some(self.login), true),
            (takes_all, Some(self.login), true),
        ]
    }

    /// Each row, by options in the connection string and in code. A proxy that refuses the login, or wants one, is not waited for.
    fn hold_the_table(&self, server: &str) {
        self.each_row(server, |port, login, succeeds, options| {
            let outcome = hello(options).map(drop);
            assert_eq!(outcome.is_ok(), succeeds, "{port} {login:?}: {outcome:?}");
            if let Err(error) = outcome {
                assert!(error.is_network_error() && error.labels().is_empty(), "{error:?}");
                assert_eq!(error.stage(), Stage::Connect, "{error}");
                assert!(error.message().contains(&format!("localhost:{port}")), "{error}");
                assert!(error.address().is_some_and(|address| address.starts_with(NAME)), "{error}");
            }
        });
    }

    /// The rows about a replica set: all of its members, or none, are reached.
    fn hold_the_table_for_a_set(&self, set: &str) {
        self.each_row(set, |port, login, succeeds, options| match hello(options) {
            Ok(client) => {
                assert!(succeeds, "{port} {login:?}");
                let topology = client.topology();
                assert_eq!(topology.topology_type(), TopologyType::ReplicaSetWithPrimary);
                let servers = topology.servers();
                assert!(
                    servers.len() == 3 && servers.values().all(|server| server.address().to_string().starts_with(NAME))
                );
            }
            Err(error) => {
                assert!(!succeeds, "{port} {login:?}: {error:?}");
                assert_eq!(error.stage(), Stage::ServerSelection, "{error}");
                assert!(!error.message().contains("ran out"), "it waited for a proxy that refuses the login: {error}");
                let lines = error.to_string().matches(&format!("localhost:{port}")).count();
                assert_eq!(lines, 3, "what the proxy said of each member: {error}");
            }
        });
    }

    fn each_row(&self, server: &str, judge: impl Fn(u16, Option<(&str, &str)>, bool, ClientOptionsBuilder)) {
        for (port, login, succeeds) in self.rows() {
            let mut uri = format!("{server}&proxyHost=localhost&proxyPort={port}");
            let mut code = ClientOptions::builder().uri(server).proxy_host("localhost").proxy_port(port);
            if let Some((name, password)) = login {
                uri.push_str(&format!("&proxyUsername={name}&proxyPassword={password}"));
                code = code.proxy_username(name).proxy_password(password);
            }
            for options in [ClientOptions::builder().uri(&uri), code] {
                judge(port, login, succeeds, options);
            }
        }
    }
}

fn hello(options: ClientOptionsBuilder) -> Result<Client, Error> {
    let client = Client::with_options(options.build().settings().unwrap())?;
    client.database("admin").run_command(doc! { "hello": 1 }).run()?;
    Ok(client)
}

/// Each proxy before a set whose members are known by the name that only they and the proxy can look up.
fn before_a_set(tls: Option<MemberCertificates>, options: &str) {
    let set = ReplicaSetOptions { host: NAME, hosts: HOSTS.to_owned(), tls, ..ReplicaSetOptions::default() };
    let Some(set) = ReplicaSet::start("6.0", set) else { return };
    for proxies in [microsocks(), dante()].into_iter().flatten() {
        proxies.hold_the_table_for_a_set(&format!("{}{options}", set.uri()));
    }
}

#[test]
fn both_before_a_replica_set() {
    before_a_set(None, "");
}

#[test]
fn both_before_a_replica_set_with_tls() {
    let authority = Authority::new();
    let folder = Scratch::new("names-set-tls");
    let ca = folder.path().join("ca.pem");
    fs::write(&ca, authority.pem()).unwrap();
    let certificates = MemberCertificates {
        authority: authority.pem(),
        server: authority.issue(CertPurpose::Server, NAME).both(),
        client: authority.issue(CertPurpose::Client, "member").both(),
    };
    before_a_set(Some(certificates), &format!("&tlsCAFile={}", ca.display()));
}

#[test]
fn microsocks_before_mongod() {
    let (Some(mongod), Some(proxies)) = (Mongod::shared("6.0"), microsocks()) else { return };
    proxies.hold_the_table(&format!("mongodb://{NAME}:{}/?directConnection=true", mongod.port()));
}

#[test]
fn dante_before_mongod() {
    let (Some(mongod), Some(proxies)) = (Mongod::shared("6.0"), dante()) else { return };
    proxies.hold_the_table(&format!("mongodb://{NAME}:{}/?directConnection=true", mongod.port()));
}

/// The certificate is made out to the server's name, which SNI tells it, and not to the proxy's.
#[test]
fn both_before_mongod_with_tls() {
    let folder = Scratch::new("names-tls");
    let authority = Authority::new();
    let (ca, key) = (
        folder.file("ca.pem", authority.pem()),
        folder.file("key.pem", authority.issue(CertPurpose::Server, NAME).both()),
    );
    let arguments = ["--tlsAllowConnectionsWithoutCertificates"];
    let Some(mongod) = Mongod::start_with_tls("6.0", &key, &ca, &arguments) else { return };
    for proxies in [microsocks(), dante()].into_iter().flatten() {
        let uri = format!("mongodb://{NAME}:{}/?directConnection=true&tls=true&tlsCAFile={ca}", mongod.port());
        proxies.hold_the_table(&uri);
    }
}

#[test]
fn tls_and_events_name_the_server() {
    let Some(proxy) = SocksProxy::microsocks(None, HOSTS) else { return };
    let authority = Authority::new();
    let issued = authority.issue(CertPurpose::Server, NAME);
    let fake_server = FakeServer::builder().tls(&issued.certificate, &issued.key).start();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let handler = EventHandler::new(move |event: &CommandEvent| {
        if let CommandEvent::Succeeded(event) = event
            && event.command_name == "hello"
        {
            noted.lock().unwrap().push(event.connection.address.to_string());
        }
    });
    let options = ClientOptions::builder()
        .uri(format!("mongodb://{NAME}:{}/?proxyHost=127.0.0.1&proxyPort={}", fake_server.port(), proxy.port()))
        .tls_ca_pem(authority.pem())
        .command_event_handler(handler);
    hello(options).unwrap();
    assert_eq!(*seen.lock().unwrap(), [format!("{NAME}:{}", fake_server.port())]);
    assert_eq!(fake_server.server_names(), [Some(NAME.to_owned())]);
}

#[test]
fn a_server_that_the_proxy_cannot_reach() {
    for proxy in [SocksProxy::microsocks(None, HOSTS), SocksProxy::dante(false, HOSTS)].into_iter().flatten() {
        for (host, port) in [("unknown.only-the-proxy-knows.test", 27017), (NAME, 1)] {
            let uri = format!(
                "mongodb://{host}:{port}/?serverSelectionTryOnce=true&proxyHost=127.0.0.1&proxyPort={}",
                proxy.port()
            );
            let error = hello(ClientOptions::builder().uri(uri)).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::ProxyConnect { .. }), "{error:?}");
            assert_eq!(error.stage(), Stage::Connect);
            assert!(error.message().contains("it answered: ") || error.message().contains("closed"), "{error}");
            assert_eq!((error.address(), error.labels().len()), (Some(&*format!("{host}:{port}")), 0));
        }
    }
}

/// Addresses go to the proxy as addresses.
#[test]
fn a_server_by_its_address() {
    let fake_server = FakeServer::builder().start();
    for proxy in [SocksProxy::microsocks(None, HOSTS), SocksProxy::dante(false, HOSTS)].into_iter().flatten() {
        let uri = format!("mongodb://127.0.0.1:{}/?proxyHost=127.0.0.1&proxyPort={}", fake_server.port(), proxy.port());
        hello(ClientOptions::builder().uri(uri)).unwrap();
    }
}

/// From a `mongodb+srv` connection string to a server: a real name server, a real proxy.
#[test]
fn srv_and_a_proxy_together() {
    let fake_server = FakeServer::builder().start();
    let record =
        format!("_mongodb._tcp.cluster.only-the-proxy-knows.test. 60 IN SRV 0 0 {} {NAME}.", fake_server.port());
    let (Some(nsd), Some(proxy)) = (NameServer::nsd(&record), SocksProxy::microsocks(None, HOSTS)) else { return };
    let uri = format!(
        "mongodb+srv://cluster.only-the-proxy-knows.test/?tls=false&proxyHost=127.0.0.1&proxyPort={}",
        proxy.port()
    );
    hello(ClientOptions::builder().uri(uri).name_servers([nsd.address().to_string()])).unwrap();
    assert!(fake_server.command_count() > 0);
}

/// A Unix socket is on this machine, and no proxy's business.
#[cfg(unix)]
#[test]
fn unix_sockets_are_not_proxied() {
    let Some(mongod) = Mongod::shared("6.0") else { return };
    let host = mongod.unix_socket();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let options = ClientOptions::builder().host(host.to_str().unwrap()).proxy_host("127.0.0.1").proxy_port(closed);
    hello(options).unwrap();
}

#[test]
fn options_that_are_refused_or_ignored() {
    let builder = || ClientOptions::builder().host("h");
    for (options, said) in [
        (builder().proxy_port(1080), "need proxyHost"),
        (builder().proxy_username("u").proxy_password("p"), "need proxyHost"),
        (builder().proxy_host("p").proxy_username("u"), "together"),
        (builder().proxy_host("p").proxy_password("p"), "together"),
        (builder().proxy_host("p").proxy_username("u".repeat(256)).proxy_password("p"), "255 bytes"),
        (builder().proxy_host("p").proxy_username("u").proxy_password("p".repeat(256)), "255 bytes"),
        (builder().proxy_host("p:1080"), "host name or an IP address"),
        (builder().proxy_host("socks5://p"), "host name or an IP address"),
        (builder().proxy_host(""), "proxyHost"),
    ] {
        let error = options.build().settings().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidArgument { .. }) && error.message().contains(said), "{error}");
    }
    for host in ["p", "10.0.0.1", "::1", "[::1]"] {
        let options = builder().proxy_host(host).proxy_username("").proxy_password("").build().settings().unwrap();
        assert_eq!((options.proxy_port(), options.proxy_username()), (1080, None), "{host}");
    }
    let empty = ClientSettings::parse("mongodb://h/?proxyHost=p&proxyUsername=&proxyPassword=").unwrap();
    assert!(empty.proxy_username().is_none() && empty.proxy_password().is_none());
}

/// Kerberos can be told to look up names itself, which a proxy is there to avoid.
#[test]
fn canonical_names_are_looked_up_here_which_is_a_warning() {
    let warned = |property: &str| {
        let uri = format!("mongodb://ann@h/?authMechanism=GSSAPI&proxyHost=p{property}");
        let options = ClientSettings::parse(&uri).unwrap();
        options.warnings().iter().any(|warning| warning.kind() == WarningKind::LookUp)
    };
    assert!(!warned("") && !warned("&authMechanismProperties=CANONICALIZE_HOST_NAME:none"));
    assert!(warned("&authMechanismProperties=CANONICALIZE_HOST_NAME:forward"));
    assert!(warned("&authMechanismProperties=CANONICALIZE_HOST_NAME:forwardAndReverse"));
}
