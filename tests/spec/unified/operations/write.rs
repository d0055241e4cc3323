//! Writes on a collection.

use bson::Document;
use mongo_blocking::Collection;

use super::{Outcome, Ran, bulk, found, send, set};
use crate::unified::arguments::Arguments;
use crate::unified::results;

/// `None` where the operation is not one of these.
pub fn run(collection: &Collection<Document>, name: &str, arguments: &mut Arguments) -> Option<Ran> {
    Some(match name {
        "insertOne" => insert_one(collection, arguments),
        "insertMany" => insert_many(collection, arguments),
        "updateOne" => update_one(collection, arguments),
        "updateMany" => update_many(collection, arguments),
        "replaceOne" => replace_one(collection, arguments),
        "deleteOne" => delete_one(collection, arguments),
        "deleteMany" => delete_many(collection, arguments),
        "findOneAndUpdate" => find_one_and_update(collection, arguments),
        "findOneAndReplace" => find_one_and_replace(collection, arguments),
        "findOneAndDelete" => find_one_and_delete(collection, arguments),
        "bulkWrite" => bulk::bulk_write(collection, arguments),
        "drop" => drop_collection(collection, arguments),
        _ => return None,
    })
}

fn insert_one(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    let document = arguments.need("document", Arguments::document)?;
    let mut action = collection.insert_one(document);
    set!(arguments, action, {
        "writeConcern" => write_concern(write_concern),
        "bypassDocumentValidation" => bypass_document_validation(boolean),
        "comment" => comment(any),
    });
    arguments.end()?;
    Ok(Outcome::Value(results::insert_one(&send!(action, arguments)?)))
}

fn insert_many(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    let documents = arguments.need("documents", Arguments::documents)?;
    let mut action = collection.insert_many(documents);
    set!(arguments, action, {
        "writeConcern" => write_concern(write_concern),
        "bypassDocumentValidation" => bypass_document_validation(boolean),
        "comment" => comment(any),
        "ordered" => ordered(boolean),
    });
    arguments.end()?;
    Ok(Outcome::Value(results::insert_many(&send!(action, arguments)?)))
}

fn update_one(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    let filter = arguments.need("filter", Arguments::document)?;
    let mut action = collection.update_one(filter, arguments.need("update", Arguments::update)?);
    set!(arguments, action, {
        "writeConcern" => write_concern(write_concern),
        "arrayFilters" => array_filters(documents),
        "bypassDocumentValidation" => bypass_document_validation(boolean),
        "collation" => collation(collation),
        "comment" => comment(any),
        "hint" => hint(hint),
        "let" => let_vars(document),
        "sort" => sort(document),
        "upsert" => upsert(boolean),
    });
    arguments.end()?;
    Ok(Outcome::Value(results::update(&send!(action, arguments)?)))
}

fn update_many(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    let filter = arguments.need("filter", Arguments::document)?;
    let mut action = collection.update_many(filter, arguments.need("update", Arguments::update)?);
    set!(arguments, action, {
        "writeConcern" => write_concern(write_concern),
        "arrayFilters" => array_filters(documents),
        "bypassDocumentValidation" => bypass_document_validation(boolean),
        "collation" => collation(collation),
        "comment" => comment(any),
        "hint" => hint(hint),
        "let" => let_vars(document),
        "upsert" => upsert(boolean),
    });
    arguments.end()?;
    Ok(Outcome::Value(results::update(&send!(action, arguments)?)))
}

fn replace_one(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    let filter = arguments.need("filter", Arguments::document)?;
    let mut action = collection.replace_one(filter, arguments.need("replacement", Arguments::document)?);
    set!(arguments, action, {
        "writeConcern" => write_concern(write_concern),
        "bypassDocumentValidation" => bypass_document_validation(boolean),
        "collation" => collation(collation),
        "comment" => comment(any),
        "hint" => hint(hint),
        "let" => let_vars(document),
        "sort" => sort(document),
        "upsert" => upsert(boolean),
    });
    arguments.end()?;
    Ok(Outcome::Value(results::update(&send!(action, arguments)?)))
}

fn delete_one(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    let mut action = collection.delete_one(arguments.need("filter", Arguments::document)?);
    set!(arguments, action, {
        "writeConcern" => write_concern(write_concern),
        "collation" => collation(collation),
        "comment" => comment(any),
        "hint" => hint(hint),
        "let" => let_vars(document),
    });
    arguments.end()?;
    Ok(Outcome::Value(results::delete(&send!(action, arguments)?)))
}

fn delete_many(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    let mut action = collection.delete_many(arguments.need("filter", Arguments::document)?);
    set!(arguments, action, {
        "writeConcern" => write_concern(write_concern),
        "collation" => collation(collation),
        "comment" => comment(any),
        "hint" => hint(hint),
        "let" => let_vars(document),
    });
    arguments.end()?;
    Ok(Outcome::Value(results::delete(&send!(action, arguments)?)))
}

fn find_one_and_update(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    let filter = arguments.need("filter", Arguments::document)?;
    let mut action = collection.find_one_and_update(filter, arguments.need("update", Arguments::update)?);
    set!(arguments, action, {
        "writeConcern" => write_concern(write_concern),
        "arrayFilters" => array_filters(documents),
        "bypassDocumentValidation" => bypass_document_validation(boolean),
        "collation" => collation(collation),
        "comment" => comment(any),
        "hint" => hint(hint),
        "let" => let_vars(document),
        "maxTimeMS" => max_time(milliseconds),
        "projection" => projection(document),
        "returnDocument" => return_document(return_document),
        "sort" => sort(document),
        "upsert" => upsert(boolean),
    });
    arguments.end()?;
    found(send!(action, arguments)?)
}

fn find_one_and_replace(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    let filter = arguments.need("filter", Arguments::document)?;
    let mut action = collection.find_one_and_replace(filter, arguments.need("replacement", Arguments::document)?);
    set!(arguments, action, {
        "writeConcern" => write_concern(write_concern),
        "bypassDocumentValidation" => bypass_document_validation(boolean),
        "collation" => collation(collation),
        "comment" => comment(any),
        "hint" => hint(hint),
        "let" => let_vars(document),
        "maxTimeMS" => max_time(milliseconds),
        "projection" => projection(document),
        "returnDocument" => return_document(return_document),
        "sort" => sort(document),
        "upsert" => upsert(boolean),
    });
    arguments.end()?;
    found(send!(action, arguments)?)
}

fn find_one_and_delete(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    let mut action = collection.find_one_and_delete(arguments.need("filter", Arguments::document)?);
    set!(arguments, action, {
        "writeConcern" => write_concern(write_concern),
        "collation" => collation(collation),
        "comment" => comment(any),
        "hint" => hint(hint),
        "let" => let_vars(document),
        "maxTimeMS" => max_time(milliseconds),
        "projection" => projection(document),
        "sort" => sort(document),
    });
    arguments.end()?;
    found(send!(action, arguments)?)
}

fn drop_collection(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    arguments.end()?;
    send!(collection.drop(), arguments)?;
    Ok(Outcome::Nothing)
}
