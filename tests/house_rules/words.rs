//! What must not be written down: paths of one machine, and the host names of package registries (every client knows its own).

use crate::files::below;

/// Each in two halves, so that this file may be looked through like the others.
const WORDS: &[(&str, &str)] = &[
    ("/wo", "rk/"),
    ("/ro", "ot/"),
    ("pypi.", "org"),
    ("pythonhosted.", "org"),
    ("npmjs.", "org"),
    ("npmjs.", "com"),
    ("static.crates.", "io"),
    ("index.crates.", "io"),
    ("proxy.golang.", "org"),
    ("deb.debian.", "org"),
];

/// Written by cargo, with the registry's name in every entry.
const EXEMPT: [&str; 2] = ["Cargo.lock", "fuzz/Cargo.lock"];

fn complaints(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for word in WORDS.iter().map(|(a, b)| format!("{a}{b}")) {
            if line.contains(&word) {
                found.push(format!("{path}:{}: `{word}`", number + 1));
            }
        }
    }
    found
}

#[test]
fn no_machine_and_no_registry_is_named() {
    let files = below("");
    assert!(files.iter().any(|(path, _)| path == "Cargo.toml"), "the files were found");
    let found = files.iter().filter(|(path, _)| !EXEMPT.contains(&path.as_str()));
    super::hold(
        "Words that do not belong in the repository:",
        found.flat_map(|(path, text)| complaints(path, text)).collect(),
    );
}

#[test]
fn planted_words_are_found() {
    let planted = format!("first\nsee {}{}x and https://{}{}/\n", WORDS[0].0, WORDS[0].1, WORDS[2].0, WORDS[2].1);
    assert_eq!(complaints("a.md", &planted).len(), 2);
    assert_eq!(complaints("a.md", "a framework/tool, the root/ folder, crates.io").len(), 0);
}
