//! PEM texts, from files or from memory: their blocks; and which format bytes have that are not PEM.

use std::fmt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::der::Reader;
use crate::error::{Error, FaultKind, Result, Stage};

/// Where a text comes from: what an error about it names.
#[derive(Clone, Copy)]
pub(super) enum Origin<'a> {
    /// The file that this option names.
    File(&'static str, &'a Path),
    /// This method of the options' builder.
    Code(&'static str),
}

impl Origin<'_> {
    /// An error about it: `what` goes on where its name ends.
    pub(super) fn about(&self, what: impl fmt::Display) -> Error {
        let message = match self {
            Origin::File(option, path) => format!("{option} {} {what}", path.display()),
            Origin::Code(method) => format!("{method} (in code) {what}"),
        };
        Error::new(FaultKind::InvalidTlsConfig, Stage::Options, message)
    }
}

/// One part of a PEM text.
pub(super) struct Block<'a> {
    /// The text after BEGIN.
    pub(super) label: &'a str,
    /// All of it, with its first and last line.
    pub(super) text: &'a str,
}

impl Block<'_> {
    pub(super) fn is_certificate(&self) -> bool {
        matches!(self.label, "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE")
    }

    /// Whether it is a certificate with OpenSSL's trust settings.
    pub(super) fn is_trusted_certificate(&self) -> bool {
        self.label == "TRUSTED CERTIFICATE"
    }

    #[cfg(not(any(windows, target_os = "macos", mongo_blocking_native_tls)))]
    pub(super) fn is_crl(&self) -> bool {
        self.label == "X509 CRL"
    }

    pub(super) fn is_private_key(&self) -> bool {
        self.label.ends_with("PRIVATE KEY")
    }

    /// Whether it needs a password: PKCS#8 says so in its label, the older forms in a line of their own.
    pub(super) fn is_encrypted(&self) -> bool {
        let says_so = |line: &str| line.starts_with("Proc-Type:") && line.contains("ENCRYPTED");
        self.label == "ENCRYPTED PRIVATE KEY" || self.text.lines().any(says_so)
    }

    /// The text between its first and its last line.
    fn body(&self) -> &str {
        let begin = BEGIN.len() + self.label.len() + DASHES.len();
        let end = END.len() + self.label.len() + DASHES.len();
        self.text.get(begin..self.text.len().saturating_sub(end)).unwrap_or_default()
    }

    /// Writes it with the line breaks of PEM, without changing any other character of the content.
    ///
    /// They get lost where a block goes through a variable of the environment (`\n` as two characters, or blanks) or a
    /// YAML file (blanks before each line). Base64 has neither blanks nor backslashes, so nothing is guessed. The lines
    /// with an encrypted key's parameters in the older form are another matter: without their line breaks, they are an
    /// error.
    fn write(&self, origin: Origin<'_>, out: &mut String) -> Result<()> {
        let body = with_line_breaks(self.body());
        let lines = || body.lines().map(str::trim).filter(|line| !line.is_empty());
        let (headers, content): (Vec<&str>, Vec<&str>) = lines().partition(|line| line.contains(':'));
        if headers.iter().any(|line| line.matches(':').count() > 1 || line.split_ascii_whitespace().count() > 2) {
            return Err(origin
                .about("holds an encrypted key whose line breaks were lost")
                .with_hint("copy the file again with its line breaks; in YAML, write it as a block (`|`)"));
        }
        out.push_str(&format!("{BEGIN}{}{DASHES}\n", self.label));
        for header in &headers {
            out.push_str(header);
            out.push('\n');
        }
        if !headers.is_empty() {
            out.push('\n');
        }
        let characters = content.iter().flat_map(|line| line.chars()).filter(|c| !c.is_ascii_whitespace());
        for (index, character) in characters.enumerate() {
            if index > 0 && index % LINE_LENGTH == 0 {
                out.push('\n');
            }
            out.push(character);
        }
        out.push_str(&format!("\n{END}{}{DASHES}\n", self.label));
        Ok(())
    }

    /// The same certificate without trust settings, as PEM.
    pub(super) fn without_trust_settings(&self) -> String {
        let plain = || {
            let der = self.der()?;
            let (certificate, _) = Reader::split_first(&der)?;
            let content = STANDARD.encode(certificate);
            let mut out = String::new();
            let text = format!("{BEGIN}CERTIFICATE{DASHES}\n{content}\n{END}CERTIFICATE{DASHES}");
            Block { label: "CERTIFICATE", text: &text }.write(Origin::Code(""), &mut out).ok()?;
            Some(out)
        };
        if self.is_trusted_certificate() {
            plain().unwrap_or_else(|| self.text.to_owned())
        } else {
            self.text.to_owned()
        }
    }

    /// The bytes that it holds; `None` where they are no base64, or have lines before them.
    pub(super) fn der(&self) -> Option<Zeroizing<Vec<u8>>> {
        let body = self.text.lines().skip(1).take_while(|line| !line.starts_with(END));
        let body: Zeroizing<String> = Zeroizing::new(body.flat_map(str::split_ascii_whitespace).collect());
        STANDARD.decode(body.as_bytes()).ok().map(Zeroizing::new)
    }
}

