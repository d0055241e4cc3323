//! The drivers' common fixtures for MONGODB-OIDC, which want MongoDB 7.0 with access control: MongoDB 6.0 behind a fake server that has the
//! mechanism stands for it. Logins, fail points and `hello` are the fake server's, all other commands MongoDB's.

use std::sync::OnceLock;

use mongo_blocking::options::ClientOptionsBuilder;
use mongo_blocking::{IdpServerResponse, OidcCallbackContext};
use mongo_blocking_test_server::fake_server::{FakeServer, Mechanism};
use mongo_blocking_test_server::oidc::OidcServer;
use mongo_blocking_test_server::peers::{Idp, Mongod};

use crate::unified;
use crate::unified::deployment::{AtHand, Login};
use crate::unified::file::Version;
use mongo_blocking_test_server::report::specifications;

#[test]
fn without_retries() {
    let (Some(_), Some(idp), Some(mongod)) = (specifications(), idp(), Mongod::shared("6.0")) else { return };
    let server = OidcServer::trusting(idp);
    let fake_server = FakeServer::builder()
        .mechanism("MONGODB-OIDC", server.start())
        .user("root", "pencil", &[Mechanism::ScramSha256], "admin")
        .forward_to(&mongod.address(), None)
        .start();
    let login =
        Login { mechanism: "MONGODB-OIDC", uri: format!("mongodb://{}/", fake_server.address()), set: callback };
    let at_hand = AtHand::standing_for(Version([7, 0, 0]), fake_server.uri(), login);
    unified::run_all_at("auth/tests/unified", 1, &at_hand);
    // Every case's own client has logged in: nothing was skipped.
    let logins = fake_server.commands().into_iter().filter(|command| command.body.to_string().contains("MONGODB-OIDC"));
    assert!(logins.count() >= 4);
}

/// One provider for the test and its callback; it ends with the process.
fn idp() -> Option<&'static Idp> {
    static IDP: OnceLock<Option<Idp>> = OnceLock::new();
    IDP.get_or_init(Idp::start).as_ref()
}

fn callback(options: ClientOptionsBuilder) -> ClientOptionsBuilder {
    options.oidc_callback(|_: &OidcCallbackContext| {
        let idp = idp().ok_or("the provider was there a moment ago")?;
        Ok(IdpServerResponse::new(idp.token("test_user1")))
    })
}
