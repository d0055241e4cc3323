//! What the tests of this mechanism share, and the machine's own.

use crate::credential::GssapiCredential;

pub(super) fn credential(username: &str) -> GssapiCredential {
    GssapiCredential {
        username: username.to_owned(),
        password: None,
        service_name: "mongodb".to_owned(),
        service_realm: None,
        service_host: None,
        canonicalize_host_name: None,
        credential_cache: None,
        client_keytab: None,
    }
}