/// A block's content in which every line break is one, written as an escape (`\n`) or not. In one buffer, since it may
/// be a key.
fn with_line_breaks(body: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(body.len()));
    let mut escaped = false;
    for character in body.chars() {
        match character {
            '\\' => escaped = true,
            'n' | 'r' if escaped => {
                out.push('\n');
                escaped = false;
            }
            '\r' => out.push('\n'),
            character => {
                out.push(character);
                escaped = false;
            }
        }
    }
    out
}

/// Bytes as PEM text. The error names the format that they seem to have.
pub(super) fn text(origin: Origin<'_>, bytes: &[u8]) -> Result<Zeroizing<String>> {
    if bytes.trim_ascii().is_empty() {
        return Err(origin.about("is empty"));
    }
    // PEM is ASCII; what else a comment may hold does not matter. (No second copy is left behind, as of lossy
    // decoding.)
    let text: Zeroizing<String> =
        Zeroizing::new(bytes.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '?' }).collect());
    if !text.contains(BEGIN) {
        return Err(match binary_format(bytes) {
            Some((format, hint)) => {
                origin.about(format_args!("holds no PEM text; it looks like {format}")).with_hint(hint)
            }
            None => origin.about("holds no PEM text").with_hint("PEM has a -----BEGIN ...----- line"),
        });
    }
    if text.matches(BEGIN).count() != blocks(&text).len() {
        return Err(origin
            .about("is cut short: a -----BEGIN line has no -----END line of its own")
            .with_hint("copy it again, from the first -----BEGIN line to the last -----END line"));
    }
    // Room for all of it at once: a buffer that grows leaves copies of a key behind.
    let mut whole = Zeroizing::new(String::with_capacity(text.len() * 2));
    for block in blocks(&text) {
        block.write(origin, &mut whole)?;
    }
    Ok(whole)
}

/// The certificates among the blocks, at least one.
pub(super) fn certificates<'a>(origin: Origin<'_>, blocks: Vec<Block<'a>>) -> Result<Vec<Block<'a>>> {
    let (certificates, others): (Vec<_>, Vec<_>) = blocks.into_iter().partition(Block::is_certificate);
    if certificates.iter().any(Block::is_encrypted) {
        return Err(encrypted(origin, "certificate"));
    }
    if cfg!(any(windows, target_os = "macos", mongo_blocking_native_tls))
        && certificates.iter().any(Block::is_trusted_certificate)
    {
        let what = "holds a TRUSTED CERTIFICATE block, whose trust settings this platform's TLS does not apply";
        return Err(Error::not_supported(origin.about(what).message().to_owned()).with_hint(
            "`openssl x509 -in FILE -out FILE.pem` writes the certificate alone, which is then trusted for servers",
        ));
    }
    if !certificates.is_empty() {
        return Ok(certificates);
    }
    let labels: Vec<&str> = others.iter().map(|block| block.label).take(MAX_LABELS).collect();
    let hint = match labels.as_slice() {
        labels if labels.iter().any(|label| label.ends_with("CERTIFICATE REQUEST")) => {
            "a request is what the authority makes the certificate from; name what it sent back"
        }
        labels if labels.contains(&"PKCS7") => "`openssl pkcs7 -print_certs -in FILE -out FILE.pem` converts it",
        labels if labels.iter().any(|label| label.ends_with("PRIVATE KEY")) => {
            "tlsCAFile names the authority's certificate; tlsCertificateKeyFile your own certificate and key"
        }
        _ => "it must have a -----BEGIN CERTIFICATE----- line",
    };
    Err(origin.about(format_args!("holds no certificate, only: {}", labels.join(", "))).with_hint(hint))
}

