//! Users and their stored credentials, made as a MongoDB server makes them.

use openssl::base64::encode_block;
use openssl::error::ErrorStack;
use openssl::hash::{MessageDigest, hash};
use openssl::pkcs5::pbkdf2_hmac;
use openssl::pkey::PKey;
use openssl::rand::rand_bytes;
use openssl::sign::Signer;

/// A SCRAM mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// SCRAM-SHA-1.
    ScramSha1,
    /// SCRAM-SHA-256.
    ScramSha256,
}

impl Mechanism {
    /// The mechanism of this name.
    pub fn named(name: &str) -> Option<Mechanism> {
        [Mechanism::ScramSha1, Mechanism::ScramSha256].into_iter().find(|m| m.name() == name)
    }

    /// Its name in commands and URIs.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::ScramSha1 => "SCRAM-SHA-1",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
        }
    }

    fn digest(self) -> MessageDigest {
        match self {
            Mechanism::ScramSha1 => MessageDigest::sha1(),
            Mechanism::ScramSha256 => MessageDigest::sha256(),
        }
    }

    /// Bytes of salt, as mongod makes them; one reference client takes no other length.
    fn salt_bytes(self) -> usize {
        match self {
            Mechanism::ScramSha1 => 16,
            Mechanism::ScramSha256 => 28,
        }
    }

    /// mongod's own default.
    fn default_iterations(self) -> u32 {
        match self {
            Mechanism::ScramSha1 => 10_000,
            Mechanism::ScramSha256 => 15_000,
        }
    }

    /// HMAC with this mechanism's hash.
    pub(crate) fn hmac(self, key: &[u8], data: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        let key = PKey::hmac(key)?;
        let mut signer = Signer::new(self.digest(), &key)?;
        signer.sign_oneshot_to_vec(data)
    }

    /// This mechanism's hash.
    pub(crate) fn hash(self, data: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        Ok(hash(self.digest(), data)?.to_vec())
    }

    /// The salted password of RFC 5802.
    pub(crate) fn salted_password(
        self,
        user: &str,
        password: &str,
        salt: &[u8],
        iterations: u32,
    ) -> Result<Vec<u8>, ErrorStack> {
        let prepared = match self {
            Mechanism::ScramSha1 => {
                let digest = hash(MessageDigest::md5(), format!("{user}:mongo:{password}").as_bytes())?;
                digest.iter().map(|b| format!("{b:02x}")).collect()
            }
            // A password that SASLprep refuses is refused by the clients; as it stands, nobody can log in with it.
            Mechanism::ScramSha256 => stringprep::saslprep(password).map_or_else(|_| password.to_owned(), Into::into),
        };
        let mut salted = vec![0; self.digest().size()];
        pbkdf2_hmac(prepared.as_bytes(), salt, iterations as usize, self.digest(), &mut salted)?;
        Ok(salted)
    }
}

/// What the server stores for one user and one mechanism: nothing that a client could log in with.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) mechanism: Mechanism,
    pub(crate) salt: Vec<u8>,
    pub(crate) iterations: u32,
    pub(crate) stored_key: Vec<u8>,
    pub(crate) server_key: Vec<u8>,
}

/// A user of the fake server.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) database: String,
    /// For [`crate::fake_server::FakeServer::login_uri`], which a test wants; a real server could not do that.
    pub(crate) password: String,
    pub(crate) stored: Vec<Stored>,
}

impl User {
    /// Makes the credentials for each of `mechanisms`. `iterations` of `None` are mongod's own.
    pub(crate) fn new(
        name: &str,
        password: &str,
        mechanisms: &[Mechanism],
        database: &str,
        iterations: Option<u32>,
    ) -> Result<User, ErrorStack> {
        let stored = mechanisms
            .iter()
            .map(|&mechanism| {
                let iterations = iterations.unwrap_or(mechanism.default_iterations());
                store(mechanism, name, password, iterations)
            })
            .collect::<Result<_, _>>()?;
        Ok(User { name: name.to_owned(), database: database.to_owned(), password: password.to_owned(), stored })
    }

    pub(crate) fn stored(&self, mechanism: Mechanism) -> Option<&Stored> {
        self.stored.iter().find(|s| s.mechanism == mechanism)
    }
}

/// The user of that name in that database.
pub(crate) fn find<'a>(users: &'a [User], database: &str, name: &str) -> Option<&'a User> {
    users.iter().find(|u| u.database == database && u.name == name)
}

/// Random bytes as base64, which has no comma and so fits a nonce.
pub(crate) fn random_base64(bytes: usize) -> Result<String, ErrorStack> {
    let mut random = vec![0; bytes];
    rand_bytes(&mut random)?;
    Ok(encode_block(&random))
}

fn store(mechanism: Mechanism, name: &str, password: &str, iterations: u32) -> Result<Stored, ErrorStack> {
    let mut salt = vec![0; mechanism.salt_bytes()];
    rand_bytes(&mut salt)?;
    let salted = mechanism.salted_password(name, password, &salt, iterations)?;
    let client_key = mechanism.hmac(&salted, b"Client Key")?;
    Ok(Stored {
        mechanism,
        salt,
        iterations,
        stored_key: mechanism.hash(&client_key)?,
        server_key: mechanism.hmac(&salted, b"Server Key")?,
    })
}
