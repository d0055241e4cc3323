//! Connection strings and options: what the guides print, what people paste, what is refused, and that no secret shows.

mod forms;
mod refusals;
mod round_trip;
mod secrets;
mod spellings;

use mongo_blocking::options::{ClientSettings, options_table};
use mongo_blocking::{Error, WarningKind};

/// Options that must be accepted.
fn parse(uri: &str) -> ClientSettings {
    ClientSettings::parse(uri).unwrap_or_else(|error| panic!("{uri}: {error}"))
}

/// The error of options that must not be.
fn refused(uri: &str) -> Error {
    match ClientSettings::parse(uri) {
        Ok(_) => panic!("{uri} was accepted"),
        Err(error) => error,
    }
}

/// The kinds of the warnings, in order.
fn kinds(options: &ClientSettings) -> Vec<WarningKind> {
    options.warnings().iter().map(|warning| warning.kind()).collect()
}

/// The table in src/guide/options.md is the one that parsing, builder and validation use. `UPDATE_GUIDE=1` writes it.
#[test]
fn the_readme_shows_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/options.md");
    let text = std::fs::read_to_string(path).expect("src/guide/options.md");
    let begin = text.find("<!-- options: begin").expect("the table's begin");
    let end = text.find("<!-- options: end -->").expect("the table's end");
    let first_line = text[begin..].find('\n').map(|index| begin + index + 1).expect("a line");
    let wanted = format!("{}{}{}", &text[..first_line], options_table(), &text[end..]);
    if std::env::var_os("UPDATE_GUIDE").is_some() {
        std::fs::write(path, wanted).expect("src/guide/options.md can be written");
        return;
    }
    assert!(text == wanted, "the table in src/guide/options.md is old: UPDATE_GUIDE=1 cargo test --test options");
}
