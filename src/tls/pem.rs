//! The PEM files that options name: their blocks, and what they are where they are not PEM.

use std::fs;
use std::path::Path;

use crate::error::{Error, ErrorKind, Stage};

/// The bytes of the file that `tlsCAFile` names, once they look like certificates.
pub(super) fn read_ca_file(path: &Path) -> Result<Vec<u8>, Error> {
    let bytes = fs::read(path).map_err(|error| about(path, "cannot be read").with_source(error))?;
    let text = String::from_utf8_lossy(&bytes);
    if text.trim().is_empty() {
        return Err(about(path, "is empty"));
    }
    if count(&bytes) > 0 {
        return Ok(bytes);
    }
    Err(match binary_format(&bytes) {
        _ if text.contains("PRIVATE KEY-----") => about(path, "holds a private key and no certificate")
            .with_hint("tlsCAFile names the authority's certificate; your own goes to tlsCertificateKeyFile"),
        Some((format, hint)) => about(path, &format!("holds no PEM text; it looks like {format}")).with_hint(hint),
        None => about(path, "holds no certificate").with_hint("it must have a -----BEGIN CERTIFICATE----- line"),
    })
}

/// How many certificates a PEM text announces.
pub(super) fn count(pem: &[u8]) -> usize {
    let text = String::from_utf8_lossy(pem);
    BEGINNINGS.iter().map(|beginning| text.matches(beginning).count()).sum()
}

/// Refuses a file of which only a part could be read.
pub(super) fn all_read(path: &Path, pem: &[u8], read: usize) -> Result<(), Error> {
    let announced = count(pem);
    if read == announced {
        return Ok(());
    }
    Err(about(path, &format!("announces {announced} certificates, of which {read} could be read")))
}

/// An error about the file that `tlsCAFile` names.
pub(super) fn about(path: &Path, what: &str) -> Error {
    about_own("tlsCAFile", path, what)
}

/// An error about the file that this option names.
pub(super) fn about_own(option: &str, path: &Path, what: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, Stage::Options, format!("{option} {} {what}", path.display()))
}

/// One part of a PEM text.
pub(super) struct Block<'a> {
    /// What stands after BEGIN.
    label: &'a str,
    /// All of it, with its first and last line.
    pub(super) text: &'a str,
}

impl Block<'_> {
    pub(super) fn is_certificate(&self) -> bool {
        matches!(self.label, "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE")
    }

    #[cfg(not(any(windows, target_os = "macos", mongo_blocking_native_tls)))]
    pub(super) fn is_crl(&self) -> bool {
        self.label == "X509 CRL"
    }

    pub(super) fn is_private_key(&self) -> bool {
        self.label.ends_with("PRIVATE KEY")
    }
}

/// The parts of a PEM text that have a beginning and an end.
pub(super) fn blocks(text: &str) -> Vec<Block<'_>> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some((_, after)) = rest.split_once(BEGIN) {
        let Some((label, _)) = after.split_once(DASHES) else { break };
        let end = format!("{END}{label}{DASHES}");
        let start = rest.len() - after.len() - BEGIN.len();
        let Some(length) = rest.get(start..).and_then(|block| block.find(&end)) else {
            rest = after;
            continue;
        };
        let stop = start + length + end.len();
        found.extend(rest.get(start..stop).map(|text| Block { label, text }));
        rest = rest.get(stop..).unwrap_or_default();
    }
    found
}

/// What a file without PEM text is, and how to convert it.
pub(super) fn binary_format(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    if bytes.starts_with(JKS_MAGIC) {
        return Some((
            "a Java key store (JKS)",
            "`keytool -importkeystore -deststoretype pkcs12` and `openssl pkcs12` convert it",
        ));
    }
    if bytes.first() != Some(&DER_SEQUENCE) {
        return None;
    }
    // The head's length is one byte, or says how many bytes it has; PKCS#12 goes on with the version 3.
    let head = bytes.get(1).map_or(0, |length| if *length < 0x80 { 2 } else { 2 + usize::from(length & 0x7f) });
    match bytes.get(head..).is_some_and(|rest| rest.starts_with(PKCS12_VERSION)) {
        true => Some(("PKCS#12", "`openssl pkcs12 -in FILE -out FILE.pem` converts it")),
        false => {
            Some(("DER", "`openssl x509 -inform der -in FILE -out FILE.pem` converts it, for a key `openssl pkey`"))
        }
    }
}

/// How a certificate may begin, now and in older files.
const BEGINNINGS: [&str; 3] =
    ["-----BEGIN CERTIFICATE-----", "-----BEGIN X509 CERTIFICATE-----", "-----BEGIN TRUSTED CERTIFICATE-----"];
/// How every DER certificate begins.
const DER_SEQUENCE: u8 = 0x30;
/// How a Java key store begins.
const JKS_MAGIC: &[u8] = &[0xfe, 0xed, 0xfe, 0xed];
/// INTEGER 3, the version of PKCS#12.
const PKCS12_VERSION: &[u8] = &[2, 1, 3];
const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
