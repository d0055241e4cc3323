//! What OpenSSL and the parsers around it read of certificates, lists of revoked ones, and OCSP answers. Each property holds
//! whatever the bytes are.

use std::time::{Duration, SystemTime};

use crate::error::Error;
use crate::options::ClientOptions;
use crate::tls::inspect::{lists_revoke, ocsp_revokes, rejected_authorities};

/// A bundle of authorities, PEM: what one block rejects stays rejected, whatever else the bundle holds.
pub fn authorities(data: &[u8]) {
    let bundle = [data, b"\n", REJECTED.as_bytes()].concat();
    let options = ClientOptions::builder().host("localhost").tls_ca_pem(&bundle).build().settings().expect("a host");
    let tls = options.tls().expect("authorities turn TLS on");
    match rejected_authorities(tls) {
        Ok(rejected) => assert!(!rejected.is_empty(), "a rejected authority is trusted"),
        Err(error) => is_readable(&error),
    }
}

/// Lists of revoked certificates, PEM: one that the authority signed goes on revoking its certificate.
pub fn revocation_list(data: &[u8]) {
    match lists_revoke(data, ROOT, LEAF) {
        Ok(revoked) => assert!(revoked != Some(false), "a revoked certificate is not revoked any more"),
        Err(error) => is_readable(&error),
    }
}

/// An OCSP answer, DER: the one about this certificate says that it is revoked, and none that is made of it says anything else.
pub fn ocsp(data: &[u8]) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(A_MINUTE_LATER);
    match ocsp_revokes(data, ROOT, LEAF, now) {
        Ok(revoked) => assert!(revoked, "a revoked certificate is not revoked any more"),
        Err(why) => assert!(why.len() < 4_000 && !why.contains(char::is_control), "{why:?}"),
    }
}

fn is_readable(error: &Error) {
    let text = format!("{error:#}");
    assert!(text.len() < 4_000 && !text.contains(char::is_control), "{text:?}");
}

/// An authority, and a server's certificate that it issued and revoked; both are valid from 2020 to 2120. Nobody has their keys.
const ROOT: &str = include_str!("tls/root.pem");
const LEAF: &str = include_str!("tls/leaf.pem");
/// The authority in a TRUSTED CERTIFICATE block that rejects it for servers.
const REJECTED: &str = include_str!("tls/rejected.pem");
/// A minute after the answers in the seeds were given.
const A_MINUTE_LATER: u64 = 1_795_690_354;
