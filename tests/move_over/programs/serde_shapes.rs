//! Options, results, errors and events as serde writes and reads them: for logs, and for settings that are kept in files.

use std::time::Duration;

use mongodb::IndexModel;
use mongodb::bson::{self, Bson, Document, doc};
use mongodb::error::{ErrorKind, Result, WriteFailure};
use mongodb::options::{
    Acknowledgment, AggregateOptions, AuthMechanism, ClientOptions, Collation, CollationStrength, CollectionOptions,
    CommitQuorum, CountOptions, CreateCollectionOptions, CreateIndexOptions, Credential, CursorType, DeleteOptions,
    DistinctOptions, DropIndexOptions, EstimatedDocumentCountOptions, FindOneAndUpdateOptions, FindOptions, Hint,
    IndexOptions, InsertManyOptions, ListCollectionsOptions, ListDatabasesOptions, ListIndexesOptions, ReadConcern,
    ReadPreference, ReplaceOptions, ReturnDocument, SelectionCriteria, ServerAddress, ServerApi, ServerApiVersion, Tls,
    UpdateModifications, UpdateOptions, WriteConcern,
};
use mongodb::sync::Client;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn sorted(value: Bson) -> Bson {
    match value {
        Bson::Document(document) => {
            let mut fields: Vec<(String, Bson)> =
                document.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            fields.sort_by(|one, other| one.0.cmp(&other.0));
            Bson::Document(fields.into_iter().collect())
        }
        Bson::Array(values) => Bson::Array(values.into_iter().map(sorted).collect()),
        other => other,
    }
}

#[allow(deprecated, reason = "bson 2 and 3 have other names for it")]
fn show<T: Serialize>(what: &str, value: &T) {
    println!("{what}: {:?}", sorted(bson::to_bson(value).expect(what)));
}

#[allow(deprecated, reason = "bson 2 and 3 have other names for it")]
fn read<T: DeserializeOwned>(document: Document) -> T {
    bson::from_document(document).expect("it fits")
}

fn written() {
    let find = FindOptions::builder()
        .sort(doc! { "a": 1 })
        .limit(5)
        .skip(2)
        .batch_size(10)
        .max_time(Duration::from_secs(5))
        .let_vars(doc! { "x": 1 })
        .collation(Collation::builder().locale("en").strength(CollationStrength::Secondary).build())
        .hint(Hint::Name("a_1".to_string()))
        .cursor_type(CursorType::Tailable)
        .read_concern(ReadConcern::majority())
        .comment(Bson::String("why".to_string()))
        .allow_disk_use(true)
        .build();
    show("find", &find);
    show("find", &FindOptions::builder().limit(-5).build());
    show(
        "aggregate",
        &AggregateOptions::builder().batch_size(3).allow_disk_use(true).max_time(Duration::from_millis(7)).build(),
    );
    show("insert many", &InsertManyOptions::builder().ordered(false).write_concern(WriteConcern::majority()).build());
    show("delete", &DeleteOptions::builder().hint(Hint::Keys(doc! { "a": 1 })).build());
    show("distinct", &DistinctOptions::builder().max_time(Duration::from_secs(1)).build());
    show("estimate", &EstimatedDocumentCountOptions::builder().max_time(Duration::from_secs(1)).build());
    show("create index", &CreateIndexOptions::builder().commit_quorum(CommitQuorum::Nodes(2)).build());
    show("create index", &CreateIndexOptions::builder().commit_quorum(CommitQuorum::Majority).build());
    show("drop index", &DropIndexOptions::builder().max_time(Duration::from_secs(2)).build());
    show("list indexes", &ListIndexesOptions::builder().batch_size(4).max_time(Duration::from_secs(2)).build());
    show("list collections", &ListCollectionsOptions::builder().batch_size(4).filter(doc! { "name": "a" }).build());
    show("list databases", &ListDatabasesOptions::builder().authorized_databases(true).build());
    let capped = CreateCollectionOptions::builder()
        .capped(true)
        .size(4096)
        .max(10)
        .expire_after_seconds(Duration::from_secs(60));
    show("create collection", &capped.build());
    let options =
        IndexOptions::builder().unique(true).name("x".to_string()).expire_after(Duration::from_secs(60)).build();
    show("index", &IndexModel::builder().keys(doc! { "a": 1 }).options(options).build());
    show("read concern", &ReadConcern::majority());
    show(
        "write concern",
        &WriteConcern::builder()
            .w(Acknowledgment::Nodes(2))
            .journal(true)
            .w_timeout(Duration::from_millis(250))
            .build(),
    );
    show("read preference", &ReadPreference::Nearest { options: None });
    show("server API", &ServerApi::builder().version(ServerApiVersion::V1).strict(true).build());
    show("mechanism", &AuthMechanism::ScramSha256);
    show("address", &ServerAddress::parse("db.example.com:27018").unwrap());
    show("update", &UpdateModifications::Pipeline(vec![doc! { "$set": { "a": 1 } }]));
}

