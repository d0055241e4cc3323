//! What the fuzz targets in `fuzz/` run, each through the front door of a part and with a property that must hold. The seeds
//! in `fuzz/seeds` go through the same functions with the unit tests, so neither of the two can rot.
//!
//! Compiled for tests and by `cargo fuzz` only; no part of the public face.

#[cfg(feature = "aws")]
mod aws;
#[cfg(feature = "oidc")]
mod documents;
mod layers;
#[cfg(feature = "oidc")]
mod login;
mod names;
mod replies;
#[cfg(not(any(windows, target_os = "macos", mongo_blocking_native_tls)))]
mod tls;

use std::sync::Arc;
use std::time::SystemTime;

use bson::raw::cstr;
use bson::spec::BinarySubtype;
use bson::{Document, RawBinaryRef, RawDocument, RawDocumentBuf, rawdoc};

use crate::Client;
use crate::auth::AuthTarget;
use crate::deadline::Deadline;
use crate::description::ServerType;
use crate::document::{NestingLimits, check_nesting};
use crate::error::{Error, FaultKind, Stage};
use crate::handshake::{Handshake, Hello};
use crate::options::{ClientOptions, ClientSettings};
use crate::system::{RealSystem, System};
use crate::wire::{Header, Reply};

#[cfg(feature = "aws")]
pub use aws::aws;
#[cfg(feature = "oidc")]
pub use documents::oidc_documents;
pub use layers::gssapi_layers;
#[cfg(feature = "oidc")]
pub use login::login;
#[cfg(feature = "srv")]
pub use names::dns;
pub use names::socks5;
pub use replies::{cursor_batch, typed, values, write_reply};
#[cfg(not(any(windows, target_os = "macos", mongo_blocking_native_tls)))]
pub use tls::{authorities, ocsp, revocation_list};

/// A connection string: what was read can be written, and reads the same again.
pub fn uri(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(options) = ClientSettings::parse(text) else { return };
    let written = options.to_uri(true);
    let again =
        ClientSettings::parse(&written).unwrap_or_else(|error| panic!("{written:?} does not read again: {error}"));
    assert_eq!(again.to_uri(true), written);
}

/// The bytes of a server's message: what passes is a document that can be walked, decoded and written again.
pub fn reply(data: &[u8]) {
    let Ok(Some(header)) = Header::read(data) else { return };
    let Ok(reply) = Reply::decode(data.to_vec(), &header) else { return };
    let raw = reply.document();
    if let Ok(hello) = Hello::read(raw) {
        let server = &hello.description;
        assert!(server.max_message_size_bytes <= 48_000_000 && server.max_bson_object_size <= 16 * 1024 * 1024);
    }
    if check_nesting(raw, NestingLimits::DEFAULT).is_err() {
        return;
    }
    if let Ok(document) = Document::try_from(raw) {
        let again = RawDocumentBuf::try_from(&document).expect("a document that was read can be written");
        assert!(Document::try_from(&*again).is_ok());
    }
}

/// A whole handshake with a server that says what the data says. Whoever does not know the password is never let in.
///
/// Where the server has nothing to prove, it comes to an end at least.
///
/// The first byte picks the credential; then each reply is a byte for its kind, two for its length, and its bytes.
pub fn handshake(data: &[u8]) {
    let Some((&choice, mut rest)) = data.split_first() else { return };
    let mut credentials = PROVING.iter().chain(TRUSTING);
    let Some(uri) = credentials.nth(usize::from(choice)) else { return };
    let options = ClientOptions::builder().uri(*uri).scram_max_iterations(MOST_ITERATIONS).build().settings();
    let options = options.expect("the connection strings below are right");
    let system: Arc<dyn System> = Arc::new(RealSystem);
    let handshake = Handshake::new(&options, &system).expect("and so are their credentials");
    let mut nonce = Vec::new();
    let exchange = &mut |_database: &str, command: &RawDocument| {
        remember_nonce(command, &mut nonce);
        next_reply(&mut rest, &nonce).ok_or_else(|| Error::new(FaultKind::Io, Stage::Command, "the data is at its end"))
    };
    let outcome = handshake.run(&target(), exchange);
    if let Ok(done) = outcome
        && PROVING.contains(uri)
    {
        assert!(
            done.hello.description.server_type == ServerType::RsArbiter,
            "somebody without the password was let in"
        );
    }
}

/// The time of day at which certificates are looked at.
const NOW: SystemTime = SystemTime::UNIX_EPOCH;

