//! Indexes of a collection.

use bson::{Bson, Document};
use mongo_blocking::Collection;
use mongo_blocking::options::{IndexModel, IndexOptions};

use super::{Outcome, Ran, all, set, value};
use crate::unified::arguments::Arguments;

/// `None` where the operation is not one of these.
pub fn run(collection: &Collection<Document>, name: &str, arguments: &mut Arguments) -> Option<Ran> {
    Some(match name {
        "createIndex" => create_index(collection, arguments),
        "dropIndex" => drop_index(collection, arguments),
        "dropIndexes" => drop_indexes(collection, arguments),
        "listIndexes" => list_indexes(collection, arguments),
        "listIndexNames" => list_index_names(collection, arguments),
        _ => return None,
    })
}

fn create_index(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    let keys = arguments.need("keys", Arguments::document)?;
    let mut options = IndexOptions::default();
    options.name = arguments.string("name")?;
    options.unique = arguments.boolean("unique")?;
    options.sparse = arguments.boolean("sparse")?;
    options.expire_after = arguments.seconds("expireAfterSeconds")?;
    let mut action = collection.create_index(IndexModel::new(keys).options(options));
    set!(arguments, action, { "comment" => comment(any), "maxTimeMS" => max_time(milliseconds) });
    arguments.end()?;
    value(action.run()?.index_name)
}

fn drop_index(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    let mut action = collection.drop_index(arguments.need("name", Arguments::string)?);
    set!(arguments, action, { "comment" => comment(any), "maxTimeMS" => max_time(milliseconds) });
    arguments.end()?;
    action.run()?;
    Ok(Outcome::Nothing)
}

fn drop_indexes(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    let mut action = collection.drop_indexes();
    set!(arguments, action, { "comment" => comment(any), "maxTimeMS" => max_time(milliseconds) });
    arguments.end()?;
    action.run()?;
    Ok(Outcome::Nothing)
}

fn list_indexes(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    let mut action = collection.list_indexes();
    set!(arguments, action, {
        "batchSize" => batch_size(u32),
        "comment" => comment(any),
        "maxTimeMS" => max_time(milliseconds),
    });
    arguments.end()?;
    all(action.run()?)
}

fn list_index_names(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    arguments.end()?;
    value(collection.list_index_names().run()?.into_iter().map(Bson::String).collect::<Bson>())
}
