//! Each test that `tests/windows/left_out.tsv` leaves out exists under that name, and has a reason. A test that was renamed would run
//! under Wine again, and fail there.

use crate::files::{below, sources_below};

/// `sources` are all Rust files of the checkout, by their paths.
fn complaints(table: &str, sources: &[(String, String)]) -> Vec<String> {
    let rows = table.lines().filter(|line| !line.starts_with('#'));
    rows.filter_map(|row| {
        let &[program, test, reason] = row.split('\t').collect::<Vec<_>>().as_slice() else {
            return Some(format!("{row:?} does not have three fields with one tab between them"));
        };
        if reason.is_empty() {
            return Some(format!("{test} has no reason"));
        }
        let folder = if program == "lib" { "src".to_owned() } else { format!("tests/{program}") };
        let exists = sources.iter().any(|(path, text)| is_module_of(path, &folder, test) && declares(text, test));
        (!exists).then(|| format!("there is no test {test} in {folder}"))
    })
    .collect()
}

/// Whether the module in this file is `test`'s, or one around it: `tests/a/b.rs` and `tests/a/b/mod.rs` hold `b::c`.
fn is_module_of(path: &str, folder: &str, test: &str) -> bool {
    let Some(path) = path.strip_prefix(folder).and_then(|path| path.strip_prefix('/')) else {
        return false;
    };
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::");
    test.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with("::"))
}

fn declares(text: &str, test: &str) -> bool {
    let name = test.rsplit("::").next().unwrap_or(test);
    text.contains(&format!("fn {name}("))
}

#[test]
fn tests_that_are_left_out_under_wine_exist() {
    let sources = [sources_below("src"), sources_below("tests")].concat();
    let tables = below("tests/windows");
    let (_, table) = tables.iter().find(|(path, _)| path.ends_with("left_out.tsv")).expect("the table is there");
    super::hold("tests/windows/left_out.tsv:", complaints(table, &sources));
}

#[test]
fn planted_rows_are_found() {
    let source = |path: &str| (path.to_owned(), "#[test]\nfn c() {}".to_owned());
    let sources = [source("tests/a/b.rs"), source("tests/a/d/mod.rs"), source("src/e/tests.rs"), source("src/f.rs")];
    let good = "# comment\na\tb::c\twhy\na\td::c\twhy\nlib\te::tests::c\twhy\nlib\tf::tests::c\twhy";
    assert_eq!(complaints(good, &sources), Vec::<String>::new());
    let bad = "a\tb::x\twhy\na\tx::c\twhy\nlib\tb::c\twhy\na\tb::c\t\na\tb::c";
    assert_eq!(complaints(bad, &sources).len(), 5);
}
