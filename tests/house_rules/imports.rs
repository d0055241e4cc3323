//! Imports point one way: a module uses only modules that stand before it in [`ORDER`].

use std::collections::BTreeMap;

use crate::files::sources_below;
use crate::source::{Token, tokens};

/// The modules in the order data flows, group by group. A module may use those before it, in its own group too. So `auth` never
/// names a socket, `wire` never names a connection, `topology` never names a collection.
const ORDER: &[&[&str]] = &[
    &[
        "bson",
        "bson_ext",
        "serde_util",
        "call_stack",
        "outcome",
        "secret",
        "error",
        "deadline",
        "locks",
        "fork",
        "helper_thread",
        "call_stack",
        "resolver",
        "address",
        "event",
        "warning",
        "policy",
        "certificate",
        "hex",
        "characters",
        "secret_file",
        "single_flight",
    ],
    &["uri", "credential", "options", "namespace", "specification"],
    &["description", "document", "wire", "operation", "json", "http", "process", "system", "dns", "auth"],
    &["tls", "transport", "handshake", "connection"],
    &["pool", "server", "topology"],
    &["session", "client", "cursor", "collection", "database"],
    &["diagnose", "ffi", "fuzzing", "guide"],
];

/// What a file uses outside its own module, and where.
#[derive(Debug, PartialEq)]
struct Use {
    line: usize,
    target: Target,
}

#[derive(Debug, PartialEq)]
enum Target {
    /// A name at the root of the crate: a module, or something that `lib.rs` re-exports.
    Root(String),
    /// A form that this check does not follow, so it is not allowed.
    Unclear(&'static str),
}

/// Complaints about one file. `path` is relative to `src`, `exports` maps the names that `lib.rs` re-exports to their modules.
fn complaints(path: &str, text: &str, exports: &BTreeMap<String, String>) -> Vec<String> {
    let modules = module_path(path);
    let Some(own) = modules.first() else {
        return Vec::new(); // lib.rs is the tour and names everything
    };
    let Some(own_rank) = rank(own) else {
        return vec![format!(
            "src/{path}: the module `{own}` is not in tests/house_rules/imports.rs; give it its place"
        )];
    };
    let tokens = tokens(text);
    let mut found = Vec::new();
    for Use { line, target } in uses(&tokens, modules.len()) {
        let name = match target {
            Target::Root(name) => exports.get(&name).cloned().unwrap_or(name),
            Target::Unclear(form) => {
                found.push(format!("src/{path}:{line}: {form}"));
                continue;
            }
        };
        match rank(&name) {
            _ if name == *own => {}
            None => {
                found.push(format!("src/{path}:{line}: `crate::{name}` is neither a listed module nor a re-export"))
            }
            Some(rank) if rank > own_rank => {
                found.push(format!("src/{path}:{line}: `{own}` uses `{name}`, which stands after it"));
            }
            Some(_) => {}
        }
    }
    found
}

fn rank(module: &str) -> Option<usize> {
    ORDER.iter().flat_map(|group| group.iter()).position(|name| *name == module)
}

/// `auth/sasl.rs` is `[auth, sasl]`, `auth/mod.rs` is `[auth]`, `lib.rs` is nothing.
fn module_path(path: &str) -> Vec<String> {
    let mut parts: Vec<String> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib")) {
        parts.pop();
    }
    parts
}

/// Every path from the root of the crate, however it is written: `crate::x`, `crate::{x, y::z}`, `super::x` that climbs to the
/// root, also inside inline modules and macros.
fn uses(tokens: &[Token], file_depth: usize) -> Vec<Use> {
    let mut found = Vec::new();
    let mut inline_modules = InlineModules::default();
    let mut at = 0;
    while at < tokens.len() {
        inline_modules.pass(tokens, at);
        let line = tokens[at].line;
        if tokens[at].is_word("crate") && !is_visibility(tokens, at) {
            if is_path_mark(tokens, at + 1) {
                targets_after(&tokens[at + 3..], line, &mut found);
            } else {
                found.push(Use { line, target: Target::Unclear("`crate` under another name; write the path out") });
            }
        } else if tokens[at].is_word("super") && !is_visibility(tokens, at) {
            let (climbed, after) = climb(tokens, at);
            if climbed >= file_depth + inline_modules.depth() {
                targets_after(&tokens[after..], line, &mut found);
            } else if tokens.get(after).is_some_and(|token| token.is_mark('{')) && names_super(&tokens[after..]) {
                found.push(Use { line, target: Target::Unclear("`super` inside braces after `super`; use `crate::`") });
            }
            at = after;
            continue;
        } else if tokens[at].is_word("path") && at >= 2 && tokens[at - 1].is_mark('[') && tokens[at - 2].is_mark('#') {
            found.push(Use { line, target: Target::Unclear("`#[path]` hides where a module is") });
        }
        at += 1;
    }
    found
}

