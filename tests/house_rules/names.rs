//! Names and messages in plain words: no type and no module of the library has a name that this project alone understands, and no string
//! has an expression that a reader stumbles over. CONTRIBUTING.md ("English") has the rule, this file the words.

use crate::files::sources_below;
use crate::source::{strings, tokens};

/// Names that types and modules had once, each with what to say instead. A general word (`Kind`, `Place`) is here because it says too little.
const NAMES: &[(&str, &str)] = &[
    ("Alarm", "WarningSink"),
    ("Came", "ResponderReply"),
    ("Closer", "ShutdownHandle"),
    ("Default", "DefaultValue"),
    ("Deployment", "ClientInner"),
    ("Facts", "what they describe"),
    ("Given", "RawOptions"),
    ("Handle", "Transport"),
    ("Handshaken", "Established"),
    ("Held", "CachedKeys"),
    ("HelloReply", "ServerDescription"),
    ("Home", "SessionSlot"),
    ("Judge", "what it checks: RevocationCheck"),
    ("Kind", "what it is a kind of: ValueKind, WriteKind"),
    ("Landing", "FetchGuard"),
    ("Look", "SearchScope"),
    ("Looked", "SourceResult"),
    ("Memory", "OcspCache"),
    ("Named", "Login"),
    ("OpenCursor", "CursorHandle"),
    ("Opt", "OptionId"),
    ("Peer", "AuthTarget"),
    ("Place", "what it holds: ReservedSlot, Location, SearchContext"),
    ("Presented", "PresentedCertificate"),
    ("Say", "SaslStep"),
    ("ServerKind", "ServerType"),
    ("Settings", "what is set: OptionMap, WriteCommandOptions"),
    ("Setup", "ConnectionFactory"),
    ("Spec", "OptionSpec"),
    ("Stream", "Transport"),
    ("Subject", "CheckedCertificate"),
    ("Surroundings", "what it holds: AwsState"),
    ("Told", "Appended"),
    ("Tools", "AuthContext"),
    ("Turn", "what is decided: Grant, Lookup"),
    ("Turns", "CacheLocks"),
    ("Vetted", "VerifiedUntil"),
    ("Watch", "ActiveCommand"),
    ("Which", "ProfileFile"),
    ("Witness", "VerifyErrorCapture"),
    ("Word", "OcspStatus"),
    ("World", "System"),
    ("Writer", "WriteBatcher"),
    ("authorities", "trust_anchors"),
    ("own", "client_identity"),
    ("pair", "key_match"),
    ("patience", "helper_thread"),
    ("presented", "describe"),
    ("quiet", "what it does"),
    ("race", "happy_eyeballs"),
    ("run", "conversation"),
    ("runner", "process"),
    ("tools", "context"),
    ("turns", "cache_locks"),
    ("world", "system"),
];

/// Names that are plain elsewhere and were not in these folders.
const NAMES_IN: &[(&str, &str, &str)] = &[
    ("src/operation/", "Answer", "WriteReply"),
    ("src/operation/", "Outcome", "WriteOutcome"),
    ("src/auth/aws/", "Flight", "Fetch"),
    ("src/auth/", "Negotiation", "Login"),
    ("src/connection/", "Line", "Connection"),
];

/// Expressions that a message does not use, each with a plain one.
const EXPRESSIONS: &[(&str, &str)] =
    &[("signs", "characters"), ("is none", "what it is instead: \"is not a date\""), ("a text", "a string")];

/// Words before the name of a type or module that is declared.
const DECLARE: [&str; 6] = ["struct", "enum", "union", "trait", "type", "mod"];

fn complaints(path: &str, text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    for at in 1..tokens.len() {
        let declares = tokens[at - 1].word().is_some_and(|word| DECLARE.contains(&word));
        let name = tokens[at].word().filter(|_| declares);
        let here = NAMES_IN.iter().filter(|(folder, _, _)| path.starts_with(folder));
        let refused = NAMES.iter().copied().chain(here.map(|(_, name, instead)| (*name, *instead)));
        if let Some((name, instead)) = refused.into_iter().find(|(own, _)| Some(*own) == name) {
            found.push(format!("{path}:{}: `{name}`; say {instead}", tokens[at].line));
        }
    }
    for (line, string) in strings(text) {
        for (expression, instead) in EXPRESSIONS.iter().filter(|(expression, _)| contains(&string, expression)) {
            found.push(format!("{path}:{line}: \"{expression}\" in a message; say {instead}"));
        }
    }
    found
}

/// Whether the expression stands in the string as whole words.
fn contains(string: &str, expression: &str) -> bool {
    string.match_indices(expression).any(|(at, _)| {
        // "There is none" is plain, "a date that is none" is not.
        if expression == "is none" && string[..at].ends_with("there ") {
            return false;
        }
        let before = string[..at].chars().next_back();
        let after = string[at + expression.len()..].chars().next();
        ![before, after].into_iter().flatten().any(|c| c.is_alphanumeric() || c == '_')
    })
}

#[test]
fn names_and_messages_are_plain() {
    let sources = sources_below("src");
    let found = sources.iter().flat_map(|(path, text)| complaints(path, text)).collect();
    super::hold("Names and messages that only this project understands:", found);
}

#[test]
fn planted_names_and_messages_are_found() {
    let found = |text: &str| complaints("a.rs", text).len();
    for text in [
        "struct World;",
        "pub(crate) enum Turn { A }",
        "mod tools;",
        "trait Place {}",
        "type Spec = u8;",
        "f(\"has signs that none has\")",
        "f(r#\"a date that is none\"#)",
        "format!(\"it is\n a text\")",
    ] {
        assert_eq!(found(text), 1, "{text}");
    }
    assert_eq!(complaints("src/operation/write.rs", "enum Outcome { A }").len(), 1);
    for text in [
        "enum Outcome { A }",
        "struct Worldwide;",
        "let place = Place::new();",
        "// struct World; \"is none\"",
        "enum E { Spec }",
        "f(\"designs; a texture; is nonetheless; and there is none\")",
        "impl Default for S {}",
    ] {
        assert_eq!(found(text), 0, "{text}");
    }
}
