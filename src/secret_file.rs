//! Reads a file that holds a secret: bounded, wiped, and never waiting for the other end of a pipe.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

/// A whole file. It fails with `InvalidInput` for a pipe, and with `FileTooLarge` for a file of more than `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    if is_pipe(path) {
        let what = "it is a pipe, whose other end could keep a login waiting for ever; a file is needed";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    // Windows says of a folder that access is denied.
    let file =
        File::open(path).map_err(|error| if path.is_dir() { io::ErrorKind::IsADirectory.into() } else { error })?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    // Room for all of it at the start: a buffer that grows leaves copies of its content behind.
    let room = usize::try_from(metadata.len().min(limit)).unwrap_or_default().saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("the file is longer than {limit} bytes")))
    } else {
        Ok(bytes)
    }
}

/// Why a file could not be read, to follow "cannot be read"; nothing where only the system's own words tell.
pub(crate) fn why_unreadable(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => ": there is no such file",
        io::ErrorKind::PermissionDenied => ": this user may not read it",
        io::ErrorKind::IsADirectory => ": it is a folder",
        io::ErrorKind::FileTooLarge => ": it is too long",
        io::ErrorKind::InvalidInput => ": it is a pipe",
        _ => "",
    }
}

#[cfg(unix)]
fn is_pipe(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;

    path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo())
}

#[cfg(not(unix))]
fn is_pipe(_: &Path) -> bool {
    false
}
