//! `tests/prose.md` names a test for each prose test of the specifications, and what it names is there.

use crate::files::{below, sources_below};
use crate::source::tokens;

/// A row of the tables: the prose test's number, and the column that says where it is.
struct Row<'a> {
    number: &'a str,
    place: &'a str,
}

/// The tables' rows, without their heads.
fn rows(text: &str) -> Vec<Row<'_>> {
    let cells = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
        Some((*cells.first()?, *cells.last()?))
    });
    cells
        .filter(|(number, _)| *number != "number" && *number != "---")
        .map(|(number, place)| Row { number, place })
        .collect()
}

/// The tests that a row names, each with its file: `file.rs` `test` `another`; `other.rs` `test`.
fn named<'a>(row: &Row<'a>) -> Vec<(&'a str, &'a str)> {
    let (mut file, mut found) = ("", Vec::new());
    for word in row.place.split('`').skip(1).step_by(2) {
        match word.ends_with(".rs") {
            true => file = word,
            false => found.push((file, word)),
        }
    }
    found
}

/// The names of a source's test functions.
fn tests_of(source: &str) -> Vec<String> {
    let tokens = tokens(source);
    let mut found = Vec::new();
    for at in 0..tokens.len().saturating_sub(3) {
        if tokens[at].is_mark('#') && tokens[at + 1].is_mark('[') && tokens[at + 2].is_word("test") {
            let mut rest = tokens[at + 3..].iter().skip_while(|token| !token.is_word("fn"));
            found.extend(rest.nth(1).and_then(|token| token.word()).map(str::to_owned));
        }
    }
    found
}

fn complaints(table: &str, sources: &[(String, String)]) -> Vec<String> {
    let rows = rows(table);
    let mut found = Vec::new();
    for row in &rows {
        let (number, tests) = (row.number, named(row));
        if tests.is_empty() && !row.place.starts_with("not run: ") {
            found.push(format!("{number}: neither a test nor why it is not run"));
        }
        for (file, test) in tests {
            match sources.iter().find(|(path, _)| path == file) {
                None => found.push(format!("{number}: there is no file {file:?}")),
                Some((_, source)) if !tests_of(source).iter().any(|own| own == test) => {
                    found.push(format!("{number}: {file} has no test {test}"));
                }
                Some(_) => {}
            }
        }
    }
    let listed: Vec<_> = rows.iter().flat_map(named).collect();
    for (path, source) in sources.iter().filter(|(path, _)| NUMBERED.contains(&path.as_str())) {
        let unlisted = tests_of(source).into_iter().filter(|test| !listed.contains(&(path, test)));
        found.extend(unlisted.map(|test| format!("{path}: {test} is in no row")));
    }
    found
}

/// Files whose tests are prose tests, all of them.
const NUMBERED: [&str; 2] = ["tests/auth/oidc/machine.rs", "tests/auth/oidc/human.rs"];

#[test]
fn each_prose_test_has_its_test() {
    let texts = below("tests");
    let (_, table) = texts.iter().find(|(path, _)| path == "tests/prose.md").expect("the table is there");
    assert!(rows(table).len() >= 40, "the rows were found");
    let sources: Vec<_> = ["src", "tests"].iter().flat_map(|folder| sources_below(folder)).collect();
    super::hold("tests/prose.md does not tell what is so:", complaints(table, &sources));
}

#[test]
fn planted_rows_are_found() {
    let own = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let numbered = "#[test]\nfn a() {}\n#[test]\n#[cfg(unix)]\npub fn b() {}\n// #[test]\nfn helper() {}";
    let sources = [own("tests/auth/oidc/machine.rs", numbered), own("src/x.rs", "#[test]\nfn c() {}")];
    let head = "text\n\n| number | what it asks | test |\n| --- | --- | --- |\n";
    let good = "| 1 | this | `tests/auth/oidc/machine.rs` `a` `b`; `src/x.rs` `c` (so) |\n| 2 | that | not run: no machine |\n";
    assert_eq!(complaints(&format!("{head}{good}"), &sources), Vec::<String>::new());
    let bad = "| 3 | this | `tests/auth/oidc/machine.rs` `helper` `a` |\n| 4 | that | `src/y.rs` `c` |\n| 5 | more | soon |\n";
    assert_eq!(
        complaints(&format!("{head}{bad}"), &sources),
        [
            "3: tests/auth/oidc/machine.rs has no test helper",
            "4: there is no file \"src/y.rs\"",
            "5: neither a test nor why it is not run",
            "tests/auth/oidc/machine.rs: b is in no row",
        ]
    );
}
