//! A TLS server that never stops sending once it has answered: not data, but TLS 1.3 KeyUpdate or NewSessionTicket records, which a
//! client has to process before it can know whether there is data.
#![expect(unsafe_code, reason = "the openssl crate has no function that sends a KeyUpdate or a session ticket")]

use std::ffi::{c_int, c_void};
use std::io::ErrorKind;
use std::net::TcpStream;

use bson::doc;
use openssl::pkey::PKey;
use openssl::ssl::{SslAcceptor, SslMethod, SslRef, SslStream, SslVersion};
use openssl::x509::X509;

use crate::script::Script;
use crate::wire;

// SAFETY: these are the declarations of OpenSSL 1.1.1 (SSL_key_update(3)) and 3.0 (SSL_new_session_ticket(3)), which the openssl crate
// links.
unsafe extern "C" {
    fn SSL_new_session_ticket(ssl: *mut c_void) -> c_int;
    fn SSL_key_update(ssl: *mut c_void, kind: c_int) -> c_int;
}

/// SSL_KEY_UPDATE_NOT_REQUESTED: the client need not send one, too.
const NOT_REQUESTED: c_int = 0;

/// What it sends.
#[derive(Clone, Copy, Debug)]
pub enum Flood {
    /// New keys, each of which the client has to derive.
    KeyUpdates,
    /// Tickets for sessions, each of which the client has to store or drop.
    SessionTickets,
}

/// Starts it. On each connection it answers hello and the first command, and then floods the client until that hangs up. From
/// the connection with the number `honest_from` on it answers everything and floods nobody.
///
/// # Panics
/// If the certificate and the key (PEM) are no pair.
pub fn start(flood: Flood, certificate: &str, key: &str, honest_from: usize) -> Script {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).expect("a TLS context");
    builder.set_certificate(&X509::from_pem(certificate.as_bytes()).expect("a certificate")).expect("it is used");
    builder.set_private_key(&*PKey::private_key_from_pem(key.as_bytes()).expect("a key")).expect("it is used");
    builder.set_min_proto_version(Some(SslVersion::TLS1_3)).expect("OpenSSL knows TLS 1.3");
    let acceptor = builder.build();
    Script::start(move |stream, number| {
        let Ok(mut stream) = acceptor.accept(stream) else { return };
        let answers = if number >= honest_from { usize::MAX } else { 2 };
        for _ in 0..answers {
            let Ok(Some(request)) = wire::read_request(&mut stream) else { return };
            let reply = doc! { "ok": 1, "maxWireVersion": 17 };
            if wire::write_reply(&mut stream, &request, &reply).is_err() {
                return;
            }
        }
        while send_record(flood, &mut stream) {}
    })
}

/// Sends one record. False: the client has hung up.
fn send_record(flood: Flood, stream: &mut SslStream<TcpStream>) -> bool {
    let ssl: *const SslRef = stream.ssl();
    let ssl = ssl.cast_mut().cast();
    // SAFETY: a reference to an `SslRef` is the pointer to its `SSL`, which lives as long as the stream.
    let queued = unsafe {
        match flood {
            Flood::KeyUpdates => SSL_key_update(ssl, NOT_REQUESTED),
            Flood::SessionTickets => SSL_new_session_ticket(ssl),
        }
    };
    queued == 1 && stream.do_handshake().is_ok() && is_there(stream.get_ref())
}

/// Whether the client has not hung up. OpenSSL takes it for no failure if a ticket cannot be sent for that reason. The last that a
/// client sends is a goodbye, which is not read here.
fn is_there(socket: &TcpStream) -> bool {
    let seen = socket.set_nonblocking(true).and_then(|()| socket.peek(&mut [0]));
    let is_silent = matches!(seen, Err(error) if error.kind() == ErrorKind::WouldBlock);
    is_silent && socket.set_nonblocking(false).is_ok()
}
