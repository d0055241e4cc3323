//! OpenSSL, through the crate that binds it.
//!
//! A plain `SslContext` and not `SslConnector`: that one reads the system's whole bundle each time it is built, while the
//! default verify paths are a folder that is looked into on demand. The context is built once per client.

mod context;
mod facts;
mod name;
mod own;
mod presented;
mod resume;
mod revocation;
mod roots;
mod sessions;
mod verdict;

use std::io::{Read, Write};
use std::sync::Arc;

use ::openssl::error::ErrorStack;
use ::openssl::ssl::{ErrorCode, HandshakeError, MidHandshakeSslStream, Ssl, SslContext, SslRef, SslStream};
use ::openssl::x509::verify::X509CheckFlags;

pub(super) use revocation::Cache as Memory;
use revocation::Checker;
use roots::Trust;
use sessions::{Sessions, Vetted};
use verdict::Witness;

use crate::auth::Presented;
use crate::error::Result;
use crate::event::{ChannelFacts, Revocation};
use crate::options::TlsOptions;
use crate::tls::files::Files;
use crate::tls::{Failure, PeerName, Target, identity, peer_name, set_up_failed};
use crate::warning::{Alarm, Warnings};

/// One identity under one set of trust settings.
pub(super) struct Context {
    context: SslContext,
    presented: Option<Arc<Presented>>,
    trust: Trust,
    sessions: Arc<Sessions>,
    revocation: Option<Checker>,
    danger_accepts_any_certificate: bool,
    danger_accepts_any_hostname: bool,
}

/// What an error tells of a stranger's certificate, and whether that promises a stapled answer: bounded work, whatever it says.
#[cfg(any(test, fuzzing))]
pub(super) fn read_certificate(der: &[u8]) -> Option<String> {
    let promised = revocation::must_staple::is_promised(der);
    let certificate = ::openssl::x509::X509::from_der(der).ok()?;
    Some(format!("{}, must-staple: {promised}", presented::describe(&certificate)))
}

/// A TLS channel as OpenSSL makes it.
pub(super) type Channel<S> = SslStream<S>;

impl Context {
    /// Judges what the options name, files and all. The memory is the client's, for whichever context it has.
    pub(super) fn new(
        options: &TlsOptions,
        files: &Files,
        memory: &Arc<Memory>,
        alarm: &Alarm,
        warnings: &mut Warnings,
    ) -> Result<Context> {
        let (store, lists) = context::new_store(options, files, warnings)?;
        let own = identity::read(options, files, warnings)?;
        let own = own.map(|own| own::Identity::new(&own, warnings)).transpose()?;
        let context = context::new_context(store, own.as_ref(), options)
            .map_err(|error| set_up_failed(context::SET_UP_FAILED, error))?;
        Ok(Context {
            context,
            presented: own.and_then(|own| own.presented()).map(Arc::new),
            trust: Trust::new(options),
            sessions: Arc::default(),
            revocation: revocation::is_on(options).then(|| Checker::new(options, lists, memory, alarm)),
            danger_accepts_any_certificate: options.danger_accepts_any_certificate(),
            danger_accepts_any_hostname: options.danger_accepts_any_hostname(),
        })
    }

    /// The certificate that servers get to see.
    pub(super) fn presented(&self) -> Option<&Arc<Presented>> {
        self.presented.as_ref()
    }

    /// Makes a channel to the peer that must bear the name `target.host`.
    pub(super) fn connect<S: Read + Write>(
        &self,
        target: &Target<'_>,
        stream: S,
    ) -> Result<(Channel<S>, ChannelFacts), Failure> {
        let witness = Witness::default();
        let (ssl, offered) = self
            .prepare(target, &witness)
            .map_err(|error| Failure::Tls(set_up_failed("OpenSSL could not prepare the handshake", error)))?;
        let channel = match ssl.connect(stream) {
            Ok(channel) => channel,
            Err(HandshakeError::Failure(failed) | HandshakeError::WouldBlock(failed)) => {
                return Err(self.failed(failed, &witness, offered.is_some(), target));
            }
            Err(HandshakeError::SetupFailure(error)) => {
                return Err(Failure::Tls(set_up_failed("OpenSSL could not start the handshake", error)));
            }
        };
        let vetted = match offered.filter(|_| channel.ssl().session_reused()) {
            Some(vetted) => vetted,
            // What refuses this one's certificate speaks against sessions that came of it earlier, too.
            None => self.vet(channel.ssl(), target).inspect_err(|_| self.sessions.failed(target))?,
        };
        let facts = facts::facts(channel.ssl(), vetted.revocation.clone());
        Sessions::accept(channel.ssl(), vetted);
        Ok((channel, facts))
    }

    /// What is to be found out once the chain is verified.
    fn vet(&self, ssl: &SslRef, target: &Target<'_>) -> Result<Vetted, Failure> {
        let Some(checker) = &self.revocation else { return Ok(Vetted::now(ssl, Revocation::NotChecked, None)) };
        let found = checker.judge(ssl, target).map_err(Failure::Tls)?;
        Ok(Vetted::now(ssl, found.revocation, found.until))
    }

    /// Everything that a handshake is given on its way, and what is known of the session that it takes up, if any.
    fn prepare(&self, target: &Target<'_>, witness: &Witness) -> Result<(Ssl, Option<Vetted>), ErrorStack> {
        let mut ssl = Ssl::new(&self.context)?;
        self.expect_name(&mut ssl, target.host)?;
        if !self.danger_accepts_any_certificate {
            witness.watch(&mut ssl);
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
                ssl.param_mut().set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS);
                ssl.param_mut().set_host(name)?;
            }
        }
        Ok(())
    }

    /// Why there is no channel. Some servers break off at a session that they have made themselves: unless time ran out, a
    /// handshake without one is worth a try.
    fn failed<S>(
        &self,
        failed: MidHandshakeSslStream<S>,
        witness: &Witness,
        took_up_session: bool,
        target: &Target<'_>,
    ) -> Failure {
        let certificate_refused = verdict::is_refusal(&failed);
        let failure = verdict::judge(failed, witness, &self.trust, target);
        if !took_up_session {
            return failure;
        }
        self.sessions.failed(target);
        match certificate_refused || target.deadline.expired() {
            true => failure,
            false => Failure::Resumption(Box::new(failure)),
        }
    }
}

/// Whether the peer has neither sent anything nor gone. The stream beneath must not wait just now.
pub(super) fn is_idle<S: Read + Write>(channel: &mut Channel<S>) -> bool {
    matches!(channel.ssl_peek(&mut [0]), Err(error) if error.code() == ErrorCode::WANT_READ)
}

#[cfg(test)]
mod tests;
