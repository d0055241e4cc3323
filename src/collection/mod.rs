//! A collection and the actions on its documents and indexes.
//!
//! An action is a small value that collects options and does nothing until its `run`: `collection.find(filter).limit(5).run()?`.

mod bulk;
mod find_and_modify;
mod indexes;
mod read;
mod write;

use std::marker::PhantomData;
use std::sync::Arc;

use crate::client::{Client, ClientSession};
use crate::error::{Error, Result};
use crate::namespace::Namespace;
use crate::operation;
use crate::options::{CollectionOptions, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern};

pub use bulk::{BulkWrite, WriteModel};
pub use find_and_modify::{FindOneAndDelete, FindOneAndReplace, FindOneAndUpdate};
pub use indexes::{CreateIndex, CreateIndexes, DropIndexes, ListIndexNames, ListIndexes};
pub use read::{Aggregate, CountDocuments, Distinct, EstimatedDocumentCount, Find, FindOne};
pub use write::{Delete, DropCollection, InsertMany, InsertOne, ReplaceOne, Update};

/// A handle on a collection whose documents are read and written as `T`. Cheap to clone; nothing is sent until an action runs.
///
/// `T` is any type that serde can turn into a document: [`bson::Document`] for whatever is there, [`bson::RawDocumentBuf`] to
/// leave it undecoded, or a struct of your own.
///
/// ```no_run
/// # fn main() -> mongo_blocking::Result<()> {
/// use mongo_blocking::Client;
/// use mongo_blocking::bson::{Document, doc};
///
/// let client = Client::with_uri_str("mongodb://localhost/")?;
/// let animals = client.database("zoo").collection::<Document>("animals");
/// animals.insert_one(doc! { "name": "Zoe", "legs": 4 }).run()?;
/// let zoe = animals.find_one(doc! { "name": "Zoe" }).run()?;
/// # Ok(())
/// # }
/// ```
pub struct Collection<T> {
    shared: Arc<Shared>,
    documents: PhantomData<fn() -> T>,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    database: String,
    name: String,
    defaults: Defaults,
}

/// What the operations of a handle use unless their own options name something else: inherited from the client by the database,
/// and from the database by the collection.
#[derive(Clone, Debug)]
pub(crate) struct Defaults {
    pub(crate) selection_criteria: SelectionCriteria,
    pub(crate) read_concern: Option<ReadConcern>,
    pub(crate) write_concern: Option<WriteConcern>,
}

impl Defaults {
    /// These, with what the options name in their place.
    pub(crate) fn with(&self, options: CollectionOptions) -> Defaults {
        Defaults {
            selection_criteria: options.selection_criteria.unwrap_or_else(|| self.selection_criteria.clone()),
            read_concern: options.read_concern.or_else(|| self.read_concern.clone()),
            write_concern: options.write_concern.or_else(|| self.write_concern.clone()),
        }
    }

    /// The read preference among the criteria; the default where they are a predicate.
    pub(crate) fn read_preference(&self) -> &ReadPreference {
        self.selection_criteria.preference_or_primary()
    }

    /// Fills in what a read does not name itself. In a transaction, that one decides.
    ///
    /// # Errors
    /// In a transaction, for a read that names a read concern.
    pub(crate) fn fill_in_read(
        &self,
        concern: &mut Option<ReadConcern>,
        criteria: &mut Option<SelectionCriteria>,
        session: Option<&ClientSession>,
    ) -> Result<()> {
        if let Some(transaction) = session.and_then(ClientSession::transaction) {
            return transaction.fill_in_read(concern, criteria);
        }
        if concern.is_none() {
            concern.clone_from(&self.read_concern);
        }
        criteria.get_or_insert_with(|| self.selection_criteria.clone());
        Ok(())
    }

    /// Fills in what a write does not name itself. In a transaction, that one decides.
    ///
    /// # Errors
    /// In a transaction, for a write that names a write concern.
    pub(crate) fn fill_in_write(
        &self,
        concern: &mut Option<WriteConcern>,
        session: Option<&ClientSession>,
    ) -> Result<()> {
        if let Some(transaction) = session.and_then(ClientSession::transaction) {
            return transaction.check_write(concern);
        }
        if concern.is_none() {
            concern.clone_from(&self.write_concern);
        }
        Ok(())
    }
}

