//! The server's messages of a SCRAM conversation. Each is parsed once, and every rule of RFC 5802, section 7, is checked.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The server's first message: a nonce that begins with ours, and what to derive the keys with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ServerFirst<'a> {
    /// The message itself; it becomes a part of what is signed.
    pub(super) text: &'a str,
    /// Our nonce and the server's part after it.
    pub(super) nonce: &'a str,
    pub(super) salt: Vec<u8>,
    pub(super) iterations: u32,
}

/// The server's last message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ServerFinal<'a> {
    Signature(Vec<u8>),
    /// The server's reason, fit to be shown.
    Error(Cow<'a, str>),
}

/// Why a message was refused.
pub(super) type Broken = Cow<'static, str>;

impl<'a> ServerFirst<'a> {
    pub(super) fn parse(message: &'a [u8], our_nonce: &str, max_iterations: u32) -> Result<Self, Broken> {
        let text = text(message)?;
        let mut attributes = text.split(',').map(attribute);
        let mut next = |name| expect(attributes.next(), name);

        let nonce = next('r')?;
        let salt = next('s')?;
        let iterations = next('i')?;
        extensions(attributes, &['r', 's', 'i', 'm'])?;

        Ok(ServerFirst {
            text,
            nonce: combined_nonce(nonce, our_nonce)?,
            salt: decoded_salt(salt)?,
            iterations: bounded_iterations(iterations, max_iterations)?,
        })
    }
}

impl<'a> ServerFinal<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Result<Self, Broken> {
        if message.is_empty() {
            return Err("the server sent no signature (v=), so it has not proved that it knows the password".into());
        }
        let mut attributes = text(message)?.split(',').map(attribute);
        let parsed = match attributes.next() {
            Some(Ok(('v', signature))) => match STANDARD.decode(signature) {
                Ok(signature) if !signature.is_empty() => ServerFinal::Signature(signature),
                Ok(_) => return Err("the server's signature (v=) is empty".into()),
                Err(_) => return Err("the server's signature (v=) is not base64".into()),
            },
            Some(Ok(('e', reason))) => return Ok(ServerFinal::Error(shown(reason))),
            Some(Err(broken)) => return Err(broken),
            _ => return Err("the server's last message has neither a signature (v=) nor an error (e=)".into()),
        };
        extensions(attributes, &['v', 'e', 'm'])?;
        Ok(parsed)
    }
}

/// A user name in which `=` and `,` are escaped, as the grammar requires.
pub(super) fn escaped(username: &str) -> String {
    username.replace('=', "=3D").replace(',', "=2C")
}

fn text(message: &[u8]) -> Result<&str, Broken> {
    if message.len() > MAX_MESSAGE {
        return Err(format!("the server's message is longer than {MAX_MESSAGE} bytes").into());
    }
    let text = std::str::from_utf8(message).map_err(|_| "the server's message is not UTF-8")?;
    if text.contains('\0') { Err("the server's message has a NUL in it".into()) } else { Ok(text) }
}

/// `a=value`.
fn attribute(text: &str) -> Result<(char, &str), Broken> {
    let malformed = || Broken::from("the server's message is not a list of attributes (a=value,…)");
    let (name, value) = text.split_once('=').ok_or_else(malformed)?;
    let mut letters = name.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) if letter.is_ascii_alphabetic() => Ok((letter, value)),
        _ => Err(malformed()),
    }
}

fn expect(found: Option<Result<(char, &str), Broken>>, name: char) -> Result<&str, Broken> {
    match found {
        Some(Ok((letter, value))) if letter == name => Ok(value),
        Some(Ok(('m', _))) => Err("the server demands a SCRAM extension (m=) that we do not know".into()),
        Some(Ok(('e', reason))) => Err(format!("the server refuses with the error \"{}\"", shown(reason)).into()),
        Some(Ok((letter, _))) => Err(format!("the server's message has {letter}= where {name}= belongs").into()),
        Some(Err(broken)) => Err(broken),
        None => Err(format!("the server's message has no {name}=").into()),
    }
}

