//! `listDatabases`, `dropDatabase`.

use std::sync::Arc;

use bson::raw::cstr;
use bson::{Bson, Document, RawBsonRef, RawDocument};

use super::body::Body;
use super::reply::{check_write_concern, malformed};
use super::{Command, Operation, Retry, Target};
use crate::bson_ext;
use crate::description::ServerDescription;
use crate::error::{Error, Result, Stage};
use crate::options::{DropDatabaseOptions, ListDatabasesOptions, ServerAddress};
use crate::outcome::DatabaseSpecification;
use crate::wire::Reply;

/// `listDatabases`, with sizes or with the names only.
pub(crate) struct ListDatabases<'a> {
    pub(crate) name_only: bool,
    pub(crate) options: &'a ListDatabasesOptions,
}

impl Operation for ListDatabases<'_> {
    type Output = Vec<DatabaseSpecification>;

    fn target(&self) -> Target<'_> {
        Target::Writable
    }

    fn retry(&self) -> Retry {
        Retry::Read
    }

    fn build(&mut self, _server: &ServerDescription) -> Result<Command<'_>> {
        let mut body = Body::new(cstr!("listDatabases"), 1);
        body.document(cstr!("filter"), self.options.filter.as_ref())?;
        body.flag(cstr!("nameOnly"), self.name_only.then_some(true));
        body.flag(cstr!("authorizedDatabases"), self.options.authorized_databases);
        body.any(cstr!("comment"), self.options.comment.as_ref())?;
        Ok(Command::new("listDatabases", "admin", body))
    }

    fn read(&mut self, reply: Reply, _server: &Arc<ServerAddress>) -> Result<Vec<DatabaseSpecification>> {
        let missing = |_| Error::invalid_reply(Stage::Decode, "the reply to listDatabases has no array 'databases'");
        let list = reply.document().get_array("databases").map_err(missing)?;
        list.into_iter()
            .map(|entry| match entry.map_err(malformed)? {
                RawBsonRef::Document(database) => specification(database),
                _ => Err(Error::invalid_reply(Stage::Decode, "an entry of 'databases' is not a document")),
            })
            .collect()
    }
}

fn specification(database: &RawDocument) -> Result<DatabaseSpecification> {
    let name = database.get_str("name").map_err(|_| {
        Error::invalid_reply(Stage::Decode, "an entry of the reply to listDatabases has no string 'name'")
    })?;
    Ok(DatabaseSpecification {
        name: name.to_owned(),
        size_on_disk: database.get("sizeOnDisk").ok().flatten().and_then(bson_ext::count).unwrap_or_default(),
        empty: database.get_bool("empty").unwrap_or_default(),
        shards: database.get_document("shards").ok().map(sizes),
    })
}

/// The numbers of a document by their names.
fn sizes(shards: &RawDocument) -> Document {
    let sizes = shards.iter().filter_map(|shard| {
        let (name, size) = shard.ok()?;
        Some((name.to_string(), Bson::Int64(i64::try_from(bson_ext::count(size)?).ok()?)))
    });
    sizes.collect()
}

/// `dropDatabase`: a database with all its collections.
pub(crate) struct DropDatabase<'a> {
    pub(crate) database: &'a str,
    pub(crate) options: &'a DropDatabaseOptions,
}

impl Operation for DropDatabase<'_> {
    type Output = ();

    fn target(&self) -> Target<'_> {
        Target::Writable
    }

    fn build(&mut self, _server: &ServerDescription) -> Result<Command<'_>> {
        let mut body = Body::new(cstr!("dropDatabase"), 1);
        body.any(cstr!("comment"), self.options.comment.as_ref())?;
        body.write_concern(self.options.write_concern.as_ref())?;
        Ok(Command::new("dropDatabase", self.database, body))
    }

    fn read(&mut self, reply: Reply, _server: &Arc<ServerAddress>) -> Result<()> {
        check_write_concern(reply.document())
    }
}