/// `pub(crate)`, `pub(super)`.
fn is_visibility(tokens: &[Token], at: usize) -> bool {
    at > 0 && tokens[at - 1].is_mark('(') && tokens.get(at + 1).is_some_and(|token| token.is_mark(')'))
}

fn is_path_mark(tokens: &[Token], at: usize) -> bool {
    tokens.get(at).is_some_and(|token| token.is_mark(':')) && tokens.get(at + 1).is_some_and(|token| token.is_mark(':'))
}

/// How many `super` stand in a row, and the index after the last `::`.
fn climb(tokens: &[Token], start: usize) -> (usize, usize) {
    let (mut climbed, mut at) = (0, start);
    while tokens.get(at).is_some_and(|token| token.is_word("super")) {
        climbed += 1;
        at += 1;
        if !is_path_mark(tokens, at) {
            break;
        }
        at += 2;
    }
    (climbed, at)
}

/// The names right after `crate::`: one, or the first of each item between braces.
fn targets_after(tokens: &[Token], line: usize, found: &mut Vec<Use>) {
    let Some(first) = tokens.first() else {
        return;
    };
    if !first.is_mark('{') {
        found.push(Use { line, target: target(first) });
        return;
    }
    let mut depth = 0;
    let mut item_starts = true;
    for token in tokens {
        if token.is_mark('{') {
            depth += 1;
        } else if token.is_mark('}') {
            depth -= 1;
            if depth == 0 {
                return;
            }
        } else if depth == 1 && token.is_mark(',') {
            item_starts = true;
        } else if depth == 1 && item_starts {
            found.push(Use { line: token.line, target: target(token) });
            item_starts = false;
        }
    }
}

fn target(token: &Token) -> Target {
    match token.word() {
        Some("self") | None => Target::Unclear("everything of the crate at once; name what is used"),
        Some(word) => Target::Root(word.to_owned()),
    }
}

fn names_super(group: &[Token]) -> bool {
    group.iter().take_while(|token| !token.is_mark('}')).any(|token| token.is_word("super"))
}

/// How deep in `mod x { … }` a token stands.
#[derive(Default)]
struct InlineModules {
    braces: usize,
    opened_at: Vec<usize>,
}

impl InlineModules {
    fn pass(&mut self, tokens: &[Token], at: usize) {
        if tokens[at].is_mark('{') {
            self.braces += 1;
            if at >= 2 && tokens[at - 2].is_word("mod") {
                self.opened_at.push(self.braces);
            }
        } else if tokens[at].is_mark('}') {
            if self.opened_at.last() == Some(&self.braces) {
                self.opened_at.pop();
            }
            self.braces = self.braces.saturating_sub(1);
        }
    }

    fn depth(&self) -> usize {
        self.opened_at.len()
    }
}

/// What `lib.rs` re-exports, by name: `pub use error::{Error, Result};`. A crate that is re-exported whole maps to nothing.
fn exports(lib: &str) -> BTreeMap<String, String> {
    let tokens = tokens(lib);
    let mut found = BTreeMap::new();
    for (at, _) in tokens.iter().enumerate().filter(|(_, token)| token.is_word("use")) {
        let words: Vec<&str> =
            tokens[at + 1..].iter().take_while(|t| !t.is_mark(';')).filter_map(Token::word).collect();
        let words = words.strip_prefix(&["crate"]).unwrap_or(&words);
        let Some((module, names)) = words.split_first() else {
            continue;
        };
        for name in names {
            found.insert((*name).to_owned(), (*module).to_owned());
        }
    }
    found
}

/// Modules that `lib.rs` declares and [`ORDER`] does not know.
fn unknown_modules(lib: &str) -> Vec<String> {
    let tokens = tokens(lib);
    let declared = tokens.windows(3).filter(|w| w[0].is_word("mod") && w[2].is_mark(';')).filter_map(|w| w[1].word());
    declared
        .filter(|name| rank(name).is_none())
        .map(|name| {
            format!("src/lib.rs: the module `{name}` is not in tests/house_rules/imports.rs; give it its place")
        })
        .collect()
}

