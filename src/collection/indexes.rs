//! Indexes: create, list, drop.

use std::time::Duration;

use bson::{Bson, Document};

use super::{Collection, Shared};
use crate::client::{ClientSession, ExplicitSession, ImplicitSession, cursor_session_setter, session_setter};
use crate::cursor::{Cursor, CursorSettings, SessionCursor};
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
    pub fn create_index(&self, index: IndexModel) -> CreateIndex<'_> {
        CreateIndex { shared: &self.shared, index, options: CreateIndexOptions::default(), session: None }
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
    pub fn create_indexes(&self, indexes: impl IntoIterator<Item = IndexModel>) -> CreateIndexes<'_> {
        CreateIndexes {
            shared: &self.shared,
            indexes: indexes.into_iter().collect(),
            options: CreateIndexOptions::default(),
            session: None,
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
    pub fn list_indexes(&self) -> ListIndexes<'_> {
        ListIndexes { shared: &self.shared, options: ListIndexesOptions::default(), session: ImplicitSession }
    }

    /// Lists the names of the indexes. A collection that does not exist has none.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// assert_eq!(animals.list_index_names().run()?, ["_id_", "name_1"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_index_names(&self) -> ListIndexNames<'_> {
        ListIndexNames { shared: &self.shared, options: ListIndexesOptions::default(), session: None }
    }

    /// Drops the index of this name.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// animals.drop_index("name_1").run()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn drop_index(&self, name: impl AsRef<str>) -> DropIndexes<'_> {
        let index = Some(Hint::Name(name.as_ref().to_owned()));
        DropIndexes { shared: &self.shared, index, options: DropIndexOptions::default(), session: None }
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
    pub fn drop_index_by_keys(&self, keys: Document) -> DropIndexes<'_> {
        DropIndexes {
            shared: &self.shared,
            index: Some(Hint::Keys(keys)),
            options: DropIndexOptions::default(),
            session: None,
        }
    }

    /// Drops all indexes but the one on `_id`.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// animals.drop_indexes().run()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn drop_indexes(&self) -> DropIndexes<'_> {
        DropIndexes { shared: &self.shared, index: None, options: DropIndexOptions::default(), session: None }
    }
}

/// The action that [`Collection::create_index`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct CreateIndex<'a> {
    shared: &'a Shared,
    index: IndexModel,
    options: CreateIndexOptions,
    session: Option<&'a mut ClientSession>,
}

impl<'a> CreateIndex<'a> {
    create_index_setters! {}
    session_setter! {'a}

    /// Creates the index.
    ///
    /// # Errors
    /// [`ErrorKind::Command`](crate::error::ErrorKind::Command) where the server refuses; [the errors of every
    /// action](crate::action#errors).
    pub fn run(self) -> Result<CreateIndexResult> {
        let names = create(self.shared, &[self.index], self.options, self.session)?;
        Ok(CreateIndexResult { index_name: names.into_iter().next().unwrap_or_default() })
    }
}

/// The action that [`Collection::create_indexes`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct CreateIndexes<'a> {
    shared: &'a Shared,
    indexes: Vec<IndexModel>,
    options: CreateIndexOptions,
    session: Option<&'a mut ClientSession>,
}

impl<'a> CreateIndexes<'a> {
    create_index_setters! {}
    session_setter! {'a}

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
        Ok(CreateIndexesResult { index_names: create(self.shared, &self.indexes, self.options, self.session)? })
    }
}

fn create(
    shared: &Shared,
    indexes: &[IndexModel],
    mut options: CreateIndexOptions,
    session: Option<&mut ClientSession>,
) -> Result<Vec<String>> {
    shared.defaults.fill_in_write(&mut options.write_concern, session.as_deref())?;
    let mut create = operation::CreateIndexes { namespace: shared.checked_namespace()?, indexes, options: &options };
    shared.client.execute(&mut create, session)
}

/// The action that [`Collection::list_indexes`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct ListIndexes<'a, S = ImplicitSession> {
    shared: &'a Shared,
    options: ListIndexesOptions,
    session: S,
}