/// Attributes that follow those we know: they are well-formed and repeat none, and their values do not matter.
fn extensions<'a>(
    attributes: impl Iterator<Item = Result<(char, &'a str), Broken>>,
    known: &[char],
) -> Result<(), Broken> {
    for attribute in attributes {
        let (letter, _) = attribute?;
        if known.contains(&letter) {
            return Err(format!("the server's message has {letter}= twice or in the wrong place").into());
        }
    }
    Ok(())
}

fn combined_nonce<'a>(nonce: &'a str, ours: &str) -> Result<&'a str, Broken> {
    if nonce.len() > MAX_NONCE {
        return Err(format!("the server's nonce is longer than {MAX_NONCE} bytes").into());
    }
    match nonce.strip_prefix(ours) {
        None => Err("the server changed our nonce".into()),
        Some("") => Err("the server did not add its own part to our nonce".into()),
        Some(theirs) if !theirs.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err("the server's nonce has characters that are not allowed in a nonce".into())
        }
        Some(_) => Ok(nonce),
    }
}

fn decoded_salt(salt: &str) -> Result<Vec<u8>, Broken> {
    if salt.len() > MAX_SALT_TEXT {
        return Err(format!("the server's salt is longer than {MAX_SALT_TEXT} characters").into());
    }
    match STANDARD.decode(salt) {
        Ok(salt) if salt.is_empty() => Err("the server's salt is empty".into()),
        Ok(salt) => Ok(salt),
        Err(_) => Err("the server's salt is not base64".into()),
    }
}

fn bounded_iterations(text: &str, max: u32) -> Result<u32, Broken> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    if !is_number {
        return Err("the server's iteration count (i=) is not a number".into());
    }
    match text.parse::<u32>() {
        Ok(count) if count < MIN_ITERATIONS => {
            Err(format!("the server asks for {count} iterations; fewer than {MIN_ITERATIONS} are not safe").into())
        }
        Ok(count) if count <= max => Ok(count),
        _ => {
            Err(format!("the server asks for more than {max} iterations, the limit that is set for this client").into())
        }
    }
}

/// Text from the server for a message: bounded, and without control characters.
fn shown(words: &str) -> Cow<'_, str> {
    let harmless = |letter: char| !letter.is_control();
    if words.len() <= MAX_SHOWN && words.chars().all(harmless) {
        return words.into();
    }
    words.chars().filter(|letter| harmless(*letter)).take(MAX_SHOWN).collect::<String>().into()
}

/// MongoDB's first message has about 150 bytes.
const MAX_MESSAGE: usize = 8 * 1024;

/// MongoDB adds 32 characters to our 44.
const MAX_NONCE: usize = 1024;

/// MongoDB's salts have 16 or 28 bytes, which are 24 or 40 characters of base64.
const MAX_SALT_TEXT: usize = 1024;

/// RFC 7677, section 4, and the authentication specification.
const MIN_ITERATIONS: u32 = 4096;

