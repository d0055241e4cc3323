//! Logs in by MONGODB-CR, for a user of MongoDB 3.6 or before who never got credentials for SCRAM, and prints who the server says
//! we are.
//!
//! ```sh
//! cargo run --example mongodb_cr -- 'mongodb://ann:pencil@db.example.com/?authSource=the_database'
//! ```
//!
//! The mechanism rests on MD5, and MongoDB 4.0 removed it: better than this program is one run of `authSchemaUpgrade` on the server,
//! after which SCRAM-SHA-1 takes the same passwords.

use std::env;
use std::process::ExitCode;

use mongo_blocking::bson::doc;
use mongo_blocking::options::ClientOptions;
use mongo_blocking::{Client, Warning};

fn main() -> ExitCode {
    let Some(uri) = env::args().nth(1) else {
        eprintln!("usage: mongodb_cr mongodb://USER:PASSWORD@HOST[:PORT]/?authSource=DATABASE");
        return ExitCode::from(2);
    };
    match log_in(&uri) {
        Ok(status) => {
            println!("{status}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn log_in(uri: &str) -> mongo_blocking::Result<String> {
    // It is never chosen by itself.
    let options = ClientOptions::builder().uri(uri).auth_mechanism("MONGODB-CR").build();
    let client = Client::with_options(options)?;
    client.warnings().iter().map(Warning::message).for_each(|warning| eprintln!("warning: {warning}"));
    let status = client.database("admin").run_command(doc! { "connectionStatus": 1 }).run()?;
    Ok(status.get("authInfo").map_or_else(|| "nobody".to_owned(), ToString::to_string))
}
