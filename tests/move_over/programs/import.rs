//! An import of records: inserts in batches, upserts, counters, and what happened to each.

use mongodb::bson::{self, Bson, Document, doc};
use mongodb::error::{ErrorKind, Result};
use mongodb::options::{FindOneAndReplaceOptions, ReturnDocument, UpdateModifications};
use mongodb::sync::{Client, Collection};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
struct Record {
    #[serde(rename = "_id")]
    key: String,
    value: i32,
}

fn parse(line: &str) -> Option<Record> {
    let (key, value) = line.split_once(',')?;
    Some(Record { key: key.trim().to_owned(), value: value.trim().parse().ok()? })
}

fn load(records: &Collection<Record>, batch: &[Record]) -> Result<(usize, usize)> {
    match records.insert_many(batch).ordered(false).run() {
        Ok(result) => Ok((result.inserted_ids.len(), 0)),
        Err(error) => match *error.kind {
            ErrorKind::InsertMany(ref failed) => {
                let refused = failed.write_errors.as_ref().map_or(0, |errors| errors.len());
                Ok((batch.len() - refused, refused))
            }
            _ => Err(error),
        },
    }
}

fn main() -> Result<()> {
    let client = Client::with_uri_str(std::env::var("MONGODB_URI").expect("MONGODB_URI"))?;
    let database = client.database("move_over_import");
    database.drop().run()?;
    let records = database.collection::<Record>("records");

    let text = "a,1\nb,2\nbroken\nc,3\na,9\nd,4\nb,8\n";
    let parsed: Vec<Record> = text.lines().filter_map(parse).collect();
    let mut totals = (0, 0);
    for batch in parsed.chunks(3) {
        let (loaded, refused) = load(&records, batch)?;
        totals = (totals.0 + loaded, totals.1 + refused);
    }
    println!("{} lines, {} loaded, {} refused", text.lines().count(), totals.0, totals.1);

    let replaced = records.replace_one(doc! { "_id": "a" }, Record { key: "a".into(), value: 9 }).run()?;
    println!("{} {} {:?}", replaced.matched_count, replaced.modified_count, replaced.upserted_id);
    let upserted = records.replace_one(doc! { "_id": "e" }, Record { key: "e".into(), value: 5 }).upsert(true).run()?;
    println!("{:?}", upserted.upserted_id == Some(Bson::String("e".into())));
    let bumped = records.update_many(doc! { "value": { "$lt": 5 } }, doc! { "$inc": { "value": 10 } }).run()?;
    println!("{} {}", bumped.matched_count, bumped.modified_count);
    let pipeline = UpdateModifications::Pipeline(vec![doc! { "$set": { "value": { "$add": ["$value", 1] } } }]);
    println!("{}", records.update_one(doc! { "_id": "b" }, pipeline).run()?.modified_count);
    println!(
        "{}",
        records.update_one(doc! { "_id": "c" }, vec![doc! { "$set": { "value": 7 } }]).run()?.modified_count
    );

    let options = FindOneAndReplaceOptions::builder().return_document(ReturnDocument::After).upsert(true).build();
    let after = records
        .find_one_and_replace(doc! { "_id": "z" }, Record { key: "z".into(), value: 26 })
        .with_options(options)
        .run()?;
    println!("{after:?}");
    println!("{:?}", records.find_one_and_delete(doc! { "_id": "z" }).run()?.map(|record| record.value));
    println!("{:?}", records.find_one_and_delete(doc! { "_id": "z" }).run()?);
    let counters = database.collection::<Document>("counters");
    for _ in 0..3 {
        counters
            .find_one_and_update(doc! { "_id": "imports" }, doc! { "$inc": { "n": 1 } })
            .upsert(true)
            .return_document(ReturnDocument::After)
            .run()?;
    }
    println!("{:?}", counters.find_one(doc! { "_id": "imports" }).run()?.map(|counter| counter.get_i32("n").unwrap()));

    let mut all = records.find(doc! {}).sort(doc! { "_id": 1 }).run()?.collect::<Result<Vec<_>>>()?;
    let first = bson::to_document(&all.remove(0))?;
    println!(
        "{first} {}",
        all.iter().map(|record| format!("{}={}", record.key, record.value)).collect::<Vec<_>>().join(" ")
    );
    println!("{}", records.delete_many(doc! { "value": { "$gt": 8 } }).run()?.deleted_count);
    println!("{:?}", records.clone_with_type::<Document>().distinct("_id", doc! {}).run()?);
    database.drop().run()
}
