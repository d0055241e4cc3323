//! `createIndexes`, `listIndexes`, `dropIndexes`.

use std::sync::Arc;

use bson::raw::cstr;
use bson::{Bson, Document, RawArrayBuf, RawDocumentBuf};

use super::body::{Body, raw};
use super::reply::check_write_concern;
use super::{Command, CursorReply, Namespace, Operation, Retry, Target};
use crate::description::{ServerDescription, WireVersion};
use crate::error::{Error, Result};
use crate::options::{
    CommitQuorum, CreateIndexOptions, DropIndexOptions, Hint, IndexModel, IndexVersion, ListIndexesOptions,
    ServerAddress, Sphere2DIndexVersion, TextIndexVersion,
};
use crate::wire::Reply;

/// `createIndexes`, which returns the names of the indexes.
pub(crate) struct CreateIndexes<'a> {
    pub(crate) namespace: Namespace<'a>,
    pub(crate) indexes: &'a [IndexModel],
    pub(crate) options: &'a CreateIndexOptions,
}

impl Operation for CreateIndexes<'_> {
    type Output = Vec<String>;

    fn target(&self) -> Target<'_> {
        Target::Writable
    }

    fn namespace(&self) -> Option<Namespace<'_>> {
        Some(self.namespace)
    }

    fn build(&mut self, server: &ServerDescription) -> Result<Command<'_>> {
        let options = self.options;
        if options.commit_quorum.is_some() && server.max_wire_version < WireVersion::MONGODB_4_4 {
            return Err(Error::incompatible_server("commitQuorum needs MongoDB 4.4 or later"));
        }
        let mut list = RawArrayBuf::new();
        for index in self.indexes {
            list.push(specification(index)?);
        }
        let mut body = Body::new(cstr!("createIndexes"), self.namespace.collection);
        body.append(cstr!("indexes"), list);
        match &options.commit_quorum {
            None => {}
            Some(CommitQuorum::Nodes(count)) => {
                body.append(cstr!("commitQuorum"), i32::try_from(*count).unwrap_or(i32::MAX))
            }
            Some(CommitQuorum::VotingMembers) => body.append(cstr!("commitQuorum"), "votingMembers"),
            Some(CommitQuorum::Majority) => body.append(cstr!("commitQuorum"), "majority"),
            Some(CommitQuorum::Custom(name)) => body.append(cstr!("commitQuorum"), name.as_str()),
        }
        body.max_time(options.max_time);
        body.any(cstr!("comment"), options.comment.as_ref())?;
        body.write_concern(options.write_concern.as_ref())?;
        Ok(Command::new("createIndexes", self.namespace.database, body))
    }

    fn read(&mut self, reply: Reply, _server: &Arc<ServerAddress>) -> Result<Vec<String>> {
        check_write_concern(reply.document())?;
        Ok(self.indexes.iter().map(index_name).collect())
    }
}

/// `listIndexes`: a cursor on the descriptions of the indexes.
pub(crate) struct ListIndexes<'a> {
    pub(crate) namespace: Namespace<'a>,
    pub(crate) options: &'a ListIndexesOptions,
}

impl Operation for ListIndexes<'_> {
    type Output = CursorReply;

    fn target(&self) -> Target<'_> {
        Target::Writable
    }

    fn retry(&self) -> Retry {
        Retry::Read
    }

    fn namespace(&self) -> Option<Namespace<'_>> {
        Some(self.namespace)
    }

    fn build(&mut self, _server: &ServerDescription) -> Result<Command<'_>> {
        let mut body = Body::new(cstr!("listIndexes"), self.namespace.collection);
        let mut cursor = Body::empty();
        cursor.long(cstr!("batchSize"), self.options.batch_size.map(u64::from));
        body.append(cstr!("cursor"), cursor.finish());
        body.max_time(self.options.max_time);
        body.any(cstr!("comment"), self.options.comment.as_ref())?;
        Ok(Command::new("listIndexes", self.namespace.database, body))
    }

    fn read(&mut self, reply: Reply, server: &Arc<ServerAddress>) -> Result<CursorReply> {
        Ok(CursorReply::new(reply, server))
    }
}

/// `dropIndexes`: one index, or all but the one on `_id` (`"*"`).
pub(crate) struct DropIndexes<'a> {
    pub(crate) namespace: Namespace<'a>,
    pub(crate) index: &'a Hint,
    pub(crate) options: &'a DropIndexOptions,
}

impl Operation for DropIndexes<'_> {
    type Output = ();

    fn target(&self) -> Target<'_> {
        Target::Writable
    }

    fn namespace(&self) -> Option<Namespace<'_>> {
        Some(self.namespace)
    }

    fn build(&mut self, _server: &ServerDescription) -> Result<Command<'_>> {
        let mut body = Body::new(cstr!("dropIndexes"), self.namespace.collection);
        match self.index {
            Hint::Name(name) => body.append(cstr!("index"), name.as_str()),
            Hint::Keys(keys) => body.append(cstr!("index"), raw(keys)?),
        }
        body.max_time(self.options.max_time);
        body.any(cstr!("comment"), self.options.comment.as_ref())?;
        body.write_concern(self.options.write_concern.as_ref())?;
        Ok(Command::new("dropIndexes", self.namespace.database, body))
    }

    fn read(&mut self, reply: Reply, _server: &Arc<ServerAddress>) -> Result<()> {
        check_write_concern(reply.document())
    }
}

fn specification(index: &IndexModel) -> Result<RawDocumentBuf> {
    let mut body = Body::empty();
    body.append(cstr!("key"), raw(&index.keys)?);
    body.append(cstr!("name"), index_name(index));
    let Some(options) = &index.options else { return Ok(body.finish()) };
    body.flag(cstr!("unique"), options.unique);
    body.flag(cstr!("sparse"), options.sparse);
    body.seconds(cstr!("expireAfterSeconds"), options.expire_after);
    body.document(cstr!("partialFilterExpression"), options.partial_filter_expression.as_ref())?;
    body.collation(options.collation.as_ref());
    body.flag(cstr!("hidden"), options.hidden);
    body.flag(cstr!("clustered"), options.is_clustered);
    body.uint(cstr!("v"), options.version.as_ref().map(IndexVersion::number));
    body.document(cstr!("storageEngine"), options.storage_engine.as_ref())?;
    body.document(cstr!("wildcardProjection"), options.wildcard_projection.as_ref())?;
    body.document(cstr!("weights"), options.weights.as_ref())?;
    body.text(cstr!("default_language"), options.default_language.as_ref());
    body.text(cstr!("language_override"), options.language_override.as_ref());
    body.uint(cstr!("textIndexVersion"), options.text_index_version.as_ref().map(TextIndexVersion::number));
    let sphere = options.sphere_2d_index_version.as_ref();
    body.uint(cstr!("2dsphereIndexVersion"), sphere.map(Sphere2DIndexVersion::number));
    body.uint(cstr!("bits"), options.bits);
    body.uint(cstr!("bucketSize"), options.bucket_size);
    if let Some(max) = options.max {
        body.append(cstr!("max"), max);
    }
    if let Some(min) = options.min {
        body.append(cstr!("min"), min);
    }
    body.flag(cstr!("background"), options.background);
    Ok(body.finish())
}

/// The name of an index: its own, or the one that MongoDB's tools give, keys and directions joined by underscores.
fn index_name(index: &IndexModel) -> String {
    let own = index.options.as_ref().and_then(|options| options.name.clone());
    own.unwrap_or_else(|| name_of(&index.keys))
}

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
