//! Options of what lists databases and collections and drops them, and of commands in the caller's own words.

use std::time::Duration;

use bson::{Bson, Document};

use super::{CursorType, action_options};
use crate::options::{SelectionCriteria, WriteConcern};
use crate::serde_util;

action_options! {
    /// Options of [`Database::run_command`](crate::Database::run_command).
    RunCommandOptions with run_command_setters {
        /// Which servers it may go to. The database's choice does not apply to a command: the primary, unless this says otherwise.
        #[serde(skip_serializing, alias = "readPreference")]
        selection_criteria criteria SelectionCriteria,
    }
}

action_options! {
    /// Options of [`Database::run_cursor_command`](crate::Database::run_cursor_command). They concern the batches after the
    /// first; what the first is to hold, the command itself says.
    RunCursorCommandOptions with run_cursor_command_setters {
        /// Documents in a batch.
        #[serde(with = "serde_util::optional_i32")]
        batch_size: u32,
        /// How long the server waits for news; of a `TailableAwait` cursor more than zero, and less than `timeoutMS`.
        #[serde(rename = "maxTimeMS", alias = "maxTime", alias = "maxtime", with = "serde_util::optional_millis")]
        max_time: Duration,
        /// What the cursor does at the end; must fit the command.
        #[serde(skip_serializing)]
        cursor_type: CursorType,
        /// A note for the server's logs and profiler.
        comment into Bson,
        /// Which servers it may go to.
        #[serde(skip_serializing, alias = "readPreference")]
        selection_criteria criteria SelectionCriteria,
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
        #[serde(rename(serialize = "cursor"), serialize_with = "serde_util::cursor_of_batch_size")]
        batch_size: u32,
        /// A note for the server's logs and profiler.
        comment into Bson,
    }
}

action_options! {
    /// Options of [`Collection::drop`](crate::Collection::drop).
    DropCollectionOptions with drop_collection_setters {
        /// A note for the server's logs and profiler.
        comment into Bson,
        /// The write concern, instead of the collection's.
        #[serde(skip_serializing)]
        write_concern: WriteConcern,
    }
}

action_options! {
    /// Options of [`Database::drop`](crate::Database::drop).
    DropDatabaseOptions with drop_database_setters {
        /// A note for the server's logs and profiler.
        comment into Bson,
        /// The write concern, instead of the database's.
        #[serde(skip_serializing)]
        write_concern: WriteConcern,
    }
}
