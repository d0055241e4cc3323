//! OpenSSL, through the crate that binds it.
//!
//! A plain `SslContext` and not `SslConnector`: that one reads the system's whole bundle each time it is built, while
//! the default verify paths are a folder that is looked into on demand. The context is built once per client.

mod client_identity;
mod context;
mod describe;
mod facts;
#[cfg(any(test, fuzzing))]
pub(crate) mod inspect;
mod refusal;
mod resume;
mod revocation;
mod roots;
mod sessions;
mod trust_settings;

use std::io::{Read, Write};
use std::sync::Arc;

use ::openssl::error::ErrorStack;
use ::openssl::ssl::{ErrorCode, HandshakeError, MidHandshakeSslStream, Ssl, SslContext, SslRef, SslStream};
use ::openssl::x509::verify::X509CheckFlags;

use refusal::VerifyErrorCapture;
pub(super) use revocation::OcspCache;
use revocation::RevocationChecker;
use roots::Trust;
use sessions::{Sessions, VerifiedUntil};
use trust_settings::TrustSettings;

use crate::certificate::PresentedCertificate;
use crate::error::Result;
use crate::event::{Revocation, TlsInfo};
use crate::options::TlsSettings;
use crate::system::System;
use crate::tls::SharedParts;
use crate::tls::failure::{Failure, set_up_failed};
use crate::tls::files::Files;
use crate::tls::identity;
use crate::tls::target::{PeerName, Target, peer_name};
use crate::warning::Warnings;

/// One identity under one set of trust settings.
pub(super) struct Context {
    context: SslContext,
    system: Arc<dyn System>,
    presented: Option<Arc<PresentedCertificate>>,
    trust: Trust,
    trust_settings: Arc<TrustSettings>,
    sessions: Arc<Sessions>,
    revocation: Option<RevocationChecker>,
    danger_accepts_any_certificate: bool,
    danger_accepts_any_hostname: bool,
    danger_accepts_common_names: bool,
}

/// The description of an untrusted certificate for an error, and whether it has must-staple. The work is bounded.
#[cfg(any(test, fuzzing))]
pub(super) fn read_certificate(der: &[u8]) -> Option<String> {
    let promised = revocation::must_staple::is_promised(der);
    let certificate = ::openssl::x509::X509::from_der(der).ok()?;
    Some(format!("{}, must-staple: {promised}", describe::describe(&certificate)))
}

/// A TLS channel as OpenSSL makes it.
pub(super) type Channel<S> = SslStream<S>;

impl Context {
    /// Validates the options and the files that they name. The cache belongs to the client, which may have several contexts in
    /// turn.
    pub(super) fn new(
        options: &TlsSettings,
        files: &Files,
        shared: &SharedParts,
        warnings: &mut Warnings,
    ) -> Result<Context> {
        let context::Store { store, lists, authorities, trust_settings } =
            context::new_store(options, files, &*shared.system, warnings)?;
        let own = identity::read(options, files, warnings)?;
        let own =
            own.map(|own| client_identity::ClientIdentity::new(&own, shared.system.now(), warnings)).transpose()?;
        let context = context::new_context(store, own.as_ref(), options)
            .map_err(|error| set_up_failed(context::SET_UP_FAILED, error))?;
        Ok(Context {
            context,
            system: shared.system.clone(),
            presented: own.and_then(|own| own.presented()).map(Arc::new),
            trust: Trust::new(options, authorities, &*shared.system),
            trust_settings: Arc::new(trust_settings),
            sessions: Arc::new(Sessions::new(&shared.system)),
            revocation: revocation::is_on(options).then(|| RevocationChecker::new(options, lists, shared)),
            danger_accepts_any_certificate: options.danger_accepts_any_certificate(),
            danger_accepts_any_hostname: options.danger_accepts_any_hostname(),
            danger_accepts_common_names: options.danger_accepts_common_names(),
        })
    }

    /// The certificate that is presented to servers.
    pub(super) fn presented(&self) -> Option<&Arc<PresentedCertificate>> {
        self.presented.as_ref()
    }

