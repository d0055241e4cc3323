//! The arithmetic of SCRAM (RFC 5802, section 3), and the form of a password that each mechanism hashes.

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use stringprep::{saslprep, tables};
use zeroize::Zeroizing;

use super::pbkdf2;
use crate::credential::ScramMechanism;
use crate::deadline::Deadline;
use crate::error::{Error, FaultKind, Result, Stage};
use crate::hex::hex;
use crate::secret::Secret;

/// The keys derived from a password, a salt and an iteration count. They are enough to log in, so they are secrets too.
#[derive(Clone)]
pub(super) struct Keys {
    pub(super) client: Zeroizing<Vec<u8>>,
    pub(super) server: Zeroizing<Vec<u8>>,
}

/// The password as it goes into the key derivation.
///
/// SCRAM-SHA-256 prepares it by SASLprep. SCRAM-SHA-1 keeps MongoDB's older digest, which has the user name in it and
/// prepares neither.
pub(super) fn prepared_password(mechanism: ScramMechanism, username: &str, password: &Secret) -> Result<Secret> {
    let password = password.expose();
    match mechanism {
        ScramMechanism::Sha1 => Ok(Secret::from(mongo_digest(username, password).as_str())),
        ScramMechanism::Sha256 => prepared(password).map_err(|why| {
            Error::new(
                FaultKind::InvalidArgument,
                Stage::Authentication { mechanism: mechanism.name(), step: "preparing the password" },
                format!("the password cannot be used with SCRAM-SHA-256: it {why} (SASLprep, RFC 4013)"),
            )
        }),
    }
}

/// The digest that MongoDB stores of a password in place of the password, in hexadecimal digits.
pub(in crate::auth) fn mongo_digest(username: &str, password: &str) -> Zeroizing<String> {
    let mut digest = Md5::new();
    digest.update(username);
    digest.update(":mongo:");
    digest.update(password);
    Zeroizing::new(hex(&digest.finalize()))
}

/// SASLprep for a query: what Unicode 3.2 had not assigned is refused before normalisation too, since a newer
/// normalisation could turn it into something that is assigned. The reason never shows the character itself.
fn prepared(password: &str) -> Result<Secret, &'static str> {
    if password.is_ascii() {
        return match password.chars().any(tables::ascii_control_character) {
            true if password.ends_with('\n') => Err("ends with a line feed, which is a control character"),
            true => Err("has a control character in it"),
            false => Ok(Secret::from(password)),
        };
    }
    if password.chars().any(tables::unassigned_code_point) {
        return Err("has a character in it that Unicode 3.2 does not know");
    }
    match saslprep(password) {
        Ok(prepared) => Ok(Secret::from(prepared.into_owned())),
        Err(_) => Err("has a prohibited character in it, or mixes writing directions"),
    }
}

/// Derives the keys: the expensive part, once for a user, a salt and an iteration count. `None` if the deadline passes.
pub(super) fn derive(
    mechanism: ScramMechanism,
    password: &Secret,
    salt: &[u8],
    iterations: u32,
    deadline: Deadline,
) -> Option<Keys> {
    // Fuzzing should spend its time on messages, not on key derivation.
    let iterations = if cfg!(fuzzing) { 1 } else { iterations };
    let password = password.expose().as_bytes();
    let salted = match mechanism {
        ScramMechanism::Sha1 => pbkdf2::sha1(password, salt, iterations, deadline),
        ScramMechanism::Sha256 => pbkdf2::sha256(password, salt, iterations, deadline),
    }?;
    Some(Keys { client: hmac(mechanism, &salted, b"Client Key"), server: hmac(mechanism, &salted, b"Server Key") })
}

/// `ClientKey XOR HMAC(H(ClientKey), AuthMessage)`.
pub(super) fn client_proof(mechanism: ScramMechanism, client_key: &[u8], auth_message: &str) -> Zeroizing<Vec<u8>> {
    let stored_key = match mechanism {
        ScramMechanism::Sha1 => Zeroizing::new(Sha1::digest(client_key).to_vec()),
        ScramMechanism::Sha256 => Zeroizing::new(Sha256::digest(client_key).to_vec()),
    };
    let mut proof = hmac(mechanism, &stored_key, auth_message.as_bytes());
    for (byte, key) in proof.iter_mut().zip(client_key) {
        *byte ^= key;
    }
    proof
}

