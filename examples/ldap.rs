//! Logs in by PLAIN, so as a user of the LDAP directory behind the server, and prints who the server says we are.
//!
//! ```sh
//! LDAP_PASSWORD=… cargo run --example ldap -- db.example.com ann /etc/ssl/company-ca.pem
//! ```
//!
//! The password travels as it is, so this program speaks TLS and nothing else: the policy refuses a channel on which others might
//! read it. The file with the authority can be left out where the system knows it.

use std::env;
use std::process::ExitCode;

use mongo_blocking::bson::doc;
use mongo_blocking::options::ClientOptions;
use mongo_blocking::{Client, SecurityPolicy};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (host, user, ca_file) = match &arguments[..] {
        [host, user] => (host, user, None),
        [host, user, ca_file] => (host, user, Some(ca_file)),
        _ => {
            eprintln!("usage: LDAP_PASSWORD=… ldap HOST[:PORT] USER [CA-FILE]");
            return ExitCode::from(2);
        }
    };
    match log_in(host, user, ca_file) {
        Ok(status) => {
            println!("{status}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            // One line: the stage, what the server said, and the remedy.
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn log_in(host: &str, user: &str, ca_file: Option<&String>) -> mongo_blocking::Result<String> {
    let mut options = ClientOptions::builder()
        .host(host)
        .username(user)
        .password(env::var("LDAP_PASSWORD").unwrap_or_default())
        .auth_mechanism("PLAIN")
        .tls(true)
        .policy(SecurityPolicy::default().refuse_unprotected_secrets(true));
    if let Some(ca_file) = ca_file {
        options = options.tls_ca_file(ca_file);
    }
    let client = Client::with_options(options.build())?;
    let status = client.database("admin").run_command(doc! { "connectionStatus": 1 }).run()?;
    Ok(status.get("authInfo").map_or_else(|| "nobody".to_owned(), ToString::to_string))
}
