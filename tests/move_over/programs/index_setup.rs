//! Indexes that a program makes when it starts.

use std::time::Duration;

use mongodb::IndexModel;
use mongodb::bson::{Document, doc};
use mongodb::error::Result;
use mongodb::options::{Collation, CollationStrength, CreateIndexOptions, IndexOptions};
use mongodb::sync::{Client, Collection, Database};

fn unique(keys: Document, name: &str) -> IndexModel {
    IndexModel::builder()
        .keys(keys)
        .options(IndexOptions::builder().unique(true).name(name.to_string()).build())
        .build()
}

fn ensure_indexes(database: &Database) -> Result<Vec<String>> {
    let users: Collection<Document> = database.collection("users");
    let sessions: Collection<Document> = database.collection("sessions");
    let mut made = Vec::new();

    made.push(users.create_index(unique(doc! { "email": 1 }, "unique_email")).run()?.index_name);
    let folded = Collation::builder().locale("en").strength(CollationStrength::Secondary).build();
    let by_name = IndexModel::builder()
        .keys(doc! { "name": 1, "born": -1 })
        .options(IndexOptions::builder().collation(folded).partial_filter_expression(doc! { "active": true }).build())
        .build();
    let text = IndexModel::builder()
        .keys(doc! { "about": "text" })
        .options(Some(IndexOptions::builder().default_language(Some("none".to_string())).build()))
        .build();
    made.extend(users.create_indexes([by_name, text]).run()?.index_names);

    let expiring = IndexModel::builder()
        .keys(doc! { "seen": 1 })
        .options(IndexOptions::builder().expire_after(Duration::from_secs(3600)).build())
        .build();
    let options = CreateIndexOptions::builder().max_time(Duration::from_secs(30)).build();
    made.push(sessions.create_index(expiring).with_options(options).run()?.index_name);
    Ok(made)
}

fn main() -> Result<()> {
    let client = Client::with_uri_str(std::env::var("MONGODB_URI").expect("MONGODB_URI"))?;
    let database = client.database("move_over_indexes");
    database.drop().run()?;
    println!("{:?}", ensure_indexes(&database)?);
    println!("again: {:?}", ensure_indexes(&database)?);

    let users = database.collection::<Document>("users");
    let mut names = users.list_index_names().run()?;
    names.sort();
    println!("{names:?}");
    for index in users.list_indexes().run()? {
        let index = index?;
        let options = index.options.unwrap_or_default();
        println!(
            "{:?}: {} unique {:?} partial {:?} collation {:?}",
            options.name,
            index.keys,
            options.unique,
            options.partial_filter_expression.map(|filter| filter.to_string()),
            options.collation.map(|collation| collation.locale),
        );
    }
    for index in database.collection::<Document>("sessions").list_indexes().run()? {
        let index = index?;
        println!("{} expires {:?}", index.keys, index.options.and_then(|options| options.expire_after));
    }
    users.drop_index("unique_email").run()?;
    users.drop_index(String::from("name_1_born_-1")).run()?;
    println!("{}", users.list_index_names().run()?.len());
    users.drop_indexes().run()?;
    println!("{:?}", users.list_index_names().run()?);
    database.drop().run()
}
