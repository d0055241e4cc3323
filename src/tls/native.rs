//! SChannel and Secure Transport (and OpenSSL, where this is tested on Linux) through `native-tls`.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use native_tls::{Certificate, HandshakeError, Identity, Protocol, TlsConnector, TlsConnectorBuilder};

use crate::certificate::PresentedCertificate;
use crate::error::{Error, Result};
use crate::event::{Revocation, TlsInfo};
use crate::locks::lock;
use crate::options::{TlsSettings, TlsVersion};
use crate::tls::SharedParts;
use crate::tls::certificate;
use crate::tls::codes::{Known, Meaning};
use crate::tls::failure::{
    self, ATLAS_HINT, Failure, certificate_hint, handshake_failed, is_atlas, no_common_tls, set_up_failed,
};
use crate::tls::files::Files;
use crate::tls::identity::{self, Bundle, Material, Own};
use crate::tls::pem::Origin;
use crate::tls::target::{PeerName, Target, peer_name};
use crate::tls::trust_anchors::TrustAnchors;
use crate::tls::{codes, key_match, pem};
use crate::warning::Warnings;

/// One identity under one set of trust settings.
pub(super) struct Context {
    connector: TlsConnector,
    presented: Option<Arc<PresentedCertificate>>,
    /// Whether a certificate without a DNS name in subjectAltName is refused. The platforms have no such switch, and
    /// some of them accept a Common Name.
    needs_dns_name: bool,
}

/// What a client remembers of servers: here, nothing.
#[derive(Default)]
pub(super) struct OcspCache;

/// A TLS channel as the platform makes it.
pub(super) struct Channel<S>(native_tls::TlsStream<Watched<S>>);

impl<S: Read + Write> Channel<S> {
    /// The stream beneath.
    pub(super) fn get_ref(&self) -> &S {
        &self.0.get_ref().stream
    }

    /// The stream beneath.
    pub(super) fn get_mut(&mut self) -> &mut S {
        &mut self.0.get_mut().stream
    }

    /// Tells the peer that no more will come.
    pub(super) fn shutdown(&mut self) -> io::Result<()> {
        self.0.shutdown()
    }
}

impl<S: Read + Write> Read for Channel<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(with_words)
    }
}

impl<S: Read + Write> Write for Channel<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(with_words)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(with_words)
    }
}

/// The stream beneath a channel. It keeps why it failed, since the platform's error for a handshake does not tell.
#[derive(Debug)]
struct Watched<S> {
    stream: S,
    failed: Arc<Mutex<Option<io::Error>>>,
}

impl<S> Watched<S> {
    /// What has failed stays failed; to wait is no failure.
    fn watch<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
        {
            *lock(&self.failed) = Some(again(error));
        }
        result
    }
}

impl<S: Read> Read for Watched<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer);
        self.watch(read)
    }
}

impl<S: Write> Write for Watched<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.stream.write(bytes);
        self.watch(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.stream.flush();
        self.watch(flushed)
    }
}

impl Context {
    /// Judges what the options name, files and all.
    pub(super) fn new(
        options: &TlsSettings,
        files: &Files,
        shared: &SharedParts,
        warnings: &mut Warnings,
    ) -> Result<Context> {
        let mut builder = TlsConnector::builder();
        builder.min_protocol_version(Some(version(options.oldest_version())?));
        if let Some(authorities) = TrustAnchors::read(options, files)? {
            builder.disable_built_in_roots(true);
            for certificate in
                authorities.each(shared.system.now(), warnings, |block| Certificate::from_pem(block.text.as_bytes()))?
            {
                builder.add_root_certificate(certificate);
            }
        }
        builder.danger_accept_invalid_certs(options.danger_accepts_any_certificate());
        builder.danger_accept_invalid_hostnames(options.danger_accepts_any_hostname());
        let (connector, presented) = match identity::read(options, files, warnings)? {
            Some(Own::Pem(material)) => build_with(&mut builder, &material, shared.system.now(), warnings)?,
            Some(Own::Pkcs12(bundle)) => (build_with_bundle(&mut builder, &bundle)?, None),
            None => (builder.build().map_err(|error| set_up_failed(SET_UP_FAILED, error))?, None),
        };
        let is_verified = !options.danger_accepts_any_certificate() && !options.danger_accepts_any_hostname();
        Ok(Context {
            connector,
            presented: presented.map(Arc::new),
            needs_dns_name: is_verified && !options.danger_accepts_common_names(),
        })
    }

