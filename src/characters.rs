//! Characters that come along when a secret is copied: line feeds, blanks, quotation marks.

/// What begins or ends a text and hardly belongs to it: `ends with a line feed`. Nothing else of the text is shown.
pub(crate) fn stray(text: &str) -> Option<String> {
    let is_stray = |character: &char| {
        let is_quote = matches!(character, '"' | '\'' | '`' | '\u{2018}'..='\u{201f}' | '\u{ab}' | '\u{bb}');
        character.is_whitespace() || is_invisible(*character) || is_quote
    };
    if let Some(last) = text.chars().next_back().filter(is_stray) {
        return Some(format!("ends with {}", described(last)));
    }
    text.chars().next().filter(is_stray).map(|first| format!("begins with {}", described(first)))
}

/// Whether a character is not seen: a control character, a byte order mark, one of no width or for the direction of text, a
/// hyphen that only shows at the end of a line.
pub(crate) fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'
                | '\u{2066}'..='\u{2069}'
                | '\u{feff}'
        )
}

/// The first character of a text that is not seen, by its number: `an invisible character (U+200B)`.
pub(crate) fn invisible_in(text: &str) -> Option<String> {
    let found = text.chars().find(|character| is_invisible(*character))?;
    Some(format!("an invisible character (U+{:04X})", u32::from(found)))
}

/// A character in words, fit for an error message.
pub(crate) fn described(character: char) -> String {
    match character {
        '\n' => "a line feed".to_owned(),
        '\r' => "a carriage return".to_owned(),
        '\t' => "a tab".to_owned(),
        ' ' => "a blank".to_owned(),
        '"' => "a double quotation mark".to_owned(),
        '\'' => "a single quotation mark".to_owned(),
        '\0' => "a NUL character".to_owned(),
        character if character.is_control() => "a control character".to_owned(),
        character if !character.is_ascii() => "a character beyond ASCII".to_owned(),
        character => format!("the character {character:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_copied_by_mistake_is_named() {
        for (text, expected) in [
            ("secret\n", Some("ends with a line feed")),
            ("secret\r\n", Some("ends with a line feed")),
            (" secret", Some("begins with a blank")),
            ("\"secret\"", Some("ends with a double quotation mark")),
            ("'secret", Some("begins with a single quotation mark")),
            ("secret\u{a0}", Some("ends with a character beyond ASCII")),
            ("secret\u{200b}", Some("ends with a character beyond ASCII")),
            ("\u{feff}secret", Some("begins with a character beyond ASCII")),
            ("\u{201c}secret", Some("begins with a character beyond ASCII")),
            ("secret\u{1b}", Some("ends with a control character")),
            ("secret\u{ad}", Some("ends with a character beyond ASCII")),
            ("\u{180e}secret", Some("begins with a character beyond ASCII")),
            ("secret\u{202e}", Some("ends with a character beyond ASCII")),
            ("\u{2066}secret\u{2069}", Some("ends with a character beyond ASCII")),
            ("two words", None),
            ("it's", None),
            ("", None),
        ] {
            assert_eq!(stray(text).as_deref(), expected, "{text:?}");
        }
    }
}
