//! OpenSSL, through the crate that binds it.
//!
//! A plain `SslContext` and not `SslConnector`: that one reads the system's whole bundle each time it is built, while the
//! default verify paths are a folder that is looked into on demand. The context is built once per client.

use std::fmt;
use std::io::{self, Read, Write};

use ::openssl::error::ErrorStack;
use ::openssl::pkey::{PKey, Private};
use ::openssl::ssl::{
    self, ErrorCode, HandshakeError, MidHandshakeSslStream, Ssl, SslContext, SslContextBuilder, SslMethod, SslMode,
    SslOptions, SslSessionCacheMode, SslStream, SslVerifyMode, SslVersion,
};
use ::openssl::x509::store::{X509Store, X509StoreBuilder};
use ::openssl::x509::verify::X509CheckFlags;
use ::openssl::x509::{X509, X509NameRef, X509VerifyResult};

use crate::auth::Presented;
use crate::error::Result;
use crate::options::TlsOptions;
use crate::tls::identity::{self, Material};
use crate::tls::{Failure, NOT_TLS_HINT, PeerName, REFUSED_HINT, certificate_hint, handshake_failed, peer_name, pem};

/// What a client keeps for making TLS channels.
pub(crate) struct Connector {
    context: SslContext,
    presented: Option<Presented>,
    danger_accepts_any_hostname: bool,
}

/// A TLS channel over a stream.
pub(crate) struct TlsStream<S>(SslStream<S>);

impl Connector {
    /// Reads the files that the options name.
    pub(crate) fn new(options: &TlsOptions) -> Result<Connector> {
        let store = options.ca_file.as_deref().map(read_store).transpose()?;
        let own = identity::read(options)?.map(|material| Identity::new(&material)).transpose()?;
        let context = new_context(store, own.as_ref(), options.danger_accepts_any_certificate())
            .map_err(|error| super::set_up_failed("OpenSSL could not be set up", error))?;
        Ok(Connector {
            context,
            presented: own.map(|own| own.presented()),
            danger_accepts_any_hostname: options.danger_accepts_any_hostname(),
        })
    }

    /// The certificate that servers get to see.
    pub(crate) fn presented(&self) -> Option<&Presented> {
        self.presented.as_ref()
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

/// The client's own certificate, ready for use.
struct Identity {
    leaf: X509,
    /// Its issuers, as far as the file holds them, each before its own.
    chain: Vec<X509>,
    key: PKey<Private>,
}

impl Identity {
    fn new(material: &Material<'_>) -> Result<Identity> {
        let key = read_key(material)?;
        let mut others = Vec::new();
        for certificate in &material.certificates {
            others.push(X509::from_pem(certificate.as_bytes()).map_err(|error| {
                material.about_certificates("holds a certificate that cannot be read").with_source(error)
            })?);
        }
        let matches = |certificate: &X509| certificate.public_key().is_ok_and(|public| public.public_eq(&key));
        let Some(position) = others.iter().position(matches) else { return Err(material.mismatch()) };
        let leaf = others.swap_remove(position);
        let mut chain: Vec<X509> = Vec::new();
        loop {
            let last = chain.last().unwrap_or(&leaf);
            let Some(issuer) = others.iter().position(|other| other.issued(last) == X509VerifyResult::OK) else {
                break;
            };
            chain.push(others.swap_remove(issuer));
        }
        Ok(Identity { leaf, chain, key })
    }

    fn presented(&self) -> Presented {
        Presented { subject: rfc2253(self.leaf.subject_name()), expires: self.leaf.not_after().to_string() }
    }
}

/// The key, decrypted. The callback is there so that OpenSSL never asks on the terminal.
fn read_key(material: &Material<'_>) -> Result<PKey<Private>> {
    let give = |buffer: &mut [u8]| {
        let password = material.password.unwrap_or_default().as_bytes();
        let Some(place) = buffer.get_mut(..password.len()) else { return Err(ErrorStack::get()) };
        place.copy_from_slice(password);
        Ok(password.len())
    };
    PKey::private_key_from_pem_callback(material.key.as_bytes(), give)
        .map_err(|error| identity::unreadable_key(material).with_source(error))
}

/// A name as RFC 2253 writes it: the last part first, commas between, what is special escaped.
fn rfc2253(name: &X509NameRef) -> String {
    let mut parts = Vec::new();
    for entry in name.entries() {
        let object = entry.object();
        let kind = object.nid().short_name().map_or_else(|_| object.to_string(), str::to_owned);
        let value = entry.data().to_string().unwrap_or_default();
        parts.push(format!("{kind}={}", escaped(&value)));
    }
    parts.reverse();
    parts.join(",")
}

fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut text = String::new();
    for (position, character) in value.chars().enumerate() {
        let edge = (character == '#' && position == 0) || (character == ' ' && (position == 0 || position == last));
        if edge || ",+\"\\<>;".contains(character) {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

fn new_context(
    store: Option<X509Store>,
    own: Option<&Identity>,
    danger_accepts_any_certificate: bool,
) -> Result<SslContext, ErrorStack> {
    let mut builder = SslContextBuilder::new(SslMethod::tls_client())?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    builder.set_options(SslOptions::NO_COMPRESSION);
    builder.set_mode(SslMode::AUTO_RETRY | SslMode::ENABLE_PARTIAL_WRITE | SslMode::RELEASE_BUFFERS);
    // A record's head and body in one read: otherwise every reply costs two.
    builder.set_read_ahead(true);
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_verify(match danger_accepts_any_certificate {
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
