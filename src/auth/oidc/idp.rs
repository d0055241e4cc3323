//! The server's message that names its identity provider.

use bson::{RawArray, RawBsonRef, RawDocument};

use crate::credential::IdpServerInfo;

/// Reads it. Fields of later versions are passed over.
pub(crate) fn read(challenge: &[u8]) -> Result<IdpServerInfo, &'static str> {
    let (mut issuer, mut client_id, mut request_scopes) = (None, None, None);
    for element in RawDocument::from_bytes(challenge).map_err(|_| NOT_BSON)? {
        let (name, value) = element.map_err(|_| NOT_BSON)?;
        let twice = match (name.as_str(), value) {
            ("issuer", RawBsonRef::String(text)) => issuer.replace(text.to_owned()).is_some(),
            ("issuer", _) => return Err("the server's issuer is not a string"),
            ("clientId", RawBsonRef::String(text)) => client_id.replace(text.to_owned()).is_some(),
            ("clientId", RawBsonRef::Null) | ("requestScopes", RawBsonRef::Null) => false,
            ("clientId", _) => return Err("the server's clientId is not a string"),
            ("requestScopes", RawBsonRef::Array(array)) => request_scopes.replace(scopes(array)?).is_some(),
            ("requestScopes", _) => return Err("the server's requestScopes are not a list"),
            _ => false,
        };
        if twice {
            return Err("the server's message about its identity provider has a field twice");
        }
    }
    let issuer = issuer.filter(|issuer| !issuer.is_empty()).ok_or("the server named no issuer")?;
    Ok(IdpServerInfo { issuer, client_id, request_scopes })
}

fn scopes(array: &RawArray) -> Result<Vec<String>, &'static str> {
    let mut scopes = Vec::new();
    for scope in array {
        match scope.map_err(|_| NOT_BSON)? {
            RawBsonRef::String(text) if scopes.len() < MAX_SCOPES => scopes.push(text.to_owned()),
            RawBsonRef::String(_) => return Err("the server's requestScopes are more than 1000"),
            _ => return Err("one of the server's requestScopes is not a string"),
        }
    }
    Ok(scopes)
}

const NOT_BSON: &str = "the server's message about its identity provider is not valid BSON";

/// The message itself is bounded already (64 KiB).
const MAX_SCOPES: usize = 1000;
