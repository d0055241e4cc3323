//! The bulk write of a collection: a list of models, each under its name.

use bson::{Bson, Document};
use mongo_blocking::options::{DeleteOptions, ReplaceOptions, UpdateOptions};
use mongo_blocking::{Collection, WriteModel};

use super::{Outcome, Ran, Trouble, send, set};
use crate::unified::arguments::Arguments;
use crate::unified::results;

pub fn bulk_write(collection: &Collection<Document>, arguments: &mut Arguments) -> Ran {
    let requests = arguments.need("requests", Arguments::documents)?;
    let models = requests.iter().map(model).collect::<Result<Vec<_>, _>>()?;
    let mut action = collection.bulk_write(models);
    set!(arguments, action, {
        "writeConcern" => write_concern(write_concern),
        "bypassDocumentValidation" => bypass_document_validation(boolean),
        "comment" => comment(any),
        "let" => let_vars(document),
        "ordered" => ordered(boolean),
    });
    arguments.end()?;
    Ok(Outcome::Value(results::bulk_write(&send!(action, arguments)?)))
}

fn model(request: &Document) -> Result<WriteModel<Document>, Trouble> {
    let Some((name, Bson::Document(described))) = request.iter().next().filter(|_| request.len() == 1) else {
        return Err(Trouble::of_runner(format!("{request} is no write")));
    };
    let mut arguments = Arguments::of(name, described);
    let model = match name.as_str() {
        "insertOne" => WriteModel::insert_one(arguments.need("document", Arguments::document)?),
        "updateOne" | "updateMany" => update(name == "updateMany", &mut arguments)?,
        "replaceOne" => replace(&mut arguments)?,
        "deleteOne" | "deleteMany" => delete(name == "deleteMany", &mut arguments)?,
        _ => return Err(Trouble::of_runner(format!("there is no write {name}"))),
    };
    arguments.end()?;
    Ok(model)
}

fn update(many: bool, arguments: &mut Arguments) -> Result<WriteModel<Document>, Trouble> {
    let filter = arguments.need("filter", Arguments::document)?;
    let update = arguments.need("update", Arguments::update)?;
    let mut options = UpdateOptions::default();
    set!(arguments, options, {
        "arrayFilters" => array_filters(documents),
        "collation" => collation(collation),
        "hint" => hint(hint),
        "sort" => sort(document),
        "upsert" => upsert(boolean),
    });
    Ok(match many {
        true => WriteModel::UpdateMany { filter, update, options },
        false => WriteModel::UpdateOne { filter, update, options },
    })
}

fn replace(arguments: &mut Arguments) -> Result<WriteModel<Document>, Trouble> {
    let filter = arguments.need("filter", Arguments::document)?;
    let replacement = arguments.need("replacement", Arguments::document)?;
    let mut options = ReplaceOptions::default();
    set!(arguments, options, {
        "collation" => collation(collation),
        "hint" => hint(hint),
        "sort" => sort(document),
        "upsert" => upsert(boolean),
    });
    Ok(WriteModel::ReplaceOne { filter, replacement, options })
}

fn delete(many: bool, arguments: &mut Arguments) -> Result<WriteModel<Document>, Trouble> {
    let filter = arguments.need("filter", Arguments::document)?;
    let mut options = DeleteOptions::default();
    set!(arguments, options, { "collation" => collation(collation), "hint" => hint(hint) });
    Ok(match many {
        true => WriteModel::DeleteMany { filter, options },
        false => WriteModel::DeleteOne { filter, options },
    })
}
