//! The options of each action, as data: what `find(..).limit(5)` collects, and what `with_options` takes.
//!
//! Every field starts out unset, which leaves the choice to the server. Fields have the names of the server's own command
//! parameters in Rust spelling; a duration is whole milliseconds on the wire.

mod admin;
mod read;
mod write;

use bson::Document;

pub use admin::{
    CreateCollectionOptions, CreateIndexOptions, DropCollectionOptions, DropDatabaseOptions, DropIndexOptions,
    IndexModel, IndexOptions, ListCollectionsOptions, ListDatabasesOptions, ListIndexesOptions, RunCommandOptions,
    RunCursorCommandOptions,
};
pub(crate) use admin::{
    create_collection_setters, create_index_setters, drop_collection_setters, drop_database_setters,
    drop_index_setters, list_collections_setters, list_databases_setters, list_indexes_setters, run_command_setters,
    run_cursor_command_setters,
};
pub use read::{
    AggregateOptions, CountOptions, CursorType, DistinctOptions, EstimatedDocumentCountOptions, FindOneOptions,
    FindOptions,
};
pub(crate) use read::{
    aggregate_setters, count_setters, distinct_setters, estimated_document_count_setters, find_one_setters,
    find_setters,
};
pub use write::{
    BulkWriteOptions, DeleteOptions, FindOneAndDeleteOptions, FindOneAndReplaceOptions, FindOneAndUpdateOptions,
    InsertManyOptions, InsertOneOptions, ReplaceOptions, ReturnDocument, UpdateModifications, UpdateOptions,
};
pub(crate) use write::{
    bulk_write_setters, delete_setters, find_one_and_delete_setters, find_one_and_replace_setters,
    find_one_and_update_setters, insert_many_setters, insert_one_setters, replace_setters, update_setters,
};

/// Which index to use: by its keys or by its name (`hint`).
#[derive(Clone, Debug, PartialEq)]
pub enum Hint {
    /// The index with these keys.
    Keys(Document),
    /// The index of this name.
    Name(String),
}

impl From<Document> for Hint {
    fn from(keys: Document) -> Self {
        Hint::Keys(keys)
    }
}

impl From<&str> for Hint {
    fn from(name: &str) -> Self {
        Hint::Name(name.to_owned())
    }
}

impl From<String> for Hint {
    fn from(name: String) -> Self {
        Hint::Name(name)
    }
}

/// Declares the options of an action: a struct whose fields are all optional, public and unset at first, with a chainable setter
/// for each. A field declared with `into` has a setter that takes every type that converts.
///
/// `Name with setters` also makes a macro `setters!`, which puts the same setters on an action, so that a field is declared here
/// and nowhere else. `Name into Other` makes the conversion into options that have all of its fields and more.
macro_rules! action_options {
    ($(#[$about:meta])* $name:ident $(into $wider:ident)? with $setters:ident {
        $($(#[$field_about:meta])* $field:ident $kind:tt $type:ty,)*
    }) => {
        action_options! { $(#[$about])* $name { $($(#[$field_about])* $field $kind $type,)* } }

        action_options! { @from $name [$($wider)?] $($field)* }

        macro_rules! $setters {
            () => {
                $crate::options::action::setters! { $name { $($field $kind $type,)* } }
            };
        }
        pub(crate) use $setters;
    };
    ($(#[$about:meta])* $name:ident { $($(#[$field_about:meta])* $field:ident $kind:tt $type:ty,)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$field_about])* pub $field: Option<$type>,)*
        }

        impl $name {
            $(action_options! { @setter $kind $(#[$field_about])* $field $type })*
        }
    };
    (@from $name:ident [] $($field:ident)*) => {};
    (@from $name:ident [$wider:ident] $($field:ident)*) => {
        impl From<$name> for $wider {
            fn from(options: $name) -> Self {
                $wider { $($field: options.$field,)* ..$wider::default() }
            }
        }
    };
    (@setter : $(#[$about:meta])* $field:ident $type:ty) => {
        $(#[$about])*
        pub fn $field(mut self, value: $type) -> Self {
            self.$field = Some(value);
            self
        }
    };
    (@setter into $(#[$about:meta])* $field:ident $type:ty) => {
        $(#[$about])*
        pub fn $field(mut self, value: impl Into<$type>) -> Self {
            self.$field = Some(value.into());
            self
        }
    };
}

/// The setters of an action, which set the fields of its `options`, and `with_options` for options made elsewhere.
macro_rules! setters {
    ($options:ident { $($field:ident $kind:tt $type:ty,)* }) => {
        /// Takes these options instead of what was set before.
        pub fn with_options(mut self, options: impl Into<Option<$options>>) -> Self {
            if let Some(options) = options.into() {
                self.options = options;
            }
            self
        }

        $($crate::options::action::setters! { @setter $options $kind $field $type })*
    };
    (@setter $options:ident : $field:ident $type:ty) => {
        #[doc = concat!("Sets [`", stringify!($options), "::", stringify!($field), "`](crate::options::", stringify!($options), "#structfield.", stringify!($field), ").")]
        pub fn $field(mut self, value: $type) -> Self {
            self.options.$field = Some(value);
            self
        }
    };
    (@setter $options:ident into $field:ident $type:ty) => {
        #[doc = concat!("Sets [`", stringify!($options), "::", stringify!($field), "`](crate::options::", stringify!($options), "#structfield.", stringify!($field), ").")]
        pub fn $field(mut self, value: impl Into<$type>) -> Self {
            self.options.$field = Some(value.into());
            self
        }
    };
}

pub(super) use action_options;
pub(crate) use setters;
