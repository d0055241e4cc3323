//! The files that the options for TLS name: read whole and bounded, and whether they have changed since.

use std::fs::Metadata;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::pem::Origin;
use crate::error::{Error, Result};
use crate::options::TlsSettings;
use crate::secret_file::why_unreadable;
use crate::system::System;

/// The contents of the files that the options name.
#[derive(Default)]
pub(super) struct Files {
    /// `tlsCAFile`.
    pub(super) authorities: Option<Bytes>,
    /// `tlsCertificateKeyFile`.
    pub(super) certificate: Option<Bytes>,
    /// `ssl_keyfile`.
    pub(super) key: Option<Bytes>,
    /// `tlsCRLFile`.
    #[cfg_attr(
        any(windows, target_os = "macos", mongo_blocking_native_tls),
        expect(dead_code, reason = "revocation lists are refused there")
    )]
    pub(super) revoked: Option<Bytes>,
}

/// The content of one file. It is wiped, since it may be a key.
pub(super) type Bytes = Zeroizing<Vec<u8>>;

/// How the files looked when they were read.
pub(super) struct Seen {
    stamps: Vec<Option<Stamp>>,
    /// Whether no file had been changed shortly before. A file that is written twice within the resolution of its clock looks
    /// unchanged.
    settled: bool,
    digest: [u8; 32],
}

/// What shows, without reading the file, that it was changed or replaced.
#[derive(PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    size: u64,
    /// Device, inode, and when that was changed (seconds, nanoseconds); zeros where there is no such thing.
    identity: [i64; 4],
}

impl Files {
    /// Reads them all.
    pub(super) fn read(options: &TlsSettings, system: &dyn System) -> Result<(Files, Seen)> {
        let stamps = stamps(options, system);
        let mut digest = Sha256::new();
        let mut read = |(option, path): (&'static str, Option<&Path>)| {
            let Some(path) = path else { return Ok(None) };
            refuse_pipe(Origin::File(option, path), path, system)?;
            let bytes = read_file(Origin::File(option, path), system)?;
            digest.update(option.as_bytes());
            digest.update(bytes.len().to_be_bytes());
            digest.update(&*bytes);
            Ok::<_, Error>(Some(bytes))
        };
        let [authorities, certificate, key, revoked] = named(options);
        let files = Files {
            authorities: read(authorities)?,
            certificate: read(certificate)?,
            key: read(key)?,
            revoked: read(revoked)?,
        };
        let now = system.now();
        let settled = stamps.iter().flatten().all(|stamp| stamp.is_older_than(SETTLES_WITHIN, now));
        Ok((files, Seen { stamps, settled, digest: digest.finalize().into() }))
    }
}

impl Seen {
    /// Whether the files still look as they did. It costs one system call a file.
    pub(super) fn is_current(&self, options: &TlsSettings, system: &dyn System) -> bool {
        self.settled && self.stamps == stamps(options, system)
    }

    /// Whether the files had the same content both times.
    pub(super) fn same_content(&self, other: &Seen) -> bool {
        self.digest == other.digest
    }
}

