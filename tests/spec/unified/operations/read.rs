//! Reads on a collection.

use bson::{Bson, Document, doc};
use mongo_blocking::Collection;

use super::{OpenCursor, Outcome, Ran, Trouble, all, found, open, send, set, value};
use crate::unified::arguments::Arguments;
use crate::unified::results;

/// `None` where the operation is not one of these.
pub fn run(collection: &Collection<Document>, name: &str, arguments: &mut Arguments) -> Option<Ran> {
    Some(match name {
        "find" => find(collection, arguments).and_then(|cursor| all(cursor, arguments)),
        "createFindCursor" => find(collection, arguments).map(|cursor| Outcome::Cursor(Box::new(cursor))),
        "findOne" => find_one(collection, arguments),
        "aggregate" => aggregate(collection, arguments),
        "distinct" => distinct(collection, arguments),
        "countDocuments" => count_documents(collection, arguments),
        "estimatedDocumentCount" => estimated_document_count(collection, arguments),
        "count" => count(collection, arguments),
        "mapReduce" => map_reduce(collection, arguments),
        _ => return None,
    })
}

fn find(collection: &Collection<Document>, arguments: &mut Arguments) -> Result<OpenCursor, Trouble> {
    let mut action = collection.find(arguments.need("filter", Arguments::document)?);
    set!(arguments, action, {
        "allowDiskUse" => allow_disk_use(boolean),
        "allowPartialResults" => allow_partial_results(boolean),
        "batchSize" => batch_size(u32),
        "collation" => collation(collation),
        "comment" => comment(any),
        "cursorType" => cursor_type(cursor_type),
        "hint" => hint(hint),
        "let" => let_vars(document),
        "limit" => limit(i64),
        "max" => max(document),
        "maxAwaitTimeMS" => max_await_time(milliseconds),
        "maxTimeMS" => max_time(milliseconds),
        "min" => min(document),
        "noCursorTimeout" => no_cursor_timeout(boolean),
        "projection" => projection(document),
        "returnKey" => return_key(boolean),
        "showRecordId" => show_record_id(boolean),
        "skip" => skip(u64),
        "sort" => sort(document),
        "readConcern" => read_concern(read_concern),
        "readPreference" => read_preference(read_preference),
    });
    arguments.end()?;
    Ok(open!(action, arguments))
}

fn find_one(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    let mut action = collection.find_one(arguments.need("filter", Arguments::document)?);
    set!(arguments, action, {
        "allowDiskUse" => allow_disk_use(boolean),
        "allowPartialResults" => allow_partial_results(boolean),
        "max" => max(document),
        "min" => min(document),
        "readConcern" => read_concern(read_concern),
        "readPreference" => read_preference(read_preference),
        "returnKey" => return_key(boolean),
        "showRecordId" => show_record_id(boolean),
        "collation" => collation(collation),
        "comment" => comment(any),
        "hint" => hint(hint),
        "let" => let_vars(document),
        "maxTimeMS" => max_time(milliseconds),
        "projection" => projection(document),
        "skip" => skip(u64),
        "sort" => sort(document),
    });
    arguments.end()?;
    found(send!(action, arguments)?)
}

fn aggregate(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    let mut action = collection.aggregate(arguments.need("pipeline", Arguments::documents)?);
    set!(arguments, action, {
        "allowDiskUse" => allow_disk_use(boolean),
        "batchSize" => batch_size(u32),
        "bypassDocumentValidation" => bypass_document_validation(boolean),
        "collation" => collation(collation),
        "comment" => comment(any),
        "hint" => hint(hint),
        "let" => let_vars(document),
        "maxAwaitTimeMS" => max_await_time(milliseconds),
        "maxTimeMS" => max_time(milliseconds),
        "readConcern" => read_concern(read_concern),
        "readPreference" => read_preference(read_preference),
        "writeConcern" => write_concern(write_concern),
    });
    arguments.end()?;
    let cursor = open!(action, arguments);
    all(cursor, arguments)
}

fn distinct(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    let field = arguments.need("fieldName", Arguments::string)?;
    let filter = arguments.document("filter")?.unwrap_or_default();
    let mut action = collection.distinct(field, filter);
    set!(arguments, action, {
        "collation" => collation(collation),
        "comment" => comment(any),
        "hint" => hint(hint),
        "maxTimeMS" => max_time(milliseconds),
        "readConcern" => read_concern(read_concern),
        "readPreference" => read_preference(read_preference),
    });
    arguments.end()?;
    value(Bson::Array(send!(action, arguments)?))
}

fn count_documents(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    let mut action = collection.count_documents(arguments.need("filter", Arguments::document)?);
    set!(arguments, action, {
        "collation" => collation(collation),
        "comment" => comment(any),
        "hint" => hint(hint),
        "limit" => limit(u64),
        "maxTimeMS" => max_time(milliseconds),
        "readConcern" => read_concern(read_concern),
        "readPreference" => read_preference(read_preference),
        "skip" => skip(u64),
    });
    arguments.end()?;
    value(results::count(send!(action, arguments)?))
}

fn estimated_document_count(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    let mut action = collection.estimated_document_count();
    set!(arguments, action, {
        "comment" => comment(any),
        "maxTimeMS" => max_time(milliseconds),
        "readConcern" => read_concern(read_concern),
        "readPreference" => read_preference(read_preference),
    });
    arguments.end()?;
    if arguments.session().is_some() {
        return Err(Trouble::of_runner("estimatedDocumentCount takes no session"));
    }
    value(results::count(action.run()?))
}

/// The helper of old, which drivers no longer have. Where it counts all documents it is the estimate; else it is run as a command.
fn count(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    let filter = arguments.document("filter")?.unwrap_or_default();
    if filter.is_empty() && !["collation", "hint", "limit", "skip"].iter().any(|key| arguments.has(key)) {
        return estimated_document_count(collection, arguments);
    }
    let mut command = doc! {"count": collection.name(), "query": filter};
    for key in ["collation", "comment", "hint", "limit", "skip", "maxTimeMS"] {
        if let Some(argument) = arguments.any(key)? {
            command.insert(key, argument);
        }
    }
    arguments.end()?;
    let namespace = collection.full_name();
    let database = namespace.split('.').next().unwrap_or_default();
    let reply = collection
        .client()
        .database(database)
        .run_command(command)
        .optional(arguments.session(), |action, session| action.session(session))
        .run()?;
    let count = reply.get("n").cloned().ok_or_else(|| Trouble::of_runner("a count without n"))?;
    value(count)
}

/// No driver has to have a method for `mapReduce`, which servers have given up in favour of aggregation; it is run as a command.
fn map_reduce(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    let mut command = doc! {"mapReduce": collection.name()};
    for key in ["map", "reduce", "out"] {
        command.insert(key, arguments.need(key, Arguments::any)?);
    }
    arguments.end()?;
    let database = collection.client().database(&collection.namespace().db);
    let mut reply = send!(database.run_command(command), arguments)?;
    value(reply.remove("results").unwrap_or(Bson::Null))
}
