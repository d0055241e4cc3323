//! What a program does with errors: it looks at kinds, codes and labels.

use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind, Result, WriteFailure};
use mongodb::options::{CreateCollectionOptions, ValidationAction, ValidationLevel};
use mongodb::sync::Client;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Strict {
    #[allow(dead_code, reason = "only the type matters")]
    number: i32,
}

fn is_duplicate_key(error: &Error) -> bool {
    match *error.kind {
        ErrorKind::Write(WriteFailure::WriteError(ref write_error)) => write_error.code == 11000,
        _ => false,
    }
}

fn describe(error: &Error) -> String {
    match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(error)) => format!("write error {}", error.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(error)) => format!("write concern error {}", error.code),
        ErrorKind::Command(error) => format!("command error {} ({})", error.code, error.code_name),
        ErrorKind::InsertMany(error) => {
            let failed: Vec<(usize, i32)> =
                error.write_errors.iter().flatten().map(|error| (error.index, error.code)).collect();
            format!("insert_many: {failed:?}")
        }
        ErrorKind::InvalidArgument { message, .. } => format!("invalid argument: {}", !message.is_empty()),
        ErrorKind::ServerSelection { .. } => "no server".to_owned(),
        ErrorKind::Io(error) => format!("i/o: {:?}", error.kind()),
        ErrorKind::Authentication { .. } => "login".to_owned(),
        ErrorKind::BsonDeserialization(_) => "not the expected type".to_owned(),
        _ => "other".to_owned(),
    }
}

fn main() -> Result<()> {
    let client = Client::with_uri_str(std::env::var("MONGODB_URI").expect("MONGODB_URI"))?;
    let database = client.database("move_over_errors");
    database.drop().run()?;
    let people = database.collection::<Document>("people");
    people.insert_one(doc! { "_id": 1 }).run()?;

    let duplicate = people.insert_one(doc! { "_id": 1 }).run().unwrap_err();
    println!("{} {}", is_duplicate_key(&duplicate), describe(&duplicate));

    let several = people
        .insert_many([doc! { "_id": 2 }, doc! { "_id": 1 }, doc! { "_id": 3 }, doc! { "_id": 2 }])
        .ordered(false)
        .run()
        .unwrap_err();
    println!("{}", describe(&several));

    let unknown = database.run_command(doc! { "noSuchCommand": 1 }).run().unwrap_err();
    println!("{}", describe(&unknown));
    println!("retryable: {}", unknown.contains_label("RetryableWriteError"));

    let operator = people.update_one(doc! {}, doc! { "$noSuchOperator": 1 }).run().unwrap_err();
    println!("{}", describe(&operator));
    println!("{}", describe(&people.update_one(doc! {}, doc! { "no": "operator" }).run().unwrap_err()));

    let options = CreateCollectionOptions::builder()
        .validator(doc! { "age": { "$gte": 0 } })
        .validation_level(ValidationLevel::Strict)
        .validation_action(ValidationAction::Error)
        .build();
    database.create_collection("adults").with_options(options).run()?;
    let invalid = database.collection::<Document>("adults").insert_one(doc! { "age": -1 }).run().unwrap_err();
    println!("{}", describe(&invalid));

    people.insert_one(doc! { "_id": 9, "number": "nine" }).run()?;
    let mistyped = database.collection::<Strict>("people").find_one(doc! { "_id": 9 }).run().unwrap_err();
    println!("{}", describe(&mistyped));

    let custom = Error::custom("out of stock".to_string());
    println!("{:?}", custom.get_custom::<String>());
    let copy = duplicate.clone();
    println!("{}", copy.labels().is_empty());
    database.drop().run()
}
