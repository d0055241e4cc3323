//! Writes a collection to standard output as Extended JSON, one document on each line, in the order of its fields.
//!
//!     cargo run --example export -- "mongodb://localhost/" shop.orders > orders.jsonl
//!
//! Each document goes from the server's batch to the output without being decoded, so the memory that it needs is that of one batch.
//! NaN and the infinities, which JSON has no numbers for, are written as `null`.

use std::error::Error;
use std::io::{self, BufWriter, Write};

use mongo_blocking::Client;
use mongo_blocking::bson::{RawDocumentBuf, doc};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [uri, namespace] = arguments.as_slice() else {
        return Err("usage: export mongodb://host/ database.collection".into());
    };
    let (database, collection) = namespace.split_once('.').ok_or("the second argument is database.collection")?;

    let client = Client::with_uri_str(uri)?;
    let documents = client.database(database).collection::<RawDocumentBuf>(collection);
    let mut cursor = documents.find(doc! {}).sort(doc! { "_id": 1 }).run()?;
    let mut out = BufWriter::new(io::stdout().lock());
    while cursor.advance()? {
        serde_json::to_writer(&mut out, &cursor.current())?;
        writeln!(out)?;
    }
    out.flush()?;
    Ok(())
}
