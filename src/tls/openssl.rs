//! OpenSSL, through the crate that binds it.
//!
//! A plain `SslContext` and not `SslConnector`: that one reads the system's whole bundle each time it is built, while the
//! default verify paths are a folder that is looked into on demand. The context is built once per client.

use std::fmt;
use std::io::{self, Read, Write};

use ::openssl::error::ErrorStack;
use ::openssl::ssl::{
    self, ErrorCode, HandshakeError, MidHandshakeSslStream, Ssl, SslContext, SslContextBuilder, SslMethod, SslMode,
    SslOptions, SslSessionCacheMode, SslStream, SslVerifyMode, SslVersion,
};
use ::openssl::x509::store::{X509Store, X509StoreBuilder};
use ::openssl::x509::verify::X509CheckFlags;
use ::openssl::x509::{X509, X509VerifyResult};

use crate::error::Result;
use crate::options::TlsOptions;
use crate::tls::{Failure, NOT_TLS_HINT, PeerName, REFUSED_HINT, certificate_hint, handshake_failed, peer_name, pem};

/// What a client keeps for making TLS channels.
pub(crate) struct Connector {
    context: SslContext,
}

/// A TLS channel over a stream.
pub(crate) struct TlsStream<S>(SslStream<S>);

impl Connector {
    /// Reads the files that the options name.
    pub(crate) fn new(options: &TlsOptions) -> Result<Connector> {
        let store = options.ca_file.as_deref().map(read_store).transpose()?;
        let context = new_context(store).map_err(|error| super::set_up_failed("OpenSSL could not be set up", error))?;
        Ok(Connector { context })
    }

    /// Makes a channel to the peer that must bear the name `host`.
    pub(crate) fn connect<S: Read + Write>(&self, host: &str, stream: S) -> Result<TlsStream<S>, Failure> {
        let ssl = self
            .new_ssl(host)
            .map_err(|error| Failure::Tls(super::set_up_failed("OpenSSL could not prepare the handshake", error)))?;
        match ssl.connect(stream) {
            Ok(stream) => Ok(TlsStream(stream)),
            Err(HandshakeError::Failure(failed) | HandshakeError::WouldBlock(failed)) => Err(judge(failed, host)),
            Err(HandshakeError::SetupFailure(error)) => {
                Err(Failure::Tls(super::set_up_failed("OpenSSL could not start the handshake", error)))
            }
        }
    }

    fn new_ssl(&self, host: &str) -> Result<Ssl, ErrorStack> {
        let mut ssl = Ssl::new(&self.context)?;
        match peer_name(host) {
            PeerName::Ip(address) => ssl.param_mut().set_ip(address)?,
            PeerName::Dns(name) => {
                ssl.set_hostname(name)?;
                ssl.param_mut().set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS);
                ssl.param_mut().set_host(name)?;
            }
        }
        Ok(ssl)
    }
}

impl<S: Read + Write> TlsStream<S> {
    /// The stream beneath.
    pub(crate) fn get_ref(&self) -> &S {
        self.0.get_ref()
    }

    /// The stream beneath.
    pub(crate) fn get_mut(&mut self) -> &mut S {
        self.0.get_mut()
    }

    /// Whether the peer has neither sent anything nor gone. The stream beneath must not wait just now.
    pub(crate) fn is_idle(&mut self) -> bool {
        matches!(self.0.ssl_peek(&mut [0]), Err(error) if error.code() == ErrorCode::WANT_READ)
    }

    /// Tells the peer that no more will come. The stream beneath must not wait just now; failing is fine.
    pub(crate) fn say_goodbye(&mut self) {
        let _ = self.0.shutdown();
    }
}

impl<S: Read + Write> Read for TlsStream<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<S: Read + Write> Write for TlsStream<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector(OpenSSL)")
    }
}

impl<S> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsStream(OpenSSL)")
    }
}

fn new_context(store: Option<X509Store>) -> Result<SslContext, ErrorStack> {
    let mut builder = SslContextBuilder::new(SslMethod::tls_client())?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    builder.set_options(SslOptions::NO_COMPRESSION);
    builder.set_mode(SslMode::AUTO_RETRY | SslMode::ENABLE_PARTIAL_WRITE | SslMode::RELEASE_BUFFERS);
    // A record's head and body in one read: otherwise every reply costs two.
    builder.set_read_ahead(true);
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_verify(SslVerifyMode::PEER);
    match store {
        Some(store) => builder.set_cert_store(store),
        None => builder.set_default_verify_paths()?,
    }
    Ok(builder.build())
}

fn read_store(path: &std::path::Path) -> Result<X509Store> {
    let text = pem::read_ca_file(path)?;
    let unreadable = |error: ErrorStack| pem::about(path, "holds a certificate that cannot be read").with_source(error);
    let certificates = X509::stack_from_pem(&text).map_err(unreadable)?;
    pem::all_read(path, &text, certificates.len())?;
    let mut builder = X509StoreBuilder::new().map_err(unreadable)?;
    for certificate in certificates {
        builder.add_cert(certificate).map_err(unreadable)?;
    }
    Ok(builder.build())
}

/// Tells a refused certificate from a stream that failed, and both from all else.
fn judge<S>(failed: MidHandshakeSslStream<S>, host: &str) -> Failure {
    let verdict = failed.ssl().verify_result();
    let error = failed.into_error();
    if verdict != X509VerifyResult::OK {
        let reason = verdict.error_string();
        let message = format!("the server's certificate was refused: {reason} (the name asked for is {host})");
        return handshake_failed(message, Some(certificate_hint(reason)));
    }
    match error.into_io_error() {
        Ok(error) => Failure::Io(error),
        Err(error) => judge_protocol(&error),
    }
}

fn judge_protocol(error: &ssl::Error) -> Failure {
    let reasons: Vec<&str> =
        error.ssl_error().iter().flat_map(|stack| stack.errors()).filter_map(|e| e.reason()).collect();
    if reasons.is_empty() || reasons.iter().any(|reason| reason.contains("unexpected eof")) {
        return Failure::Io(io::ErrorKind::UnexpectedEof.into());
    }
    let not_tls = ["wrong version number", "packet length too long", "record too small", "bad record type", "http"];
    let hint = match () {
        () if reasons.iter().any(|reason| not_tls.iter().any(|word| reason.contains(word))) => NOT_TLS_HINT,
        () => REFUSED_HINT,
    };
    handshake_failed(format!("no common TLS: {}", reasons.join("; ")), Some(hint))
}
