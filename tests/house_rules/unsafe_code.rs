//! Unsafe code stands only in the files listed here, each block with its reason.

use crate::files::sources_below;
use crate::source::{Token, tokens};

/// The files that may allow unsafe code, and what for. A file that needs it no more leaves the list.
const ALLOWED: &[(&str, &str)] = &[
    ("src/auth/scram/avx.rs", "clears the upper halves of the AVX registers before the key is derived"),
    ("src/auth/gssapi/gss.rs", "calls the Kerberos library of Unix systems"),
    ("src/auth/gssapi/sspi.rs", "calls the Kerberos of Windows"),
    ("src/document/same_type.rs", "tells whether a type that may borrow is Document, and moves a Document into it"),
    ("src/fork.rs", "has the C library count forks, and frees what OpenSSL keeps for a thread while there is none"),
    ("src/tls/openssl/resume.rs", "has a TLS handshake take up a session that the same context made"),
    ("src/transport/tests.rs", "sets SIGPIPE back to its default in a child process"),
    ("tests/resilience/fork.rs", "forks"),
    (
        "tests/server/src/tls_flood.rs",
        "sends KeyUpdate and NewSessionTicket records, which the openssl crate has no functions for",
    ),
];

/// Folders that are looked through.
const LOOKED_AT: [&str; 5] = ["src", "tests", "examples", "fuzz", "benches"];

fn complaints(path: &str, text: &str, allowed: bool) -> Vec<String> {
    let tokens = tokens(text);
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let line = token.line;
        if token.is_word("unsafe_code") && !allowed {
            found.push(format!("{path}:{line}: unsafe code is allowed here, but the file is not in the list"));
        }
        if token.is_word("unsafe") && is_block(&tokens, at) && !has_reason(&lines, line) {
            found.push(format!("{path}:{line}: an unsafe block without a `// SAFETY:` comment right before it"));
        }
    }
    found
}

/// `unsafe {`, `unsafe impl`, `unsafe extern {`; not `unsafe fn` and `unsafe extern fn` (whose callers give the reason) nor
/// `#[unsafe(…)]`.
fn is_block(tokens: &[Token], at: usize) -> bool {
    let next = tokens.get(at + 1);
    let is_function = tokens.get(at + 2).is_some_and(|token| token.is_word("fn"));
    next.is_some_and(|next| next.is_mark('{') || next.is_word("impl") || (next.is_word("extern") && !is_function))
}

/// Whether the comment that ends right above the statement's line begins a line with `SAFETY:`.
fn has_reason(lines: &[&str], line: usize) -> bool {
    let above = lines[..line - 1].iter().rev().map(|text| text.trim());
    let comment =
        above.skip_while(|text| text.starts_with("#[") || continues(text)).take_while(|text| text.starts_with("//"));
    comment.into_iter().any(|text| text.starts_with("// SAFETY:"))
}

/// A line whose statement goes on in the next one: `let x =`, `call(`.
fn continues(text: &str) -> bool {
    !text.starts_with("//") && (text.ends_with('=') || text.ends_with('(') || text.ends_with(','))
}

#[test]
fn unsafe_code_stands_where_the_list_says() {
    let mut found = Vec::new();
    let files: Vec<_> = LOOKED_AT.iter().flat_map(|folder| sources_below(folder)).collect();
    for (path, text) in &files {
        if !path.starts_with("tests/house_rules/") {
            found.extend(complaints(path, text, ALLOWED.iter().any(|(file, _)| file == path)));
        }
    }
    for (file, what_for) in ALLOWED {
        let used =
            files.iter().any(|(path, text)| path == file && tokens(text).iter().any(|t| t.is_word("unsafe_code")));
        if !used {
            found.push(format!("{file} is listed ({what_for}) but has no unsafe code"));
        }
    }
    super::hold("Unsafe code:", found);
}

#[test]
fn planted_violations_are_found() {
    let unlisted = "#![allow(unsafe_code)]\n// SAFETY: nothing is read.\nunsafe { f() }";
    assert_eq!(complaints("a.rs", unlisted, false).len(), 1);
    assert_eq!(complaints("a.rs", unlisted, true).len(), 0);
    assert_eq!(complaints("a.rs", "#[expect(unsafe_code)]\nfn f() {}", false).len(), 1);
    assert_eq!(complaints("a.rs", "fn g() {\n    let x =\n        unsafe { f() };\n}", true).len(), 1);
    assert_eq!(complaints("a.rs", "// SAFETY: why,\n// at length.\nlet x =\n    unsafe { f() };", true).len(), 0);
    assert_eq!(complaints("a.rs", "// SAFETY: for the first.\nunsafe { f() };\nunsafe { f() };", true).len(), 1);
    assert_eq!(complaints("a.rs", "unsafe impl Send for S {}", true).len(), 1);
    assert_eq!(complaints("a.rs", "unsafe extern \"C\" { fn f(); }", true).len(), 1);
    assert_eq!(
        complaints("a.rs", "struct S { f: unsafe extern \"system\" fn(i32) } unsafe extern \"C\" fn g() {}", true)
            .len(),
        0
    );
    assert_eq!(complaints("a.rs", "// unsafe { } and \"unsafe {\"\nconst S: &str = \"unsafe {\";", true).len(), 0);
}