/// A certificate, DER, as a server shows it: what errors tell of it obeys no terminal.
pub fn certificate(data: &[u8]) {
    for text in crate::tls::read_certificate(data, NOW) {
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}

/// A client's certificate and key, PEM, in one text: used or refused, and a refusal quotes nothing of it.
pub fn identity(data: &[u8]) {
    let options = ClientOptions::builder().host("localhost").tls_identity_pem(data, data, None).build().settings();
    let Err(error) = options.and_then(Client::with_options) else { return };
    let said = format!("{error:#}");
    assert!(said.len() < 4_000 && !said.contains(char::is_control), "{said:?}");
    let text = String::from_utf8_lossy(data);
    for line in text.lines().map(str::trim).filter(|line| line.len() > 40 && !line.starts_with("-----")) {
        assert!(!said.contains(line), "it quotes {line:?}");
    }
}

/// A client's PKCS#12 bundle: used or refused, and a refusal says neither the password nor anything of the bundle.
pub fn bundle(data: &[u8]) {
    // The bundle says how often its password is hashed; a large number would only keep the fuzzer busy.
    if data.windows(2).any(|bytes| matches!(bytes, [2, 3..=5])) {
        return;
    }
    for password in ["pencil", ""] {
        let options = ClientOptions::builder().host("localhost").tls_identity_pkcs12(data, password).build().settings();
        let Err(error) = options.and_then(Client::with_options) else { continue };
        let said = format!("{error:#}");
        assert!(said.len() < 4_000 && !said.contains(char::is_control) && !said.contains("pencil"), "{said:?}");
    }
}

/// A server on this machine.
fn target() -> AuthTarget<'static> {
    AuthTarget {
        host: "localhost",
        deadline: Deadline::NEVER,
        step_deadline: Deadline::NEVER,
        connect_deadline: Deadline::NEVER,
        verified: true,
        presented: None,
    }
}

/// So that a number in the data cannot keep the fuzzer busy.
const MOST_ITERATIONS: u32 = 4_100;

/// Those whose server must prove something.
const PROVING: &[&str] = &[
    "mongodb://user:pencil@localhost/",
    "mongodb://user:pencil@localhost/?authMechanism=SCRAM-SHA-1",
    "mongodb://user:pencil@localhost/?authMechanism=SCRAM-SHA-256",
];

/// Those whose server proves nothing of itself: TLS did.
const TRUSTING: &[&str] = &[
    "mongodb://user:pencil@localhost/?authMechanism=MONGODB-CR",
    "mongodb://user:pencil@localhost/?authMechanism=PLAIN",
    #[cfg(feature = "aws")]
    "mongodb://AKIAEXAMPLE:secret@localhost/?authMechanism=MONGODB-AWS",
];

/// A client's nonce is random; in the data a byte 1 stands for it.
fn remember_nonce(command: &RawDocument, nonce: &mut Vec<u8>) {
    let command = command.get_document("speculativeAuthenticate").unwrap_or(command);
    let Ok(payload) = command.get_binary("payload") else { return };
    let text = String::from_utf8_lossy(payload.bytes);
    if let Some((_, own)) = text.split_once(",r=") {
        *nonce = own.as_bytes().to_vec();
    }
}

