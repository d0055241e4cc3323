//! TLS by the platform: OpenSSL on Linux and the BSDs, SChannel and Secure Transport (through `native-tls`) on Windows
//! and macOS. One backend per platform, chosen by `cfg`, never by a feature.
//!
//! Both verify the certificate and the host name, send the host name (SNI) and speak TLS 1.2 or later. With `--cfg
//! mongo_blocking_native_tls` in `RUSTFLAGS` the second one is used everywhere, so that it is tested on Linux too.
//!
//! [`Connector`] makes a [`TlsStream`], both the same for all; a backend gives them its `Context` (one identity under
//! one set of trust settings) and its `Channel`.
//!
//! This module has no sockets: it works over any stream. The stream enforces time limits.

mod certificate;
mod channel;
#[cfg(any(test, windows, target_os = "macos", mongo_blocking_native_tls))]
mod codes;
mod connector;
mod der;
mod failure;
mod files;
mod identity;
#[cfg(any(test, windows, target_os = "macos", mongo_blocking_native_tls))]
mod key_match;
#[cfg(any(windows, target_os = "macos", mongo_blocking_native_tls))]
mod native;
mod oid;
#[cfg(not(any(windows, target_os = "macos", mongo_blocking_native_tls)))]
mod openssl;
mod pem;
mod target;
mod trust_anchors;

use std::sync::Arc;

pub(crate) use channel::TlsStream;
pub(crate) use connector::Connector;
pub(crate) use failure::{ATLAS_HINT, Failure, is_atlas};
pub(crate) use target::Target;

#[cfg(any(windows, target_os = "macos", mongo_blocking_native_tls))]
use native::{Channel, Context, OcspCache, is_idle};
#[cfg(not(any(windows, target_os = "macos", mongo_blocking_native_tls)))]
use openssl::{Channel, Context, OcspCache, is_idle};

#[cfg(all(any(test, fuzzing), not(any(windows, target_os = "macos", mongo_blocking_native_tls))))]
pub(crate) use openssl::inspect;

use crate::system::System;
use crate::warning::WarningSink;

/// What all contexts of a client have in common, whatever the files hold.
#[derive(Clone)]
struct SharedParts {
    system: Arc<dyn System>,
    warning_sink: WarningSink,
    /// OCSP answers about servers. They stay valid when the client's certificate changes.
    #[cfg_attr(
        any(windows, target_os = "macos", mongo_blocking_native_tls),
        expect(dead_code, reason = "this backend has no OCSP options")
    )]
    ocsp_cache: Arc<OcspCache>,
}

/// All texts that are read from an untrusted certificate for errors.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_certificate(der: &[u8], now: std::time::SystemTime) -> Vec<String> {
    let mut texts = Vec::new();
    if let Some(certificate) = certificate::Certificate::read(der) {
        let presented = certificate.presented(der, 0);
        texts.push(presented.refusal_hint(now));
        texts.extend([presented.subject, presented.issuer, presented.expires]);
        texts.extend(certificate.not_valid_at(now));
    }
    #[cfg(not(any(windows, target_os = "macos", mongo_blocking_native_tls)))]
    texts.extend(openssl::read_certificate(der));
    texts
}

#[cfg(test)]
mod tests;
