//! `create`, `drop`, `dropDatabase`, `listCollections`, `listDatabases`: what exists, and what is to exist.

use bson::RawDocument;
use bson::raw::cstr;

use crate::error::{Error, ErrorKind, Result, Stage};
use crate::options::{
    CreateCollectionOptions, DropCollectionOptions, DropDatabaseOptions, ListCollectionsOptions, ListDatabasesOptions,
};
use crate::wire::Reply;

use super::body::Body;
use super::{ClientInner, Command, Namespace, check_write_concern, execute};

/// The code of "there is no such collection".
const NAMESPACE_NOT_FOUND: i32 = 26;

pub(crate) fn create(
    deployment: &ClientInner,
    namespace: Namespace<'_>,
    options: &CreateCollectionOptions,
) -> Result<()> {
    let mut body = Body::new(cstr!("create"), namespace.collection);
    body.flag(cstr!("capped"), options.capped);
    body.long(cstr!("size"), options.size);
    body.long(cstr!("max"), options.max);
    body.document(cstr!("storageEngine"), options.storage_engine.as_ref())?;
    body.document(cstr!("validator"), options.validator.as_ref())?;
    body.text(cstr!("validationLevel"), options.validation_level.as_ref());
    body.text(cstr!("validationAction"), options.validation_action.as_ref());
    body.document(cstr!("indexOptionDefaults"), options.index_option_defaults.as_ref())?;
    body.text(cstr!("viewOn"), options.view_on.as_ref());
    body.documents(cstr!("pipeline"), options.pipeline.as_ref())?;
    body.collation(options.collation.as_ref());
    body.document(cstr!("timeseries"), options.timeseries.as_ref())?;
    body.seconds(cstr!("expireAfterSeconds"), options.expire_after);
    body.document(cstr!("clusteredIndex"), options.clustered_index.as_ref())?;
    body.document(cstr!("changeStreamPreAndPostImages"), options.change_stream_pre_and_post_images.as_ref())?;
    body.any(cstr!("comment"), options.comment.as_ref())?;
    body.write_concern(options.write_concern.as_ref())?;
    let reply = execute(deployment, Command::new(deployment, "create", namespace.database, body.done()))?;
    check_write_concern(reply.document())
}

/// Dropping what is not there is no error.
pub(crate) fn drop(deployment: &ClientInner, namespace: Namespace<'_>, options: &DropCollectionOptions) -> Result<()> {
    let mut body = Body::new(cstr!("drop"), namespace.collection);
    body.any(cstr!("comment"), options.comment.as_ref())?;
    body.write_concern(options.write_concern.as_ref())?;
    match execute(deployment, Command::new(deployment, "drop", namespace.database, body.done())) {
        Ok(reply) => check_write_concern(reply.document()),
        Err(error) if namespace_not_found(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

pub(crate) fn drop_database(deployment: &ClientInner, database: &str, options: &DropDatabaseOptions) -> Result<()> {
    let mut body = Body::new(cstr!("dropDatabase"), 1);
    body.any(cstr!("comment"), options.comment.as_ref())?;
    body.write_concern(options.write_concern.as_ref())?;
    let reply = execute(deployment, Command::new(deployment, "dropDatabase", database, body.done()))?;
    check_write_concern(reply.document())
}

/// Opens a cursor on the specifications of the collections, or on their names and types only.
pub(crate) fn list_collections(
    deployment: &ClientInner,
    database: &str,
    name_only: bool,
    options: &ListCollectionsOptions,
) -> Result<Reply> {
    let mut body = Body::new(cstr!("listCollections"), 1);
    body.document(cstr!("filter"), options.filter.as_ref())?;
    body.flag(cstr!("nameOnly"), name_only.then_some(true));
    body.flag(cstr!("authorizedCollections"), options.authorized_collections);
    let mut cursor = Body::empty();
    cursor.long(cstr!("batchSize"), options.batch_size.map(u64::from));
    body.put(cstr!("cursor"), cursor.done());
    body.any(cstr!("comment"), options.comment.as_ref())?;
    execute(deployment, Command::new(deployment, "listCollections", database, body.done()))
}

pub(crate) fn list_databases(
    deployment: &ClientInner,
    name_only: bool,
    options: &ListDatabasesOptions,
) -> Result<Reply> {
    let mut body = Body::new(cstr!("listDatabases"), 1);
    body.document(cstr!("filter"), options.filter.as_ref())?;
    body.flag(cstr!("nameOnly"), name_only.then_some(true));
    body.flag(cstr!("authorizedDatabases"), options.authorized_databases);
    body.any(cstr!("comment"), options.comment.as_ref())?;
    execute(deployment, Command::new(deployment, "listDatabases", "admin", body.done()))
}

/// The documents of the reply to `listDatabases`.
pub(crate) fn databases(reply: &Reply) -> Result<impl Iterator<Item = Result<&RawDocument>>> {
    let missing = |_| Error::invalid_reply(Stage::Decode, "the reply to listDatabases has no array 'databases'");
    let list = reply.document().get_array("databases").map_err(missing)?;
    Ok(list.into_iter().map(|entry| match entry {
        Ok(bson::RawBsonRef::Document(database)) => Ok(database),
        _ => Err(Error::invalid_reply(Stage::Decode, "an entry of 'databases' is not a document")),
    }))
}

/// Whether the server says that there is no such collection.
pub(crate) fn namespace_not_found(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Command(failure) if failure.code == NAMESPACE_NOT_FOUND)
}
