//! Indexes: create, list, drop.

use std::time::Duration;

use bson::{Bson, Document};

use super::Collection;
use crate::cursor::{Cursor, CursorSettings};
use crate::error::codes::NAMESPACE_NOT_FOUND;
use crate::error::{Error, Result};
use crate::operation::indexes as operation;
use crate::options::action::{create_index_setters, drop_index_setters, list_indexes_setters};
use crate::options::{
    CommitQuorum, CreateIndexOptions, DropIndexOptions, Hint, IndexModel, ListIndexesOptions, WriteConcern,
};
use crate::outcome::{CreateIndexResult, CreateIndexesResult};

impl<T> Collection<T> {
    /// Creates an index.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::doc;
    /// use mongo_blocking::options::IndexModel;
    ///
    /// let made = animals.create_index(IndexModel::new(doc! { "name": 1 })).run()?;
    /// assert_eq!(made.index_name, "name_1");
    /// # Ok(())
    /// # }
    /// ```
    pub fn create_index(&self, index: IndexModel) -> CreateIndex<'_, T> {
        CreateIndex { collection: self, index, options: CreateIndexOptions::default() }
    }

    /// Creates several indexes at once.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::doc;
    /// use mongo_blocking::options::IndexModel;
    ///
    /// let indexes = [IndexModel::new(doc! { "name": 1 }), IndexModel::new(doc! { "legs": -1 })];
    /// assert_eq!(animals.create_indexes(indexes).run()?.index_names, ["name_1", "legs_-1"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn create_indexes(&self, indexes: impl IntoIterator<Item = IndexModel>) -> CreateIndexes<'_, T> {
        CreateIndexes {
            collection: self,
            indexes: indexes.into_iter().collect(),
            options: CreateIndexOptions::default(),
        }
    }

    /// Lists the indexes. A collection that does not exist has none. The server's own description of each is a
    /// [`with_type::<Document>`](Cursor::with_type) away.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// for index in animals.list_indexes().run()? {
    ///     println!("{}", index?.keys);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_indexes(&self) -> ListIndexes<'_, T> {
        ListIndexes { collection: self, options: ListIndexesOptions::default() }
    }

    /// Lists the names of the indexes. A collection that does not exist has none.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// assert_eq!(animals.list_index_names().run()?, ["_id_", "name_1"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_index_names(&self) -> ListIndexNames<'_, T> {
        ListIndexNames { collection: self, options: ListIndexesOptions::default() }
    }

    /// Drops the index of this name.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// animals.drop_index("name_1").run()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn drop_index(&self, name: impl AsRef<str>) -> DropIndexes<'_, T> {
        let index = Some(Hint::Name(name.as_ref().to_owned()));
        DropIndexes { collection: self, index, options: DropIndexOptions::default() }
    }

    /// Drops the index with these keys.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::doc;
    ///
    /// animals.drop_index_by_keys(doc! { "legs": -1 }).run()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn drop_index_by_keys(&self, keys: Document) -> DropIndexes<'_, T> {
        DropIndexes { collection: self, index: Some(Hint::Keys(keys)), options: DropIndexOptions::default() }
    }

    /// Drops all indexes but the one on `_id`.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// animals.drop_indexes().run()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn drop_indexes(&self) -> DropIndexes<'_, T> {
        DropIndexes { collection: self, index: None, options: DropIndexOptions::default() }
    }
}

/// The action that [`Collection::create_index`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct CreateIndex<'a, T> {
    collection: &'a Collection<T>,
    index: IndexModel,
    options: CreateIndexOptions,
}

impl<T> CreateIndex<'_, T> {
    create_index_setters! {}

    /// Creates the index.
    ///
    /// # Errors
    /// [`ErrorKind::Command`](crate::error::ErrorKind::Command) where the server refuses; [the errors of every
    /// action](crate::action#errors).
    pub fn run(self) -> Result<CreateIndexResult> {
        let names = create(self.collection, &[self.index], self.options)?;
        Ok(CreateIndexResult { index_name: names.into_iter().next().unwrap_or_default() })
    }
}

/// The action that [`Collection::create_indexes`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct CreateIndexes<'a, T> {
    collection: &'a Collection<T>,
    indexes: Vec<IndexModel>,
    options: CreateIndexOptions,
}

