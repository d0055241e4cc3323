//! A report over measurements: cursors as iterators, a pipeline as an update, and a bounded, sorted, projected read.

use std::collections::BTreeMap;

use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::error::{ErrorKind, Result};
use mongodb::options::{AggregateOptions, CountOptions, FindOneOptions, FindOptions, Hint, InsertManyOptions};
use mongodb::sync::{Client, Collection, Cursor};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Measurement {
    station: String,
    taken_at: DateTime,
    celsius: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Summary {
    #[serde(rename = "_id")]
    station: String,
    mean: f64,
    warmest: f64,
    count: i32,
}

fn measurements() -> impl Iterator<Item = Measurement> {
    (0..60_i64).map(|minute| Measurement {
        station: ["north", "south", "west"][(minute % 3) as usize].to_string(),
        taken_at: DateTime::from_millis(minute * 60_000),
        celsius: 10.0 + (minute % 7) as f64 / 2.0,
        remark: (minute % 20 == 0).then(|| "calibrated".to_string()),
    })
}

fn mean<I: Iterator<Item = Result<Measurement>>>(cursor: I) -> Result<Option<f64>> {
    let (mut sum, mut count) = (0.0, 0);
    for measurement in cursor {
        sum += measurement?.celsius;
        count += 1;
    }
    Ok((count > 0).then(|| sum / f64::from(count)))
}

fn by_station(cursor: Cursor<Measurement>) -> Result<BTreeMap<String, usize>> {
    let mut stations = BTreeMap::new();
    for measurement in cursor {
        *stations.entry(measurement?.station).or_default() += 1;
    }
    Ok(stations)
}

fn report(collection: &Collection<Measurement>) -> Result<()> {
    let pipeline = [
        doc! { "$match": { "celsius": { "$gte": 10.5 } } },
        doc! { "$group": {
            "_id": "$station", "mean": { "$avg": "$celsius" }, "warmest": { "$max": "$celsius" }, "count": { "$sum": 1 },
        } },
        doc! { "$sort": { "_id": 1 } },
    ];
    let options =
        AggregateOptions::builder().allow_disk_use(true).batch_size(2).comment(Bson::String("report".into())).build();
    let summaries: Vec<Summary> =
        collection.aggregate(pipeline).with_options(options).with_type::<Summary>().run()?.collect::<Result<_>>()?;
    for Summary { station, mean, warmest, count } in summaries {
        println!("{station}: {mean:.3} {warmest} {count}");
    }
    Ok(())
}

fn main() -> Result<()> {
    let client = Client::with_uri_str(std::env::var("MONGODB_URI").expect("MONGODB_URI"))?;
    let database = client.database("move_over_statistics");
    database.drop().run()?;
    let collection = database.collection::<Measurement>("measurements");
    let options = InsertManyOptions::builder().ordered(false).build();
    let inserted = collection.insert_many(measurements()).with_options(options).run()?;
    println!("{}", inserted.inserted_ids.len());
    println!("{:?}", mean(collection.find(doc! { "station": "north" }).run()?)?);
    println!("{:?}", mean(collection.find(doc! { "station": "east" }).run()?)?);
    println!("{:?}", by_station(collection.find(doc! {}).batch_size(7).run()?)?);

    let options = FindOptions::builder()
        .sort(doc! { "celsius": -1, "takenAt": 1 })
        .limit(3)
        .projection(doc! { "_id": 0 })
        .build();
    for measurement in
        collection.find(doc! { "takenAt": { "$lt": DateTime::from_millis(1_800_000) } }).with_options(options).run()?
    {
        println!("{:?}", measurement?);
    }
    let first = FindOneOptions::builder().sort(doc! { "takenAt": -1 }).projection(doc! { "_id": 0 }).build();
    println!(
        "{:?}",
        collection.find_one(doc! {}).with_options(first).run()?.map(|found| found.taken_at.timestamp_millis())
    );
    report(&collection)?;

    let pipeline = vec![doc! { "$set": { "fahrenheit": { "$add": [32, { "$multiply": ["$celsius", 1.8] }] } } }];
    let changed = collection.update_many(doc! { "station": "west" }, pipeline).run()?;
    println!("{} {}", changed.matched_count, changed.modified_count);
    let raw = collection.clone_with_type::<Document>();
    let warm =
        raw.find_one(doc! { "fahrenheit": { "$gt": 54.0 } }).projection(doc! { "_id": 0, "fahrenheit": 1 }).run()?;
    println!("{warm:?}");

    let options = CountOptions::builder().hint(Hint::Name("_id_".to_string())).skip(5).limit(20).build();
    println!("{}", collection.count_documents(doc! {}).with_options(options).run()?);
    println!("{:?}", collection.distinct("remark", doc! {}).run()?);
    let mut cursor = collection.find(doc! { "remark": { "$exists": true } }).sort(doc! { "takenAt": 1 }).run()?;
    while cursor.advance()? {
        println!("{:?}", cursor.deserialize_current()?.station);
    }
    let refused = collection.find(doc! { "$bad": 1 }).run().map(drop).unwrap_err();
    println!("{}", matches!(*refused.kind, ErrorKind::Command(ref error) if error.code == 2));
    database.drop().run()
}
