//! A shop's catalogue: orders joined to their customers, prices updated by an upsert each, and a repository that is generic over its
//! documents.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{self, Document, doc};
use mongodb::error::Result;
use mongodb::options::{FindOneAndUpdateOptions, FindOptions, IndexOptions, ReturnDocument, UpdateOptions};
use mongodb::results::UpdateResult;
use mongodb::sync::{Client, Collection, Database};
use mongodb::{IndexModel, Namespace};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

trait Entity: Serialize + DeserializeOwned + Send + Sync + Unpin {
    const COLLECTION: &'static str;
    fn id(&self) -> ObjectId;
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Customer {
    #[serde(rename = "_id")]
    id: ObjectId,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    city: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    #[serde(rename = "_id")]
    id: ObjectId,
    customer: ObjectId,
    lines: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Line {
    article: String,
    count: i64,
    price: f64,
}

#[derive(Debug, Deserialize)]
struct Invoice {
    name: String,
    total: f64,
    articles: Vec<String>,
}

impl Entity for Customer {
    const COLLECTION: &'static str = "customers";
    fn id(&self) -> ObjectId {
        self.id
    }
}

impl Entity for Order {
    const COLLECTION: &'static str = "orders";
    fn id(&self) -> ObjectId {
        self.id
    }
}

struct Repository<E: Entity> {
    collection: Collection<E>,
}

impl<E: Entity> Repository<E> {
    fn new(database: &Database) -> Self {
        Repository { collection: database.collection(E::COLLECTION) }
    }

    fn save(&self, entity: &E) -> Result<UpdateResult> {
        self.collection.replace_one(doc! { "_id": entity.id() }, entity).upsert(true).run()
    }

    fn by_id(&self, id: ObjectId) -> Result<Option<E>> {
        self.collection.find_one(doc! { "_id": id }).run()
    }

    fn page(&self, number: u64, size: i64) -> Result<Vec<E>> {
        let options = FindOptions::builder().sort(doc! { "_id": 1 }).skip(number * size as u64).limit(size).build();
        self.collection.find(doc! {}).with_options(options).run()?.collect()
    }

    fn namespace(&self) -> Namespace {
        self.collection.namespace()
    }
}

fn id(last: u8) -> ObjectId {
    ObjectId::from_bytes([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, last])
}

fn line(article: &str, count: i64, price: f64) -> Line {
    Line { article: article.to_string(), count, price }
}

fn main() -> Result<()> {
    let client = Client::with_uri_str(std::env::var("MONGODB_URI").expect("MONGODB_URI"))?;
    let database = client.database("move_over_catalogue");
    database.drop().run()?;
    let customers = Repository::<Customer>::new(&database);
    let orders = Repository::<Order>::new(&database);
    for (number, name) in ["Ann", "Ben", "Cem"].into_iter().enumerate() {
        let saved = customers.save(&Customer { id: id(number as u8), name: name.to_string(), city: None })?;
        println!("{} {} {:?}", saved.matched_count, saved.modified_count, saved.upserted_id);
    }
    orders.save(&Order { id: id(10), customer: id(0), lines: vec![line("pen", 2, 1.5), line("ink", 1, 4.0)] })?;
    orders.save(&Order { id: id(11), customer: id(0), lines: vec![line("pen", 4, 1.5)] })?;
    orders.save(&Order { id: id(12), customer: id(2), lines: vec![line("pad", 1, 3.25)] })?;
    println!(
        "{} {:?} {}",
        orders.namespace(),
        customers.by_id(id(1))?.map(|customer| customer.name),
        customers.page(1, 2)?.len()
    );

    let pipeline = vec![
        doc! { "$unwind": "$lines" },
        doc! { "$group": {
            "_id": "$customer",
            "total": { "$sum": { "$multiply": ["$lines.count", "$lines.price"] } },
            "articles": { "$addToSet": "$lines.article" },
        } },
        doc! { "$lookup": { "from": "customers", "localField": "_id", "foreignField": "_id", "as": "customer" } },
        doc! { "$unwind": "$customer" },
        doc! { "$project": { "_id": 0, "name": "$customer.name", "total": 1, "articles": 1 } },
        doc! { "$sort": { "name": 1 } },
    ];
    for invoice in orders.collection.aggregate(pipeline).with_type::<Invoice>().run()? {
        let mut invoice = invoice?;
        invoice.articles.sort();
        println!("{} owes {} for {:?}", invoice.name, invoice.total, invoice.articles);
    }

    let prices = database.collection::<Document>("prices");
    let unique = IndexOptions::builder().unique(true).name("by_article".to_string()).build();
    prices.create_index(IndexModel::builder().keys(doc! { "article": 1 }).options(unique).build()).run()?;
    let upsert = UpdateOptions::builder().upsert(true).build();
    for (article, price) in [("pen", 1.5), ("ink", 4.0), ("pen", 1.75)] {
        let update = doc! { "$set": { "price": price }, "$inc": { "changes": 1 } };
        let done = prices.update_one(doc! { "article": article }, update).with_options(upsert.clone()).run()?;
        println!("{article}: {} {}", done.matched_count, done.upserted_id.is_some());
    }
    let after =
        FindOneAndUpdateOptions::builder().return_document(ReturnDocument::After).projection(doc! { "_id": 0 }).build();
    let raised = prices
        .find_one_and_update(doc! { "article": "ink" }, doc! { "$inc": { "price": 1 } })
        .with_options(after)
        .run()?;
    println!("{raised:?}");
    let names: Vec<String> = prices.list_index_names().run()?;
    println!("{names:?} {}", prices.estimated_document_count().run()?);

    let mut collections = database.list_collection_names().filter(doc! { "name": { "$ne": "prices" } }).run()?;
    collections.sort();
    println!("{collections:?}");
    #[allow(deprecated, reason = "bson 2 and 3 have other names for it")]
    let tree =
        bson::to_document(&Customer { id: id(9), name: "Dee".into(), city: Some("Ulm".into()) }).expect("a document");
    println!("{tree}");
    database.drop().run()
}
