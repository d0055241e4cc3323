//! MONGODB-OIDC with a callback that asks Azure's token service, for programs that run elsewhere than on an Azure machine:
//! there `ENVIRONMENT:azure` in the connection string is all that it takes.
//!
//! ```sh
//! export AZURE_TENANT_ID=… AZURE_CLIENT_ID=… AZURE_CLIENT_SECRET=…        # a service principal
//! cargo run --example oidc_azure -- "mongodb://cluster.example.com/?tls=true&authMechanism=MONGODB-OIDC" api://my-audience
//! cargo run --example oidc_azure -- "mongodb://…" api://my-audience --az  # who is logged in to the program `az`
//! ```

mod common;

use std::env;
use std::process::ExitCode;

use common::Failure;
use mongo_blocking::options::ClientOptions;
use mongo_blocking::{IdpServerResponse, OidcCallback, OidcCallbackContext, Result, Secret};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let outcome = match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [uri, audience] => with_a_service_principal(uri, audience),
        [uri, audience, "--az"] => with_the_program_az(uri, audience),
        _ => {
            eprintln!("usage: oidc_azure mongodb://HOST/?tls=true&authMechanism=MONGODB-OIDC AUDIENCE [--az]");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn with_a_service_principal(uri: &str, audience: &str) -> Result<()> {
    // Each is looked up when a token is needed: a secret that was rotated meanwhile is found.
    let variable = Box::new(|name: &str| env::var(name).ok());
    let principal = ServicePrincipal { audience: audience.to_owned(), variable };
    common::log_in(ClientOptions::builder().uri(uri).oidc_callback(principal).build())
}

fn with_the_program_az(uri: &str, audience: &str) -> Result<()> {
    let command = ["az", "account", "get-access-token", "--resource", audience, "--query", "accessToken", "-o", "tsv"];
    common::log_in(ClientOptions::builder().uri(uri).oidc_token_command(command).build())
}

/// Looks up a variable.
pub type Variables = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Gets tokens for a service principal by its secret (client credentials, RFC 6749, 4.4).
pub struct ServicePrincipal {
    /// Whom the tokens are for: what the cluster's administrator calls the audience.
    pub audience: String,
    /// The variables of the environment that Azure's own libraries read.
    pub variable: Variables,
}

impl OidcCallback for ServicePrincipal {
    fn token(&self, context: &OidcCallbackContext) -> std::result::Result<IdpServerResponse, Failure> {
        let needed = |name| (self.variable)(name).ok_or_else(|| Failure::from(format!("{name} is not set")));
        // Other clouds have other hosts: https://login.microsoftonline.us, https://login.chinacloudapi.cn
        let host = (self.variable)("AZURE_AUTHORITY_HOST").unwrap_or_else(|| PUBLIC_CLOUD.to_owned());
        let url = format!("{}/{}/oauth2/v2.0/token", host.trim_end_matches('/'), needed("AZURE_TENANT_ID")?);
        let secret = Secret::from(needed("AZURE_CLIENT_SECRET")?);
        let scope = format!("{}/.default", self.audience);
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &needed("AZURE_CLIENT_ID")?),
            ("client_secret", secret.expose()),
            ("scope", &scope),
        ];
        let answer = common::post(&url, &form, context.timeout)?;
        let token = answer["access_token"].as_str().ok_or("the token service gave no access_token")?;
        Ok(IdpServerResponse::new(token).expires_in_seconds(answer["expires_in"].as_i64().unwrap_or(0)))
    }
}

const PUBLIC_CLOUD: &str = "https://login.microsoftonline.com";
