//! The `SslContext`: protocol versions, authorities, and the client's own certificate.

use std::time::SystemTime;

use ::openssl::error::ErrorStack;
use ::openssl::ssl::{SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, SslVerifyMode, SslVersion};
use ::openssl::x509::X509;
use ::openssl::x509::store::{X509Store, X509StoreBuilder};

use super::client_identity::ClientIdentity;
use super::revocation::crl::Lists;
use super::revocation::{self, crl};
use super::roots;
use super::sessions::Sessions;
use super::trust_settings::{self, TrustSettings};
use crate::error::Result;
use crate::options::{TlsSettings, TlsVersion};
use crate::system::System;
use crate::tls::failure::set_up_failed;
use crate::tls::files::Files;
use crate::tls::trust_anchors::TrustAnchors;
use crate::warning::Warnings;

pub(super) fn new_context(
    store: Option<X509Store>,
    own: Option<&ClientIdentity>,
    options: &TlsSettings,
) -> Result<SslContext, ErrorStack> {
    let mut builder = SslContextBuilder::new(SslMethod::tls_client())?;
    builder.set_min_proto_version(Some(version(options.oldest_version())))?;
    // With TLS 1.2 a server could ask for a second handshake after verification, and present another certificate.
    builder.set_options(SslOptions::NO_COMPRESSION | SslOptions::NO_RENEGOTIATION);
    builder.set_mode(SslMode::AUTO_RETRY | SslMode::ENABLE_PARTIAL_WRITE | SslMode::RELEASE_BUFFERS);
    // A record's head and body in one read: otherwise every reply costs two.
    builder.set_read_ahead(true);
    Sessions::watch(&mut builder)?;
    builder.set_verify(if options.danger_accepts_any_certificate() {
        SslVerifyMode::NONE
    } else {
        SslVerifyMode::PEER
    });
    if let Some(own) = own {
        builder.set_certificate(&own.leaf)?;
        builder.set_private_key(&own.key)?;
        for certificate in &own.chain {
            builder.add_extra_chain_cert(certificate.clone())?;
        }
    }
    match store {
        Some(store) => builder.set_cert_store(store),
        None => builder.set_default_verify_paths()?,
    }
    Ok(builder.build())
}

fn version(version: TlsVersion) -> SslVersion {
    match version {
        TlsVersion::V1_0 => SslVersion::TLS1,
        TlsVersion::V1_1 => SslVersion::TLS1_1,
        TlsVersion::V1_2 => SslVersion::TLS1_2,
        TlsVersion::V1_3 => SslVersion::TLS1_3,
    }
}

/// The certificates that decide about a server's: the authorities, and the lists of what they revoked.
pub(super) struct Store {
    /// `None` where everything is the system's.
    pub(super) store: Option<X509Store>,
    pub(super) lists: Option<Lists>,
    /// The authorities' certificates, where they were given.
    pub(super) authorities: Vec<X509>,
    pub(super) trust_settings: TrustSettings,
}

/// Reads what the options name.
pub(super) fn new_store(
    options: &TlsSettings,
    files: &Files,
    system: &dyn System,
    warnings: &mut Warnings,
) -> Result<Store> {
    let revoked = options.crl_file.as_deref().zip(files.revoked.as_deref()).filter(|_| revocation::is_on(options));
    let (mut authorities, mut trust_settings) = (Vec::new(), TrustSettings::default());
    let mut builder = match (TrustAnchors::read(options, files)?, revoked) {
        (Some(anchors), _) => {
            given_authorities(&anchors, system.now(), warnings, (&mut authorities, &mut trust_settings))?
        }
        // The system's OpenSSL knows where the system's authorities are.
        (None, None) if cfg!(not(feature = "openssl-vendored")) => {
            return Ok(Store { store: None, lists: None, authorities, trust_settings });
        }
        (None, _) => system_authorities(system).map_err(|error| set_up_failed(SET_UP_FAILED, error))?,
    };
    let lists = revoked.map(|(path, bytes)| crl::add(&mut builder, path, bytes)).transpose()?;
    Ok(Store { store: Some(builder.build()), lists, authorities, trust_settings })
}

fn system_authorities(system: &dyn System) -> Result<X509StoreBuilder, ErrorStack> {
    let mut builder = X509StoreBuilder::new()?;
    roots::add_system(&mut builder, system)?;
    Ok(builder)
}

fn given_authorities(
    anchors: &TrustAnchors<'_>,
    now: SystemTime,
    warnings: &mut Warnings,
    (authorities, trust_settings): (&mut Vec<X509>, &mut TrustSettings),
) -> Result<X509StoreBuilder> {
    let refused =
        |error: ErrorStack| anchors.origin.about("holds a certificate that OpenSSL does not accept").with_source(error);
    let mut builder = X509StoreBuilder::new().map_err(refused)?;
    for (certificate, setting) in anchors.each(now, warnings, trust_settings::read)? {
        // One that is rejected is added too: OpenSSL must find it, so that a chain with it is refused.
        trust_settings.add(&certificate, setting).map_err(refused)?;
        authorities.push(certificate.clone());
        builder.add_cert(certificate).map_err(refused)?;
    }
    Ok(builder)
}

pub(super) const SET_UP_FAILED: &str = "OpenSSL could not be set up";
