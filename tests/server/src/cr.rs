//! The server's half of MONGODB-CR, as servers up to 3.6 have it.

use bson::{Document, doc};
use openssl::error::ErrorStack;
use openssl::hash::{MessageDigest, hash};
use openssl::rand::rand_bytes;

use crate::answers::error;

/// A user with credentials for MONGODB-CR only.
#[derive(Debug, Clone)]
pub(crate) struct CrUser {
    pub(crate) name: String,
    pub(crate) password: String,
    pub(crate) database: String,
}

/// Answers `getnonce`; the nonce is good for one `authenticate` on the same connection.
pub(crate) fn get_nonce(kept: &mut Option<String>) -> Document {
    let mut bytes = [0; 8];
    if rand_bytes(&mut bytes).is_err() {
        return error(8, "no random bytes");
    }
    // As a server writes a number: without leading zeros.
    let nonce = format!("{:x}", u64::from_be_bytes(bytes));
    *kept = Some(nonce.clone());
    doc! {"nonce": nonce, "ok": 1.0}
}

/// Judges `authenticate`; gives the user who is logged in, or the refusal.
pub(crate) fn authenticate(
    users: &[CrUser],
    database: &str,
    body: &Document,
    nonce: Option<String>,
) -> Result<(String, String), Document> {
    let failed = || error(18, "auth failed");
    let given = |name: &str| body.get_str(name).unwrap_or_default().to_owned();
    let user = users.iter().find(|user| user.name == given("user") && user.database == database).ok_or_else(failed)?;
    let nonce = nonce.filter(|nonce| *nonce == given("nonce")).ok_or_else(failed)?;
    match key(user, &nonce) {
        Ok(key) if key == given("key") => Ok((user.name.clone(), user.database.clone())),
        _ => Err(failed()),
    }
}

fn key(user: &CrUser, nonce: &str) -> Result<String, ErrorStack> {
    let digest = md5(&format!("{}:mongo:{}", user.name, user.password))?;
    md5(&format!("{nonce}{}{digest}", user.name))
}

fn md5(text: &str) -> Result<String, ErrorStack> {
    let digest = hash(MessageDigest::md5(), text.as_bytes())?;
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_known_conversation() {
        let user = CrUser { name: "user".to_owned(), password: "pencil".to_owned(), database: "admin".to_owned() };
        assert_eq!(key(&user, "2375531c32080ae8").unwrap(), "21742f26431831d5cfca035a08c5bdf6");
    }
}