/// Refuses encrypted blocks that are not keys: they need not be secret, and OpenSSL would ask for the password on the terminal.
pub(super) fn encrypted(origin: Origin<'_>, what: &str) -> Error {
    origin
        .about(format_args!("holds an encrypted {what}, which is not supported"))
        .with_hint("only keys may be encrypted: store it unencrypted, without a Proc-Type line")
}

/// The one private key among the blocks.
pub(super) fn private_key<'a>(origin: Origin<'_>, blocks: Vec<Block<'a>>) -> Result<Block<'a>> {
    let mut keys = blocks.into_iter().filter(Block::is_private_key);
    match (keys.next(), keys.next()) {
        (Some(key), None) if key.label == "OPENSSH PRIVATE KEY" => Err(origin
            .about("holds a key in OpenSSH's own format")
            .with_hint("`ssh-keygen -p -m PKCS8 -f KEY` converts it, in place")),
        (Some(key), None) => Ok(key),
        (Some(_), Some(_)) => Err(origin
            .about("holds more than one private key")
            .with_hint("leave the one that belongs to the certificate, and take the others out")),
        (None, _) => Err(origin
            .about("holds no private key")
            .with_hint("put certificate and key into this one file, or name the key's file in ssl_keyfile")),
    }
}

/// The parts of a PEM text that have a beginning and an end.
pub(super) fn blocks(text: &str) -> Vec<Block<'_>> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some((_, after)) = rest.split_once(BEGIN) {
        let Some((label, _)) = after.split_once(DASHES) else { break };
        let end = format!("{END}{label}{DASHES}");
        let start = rest.len() - after.len() - BEGIN.len();
        let next = after.find(BEGIN).map_or(rest.len(), |next| rest.len() - after.len() + next);
        let Some(length) = rest.get(start..next).and_then(|block| block.find(&end)) else {
            rest = after;
            continue;
        };
        let stop = start + length + end.len();
        found.extend(rest.get(start..stop).map(|text| Block { label, text }));
        rest = rest.get(stop..).unwrap_or_default();
    }
    found
}

/// What bytes without PEM text are, and how to convert them.
pub(super) fn binary_format(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    if JKS_MAGICS.iter().any(|magic| bytes.starts_with(magic)) {
        return Some((
            "a Java key store (JKS)",
            "`keytool -importkeystore -srckeystore FILE -destkeystore FILE.p12 -deststoretype pkcs12`, then `openssl pkcs12 -in FILE.p12 -out FILE.pem`, converts it",
        ));
    }
    if UTF_16_MARKS.iter().any(|mark| bytes.starts_with(mark)) {
        return Some(("text in UTF-16", "save it as UTF-8, or as ASCII"));
    }
    if bytes.first() != Some(&DER_SEQUENCE) {
        return None;
    }
    // The head's length is one byte, or says how many bytes it has.
    let head = bytes.get(1).map_or(0, |length| if *length < 0x80 { 2 } else { 2 + usize::from(length & 0x7f) });
    let inside = bytes.get(head..).unwrap_or_default();
    Some(match inside {
        [INTEGER, 1, 3, ..] => ("PKCS#12", "`openssl pkcs12 -in FILE -out FILE.pem` converts it"),
        [INTEGER, 1, 0 | 1, ..] => {
            ("a private key in DER", "`openssl pkey -inform der -in FILE -out FILE.pem` converts it")
        }
        _ => ("a certificate in DER", "`openssl x509 -inform der -in FILE -out FILE.pem` converts it"),
    })
}

/// How every DER certificate, key and bundle begins.
const DER_SEQUENCE: u8 = 0x30;
/// A bundle goes on with its version, 3; a key with 0 (PKCS#8, PKCS#1) or 1 (SEC1).
const INTEGER: u8 = 0x02;
/// How Java key stores begin: JKS and JCEKS.
const JKS_MAGICS: [[u8; 4]; 2] = [[0xfe, 0xed, 0xfe, 0xed], [0xce, 0xce, 0xce, 0xce]];
/// Byte order marks.
const UTF_16_MARKS: [[u8; 2]; 2] = [[0xff, 0xfe], [0xfe, 0xff]];
/// An error lists so many labels.
const MAX_LABELS: usize = 5;
const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
/// RFC 7468, 2: lines of the content have 64 characters.
const LINE_LENGTH: usize = 64;