fn read_back() {
    let find: FindOptions =
        read(doc! { "sort": { "a": -1 }, "limit": 3_i64, "batchSize": 7, "let": { "x": 1 }, "hint": "a_1" });
    println!("{:?} {:?} {:?} {:?} {:?}", find.sort, find.limit, find.batch_size, find.let_vars, find.hint);
    let update: UpdateOptions =
        read(doc! { "upsert": true, "arrayFilters": [{ "x": 1 }], "writeConcern": { "w": "majority" } });
    println!("{:?} {:?} {:?}", update.upsert, update.array_filters, update.write_concern);
    let replace: ReplaceOptions = read(doc! { "upsert": true, "bypassDocumentValidation": true });
    println!("{:?} {:?}", replace.upsert, replace.bypass_document_validation);
    let modify: FindOneAndUpdateOptions = read(doc! { "returnDocument": "after", "projection": { "a": 1 } });
    println!("{} {:?}", matches!(modify.return_document, Some(ReturnDocument::After)), modify.projection);
    let count: CountOptions = read(doc! { "limit": 4_i64, "maxTime": 250_i64, "readConcern": { "level": "local" } });
    println!("{:?} {:?} {:?}", count.limit, count.max_time, count.read_concern);
    let aggregate: AggregateOptions =
        read(doc! { "batchSize": 2, "maxTimeMS": 40_i64, "readPreference": { "mode": "secondary" } });
    println!("{:?} {:?} {}", aggregate.batch_size, aggregate.max_time, aggregate.selection_criteria.is_some());
    let collection: CollectionOptions =
        read(doc! { "readConcern": { "level": "majority" }, "writeConcern": { "w": 1 } });
    println!("{:?} {:?}", collection.read_concern, collection.write_concern);
    let criteria: SelectionCriteria = read(doc! { "mode": "secondaryPreferred" });
    println!("{}", matches!(criteria, SelectionCriteria::ReadPreference(ReadPreference::SecondaryPreferred { .. })));
    let credential: Credential = read(doc! { "username": "ann", "source": "shop", "mechanism": "ScramSha1" });
    println!("{:?} {:?} {:?}", credential.username, credential.source, credential.mechanism);
    let options: ClientOptions = read(doc! {
        "hosts": ["db.example.com:27018", { "host": "other.example.com" }], "appName": "files", "replSetName": "rs0", "tls": "Disabled",
        "connectTimeout": { "secs": 3_i64, "nanos": 0 }, "maxPoolSize": 9, "retryWrites": false, "credential": { "username": "ann" },
        "writeConcern": { "w": "majority" }, "selectionCriteria": { "mode": "nearest" },
    });
    println!(
        "{:?} {:?} {:?}",
        options.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        options.app_name,
        options.repl_set_name
    );
    println!("{:?} {:?} {:?}", options.connect_timeout, options.max_pool_size, options.retry_writes);
    println!(
        "{} {:?} {}",
        matches!(options.tls, Some(Tls::Disabled)),
        options.write_concern,
        options.selection_criteria.is_some()
    );
}

fn main() -> Result<()> {
    written();
    read_back();
    let client = Client::with_uri_str(std::env::var("MONGODB_URI").expect("MONGODB_URI"))?;
    let database = client.database("move_over_serde");
    database.drop().run()?;
    let things = database.collection::<Document>("things");
    show("inserted", &things.insert_one(doc! { "_id": 1 }).run()?);
    show("updated", &things.update_one(doc! { "_id": 1 }, doc! { "$set": { "a": 2 } }).run()?);
    show("upserted", &things.update_one(doc! { "_id": 7 }, doc! { "$set": { "a": 2 } }).upsert(true).run()?);
    show("deleted", &things.delete_many(doc! {}).run()?);
    things.insert_one(doc! { "_id": 1 }).run()?;
    let refused = things.insert_one(doc! { "_id": 1 }).run().unwrap_err();
    if let ErrorKind::Write(WriteFailure::WriteError(error)) = refused.kind.as_ref() {
        let written = bson_of(error);
        println!("{:?} {:?} {}", written.get("code"), written.get("codeName"), written.contains_key("errmsg"));
    }
    let unknown = database.run_command(doc! { "noSuchCommand": 1 }).run().unwrap_err();
    if let ErrorKind::Command(error) = unknown.kind.as_ref() {
        let written = bson_of(error);
        println!("{:?} {:?} {}", written.get("code"), written.get("codeName"), written.contains_key("errmsg"));
    }
    for listed in database.list_collections().run()? {
        let mut specification = bson_of(&listed?);
        specification.get_document_mut("info").expect("info").remove("uuid");
        show("collection", &specification.get("name"));
        show("collection", &specification.get("type"));
        show("collection", &specification.get("info"));
    }
    database.drop().run()
}

#[allow(deprecated, reason = "bson 2 and 3 have other names for it")]
fn bson_of<T: Serialize>(value: &T) -> Document {
    bson::to_document(value).expect("a document")
}
