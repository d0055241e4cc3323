//! Percent-encoding (RFC 3986, section 2.1).

use super::{Piece, error_at};
use crate::error::{Error, Result};

/// Percent-encodes a string for any part of a connection string: user name, password, socket path, value of an option.
/// All but letters, digits and `-._~` is encoded; a space becomes `%20`.
///
/// ```
/// use mongo_blocking::uri::percent_encode;
///
/// let uri = format!("mongodb://ann:{}@localhost", percent_encode("pass/word @ home+1"));
/// assert_eq!(uri, "mongodb://ann:pass%2Fword%20%40%20home%2B1@localhost");
/// ```
pub fn percent_encode(text: &str) -> String {
    encode_but(text, "")
}

/// Undoes [`percent_encode`]. A `+` stays a plus.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) if a `%` is not followed by two hexadecimal digits, or
/// if the decoded bytes are not UTF-8.
///
/// ```
/// use mongo_blocking::uri::percent_decode;
///
/// assert_eq!(percent_decode("pass%2Fword")?, "pass/word");
/// assert!(percent_decode("100%").is_err());
/// # Ok::<(), mongo_blocking::Error>(())
/// ```
pub fn percent_decode(text: &str) -> Result<String> {
    decode(Piece { text, at: 0 })
}

/// As [`percent_encode`], with more characters left unencoded.
pub(crate) fn encode_but(text: &str, unencoded: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_mul(3));
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || unencoded.as_bytes().contains(&byte);
        if plain {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.extend(char::from_digit(digit.into(), 16).map(|digit| digit.to_ascii_uppercase()));
            }
        }
    }
    out
}

pub(super) fn decode(piece: Piece<'_>) -> Result<String> {
    // Room for all at once: a password must not leave copies behind in outgrown buffers.
    let mut out = Vec::with_capacity(piece.text.len());
    let mut bytes = piece.text.bytes().enumerate();
    while let Some((index, byte)) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let high = bytes.next().and_then(|(_, digit)| hex(digit));
        let low = bytes.next().and_then(|(_, digit)| hex(digit));
        let (Some(high), Some(low)) = (high, low) else {
            return Err(error_at(piece.at.saturating_add(index), "a '%' is not followed by two hexadecimal digits")
                .with_hint("percent-encode '%' itself as %25"));
        };
        out.push(high << 4 | low);
    }
    String::from_utf8(out).map_err(|error| {
        zeroize::Zeroize::zeroize(&mut error.into_bytes());
        not_utf8(piece.at)
    })
}

fn not_utf8(at: usize) -> Error {
    error_at(at, "the percent-encoded bytes are not UTF-8")
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
