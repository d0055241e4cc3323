//! `create`, `drop`, `listCollections`.

use std::sync::Arc;

use bson::raw::cstr;

use super::body::Body;
use super::reply::check_write_concern;
use super::{Command, CursorReply, Namespace, Operation, Retry, Target};
use crate::description::ServerDescription;
use crate::error::Result;
use crate::options::{CreateCollectionOptions, DropCollectionOptions, ListCollectionsOptions, ServerAddress};
use crate::wire::Reply;

/// `create`: a collection or a view.
pub(crate) struct CreateCollection<'a> {
    pub(crate) namespace: Namespace<'a>,
    pub(crate) options: &'a CreateCollectionOptions,
}

impl Operation for CreateCollection<'_> {
    type Output = ();

    fn target(&self) -> Target<'_> {
        Target::Writable
    }

    fn namespace(&self) -> Option<Namespace<'_>> {
        Some(self.namespace)
    }

    fn build(&mut self, _server: &ServerDescription) -> Result<Command<'_>> {
        let options = self.options;
        let mut body = Body::new(cstr!("create"), self.namespace.collection);
        body.flag(cstr!("capped"), options.capped);
        body.long(cstr!("size"), options.size);
        body.long(cstr!("max"), options.max);
        body.document(cstr!("storageEngine"), options.storage_engine.as_ref())?;
        body.document(cstr!("validator"), options.validator.as_ref())?;
        if let Some(level) = &options.validation_level {
            body.append(cstr!("validationLevel"), level.as_str());
        }
        if let Some(action) = &options.validation_action {
            body.append(cstr!("validationAction"), action.as_str());
        }
        body.serialized(cstr!("indexOptionDefaults"), options.index_option_defaults.as_ref())?;
        body.text(cstr!("viewOn"), options.view_on.as_ref());
        body.documents(cstr!("pipeline"), options.pipeline.as_ref())?;
        body.collation(options.collation.as_ref());
        body.serialized(cstr!("timeseries"), options.timeseries.as_ref())?;
        body.seconds(cstr!("expireAfterSeconds"), options.expire_after_seconds);
        body.serialized(cstr!("clusteredIndex"), options.clustered_index.as_ref())?;
        let images = options.change_stream_pre_and_post_images.as_ref();
        body.serialized(cstr!("changeStreamPreAndPostImages"), images)?;
        body.any(cstr!("comment"), options.comment.as_ref())?;
        body.write_concern(options.write_concern.as_ref())?;
        Ok(Command::new("create", self.namespace.database, body))
    }

    fn read(&mut self, reply: Reply, _server: &Arc<ServerAddress>) -> Result<()> {
        check_write_concern(reply.document())
    }
}

/// `drop`: a collection with its indexes.
pub(crate) struct DropCollection<'a> {
    pub(crate) namespace: Namespace<'a>,
    pub(crate) options: &'a DropCollectionOptions,
}

impl Operation for DropCollection<'_> {
    type Output = ();

    fn target(&self) -> Target<'_> {
        Target::Writable
    }

    fn namespace(&self) -> Option<Namespace<'_>> {
        Some(self.namespace)
    }

    fn build(&mut self, _server: &ServerDescription) -> Result<Command<'_>> {
        let mut body = Body::new(cstr!("drop"), self.namespace.collection);
        body.any(cstr!("comment"), self.options.comment.as_ref())?;
        body.write_concern(self.options.write_concern.as_ref())?;
        Ok(Command::new("drop", self.namespace.database, body))
    }

    fn read(&mut self, reply: Reply, _server: &Arc<ServerAddress>) -> Result<()> {
        check_write_concern(reply.document())
    }
}

/// `listCollections`: a cursor on the descriptions of the collections, or on their names and types only.
pub(crate) struct ListCollections<'a> {
    pub(crate) database: &'a str,
    pub(crate) name_only: bool,
    pub(crate) options: &'a ListCollectionsOptions,
}

impl Operation for ListCollections<'_> {
    type Output = CursorReply;

    fn target(&self) -> Target<'_> {
        Target::Writable
    }

    fn retry(&self) -> Retry {
        Retry::Read
    }

    fn build(&mut self, _server: &ServerDescription) -> Result<Command<'_>> {
        let mut body = Body::new(cstr!("listCollections"), 1);
        body.document(cstr!("filter"), self.options.filter.as_ref())?;
        body.flag(cstr!("nameOnly"), self.name_only.then_some(true));
        body.flag(cstr!("authorizedCollections"), self.options.authorized_collections);
        let mut cursor = Body::empty();
        cursor.long(cstr!("batchSize"), self.options.batch_size.map(u64::from));
        body.append(cstr!("cursor"), cursor.finish());
        body.any(cstr!("comment"), self.options.comment.as_ref())?;
        Ok(Command::new("listCollections", self.database, body))
    }

    fn read(&mut self, reply: Reply, server: &Arc<ServerAddress>) -> Result<CursorReply> {
        Ok(CursorReply::new(reply, server))
    }
}