fn next_reply(data: &mut &[u8], nonce: &[u8]) -> Option<RawDocumentBuf> {
    let (&[kind, low, high], rest) = data.split_first_chunk()?;
    let (bytes, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([low, high])))?;
    *data = rest;
    if kind == 0 {
        return RawDocumentBuf::from_bytes(bytes.to_vec()).ok();
    }
    let mut payload = Vec::new();
    for byte in bytes {
        match byte {
            1 => payload.extend_from_slice(nonce),
            byte => payload.push(*byte),
        }
    }
    let mut said = rawdoc! { "conversationId": 1, "done": kind & 2 != 0 };
    said.append(cstr!("payload"), RawBinaryRef { subtype: BinarySubtype::Generic, bytes: &payload });
    said.append(cstr!("ok"), 1);
    if kind & 4 == 0 {
        return Some(said);
    }
    let mechanisms: bson::RawArrayBuf = ["SCRAM-SHA-1", "SCRAM-SHA-256"].into_iter().collect();
    let mut hello = rawdoc! { "ismaster": true, "maxWireVersion": 17, "saslSupportedMechs": mechanisms };
    hello.append(cstr!("speculativeAuthenticate"), said);
    hello.append(cstr!("ok"), 1);
    Some(hello)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    /// Runs every seed; each with a byte of it changed, at every `step`th place; and each cut off there.
    fn replay(target: &str, step: usize, run: fn(&[u8])) {
        let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "fuzz", "seeds", target].iter().collect();
        let mut seeds = 0;
        for entry in fs::read_dir(&folder).unwrap() {
            let seed = fs::read(entry.unwrap().path()).unwrap();
            run(&seed);
            for at in (0..seed.len()).step_by(step) {
                let mut spoiled = seed.clone();
                spoiled[at] = spoiled[at].wrapping_add(1);
                run(&spoiled);
                run(&seed[..at]);
            }
            seeds += 1;
        }
        assert!(seeds > 0, "no seeds in {}", folder.display());
    }

    #[test]
    fn seeds_of_uri() {
        replay("uri", 1, uri);
    }

    #[test]
    fn seeds_of_reply() {
        replay("reply", 1, reply);
    }

    #[cfg(feature = "aws")]
    #[test]
    fn seeds_of_aws() {
        replay("aws", 3, aws);
    }

    /// The same property, on data that is changed by chance.
    #[cfg(feature = "aws")]
    #[test]
    fn spoilt_searches_for_aws_keys_panic_nowhere_and_leak_nothing() {
        let mut noise = crate::auth::tests::noise::Noise(5);
        let seeds: [&[u8]; 3] = [
            b"\x01\x00[profile p]\nrole_arn=r\nsource_profile=p\n%[p]\naws_access_key_id=A\naws_secret_access_key=hunter2-hunter2\n%<AssumeRoleResponse/>",
            b"\x02\x00[default]\n%%{\"AssumeRoleWithWebIdentityResponse\":{\"AssumeRoleWithWebIdentityResult\":{}}}",
            b"\x08\x40[default]\nsso_start_url=u\nsso_region=x\nsso_account_id=1\nsso_role_name=r\n%%{\"roleCredentials\":{}}",
        ];
        for seed in seeds {
            aws(seed);
            for _ in 0..300 {
                aws(&noise.spoil(seed));
            }
        }
    }

    #[cfg(feature = "oidc")]
    #[test]
    fn seeds_of_oidc_documents() {
        replay("oidc_documents", 1, oidc_documents);
    }

    #[cfg(feature = "oidc")]
    #[test]
    fn seeds_of_login() {
        replay("login", 7, login);
    }

    #[test]
    fn seeds_of_gssapi_layers() {
        replay("gssapi_layers", 1, gssapi_layers);
    }

    #[test]
    fn seeds_of_replies_to_reads_and_writes() {
        replay("cursor_batch", 1, cursor_batch);
        replay("write_reply", 1, write_reply);
        replay("typed", 1, typed);
        replay("values", 1, values);
    }

    #[test]
    fn seeds_of_certificate() {
        replay("certificate", 1, certificate);
    }

    #[test]
    fn seeds_of_bundle() {
        replay("bundle", 7, bundle);
        let seed = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/bundle/mac")).unwrap();
        let options = |password: &str| {
            ClientOptions::builder().host("localhost").tls_identity_pkcs12(&seed, password).build().settings()
        };
        assert!(Client::with_options(options("pencil").unwrap()).is_ok());
        assert!(Client::with_options(options("eraser").unwrap()).is_err());
    }

    #[cfg(not(any(windows, target_os = "macos", mongo_blocking_native_tls)))]
    #[test]
    fn seeds_of_authorities() {
        replay("authorities", 3, authorities);
    }

    #[cfg(not(any(windows, target_os = "macos", mongo_blocking_native_tls)))]
    #[test]
    fn seeds_of_revocation_list() {
        replay("revocation_list", 1, revocation_list);
    }

    #[cfg(not(any(windows, target_os = "macos", mongo_blocking_native_tls)))]
    #[test]
    fn seeds_of_ocsp() {
        replay("ocsp", 1, ocsp);
    }

    #[test]
    fn seeds_of_identity() {
        replay("identity", 13, identity);
    }

    #[cfg(feature = "srv")]
    #[test]
    fn seeds_of_dns() {
        replay("dns", 1, dns);
    }

    #[test]
    fn seeds_of_socks5() {
        replay("socks5", 1, socks5);
    }

    #[test]
    fn seeds_of_handshake() {
        replay("handshake", 7, handshake);
    }
}
