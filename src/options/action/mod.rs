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
pub use read::{
    AggregateOptions, CountOptions, CursorType, DistinctOptions, EstimatedDocumentCountOptions, FindOneOptions,
    FindOptions,
};
pub use write::{
    BulkWriteOptions, DeleteOptions, FindOneAndDeleteOptions, FindOneAndReplaceOptions, FindOneAndUpdateOptions,
    InsertManyOptions, InsertOneOptions, ReplaceOptions, ReturnDocument, UpdateModifications, UpdateOptions,
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

/// An options struct: all fields optional and public, none set at first, and a chainable setter for each. A field written
/// with `into` has a setter that takes whatever converts.
macro_rules! action_options {
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

/// The setters of an action, which fill in its `options`, and the way to give it options made elsewhere.
macro_rules! setters {
    ($options:ident { $($field:ident $kind:tt $type:ty,)* }) => {
        /// Takes these options instead of what was set before.
        pub fn with_options(mut self, options: impl Into<Option<$options>>) -> Self {
            if let Some(options) = options.into() {
                self.options = options;
            }
            self
        }

        $(setters! { @setter $options $kind $field $type })*
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
