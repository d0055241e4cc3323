//! JSON that services and programs answer with, as typed values.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::secret::Secret;

/// Reads a whole text. What is wrong is told in words that quote nothing of it, since it may hold a secret.
pub(crate) fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    serde_json::from_slice(text).map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Data => "not the JSON that is expected",
            serde_json::error::Category::Eof => "JSON that breaks off",
            serde_json::error::Category::Syntax | serde_json::error::Category::Io => "not JSON",
        };
        format!("{what} (line {}, column {})", error.line(), error.column())
    })
}

/// For a field that is a secret, with `#[serde(default, deserialize_with = "…")]`: the text, or nothing where it is null.
pub(crate) fn secret<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Secret>, D::Error> {
    Ok(Option::<String>::deserialize(value)?.map(Secret::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Token {
        #[serde(default, deserialize_with = "secret")]
        token: Option<Secret>,
    }

    fn token(text: &str) -> Result<Option<String>, String> {
        parse::<Token>(text.as_bytes()).map(|it| it.token.map(|token| token.expose().to_owned()))
    }

    #[test]
    fn secrets_are_read_and_other_fields_passed_over() {
        assert_eq!(token(r#"{"more": [1, {}], "token": "a\u0062\n"}"#), Ok(Some("ab\n".to_owned())));
        assert_eq!(token(r#"{"token": null}"#), Ok(None));
        assert_eq!(token("{}"), Ok(None));
    }

    #[test]
    fn what_is_wrong_is_told_without_the_text() {
        let deep = format!(r#"{{"more":{}"#, "[".repeat(100_000));
        for (text, what) in [
            (r#"{"token": "hunter2"#, "breaks off"),
            (r#"{"token": "hunter2"]"#, "not JSON (line 1, column 20)"),
            (r#""hunter2""#, "not the JSON that is expected"),
            (r#"{"token": {"hunter2": 1}}"#, "not the JSON that is expected"),
            (r#"{"token": "x", "token": "hunter2"}"#, "not the JSON that is expected"),
            (r#"{"token": "x"} hunter2"#, "not JSON"),
            ("", "breaks off"),
            (&deep, "breaks off"),
        ] {
            let error = token(text).unwrap_err();
            assert!(error.contains(what) && !error.contains("hunter2"), "{text:.40}: {error}");
        }
    }
}
