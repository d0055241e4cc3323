//! Inserts one document with the official driver at the URI given, prints `ok`, and ends at once. It is built apart, as the programs of
//! `tests/move_over/programs` are: a package with `mongodb = { version = "3.9", features = ["sync"] }` and this file. `tests/interop/first_answer.rs`
//! runs it if `MONGO_BLOCKING_OFFICIAL_FIRST_ANSWER` names it.

use mongodb::bson::{Document, doc};
use mongodb::sync::Client;

fn main() {
    let uri = std::env::args().nth(1).expect("a URI");
    let documents = Client::with_uri_str(uri).expect("a client").database("first").collection::<Document>("c");
    documents.insert_one(doc! {}).run().expect("an answer");
    println!("ok");
    std::process::exit(0);
}
