//! The operations, by the kind of object they are called on.

mod bulk;
mod client;
mod cursor;
mod database;
mod index;
mod read;
mod session;
mod special;
mod write;

use std::sync::Arc;

use bson::{Bson, Document};
use mongo_blocking::{Collection, Cursor, Error, SessionCursor};

use super::arguments::Arguments;
use super::case::Case;
use super::entities::{Entity, SessionHandle};
use super::file::{self, Operation};

/// What an operation gave.
pub enum Outcome {
    Nothing,
    Value(Bson),
    /// What a cursor gave, read to its end.
    Documents(Vec<Document>),
    Cursor(Box<OpenCursor>),
    Collection(Box<Collection<Document>>),
}

/// A cursor with what it takes to read it.
pub enum OpenCursor {
    Implicit(Cursor<Document>),
    Explicit(SessionCursor<Document>, Arc<SessionHandle>),
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
/// Runs an action in the session that the arguments name, if they name one.
macro_rules! send {
    ($action:expr, $arguments:ident) => {
        $action.optional($arguments.session(), |action, session| action.session(session)).run()
    };
}

/// The same for an action that opens a cursor.
macro_rules! open {
    ($action:expr, $arguments:ident) => {
        match $arguments.session_handle() {
            Some(handle) => match $arguments.session() {
                Some(session) => OpenCursor::Explicit($action.session(session).run()?.with_type(), handle),
                None => OpenCursor::Implicit($action.run()?.with_type()),
            },
            None => OpenCursor::Implicit($action.run()?.with_type()),
        }
    };
}
use {open, send, set};

pub fn run(case: &Arc<Case>, operation: &Operation) -> Ran {
    let mut arguments = Arguments::of(&operation.name, &operation.arguments);
    let (name, arguments) = (operation.name.as_str(), &mut arguments);
    if operation.object == "testRunner" {
        return special::run(case, name, arguments);
    }
    if let Some(name) = arguments.string("session")? {
        arguments.enter(case.entities.session(&name).map_err(Trouble::OfRunner)?)?;
    }
    match case.entities.get(&operation.object).map_err(Trouble::OfRunner)? {
        Entity::Client(handle) => client::run(&handle, name, arguments),
        Entity::Database(database) => database::run(&database, name, arguments),
        Entity::Collection(collection) => read::run(&collection, name, arguments)
            .or_else(|| write::run(&collection, name, arguments))
            .or_else(|| index::run(&collection, name, arguments))
            .unwrap_or_else(|| unknown("collection", name)),
        Entity::Cursor(cursor) => cursor::run(&cursor, name, arguments),
        Entity::Session(session) => session::run(case, &session, name, arguments),
        other => unknown(other.kind(), name),
    }
}

fn unknown(kind: &str, name: &str) -> Ran {
    Err(Trouble::OfRunner(format!("the specifications have no operation {name} on a {kind}")))
}

/// Reads a cursor to its end.
fn all(cursor: OpenCursor, arguments: &mut Arguments) -> Ran {
    let documents = match (cursor, arguments.session()) {
        (OpenCursor::Implicit(cursor), _) => cursor.collect::<Result<_, _>>()?,
        (OpenCursor::Explicit(mut cursor, _), Some(session)) => cursor.iter(session).collect::<Result<_, _>>()?,
        (OpenCursor::Explicit(..), None) => return Err(Trouble::of_runner("the session of the cursor is away")),
    };
    Ok(Outcome::Documents(documents))
}

/// The operations that another one is given.
fn read_operations(described: Bson) -> Result<Vec<Operation>, Trouble> {
    file::read_operations(&described).map_err(|fault| Trouble::of_runner(fault.to_string()))
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
