//! OpenSSL, through the crate that binds it.
//!
//! A plain `SslContext` and not `SslConnector`: that one reads the system's whole bundle each time it is built, while the
//! default verify paths are a folder that is looked into on demand. The context is built once per client.

mod context;
mod facts;
mod name;
mod own;
mod verdict;

use std::io::{Read, Write};

use ::openssl::error::ErrorStack;
use ::openssl::ssl::{ErrorCode, HandshakeError, Ssl, SslContext, SslStream};
use ::openssl::x509::verify::X509CheckFlags;

use crate::auth::Presented;
use crate::error::Result;
use crate::event::{ChannelFacts, Revocation};
use crate::options::TlsOptions;
use crate::tls::{Failure, PeerName, Target, identity, peer_name, set_up_failed};

/// One identity under one set of trust settings.
pub(super) struct Context {
    context: SslContext,
    presented: Option<Presented>,
    danger_accepts_any_hostname: bool,
}

/// A TLS channel as OpenSSL makes it.
pub(super) type Channel<S> = SslStream<S>;

impl Context {
    /// Reads the files that the options name.
    pub(super) fn new(options: &TlsOptions) -> Result<Context> {
        let store = options.ca_file.as_deref().map(context::read_store).transpose()?;
        let own = identity::read(options)?.map(|material| own::Identity::new(&material)).transpose()?;
        let context = context::new_context(store, own.as_ref(), options.danger_accepts_any_certificate())
            .map_err(|error| set_up_failed("OpenSSL could not be set up", error))?;
        Ok(Context {
            context,
            presented: own.map(|own| own.presented()),
            danger_accepts_any_hostname: options.danger_accepts_any_hostname(),
        })
    }

    /// The certificate that servers get to see.
    pub(super) fn presented(&self) -> Option<&Presented> {
        self.presented.as_ref()
    }

    /// Makes a channel to the peer that must bear the name `target.host`.
    pub(super) fn connect<S: Read + Write>(
        &self,
        target: &Target<'_>,
        stream: S,
    ) -> Result<(Channel<S>, ChannelFacts), Failure> {
        let ssl = self
            .new_ssl(target.host)
            .map_err(|error| Failure::Tls(set_up_failed("OpenSSL could not prepare the handshake", error)))?;
        let stream = match ssl.connect(stream) {
            Ok(stream) => stream,
            Err(HandshakeError::Failure(failed) | HandshakeError::WouldBlock(failed)) => {
                return Err(verdict::judge(failed, target.host));
            }
            Err(HandshakeError::SetupFailure(error)) => {
                return Err(Failure::Tls(set_up_failed("OpenSSL could not start the handshake", error)));
            }
        };
        let facts = facts::facts(stream.ssl(), Revocation::NotChecked);
        Ok((stream, facts))
    }

    fn new_ssl(&self, host: &str) -> Result<Ssl, ErrorStack> {
        let mut ssl = Ssl::new(&self.context)?;
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
        Ok(ssl)
    }
}

/// Whether the peer has neither sent anything nor gone. The stream beneath must not wait just now.
pub(super) fn is_idle<S: Read + Write>(channel: &mut Channel<S>) -> bool {
    matches!(channel.ssl_peek(&mut [0]), Err(error) if error.code() == ErrorCode::WANT_READ)
}