/// The options that name files, and the files.
fn named(options: &TlsSettings) -> [(&'static str, Option<&Path>); 4] {
    [
        (CA_FILE, options.ca_file.as_deref()),
        (CERTIFICATE_KEY_FILE, options.certificate_key_file.as_deref()),
        (KEY_FILE, options.key_file.as_deref()),
        (CRL_FILE, options.crl_file.as_deref()),
    ]
}

fn stamps(options: &TlsSettings, system: &dyn System) -> Vec<Option<Stamp>> {
    named(options).into_iter().filter_map(|(_, path)| path).map(|path| Stamp::of(path, system)).collect()
}

impl Stamp {
    /// `None` for what is not there, and for what is no regular file any more.
    fn of(path: &Path, system: &dyn System) -> Option<Stamp> {
        let metadata = system.metadata(path).ok().filter(Metadata::is_file)?;
        Some(Stamp { modified: metadata.modified().ok(), size: metadata.len(), identity: identity(&metadata) })
    }

    fn is_older_than(&self, age: Duration, now: SystemTime) -> bool {
        self.modified.is_none_or(|modified| now.duration_since(modified).is_ok_and(|since| since > age))
    }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> [i64; 4] {
    use std::os::unix::fs::MetadataExt;
    [metadata.dev().cast_signed(), metadata.ino().cast_signed(), metadata.ctime(), metadata.ctime_nsec()]
}

/// The standard library does not give the number of a file on Windows.
#[cfg(windows)]
fn identity(metadata: &Metadata) -> [i64; 4] {
    use std::os::windows::fs::MetadataExt;
    [metadata.creation_time().cast_signed(), 0, 0, 0]
}

#[cfg(not(any(unix, windows)))]
fn identity(_metadata: &Metadata) -> [i64; 4] {
    [0; 4]
}

/// A pipe can be read only once, but files are read again when one of them changes. It is not opened here, because without a
/// writer that would block for ever.
fn refuse_pipe(origin: Origin<'_>, path: &Path, system: &dyn System) -> Result<()> {
    match system.metadata(path) {
        Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => Err(origin
            .about("is not a regular file")
            .with_hint("name a file; in code, certificates and keys can be given from memory")),
        _ => Ok(()),
    }
}

fn read_file(origin: Origin<'_>, system: &dyn System) -> Result<Bytes> {
    let Origin::File(_, path) = origin else { return Ok(Bytes::default()) };
    let failed = |error: io::Error| {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => "a relative path begins at the folder the program runs in",
            io::ErrorKind::PermissionDenied => "the user that the program runs as must be able to read it",
            io::ErrorKind::IsADirectory => "name a file in it",
            io::ErrorKind::InvalidInput => "name a file: the other end of a pipe could keep a client waiting for ever",
            _ => "the system gives the reason, which is the source of this error",
        };
        let failure = origin.about(format_args!("cannot be read{}", why_unreadable(&error)));
        failure.with_hint(hint).with_source(error)
    };
    // For a folder Windows would report that access is denied.
    if system.metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    system.read_file(path, MAX_FILE_BYTES).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => origin.about(format_args!("has more than {} MiB", MAX_FILE_BYTES >> 20)),
        _ => failed(error),
    })
}

pub(super) const CA_FILE: &str = "tlsCAFile";
pub(super) const CERTIFICATE_KEY_FILE: &str = "tlsCertificateKeyFile";
pub(super) const KEY_FILE: &str = "ssl_keyfile";
pub(super) const CRL_FILE: &str = "tlsCRLFile";

/// Revocation lists of large public authorities have some ten megabytes; nothing else comes near.
pub(in crate::tls) const MAX_FILE_BYTES: u64 = 64 << 20;
/// No file system's clock is coarser than FAT's.
const SETTLES_WITHIN: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use mongo_blocking_test_server::peers::Scratch;

    use super::*;
    use crate::system::RealSystem;

    #[test]
    fn a_change_shows_however_small_and_soon() {
        let folder = Scratch::new("tls-files");
        let path = folder.path().join("ca.pem");
        fs::write(&path, "one").unwrap();
        let options = TlsSettings { ca_file: Some(path.clone()), ..TlsSettings::default() };
        let (files, first) = Files::read(&options, &RealSystem).unwrap();
        assert_eq!(&**files.authorities.unwrap(), b"one");
        // Written just now: it is read again, however it looks, and holds the same.
        assert!(
            !first.is_current(&options, &RealSystem)
                && first.same_content(&Files::read(&options, &RealSystem).unwrap().1)
        );
        fs::write(&path, "two").unwrap();
        let (_, second) = Files::read(&options, &RealSystem).unwrap();
        assert!(!second.same_content(&first));

        let hour_ago = SystemTime::now() - Duration::from_secs(3600);
        let set_back = || File::options().write(true).open(&path).unwrap().set_modified(hour_ago).unwrap();
        set_back();
        let (_, settled) = Files::read(&options, &RealSystem).unwrap();
        assert!(settled.is_current(&options, &RealSystem));
        // Another file of the same size and time in its place.
        let other = folder.path().join("other.pem");
        fs::write(&other, "two").unwrap();
        File::options().write(true).open(&other).unwrap().set_modified(hour_ago).unwrap();
        fs::rename(&other, &path).unwrap();
        assert!(!settled.is_current(&options, &RealSystem));
        fs::remove_file(&path).unwrap();
        assert!(!settled.is_current(&options, &RealSystem) && Files::read(&options, &RealSystem).is_err());
    }

    #[test]
    fn what_cannot_be_read() {
        let folder = Scratch::new("tls-files");
        let read = |path: &Path| {
            let options = TlsSettings { ca_file: Some(path.to_owned()), ..TlsSettings::default() };
            Files::read(&options, &RealSystem).map(drop).unwrap_err()
        };
        assert!(read(folder.path()).to_string().contains("cannot be read: it is a folder [name a file"));
        let missing = read(&folder.path().join("none")).to_string();
        assert!(missing.contains("cannot be read: ") && missing.contains("relative path"), "{missing}");
        let large = folder.path().join("large");
        File::create(&large).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
        assert!(read(&large).message().contains("has more than 64 MiB"));
    }
}