/// Whether `signature` is the HMAC of `message`, compared in constant time.
pub(super) fn verifies(mechanism: ScramMechanism, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    match mechanism {
        ScramMechanism::Sha1 => {
            Hmac::<Sha1>::new_from_slice(key).is_ok_and(|mac| mac.chain_update(message).verify_slice(signature).is_ok())
        }
        ScramMechanism::Sha256 => Hmac::<Sha256>::new_from_slice(key)
            .is_ok_and(|mac| mac.chain_update(message).verify_slice(signature).is_ok()),
    }
}

fn hmac(mechanism: ScramMechanism, key: &[u8], message: &[u8]) -> Zeroizing<Vec<u8>> {
    let tag = match mechanism {
        ScramMechanism::Sha1 => {
            Hmac::<Sha1>::new_from_slice(key).map(|mac| mac.chain_update(message).finalize().into_bytes().to_vec())
        }
        ScramMechanism::Sha256 => {
            Hmac::<Sha256>::new_from_slice(key).map(|mac| mac.chain_update(message).finalize().into_bytes().to_vec())
        }
    };
    Zeroizing::new(tag.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha256(password: &str) -> Result<String> {
        prepared_password(ScramMechanism::Sha256, "user", &Secret::from(password)).map(|done| done.expose().to_owned())
    }

    #[test]
    fn sha1_hashes_the_older_digest() {
        let digest = prepared_password(ScramMechanism::Sha1, "user", &Secret::from("pencil")).unwrap();
        assert_eq!(digest.expose(), "1c33006ec1ffd90f9cadcbcc0e118200");
        let unprepared = prepared_password(ScramMechanism::Sha1, "user", &Secret::from("I\u{AD}X\u{7}")).unwrap();
        assert_eq!(unprepared.expose().len(), 32);
    }

    #[test]
    fn sha256_prepares_the_password() {
        for (given, prepared) in [
            ("", ""),
            ("pencil", "pencil"),
            (" a b ", " a b "),
            ("I\u{AD}X", "IX"),
            ("\u{2168}", "IX"),
            ("\u{2163}", "IV"),
            ("\u{AA}", "a"),
            ("a\u{A0}b", "a b"),
            ("\u{AD}", ""),
            ("\u{5D0}\u{5D1}", "\u{5D0}\u{5D1}"),
            ("p\u{E4}ss", "p\u{E4}ss"),
            ("pa\u{308}ss", "p\u{E4}ss"),
        ] {
            assert_eq!(sha256(given).unwrap(), prepared, "{given:?}");
        }
    }

    #[test]
    fn what_saslprep_prohibits_is_refused_and_not_shown() {
        for (given, words) in [
            ("a\u{7}", "control character"),
            ("a\u{7f}", "control character"),
            ("\u{e4}\u{7}", "prohibited"),
            ("\u{627}1", "prohibited"),
            ("\u{627}a\u{628}", "prohibited"),
            ("\u{e000}", "prohibited"),
            ("\u{1F511}", "Unicode 3.2"),
            ("\u{1F100}", "Unicode 3.2"),
        ] {
            let error = sha256(given).unwrap_err();
            assert!(error.message().contains(words), "{given:?}: {error}");
            assert!(!format!("{error:#}").contains(given), "{error}");
        }
    }

    #[test]
    fn only_the_right_signature_verifies() {
        for mechanism in [ScramMechanism::Sha1, ScramMechanism::Sha256] {
            let tag = hmac(mechanism, b"key", b"message");
            assert_eq!(tag.len(), if mechanism == ScramMechanism::Sha1 { 20 } else { 32 });
            assert!(verifies(mechanism, b"key", b"message", &tag));
            assert!(!verifies(mechanism, b"key", b"massage", &tag));
            assert!(!verifies(mechanism, b"kay", b"message", &tag));
            assert!(!verifies(mechanism, b"key", b"message", &tag[..tag.len() - 1]));
            assert!(!verifies(mechanism, b"key", b"message", b""));
        }
    }
}
