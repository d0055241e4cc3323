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

/// Reads a type with secret fields from a document alone. `serde(remote = "Self")` makes the function that reads the fields. What has
/// another type may be the secret itself, so it is refused without being quoted.
macro_rules! read_unquoted {
    ($type:ty, $what:literal) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
                struct FieldsVisitor;

                impl<'de> serde::de::Visitor<'de> for FieldsVisitor {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!($what, " as a document"))
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        self,
                        fields: A,
                    ) -> std::result::Result<$type, A::Error> {
                        <$type>::deserialize(serde::de::value::MapAccessDeserializer::new(fields))
                    }

                    $crate::secret::read_unquoted! { @refuse $what:
                        visit_bool(bool) visit_i64(i64) visit_u64(u64) visit_i128(i128) visit_u128(u128) visit_f64(f64) visit_str(&str)
                        visit_bytes(&[u8])
                    }
                }

                deserializer.deserialize_any(FieldsVisitor)
            }
        }
    };
    (@refuse $what:literal: $($visit:ident($given:ty))*) => {
        $(fn $visit<E: serde::de::Error>(self, _: $given) -> std::result::Result<Self::Value, E> {
            Err(E::custom(concat!($what, " is a document; a secret may be in its place, so it is not shown")))
        })*
    };
}

pub(crate) use read_unquoted;

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
