//! The PEM files that options name.

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
    Err(match () {
        () if text.contains("PRIVATE KEY-----") => about(path, "holds a private key and no certificate")
            .with_hint("tlsCAFile names the authority's certificate; your own goes to tlsCertificateKeyFile"),
        () if bytes.first() == Some(&DER_SEQUENCE) => about(path, "holds no PEM text; it looks like DER")
            .with_hint("`openssl x509 -inform der -in FILE -out FILE.pem` converts it"),
        () => about(path, "holds no certificate").with_hint("it must have a -----BEGIN CERTIFICATE----- line"),
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
    Error::new(ErrorKind::InvalidArgument, Stage::Options, format!("tlsCAFile {} {what}", path.display()))
}

/// How a certificate may begin, now and in older files.
const BEGINNINGS: [&str; 3] =
    ["-----BEGIN CERTIFICATE-----", "-----BEGIN X509 CERTIFICATE-----", "-----BEGIN TRUSTED CERTIFICATE-----"];
/// How every DER certificate begins.
const DER_SEQUENCE: u8 = 0x30;
