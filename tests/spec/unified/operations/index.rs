//! Indexes of a collection.

use bson::{Bson, Document};
use mongo_blocking::Collection;
use mongo_blocking::options::{IndexModel, IndexOptions};

use super::{OpenCursor, Outcome, Ran, Trouble, all, open, send, set, value};
use crate::unified::arguments::Arguments;

/// `None` where the operation is not one of these.
pub fn run(collection: &Collection<Document>, name: &str, arguments: &mut Arguments) -> Option<Ran> {
    Some(match name {
        "createIndex" => create_index(collection, arguments),
        "createIndexes" => create_indexes(collection, arguments),
        "dropIndex" => drop_index(collection, arguments),
        "dropIndexes" => drop_indexes(collection, arguments),
        "listIndexes" => list_indexes(collection, arguments),
        "listIndexNames" => list_index_names(collection, arguments),
        _ => return None,
    })
}

fn create_index(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    let mut action = collection.create_index(index_model(arguments)?);
    set!(arguments, action, { "comment" => comment(any), "maxTimeMS" => max_time(milliseconds) });
    arguments.end()?;
    value(send!(action, arguments)?.index_name)
}

fn create_indexes(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    let mut models = Vec::new();
    for described in arguments.need("models", Arguments::documents)? {
        let mut fields = Arguments::of("createIndexes", &described);
        models.push(index_model(&mut fields)?);
        fields.end()?;
    }
    let mut action = collection.create_indexes(models);
    set!(arguments, action, { "comment" => comment(any), "maxTimeMS" => max_time(milliseconds) });
    arguments.end()?;
    value(send!(action, arguments)?.index_names.into_iter().map(Bson::String).collect::<Bson>())
}

fn index_model(arguments: &mut Arguments) -> Result<IndexModel, Trouble> {
    let keys = arguments.need("keys", Arguments::document)?;
    let mut options = IndexOptions::default();
    options.name = arguments.string("name")?;
    options.unique = arguments.boolean("unique")?;
    options.sparse = arguments.boolean("sparse")?;
    options.hidden = arguments.boolean("hidden")?;
    options.expire_after = arguments.seconds("expireAfterSeconds")?;
    options.partial_filter_expression = arguments.document("partialFilterExpression")?;
    options.wildcard_projection = arguments.document("wildcardProjection")?;
    options.collation = arguments.collation("collation")?;
    Ok(IndexModel::new(keys).options(options))
}

fn drop_index(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    let mut action = collection.drop_index(arguments.need("name", Arguments::string)?);
    set!(arguments, action, { "comment" => comment(any), "maxTimeMS" => max_time(milliseconds) });
    arguments.end()?;
    send!(action, arguments)?;
    Ok(Outcome::Nothing)
}

fn drop_indexes(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    let mut action = collection.drop_indexes();
    set!(arguments, action, { "comment" => comment(any), "maxTimeMS" => max_time(milliseconds) });
    arguments.end()?;
    send!(action, arguments)?;
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
    let cursor = open!(action, arguments);
    all(cursor, arguments)
}

fn list_index_names(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    arguments.end()?;
    value(send!(collection.list_index_names(), arguments)?.into_iter().map(Bson::String).collect::<Bson>())
}