impl<T> Collection<T> {
    pub(crate) fn new(client: Client, database: String, name: String, defaults: Defaults) -> Self {
        Collection { shared: Arc::new(Shared { client, database, name, defaults }), documents: PhantomData }
    }

    /// The name of the collection within the database.
    ///
    /// ```no_run
    /// # fn f(library: mongo_blocking::Database) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::Document;
    ///
    /// assert_eq!(library.collection::<Document>("books").name(), "books");
    /// # Ok(())
    /// # }
    /// ```
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The full name, `database.collection`.
    ///
    /// ```no_run
    /// # fn f(library: mongo_blocking::Database) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::Document;
    ///
    /// assert_eq!(library.collection::<Document>("books").full_name(), "library.books");
    /// # Ok(())
    /// # }
    /// ```
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.shared.database, self.shared.name)
    }

    /// The names of the database and the collection.
    ///
    /// ```no_run
    /// # fn f(library: mongo_blocking::Database) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::Document;
    ///
    /// let namespace = library.collection::<Document>("books").namespace();
    /// assert_eq!((namespace.db.as_str(), namespace.coll.as_str()), ("library", "books"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn namespace(&self) -> Namespace {
        Namespace::new(&self.shared.database, &self.shared.name)
    }

    /// The client that the collection belongs to.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// animals.client().ping()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn client(&self) -> &Client {
        &self.shared.client
    }

    /// The same collection with documents of another type.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::RawDocumentBuf;
    ///
    /// let undecoded = animals.clone_with_type::<RawDocumentBuf>();
    /// # Ok(())
    /// # }
    /// ```
    pub fn clone_with_type<U>(&self) -> Collection<U> {
        Collection { shared: self.shared.clone(), documents: PhantomData }
    }

    /// The read concern of its operations, if one is set.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// println!("{:?}", animals.read_concern());
    /// # Ok(())
    /// # }
    /// ```
    pub fn read_concern(&self) -> Option<&ReadConcern> {
        self.shared.defaults.read_concern.as_ref()
    }

    /// The write concern of its operations, if one is set.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// println!("{:?}", animals.write_concern());
    /// # Ok(())
    /// # }
    /// ```
    pub fn write_concern(&self) -> Option<&WriteConcern> {
        self.shared.defaults.write_concern.as_ref()
    }

    /// The read preference of its operations; primary where a predicate stands in its place.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// println!("{:?}", animals.read_preference().mode());
    /// # Ok(())
    /// # }
    /// ```
    pub fn read_preference(&self) -> &ReadPreference {
        self.shared.defaults.read_preference()
    }

    /// Which servers its reads go to: its own choice, or what it inherits. `None` is not returned; the official driver may.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// println!("{:?}", animals.selection_criteria());
    /// # Ok(())
    /// # }
    /// ```
    pub fn selection_criteria(&self) -> Option<&SelectionCriteria> {
        Some(&self.shared.defaults.selection_criteria)
    }

    /// The full name, checked: a server would take some invalid names for something else.
    fn checked_namespace(&self) -> Result<operation::Namespace<'_>> {
        self.shared.checked_namespace()
    }
}

impl Shared {
    /// The namespace, if the server takes such names.
    fn checked_namespace(&self) -> Result<operation::Namespace<'_>> {
        check_database_name(&self.database)?;
        check_collection_name(&self.name)?;
        Ok(operation::Namespace { database: &self.database, collection: &self.name })
    }
}

/// A database's name is not empty and has none of the characters that file systems or the wire protocol give a meaning.
pub(crate) fn check_database_name(name: &str) -> Result<()> {
    if name.is_empty() || name.contains(['\0', '/', '\\', '.', ' ', '"', '$']) && name != "$external" {
        return Err(Error::invalid_argument(format!(
            "{name:?} cannot be the name of a database: it must not be empty nor contain any of / \\ . space \" $ or NUL"
        )));
    }
    Ok(())
}

/// A collection's name is not empty, and contains no NUL, at which a server would take it to end.
pub(crate) fn check_collection_name(name: &str) -> Result<()> {
    if name.is_empty() || name.contains('\0') {
        return Err(Error::invalid_argument("a collection's name must not be empty nor contain NUL"));
    }
    Ok(())
}

impl<T> Clone for Collection<T> {
    fn clone(&self) -> Self {
        self.clone_with_type()
    }
}

impl<T> std::fmt::Debug for Collection<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Collection").field(&self.full_name()).finish()
    }
}
