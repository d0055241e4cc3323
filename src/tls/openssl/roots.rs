//! The description of the trusted authorities, and whether the system has any.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use ::openssl::error::ErrorStack;
#[cfg(feature = "openssl-vendored")]
use ::openssl::ssl::SslFiletype;
use ::openssl::version;
use ::openssl::x509::X509;
#[cfg(feature = "openssl-vendored")]
use ::openssl::x509::store::X509Lookup;
use ::openssl::x509::store::X509StoreBuilder;

use crate::options::TlsSettings;
use crate::system::System;
use crate::tls::files::MAX_FILE_BYTES;
use crate::tls::pem;

/// The authorities that a context trusts.
pub(super) enum Trust {
    /// The authorities that the program or the connection string names: a description of the source, and their certificates.
    Given { what: String, option: &'static str, authorities: Vec<X509> },
    /// Those of the system: a file and a folder, from the environment or from OpenSSL's build.
    System { file: PathBuf, folder: OsString },
}

impl Trust {
    pub(super) fn new(options: &TlsSettings, authorities: Vec<X509>, system: &dyn System) -> Trust {
        if options.ca_pem.is_some() {
            let what = "an authority given in code".to_owned();
            return Trust::Given { what, option: "tls_ca_pem", authorities };
        }
        if let Some(path) = &options.ca_file {
            let what = format!("an authority in tlsCAFile {}", path.display());
            return Trust::Given { what, option: "tlsCAFile", authorities };
        }
        let SystemPaths { file, folder } = SystemPaths::of_system(system);
        Trust::System { file, folder }
    }

    /// The certificates that were named; none where the system's authorities are trusted.
    pub(super) fn given(&self) -> &[X509] {
        match self {
            Trust::Given { authorities, .. } => authorities,
            Trust::System { .. } => &[],
        }
    }

    /// Where they were given, by the name of the option.
    pub(super) fn option(&self) -> &'static str {
        match self {
            Trust::Given { option, .. } => option,
            Trust::System { .. } => "the system's bundle",
        }
    }

    /// The message if the system has no authority at all. This reads the file and the folder.
    pub(super) fn nothing_there(&self, system: &dyn System) -> Option<String> {
        let Trust::System { file, folder } = self else { return None };
        if has_certificate(file, system) || env::split_paths(folder).any(|folder| has_authority(&folder, system)) {
            return None;
        }
        let folder = PathBuf::from(folder);
        Some(format!(
            "This machine has no trusted authorities: there is no certificate in {}, and none in {}",
            file.display(),
            folder.display()
        ))
    }

    /// Whether another authority could have avoided this refusal.
    pub(super) fn would_help(&self, reason: &str) -> bool {
        ["issuer", "self signed", "self-signed", "unable to verify"].iter().any(|word| reason.contains(word))
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trust::Given { what, .. } => f.write_str(what),
            Trust::System { .. } => f.write_str("an authority that this system trusts"),
        }
    }
}

/// Where the system's authorities are: a file, and folders as `SSL_CERT_DIR` has them.
struct SystemPaths {
    file: PathBuf,
    folder: OsString,
}

impl SystemPaths {
    /// The paths in the environment, which OpenSSL also uses; otherwise those of this system.
    fn of_system(system: &dyn System) -> SystemPaths {
        let SystemPaths { file, folder } = SystemPaths::usual();
        SystemPaths {
            file: system.variable_os(FILE_VARIABLE).map_or(file, PathBuf::from),
            folder: system.variable_os(FOLDER_VARIABLE).unwrap_or(folder),
        }
    }

    /// Where the system's OpenSSL was built to look.
    #[cfg(not(feature = "openssl-vendored"))]
    fn usual() -> SystemPaths {
        let built_in = built_in_folder();
        SystemPaths { file: built_in.join("cert.pem"), folder: built_in.join("certs").into_os_string() }
    }

    /// An OpenSSL that was built from source only knows the folder of its build, so the usual paths of all systems are tried.
    #[cfg(feature = "openssl-vendored")]
    fn usual() -> SystemPaths {
        let built_in = built_in_folder();
        let found = openssl_probe::probe();
        let folders: Vec<PathBuf> = openssl_probe::candidate_cert_dirs().map(PathBuf::from).collect();
        SystemPaths {
            file: found.cert_file.unwrap_or_else(|| built_in.join("cert.pem")),
            folder: env::join_paths(folders)
                .ok()
                .filter(|folders| !folders.is_empty())
                .unwrap_or_else(|| built_in.join("certs").into_os_string()),
        }
    }
}

/// Trusts the system's authorities. Those of a folder are looked up on demand. A file is read as a whole, so it is only read where
/// SSL_CERT_FILE names it or where no folder has authorities.
#[cfg(feature = "openssl-vendored")]
pub(super) fn add_system(builder: &mut X509StoreBuilder, system: &dyn System) -> Result<(), ErrorStack> {
    let SystemPaths { file, folder } = SystemPaths::of_system(system);
    let folders: Vec<PathBuf> = env::split_paths(&folder).collect();
    let lookup = builder.add_lookup(X509Lookup::hash_dir())?;
    for folder in folders.iter().filter_map(|folder| folder.to_str()) {
        lookup.add_dir(folder, SslFiletype::PEM)?;
    }
    if system.variable_os(FILE_VARIABLE).is_some() || !folders.iter().any(|folder| has_authority(folder, system)) {
        // As for OpenSSL itself, a file that cannot be read adds nothing; a handshake that fails says so.
        let _ = builder.add_lookup(X509Lookup::file())?.load_cert_file(&file, SslFiletype::PEM);
    }
    Ok(())
}

/// Trusts the system's authorities, where the system's OpenSSL looks for them: it reads the environment itself.
#[cfg(not(feature = "openssl-vendored"))]
pub(super) fn add_system(builder: &mut X509StoreBuilder, _system: &dyn System) -> Result<(), ErrorStack> {
    builder.set_default_paths()
}

/// Where OpenSSL was built to look: it says `OPENSSLDIR: "/usr/lib/ssl"`.
fn built_in_folder() -> PathBuf {
    PathBuf::from(version::dir().split('"').nth(1).unwrap_or("/usr/lib/ssl"))
}

fn has_certificate(file: &Path, system: &dyn System) -> bool {
    let is_one = |text: &[u8]| pem::blocks(&String::from_utf8_lossy(text)).iter().any(pem::Block::is_certificate);
    system.read_file(file, MAX_FILE_BYTES).is_ok_and(|text| is_one(&text))
}

/// OpenSSL finds an authority by the hash of its name: eight hexadecimal digits, a dot, a number.
fn has_authority(folder: &Path, system: &dyn System) -> bool {
    let Ok(names) = system.names_in(folder) else { return false };
    names.into_iter().any(|name| {
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
