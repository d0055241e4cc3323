//! Pages of a listing: by number, and by the last key that was shown.

use mongodb::bson::{Bson, Document, doc};
use mongodb::error::Result;
use mongodb::options::{CountOptions, FindOneOptions, FindOptions, Hint};
use mongodb::sync::{Client, Collection};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Article {
    #[serde(rename = "_id")]
    number: i64,
    title: String,
    score: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
}

struct Page<T> {
    items: Vec<T>,
    total: u64,
    pages: u64,
}

fn page(articles: &Collection<Article>, filter: Document, number: u64, size: i64) -> Result<Page<Article>> {
    let total = articles.count_documents(filter.clone()).run()?;
    let options = FindOptions::builder()
        .skip((number - 1) * size as u64)
        .limit(size)
        .batch_size(2)
        .sort(doc! { "score": -1, "_id": 1 })
        .build();
    let items = articles.find(filter).with_options(options).run()?.collect::<Result<Vec<_>>>()?;
    Ok(Page { items, total, pages: total.div_ceil(size as u64) })
}

fn after(articles: &Collection<Article>, last: Option<i64>, size: i64) -> Result<Vec<i64>> {
    let filter = match last {
        Some(last) => doc! { "_id": { "$gt": last } },
        None => doc! {},
    };
    let cursor = articles.find(filter).sort(doc! { "_id": 1 }).limit(size).hint(Hint::Keys(doc! { "_id": 1 })).run()?;
    cursor.map(|article| article.map(|article| article.number)).collect()
}

fn main() -> Result<()> {
    let client = Client::with_uri_str(std::env::var("MONGODB_URI").expect("MONGODB_URI"))?;
    let database = client.database("move_over_pages");
    database.drop().run()?;
    let articles: Collection<Article> = database.collection("articles");
    let all: Vec<Article> = (0..23)
        .map(|number| Article {
            number,
            title: format!("article {number}"),
            score: (number % 7) as f64 / 2.0,
            tag: (number % 3 == 0).then(|| "rust".to_owned()),
        })
        .collect();
    let result = articles.insert_many(&all).run()?;
    println!("inserted {}", result.inserted_ids.len());
    println!("{:?}", result.inserted_ids.get(&22).and_then(Bson::as_i64));

    for number in 1..=3 {
        let page = page(&articles, doc! { "score": { "$gt": 0.5 } }, number, 6)?;
        let numbers: Vec<i64> = page.items.iter().map(|article| article.number).collect();
        println!("page {number} of {}: {numbers:?} of {}", page.pages, page.total);
    }
    let mut last = None;
    loop {
        let numbers = after(&articles, last, 9)?;
        let Some(end) = numbers.last() else { break };
        last = Some(*end);
        println!("{numbers:?}");
    }
    let options =
        FindOneOptions::builder().sort(doc! { "_id": -1 }).projection(doc! { "title": 1, "score": 1 }).build();
    println!("{:?}", articles.find_one(doc! { "tag": "rust" }).with_options(options).run()?);
    let counted = articles
        .clone_with_type::<Document>()
        .count_documents(doc! { "tag": { "$exists": true } })
        .with_options(CountOptions::builder().limit(5).build())
        .run()?;
    println!("at most five: {counted}");
    let titles = articles
        .clone_with_type::<Document>()
        .find(doc! {})
        .projection(doc! { "_id": 0, "title": 1 })
        .sort(doc! { "_id": 1 })
        .limit(2)
        .run()?;
    for title in titles {
        println!("{}", title?);
    }
    database.drop().run()
}
