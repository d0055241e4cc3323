//! Logs in with a client certificate (MONGODB-X509) and prints who the server says we are.
//!
//! ```sh
//! cargo run --example x509 -- db.example.com client.pem company-ca.pem
//! ```
//!
//! The user's name is the certificate's subject, which the server reads by itself; so there is no name to give, and no password.
//! The file holds certificate and key. A new certificate can be put in its place while the program runs. Where the key is encrypted,
//! `KEY_PASSWORD` is its password.

use std::env;
use std::process::ExitCode;

use mongo_blocking::Client;
use mongo_blocking::bson::doc;
use mongo_blocking::options::ClientOptions;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [host, certificate, ca_file] = &arguments[..] else {
        eprintln!("usage: x509 HOST[:PORT] CERTIFICATE-AND-KEY CA-FILE");
        return ExitCode::from(2);
    };
    match log_in(host, certificate, ca_file) {
        Ok(status) => {
            println!("{status}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            // A server that knows nobody of this name: the error shows the subject as it must stand in `createUser`.
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn log_in(host: &str, certificate: &str, ca_file: &str) -> mongo_blocking::Result<String> {
    let mut options = ClientOptions::builder()
        .host(host)
        .auth_mechanism("MONGODB-X509")
        .tls_certificate_key_file(certificate)
        .tls_ca_file(ca_file);
    if let Ok(password) = env::var("KEY_PASSWORD") {
        options = options.tls_certificate_key_file_password(password);
    }
    let client = Client::with_options(options.build())?;
    let status = client.database("admin").run_command(doc! { "connectionStatus": 1 }).run()?;
    Ok(status.get("authInfo").map_or_else(|| "nobody".to_owned(), ToString::to_string))
}
