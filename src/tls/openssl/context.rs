//! The `SslContext`: protocol versions, authorities, and the client's own certificate.

use ::openssl::error::ErrorStack;
use ::openssl::ssl::{SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, SslVerifyMode, SslVersion};
use ::openssl::x509::X509;
use ::openssl::x509::store::{X509Store, X509StoreBuilder};

use super::client_identity::ClientIdentity;
use super::revocation::crl::Lists;
use super::revocation::{self, crl};
use super::roots;
use super::sessions::Sessions;
use crate::error::Result;
use crate::options::{TlsOptions, TlsVersion};
use crate::tls::files::Files;
use crate::tls::set_up_failed;
use crate::tls::trust_anchors::TrustAnchors;
use crate::warning::Warnings;

pub(super) fn new_context(
    store: Option<X509Store>,
    own: Option<&ClientIdentity>,
    options: &TlsOptions,
) -> Result<SslContext, ErrorStack> {
    let mut builder = SslContextBuilder::new(SslMethod::tls_client())?;
    builder.set_min_proto_version(Some(version(options.oldest_version())))?;
    // With TLS 1.2 a server could ask for a second handshake, and show another certificate, after all has been judged.
    builder.set_options(SslOptions::NO_COMPRESSION | SslOptions::NO_RENEGOTIATION);
    builder.set_mode(SslMode::AUTO_RETRY | SslMode::ENABLE_PARTIAL_WRITE | SslMode::RELEASE_BUFFERS);
    // A record's head and body in one read: otherwise every reply costs two.
    builder.set_read_ahead(true);
    Sessions::watch(&mut builder)?;
    builder.set_verify(match options.danger_accepts_any_certificate() {
        true => SslVerifyMode::NONE,
        false => SslVerifyMode::PEER,
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

/// Whom to trust, and whom no more: the authorities and the lists of what they revoked. `None` where it is all the
/// system's.
pub(super) fn new_store(
    options: &TlsOptions,
    files: &Files,
    warnings: &mut Warnings,
) -> Result<(Option<X509Store>, Option<Lists>)> {
    let revoked = options.crl_file.as_deref().zip(files.revoked.as_deref()).filter(|_| revocation::is_on(options));
    let mut builder = match (TrustAnchors::read(options, files)?, revoked) {
        (Some(authorities), _) => given_authorities(&authorities, warnings)?,
        // The system's OpenSSL finds the system's authorities by itself.
        (None, None) if cfg!(not(feature = "openssl-vendored")) => return Ok((None, None)),
        (None, _) => system_authorities().map_err(|error| set_up_failed(SET_UP_FAILED, error))?,
    };
    let lists = revoked.map(|(path, bytes)| crl::add(&mut builder, path, bytes)).transpose()?;
    Ok((Some(builder.build()), lists))
}

fn system_authorities() -> Result<X509StoreBuilder, ErrorStack> {
    let mut builder = X509StoreBuilder::new()?;
    roots::add_system(&mut builder)?;
    Ok(builder)
}

fn given_authorities(authorities: &TrustAnchors<'_>, warnings: &mut Warnings) -> Result<X509StoreBuilder> {
    let certificates = authorities.each(warnings, |block| X509::from_pem(block.text.as_bytes()))?;
    let refused = |error: ErrorStack| authorities.origin.about("holds what OpenSSL does not take").with_source(error);
    let mut builder = X509StoreBuilder::new().map_err(refused)?;
    for certificate in certificates {
        builder.add_cert(certificate).map_err(refused)?;
    }
    Ok(builder)
}

pub(super) const SET_UP_FAILED: &str = "OpenSSL could not be set up";
