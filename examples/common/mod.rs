//! What the examples of MONGODB-OIDC share: asking a provider, over the platform's TLS, and who is logged in.
#![allow(dead_code, reason = "each example uses a part of it")]

use std::error::Error;
use std::time::Duration;

use mongo_blocking::Client;
use mongo_blocking::bson::doc;
use mongo_blocking::options::ClientOptions;
use serde_json::Value;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Body, http::Response};

/// An error of a callback. Its text goes into the error of the login, so it holds no secret.
pub type Failure = Box<dyn Error + Send + Sync>;

/// The JSON at this URL.
pub fn get(url: &str, within: Duration) -> Result<Value, Failure> {
    judge(agent(within).get(url).call()?)
}

/// What the URL answers to this form: the endpoints of OAuth 2.0 take forms (RFC 6749, 4).
pub fn post(url: &str, form: &[(&str, &str)], within: Duration) -> Result<Value, Failure> {
    judge(agent(within).post(url).send_form(form.iter().copied())?)
}

/// Logs in, and asks the server who that was.
pub fn log_in(options: ClientOptions) -> mongo_blocking::Result<()> {
    let client = Client::with_options(options)?;
    let status = client.database("admin").run_command(doc! { "connectionStatus": 1 }).run()?;
    let users = status.get_document("authInfo").and_then(|info| info.get_array("authenticatedUsers"));
    println!("logged in as {:?}", users.map_or(&[][..], Vec::as_slice));
    Ok(())
}

/// No redirects: where a secret is sent to is our decision.
fn agent(within: Duration) -> Agent {
    let tls = TlsConfig::builder().provider(TlsProvider::NativeTls).root_certs(RootCerts::PlatformVerifier).build();
    let config = Agent::config_builder().tls_config(tls).timeout_global(Some(within));
    config.max_redirects(0).http_status_as_error(false).build().new_agent()
}

fn judge(mut answer: Response<Body>) -> Result<Value, Failure> {
    let text = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_string()?;
    let status = answer.status();
    let json: Value = serde_json::from_str(&text).map_err(|_| format!("{status}, and no JSON"))?;
    // RFC 6749, 5.2: `error` is one of a few words, `error_description` is for people.
    match (json["error"].as_str(), status.is_success()) {
        (None, true) => Ok(json),
        (error, _) => {
            let description = json["error_description"].as_str().unwrap_or("no more is said");
            Err(format!("{status}: {}: {description}", error.unwrap_or("refused")).into())
        }
    }
}

const MAX_ANSWER: u64 = 1 << 20;
