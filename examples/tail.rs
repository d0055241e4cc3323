//! Prints the documents of a capped collection, and goes on with those that are added, until its input ends (Ctrl-D).
//!
//!     cargo run --example tail -- "mongodb://localhost/" shop.log
//!
//! It ends at once where the collection is empty: then the server opens no cursor that stays.
//!
//! The server holds each request of such a cursor until there is something new, for a second at most unless `max_await_time` says
//! otherwise. `Client::close` on another thread ends that at once, and everything else that the client does. A handler of Ctrl-C would
//! call it, too.

use std::io;
use std::process::ExitCode;
use std::thread;

use mongo_blocking::bson::{Document, doc};
use mongo_blocking::error::ErrorKind;
use mongo_blocking::options::CursorType;
use mongo_blocking::{Client, Result};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [uri, namespace] = arguments.as_slice() else {
        eprintln!("usage: tail mongodb://host/ database.collection");
        return ExitCode::from(2);
    };
    let Some((database, collection)) = namespace.split_once('.') else {
        eprintln!("the second argument is database.collection");
        return ExitCode::from(2);
    };
    match Client::with_uri_str(uri).and_then(|client| tail(&client, database, collection)) {
        // This program itself has closed the client.
        Err(error) if matches!(error.kind(), ErrorKind::Shutdown) => ExitCode::SUCCESS,
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn tail(client: &Client, database: &str, collection: &str) -> Result<()> {
    let closer = client.clone();
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        closer.close();
    });
    let log = client.database(database).collection::<Document>(collection);
    for line in log.find(doc! {}).cursor_type(CursorType::TailableAwait).run()? {
        println!("{}", line?);
    }
    Ok(())
}
