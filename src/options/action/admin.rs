//! Options of what makes, lists and drops databases, collections and indexes, and of commands in the caller's own words.

use std::time::Duration;

use bson::{Bson, Document};

use super::{CursorType, action_options};
use crate::options::{Collation, ReadPreference, WriteConcern};

action_options! {
    /// Options of [`Database::run_command`](crate::Database::run_command).
    RunCommandOptions with run_command_setters {
        /// The read preference. A command has none of its own: the primary, unless this says otherwise.
        read_preference: ReadPreference,
    }
}

action_options! {
    /// Options of [`Database::run_cursor_command`](crate::Database::run_cursor_command). They concern the batches after the
    /// first; what the first is to hold, the command itself says.
    RunCursorCommandOptions with run_cursor_command_setters {
        /// Documents in a batch.
        batch_size: u32,
        /// How long the server waits for news, where the cursor is tailable.
        max_time: Duration,
        /// What the cursor does at the end; must fit the command.
        cursor_type: CursorType,
        /// A note for the server's logs and profiler.
        comment into Bson,
        /// The read preference.
        read_preference: ReadPreference,
    }
}

action_options! {
    /// Options of [`Client::list_databases`](crate::Client::list_databases).
    ListDatabasesOptions with list_databases_setters {
        /// Which databases.
        filter: Document,
        /// Only those that the user may use.
        authorized_databases: bool,
        /// A note for the server's logs and profiler.
        comment into Bson,
    }
}

action_options! {
    /// Options of [`Database::list_collections`](crate::Database::list_collections).
    ListCollectionsOptions with list_collections_setters {
        /// Which collections.
        filter: Document,
        /// Only those that the user may use.
        authorized_collections: bool,
        /// Documents in a batch.
        batch_size: u32,
        /// A note for the server's logs and profiler.
        comment into Bson,
    }
}

action_options! {
    /// Options of [`Database::create_collection`](crate::Database::create_collection).
    CreateCollectionOptions with create_collection_setters {
        /// A fixed size, beyond which the oldest documents go; needs `size`.
        capped: bool,
        /// The size in bytes.
        size: u64,
        /// The most documents.
        max: u64,
        /// Options of the storage engine.
        storage_engine: Document,
        /// What a document must match.
        validator: Document,
        /// How strict the validator is: `off`, `strict`, `moderate`.
        validation_level into String,
        /// What happens to what does not match: `error`, `warn`.
        validation_action into String,
        /// Options of the storage engine for indexes.
        index_option_defaults: Document,
        /// The collection or view that this view shows.
        view_on into String,
        /// The stages that make the view.
        pipeline: Vec<Document>,
        /// How strings are compared unless told otherwise.
        collation: Collation,
        /// A time series: `timeField`, `metaField`, `granularity` and so on.
        timeseries: Document,
        /// When documents expire (time series and clustered collections); whole seconds on the wire.
        expire_after: Duration,
        /// A clustered index: `key`, `unique`, `name`.
        clustered_index: Document,
        /// Images before and after changes: `{ "enabled": true }`.
        change_stream_pre_and_post_images: Document,
        /// A note for the server's logs and profiler.
        comment into Bson,
        /// The write concern, instead of the database's.
        write_concern: WriteConcern,
    }
}

action_options! {
    /// Options of [`Collection::drop`](crate::Collection::drop).
    DropCollectionOptions with drop_collection_setters {
        /// A note for the server's logs and profiler.
        comment into Bson,
        /// The write concern, instead of the collection's.
        write_concern: WriteConcern,
    }
}

action_options! {
    /// Options of [`Database::drop`](crate::Database::drop).
    DropDatabaseOptions with drop_database_setters {
        /// A note for the server's logs and profiler.
        comment into Bson,
        /// The write concern, instead of the database's.
        write_concern: WriteConcern,
    }
}

action_options! {
    /// Options of an index.
    IndexOptions {
        /// Its name; made from the keys where there is none (`age_1_name_-1`).
        name into String,
        /// Whether two documents may have the same keys.
        unique: bool,
        /// Leave out documents that have none of the keys.
        sparse: bool,
        /// How long after the time in the key a document expires; whole seconds on the wire.
        expire_after: Duration,
        /// Leave out documents that do not match.
        partial_filter_expression: Document,
        /// How strings are compared.
        collation: Collation,
        /// Invisible to the query planner.
        hidden: bool,
        /// The version of the index format (`v`).
        version: i32,
        /// Options of the storage engine.
        storage_engine: Document,
        /// Which fields a wildcard index takes.
        wildcard_projection: Document,
        /// The weights of a text index.
        weights: Document,
        /// The language of a text index.
        default_language into String,
        /// The field that names a document's language.
        language_override into String,
        /// The version of a text index.
        text_index_version: i32,
        /// The version of a 2dsphere index.
        sphere_2d_index_version: i32,
        /// The precision of a 2d index.
        bits: i32,
        /// The upper bound of a 2d index.
        max: f64,
        /// The lower bound of a 2d index.
        min: f64,
        /// Build it in the background (before MongoDB 4.2).
        background: bool,
    }
}

/// An index to make: its keys and its options.
///
/// ```
/// use mongo_blocking::bson::doc;
/// use mongo_blocking::options::{IndexModel, IndexOptions};
///
/// let by_name = IndexModel::new(doc! { "name": 1 }).options(IndexOptions::default().unique(true));
/// assert_eq!(by_name.keys, doc! { "name": 1 });
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IndexModel {
    /// The fields and their directions, or the kind of index.
    pub keys: Document,
    /// The rest.
    pub options: IndexOptions,
}

impl IndexModel {
    /// An index on these keys.
    pub fn new(keys: Document) -> Self {
        IndexModel { keys, options: IndexOptions::default() }
    }

    /// With these options.
    pub fn options(mut self, options: IndexOptions) -> Self {
        self.options = options;
        self
    }
}

action_options! {
    /// Options of making indexes.
    CreateIndexOptions with create_index_setters {
        /// How many members must be ready: a number or `"votingMembers"`.
        commit_quorum into Bson,
        /// How long the server may work on it.
        max_time: Duration,
        /// A note for the server's logs and profiler.
        comment into Bson,
        /// The write concern, instead of the collection's.
        write_concern: WriteConcern,
    }
}

action_options! {
    /// Options of listing indexes.
    ListIndexesOptions with list_indexes_setters {
        /// Documents in a batch.
        batch_size: u32,
        /// How long the server may work on it.
        max_time: Duration,
        /// A note for the server's logs and profiler.
        comment into Bson,
    }
}

action_options! {
    /// Options of dropping indexes.
    DropIndexOptions with drop_index_setters {
        /// How long the server may work on it.
        max_time: Duration,
        /// A note for the server's logs and profiler.
        comment into Bson,
        /// The write concern, instead of the collection's.
        write_concern: WriteConcern,
    }
}
