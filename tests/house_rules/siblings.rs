//! Inside a module, files use each other one way: no cycle between siblings, through the parent's re-exports neither.
//!
//! A parent may use its children and a child its parent; what is ranked here are the files (and folders) side by side in one
//! module. Tests are left out.

use std::collections::{BTreeMap, BTreeSet};

use crate::files::sources_below;
use crate::source::{Token, tokens};

type Path = Vec<String>;

/// Modules whose files still use each other in a circle. None is added; one that is straightened out leaves the list.
const CYCLIC: &[&str] = &[];

/// A use of one sibling by another, and the first line that shows it.
type Uses = BTreeMap<(Path, Path), String>;

/// `auth/sasl.rs` is `[auth, sasl]`, `auth/mod.rs` is `[auth]`.
fn module_of(file: &str) -> Path {
    let mut parts: Path = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib")) {
        parts.pop();
    }
    parts
}

/// All paths of a use tree that begins at a token, after `prefix`; and where the tree ends.
fn expand(tokens: &[Token], mut at: usize, mut prefix: Path, found: &mut Vec<Path>) -> usize {
    while let Some(token) = tokens.get(at) {
        if token.is_mark('{') {
            at += 1;
            while tokens.get(at).is_some_and(|token| !token.is_mark('}')) {
                at = expand(tokens, at, prefix.clone(), found);
                // What follows a name within braces: `as other`, and a comma.
                while tokens.get(at).is_some_and(|token| !token.is_mark(',') && !token.is_mark('}')) {
                    at += 1;
                }
                at += usize::from(tokens.get(at).is_some_and(|token| token.is_mark(',')));
            }
            return at + 1;
        }
        match token.word() {
            Some("self") => {}
            Some(word) => prefix.push(word.to_owned()),
            None => break,
        }
        at += 1;
        if !is_path_mark(tokens, at) {
            break;
        }
        at += 2;
    }
    found.push(prefix);
    at
}

fn is_path_mark(tokens: &[Token], at: usize) -> bool {
    [at, at + 1].iter().all(|at| tokens.get(*at).is_some_and(|token| token.is_mark(':')))
}

/// The paths that a file names, from the root of the crate, and their lines; those in inline modules are tests and left out.
fn named_paths(own: &[String], tokens: &[Token]) -> Vec<(usize, Path)> {
    let mut found = Vec::new();
    let (mut braces, mut inline) = (0_usize, None);
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if token.is_mark('{') {
            braces += 1;
            if inline.is_none() && at >= 2 && tokens[at - 2].is_word("mod") {
                inline = Some(braces);
            }
        } else if token.is_mark('}') {
            inline = inline.filter(|depth| *depth != braces);
            braces = braces.saturating_sub(1);
        }
        let (mut start, mut prefix) = (at, own.to_vec());
        if inline.is_none() && token.is_word("crate") && is_path_mark(tokens, at + 1) {
            (start, prefix) = (at + 3, Vec::new());
        }
        while inline.is_none() && tokens.get(start).is_some_and(|token| token.is_word("super")) {
            prefix.pop();
            start += if is_path_mark(tokens, start + 1) { 3 } else { 1 };
        }
        if start > at {
            let mut paths = Vec::new();
            expand(tokens, start, prefix, &mut paths);
            found.extend(paths.into_iter().map(|path| (token.line, path)));
            // Braces of a use tree come in pairs, so they may be counted again.
            at = start;
        } else {
            at += 1;
        }
    }
    found
}

/// What a module re-exports of its children: `use child::Name`, by the name in the module.
fn re_exports(own: &[String], tokens: &[Token], modules: &BTreeSet<Path>) -> BTreeMap<Path, Path> {
    let mut found = BTreeMap::new();
    for at in (0..tokens.len()).filter(|at| tokens[*at].is_word("use")) {
        let mut paths = Vec::new();
        expand(tokens, at + 1, own.to_vec(), &mut paths);
        for path in paths {
            let child: Path = path.iter().take(own.len() + 1).cloned().collect();
            if modules.contains(&child)
                && path.len() > child.len()
                && let Some(name) = path.last()
            {
                found.insert([own, std::slice::from_ref(name)].concat(), path.clone());
            }
        }
    }
    found
}

