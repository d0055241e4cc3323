//! The table of the official driver's public items (`tests/move_over/public_items.tsv`) and the page of the guide that shows it. That each
//! item marked `same` is there on both sides is shown by `tests/move_over/run.sh`, which compiles a program that names them all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::{fs, path::Path};

const TABLE: &str = "tests/move_over/public_items.tsv";
const PAGE: &str = "src/guide/public_items.md";

/// One row: an item of the official driver, and what there is here.
#[derive(Clone, Debug)]
struct Row<'a> {
    kind: &'a str,
    path: &'a str,
    verdict: &'a str,
    reason: &'a str,
    check: &'a str,
}

fn rows(table: &str) -> Result<Vec<Row<'_>>, String> {
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| match line.split('\t').collect::<Vec<_>>().as_slice() {
            &[kind, path, _shape, verdict, reason, check] => Ok(Row { kind, path, verdict, reason, check }),
            _ => Err(format!("{line:?} does not have six fields with one tab between them")),
        })
        .collect()
}

fn complaints(rows: &[Row<'_>]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let complaint = |row: &Row<'_>| match row.verdict {
        "same" if row.check.is_empty() => Some(format!("{} {} has nothing that is compiled", row.kind, row.path)),
        "same" if !row.reason.is_empty() => Some(format!("{} {} is the same and has a reason", row.kind, row.path)),
        "other" | "missing" if row.reason.is_empty() => Some(format!("{} {} has no reason", row.kind, row.path)),
        "same" | "other" | "missing" => None,
        verdict => Some(format!("{} {}: no verdict is called {verdict:?}", row.kind, row.path)),
    };
    let mut found: Vec<String> = rows.iter().filter_map(complaint).collect();
    let twice = rows.iter().filter(|row| !seen.insert((row.kind, row.path)));
    found.extend(twice.map(|row| format!("{} {} stands there twice", row.kind, row.path)));
    found
}

/// The type, trait or function that a row belongs to.
fn item<'a>(row: &Row<'a>) -> &'a str {
    let path = row.path;
    match row.kind {
        "impl" => path.split(": ").next().unwrap_or(path),
        "setter" => path.split("::builder()").next().unwrap_or(path),
        "field" | "method" | "variant" => path.rsplit_once("::").map_or(path, |(item, _)| item),
        _ => path,
    }
}

fn member<'a>(row: &Row<'a>) -> &'a str {
    row.path[item(row).len()..].trim_start_matches(['.', ':', ' '])
}

fn module(item: &str) -> &str {
    item.split_once("::").map_or("(root)", |(module, _)| module)
}

/// The page as it follows from the table.
fn page(rows: &[Row<'_>]) -> String {
    let mut page = String::from(INTRODUCTION);
    let count = |rows: &[&Row<'_>], verdict: &str| rows.iter().filter(|row| row.verdict == verdict).count();
    let mut modules: BTreeMap<&str, Vec<&Row<'_>>> = BTreeMap::new();
    rows.iter().for_each(|row| modules.entry(module(item(row))).or_default().push(row));
    page += "\n| module | same | other | missing |\n| --- | --- | --- | --- |\n";
    for (module, rows) in &modules {
        let [same, other, missing] = ["same", "other", "missing"].map(|verdict| count(rows, verdict));
        let _ = writeln!(page, "| `{module}` | {same} | {other} | {missing} |");
    }
    for (module, rows) in modules {
        let _ = writeln!(page, "\n# Module `{module}`\n");
        let mut items: BTreeMap<&str, Vec<&Row<'_>>> = BTreeMap::new();
        rows.into_iter().for_each(|row| items.entry(item(row)).or_default().push(row));
        let (same, rest): (Vec<_>, Vec<_>) = items.into_iter().partition(|(_, rows)| count(rows, "same") == rows.len());
        let name = |item: &str| format!("`{}`", item.strip_prefix(&format!("{module}::")).unwrap_or(item));
        if !same.is_empty() {
            let names: Vec<String> = same.iter().map(|(item, _)| name(item)).collect();
            let _ = writeln!(page, "Same with all that belongs to them: {}.", names.join(", "));
        }
        if rest.is_empty() {
            continue;
        }
        page += "\n| item | same | not the same | why |\n| --- | --- | --- | --- |\n";
        for (item, rows) in rest {
            let mut reasons: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
            for row in rows.iter().filter(|row| row.verdict != "same") {
                let member = member(row);
                let member = if member.is_empty() { "all of it".to_owned() } else { format!("`{member}`") };
                reasons.entry((row.verdict, row.reason)).or_default().insert(member);
            }
            for ((verdict, reason), members) in reasons {
                let whole = members.contains("all of it");
                let members: Vec<String> =
                    members.into_iter().filter(|member| !whole || member == "all of it").collect();
                let same = count(&rows, "same");
                let _ = writeln!(page, "| {} | {same} | {verdict}: {} | {reason} |", name(item), members.join(", "));
            }
        }
    }
    page
}

const INTRODUCTION: &str = "\
# The official driver's public items, and ours

This page compares version 3.9.1 of the official driver, with its default features and `sync`, with this crate: the types of its blocking API
and of its modules `options`, `results`, `error`, `event` and `action`, their fields, variants, methods, setters of builders, and the traits of
std and serde that they implement.

- *same*: a program that names it, with the official driver's types for arguments and fields, compiles on both.
- *other*: there is something else for it here.
- *missing*: there is nothing for it here.

The test suite `move-over` compiles one program that names each item marked as same, on both drivers. The list is
`tests/move_over/public_items.tsv`. The asynchronous API, and the modules for Atlas Search queries, change streams and GridFS, are not in it.
";

#[test]
fn the_page_shows_the_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(root.join(TABLE)).expect(TABLE);
    let rows = rows(&table).unwrap_or_else(|complaint| panic!("{TABLE}: {complaint}"));
    super::hold(TABLE, complaints(&rows));
    let expected = page(&rows);
    if fs::read_to_string(root.join(PAGE)).is_ok_and(|page| page == expected) {
        return;
    }
    let place = root.join("target/public_items.md");
    fs::write(&place, expected).expect("the page is written");
    panic!("{PAGE} does not show the table: copy target/public_items.md there");
}

#[test]
fn planted_rows_are_found() {
    let good = "# comment\nstruct\ta::B\t\tsame\t\tuse a\nfield\ta::B::c\tu32\tother\twhy\tx";
    let good = rows(good).unwrap();
    assert_eq!(complaints(&good), Vec::<String>::new());
    assert!(page(&good).contains("| `B` | 1 | other: `c` | why |"), "{}", page(&good));
    let bad = "struct\ta::B\t\tsame\t\t\nstruct\ta::B\t\tother\t\tx\nstruct\ta::C\t\tsimilar\twhy\tx\nenum\ta::D\t\tsame\twhy\tx";
    assert_eq!(complaints(&rows(bad).unwrap()).len(), 5);
    assert!(rows("struct\ta::B").is_err());
}