impl<T> CreateIndexes<'_, T> {
    create_index_setters! {}

    /// Creates the indexes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) for an empty list,
    /// [`ErrorKind::Command`](crate::error::ErrorKind::Command) where the server refuses; [the errors of every
    /// action](crate::action#errors).
    pub fn run(self) -> Result<CreateIndexesResult> {
        if self.indexes.is_empty() {
            return Err(Error::invalid_argument("create_indexes was given no indexes"));
        }
        Ok(CreateIndexesResult { index_names: create(self.collection, &self.indexes, self.options)? })
    }
}

fn create<T>(
    collection: &Collection<T>,
    indexes: &[IndexModel],
    mut options: CreateIndexOptions,
) -> Result<Vec<String>> {
    collection.shared.defaults.fill_in_write(&mut options.write_concern);
    let mut create =
        operation::CreateIndexes { namespace: collection.checked_namespace()?, indexes, options: &options };
    collection.client().execute(&mut create, None)
}

/// The action that [`Collection::list_indexes`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct ListIndexes<'a, T> {
    collection: &'a Collection<T>,
    options: ListIndexesOptions,
}

impl<T> ListIndexes<'_, T> {
    list_indexes_setters! {}

    /// Opens the cursor.
    ///
    /// # Errors
    /// [`ErrorKind::Command`](crate::error::ErrorKind::Command) where the server refuses; [the errors of every
    /// action](crate::action#errors).
    pub fn run(self) -> Result<Cursor<IndexModel>> {
        Ok(list(self.collection, &self.options)?.with_type())
    }
}

/// The action that [`Collection::list_index_names`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct ListIndexNames<'a, T> {
    collection: &'a Collection<T>,
    options: ListIndexesOptions,
}

impl<T> ListIndexNames<'_, T> {
    list_indexes_setters! {}

    /// Asks the server for the list.
    ///
    /// # Errors
    /// [`ErrorKind::Command`](crate::error::ErrorKind::Command) where the server refuses; [the errors of every
    /// action](crate::action#errors).
    pub fn run(self) -> Result<Vec<String>> {
        let name = |index: Result<Document>| Ok(index?.get_str("name").unwrap_or_default().to_owned());
        list(self.collection, &self.options)?.map(name).collect()
    }
}

fn list<T>(collection: &Collection<T>, options: &ListIndexesOptions) -> Result<Cursor<Document>> {
    let client = collection.client();
    let settings = CursorSettings {
        batch_size: options.batch_size,
        comment: CursorSettings::comment(options.comment.as_ref())?,
        ..CursorSettings::default()
    };
    let mut list = operation::ListIndexes { namespace: collection.checked_namespace()?, options };
    match Cursor::open(client, &mut list, client.operation_session(None)?, settings) {
        Err(error) if error.code() == Some(NAMESPACE_NOT_FOUND) => Ok(Cursor::empty(client)),
        opened => opened,
    }
}

/// The action that [`Collection::drop_index`] and [`Collection::drop_indexes`] make.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct DropIndexes<'a, T> {
    collection: &'a Collection<T>,
    /// `None`: all.
    index: Option<Hint>,
    options: DropIndexOptions,
}

impl<T> DropIndexes<'_, T> {
    drop_index_setters! {}

    /// Drops the indexes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) for the name `*`, which would mean all
    /// indexes, [`ErrorKind::Command`](crate::error::ErrorKind::Command) where the server refuses; [the errors of every
    /// action](crate::action#errors).
    pub fn run(mut self) -> Result<()> {
        self.collection.shared.defaults.fill_in_write(&mut self.options.write_concern);
        if self.index == Some(Hint::Name("*".to_owned())) {
            return Err(Error::invalid_argument("drop_index(\"*\") would drop all indexes")
                .with_hint("if that is what you want, use drop_indexes"));
        }
        let index = self.index.unwrap_or_else(|| Hint::Name("*".to_owned()));
        let namespace = self.collection.checked_namespace()?;
        let mut drop = operation::DropIndexes { namespace, index: &index, options: &self.options };
        self.collection.client().execute(&mut drop, None)
    }
}
