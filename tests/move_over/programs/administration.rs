//! Collections with options, their listings, and commands for the server.

use mongodb::bson::{Document, doc};
use mongodb::error::Result;
use mongodb::options::{CreateCollectionOptions, TimeseriesGranularity, TimeseriesOptions};
use mongodb::results::CollectionType;
use mongodb::sync::{Client, Database};

fn create(database: &Database) -> Result<()> {
    let capped = CreateCollectionOptions::builder().capped(true).size(1_048_576).max(100).build();
    database.create_collection("log").with_options(capped).run()?;
    let series = TimeseriesOptions::builder()
        .time_field("at".to_string())
        .meta_field(Some("sensor".to_string()))
        .granularity(Some(TimeseriesGranularity::Minutes))
        .build();
    database.create_collection("weather").timeseries(series).run()?;
    database.create_collection("people").validator(doc! { "name": { "$type": "string" } }).run()?;
    database.create_collection("names").view_on("people").pipeline(vec![doc! { "$project": { "name": 1 } }]).run()
}

fn main() -> Result<()> {
    let client = Client::with_uri_str(std::env::var("MONGODB_URI").expect("MONGODB_URI"))?;
    let database = client.database("move_over_admin");
    database.drop().run()?;
    create(&database)?;

    let mut names = database.list_collection_names().run()?;
    names.retain(|name| !name.starts_with("system."));
    names.sort();
    println!("{names:?}");
    let mut specifications = database.list_collections().run()?.collect::<Result<Vec<_>>>()?;
    specifications.retain(|specification| !specification.name.starts_with("system."));
    specifications.sort_by(|a, b| a.name.cmp(&b.name));
    for specification in specifications {
        let kind = match specification.collection_type {
            CollectionType::Collection => "collection",
            CollectionType::View => "view",
            CollectionType::Timeseries => "timeseries",
            _ => "other",
        };
        println!(
            "{} is a {kind}, capped {:?}, view on {:?}, read only {}",
            specification.name,
            specification.options.capped,
            specification.options.view_on,
            specification.info.read_only
        );
    }
    let filtered = database.list_collections().filter(doc! { "name": "log" }).run()?;
    println!("{}", filtered.count());

    let people = database.collection::<Document>("people");
    people.insert_one(doc! { "name": "Ann", "age": 30 }).run()?;
    println!(
        "{:?}",
        database.collection::<Document>("names").find_one(doc! {}).run()?.map(|mut found| {
            found.remove("_id");
            found
        })
    );
    let stats = database.run_command(doc! { "collStats": "people" }).run()?;
    println!("{} {:?}", stats.get_str("ns").unwrap_or_default(), stats.get_i32("count"));
    let info = client.database("admin").run_command(doc! { "buildInfo": 1 }).run()?;
    println!("{}", info.get_str("version").is_ok());
    let mut cursor = database.run_cursor_command(doc! { "find": "people", "filter": {} }).run()?;
    println!("{}", cursor.next().is_some());
    drop(cursor); // the official driver's shutdown waits for it

    let databases = client.list_database_names().filter(doc! { "name": "move_over_admin" }).run()?;
    println!("{databases:?}");
    let specification = client.list_databases().run()?.into_iter().find(|database| database.name == "move_over_admin");
    println!("{:?}", specification.map(|database| (database.empty, database.size_on_disk > 0)));
    people.drop().run()?;
    println!("{}", database.list_collection_names().filter(doc! { "name": "people" }).run()?.len());
    database.drop().run()?;
    client.shutdown().run();
    Ok(())
}
