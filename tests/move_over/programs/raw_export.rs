//! An export that keeps documents as they are stored, and looks at single fields of them.

use mongodb::bson::{self, Bson, DateTime, Document, RawDocumentBuf, doc, oid::ObjectId, rawdoc, spec::BinarySubtype};
use mongodb::error::Result;
use mongodb::sync::{Client, Collection, Cursor};
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
struct Header<'a> {
    #[serde(rename = "_id")]
    id: i32,
    kind: &'a str,
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Everything {
    id: ObjectId,
    at: DateTime,
    text: String,
    flags: Vec<bool>,
    nested: Option<Box<Everything>>,
    #[serde(with = "bson::serde_helpers::hex_string_as_object_id")]
    reference: String,
    data: bson::Binary,
}

fn headers(mut cursor: Cursor<RawDocumentBuf>) -> Result<Vec<String>> {
    let mut found = Vec::new();
    while cursor.advance()? {
        let raw = cursor.current();
        let header: Header<'_> = bson::from_slice(raw.as_bytes())?;
        found.push(format!("{}:{}:{}", header.id, header.kind, raw.as_bytes().len()));
    }
    Ok(found)
}

fn main() -> Result<()> {
    let client = Client::with_uri_str(std::env::var("MONGODB_URI").expect("MONGODB_URI"))?;
    let database = client.database("move_over_export");
    database.drop().run()?;
    let raw: Collection<RawDocumentBuf> = database.collection("items");
    raw.insert_one(rawdoc! { "_id": 1, "kind": "raw", "n": 5_i64 }).run()?;
    raw.clone_with_type::<Document>()
        .insert_many(vec![
            doc! { "_id": 2, "kind": "tree", "list": [1, 2, { "a": null }] },
            doc! { "_id": 3, "kind": "plain" },
        ])
        .run()?;
    println!("{:?}", headers(raw.find(doc! {}).sort(doc! { "_id": 1 }).batch_size(1).run()?)?);

    let mut cursor = raw.clone_with_type::<Document>().find(doc! { "kind": "tree" }).run()?;
    while cursor.advance()? {
        let current = cursor.deserialize_current()?;
        println!("{:?}", current.get_array("list").map(|list| list.len()).ok());
    }

    let everything = Everything {
        id: ObjectId::parse_str("0123456789abcdef01234567").expect("an object id"),
        at: DateTime::from_millis(1_000),
        text: "ünï".to_owned(),
        flags: vec![true, false],
        nested: None,
        reference: "ffffffffffffffffffffffff".to_owned(),
        data: bson::Binary { subtype: BinarySubtype::Generic, bytes: vec![1, 2, 3] },
    };
    let document = bson::to_document(&everything)?;
    println!("{document}");
    let bytes = bson::to_vec(&everything)?;
    println!("{}", bytes.len());
    println!("{}", bson::from_slice::<Everything>(&bytes)? == everything);
    println!("{}", bson::from_document::<Everything>(document.clone())? == everything);
    println!("{:?}", bson::from_bson::<Vec<i32>>(Bson::Array(vec![Bson::Int32(1), Bson::Int32(2)]))?);
    println!("{:?}", document.get_object_id("reference").map(|id| id.to_hex()).ok());
    println!("{:?}", document.get_str("missing").is_err());

    let items = database.collection::<Everything>("everything");
    items.insert_one(&everything).run()?;
    println!("{}", items.find_one(doc! {}).run()? == Some(everything));
    let stored = database.collection::<Document>("everything").find_one(doc! {}).run()?.expect("it was stored");
    let keys: Vec<&String> = stored.keys().collect();
    println!("{keys:?}");
    database.drop().run()
}