    /// The certificate that servers get to see. Of a PKCS#12 bundle this backend does not tell.
    pub(super) fn presented(&self) -> Option<&Arc<PresentedCertificate>> {
        self.presented.as_ref()
    }

    /// Makes a channel to the peer that must bear the name `target.host`.
    pub(super) fn connect<S: Read + Write + fmt::Debug>(
        &self,
        target: &Target<'_>,
        stream: S,
    ) -> Result<(Channel<S>, TlsInfo), Failure> {
        let name = match peer_name(target.host) {
            PeerName::Ip(address) => address.to_string(),
            PeerName::Dns(name) => name.to_owned(),
        };
        let failed = Arc::default();
        match self.connector.connect(&name, Watched { stream, failed: Arc::clone(&failed) }) {
            Ok(channel) => {
                let presented = channel.peer_certificate().ok().flatten().and_then(|own| own.to_der().ok());
                if let (PeerName::Dns(name), true, Some(der)) =
                    (peer_name(target.host), self.needs_dns_name, presented.as_ref())
                {
                    refuse_common_name(name, der)?;
                }
                let facts = facts(presented.as_deref());
                Ok((Channel(channel), facts))
            }
            Err(HandshakeError::WouldBlock(_)) => Err(Failure::Io(io::ErrorKind::TimedOut.into())),
            Err(HandshakeError::Failure(error)) => {
                let stream_failed = lock(&failed).take();
                Err(stream_failed.map_or_else(|| judge(&error, target), Failure::Io))
            }
        }
    }
}

/// The platform accepted the certificate; by its Common Name where it has no DNS name, which RFC 9525 no longer allows.
/// Where the platform does not show the certificate, its own rules decide.
fn refuse_common_name(host: &str, certificate: &[u8]) -> std::result::Result<(), Failure> {
    if certificate::has_dns_name(certificate) {
        Ok(())
    } else {
        let message = format!(
            "the server's certificate was refused: hostname mismatch. Expected: a certificate for {host}. Presented: no DNS \
                 name in subjectAltName"
        );
        Err(handshake_failed(message, Some(failure::no_dns_name_hint(host))))
    }
}

/// What the platform does about revocation is the system's setting, and is left as it is.
pub(super) fn refuse_revocation_options(options: &TlsSettings) -> Result<()> {
    let refused = [
        ("tlsCRLFile", options.crl_file.is_some()),
        ("tlsDisableOCSPEndpointCheck", options.disable_ocsp_endpoint_check == Some(true)),
        ("tlsDisableCertificateRevocationCheck", options.disable_certificate_revocation_check == Some(true)),
    ];
    match refused.into_iter().find(|(_, given)| *given) {
        Some((option, _)) => {
            Err(Error::not_supported(format!("{option} is not supported by this platform's TLS ({BACKEND})"))
                .with_hint(
                    "here the system's own settings decide how revoked certificates are found; leave the option out",
                ))
        }
        None => Ok(()),
    }
}

