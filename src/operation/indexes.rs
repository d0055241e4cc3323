//! `createIndexes`, `listIndexes`, `dropIndexes`.

use bson::raw::cstr;
use bson::{Bson, Document, RawArrayBuf, RawDocumentBuf};

use crate::description::WireVersion;
use crate::error::{Error, Result};
use crate::options::{CreateIndexOptions, DropIndexOptions, Hint, IndexModel, ListIndexesOptions};
use crate::wire::Reply;

use super::body::{Body, raw};
use super::{ClientInner, Command, Namespace, check_write_concern, execute, run_on};

/// The first version that knows `commitQuorum`.
const COMMIT_QUORUM: WireVersion = WireVersion::MONGODB_4_4;

/// Makes the indexes and returns their names.
pub(crate) fn create(
    deployment: &ClientInner,
    namespace: Namespace<'_>,
    indexes: &[IndexModel],
    options: &CreateIndexOptions,
) -> Result<Vec<String>> {
    let mut list = RawArrayBuf::new();
    let mut names = Vec::with_capacity(indexes.len());
    for index in indexes {
        let name = index.options.name.clone().unwrap_or_else(|| name_of(&index.keys));
        list.push(specification(index, &name)?);
        names.push(name);
    }
    let mut body = Body::new(cstr!("createIndexes"), namespace.collection);
    body.put(cstr!("indexes"), list);
    body.any(cstr!("commitQuorum"), options.commit_quorum.as_ref())?;
    body.max_time(options.max_time);
    body.any(cstr!("comment"), options.comment.as_ref())?;
    body.write_concern(options.write_concern.as_ref())?;
    let command = Command::new(deployment, "createIndexes", namespace.database, body.done());
    let mut lease = deployment.lease(command.deadline)?;
    if options.commit_quorum.is_some() && lease.description().max_wire_version < COMMIT_QUORUM {
        return Err(Error::not_supported("commitQuorum needs MongoDB 4.4 or later"));
    }
    let reply = run_on(deployment, &mut lease, command)?;
    check_write_concern(reply.document())?;
    Ok(names)
}

/// Opens a cursor on the indexes.
pub(crate) fn list(deployment: &ClientInner, namespace: Namespace<'_>, options: &ListIndexesOptions) -> Result<Reply> {
    let mut body = Body::new(cstr!("listIndexes"), namespace.collection);
    let mut cursor = Body::empty();
    cursor.long(cstr!("batchSize"), options.batch_size.map(u64::from));
    body.put(cstr!("cursor"), cursor.done());
    body.max_time(options.max_time);
    body.any(cstr!("comment"), options.comment.as_ref())?;
    execute(deployment, Command::new(deployment, "listIndexes", namespace.database, body.done()))
}

/// Drops an index, or all but the one on `_id` (`"*"`).
pub(crate) fn drop(
    deployment: &ClientInner,
    namespace: Namespace<'_>,
    index: &Hint,
    options: &DropIndexOptions,
) -> Result<()> {
    let mut body = Body::new(cstr!("dropIndexes"), namespace.collection);
    match index {
        Hint::Name(name) => body.put(cstr!("index"), name.as_str()),
        Hint::Keys(keys) => body.put(cstr!("index"), raw(keys)?),
    }
    body.max_time(options.max_time);
    body.any(cstr!("comment"), options.comment.as_ref())?;
    body.write_concern(options.write_concern.as_ref())?;
    let reply = execute(deployment, Command::new(deployment, "dropIndexes", namespace.database, body.done()))?;
    check_write_concern(reply.document())
}

fn specification(index: &IndexModel, name: &str) -> Result<RawDocumentBuf> {
    let options = &index.options;
    let mut body = Body::empty();
    body.put(cstr!("key"), raw(&index.keys)?);
    body.put(cstr!("name"), name);
    body.flag(cstr!("unique"), options.unique);
    body.flag(cstr!("sparse"), options.sparse);
    body.seconds(cstr!("expireAfterSeconds"), options.expire_after);
    body.document(cstr!("partialFilterExpression"), options.partial_filter_expression.as_ref())?;
    body.collation(options.collation.as_ref());
    body.flag(cstr!("hidden"), options.hidden);
    body.int(cstr!("v"), options.version);
    body.document(cstr!("storageEngine"), options.storage_engine.as_ref())?;
    body.document(cstr!("wildcardProjection"), options.wildcard_projection.as_ref())?;
    body.document(cstr!("weights"), options.weights.as_ref())?;
    body.text(cstr!("default_language"), options.default_language.as_ref());
    body.text(cstr!("language_override"), options.language_override.as_ref());
    body.int(cstr!("textIndexVersion"), options.text_index_version);
    body.int(cstr!("2dsphereIndexVersion"), options.sphere_2d_index_version);
    body.int(cstr!("bits"), options.bits);
    if let Some(max) = options.max {
        body.put(cstr!("max"), max);
    }
    if let Some(min) = options.min {
        body.put(cstr!("min"), min);
    }
    body.flag(cstr!("background"), options.background);
    Ok(body.done())
}

/// The name that the server's own tools would give: keys and directions, joined by underscores.
fn name_of(keys: &Document) -> String {
    let parts: Vec<String> = keys
        .iter()
        .map(|(key, direction)| match direction {
            Bson::String(kind) => format!("{key}_{kind}"),
            Bson::Double(direction) => format!("{key}_{direction}"),
            Bson::Int64(direction) => format!("{key}_{direction}"),
            other => format!("{key}_{other}"),
        })
        .collect();
    parts.join("_")
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn names_are_made_of_keys_and_directions() {
        assert_eq!(name_of(&doc! {"a": 1, "b.c": -1, "d": "2dsphere"}), "a_1_b.c_-1_d_2dsphere");
    }
}
