//! A worker that follows a capped collection: jobs come in while it waits for them, and the last one tells it to stop.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::error::Result;
use mongodb::options::{CreateCollectionOptions, CursorType, FindOptions};
use mongodb::sync::{Client, Collection};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Job {
    Resize { file: String, width: i32 },
    Remove { file: String },
    Stop,
}

fn queue(client: &Client, name: &str) -> Result<Collection<Job>> {
    let database = client.database("move_over_follow_log");
    database.collection::<Document>(name).drop().run()?;
    let options = CreateCollectionOptions::builder().capped(true).size(1_048_576).build();
    database.create_collection(name).with_options(options).run()?;
    Ok(database.collection(name))
}

/// How a worker waits: the server answers after this time where there is no job.
fn waiting() -> FindOptions {
    FindOptions::builder().cursor_type(CursorType::TailableAwait).max_await_time(Duration::from_millis(50)).build()
}

/// Hands out jobs, each after the one before was taken up, so that the worker has to wait for it.
fn hand_out(jobs: &Collection<Job>, rest: &[Job], taken: &mpsc::Receiver<Job>) -> Result<()> {
    for job in rest {
        if taken.recv().is_err() {
            break;
        }
        thread::sleep(Duration::from_millis(200));
        jobs.insert_one(job).run()?;
    }
    Ok(())
}

fn work(jobs: &Collection<Job>, taken: &mpsc::Sender<Job>) -> Result<usize> {
    let mut done = 0;
    for job in jobs.find(doc! {}).with_options(waiting()).run()? {
        let job = job?;
        let _ = taken.send(job.clone());
        match &job {
            Job::Resize { file, width } => println!("resize {file} to {width}"),
            Job::Remove { file } => println!("remove {file}"),
            Job::Stop => return Ok(done),
        }
        done += 1;
    }
    println!("the cursor has ended");
    Ok(done)
}

/// The same without an iterator.
fn work_in_steps(jobs: &Collection<Job>, taken: &mpsc::Sender<Job>) -> Result<usize> {
    let mut done = 0;
    let mut cursor = jobs.find(doc! {}).with_options(waiting()).run()?;
    while cursor.advance()? {
        let job = cursor.deserialize_current()?;
        println!("{} bytes", cursor.current().as_bytes().len());
        let _ = taken.send(job.clone());
        if job == Job::Stop {
            break;
        }
        done += 1;
    }
    Ok(done)
}

fn follow(
    client: &Client,
    name: &str,
    worker: fn(&Collection<Job>, &mpsc::Sender<Job>) -> Result<usize>,
) -> Result<()> {
    let jobs = queue(client, name)?;
    let all = [
        Job::Resize { file: "a.png".to_string(), width: 640 },
        Job::Remove { file: "b.png".to_string() },
        Job::Resize { file: "c.png".to_string(), width: 32 },
        Job::Stop,
    ];
    jobs.insert_one(&all[0]).run()?;
    let (sender, receiver) = mpsc::channel();
    let handed_out = jobs.clone();
    let hands = thread::spawn(move || hand_out(&handed_out, &all[1..], &receiver));
    let done = worker(&jobs, &sender)?;
    drop(sender);
    hands.join().expect("the thread does not panic")?;
    println!("{done} jobs were done, {} are in the log", jobs.count_documents(doc! {}).run()?);
    Ok(())
}

fn main() -> Result<()> {
    let uri = std::env::var("MONGODB_URI").unwrap_or_else(|_| "mongodb://localhost:27017".to_string());
    let client = Client::with_uri_str(uri)?;
    follow(&client, "jobs", work)?;
    follow(&client, "more_jobs", work_in_steps)?;
    client.database("move_over_follow_log").drop().run()
}