/// Which siblings use which, over all files (path below `src`, text).
fn uses(files: &[(String, String)]) -> Uses {
    let files: Vec<(&str, Path, Vec<Token>)> = files
        .iter()
        .map(|(file, text)| (file.as_str(), module_of(file), tokens(text)))
        .filter(|(_, own, _)| !own.is_empty() && !own.iter().any(|part| part == "tests"))
        .collect();
    let modules: BTreeSet<Path> = files.iter().map(|(_, own, _)| own.clone()).collect();
    let exports: BTreeMap<Path, Path> =
        files.iter().flat_map(|(_, own, tokens)| re_exports(own, tokens, &modules)).collect();
    let mut found = Uses::new();
    for (file, own, tokens) in &files {
        for (line, path) in named_paths(own, tokens) {
            // A name that its module re-exports counts as a use of the file that it comes from.
            let resolved = (1..=path.len()).rev().find_map(|length| exports.get(path.get(..length)?));
            let path = resolved.unwrap_or(&path);
            let common = own.iter().zip(path).take_while(|(own, other)| own == other).count();
            // Between the modules of the crate there is an order of its own (imports.rs).
            if common == 0 || common >= own.len() || common >= path.len() {
                continue;
            }
            let (user, used) = (own[..=common].to_vec(), path[..=common].to_vec());
            if modules.contains(&used) {
                found.entry((user, used)).or_insert_with(|| format!("src/{file}:{line}"));
            }
        }
    }
    found
}

/// The uses that close a cycle.
fn cycles(uses: &Uses) -> Vec<String> {
    let reaches = |from: &Path, to: &Path| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(at) = open.pop() {
            if at == to {
                return true;
            }
            if seen.insert(at) {
                open.extend(uses.keys().filter(|(user, _)| user == at).map(|(_, used)| used));
            }
        }
        false
    };
    uses.iter()
        .filter(|((user, used), _)| reaches(used, user))
        .map(|((user, used), place)| {
            format!("{place}: `{}` uses `{}`, which uses it", user.join("::"), used.join("::"))
        })
        .collect()
}

#[test]
fn siblings_form_no_cycle() {
    let files: Vec<(String, String)> = sources_below("src")
        .into_iter()
        .map(|(path, text)| (path.trim_start_matches("src/").to_owned(), text))
        .collect();
    let mut found = uses(&files);
    found.retain(|(user, _), _| !CYCLIC.contains(&user[0].as_str()));
    super::hold("Files of one module that use each other in a circle:", cycles(&found));
}

mod planted {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<(String, String)> =
            files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        cycles(&uses(&files))
    }

    #[test]
    fn one_way_is_fine() {
        let files = [
            ("a/mod.rs", "mod b; mod c; pub(crate) use c::C; use b::B;"),
            ("a/b.rs", "use super::c::{C, D as E}; use crate::a::Parent; mod tests { use super::super::c; }"),
            ("a/c.rs", "use super::Parent; #[cfg(test)] mod tests { use crate::a::b::B; }"),
            ("x/mod.rs", "use crate::a::C;"),
            ("a/tests.rs", "use super::b::B;"),
        ];
        assert_eq!(found(&files), Vec::<String>::new());
    }

    #[test]
    fn a_cycle_is_found_in_every_spelling() {
        for back in [
            "use super::b::B;",
            "use crate::a::b::B;",
            "use super::{Parent, b::{self, B}};",
            "fn f() { super::b::f() }",
            "use super::B;",
            "use crate::{a::B};",
        ] {
            let files = [("a/mod.rs", "pub(crate) use b::{A, B};"), ("a/b.rs", "use super::c::C;"), ("a/c.rs", back)];
            assert_eq!(found(&files).len(), 2, "{back}");
        }
    }

    #[test]
    fn folders_count_as_wholes_and_three_make_a_circle() {
        let files = [
            ("a/mod.rs", ""),
            ("a/b/mod.rs", ""),
            ("a/b/deep.rs", "use crate::a::c::C;"),
            ("a/c.rs", "use super::d::D;"),
            ("a/d.rs", "use super::b::deep::B;"),
        ];
        let found = found(&files);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("`a::b` uses `a::c`"), "{found:?}");
    }
}
