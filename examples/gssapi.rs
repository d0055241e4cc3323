//! Logs in by Kerberos and prints who the server says we are.
//!
//! ```sh
//! kinit ann@EXAMPLE.COM
//! cargo run --features gssapi --example gssapi -- db.example.com ann@EXAMPLE.COM
//! cargo run --features gssapi --example gssapi -- db.example.com ann@EXAMPLE.COM /etc/app/ann.keytab
//! ```
//!
//! The first form takes the ticket that `kinit` got, the second gets one with a keytab and keeps it in memory.

use std::env;
use std::process::ExitCode;

use mongo_blocking::Client;
use mongo_blocking::bson::doc;
use mongo_blocking::options::ClientOptions;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (host, user, keytab) = match &arguments[..] {
        [host, user] => (host, user, None),
        [host, user, keytab] => (host, user, Some(keytab)),
        _ => {
            eprintln!("usage: gssapi HOST[:PORT] USER@REALM [KEYTAB]");
            return ExitCode::from(2);
        }
    };
    match log_in(host, user, keytab) {
        Ok(status) => {
            println!("{status}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            // One line: the stage, what Kerberos said, who asked for what, and the remedy.
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn log_in(host: &str, user: &str, keytab: Option<&String>) -> mongo_blocking::Result<String> {
    let mut options = ClientOptions::builder().host(host).username(user).auth_mechanism("GSSAPI");
    if let Some(keytab) = keytab {
        options = options.gssapi_client_keytab(keytab);
    }
    let client = Client::with_options(options.build())?;
    let status = client.database("admin").run_command(doc! { "connectionStatus": 1 }).run()?;
    Ok(status.get("authInfo").map_or_else(|| "nobody".to_owned(), ToString::to_string))
}
