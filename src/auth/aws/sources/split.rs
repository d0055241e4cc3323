//! A command line becomes arguments, as the AWS tools split it: there is no shell.

use zeroize::Zeroizing;

/// The arguments of a command line on this platform. The error says what is wrong with it.
pub(super) fn split(line: &str) -> Result<Vec<Zeroizing<String>>, &'static str> {
    if cfg!(windows) { windows(line) } else { posix(line) }
}

/// Blanks separate arguments. Text in single quotes is literal. In double quotes a backslash escapes a double quote or a
/// backslash; outside quotes it escapes any character.
fn posix(line: &str) -> Result<Vec<Zeroizing<String>>, &'static str> {
    let mut arguments = Vec::new();
    let mut argument: Option<Zeroizing<String>> = None;
    let mut signs = line.chars();
    while let Some(sign) = signs.next() {
        if matches!(sign, ' ' | '\t' | '\r' | '\n') {
            arguments.extend(argument.take());
            continue;
        }
        let text = argument.get_or_insert_with(|| room(line));
        match sign {
            '\'' => loop {
                match signs.next().ok_or(OPEN)? {
                    '\'' => break,
                    inner => text.push(inner),
                }
            },
            '"' => loop {
                match signs.next().ok_or(OPEN)? {
                    '"' => break,
                    '\\' => match signs.next().ok_or(OPEN)? {
                        escaped @ ('"' | '\\') => text.push(escaped),
                        other => text.extend(['\\', other]),
                    },
                    inner => text.push(inner),
                }
            },
            '\\' => text.push(signs.next().ok_or("it ends in a backslash")?),
            plain => text.push(plain),
        }
    }
    arguments.extend(argument);
    Ok(arguments)
}

/// Blanks separate arguments. Only double quotes quote. Backslashes are special only directly before a double quote.
fn windows(line: &str) -> Result<Vec<Zeroizing<String>>, &'static str> {
    let mut arguments = Vec::new();
    let mut argument: Option<Zeroizing<String>> = None;
    let (mut quoted, mut backslashes) = (false, 0);
    for sign in line.chars() {
        if sign == '\\' {
            backslashes += 1;
            continue;
        }
        if sign == '"' {
            let text = argument.get_or_insert_with(|| room(line));
            text.extend(std::iter::repeat_n('\\', backslashes / 2));
            if backslashes % 2 == 1 {
                text.push('"');
            } else {
                quoted = !quoted;
            }
            backslashes = 0;
            continue;
        }
        if backslashes > 0 {
            argument.get_or_insert_with(|| room(line)).extend(std::iter::repeat_n('\\', backslashes));
            backslashes = 0;
        }
        if matches!(sign, ' ' | '\t') && !quoted {
            arguments.extend(argument.take());
        } else {
            argument.get_or_insert_with(|| room(line)).push(sign);
        }
    }
    if quoted {
        return Err(OPEN);
    }
    if backslashes > 0 {
        argument.get_or_insert_with(|| room(line)).extend(std::iter::repeat_n('\\', backslashes));
    }
    arguments.extend(argument);
    Ok(arguments)
}

/// An argument is no longer than the line, so it never moves and leaves no copy behind.
fn room(line: &str) -> Zeroizing<String> {
    Zeroizing::new(String::with_capacity(line.len()))
}

const OPEN: &str = "a quote in it is not closed";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::tests::noise::Noise;

    fn plain(split: Result<Vec<Zeroizing<String>>, &'static str>) -> Result<Vec<String>, &'static str> {
        split.map(|arguments| arguments.iter().map(|argument| argument.to_string()).collect())
    }

    #[test]
    fn a_line_is_split_as_python_splits_it() {
        for (line, expected) in [
            ("", &[][..]),
            ("  a  b\tc\n", &["a", "b", "c"]),
            ("a 'b c' \"d e\"", &["a", "b c", "d e"]),
            ("a'b'\"c\"", &["abc"]),
            ("'' \"\"", &["", ""]),
            (r#"a\ b "\"\\\n$x" '\n'"#, &["a b", r#""\\n$x"#, r"\n"]),
            ("C:\\tool.exe", &["C:tool.exe"]),
            ("a;b|c $(d) # e", &["a;b|c", "$(d)", "#", "e"]),
        ] {
            assert_eq!(plain(posix(line)).unwrap(), expected, "{line}");
        }
        for line in ["'a", "\"a", "a\\", "\"a\\"] {
            assert!(posix(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_line_is_split_as_windows_splits_it() {
        for (line, expected) in [
            ("", &[][..]),
            ("  a  b\tc", &["a", "b", "c"]),
            (r#""C:\Program Files\tool.exe" 'b c'"#, &[r"C:\Program Files\tool.exe", "'b", "c'"]),
            (r#"a\\b c\"d "e\\" f\\"g h""#, &[r"a\\b", r#"c"d"#, r"e\", r"f\g h"]),
            (r#""" a\ "#, &["", r"a\"]),
            (r"C:\dir\", &[r"C:\dir\"]),
        ] {
            assert_eq!(plain(windows(line)).unwrap(), expected, "{line}");
        }
        assert!(windows("\"a").is_err());
    }

    #[test]
    fn what_is_quoted_comes_back() {
        let mut noise = Noise(99);
        for _ in 0..500 {
            let arguments: Vec<String> = (0..noise.below(5))
                .map(|_| {
                    (0..noise.below(10)).map(|_| ['\'', '"', '\\', ' ', 'a', 'é', '$', '\n'][noise.below(8)]).collect()
                })
                .collect();
            let line: Vec<String> = arguments
                .iter()
                .map(|argument| match noise.below(2) {
                    0 => format!("'{}'", argument.replace('\'', "'\"'\"'")),
                    _ => format!("\"{}\"", argument.replace('\\', "\\\\").replace('"', "\\\"")),
                })
                .collect();
            assert_eq!(plain(posix(&line.join(" "))).unwrap(), arguments, "{line:?}");
            let spoilt = noise.spoil(line.join(" ").as_bytes());
            let spoilt = String::from_utf8_lossy(&spoilt);
            let _ = (posix(&spoilt), windows(&spoilt));
        }
    }
}
