//! The files of the checkout, and how long they may be.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// The checkout: where cargo says it is now, which need not be where this was compiled.
pub fn root() -> PathBuf {
    PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into()))
}

/// Every file below `folder` (relative to the checkout), as a relative path with `/` and its text; what is not text is left out.
pub fn below(folder: &str) -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    collect(&root.join(folder), &root, &mut found);
    found.sort();
    found
}

/// The same, Rust sources only.
pub fn sources_below(folder: &str) -> Vec<(String, String)> {
    below(folder).into_iter().filter(|(path, _)| path.ends_with(".rs")).collect()
}

fn collect(folder: &Path, root: &Path, found: &mut Vec<(String, String)>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path: PathBuf = entry.expect("a readable folder").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if NOT_OURS.contains(&name) {
            continue;
        }
        if path.is_dir() {
            collect(&path, root, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let relative = path.strip_prefix(root).expect("below the root");
            found.push((relative.to_string_lossy().replace('\\', "/"), text));
        }
    }
}

fn too_long(files: &[(String, String)]) -> Vec<String> {
    let lengths = files.iter().map(|(path, text)| (path, text.lines().count()));
    lengths
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(path, lines)| format!("{path} has {lines} lines, more than {MAX_LINES}: split it"))
        .collect()
}

/// Folders that are built, fetched or another tool's.
const NOT_OURS: [&str; 6] = ["target", ".git", ".peers", "artifacts", "coverage", "node_modules"];

/// A file is read in one sitting.
const MAX_LINES: usize = 800;

#[test]
fn files_stay_readable() {
    let files = sources_below("src");
    assert!(files.iter().any(|(path, _)| path == "src/lib.rs"), "the sources were found");
    super::hold("Files that have grown too long:", too_long(&files));
}

#[test]
fn a_long_file_is_found() {
    let planted = [("a.rs".to_owned(), "\n".repeat(MAX_LINES + 1)), ("b.rs".to_owned(), "\n".repeat(MAX_LINES))];
    assert_eq!(too_long(&planted), ["a.rs has 801 lines, more than 800: split it"]);
}
