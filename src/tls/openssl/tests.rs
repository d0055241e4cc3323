//! Sessions, as the context keeps and offers them.

use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use ::openssl::pkey::PKey;
use ::openssl::ssl::{SslAcceptor, SslMethod};
use ::openssl::x509::X509;
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose, Extras};
use mongo_blocking_test_server::peers::{SServer, Scratch};
use mongo_blocking_test_server::script::Script;

use super::*;
use crate::deadline::Deadline;
use crate::system::RealSystem;
use crate::tls::TlsStream;
use crate::tls::connector::Connector;
use crate::tls::tests::{file, front, round_trip};
use crate::warning::WarningSink;

fn target(host: &str, port: u16) -> Target<'_> {
    Target { host, port, deadline: Deadline::after(Duration::from_secs(30)) }
}

fn connect(connector: &Connector, host: &str, port: u16) -> Result<TlsStream<TcpStream>, Failure> {
    connector.connect(&target(host, port), TcpStream::connect(("127.0.0.1", port)).unwrap())
}

/// Whether the channel took up a session. It is used once, so that its tickets have arrived; without a goodbye, the
/// last of them would be void.
fn resumes(connector: &Connector, host: &str, port: u16) -> bool {
    let mut channel = connect(connector, host, port).unwrap();
    round_trip(&mut channel);
    channel.send_close_notify();
    channel.facts().resumed.unwrap()
}

#[test]
fn a_session_is_of_one_name_and_one_port() {
    let (folder, authority) = (Scratch::new("sessions"), Authority::new());
    let (one, other) = (front(&authority, "localhost"), front(&authority, "localhost"));
    let connector =
        Connector::new(&file(&folder, "ca.pem", authority.pem()), &RealSystem::shared(), &WarningSink::default())
            .unwrap();
    assert!(!resumes(&connector, "localhost", one.port()));
    assert!(resumes(&connector, "localhost", one.port()));
    assert!(!resumes(&connector, "127.0.0.1", one.port()));
    assert!(!resumes(&connector, "localhost", other.port()));
    assert!(resumes(&connector, "localhost", one.port()));
    assert_eq!(one.resumed(), 2);
}

/// OpenSSL would take up the session, and not look at the certificate again.
#[test]
fn a_session_does_not_outlive_the_certificate() {
    let (folder, authority) = (Scratch::new("sessions"), Authority::new());
    let issued = authority.issue_for_seconds(CertPurpose::Server, "localhost", 3);
    let server = FakeServer::builder().tls(&issued.certificate, &issued.key).start();
    let connector =
        Connector::new(&file(&folder, "ca.pem", authority.pem()), &RealSystem::shared(), &WarningSink::default())
            .unwrap();
    let Ok(mut channel) = connect(&connector, "localhost", server.port()) else {
        panic!("three seconds were too short")
    };
    round_trip(&mut channel);
    channel.send_close_notify();
    thread::sleep(Duration::from_secs(4));
    match connect(&connector, "localhost", server.port()) {
        Err(Failure::Tls(error)) => assert!(error.message().contains("expired"), "{error}"),
        other => panic!("{other:?}"),
    }
}

fn context(options: &TlsSettings) -> Context {
    let (files, _) = Files::read(options, &RealSystem).unwrap();
    let shared =
        SharedParts { system: RealSystem::shared(), warning_sink: WarningSink::default(), ocsp_cache: Arc::default() };
    Context::new(options, &files, &shared, &mut Warnings::default()).unwrap()
}

/// A server that sends so many tickets on each channel.
fn generous(authority: &Authority, tickets: usize) -> Script {
    let issued = authority.issue(CertPurpose::Server, "localhost");
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    builder.set_certificate(&X509::from_pem(issued.certificate.as_bytes()).unwrap()).unwrap();
    builder.set_private_key(&PKey::private_key_from_pem(issued.key.as_bytes()).unwrap()).unwrap();
    builder.set_num_tickets(tickets).unwrap();
    let acceptor = builder.build();
    Script::start(move |stream, _| {
        if let Ok(mut channel) = acceptor.accept(stream) {
            let _ = channel.write_all(b"hello");
            let _ = channel.read(&mut [0]);
        }
    })
}

#[test]
fn a_server_may_send_more_tickets_than_are_kept() {
    let (folder, authority) = (Scratch::new("sessions"), Authority::new());
    let server = generous(&authority, 500);
    let context = context(&file(&folder, "ca.pem", authority.pem()));
    let stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let (mut channel, _) = context.connect(&target("localhost", server.port()), stream).unwrap();
    channel.read_exact(&mut [0; 5]).unwrap();
    assert_eq!(context.sessions.count("localhost", server.port()), 8);
}

#[test]
fn a_refused_certificate_leaves_no_session() {
    let (folder, authority) = (Scratch::new("sessions"), Authority::new());
    let server = front(&authority, "other.example");
    let context = context(&file(&folder, "ca.pem", authority.pem()));
    let stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    assert!(context.connect(&target("localhost", server.port()), stream).is_err());
    assert_eq!(context.sessions.count("localhost", server.port()), 0);
}

/// Also if the revocation check refuses it, and for sessions of an earlier certificate.
#[test]
fn what_revocation_refuses_leaves_no_session() {
    let (folder, authority) = (Scratch::new("sessions"), Authority::new());
    let context = context(&file(&folder, "ca.pem", authority.pem()));
    let server = generous(&authority, 5);
    let stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let (mut channel, _) = context.connect(&target("localhost", server.port()), stream).unwrap();
    channel.read_exact(&mut [0; 5]).unwrap();
    assert_eq!(context.sessions.count("localhost", server.port()), 5);
    let issued =
        authority.issue_with(CertPurpose::Server, "localhost", &Extras { must_staple: true, ..Extras::default() });
    let front = FakeServer::builder().tls(&issued.certificate, &issued.key).start();
    // The same name and port, as far as the client knows.
    let stream = TcpStream::connect(("127.0.0.1", front.port())).unwrap();
    let Err(Failure::Tls(error)) = context.connect(&target("localhost", server.port()), stream) else {
        panic!("a certificate without its staple is taken")
    };
    assert!(error.message().contains("must-staple"), "{error}");
    assert_eq!(context.sessions.count("localhost", server.port()), 0);
}

/// The certificate and its revocation are judged once, after the first handshake; there is no other: the server, which
/// insists, hangs up. Were there one, it would go on and wait for us.
#[test]
fn a_server_that_wants_a_second_handshake() {
    let (folder, authority) = (Scratch::new("sessions"), Authority::new());
    let issued = authority.issue(CertPurpose::Server, "localhost");
    let Some(mut server) = SServer::start_listening(&issued.both(), &["-tls1_2"]) else { return };
    let connector =
        Connector::new(&file(&folder, "ca.pem", authority.pem()), &RealSystem::shared(), &WarningSink::default())
            .unwrap();
    let mut channel = connect(&connector, "localhost", server.port()).unwrap();
    channel.get_ref().set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    server.tell("r");
    match channel.read(&mut [0; 100]) {
        Ok(0) => {}
        Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => {}
        read => panic!("{read:?}"),
    }
}
