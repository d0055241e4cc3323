//! MONGODB-AWS: shows which keys would be used and where they were found, then logs in with them.
//!
//!     cargo run --example aws -- "mongodb+srv://cluster.example.mongodb.net/?authMechanism=MONGODB-AWS"
//!
//! With no keys in the connection string they are looked for where AWS tools look: the environment, profiles (AWS_PROFILE),
//! web identity, IAM Identity Center, the container's endpoint, the EC2 instance. With `--vault` behind the connection string they
//! come from this program, as they would from a secret store of yours.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use mongo_blocking::bson::doc;
use mongo_blocking::options::ClientOptions;
use mongo_blocking::{AwsCredentialProvider, AwsKeys, Client, Result};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(uri) = arguments.next() else {
        eprintln!("usage: aws mongodb://host/?authMechanism=MONGODB-AWS [--vault]");
        return ExitCode::from(2);
    };
    let outcome = match arguments.next().as_deref() {
        Some("--vault") => with_keys_from_code(&uri),
        _ => with_keys_that_are_found(&uri),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn with_keys_that_are_found(uri: &str) -> Result<()> {
    let options = ClientOptions::parse(uri).run()?;
    if let Some(credential) = &options.credential
        && credential.username.is_none()
    {
        // Only to see: a login looks by itself, and keeps what expires until five minutes before it does.
        println!("{}", mongo_blocking::aws_source_report(Duration::from_secs(10))?);
    }
    log_in(options)
}

fn with_keys_from_code(uri: &str) -> Result<()> {
    log_in(ClientOptions::builder().uri(uri).auth_mechanism("MONGODB-AWS").aws_credential_provider(Vault).build())
}

/// Stands for a secret store. A closure that takes a `Duration` would do, too.
struct Vault;

impl AwsCredentialProvider for Vault {
    fn keys(&self, _within: Duration) -> Result<AwsKeys, Box<dyn std::error::Error + Send + Sync>> {
        let id = std::env::var("VAULT_KEY_ID").map_err(|_| "the vault is sealed: VAULT_KEY_ID is not set")?;
        let secret = std::env::var("VAULT_SECRET").map_err(|_| "the vault is sealed: VAULT_SECRET is not set")?;
        // With a time of expiry the keys are kept, and asked for again in time.
        Ok(AwsKeys::new(id, secret).expires(SystemTime::now() + Duration::from_secs(3600)))
    }
}

fn log_in(options: ClientOptions) -> Result<()> {
    let client = Client::with_options(options)?;
    let status = client.database("admin").run_command(doc! { "connectionStatus": 1 }).run()?;
    let users = status.get_document("authInfo").and_then(|info| info.get_array("authenticatedUsers"));
    println!("logged in as {:?}", users.map_or(&[][..], Vec::as_slice));
    Ok(())
}