/// How many characters of the server's text an error shows.
const MAX_SHOWN: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn first(text: &str) -> Result<ServerFirst<'_>, Broken> {
        ServerFirst::parse(text.as_bytes(), "abc", 1_000_000)
    }

    #[test]
    fn a_first_message_is_read_and_what_follows_is_ignored() {
        let expected =
            ServerFirst { text: "r=abcX,s=AAAA,i=4096", nonce: "abcX", salt: vec![0, 0, 0], iterations: 4096 };
        assert_eq!(first("r=abcX,s=AAAA,i=4096"), Ok(expected));
        assert_eq!(first("r=abcX,s=AAAA,i=4096,x=1,y==,z=").unwrap().iterations, 4096);
        assert_eq!(first("r=abcX,s=AAAA,i=1000000").unwrap().iterations, 1_000_000);
    }

    #[test]
    fn each_broken_rule_has_its_own_words() {
        for (text, words) in [
            ("", "not a list"),
            ("r", "not a list"),
            ("rr=abcX,s=AAAA,i=4096", "not a list"),
            ("1=abcX,s=AAAA,i=4096", "not a list"),
            ("m=x,r=abcX,s=AAAA,i=4096", "extension (m=)"),
            ("e=other-error", "other-error"),
            ("s=AAAA,r=abcX,i=4096", "s= where r= belongs"),
            ("r=abcX,i=4096", "i= where s= belongs"),
            ("r=abcX", "no s="),
            ("r=abcX,s=AAAA", "no i="),
            ("r=abcX,s=AAAA,i=4096,i=4096", "i= twice"),
            ("r=abcX,s=AAAA,i=4096,r=abcX", "r= twice"),
            ("r=abcX,s=AAAA,i=4096,", "not a list"),
            ("r=abc,s=AAAA,i=4096", "did not add its own part"),
            ("r=abX,s=AAAA,i=4096", "changed our nonce"),
            ("r=,s=AAAA,i=4096", "changed our nonce"),
            ("r=Xabc,s=AAAA,i=4096", "changed our nonce"),
            ("r=abc X,s=AAAA,i=4096", "characters that are not allowed in a nonce"),
            ("r=abcä,s=AAAA,i=4096", "characters that are not allowed in a nonce"),
            ("r=abcX,s=,i=4096", "salt is empty"),
            ("r=abcX,s=A,i=4096", "salt is not base64"),
            ("r=abcX,s=AB==x,i=4096", "salt is not base64"),
            ("r=abcX,s=AAAA,i=", "not a number"),
            ("r=abcX,s=AAAA,i=+4096", "not a number"),
            ("r=abcX,s=AAAA,i=-1", "not a number"),
            ("r=abcX,s=AAAA,i=04096", "not a number"),
            ("r=abcX,s=AAAA,i=4096.0", "not a number"),
            ("r=abcX,s=AAAA,i=1", "asks for 1 iterations"),
            ("r=abcX,s=AAAA,i=4095", "asks for 4095 iterations"),
            ("r=abcX,s=AAAA,i=1000001", "more than 1000000"),
            ("r=abcX,s=AAAA,i=1000000000", "more than 1000000"),
            ("r=abcX,s=AAAA,i=99999999999999999999", "more than 1000000"),
            ("r=abcX,s=AAAA,i=4096\0", "NUL"),
        ] {
            let broken = first(text).unwrap_err();
            assert!(broken.contains(words), "{text}: {broken}");
        }
        let long = format!("r=abc{},s=AAAA,i=4096", "X".repeat(MAX_NONCE));
        assert!(first(&long).unwrap_err().contains("nonce is longer"));
        let salty = format!("r=abcX,s={},i=4096", "A".repeat(MAX_SALT_TEXT + 4));
        assert!(first(&salty).unwrap_err().contains("salt is longer"));
        assert!(first(&"r".repeat(MAX_MESSAGE + 1)).unwrap_err().contains("message is longer"));
        assert!(ServerFirst::parse(b"r=abc\xff,s=AAAA,i=4096", "abc", 5000).unwrap_err().contains("UTF-8"));
    }

    #[test]
    fn a_last_message_is_a_signature_or_an_error() {
        let parse = |text: &'static str| ServerFinal::parse(text.as_bytes());
        assert_eq!(parse("v=AAAA"), Ok(ServerFinal::Signature(vec![0, 0, 0])));
        assert_eq!(parse("v=AAAA,x=y"), Ok(ServerFinal::Signature(vec![0, 0, 0])));
        assert_eq!(parse("e=invalid-proof"), Ok(ServerFinal::Error("invalid-proof".into())));
        assert_eq!(parse("e=a\u{1b}[2Jb"), Ok(ServerFinal::Error("a[2Jb".into())));
        for (text, words) in [
            ("", "no signature"),
            ("v=", "empty"),
            ("v=%", "not base64"),
            ("v=AAAA,v=AAAA", "twice"),
            ("v=AAAA,e=x", "twice"),
            ("x=AAAA", "neither a signature"),
            ("hello", "not a list"),
        ] {
            let broken = parse(text).unwrap_err();
            assert!(broken.contains(words), "{text}: {broken}");
        }
    }
}