impl<'a, S> ListIndexes<'a, S> {
    list_indexes_setters! {}
    cursor_session_setter! {'a, ListIndexes<> { shared, options }}
}

impl ListIndexes<'_> {
    /// Opens the cursor.
    ///
    /// # Errors
    /// [`ErrorKind::Command`](crate::error::ErrorKind::Command) where the server refuses; [the errors of every
    /// action](crate::action#errors).
    pub fn run(self) -> Result<Cursor<IndexModel>> {
        Ok(list(self.shared, &self.options, None)?.with_type())
    }
}

impl ListIndexes<'_, ExplicitSession<'_>> {
    /// Opens the cursor in the session.
    ///
    /// # Errors
    /// As without a session; [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) for a session of another
    /// client, [`ErrorKind::SessionsNotSupported`](crate::error::ErrorKind::SessionsNotSupported) where the server has no sessions.
    pub fn run(self) -> Result<SessionCursor<IndexModel>> {
        let session = self.session.0;
        let cursor = list(self.shared, &self.options, Some(&mut *session))?;
        Ok(SessionCursor::new(cursor.with_type(), session))
    }
}

/// The action that [`Collection::list_index_names`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct ListIndexNames<'a> {
    shared: &'a Shared,
    options: ListIndexesOptions,
    session: Option<&'a mut ClientSession>,
}

impl<'a> ListIndexNames<'a> {
    list_indexes_setters! {}
    session_setter! {'a}

    /// Asks the server for the list.
    ///
    /// # Errors
    /// [`ErrorKind::Command`](crate::error::ErrorKind::Command) where the server refuses; [the errors of every
    /// action](crate::action#errors).
    pub fn run(self) -> Result<Vec<String>> {
        let mut session = self.session;
        let mut indexes = list(self.shared, &self.options, session.as_deref_mut())?;
        let mut names = Vec::new();
        while let Some(index) = indexes.next_in(session.as_deref_mut()).transpose()? {
            names.push(index.get_str("name").unwrap_or_default().to_owned());
        }
        Ok(names)
    }
}

fn list(
    shared: &Shared,
    options: &ListIndexesOptions,
    session: Option<&mut ClientSession>,
) -> Result<Cursor<Document>> {
    let client = &shared.client;
    let settings = CursorSettings {
        batch_size: options.batch_size,
        comment: CursorSettings::comment(options.comment.as_ref())?,
        ..CursorSettings::default()
    };
    let mut list = operation::ListIndexes { namespace: shared.checked_namespace()?, options };
    match Cursor::open(client, &mut list, client.operation_session(session)?, settings) {
        Err(error) if error.code() == Some(NAMESPACE_NOT_FOUND) => Ok(Cursor::empty(client)),
        opened => opened,
    }
}

/// The action that [`Collection::drop_index`] and [`Collection::drop_indexes`] make.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct DropIndexes<'a> {
    shared: &'a Shared,
    /// `None`: all.
    index: Option<Hint>,
    options: DropIndexOptions,
    session: Option<&'a mut ClientSession>,
}

impl<'a> DropIndexes<'a> {
    drop_index_setters! {}
    session_setter! {'a}

    /// Drops the indexes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) for the name `*`, which would mean all
    /// indexes, [`ErrorKind::Command`](crate::error::ErrorKind::Command) where the server refuses; [the errors of every
    /// action](crate::action#errors).
    pub fn run(mut self) -> Result<()> {
        let defaults = &self.shared.defaults;
        defaults.fill_in_write(&mut self.options.write_concern, self.session.as_deref())?;
        if self.index == Some(Hint::Name("*".to_owned())) {
            return Err(Error::invalid_argument("drop_index(\"*\") would drop all indexes")
                .with_hint("if that is what you want, use drop_indexes"));
        }
        let index = self.index.unwrap_or_else(|| Hint::Name("*".to_owned()));
        let namespace = self.shared.checked_namespace()?;
        let mut drop = operation::DropIndexes { namespace, index: &index, options: &self.options };
        self.shared.client.execute(&mut drop, self.session)
    }
}
