//! MONGODB-OIDC: tokens of a provider that this project did not write (@mongodb-js/oidc-mock-provider), judged by the test server through
//! the provider's public keys; and other people's drivers beside ours.
//!
//! The prose tests of the auth specification (`source/auth/tests/mongodb-oidc.md`):
//!
//! | number | what it asks | test |
//! | --- | --- | --- |
//! | machine 1.1 | a callback is called while logging in | `machine::m1_1_a_callback_is_called_once` |
//! | machine 1.2 | once for many connections | `machine::m1_2_once_for_many_connections` |
//! | machine 2.1 | it is told what it should be | `machine::m2_1_what_a_callback_is_told` |
//! | machine 2.2 | it returns null | `machine::m2_2_and_2_3_answers_that_are_none` (an empty token) |
//! | machine 2.3 | it returns missing data | the same |
//! | machine 2.4 | a callback and an ENVIRONMENT | `machine::m2_4_and_2_5_options_that_exclude_each_other` |
//! | machine 2.5 | ALLOWED_HOSTS and an ENVIRONMENT | the same |
//! | machine 3.1 | a kept token that is refused is fetched anew | `machine::m3_1_a_kept_token_that_is_refused` |
//! | machine 3.2 | a fresh token that is refused is an error | `machine::m3_2_a_fresh_token_that_is_refused` |
//! | machine 3.3 | another error code keeps the token | `machine::m3_3_another_error_keeps_the_token` |
//! | machine 4.1 | reauthentication | `machine::m4_1_reauthentication` |
//! | machine 4.2 | a read fails if it fails | `machine::m4_2_and_4_3_a_reauthentication_that_fails` |
//! | machine 4.3 | so does a write | the same |
//! | machine 4.4 | no speculation in a reauthentication | `machine::m4_4_a_reauthentication_does_not_speculate` |
//! | machine 5.1 | Azure without a user name | in the library: `auth::oidc::tests::azure_is_asked_to_the_letter` (a stub that checks the request) |
//! | machine 5.2 | Azure with a bad one | the same |
//! | human 1.1 | one provider, no user name | `human::h1_1_and_1_2_one_provider` |
//! | human 1.2 | one provider, a user name | the same |
//! | human 1.3 to 1.5 | several providers: user 1, user 2, none | `human::h1_3_to_1_5_several_providers` |
//! | human 1.6 | hosts that are not allowed | `human::h1_6_hosts_that_are_not_allowed` |
//! | human 1.7 | ALLOWED_HOSTS in a connection string | `human::h1_7_allowed_hosts_have_no_place_in_a_connection_string` |
//! | human 1.8 | a provider without a client id | `human::h1_8_a_provider_without_a_client_id` |
//! | human 2.1 | the callback is told what it should be | `human::h2_1_what_a_callback_is_told` |
//! | human 2.2 | it returns missing data | `human::h2_2_an_answer_that_is_none` |
//! | human 2.3 | it gets its refresh token | `human::h2_3_a_refresh_token_comes_back` |
//! | human 3.1 | speculation with a kept token | `human::h3_1_speculation_with_a_kept_token` |
//! | human 3.2 | none without | `human::h3_2_no_speculation_without` |
//! | human 4.1 | reauthentication, and its events | `human::h4_1_reauthentication_and_its_events` |
//! | human 4.2 | without a refresh token | `human::h4_2_without_a_refresh_token` |
//! | human 4.3 | after a refresh that fails | `human::h4_3_after_a_refresh_that_fails` |
//! | human 4.4 | it fails | `human::h4_4_nothing_helps` |

// The fixtures' runner, of which only a part is used here.
#[allow(dead_code)]
#[path = "../spec/report.rs"]
mod report;
#[allow(dead_code, unused_imports)]
#[path = "../spec/unified/mod.rs"]
mod unified;

mod callbacks;
mod examples;
mod fixtures;
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
use mongo_blocking_test_server::front::Front;
use mongo_blocking_test_server::oidc::OidcServer;
use mongo_blocking_test_server::peers::Idp;

/// One provider for all tests; it ends with the process.
fn idp() -> Option<&'static Idp> {
    static IDP: OnceLock<Option<Idp>> = OnceLock::new();
    IDP.get_or_init(Idp::start).as_ref()
}

fn front(server: &OidcServer) -> Front {
    Front::builder().mechanism("MONGODB-OIDC", server.start()).start()
}

fn options(front: &Front) -> ClientOptionsBuilder {
    ClientOptions::builder().host(front.address()).auth_mechanism("MONGODB-OIDC")
}

fn client(options: ClientOptionsBuilder) -> Client {
    Client::with_options(options.build().unwrap()).unwrap()
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
fn fail(front: &Front, commands: &[&str], times: i32, code: i32) {
    front.fail_command(&doc! {
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
