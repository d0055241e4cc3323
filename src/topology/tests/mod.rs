//! The drivers' common fixtures that need no server, and tests of what no fixture has.

mod discovery;
mod doubtful;
mod hostile;
mod in_window;
mod inline;
mod round_trip;
mod runners;
mod selection;
mod server_selection;
#[cfg(feature = "srv")]
mod srv_polling;
#[cfg(feature = "srv")]
mod srv_runtime;

use std::fs;
use std::path::Path;

use bson::{Bson, Document};
use mongo_blocking_test_server::report::{Report, specifications};

/// What a runner says about one file.
type Verdict = std::result::Result<(), String>;

/// Runs every fixture of a folder and of the folders in it, which together are known to hold `known_files`.
fn run_folder(folder: &'static str, known_files: usize, run: fn(&Document) -> Verdict) {
    let (Some(mut report), Some(root)) = (Report::on(folder, known_files), specifications()) else { return };
    let mut files = Vec::new();
    collect(&root.join(folder), "", &mut files);
    assert!(files.len() >= known_files, "{folder} holds {} fixtures and should hold {known_files}", files.len());
    for (name, text) in files {
        let fixture = serde_json::from_str::<Document>(&text).map_err(|error| error.to_string());
        report.judged(&name, fixture.and_then(|fixture| run(&fixture)));
    }
    report.finish();
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, String)>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry of the folder").path()).collect();
    paths.sort();
    for path in paths {
        let name = format!("{prefix}{}", path.file_name().expect("a name").to_string_lossy());
        if path.is_dir() {
            collect(&path, &format!("{name}/"), files);
        } else if name.ends_with(".json") {
            files.push((name, fs::read_to_string(&path).expect("readable text")));
        }
    }
}

/// Fails on a key that the runner does not look at, so that no expectation is overlooked.
fn check_keys(document: &Document, known: &[&str]) -> Verdict {
    match document.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(format!("the runner does not know the key '{key}'")),
        None => Ok(()),
    }
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Verdict {
    if found == expected { Ok(()) } else { Err(format!("{what} is {found:?} and should be {expected:?}")) }
}

fn documents<'a>(parent: &'a Document, key: &str) -> Vec<&'a Document> {
    parent.get_array(key).map(|list| list.iter().filter_map(Bson::as_document).collect()).unwrap_or_default()
}

/// A number of whichever type; `None` for null and for what is no number.
fn number(value: &Bson) -> Option<f64> {
    match value {
        Bson::Int32(value) => Some(f64::from(*value)),
        Bson::Int64(value) => Some(*value as f64),
        Bson::Double(value) => Some(*value),
        _ => None,
    }
}

/// An optional value: `Ok(None)` for null.
fn optional<T>(value: &Bson, read: impl Fn(&Bson) -> Option<T>) -> std::result::Result<Option<T>, String> {
    match value {
        Bson::Null => Ok(None),
        value => read(value).map(Some).ok_or_else(|| format!("unexpected value {value}")),
    }
}
