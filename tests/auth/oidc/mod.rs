//! MONGODB-OIDC: tokens of a provider that this project did not write (@mongodb-js/oidc-mock-provider), judged by the test server through
//! the provider's public keys; and other people's drivers beside ours.
//!
//! `machine` and `human` are the prose tests of the auth specification; `tests/prose.md` lists them.

mod callbacks;
mod environments;
mod examples;
mod human;
mod machine;
mod midway;
mod references;
mod secrets;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use mongo_blocking::bson::{Document, doc};
use mongo_blocking::options::{ClientOptions, ClientOptionsBuilder};
use mongo_blocking::{Client, Result};
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::oidc::OidcServer;
use mongo_blocking_test_server::peers::Idp;

/// One provider for all tests; it ends with the process.
fn idp() -> Option<&'static Idp> {
    static IDP: OnceLock<Option<Idp>> = OnceLock::new();
    IDP.get_or_init(Idp::start).as_ref()
}

fn fake_server(server: &OidcServer) -> FakeServer {
    FakeServer::builder().mechanism("MONGODB-OIDC", server.start()).start()
}

fn options(fake_server: &FakeServer) -> ClientOptionsBuilder {
    ClientOptions::builder()
        .host(fake_server.address())
        .auth_mechanism("MONGODB-OIDC")
        .retry_reads(false)
        .retry_writes(false)
}

fn client(options: ClientOptionsBuilder) -> Client {
    Client::with_options(options.build().settings().unwrap()).unwrap()
}

fn find(client: &Client) -> Result<()> {
    client.database("test").collection::<Document>("c").find_one(doc! {}).run().map(drop)
}

fn insert(client: &Client) -> Result<()> {
    client.database("test").collection::<Document>("c").insert_one(&doc! { "x": 1 }).run().map(drop)
}

/// Who is logged in, by the server's own account.
fn who(client: &Client) -> Result<String> {
    let status: Document = client.database("admin").run_command(doc! { "connectionStatus": 1 }).run()?;
    let users = status.get_document("authInfo").and_then(|info| info.get_array("authenticatedUsers")).unwrap();
    let name = |user: &Document| format!("{}@{}", user.get_str("user").unwrap(), user.get_str("db").unwrap());
    Ok(users.iter().map(|user| name(user.as_document().unwrap())).collect::<Vec<_>>().join(" "))
}

/// The next so many of these commands fail with this code.
fn fail(fake_server: &FakeServer, commands: &[&str], times: i32, code: i32) {
    fake_server.fail_command(&doc! {
        "configureFailPoint": "failCommand", "mode": { "times": times },
        "data": { "failCommands": commands.to_vec(), "errorCode": code },
    });
}

/// Counts calls.
#[derive(Clone, Default)]
struct Calls(Arc<AtomicUsize>);

impl Calls {
    /// Counts one; how many there were before.
    fn add(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst)
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

const REAUTHENTICATE: i32 = 391;
