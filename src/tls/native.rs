//! SChannel and Secure Transport (and OpenSSL, where this is tested on Linux) through `native-tls`.

use std::error::Error as StdError;
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;

use native_tls::{Certificate, HandshakeError, Identity, Protocol, TlsConnector, TlsConnectorBuilder};

use crate::certificate::PresentedCertificate;
use crate::error::{Error, Result};
use crate::event::{Revocation, TlsInfo};
use crate::options::{TlsOptions, TlsVersion};
use crate::tls::certificate;
use crate::tls::files::Files;
use crate::tls::identity::{self, Bundle, Material, Own};
use crate::tls::trust_anchors::TrustAnchors;
use crate::tls::{
    Failure, PeerName, Target, certificate_hint, handshake_failed, key_match, no_common_tls, peer_name, pem,
};
use crate::warning::{WarningSink, Warnings};

/// One identity under one set of trust settings.
pub(super) struct Context {
    connector: TlsConnector,
    presented: Option<Arc<PresentedCertificate>>,
}

/// What a client remembers of servers: here, nothing.
#[derive(Default)]
pub(super) struct OcspCache;

/// A TLS channel as the platform makes it.
pub(super) type Channel<S> = native_tls::TlsStream<S>;

impl Context {
    /// Judges what the options name, files and all.
    pub(super) fn new(
        options: &TlsOptions,
        files: &Files,
        _ocsp_cache: &Arc<OcspCache>,
        _alarm: &WarningSink,
        warnings: &mut Warnings,
    ) -> Result<Context> {
        let mut builder = TlsConnector::builder();
        builder.min_protocol_version(Some(version(options.oldest_version())?));
        if let Some(authorities) = TrustAnchors::read(options, files)? {
            builder.disable_built_in_roots(true);
            for certificate in authorities.each(warnings, |block| Certificate::from_pem(block.text.as_bytes()))? {
                builder.add_root_certificate(certificate);
            }
        }
        builder.danger_accept_invalid_certs(options.danger_accepts_any_certificate());
        builder.danger_accept_invalid_hostnames(options.danger_accepts_any_hostname());
        let (connector, presented) = match identity::read(options, files, warnings)? {
            Some(Own::Pem(material)) => build_with(&mut builder, &material, warnings)?,
            Some(Own::Pkcs12(bundle)) => (build_with_bundle(&mut builder, &bundle)?, None),
            None => (builder.build().map_err(|error| super::set_up_failed(SET_UP_FAILED, error))?, None),
        };
        Ok(Context { connector, presented: presented.map(Arc::new) })
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
        match self.connector.connect(&name, stream) {
            Ok(channel) => {
                let facts = facts(&channel);
                Ok((channel, facts))
            }
            Err(HandshakeError::WouldBlock(_)) => Err(Failure::Io(io::ErrorKind::TimedOut.into())),
            Err(HandshakeError::Failure(error)) => Err(judge(&error, target)),
        }
    }
}

/// What the platform does about revocation is the system's setting, and is left as it is.
pub(super) fn refuse_revocation_options(options: &TlsOptions) -> Result<()> {
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
fn facts<S: Read + Write>(channel: &Channel<S>) -> TlsInfo {
    let der = channel.peer_certificate().ok().flatten().and_then(|certificate| certificate.to_der().ok());
    let subject = der.and_then(|der| certificate::Certificate::read(&der)).map(|certificate| certificate.subject);
    TlsInfo {
        backend: BACKEND.to_owned(),
        protocol: None,
        cipher: None,
        peer_chain: subject.into_iter().collect(),
        resumed: None,
        revocation: Revocation::LeftToPlatform,
    }
}

/// The platform wants the leaf first and says nothing of which it is, so each certificate has its turn: with the wrong one
/// the key does not match.
fn build_with(
    builder: &mut TlsConnectorBuilder,
    material: &Material<'_>,
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
    // SChannel takes any two for a pair, so they are compared here first, as far as that goes.
    let is_stranger = |certificate: &String| {
        let der = pem::blocks(certificate).first().and_then(pem::Block::der);
        der.is_some_and(|der| key_match::belong_together(&der, &key) == Some(false))
    };
    let strangers: Vec<bool> = material.certificates.iter().map(is_stranger).collect();
    for leaf in (0..material.certificates.len()).filter(|leaf| strangers.get(*leaf) == Some(&false)) {
        if let Ok(own) = Identity::from_pkcs8(first(material, leaf).as_bytes(), material.key.as_bytes()) {
            builder.identity(own);
            if let Ok(connector) = builder.build() {
                let facts = material.facts(leaf);
                facts.iter().for_each(|facts| identity::warn_of_validity(facts, warnings));
                return Ok((connector, facts.map(|facts| facts.presented())));
            }
        }
    }
    Err(material.mismatch())
}

/// The platform opens the bundle, and says little of why it does not.
fn build_with_bundle(builder: &mut TlsConnectorBuilder, bundle: &Bundle<'_>) -> Result<TlsConnector> {
    let own = Identity::from_pkcs12(bundle.der, bundle.password).map_err(|error| unopened_bundle(bundle, error))?;
    builder.identity(own);
    builder.build().map_err(|error| bundle.mismatch().with_source(error))
}

fn unopened_bundle(bundle: &Bundle<'_>, error: native_tls::Error) -> Error {
    let words = error.to_string().to_ascii_lowercase();
    let error_and_hint = match () {
        () if words.contains("unsupported") => bundle.not_available("its encryption"),
        () => bundle.wrong_password(),
    };
    error_and_hint.with_source(error)
}

/// All certificates, this one before the others.
fn first(material: &Material<'_>, leaf: usize) -> String {
    let mut certificates: Vec<&str> = material.certificates.iter().map(String::as_str).collect();
    certificates.get_mut(..=leaf).unwrap_or_default().rotate_right(1);
    certificates.join("\n")
}

const BACKEND: &str = match () {
    () if cfg!(windows) => "SChannel",
    () if cfg!(target_os = "macos") => "Secure Transport",
    () => "native-tls",
};
const SET_UP_FAILED: &str = "the platform's TLS could not be set up";

/// Tells a refused certificate from a stream that failed, and both from all else, by what the platform says.
fn judge(error: &native_tls::Error, target: &Target<'_>) -> Failure {
    if let Some(cause) = io_cause(error) {
        return Failure::Io(cause);
    }
    let reason = error.to_string();
    let lower = reason.to_ascii_lowercase();
    if lower.contains("unexpected eof") {
        return Failure::Io(io::ErrorKind::UnexpectedEof.into());
    }
    if lower.contains("certificate verify failed") || lower.contains("trust") || lower.contains("certificate chain") {
        let host = target.host;
        let message = format!(
            "the server's certificate was refused: {reason}. Expected: a certificate for {host}. \
             (This platform's TLS does not show the one that was presented)"
        );
        return handshake_failed(message, Some(certificate_hint(&reason)));
    }
    no_common_tls(&reason, target)
}

/// The stream's own error beneath, as far as an error can be told again.
fn io_cause(error: &native_tls::Error) -> Option<io::Error> {
    let mut cause: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<io::Error>()
            // SChannel's own verdicts come as I/O errors too, with negative codes.
            && io.raw_os_error().is_none_or(|code| code >= 0)
        {
            let again = io.raw_os_error().map(io::Error::from_raw_os_error);
            return Some(again.unwrap_or_else(|| io.kind().into()));
        }
        cause = inner.source();
    }
    None
}
