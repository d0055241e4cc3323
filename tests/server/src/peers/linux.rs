//! Names of files as Linux programs know them. Under Wine the tests are Windows programs and their peers Linux programs, and the
//! drive `Z:` is the root of the file system.

use std::path::Path;

/// Whether the test runs under Wine, and not on Windows itself.
pub fn under_wine() -> bool {
    cfg!(windows) && Path::new(r"C:\windows\system32\winecfg.exe").exists()
}

/// The path as a Linux program takes it.
pub fn unix_path(path: &Path) -> String {
    unix_text(&path.display().to_string())
}

/// A text with Windows paths on the drive `Z:` turned into Linux paths. On Linux nothing is changed.
pub fn unix_text(text: &str) -> String {
    match cfg!(windows) {
        true => translated(text),
        false => text.to_owned(),
    }
}

fn translated(text: &str) -> String {
    let text = text.replace(r"\\?\Z:", "Z:");
    let mut result = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find(r"Z:\").or_else(|| rest.find("Z:/")) {
        result.push_str(rest.get(..at).unwrap_or_default());
        let path = rest.get(at + DRIVE.len()..).unwrap_or_default();
        let end = path.find(is_end).unwrap_or(path.len());
        result.push_str(&path.get(..end).unwrap_or_default().replace('\\', "/"));
        rest = path.get(end..).unwrap_or_default();
    }
    result + rest
}

/// What ends a path inside a text. A blank may be part of one, and the tests use such paths.
fn is_end(character: char) -> bool {
    matches!(character, '\n' | '"' | '\'' | ',' | ';')
}

const DRIVE: &str = "Z:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_on_the_drive_z_are_paths_of_linux() {
        for (windows, linux) in [
            (r"Z:\tmp\a b\ca.pem", "/tmp/a b/ca.pem"),
            (r"\\?\Z:\tmp\ca.pem", "/tmp/ca.pem"),
            (r"FILE:Z:\tmp\cache", "FILE:/tmp/cache"),
            ("Z:/tmp/ca.pem", "/tmp/ca.pem"),
            ("a Z:\\b\\c\nd \"Z:\\e\" \\f", "a /b/c\nd \"/e\" \\f"),
            ("mongodb://127.0.0.1:27017/", "mongodb://127.0.0.1:27017/"),
            ("", ""),
        ] {
            assert_eq!(translated(windows), linux);
        }
        assert_eq!(unix_path(Path::new("/tmp/a")), "/tmp/a");
    }
}
