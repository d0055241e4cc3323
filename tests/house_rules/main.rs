//! The house rules, held by a test: which way imports point, where unsafe code may stand, how long a file may grow, which Rust
//! the dependencies ask for, what must not be written down in a repository, and that the tables of prose tests and of the official
//! driver's public items are true.
//!
//! Each rule is a function from a text to complaints, tried here on planted violations as well as on the real files.

mod files;
mod imports;
mod left_out;
mod names;
mod prose;
mod public_items;
mod rust_version;
mod siblings;
mod source;
mod suites;
mod unsafe_code;
mod words;

/// A rule's complaints, one a line; the test fails with all of them.
fn hold(rule: &str, complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{rule}\n  {}", complaints.join("\n  "));
}
