//! The operations, by the kind of object they are called on.

mod bulk;
mod client;
mod cursor;
mod database;
mod index;
mod read;
mod special;
mod write;

use std::sync::Arc;

use bson::{Bson, Document};
use mongo_blocking::{Collection, Cursor, Error};

use super::arguments::Arguments;
use super::case::Case;
use super::entities::Entity;
use super::file::Operation;

/// What an operation gave.
pub enum Outcome {
    Nothing,
    Value(Bson),
    /// What a cursor gave, read to its end.
    Documents(Vec<Document>),
    Cursor(Box<Cursor<Document>>),
    Collection(Box<Collection<Document>>),
}

/// Why an operation gave nothing.
pub enum Trouble {
    /// The file asks for what the runner can't do; never what a case expects.
    OfRunner(String),
    OfDriver(Error),
}

pub type Ran = Result<Outcome, Trouble>;

/// Takes optional arguments and hands each that is there to the action's method.
macro_rules! set {
    ($arguments:ident, $action:ident, { $($key:literal => $method:ident($take:ident)),* $(,)? }) => {
        $(if let Some(value) = $arguments.$take($key)? {
            $action = $action.$method(value);
        })*
    };
}
use set;

pub fn run(case: &Arc<Case>, operation: &Operation) -> Ran {
    let mut arguments = Arguments::of(&operation.name, &operation.arguments);
    let (name, arguments) = (operation.name.as_str(), &mut arguments);
    if operation.object == "testRunner" {
        return special::run(case, name, arguments);
    }
    match case.entities.get(&operation.object).map_err(Trouble::OfRunner)? {
        Entity::Client(handle) => client::run(&handle, name, arguments),
        Entity::Database(database) => database::run(&database, name, arguments),
        Entity::Collection(collection) => read::run(&collection, name, arguments)
            .or_else(|| write::run(&collection, name, arguments))
            .or_else(|| index::run(&collection, name, arguments))
            .unwrap_or_else(|| unknown("collection", name)),
        Entity::Cursor(cursor) => cursor::run(&cursor, name, arguments),
        other => unknown(other.kind(), name),
    }
}

fn unknown(kind: &str, name: &str) -> Ran {
    Err(Trouble::OfRunner(format!("the specifications have no operation {name} on a {kind}")))
}

/// Reads a cursor to its end.
fn all(cursor: Cursor<Document>) -> Ran {
    Ok(Outcome::Documents(cursor.collect::<Result<_, _>>()?))
}

fn value(value: impl Into<Bson>) -> Ran {
    Ok(Outcome::Value(value.into()))
}

/// A document that may not be there.
fn found(document: Option<Document>) -> Ran {
    value(document.map_or(Bson::Null, Bson::Document))
}

impl Trouble {
    pub fn of_runner(why: impl Into<String>) -> Trouble {
        Trouble::OfRunner(why.into())
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Trouble::OfDriver(error)
    }
}
