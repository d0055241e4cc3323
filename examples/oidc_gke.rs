//! MONGODB-OIDC with a callback that reads the token of the pod's service account, as on Google Kubernetes Engine.
//!
//! ```sh
//! cargo run --example oidc_gke -- "mongodb://cluster.example.com/?tls=true&authMechanism=MONGODB-OIDC"
//! cargo run --example oidc_gke -- "mongodb://…" /var/run/secrets/tokens/mongodb
//! ```
//!
//! The pod wants a volume of the kind `projected` with a `serviceAccountToken` whose audience is the cluster's. The default path is
//! that of the token that each pod has. Kubernetes replaces the file long before its token expires, so it is read whenever a
//! token is needed. (`ENVIRONMENT:k8s` in the connection string does the same for the usual paths, and `oidc_token_file` for any other:
//! this shows how a callback is written.)

mod common;

use std::env;
use std::fs;
use std::process::ExitCode;

use common::Failure;
use mongo_blocking::options::ClientOptions;
use mongo_blocking::{IdpServerResponse, OidcCallbackContext, Result};

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let Some(uri) = arguments.next() else {
        eprintln!("usage: oidc_gke mongodb://HOST/?tls=true&authMechanism=MONGODB-OIDC [PATH]");
        return ExitCode::from(2);
    };
    let path = arguments.next().unwrap_or_else(|| SERVICE_ACCOUNT_TOKEN.to_owned());
    match log_in(&uri, path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn log_in(uri: &str, path: String) -> Result<()> {
    let callback = move |_context: &OidcCallbackContext| token_in(&path);
    common::log_in(ClientOptions::builder().uri(uri).oidc_callback(callback).build())
}

/// The token in this file.
pub fn token_in(path: &str) -> std::result::Result<IdpServerResponse, Failure> {
    let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    Ok(IdpServerResponse::new(text.trim()))
}

/// Where each pod has its service account's token.
const SERVICE_ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
