//! Options of handles: what the operations of a database or a collection use unless their own options name something else.

use super::action_options;
use crate::options::{ReadConcern, SelectionCriteria, WriteConcern};

action_options! {
    /// What the operations of a database or a collection use unless their own options say otherwise. What is unset here is
    /// inherited: by a database from the client, and by a collection from the database.
    CollectionOptions {
        /// Which servers reads go to.
        #[serde(alias = "selection_criteria")]
        selection_criteria criteria SelectionCriteria,
        /// The read concern.
        #[serde(alias = "read_concern")]
        read_concern: ReadConcern,
        /// The write concern.
        #[serde(alias = "write_concern")]
        write_concern: WriteConcern,
    }
}

/// Options of a database, which are those of a collection.
pub type DatabaseOptions = CollectionOptions;
