//! Logins by mechanisms whose server proves nothing: X.509, and OIDC for a service and for a person.

use std::sync::Arc;

use bson::RawDocument;

use super::{next_reply, target};
use crate::auth::AuthTarget;
use crate::credential::{AllowedHosts, IdpServerResponse, OidcCallbackContext};
use crate::description::ServerType;
use crate::error::{Error, FaultKind, Stage, command_error};
use crate::handshake::Handshake;
use crate::options::ClientOptions;
use crate::system::{RealSystem, System};

/// A login with a server that says what the data says: it succeeds only after a reply that says so, and a person's token never
/// leaves for a host that is not allowed.
///
/// The first byte picks the credential, the second the host; then each reply is a byte for its kind, two for its length, and its bytes.
pub fn login(data: &[u8]) {
    let Some((&[choice, host], mut rest)) = data.split_first_chunk() else { return };
    let host = HOSTS.get(usize::from(host)).copied().unwrap_or("localhost");
    let callback = |_: &OidcCallbackContext| Ok(IdpServerResponse::new(TOKEN).refresh_token("refresh"));
    let oidc = || ClientOptions::builder().host(host).auth_mechanism("MONGODB-OIDC");
    let options = match choice {
        0 => ClientOptions::builder()
            .host(host)
            .tls(true)
            .tls_identity_pem("certificate", "key", None)
            .auth_mechanism("MONGODB-X509")
            .build(),
        1 => oidc().oidc_callback(callback).build(),
        2 => oidc().oidc_human_callback(callback).build(),
        _ => return,
    };
    let options = options.settings().expect("these options are right");
    let system: Arc<dyn System> = Arc::new(RealSystem);
    let handshake = Handshake::new(&options, &system).expect("and so are their credentials");
    let allowed = AllowedHosts::default().allow(host);
    let mut accepted = false;
    let exchange = &mut |_database: &str, command: &RawDocument| {
        let has_token = command.as_bytes().windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes());
        assert!(choice != 2 || allowed || !has_token, "a person's token leaves for {host}");
        let reply = next_reply(&mut rest, b"");
        let reply = reply.ok_or_else(|| Error::new(FaultKind::Io, Stage::Command, "the data is at its end"))?;
        accepted = command_error(&reply, Stage::Command).is_none();
        Ok(reply)
    };
    if let Ok(done) = handshake.run(&AuthTarget { host, ..target() }, exchange) {
        assert!(accepted, "a login succeeded that the server refused");
        let arbiter = done.hello.description.server_type == ServerType::RsArbiter;
        assert!(arbiter || done.login.mechanism.is_some(), "a connection without a login");
        assert!(arbiter || choice != 2 || allowed, "a person was logged in at {host}");
    }
}

/// Some that may get a person's token, and some that may not.
const HOSTS: &[&str] = &["localhost", "a.mongodb.net", "evil.example.com", "mongodb.net.example.com"];

const TOKEN: &str = "eyJhbGciOi.canary.token";
