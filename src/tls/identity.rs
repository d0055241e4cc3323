//! The client's own certificate and key, as the files hold them: leaf, chain and key in any order, the key perhaps in a file
//! of its own. Each thing that can be wrong with such a file has an error that names it.

use std::fs;
use std::path::Path;

use zeroize::Zeroizing;

use super::pem::{self, Block};
use crate::error::{Error, Result};
use crate::options::TlsOptions;

/// What the files hold; nothing is decrypted yet, and nobody has looked whether key and certificate belong together.
pub(super) struct Material<'a> {
    /// Every certificate, PEM, in the order of the file.
    pub(super) certificates: Vec<String>,
    /// The key, PEM.
    pub(super) key: Zeroizing<String>,
    /// Whether the key has a password.
    pub(super) encrypted: bool,
    /// The password that was given.
    pub(super) password: Option<&'a str>,
    /// The file with the certificates.
    pub(super) file: &'a Path,
    /// The file with the key, and the option that names it.
    pub(super) key_file: (&'a Path, &'static str),
}

/// Reads what the options name, or `None` where they name nothing.
pub(super) fn read(options: &TlsOptions) -> Result<Option<Material<'_>>> {
    let Some(file) = options.certificate_key_file.as_deref() else {
        let orphan = match (&options.key_file, &options.certificate_key_file_password) {
            (Some(_), _) => KEY_FILE,
            (None, Some(_)) => "tlsCertificateKeyFilePassword",
            (None, None) => return Ok(None),
        };
        let message = format!("{orphan} is given, and no tlsCertificateKeyFile that it could belong to");
        return Err(Error::invalid_argument(message));
    };
    let text = read_pem(file, OPTION)?;
    let blocks = pem::blocks(&text);
    let certificates: Vec<String> =
        blocks.iter().filter(|block| block.is_certificate()).map(|block| block.text.to_owned()).collect();
    if certificates.is_empty() {
        return Err(pem::about_own(OPTION, file, "holds no certificate")
            .with_hint("it must have a -----BEGIN CERTIFICATE----- line"));
    }
    let own_key_file = options.key_file.as_deref();
    let key_text = own_key_file.map(|path| read_pem(path, KEY_FILE)).transpose()?;
    let key_file = own_key_file.map_or((file, OPTION), |path| (path, KEY_FILE));
    let key = match &key_text {
        Some(text) => find_key(&pem::blocks(text), key_file)?,
        None => find_key(&blocks, key_file)?,
    };
    let password = options.certificate_key_file_password.as_ref().map(|password| password.expose());
    let material = Material {
        certificates,
        encrypted: key.contains("ENCRYPTED"),
        key,
        password: password.filter(|password| !password.is_empty()),
        file,
        key_file,
    };
    material.check_password()?;
    Ok(Some(material))
}

impl Material<'_> {
    fn check_password(&self) -> Result<()> {
        if self.encrypted && self.password.is_none() {
            return Err(self
                .about_key("holds an encrypted key, and no password is given")
                .with_hint("give it as tlsCertificateKeyFilePassword"));
        }
        if self.password.is_some_and(|password| password.len() > MAX_PASSWORD_BYTES) {
            return Err(Error::invalid_argument(format!(
                "tlsCertificateKeyFilePassword has more than {MAX_PASSWORD_BYTES} bytes"
            )));
        }
        Ok(())
    }

    /// An error about the key's file.
    pub(super) fn about_key(&self, what: &str) -> Error {
        pem::about_own(self.key_file.1, self.key_file.0, what)
    }

    /// An error about the certificates' file.
    pub(super) fn about_certificates(&self, what: &str) -> Error {
        pem::about_own(OPTION, self.file, what)
    }

    /// The key belongs to none of the certificates.
    pub(super) fn mismatch(&self) -> Error {
        self.about_key("holds a key that does not match the certificate").with_hint(
            "certificate and key were made apart: `openssl x509 -pubkey` and `openssl pkey -pubout` must agree",
        )
    }
}

/// The one private key among the blocks.
fn find_key(blocks: &[Block<'_>], file: (&Path, &'static str)) -> Result<Zeroizing<String>> {
    let mut keys = blocks.iter().filter(|block| block.is_private_key());
    let about = |what| pem::about_own(file.1, file.0, what);
    match (keys.next(), keys.next()) {
        (Some(key), None) => Ok(Zeroizing::new(key.text.to_owned())),
        (Some(_), Some(_)) => Err(about("holds more than one private key")),
        (None, _) => Err(about("holds no private key")
            .with_hint("put certificate and key into this one file, or name the key's file in ssl_keyfile")),
    }
}

fn read_pem(path: &Path, option: &'static str) -> Result<Zeroizing<String>> {
    let about = |what: &str| pem::about_own(option, path, what);
    let bytes = Zeroizing::new(fs::read(path).map_err(|error| about("cannot be read").with_source(error))?);
    let text = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
    if text.trim().is_empty() {
        return Err(about("is empty"));
    }
    if text.contains("-----BEGIN ") {
        return Ok(text);
    }
    Err(match pem::binary_format(&bytes) {
        Some((format, hint)) => about(&format!("holds no PEM text; it looks like {format}")).with_hint(hint),
        None => about("holds no PEM text").with_hint("it must have -----BEGIN lines"),
    })
}

/// The backend cannot do what the key asks for.
#[cfg(any(windows, target_os = "macos", mongo_blocking_native_tls))]
pub(super) fn unsupported(material: &Material<'_>, what: &str) -> Error {
    let (path, option) = material.key_file;
    let message = format!("{option} {}: {what} is not supported by this platform's TLS", path.display());
    Error::not_supported(message)
        .with_hint("`openssl pkcs8 -topk8 -nocrypt -in KEY -out KEY.pem` converts the key; guard that file")
}

/// A key that cannot be read.
#[cfg(not(any(windows, target_os = "macos", mongo_blocking_native_tls)))]
pub(super) fn unreadable_key(material: &Material<'_>) -> Error {
    match material.encrypted {
        true => material
            .about_key("holds a key that this password does not open")
            .with_hint("check tlsCertificateKeyFilePassword; in a connection string it is percent-encoded"),
        false => material.about_key("holds a private key that cannot be read"),
    }
}

const OPTION: &str = "tlsCertificateKeyFile";
const KEY_FILE: &str = "ssl_keyfile";
/// OpenSSL's own buffer for a password has this size.
const MAX_PASSWORD_BYTES: usize = 1024;
