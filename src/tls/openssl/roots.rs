//! The authorities that are trusted, in words; and whether there are any at all.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use ::openssl::version;

use crate::options::TlsOptions;
use crate::tls::pem;

/// Whom a context trusts.
pub(super) enum Trust {
    /// The authorities that the program or the connection string names.
    Given(String),
    /// Those of the system: a file and a folder, as OpenSSL was built or the environment says.
    System { file: PathBuf, folder: OsString },
}

impl Trust {
    pub(super) fn new(options: &TlsOptions) -> Trust {
        if options.ca_pem.is_some() {
            return Trust::Given("an authority given in code".to_owned());
        }
        if let Some(path) = &options.ca_file {
            return Trust::Given(format!("an authority in tlsCAFile {}", path.display()));
        }
        let built_in = built_in_folder();
        let file = env::var_os(FILE_VARIABLE).map_or_else(|| built_in.join("cert.pem"), PathBuf::from);
        let folder = env::var_os(FOLDER_VARIABLE).unwrap_or_else(|| built_in.join("certs").into_os_string());
        Trust::System { file, folder }
    }

    /// Says so where the system has no authority at all. It looks into the file and the folder.
    pub(super) fn nothing_there(&self) -> Option<String> {
        let Trust::System { file, folder } = self else { return None };
        if has_certificate(file) || env::split_paths(folder).any(|folder| has_authority(&folder)) {
            return None;
        }
        let folder = PathBuf::from(folder);
        Some(format!(
            "This machine has no authorities to judge by: there is no certificate in {}, and none in {}",
            file.display(),
            folder.display()
        ))
    }

    /// Whether an authority more could have turned this verdict.
    pub(super) fn would_help(&self, reason: &str) -> bool {
        ["issuer", "self signed", "self-signed", "unable to verify"].iter().any(|word| reason.contains(word))
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trust::Given(what) => f.write_str(what),
            Trust::System { .. } => f.write_str("an authority that this system trusts"),
        }
    }
}

/// Where OpenSSL was built to look: it says `OPENSSLDIR: "/usr/lib/ssl"`.
fn built_in_folder() -> PathBuf {
    PathBuf::from(version::dir().split('"').nth(1).unwrap_or("/usr/lib/ssl"))
}

fn has_certificate(file: &Path) -> bool {
    fs::read(file).is_ok_and(|text| pem::blocks(&String::from_utf8_lossy(&text)).iter().any(pem::Block::is_certificate))
}

/// OpenSSL finds an authority by the hash of its name: eight hexadecimal digits, a dot, a number.
fn has_authority(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let Some((hash, number)) = name.to_str().and_then(|name| name.split_once('.')) else { return false };
        hash.len() == HASH_DIGITS
            && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

pub(super) const NO_ROOTS_HINT: &str = "install the package ca-certificates, or let SSL_CERT_FILE name a file with the authorities; \
     if the server's authority is a private one, name its certificate with tlsCAFile";
const FILE_VARIABLE: &str = "SSL_CERT_FILE";
const FOLDER_VARIABLE: &str = "SSL_CERT_DIR";
const HASH_DIGITS: usize = 8;
