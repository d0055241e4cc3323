//! The options of each action, as data: what `find(..).limit(5)` collects, and what `with_options` takes.
//!
//! Every field starts out unset, which leaves the choice to the server. Fields have the names of the server's own command
//! parameters in Rust spelling; a duration is whole milliseconds on the wire.

mod admin;
mod collection;
mod index;
mod read;
mod scope;
mod session;
mod write;

use bson::Document;
use serde::{Deserialize, Serialize};

pub use admin::{
    DropCollectionOptions, DropDatabaseOptions, ListCollectionsOptions, ListDatabasesOptions, RunCommandOptions,
    RunCursorCommandOptions,
};
pub(crate) use admin::{
    drop_collection_setters, drop_database_setters, list_collections_setters, list_databases_setters,
    run_command_setters, run_cursor_command_setters,
};
pub(crate) use collection::create_collection_setters;
pub use collection::{
    ChangeStreamPreAndPostImages, ClusteredIndex, CreateCollectionOptions, IndexOptionDefaults, TimeseriesGranularity,
    TimeseriesOptions, ValidationAction, ValidationLevel,
};
pub use index::{
    CommitQuorum, CreateIndexOptions, DropIndexOptions, IndexModel, IndexOptions, IndexVersion, ListIndexesOptions,
    Sphere2DIndexVersion, TextIndexVersion,
};
pub(crate) use index::{create_index_setters, drop_index_setters, list_indexes_setters};
pub use read::{
    AggregateOptions, CountOptions, CursorType, DistinctOptions, EstimatedDocumentCountOptions, FindOneOptions,
    FindOptions,
};
pub(crate) use read::{
    aggregate_setters, count_setters, distinct_setters, estimated_document_count_setters, find_one_setters,
    find_setters,
};
pub use scope::{CollectionOptions, DatabaseOptions};
pub use session::{SessionOptions, TransactionOptions};
pub(crate) use session::{start_session_setters, start_transaction_setters};
pub use write::{
    BulkWriteOptions, DeleteOptions, FindOneAndDeleteOptions, FindOneAndReplaceOptions, FindOneAndUpdateOptions,
    InsertManyOptions, InsertOneOptions, ReplaceOptions, ReturnDocument, UpdateModifications, UpdateOptions,
};
pub(crate) use write::{
    bulk_write_setters, delete_setters, find_one_and_delete_setters, find_one_and_replace_setters,
    find_one_and_update_setters, insert_many_setters, insert_one_setters, replace_setters, update_setters,
};

/// Which index to use: by its keys or by its name (`hint`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
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

/// The builder that `builder()` of options returns, for `T` the options.
///
/// Each setter takes the value or an `Option` of it, as the builders of the official driver do.
///
/// ```
/// use mongo_blocking::bson::doc;
/// use mongo_blocking::options::FindOptions;
///
/// let options = FindOptions::builder().sort(doc! { "name": 1 }).limit(Some(5)).skip(None).build();
/// assert_eq!((options.limit, options.skip), (Some(5), None));
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct OptionsBuilder<T>(pub(super) T);

impl<T> OptionsBuilder<T> {
    /// The options with the fields that were set.
    pub fn build(self) -> T {
        self.0
    }
}

