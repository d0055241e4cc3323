//! State that the handlers of a web server share: one client behind an `Arc`, used by many threads.

use std::sync::{Arc, Mutex};
use std::thread;

use mongodb::IndexModel;
use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;
use mongodb::sync::{Client, Collection, Database};
use serde::{Deserialize, Serialize};

#[derive(Clone)]
struct AppState {
    database: Database,
    log: Arc<Mutex<Vec<String>>>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Visit {
    page: String,
    visitor: u32,
}

#[derive(Debug)]
enum AppError {
    Database(mongodb::error::Error),
    NotFound(String),
}

impl From<mongodb::error::Error> for AppError {
    fn from(error: mongodb::error::Error) -> Self {
        AppError::Database(error)
    }
}

impl AppState {
    fn visits(&self) -> Collection<Visit> {
        self.database.collection("visits")
    }
}

fn record(state: &AppState, page: &str, visitor: u32) -> Result<(), AppError> {
    state.visits().insert_one(Visit { page: page.to_owned(), visitor }).run()?;
    state
        .database
        .collection::<Document>("totals")
        .update_one(doc! { "_id": page }, doc! { "$inc": { "visits": 1 } })
        .upsert(true)
        .run()?;
    state.log.lock().unwrap().push(format!("{page} by {visitor}"));
    Ok(())
}

fn total(state: &AppState, page: &str) -> Result<i32, AppError> {
    let totals = state.database.collection::<Document>("totals");
    let Some(found) = totals.find_one(doc! { "_id": page }).run()? else {
        return Err(AppError::NotFound(page.to_owned()));
    };
    Ok(found.get_i32("visits").unwrap_or_default())
}

fn main() -> Result<(), AppError> {
    let client = Client::with_uri_str(std::env::var("MONGODB_URI").expect("MONGODB_URI"))?;
    let state = Arc::new(AppState { database: client.database("move_over_state"), log: Arc::default() });
    state.database.drop().run()?;
    let by_page = IndexModel::builder()
        .keys(doc! { "page": 1, "visitor": 1 })
        .options(IndexOptions::builder().unique(true).build())
        .build();
    println!("{}", state.visits().create_index(by_page).run()?.index_name);
    record(&state, "/", 1000)?;

    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let state = state.clone();
            thread::spawn(move || {
                for visitor in 0..25 {
                    let page = if visitor % 5 == 0 { "/about" } else { "/" };
                    record(&state, page, worker * 25 + visitor).expect("a visit is recorded");
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().expect("no worker panics");
    }

    println!("/: {}, /about: {}", total(&state, "/")?, total(&state, "/about")?);
    match total(&state, "/missing") {
        Err(AppError::NotFound(page)) => println!("no page {page}"),
        other => println!("unexpected: {other:?}"),
    }
    match record(&state, "/", 1000) {
        Err(AppError::Database(error)) => println!("refused: {}", error.to_string().contains("E11000")),
        other => println!("unexpected: {other:?}"),
    }
    println!("{} in the log", state.log.lock().unwrap().len());
    let pages = state.visits().distinct("page", doc! {}).run()?;
    println!("{pages:?}");
    state.database.drop().run()?;
    Ok(())
}