    /// Makes a channel to the peer, whose certificate must have the name `target.host`.
    pub(super) fn connect<S: Read + Write>(
        &self,
        target: &Target<'_>,
        stream: S,
    ) -> Result<(Channel<S>, TlsInfo), Failure> {
        let capture = VerifyErrorCapture::default();
        let (ssl, offered) = self
            .prepare(target, &capture)
            .map_err(|error| Failure::Tls(set_up_failed("OpenSSL could not prepare the handshake", error)))?;
        let channel = match ssl.connect(stream) {
            Ok(channel) => channel,
            Err(HandshakeError::Failure(failed) | HandshakeError::WouldBlock(failed)) => {
                return Err(self.failed(failed, &capture, offered.is_some(), target));
            }
            Err(HandshakeError::SetupFailure(error)) => {
                return Err(Failure::Tls(set_up_failed("OpenSSL could not start the handshake", error)));
            }
        };
        let verified = match offered.filter(|_| channel.ssl().session_reused()) {
            Some(verified) => verified,
            // If this certificate is refused, earlier sessions with the same server must not be used either.
            None => self.vet(channel.ssl(), target).inspect_err(|_| self.sessions.failed(target))?,
        };
        let facts = facts::facts(channel.ssl(), verified.revocation.clone());
        Sessions::accept(channel.ssl(), verified);
        Ok((channel, facts))
    }

    /// What is to be found out once the chain is verified.
    fn vet(&self, ssl: &SslRef, target: &Target<'_>) -> Result<VerifiedUntil, Failure> {
        let Some(checker) = &self.revocation else {
            return Ok(VerifiedUntil::since(self.system.now(), ssl, Revocation::NotChecked, None));
        };
        let found = checker.check(ssl, target).map_err(Failure::Tls)?;
        Ok(VerifiedUntil::since(self.system.now(), ssl, found.revocation, found.until))
    }

    /// Prepares a handshake. Returns what is known about the session that it resumes, if any.
    fn prepare(
        &self,
        target: &Target<'_>,
        capture: &VerifyErrorCapture,
    ) -> Result<(Ssl, Option<VerifiedUntil>), ErrorStack> {
        let mut ssl = Ssl::new(&self.context)?;
        self.expect_name(&mut ssl, target.host)?;
        if !self.danger_accepts_any_certificate {
            capture.watch(&mut ssl, &self.trust_settings);
        }
        if let Some(checker) = &self.revocation {
            checker.prepare(&mut ssl)?;
        }
        let offered = self.sessions.offer(&mut ssl, target)?;
        Ok((ssl, offered))
    }

    /// The host name goes to the server (SNI), and must be in its certificate. An address must, too.
    fn expect_name(&self, ssl: &mut Ssl, host: &str) -> Result<(), ErrorStack> {
        match peer_name(host) {
            PeerName::Ip(_) if self.danger_accepts_any_hostname => {}
            PeerName::Ip(address) => ssl.param_mut().set_ip(address)?,
            PeerName::Dns(name) if self.danger_accepts_any_hostname => ssl.set_hostname(name)?,
            PeerName::Dns(name) => {
                ssl.set_hostname(name)?;
                let mut flags = X509CheckFlags::NO_PARTIAL_WILDCARDS;
                // RFC 9525, 2: only the names in subjectAltName count. A certificate of a user may have any Common
                // Name.
                flags.set(X509CheckFlags::NEVER_CHECK_SUBJECT, !self.danger_accepts_common_names);
                ssl.param_mut().set_hostflags(flags);
                ssl.param_mut().set_host(name)?;
            }
        }
        Ok(())
    }

    /// The error of a failed handshake. Some servers close the connection when a client resumes their own session. So unless
    /// the time is over, a handshake without a session may be tried.
    fn failed<S>(
        &self,
        failed: MidHandshakeSslStream<S>,
        capture: &VerifyErrorCapture,
        took_up_session: bool,
        target: &Target<'_>,
    ) -> Failure {
        let certificate_refused = refusal::is_refusal(&failed);
        let failure = refusal::explain(failed, capture, self, target);
        if !took_up_session {
            return failure;
        }
        self.sessions.failed(target);
        if certificate_refused || target.deadline.expired() { failure } else { Failure::Resumption(Box::new(failure)) }
    }
}

/// Whether the peer has neither sent anything nor closed. The stream beneath must be non-blocking now.
pub(super) fn is_idle<S: Read + Write>(channel: &mut Channel<S>) -> bool {
    matches!(channel.ssl_peek(&mut [0]), Err(error) if error.code() == ErrorCode::WANT_READ)
}

#[cfg(test)]
mod tests;
