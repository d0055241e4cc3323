//! Operations on a database.

use bson::{Bson, Document, doc};
use mongo_blocking::{Collection, Database};

use super::{OpenCursor, Outcome, Ran, Trouble, all, open, send, set, unknown, value};
use crate::unified::arguments::Arguments;

pub fn run(database: &Database, name: &str, arguments: &mut Arguments) -> Ran {
    match name {
        "runCommand" => run_command(database, arguments),
        "runCursorCommand" => {
            let cursor = cursor_of_command(database, arguments)?;
            all(cursor, arguments)
        }
        "createCommandCursor" => Ok(Outcome::Cursor(Box::new(cursor_of_command(database, arguments)?))),
        "aggregate" => aggregate(database, arguments),
        "createCollection" => create_collection(database, arguments),
        "dropCollection" => drop_collection(database, arguments),
        "modifyCollection" => modify_collection(database, arguments),
        "listCollections" => list_collections(database, arguments),
        "listCollectionNames" => list_collection_names(database, arguments),
        "listCollectionObjects" | "listMongoCollections" => list_collection_objects(database, arguments),
        _ => unknown("database", name),
    }
}

fn run_command(database: &Database, arguments: &mut Arguments) -> Ran {
    // Keys keep their order here, so that the name need not be told.
    arguments.need("commandName", Arguments::string)?;
    let mut action = database.run_command(arguments.need("command", Arguments::document)?);
    set!(arguments, action, { "readPreference" => read_preference(read_preference) });
    arguments.end()?;
    value(send!(action, arguments)?)
}

fn cursor_of_command(database: &Database, arguments: &mut Arguments) -> Result<OpenCursor, Trouble> {
    arguments.need("commandName", Arguments::string)?;
    let mut action = database.run_cursor_command(arguments.need("command", Arguments::document)?);
    set!(arguments, action, {
        "readPreference" => read_preference(read_preference),
        "batchSize" => batch_size(u32),
        "maxTimeMS" => max_time(milliseconds),
        "comment" => comment(any),
        "cursorType" => cursor_type(cursor_type),
    });
    arguments.end()?;
    Ok(open!(action, arguments))
}

fn aggregate(database: &Database, arguments: &mut Arguments) -> Ran {
    let mut action = database.aggregate(arguments.need("pipeline", Arguments::documents)?);
    set!(arguments, action, {
        "allowDiskUse" => allow_disk_use(boolean),
        "batchSize" => batch_size(u32),
        "bypassDocumentValidation" => bypass_document_validation(boolean),
        "collation" => collation(collation),
        "comment" => comment(any),
        "hint" => hint(hint),
        "let" => let_vars(document),
        "maxTimeMS" => max_time(milliseconds),
        "readConcern" => read_concern(read_concern),
        "readPreference" => read_preference(read_preference),
        "writeConcern" => write_concern(write_concern),
    });
    arguments.end()?;
    let cursor = open!(action, arguments);
    all(cursor, arguments)
}

fn create_collection(database: &Database, arguments: &mut Arguments) -> Ran {
    let name = arguments.need("collection", Arguments::string)?;
    let mut action = database.create_collection(&name);
    set!(arguments, action, {
        "capped" => capped(boolean),
        "size" => size(u64),
        "max" => max(u64),
        "viewOn" => view_on(string),
        "pipeline" => pipeline(documents),
        "collation" => collation(collation),
        "comment" => comment(any),
        "validator" => validator(document),
        "expireAfterSeconds" => expire_after_seconds(seconds),
        "timeseries" => timeseries(typed),
        "clusteredIndex" => clustered_index(typed),
        "changeStreamPreAndPostImages" => change_stream_pre_and_post_images(typed),
    });
    arguments.end()?;
    send!(action, arguments)?;
    Ok(Outcome::Collection(Box::new(database.collection(&name))))
}

fn drop_collection(database: &Database, arguments: &mut Arguments) -> Ran {
    let collection = database.collection::<Document>(&arguments.need("collection", Arguments::string)?);
    arguments.end()?;
    send!(collection.drop(), arguments)?;
    Ok(Outcome::Nothing)
}

/// No driver has a method for `collMod`; it is run as a command.
fn modify_collection(database: &Database, arguments: &mut Arguments) -> Ran {
    let mut command = doc! {"collMod": arguments.need("collection", Arguments::string)?};
    for key in ["index", "validator", "changeStreamPreAndPostImages"] {
        if let Some(value) = arguments.any(key)? {
            command.insert(key, value);
        }
    }
    arguments.end()?;
    send!(database.run_command(command), arguments)?;
    Ok(Outcome::Nothing)
}

fn list_collections(database: &Database, arguments: &mut Arguments) -> Ran {
    let mut action = database.list_collections();
    set!(arguments, action, { "filter" => filter(document), "comment" => comment(any), "batchSize" => batch_size(u32) });
    arguments.end()?;
    let cursor = open!(action, arguments);
    all(cursor, arguments)
}

fn list_collection_names(database: &Database, arguments: &mut Arguments) -> Ran {
    let mut action = database.list_collection_names();
    set!(arguments, action, { "filter" => filter(document), "comment" => comment(any) });
    arguments.end()?;
    value(send!(action, arguments)?.into_iter().map(Bson::String).collect::<Bson>())
}

/// A method that drivers may leave out, as this one and the official driver do; it is what a program does in its place.
fn list_collection_objects(database: &Database, arguments: &mut Arguments) -> Ran {
    arguments.end()?;
    let names = send!(database.list_collection_names(), arguments)?;
    let collections: Vec<Collection<Document>> = names.iter().map(|name| database.collection(name)).collect();
    value(collections.iter().map(|collection| Bson::from(collection.name())).collect::<Bson>())
}