#[test]
fn imports_point_one_way() {
    let files = sources_below("src");
    let (_, lib) = files.iter().find(|(path, _)| path == "src/lib.rs").expect("src/lib.rs");
    let exports = exports(lib);
    let mut found = unknown_modules(lib);
    for (path, text) in &files {
        found.extend(complaints(path.trim_start_matches("src/"), text, &exports));
    }
    super::hold("Imports that point the wrong way (see design notes at the top of src/lib.rs):", found);
}

#[cfg(test)]
mod planted {
    use super::*;

    fn complain(path: &str, text: &str) -> Vec<String> {
        complaints(
            path,
            text,
            &exports("pub use client::Client; pub use error::{Error, Result}; pub use wire::X as Y;"),
        )
    }

    #[test]
    fn what_stands_before_may_be_used() {
        let fine = "use crate::error::{Error, Result};\nuse crate::wire::Message;\nuse super::Mechanism;\nuse crate::auth::sasl;
                    pub(crate) struct S; impl S { pub(in crate::auth) fn f() -> crate::Result<()> { self::g() } }";
        assert_eq!(complain("auth/scram.rs", fine), Vec::<String>::new());
    }

    #[test]
    fn the_wrong_way_is_found_in_every_spelling() {
        let wrong = [
            ("auth/scram.rs", "use crate::transport::Transport;"),
            ("auth/scram.rs", "use crate::{error::Error, transport::{Transport, self}};"),
            ("auth/scram.rs", "use {crate::error::Error, crate::transport};"),
            ("auth/scram.rs", "use super::super::transport;"),
            ("auth/scram.rs", "fn f(s: &mut crate::transport::Transport) {}"),
            ("auth/scram.rs", "macro_rules! m { () => { $crate::transport::go() } }"),
            ("auth/scram.rs", "#[cfg(test)]\nmod tests { use super::super::super::transport::Stream; }"),
            ("auth/mod.rs", "use super::transport;"),
            ("auth/mod.rs", "mod inner { use super::super::transport; }"),
            ("auth.rs", "use super::{error::Error, transport};"),
            ("wire/mod.rs", "use crate::connection::Connection;"),
            ("topology/scan.rs", "use crate::collection::Collection;"),
            ("error.rs", "use crate::Client;"),
            ("operation/find.rs", "use crate::client::Client;"),
        ];
        for (path, text) in wrong {
            let found = complain(path, text);
            assert_eq!(found.len(), 1, "{path}: {text}: {found:?}");
            assert!(found[0].contains("stands after it"), "{found:?}");
        }
    }

    #[test]
    fn the_line_is_named() {
        let found = complain("wire/mod.rs", "\n\nuse crate::{\n    error::Error,\n    pool::Pool,\n};\n");
        assert_eq!(found, ["src/wire/mod.rs:5: `wire` uses `pool`, which stands after it"]);
    }

    #[test]
    fn a_re_export_counts_as_the_module_it_comes_from() {
        assert_eq!(
            complain("secret.rs", "use crate::Y;"),
            ["src/secret.rs:1: `secret` uses `wire`, which stands after it"]
        );
        assert!(complain("operation/mod.rs", "use crate::Y;").is_empty());
    }

    #[test]
    fn ways_around_the_check_are_refused() {
        for text in ["use crate as c;", "use crate::*;", "use crate::{self as c};", "#[path = \"x.rs\"] mod x;"] {
            assert_eq!(complain("error.rs", text).len(), 1, "{text}");
        }
        assert_eq!(complain("auth/scram.rs", "use super::{super::transport, Next};").len(), 1);
    }

    #[test]
    fn comments_and_strings_are_free() {
        let free =
            "//! [`crate::client::Client`]\n/* crate::pool */ const S: &str = \"crate::ffi\"; // super::super::ffi";
        assert_eq!(complain("error.rs", free), Vec::<String>::new());
    }

    #[test]
    fn unknown_modules_need_a_place() {
        assert_eq!(complain("gossip/mod.rs", "").len(), 1);
        assert_eq!(complain("error.rs", "use crate::gossip::G;").len(), 1);
        assert_eq!(unknown_modules("mod error;\npub mod gossip;\n").len(), 1);
    }
}