/// Whether the peer has neither sent anything nor gone. The stream beneath must not wait just now.
pub(super) fn is_idle<S: Read + Write>(channel: &mut Channel<S>) -> bool {
    matches!(channel.read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

fn version(version: TlsVersion) -> Result<Protocol> {
    Ok(match version {
        TlsVersion::V1_0 => Protocol::Tlsv10,
        TlsVersion::V1_1 => Protocol::Tlsv11,
        TlsVersion::V1_2 => Protocol::Tlsv12,
        TlsVersion::V1_3 if cfg!(target_os = "macos") => {
            return Err(Error::not_supported("TLS 1.3 is not supported by this platform's TLS (Secure Transport)")
                .with_hint("leave min_tls_version at TLS 1.2"));
        }
        TlsVersion::V1_3 => Protocol::Tlsv13,
    })
}

/// All that the platform tells.
fn facts(presented: Option<&[u8]>) -> TlsInfo {
    let subject = presented.and_then(certificate::Certificate::read).map(|certificate| certificate.subject);
    TlsInfo {
        backend: BACKEND.to_owned(),
        protocol: None,
        cipher: None,
        peer_chain: subject.into_iter().collect(),
        resumed: None,
        revocation: Revocation::LeftToPlatform,
    }
}

/// The platform wants the leaf first and says nothing of which it is, so each certificate has its turn: with the wrong
/// one the key does not match.
fn build_with(
    builder: &mut TlsConnectorBuilder,
    material: &Material<'_>,
    now: SystemTime,
    warnings: &mut Warnings,
) -> Result<(TlsConnector, Option<PresentedCertificate>)> {
    if material.encrypted {
        return Err(identity::unsupported(material, "an encrypted key"));
    }
    if !material.key.starts_with("-----BEGIN PRIVATE KEY-----") {
        return Err(identity::unsupported(material, "a key in another form than PKCS#8"));
    }
    for (place, certificate) in material.certificates.iter().enumerate() {
        if Certificate::from_pem(certificate.as_bytes()).is_err() {
            return Err(material.unreadable_certificate(place));
        }
    }
    let key = pem::blocks(&material.key).first().and_then(pem::Block::der);
    let key = key.ok_or_else(|| material.key_from.about("holds a private key that cannot be read"))?;
    #[cfg(windows)]
    if !key_match::is_rsa(&key) {
        return Err(identity::unsupported(material, "a key of another kind than RSA"));
    }
    if Identity::from_pkcs8(first(material, 0).as_bytes(), material.key.as_bytes()).is_err() && !cfg!(windows) {
        return Err(material.key_from.about("holds a private key that cannot be read"));
    }
    let mut refused = None;
    // SChannel takes any two for a pair, so they are compared here first, as far as that goes.
    let is_stranger = |certificate: &String| {
        let der = pem::blocks(certificate).first().and_then(pem::Block::der);
        der.is_some_and(|der| key_match::belong_together(&der, &key) == Some(false))
    };
    let strangers: Vec<bool> = material.certificates.iter().map(is_stranger).collect();
    for leaf in (0..material.certificates.len()).filter(|leaf| strangers.get(*leaf) == Some(&false)) {
        let own = Identity::from_pkcs8(first(material, leaf).as_bytes(), material.key.as_bytes());
        let built = own.and_then(|own| builder.identity(own).build());
        match built {
            Ok(connector) => {
                let facts = material.facts(leaf);
                facts.iter().for_each(|facts| identity::warn_of_validity(facts, now, warnings));
                let der = pem::blocks(&first(material, leaf)).first().and_then(pem::Block::der).unwrap_or_default();
                let issuers = material.certificates.len() - 1;
                return Ok((connector, facts.map(|facts| facts.presented(&der, issuers))));
            }
            Err(error) => refused = Some(error),
        }
    }
    Err(match refused {
        // Where they were compared, they belong together: what is wrong is another matter.
        Some(error) if cfg!(any(windows, target_os = "macos")) => refused_by_platform(&material.key_from, error),
        _ => material.mismatch(),
    })
}

/// The platform did not take a key and its certificate, or a bundle, for this reason.
fn refused_by_platform(origin: &Origin<'_>, error: native_tls::Error) -> Error {
    let code = codes::code_in(&error.to_string(), &format!("{error:?}"));
    let known = code.and_then(codes::known);
    let reason = match (code, known) {
        (Some(code), Some(known)) => format!("{} ({})", known.meaning.words(), codes::told(code)),
        (Some(code), None) => codes::told(code),
        (None, _) => "it gives no code".to_owned(),
    };
    let hint = known.map_or(Meaning::OwnKeyUnusable, |known| known.meaning).hint();
    let what = format!("holds a certificate and key that this platform's TLS ({BACKEND}) refused: {reason}");
    origin.about(what).with_hint(hint).with_source(error)
}

/// The platform opens the bundle, and says little of why it does not.
fn build_with_bundle(builder: &mut TlsConnectorBuilder, bundle: &Bundle<'_>) -> Result<TlsConnector> {
    let own = Identity::from_pkcs12(bundle.der, bundle.password).map_err(|error| unopened_bundle(bundle, error))?;
    builder.identity(own);
    builder.build().map_err(|error| bundle.mismatch().with_source(error))
}

fn unopened_bundle(bundle: &Bundle<'_>, error: native_tls::Error) -> Error {
    let code = codes::code_in(&error.to_string(), &format!("{error:?}"));
    if let Some(code) = code.filter(|code| *code != 0 && cfg!(any(windows, target_os = "macos"))) {
        return match codes::known(code).map(|known| known.meaning) {
            Some(Meaning::OwnBundleNotOpened) => bundle.wrong_password().with_source(error),
            _ => refused_by_platform(&bundle.origin(), error),
        };
    }
    let words = error.to_string().to_ascii_lowercase();
    let error_and_hint =
        if words.contains("unsupported") { bundle.not_available("its encryption") } else { bundle.wrong_password() };
    error_and_hint.with_source(error)
}

/// All certificates, this one before the others.
fn first(material: &Material<'_>, leaf: usize) -> String {
    let mut certificates: Vec<&str> = material.certificates.iter().map(String::as_str).collect();
    certificates.get_mut(..=leaf).unwrap_or_default().rotate_right(1);
    certificates.join("\n")
}

const BACKEND: &str = if cfg!(windows) {
    "SChannel"
} else if cfg!(target_os = "macos") {
    "Secure Transport"
} else {
    "native-tls"
};
const SET_UP_FAILED: &str = "the platform's TLS could not be set up";

/// Tells a refused certificate from all else that ends a handshake, by the platform's code. What the crates between add
/// of their own is in English.
fn judge(error: &native_tls::Error, target: &Target<'_>) -> Failure {
    let reason = error.to_string();
    let lower = reason.to_ascii_lowercase();
    if lower.contains("unexpected eof") {
        return Failure::Io(io::ErrorKind::UnexpectedEof.into());
    }
    if lower.contains("user-specified roots") {
        let meaning = Meaning::UnknownAuthority;
        return refused_certificate(meaning.words(), meaning.hint(), target);
    }
    match codes::code_in(&reason, &format!("{error:?}")) {
        Some(code) if cfg!(any(windows, target_os = "macos")) => judge_code(code, &reason, target),
        _ if ["certificate verify failed", "trust", "certificate chain"].iter().any(|word| lower.contains(word)) => {
            refused_certificate(&reason, certificate_hint(&reason), target)
        }
        _ => no_common_tls(&reason, target),
    }
}

fn judge_code(code: i32, reason: &str, target: &Target<'_>) -> Failure {
    let told = codes::told(code);
    let Some(Known { meaning, .. }) = codes::known(code) else {
        return no_common_tls(&format!("{reason} ({told})"), target);
    };
    let words = format!("{} ({told})", meaning.words());
    match meaning {
        Meaning::ConnectionClosed => Failure::Io(io::ErrorKind::UnexpectedEof.into()),
        Meaning::InternalError if is_atlas(target.host) => {
            handshake_failed(format!("no common TLS: {words}"), Some(ATLAS_HINT))
        }
        meaning if meaning.is_of_server_certificate() => refused_certificate(&words, meaning.hint(), target),
        meaning => handshake_failed(format!("no common TLS: {words}"), Some(meaning.hint())),
    }
}

fn refused_certificate(reason: &str, hint: &'static str, target: &Target<'_>) -> Failure {
    let host = target.host;
    let message = format!(
        "the server's certificate was refused: {reason}. Expected: a certificate for {host}. (This platform's TLS does not show the \
         one that was presented)"
    );
    handshake_failed(message, Some(hint))
}

/// What SChannel fails with after the handshake comes with a code for a number of the system's.
fn with_words(error: io::Error) -> io::Error {
    let Some(code) = error.raw_os_error().filter(|code| *code < 0) else { return error };
    match codes::known(code) {
        Some(Known { meaning: Meaning::ConnectionClosed, .. }) => io::ErrorKind::UnexpectedEof.into(),
        Some(Known { meaning, .. }) => io::Error::other(format!("{} ({})", meaning.words(), codes::told(code))),
        None => io::Error::other(format!("{error} ({})", codes::told(code))),
    }
}

/// An error of the stream once more; the first one goes to the platform.
fn again(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}
