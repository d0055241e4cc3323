//! The first steps: connect, log in, write documents, read them back, and see what a wrong password looks like.
//!
//!     cargo run --example quickstart -- "mongodb://user:password@localhost/"
//!
//! The connection string is the argument, or else MONGODB_URI. `sh examples/run.sh` brings a server of its own.

use std::process::ExitCode;
use std::time::Instant;

use mongo_blocking::bson::{Document, doc};
use mongo_blocking::options::ClientOptions;
use mongo_blocking::{Client, Result};
use serde::{Deserialize, Serialize};

/// Any type that serde knows can be a document.
#[derive(Debug, Serialize, Deserialize)]
struct Animal {
    name: String,
    legs: u32,
}

fn main() -> ExitCode {
    let Some(uri) = std::env::args().nth(1).or_else(|| std::env::var("MONGODB_URI").ok()) else {
        eprintln!("usage: quickstart mongodb://user:password@host/   (or set MONGODB_URI)");
        return ExitCode::from(2);
    };
    match tour(&uri) {
        Ok(()) => ExitCode::SUCCESS,
        // An error says at which stage it happened, with which server, and what to look at.
        Err(error) => {
            eprintln!("failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn tour(uri: &str) -> Result<()> {
    let options = ClientOptions::parse(uri).run()?;
    for warning in options.validate()? {
        println!("note: {warning}");
    }
    let client = Client::with_options(options)?;

    let began = Instant::now();
    client.ping()?;
    println!("connected and logged in within {:.1?}", began.elapsed());
    let about = client.database("admin").run_command(doc! { "buildInfo": 1 }).run()?;
    println!("the server is MongoDB {}", about.get_str("version").unwrap_or("(no version)"));

    let animals = client.database("quickstart").collection::<Animal>("animals");
    animals.drop().run()?;
    let inserted = animals.insert_one(Animal { name: "Zoe".into(), legs: 4 }).run()?;
    println!("inserted Zoe as {}", inserted.inserted_id);
    let more = [("Kim", 2), ("Ben", 4), ("Ada", 8)];
    let inserted = animals.insert_many(more.map(|(name, legs)| Animal { name: name.into(), legs })).run()?;
    println!("inserted {} more", inserted.inserted_ids.len());

    println!("all with four legs:");
    for animal in animals.find(doc! { "legs": 4 }).run()? {
        println!("  {:?}", animal?);
    }

    let updated = animals.update_one(doc! { "name": "Kim" }, doc! { "$set": { "legs": 3 } }).run()?;
    println!("changed {} document", updated.modified_count);
    let deleted = animals.delete_one(doc! { "name": "Ada" }).run()?;
    println!("deleted {} document", deleted.deleted_count);

    println!("what is there now:");
    for animal in animals.clone_with_type::<Document>().find(doc! {}).run()? {
        println!("  {}", animal?);
    }
    println!("{} documents, says count_documents", animals.count_documents(doc! {}).run()?);

    wrong_password(uri)?;

    client.close();
    println!("done");
    Ok(())
}

/// Logs in with a password that is not the user's, to show what that looks like.
fn wrong_password(uri: &str) -> Result<()> {
    let options = ClientOptions::parse(uri).run()?;
    if options.credential.is_none() {
        return Ok(());
    }
    let wrong = ClientOptions::builder().uri(uri).password("not the password").build();
    match Client::with_options(wrong)?.ping() {
        Ok(()) => println!("any password will do on this server"),
        Err(error) => println!("with a wrong password:\n  {error:#}"),
    }
    Ok(())
}
