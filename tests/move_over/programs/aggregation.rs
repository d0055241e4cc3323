//! Reports by aggregation, into types of the program.

use std::collections::BTreeMap;

use mongodb::bson::{self, Document, doc};
use mongodb::error::Result;
use mongodb::options::AggregateOptions;
use mongodb::sync::{Client, Database};
use serde::{Deserialize, Serialize};

#[derive(Serialize)]
struct Sale<'a> {
    shop: &'a str,
    product: &'a str,
    amount: i32,
    price: f64,
}

#[derive(Debug, Deserialize)]
struct ShopReport {
    #[serde(rename = "_id")]
    shop: String,
    revenue: f64,
    sales: i32,
    products: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Bucket {
    #[serde(rename = "_id")]
    from: f64,
    count: i32,
}

fn reports(database: &Database) -> Result<Vec<ShopReport>> {
    let pipeline = vec![
        doc! { "$match": { "amount": { "$gt": 0 } } },
        doc! { "$group": {
            "_id": "$shop",
            "revenue": { "$sum": { "$multiply": ["$amount", "$price"] } },
            "sales": { "$sum": 1 },
            "products": { "$addToSet": "$product" },
        } },
        doc! { "$set": { "products": { "$sortArray": { "input": "$products", "sortBy": 1 } } } },
        doc! { "$sort": { "revenue": -1 } },
    ];
    let options = AggregateOptions::builder().allow_disk_use(true).batch_size(1).build();
    database
        .collection::<Document>("sales")
        .aggregate(pipeline)
        .with_options(options)
        .with_type::<ShopReport>()
        .run()?
        .collect()
}

fn main() -> Result<()> {
    let client = Client::with_uri_str(std::env::var("MONGODB_URI").expect("MONGODB_URI"))?;
    let database = client.database("move_over_aggregation");
    database.drop().run()?;
    let sales = [
        Sale { shop: "north", product: "tea", amount: 3, price: 2.5 },
        Sale { shop: "north", product: "milk", amount: 1, price: 1.25 },
        Sale { shop: "south", product: "tea", amount: 10, price: 2.5 },
        Sale { shop: "south", product: "tea", amount: 0, price: 2.5 },
        Sale { shop: "west", product: "salt", amount: 2, price: 0.5 },
    ];
    database.collection::<Sale<'_>>("sales").insert_many(&sales).run()?;

    for report in reports(&database)? {
        println!("{}: {:.2} in {} sales of {:?}", report.shop, report.revenue, report.sales, report.products);
    }

    let buckets = database
        .collection::<Document>("sales")
        .aggregate([
            doc! { "$bucket": { "groupBy": "$price", "boundaries": [0.0, 1.0, 2.0, 3.0], "output": { "count": { "$sum": 1 } } } },
        ])
        .run()?;
    for bucket in buckets {
        let bucket: Bucket = bson::from_document(bucket?)?;
        println!("from {}: {}", bucket.from, bucket.count);
    }

    let mut by_product: BTreeMap<String, i32> = BTreeMap::new();
    for group in database
        .collection::<Document>("sales")
        .aggregate(vec![doc! { "$group": { "_id": "$product", "amount": { "$sum": "$amount" } } }])
        .comment("amounts by product")
        .let_vars(doc! { "unused": 1 })
        .run()?
    {
        let group = group?;
        by_product.insert(group.get_str("_id").unwrap().to_owned(), group.get_i32("amount").unwrap());
    }
    println!("{by_product:?}");

    let written = database
        .collection::<Document>("sales")
        .aggregate(vec![doc! { "$match": { "shop": "north" } }, doc! { "$out": "north" }])
        .run()?
        .count();
    println!("{written} {}", database.collection::<Document>("north").count_documents(doc! {}).run()?);
    let listed = database.aggregate(vec![doc! { "$listLocalSessions": {} }, doc! { "$limit": 0x7fff_i32 }]).run();
    println!("database aggregate: {}", listed.is_ok());
    database.drop().run()
}
