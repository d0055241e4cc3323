//! Rust source as tokens, as far as the rules need it: identifiers and punctuation, without comments and literals.

/// One token and its line, from 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub line: usize,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Word(String),
    Mark(char),
}

impl Token {
    pub fn is_word(&self, word: &str) -> bool {
        matches!(&self.kind, Kind::Word(own) if own == word)
    }

    pub fn is_mark(&self, mark: char) -> bool {
        self.kind == Kind::Mark(mark)
    }

    pub fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            Kind::Mark(_) => None,
        }
    }
}

/// The tokens of a source text. Comments, strings, characters and lifetimes are left out.
pub fn tokens(text: &str) -> Vec<Token> {
    scan(text).0
}

/// The string literals of a source text, without what escapes stand for; each with the line on which it begins.
pub fn strings(text: &str) -> Vec<(usize, String)> {
    scan(text).1
}

fn scan(text: &str) -> (Vec<Token>, Vec<(usize, String)>) {
    let chars: Vec<char> = text.chars().collect();
    let mut scanner = Scanner { chars: &chars, at: 0, line: 1, strings: Vec::new() };
    let mut found = Vec::new();
    while let Some(c) = scanner.peek(0) {
        let line = scanner.line;
        match c {
            '/' if scanner.peek(1) == Some('/') => scanner.skip_while(|c| c != '\n'),
            '/' if scanner.peek(1) == Some('*') => scanner.skip_block_comment(),
            '"' => scanner.skip_string(),
            '\'' => scanner.skip_character_or_lifetime(),
            c if c.is_alphabetic() || c == '_' => {
                let word = scanner.word();
                if !scanner.skip_prefixed_literal(&word) {
                    found.push(Token { line, kind: Kind::Word(word) });
                }
            }
            c if c.is_ascii_digit() => scanner.skip_while(|c| c.is_alphanumeric() || c == '_'),
            c => {
                scanner.skip();
                if !c.is_whitespace() {
                    found.push(Token { line, kind: Kind::Mark(c) });
                }
            }
        }
    }
    (found, scanner.strings)
}

struct Scanner<'a> {
    chars: &'a [char],
    at: usize,
    line: usize,
    strings: Vec<(usize, String)>,
}

impl Scanner<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn skip(&mut self) {
        if self.peek(0) == Some('\n') {
            self.line += 1;
        }
        self.at += 1;
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek(0).is_some_and(&wanted) {
            self.skip();
        }
    }

    fn word(&mut self) -> String {
        let start = self.at;
        self.skip_while(|c| c.is_alphanumeric() || c == '_');
        self.chars[start..self.at].iter().collect()
    }

    fn skip_block_comment(&mut self) {
        let mut depth = 0;
        while self.peek(0).is_some() {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => {
                    depth += 1;
                    self.skip();
                }
                (Some('*'), Some('/')) => {
                    depth -= 1;
                    self.skip();
                }
                _ => {}
            }
            self.skip();
            if depth == 0 {
                return;
            }
        }
    }

    fn skip_string(&mut self) {
        let (start, line) = (self.at + 1, self.line);
        self.skip();
        while let Some(c) = self.peek(0) {
            self.skip();
            match c {
                '\\' => self.skip(),
                '"' => {
                    self.keep(start, self.at - 1, line);
                    return;
                }
                _ => {}
            }
        }
    }

    /// Keeps a string literal; a line break in it counts as a space.
    fn keep(&mut self, start: usize, end: usize, line: usize) {
        let string: String = self.chars[start..end].iter().collect();
        let words: Vec<&str> = string.split(['\n', ' ']).filter(|word| !word.is_empty() && *word != "\\").collect();
        self.strings.push((line, words.join(" ")));
    }

    fn skip_character_or_lifetime(&mut self) {
        self.skip();
        if self.peek(0) == Some('\\') {
            self.skip();
            self.skip();
            self.skip_while(|c| c != '\'');
            self.skip();
        } else if self.peek(1) == Some('\'') {
            self.skip();
            self.skip();
        } else {
            self.skip_while(|c| c.is_alphanumeric() || c == '_');
        }
    }

    /// Whether the word was the prefix of a literal (`r"`, `b'`, `c"`, `br#"`), which is then skipped.
    fn skip_prefixed_literal(&mut self, word: &str) -> bool {
        match (word, self.peek(0)) {
            ("b" | "c", Some('"')) => self.skip_string(),
            ("b", Some('\'')) => self.skip_character_or_lifetime(),
            ("r" | "br" | "cr", Some('"' | '#')) => return self.skip_raw_string(),
            _ => return false,
        }
        true
    }

    fn skip_raw_string(&mut self) -> bool {
        let mut hashes = 0;
        while self.peek(hashes) == Some('#') {
            hashes += 1;
        }
        if self.peek(hashes) != Some('"') {
            return false; // a raw identifier, r#type
        }
        self.at += hashes + 1;
        let (start, line) = (self.at, self.line);
        while self.peek(0).is_some() {
            let closes = self.peek(0) == Some('"') && (1..=hashes).all(|n| self.peek(n) == Some('#'));
            self.skip();
            if closes {
                self.keep(start, self.at - 1, line);
                self.at += hashes;
                return true;
            }
        }
        true
    }
}

#[test]
fn literals_and_comments_are_no_tokens() {
    let text = "/* crate::a /* nested */ crate::b */ // crate::c\n\
                fn f<'a>(x: &'a str) { g(\"crate::d \\\" e\", 'x', '\\'', b'y', r#\"crate::h \" i\"#, br\"j\", c\"k\", 0xff_u8); }";
    let words: Vec<String> = tokens(text).iter().filter_map(|t| t.word().map(str::to_owned)).collect();
    assert_eq!(words, ["fn", "f", "x", "str", "g"]);
    assert!(tokens(text).iter().all(|t| t.line == 2));
}

#[test]
fn raw_identifiers_are_words() {
    assert!(tokens("let r#type = 1;").iter().any(|t| t.is_word("type")));
}

#[test]
fn strings_are_found_in_every_spelling() {
    let text = "// \"no\"\nf(\"one\", 'x', b\"two\", r#\"th\"ree\"#);\ng(\"fo\\\"ur\", \"fi\\\n   ve\")";
    let found = strings(text);
    let found: Vec<(usize, &str)> = found.iter().map(|(line, string)| (*line, string.as_str())).collect();
    assert_eq!(found, [(2, "one"), (2, "two"), (2, "th\"ree"), (3, "fo\\\"ur"), (3, "fi\\ ve")]);
}
