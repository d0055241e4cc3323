//! A TLS server that never stops sending once it has answered: not data, but TLS 1.3 KeyUpdate records, which a client has to
//! process before it can know whether there is data.
#![expect(unsafe_code, reason = "the openssl crate has no function that sends a KeyUpdate")]

use std::ffi::{c_int, c_void};
use std::net::TcpStream;

use bson::doc;
use openssl::pkey::PKey;
use openssl::ssl::{SslAcceptor, SslMethod, SslRef, SslStream, SslVersion};
use openssl::x509::X509;

use crate::script::Script;
use crate::wire;

// SAFETY: this is the declaration of OpenSSL 1.1.1 and later (SSL_key_update(3)), which the openssl crate links.
unsafe extern "C" {
    fn SSL_key_update(ssl: *mut c_void, kind: c_int) -> c_int;
}

/// SSL_KEY_UPDATE_NOT_REQUESTED: the client need not send one, too.
const NOT_REQUESTED: c_int = 0;

/// Starts it. On each connection it answers hello and the first command, and then floods the client until that hangs up. From
/// the connection with the number `honest_from` on it answers everything and floods nobody.
///
/// # Panics
/// If the certificate and the key (PEM) are no pair.
pub fn start(certificate: &str, key: &str, honest_from: usize) -> Script {
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
        while key_update(&mut stream) {}
    })
}

/// Sends one record. False: the client has hung up.
fn key_update(stream: &mut SslStream<TcpStream>) -> bool {
    let ssl: *const SslRef = stream.ssl();
    // SAFETY: a reference to an `SslRef` is the pointer to its `SSL`, which lives as long as the stream.
    let queued = unsafe { SSL_key_update(ssl.cast_mut().cast(), NOT_REQUESTED) };
    queued == 1 && stream.do_handshake().is_ok()
}