/// Declares the options of an action: a struct whose fields are all optional, public and unset at first, with a chainable setter
/// for each, and a builder. A field declared with `into` has a setter that takes every type that converts, one declared with
/// `each` a setter that takes an iterator, and one declared with `criteria` a second setter, for a read preference.
///
/// They are read from documents and written to them, with the names of the server's parameters. As in the official driver, what is not
/// a parameter of the command alone (concerns, the read preference, what cursors do) is read and not written.
///
/// `Name with setters` also makes a macro `setters!`, which puts the same setters on an action, so that a field is declared here
/// and nowhere else. `Name into Other` makes the conversion into options that have all of its fields and more.
macro_rules! action_options {
    ($(#[$about:meta])* $name:ident $(into $wider:ident)? with $setters:ident {
        $($(#[doc = $doc:literal])* $(#[serde($($serde:tt)*)])* $field:ident $kind:tt $type:ty,)*
    }) => {
        action_options! {
            $(#[$about])* $name { $($(#[doc = $doc])* $(#[serde($($serde)*)])* $field $kind $type,)* }
        }

        action_options! { @from $name [$($wider)?] $($field)* }

        macro_rules! $setters {
            () => {
                $crate::options::action::setters! { $name { $($field $kind $type,)* } }
            };
        }
        pub(crate) use $setters;
    };
    ($(#[$about:meta])* $name:ident {
        $($(#[doc = $doc:literal])* $(#[serde($($serde:tt)*)])* $field:ident $kind:tt $type:ty,)*
    }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        #[non_exhaustive]
        pub struct $name {
            $(
                $(#[doc = $doc])*
                #[serde(skip_serializing_if = "Option::is_none")]
                $(#[serde($($serde)*)])*
                pub $field: Option<$type>,
            )*
        }

        impl $name {
            #[doc = concat!("A builder of [`", stringify!($name), "`]. Fields that are not set stay unset.")]
            pub fn builder() -> $crate::options::OptionsBuilder<$name> {
                $crate::options::OptionsBuilder($name::default())
            }

            $(action_options! { @setter $kind $field $type; $($doc)* })*
        }

        impl $crate::options::OptionsBuilder<$name> {
            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](", stringify!($name), "::", stringify!($field), ").")]
                pub fn $field(mut self, value: impl Into<Option<$type>>) -> Self {
                    self.0.$field = value.into();
                    self
                }
            )*
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
    (@setter : $field:ident $type:ty; $($doc:literal)*) => {
        $(#[doc = $doc])*
        pub fn $field(mut self, value: $type) -> Self {
            self.$field = Some(value);
            self
        }
    };
    (@setter into $field:ident $type:ty; $($doc:literal)*) => {
        $(#[doc = $doc])*
        pub fn $field(mut self, value: impl Into<$type>) -> Self {
            self.$field = Some(value.into());
            self
        }
    };
    (@setter each $field:ident $type:ty; $($doc:literal)*) => {
        $(#[doc = $doc])*
        pub fn $field(mut self, values: impl IntoIterator<Item = <$type as IntoIterator>::Item>) -> Self {
            self.$field = Some(values.into_iter().collect());
            self
        }
    };
    (@setter criteria $field:ident $type:ty; $($doc:literal)*) => {
        action_options! { @setter : $field $type; $($doc)* }

        #[doc = concat!("Sets [`", stringify!($field), "`](Self::", stringify!($field), ") to this read preference.")]
        pub fn read_preference(self, value: $crate::options::ReadPreference) -> Self {
            self.$field(value.into())
        }
    };
}

/// The setters of an action, which set the fields of its `options`, `with_options` for options made elsewhere, and `optional`.
macro_rules! setters {
    ($options:ident { $($field:ident $kind:tt $type:ty,)* }) => {
        /// Takes these options instead of what was set before.
        pub fn with_options(mut self, options: impl Into<Option<$options>>) -> Self {
            if let Some(options) = options.into() {
                self.options = options;
            }
            self
        }

        /// Calls `set` with the action and the value if there is a value: `action.optional(limit, |action, limit| action.limit(limit))`.
        pub fn optional<V>(self, value: Option<V>, set: impl FnOnce(Self, V) -> Self) -> Self {
            match value {
                Some(value) => set(self, value),
                None => self,
            }
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
    (@setter $options:ident each $field:ident $type:ty) => {
        #[doc = concat!("Sets [`", stringify!($options), "::", stringify!($field), "`](crate::options::", stringify!($options), "#structfield.", stringify!($field), ").")]
        pub fn $field(mut self, values: impl IntoIterator<Item = <$type as IntoIterator>::Item>) -> Self {
            self.options.$field = Some(values.into_iter().collect());
            self
        }
    };
    (@setter $options:ident criteria $field:ident $type:ty) => {
        $crate::options::action::setters! { @setter $options : $field $type }

        #[doc = concat!("Sets [`", stringify!($options), "::", stringify!($field), "`](crate::options::", stringify!($options), "#structfield.", stringify!($field), ") to this read preference.")]
        pub fn read_preference(self, value: $crate::options::ReadPreference) -> Self {
            self.$field(value.into())
        }
    };
}

pub(super) use action_options;
pub(crate) use setters;
