//! A command-line tool with a configuration file: tasks are added, finished and listed.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use mongodb::bson::{DateTime, Document, doc, oid::ObjectId};
use mongodb::options::{ClientOptions, FindOptions};
use mongodb::sync::{Client, Collection};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Task {
    #[serde(rename = "_id")]
    id: ObjectId,
    title: String,
    priority: i32,
    #[serde(default)]
    done: bool,
    created: DateTime,
}

struct Config {
    uri: String,
    database: String,
    timeout: Duration,
}

impl Config {
    fn parse(text: &str) -> Result<Config, Box<dyn Error>> {
        let values: HashMap<&str, &str> = text
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.trim(), value.trim()))
            .collect();
        let uri = match values.get("uri") {
            Some(uri) => (*uri).to_owned(),
            None => std::env::var("MONGODB_URI")?,
        };
        let seconds: u64 = values.get("timeout").copied().unwrap_or("10").parse()?;
        Ok(Config {
            uri,
            database: values.get("database").copied().unwrap_or("tasks").to_owned(),
            timeout: Duration::from_secs(seconds),
        })
    }
}

fn connect(config: &Config) -> mongodb::error::Result<Client> {
    let mut options = ClientOptions::parse(&config.uri).run()?;
    options.app_name = Some("task_tool".to_string());
    options.server_selection_timeout = Some(config.timeout);
    options.connect_timeout = Some(config.timeout);
    options.max_pool_size = Some(4);
    Client::with_options(options)
}

fn add(tasks: &Collection<Task>, title: &str, priority: i32) -> mongodb::error::Result<ObjectId> {
    let task = Task {
        id: ObjectId::new(),
        title: title.into(),
        priority,
        done: false,
        created: DateTime::from_millis(1_700_000_000_000),
    };
    let result = tasks.insert_one(&task).run()?;
    Ok(result.inserted_id.as_object_id().expect("the id is an object id"))
}

fn finish(tasks: &Collection<Task>, id: ObjectId) -> mongodb::error::Result<bool> {
    let result = tasks.update_one(doc! { "_id": id }, doc! { "$set": { "done": true } }).run()?;
    Ok(result.modified_count == 1)
}

fn list(tasks: &Collection<Task>, filter: Document) -> mongodb::error::Result<Vec<Task>> {
    let options = FindOptions::builder().sort(doc! { "priority": -1, "title": 1 }).limit(50).build();
    tasks.find(filter).with_options(options).run()?.collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let config = Config::parse("# the tool's configuration\ndatabase = move_over_tasks\ntimeout = 5\n")?;
    let client = connect(&config)?;
    let database = client.database(&config.database);
    database.drop().run()?;
    let tasks = database.collection::<Task>("tasks");

    let milk = add(&tasks, "buy milk", 1)?;
    add(&tasks, "pay rent", 9)?;
    add(&tasks, "water plants", 3)?;
    println!("finished: {}", finish(&tasks, milk)?);
    println!("finished again: {}", finish(&tasks, milk)?);
    for task in list(&tasks, doc! { "done": false })? {
        println!("{} {} {}", task.priority, task.title, task.created.timestamp_millis());
    }
    println!(
        "{} done of {}",
        tasks.count_documents(doc! { "done": true }).run()?,
        tasks.estimated_document_count().run()?
    );
    database.drop().run()?;
    Ok(())
}
