//! Secrets: passwords, tokens, pass phrases.

use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// A secret string. It has no `Display`, its `Debug` form does not show it, and its memory is wiped when it is dropped.
///
/// [`Secret::expose`] is the only way to read it, so a search for that name finds every use.
///
/// ```
/// use mongo_blocking::Secret;
///
/// let password = Secret::from("pencil");
/// assert_eq!(format!("{password:?}"), "Secret(..)");
/// assert_eq!(password.expose(), "pencil");
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is the empty string.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Secret(Zeroizing::new(text))
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Secret(Zeroizing::new(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_unquoted(deserializer).map(|text: String| Secret::from(text))
    }
}

/// Reads a value that is secret or has secret parts. An error of serde quotes what it was given, and errors are logged, so this one
/// does not.
pub(crate) fn deserialize_unquoted<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    T::deserialize(deserializer)
        .map_err(|_| D::Error::custom("a secret has the wrong type, or is malformed; it is not shown"))
}

/// Reads secret bytes: a string, bytes or a list of them.
pub(crate) fn deserialize_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
    Ok(deserialize_unquoted::<D, Option<SecretBytes>>(deserializer)?.map(|bytes| bytes.0))
}

struct SecretBytes(Vec<u8>);

impl<'de> Deserialize<'de> for SecretBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BytesVisitor;

        impl<'de> Visitor<'de> for BytesVisitor {
            type Value = SecretBytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, bytes or a list of them")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<SecretBytes, E> {
                self.visit_bytes(text.as_bytes())
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<SecretBytes, E> {
                Ok(SecretBytes(bytes.to_vec()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<SecretBytes, A::Error> {
                Deserialize::deserialize(SeqAccessDeserializer::new(list)).map(SecretBytes)
            }
        }

        deserializer.deserialize_any(BytesVisitor)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
