//! Concerns and read preferences on the client, a database, a collection and an operation.

use mongodb::bson::{Document, doc};
use mongodb::error::Result;
use mongodb::options::{
    Acknowledgment, CollectionOptions, DatabaseOptions, InsertManyOptions, ReadConcern, ReadConcernLevel,
    ReadPreference, SelectionCriteria, UpdateOptions, WriteConcern,
};
use mongodb::sync::{Client, Collection, Database};

fn audited(client: &Client) -> Database {
    let options = DatabaseOptions::builder()
        .write_concern(WriteConcern::builder().w(Acknowledgment::Nodes(1)).journal(true).build())
        .read_concern(ReadConcern::from(ReadConcernLevel::Local))
        .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::PrimaryPreferred {
            options: Default::default(),
        }))
        .build();
    client.database_with_options("move_over_concerns", options)
}

fn relaxed(database: &Database) -> Collection<Document> {
    let options = CollectionOptions::builder()
        .write_concern(WriteConcern::from(Acknowledgment::Nodes(1)))
        .read_concern(ReadConcern::available())
        .build();
    database.collection_with_options("relaxed", options)
}

fn main() -> Result<()> {
    let client = Client::with_uri_str(std::env::var("MONGODB_URI").expect("MONGODB_URI"))?;
    println!("client: {:?} {:?}", client.read_concern().is_some(), client.write_concern().is_some());
    let database = audited(&client);
    database.drop().run()?;
    println!("{:?}", database.write_concern().and_then(|concern| concern.journal));
    println!("{:?}", database.read_concern().map(|concern| concern.level.clone()));
    println!(
        "{}",
        matches!(
            database.selection_criteria(),
            Some(SelectionCriteria::ReadPreference(ReadPreference::PrimaryPreferred { .. }))
        )
    );

    let relaxed = relaxed(&database);
    println!("{:?}", relaxed.write_concern().and_then(|concern| concern.w.clone()));
    let inherited = database.collection::<Document>("inherited");
    println!("{:?}", inherited.write_concern() == database.write_concern());

    let options = InsertManyOptions::builder().ordered(false).write_concern(WriteConcern::majority()).build();
    relaxed.insert_many([doc! { "n": 1 }, doc! { "n": 2 }]).with_options(options).run()?;
    let options = UpdateOptions::builder()
        .upsert(true)
        .write_concern(WriteConcern::builder().w(Acknowledgment::from(1)).build())
        .build();
    let updated =
        relaxed.update_many(doc! { "n": { "$gt": 5 } }, doc! { "$set": { "n": 9 } }).with_options(options).run()?;
    println!("{} {} {}", updated.matched_count, updated.modified_count, updated.upserted_id.is_some());

    let counted = relaxed.count_documents(doc! {}).read_concern(ReadConcern::local()).run()?;
    println!("{counted}");
    let found: Vec<Document> = relaxed
        .find(doc! {})
        .selection_criteria(ReadPreference::Primary.into())
        .projection(doc! { "_id": 0 })
        .sort(doc! { "n": 1 })
        .run()?
        .collect::<Result<_>>()?;
    println!("{found:?}");
    println!("{:?}", ReadConcern::custom("someLevel").level);
    println!("{:?}", Acknowledgment::from("rack"));
    println!("{:?}", WriteConcern::nodes(2).w);
    database.drop().run()
}
