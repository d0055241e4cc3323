//! Who the client says it is: one variant for each mechanism, holding what that mechanism needs.
//!
//! A `Credential` that exists is a valid one.

use crate::secret::Secret;

/// The credential of a client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Credential {
    /// SCRAM with a user name and a password.
    Scram(ScramCredential),
}

/// A user name and a password for SCRAM.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ScramCredential {
    /// The mechanism, or `None` to negotiate.
    pub mechanism: Option<ScramMechanism>,
    /// The user's name, as it is (not percent-encoded).
    pub username: String,
    /// The password, as it is.
    pub password: Secret,
    /// The database that knows the user (`authSource`).
    pub source: String,
    /// Whether user name or password stood in a connection string with a `+`, which some take for a space.
    pub(crate) plus_in_uri: bool,
}

/// A SCRAM mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScramMechanism {
    /// SCRAM-SHA-1.
    Sha1,
    /// SCRAM-SHA-256.
    Sha256,
}

impl ScramMechanism {
    /// Its name in `authMechanism`.
    pub fn name(self) -> &'static str {
        match self {
            ScramMechanism::Sha1 => "SCRAM-SHA-1",
            ScramMechanism::Sha256 => "SCRAM-SHA-256",
        }
    }
}
