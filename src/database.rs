//! A database: where collections live, and where commands run.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bson::{Bson, Document, RawDocumentBuf};
use serde::de::DeserializeOwned;

use crate::client::{Client, ClientSession, ExplicitSession, ImplicitSession, cursor_session_setter, session_setter};
use crate::collection::{Aggregate, Collection, Defaults, check_collection_name, check_database_name};
use crate::cursor::{Cursor, CursorSettings, SessionCursor};
use crate::error::Result;
use crate::operation::body::raw;
use crate::operation::reply::decode_reply;
use crate::operation::{CursorReply, Namespace, collections, databases, run_command};
use crate::options::action::{
    create_collection_setters, drop_database_setters, list_collections_setters, list_databases_setters,
    run_command_setters, run_cursor_command_setters,
};
use crate::options::{
    AggregateOptions, ChangeStreamPreAndPostImages, ClusteredIndex, Collation, CollectionOptions,
    CreateCollectionOptions, CursorType, DatabaseOptions, DropDatabaseOptions, IndexOptionDefaults,
    ListCollectionsOptions, ListDatabasesOptions, ReadConcern, ReadPreference, RunCommandOptions,
    RunCursorCommandOptions, SelectionCriteria, TimeseriesOptions, ValidationAction, ValidationLevel, WriteConcern,
};
use crate::outcome::DatabaseSpecification;
use crate::specification::CollectionSpecification;

/// A handle on a database. Cheap to clone; nothing is sent until an operation runs.
#[derive(Clone, Debug)]
pub struct Database(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    name: String,
    defaults: Defaults,
}

impl Client {
    /// A handle on a database. Nothing is sent; an invalid name is an error when an operation runs.
    ///
    /// ```no_run
    /// # fn f(client: mongo_blocking::Client) -> mongo_blocking::Result<()> {
    /// let library = client.database("library");
    /// assert_eq!(library.name(), "library");
    /// # Ok(())
    /// # }
    /// ```
    pub fn database(&self, name: &str) -> Database {
        self.database_with_options(name, DatabaseOptions::default())
    }

    /// A handle on a database with a read preference or concerns of its own.
    ///
    /// ```no_run
    /// # fn f(client: mongo_blocking::Client) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::DatabaseOptions;
    /// use mongo_blocking::options::WriteConcern;
    ///
    /// let options = DatabaseOptions::default().write_concern(WriteConcern::majority());
    /// let library = client.database_with_options("library", options);
    /// # Ok(())
    /// # }
    /// ```
    pub fn database_with_options(&self, name: &str, options: DatabaseOptions) -> Database {
        let own = self.inner().options();
        let inherited = Defaults {
            selection_criteria: own.selection_criteria.clone(),
            read_concern: own.read_concern.clone(),
            write_concern: own.write_concern.clone(),
        };
        let defaults = inherited.with(options);
        Database(Arc::new(Inner { client: self.clone(), name: name.to_owned(), defaults }))
    }

    /// The database that the connection string names (`mongodb://host/name`), if it names one.
    ///
    /// ```no_run
    /// # fn f() -> mongo_blocking::Result<()> {
    /// use mongo_blocking::Client;
    ///
    /// let client = Client::with_uri_str("mongodb://localhost/library")?;
    /// let library = client.default_database().expect("the connection string names one");
    /// assert_eq!(library.name(), "library");
    /// # Ok(())
    /// # }
    /// ```
    pub fn default_database(&self) -> Option<Database> {
        self.inner().options().default_database().map(|name| self.database(name))
    }

    /// Lists the databases with their sizes.
    ///
    /// ```no_run
    /// # fn f(client: mongo_blocking::Client) -> mongo_blocking::Result<()> {
    /// for database in client.list_databases().run()? {
    ///     println!("{}: {} bytes", database.name, database.size_on_disk);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_databases(&self) -> ListDatabases<'_> {
        ListDatabases { client: self, options: ListDatabasesOptions::default(), session: None }
    }

    /// Lists the names of the databases.
    ///
    /// ```no_run
    /// # fn f(client: mongo_blocking::Client) -> mongo_blocking::Result<()> {
    /// let names = client.list_database_names().run()?;
    /// assert!(names.contains(&"admin".to_owned()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_database_names(&self) -> ListDatabaseNames<'_> {
        ListDatabaseNames { client: self, options: ListDatabasesOptions::default(), session: None }
    }
}

impl Database {
    /// The name of the database.
    ///
    /// ```no_run
    /// # fn f(client: mongo_blocking::Client) -> mongo_blocking::Result<()> {
    /// assert_eq!(client.database("library").name(), "library");
    /// # Ok(())
    /// # }
    /// ```
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The client that the database belongs to.
    ///
    /// ```no_run
    /// # fn f(library: mongo_blocking::Database) -> mongo_blocking::Result<()> {
    /// library.client().ping()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// The read concern of its operations, if one is set.
    ///
    /// ```no_run
    /// # fn f(library: mongo_blocking::Database) -> mongo_blocking::Result<()> {
    /// println!("{:?}", library.read_concern());
    /// # Ok(())
    /// # }
    /// ```
    pub fn read_concern(&self) -> Option<&ReadConcern> {
        self.0.defaults.read_concern.as_ref()
    }

    /// The write concern of its operations, if one is set.
    ///
    /// ```no_run
    /// # fn f(library: mongo_blocking::Database) -> mongo_blocking::Result<()> {
    /// println!("{:?}", library.write_concern());
    /// # Ok(())
    /// # }
    /// ```
    pub fn write_concern(&self) -> Option<&WriteConcern> {
        self.0.defaults.write_concern.as_ref()
    }

    /// The read preference of its operations; primary where a predicate stands in its place.
    ///
    /// ```no_run
    /// # fn f(library: mongo_blocking::Database) -> mongo_blocking::Result<()> {
    /// println!("{:?}", library.read_preference().mode());
    /// # Ok(())
    /// # }
    /// ```
    pub fn read_preference(&self) -> &ReadPreference {
        self.0.defaults.read_preference()
    }

    /// Which servers its reads go to: its own choice, or the client's. `None` is not returned; the official driver may.
    ///
    /// ```no_run
    /// # fn f(library: mongo_blocking::Database) -> mongo_blocking::Result<()> {
    /// println!("{:?}", library.selection_criteria());
    /// # Ok(())
    /// # }
    /// ```
    pub fn selection_criteria(&self) -> Option<&SelectionCriteria> {
        Some(&self.0.defaults.selection_criteria)
    }

    /// A handle on a collection whose documents are read and written as `T`.
    ///
    /// ```no_run
    /// # fn f(library: mongo_blocking::Database) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::Document;
    ///
    /// let books = library.collection::<Document>("books");
    /// # Ok(())
    /// # }
    /// ```
    pub fn collection<T>(&self, name: &str) -> Collection<T> {
        self.collection_with_options(name, CollectionOptions::default())
    }

    /// A handle on a collection with a read preference or concerns of its own.
    ///
    /// ```no_run
    /// # fn f(library: mongo_blocking::Database) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::CollectionOptions;
    /// use mongo_blocking::bson::Document;
    /// use mongo_blocking::options::ReadConcern;
    ///
    /// let options = CollectionOptions::default().read_concern(ReadConcern::majority());
    /// let books = library.collection_with_options::<Document>("books", options);
    /// # Ok(())
    /// # }
    /// ```
    pub fn collection_with_options<T>(&self, name: &str, options: CollectionOptions) -> Collection<T> {
        let defaults = self.0.defaults.with(options);
        Collection::new(self.0.client.clone(), self.0.name.clone(), name.to_owned(), defaults)
    }

    /// Runs a command as it is. It inherits neither the concerns nor the read preference of the database. With `timeoutMS` it gets a
    /// `maxTimeMS`, unless it has one of its own.
    ///
    /// ```no_run
    /// # fn f(client: mongo_blocking::Client) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::doc;
    ///
    /// let about = client.database("admin").run_command(doc! { "buildInfo": 1 }).run()?;
    /// println!("{}", about.get_str("version").unwrap_or("?"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn run_command(&self, command: Document) -> RunCommand<'_> {
        RunCommand {
            database: self,
            command: raw(&command),
            options: RunCommandOptions::default(),
            session: None,
            reply: PhantomData,
        }
    }

    /// Runs a command that is BSON already. Otherwise as [`Database::run_command`].
    ///
    /// ```no_run
    /// # fn f(client: mongo_blocking::Client) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::rawdoc;
    ///
    /// client.database("admin").run_raw_command(rawdoc! { "ping": 1 }).run()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn run_raw_command(&self, command: RawDocumentBuf) -> RunCommand<'_> {
        RunCommand {
            database: self,
            command: Ok(command),
            options: RunCommandOptions::default(),
            session: None,
            reply: PhantomData,
        }
    }

    /// Runs a command whose reply is a cursor.
    ///
    /// ```no_run
    /// # fn f(library: mongo_blocking::Database) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::doc;
    ///
    /// for book in library.run_cursor_command(doc! { "find": "books", "limit": 3 }).run()? {
    ///     println!("{}", book?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn run_cursor_command(&self, command: Document) -> RunCursorCommand<'_> {
        RunCursorCommand {
            database: self,
            command: raw(&command),
            options: RunCursorCommandOptions::default(),
            session: ImplicitSession,
        }
    }

    /// Runs a command that is BSON already and whose reply is a cursor.
    ///
    /// ```no_run
    /// # fn f(library: mongo_blocking::Database) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::rawdoc;
    ///
    /// let books = library.run_raw_cursor_command(rawdoc! { "find": "books" }).run()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn run_raw_cursor_command(&self, command: RawDocumentBuf) -> RunCursorCommand<'_> {
        RunCursorCommand {
            database: self,
            command: Ok(command),
            options: RunCursorCommandOptions::default(),
            session: ImplicitSession,
        }
    }

    /// Runs the stages of a pipeline that needs no collection (`$currentOp`, `$documents`, `$listLocalSessions`).
    ///
    /// ```no_run
    /// # fn f(client: mongo_blocking::Client) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::doc;
    ///
    /// let operations = client.database("admin").aggregate([doc! { "$currentOp": {} }]).run()?;
    /// println!("{} operations", operations.count());
    /// # Ok(())
    /// # }
    /// ```
    pub fn aggregate(&self, pipeline: impl IntoIterator<Item = Document>) -> Aggregate<'_> {
        Aggregate {
            client: &self.0.client,
            database: &self.0.name,
            collection: None,
            defaults: &self.0.defaults,
            pipeline: pipeline.into_iter().collect(),
            options: AggregateOptions::default(),
            session: ImplicitSession,
            documents: PhantomData,
        }
    }

    /// Lists the collections and views. The server's own description of each is a
    /// [`with_type::<Document>`](Cursor::with_type) away.
    ///
    /// ```no_run
    /// # fn f(library: mongo_blocking::Database) -> mongo_blocking::Result<()> {
    /// for collection in library.list_collections().run()? {
    ///     println!("{}", collection?.name);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_collections(&self) -> ListCollections<'_> {
        ListCollections { database: self, options: ListCollectionsOptions::default(), session: ImplicitSession }
    }

    /// Lists the names of the collections and views.
    ///
    /// ```no_run
    /// # fn f(library: mongo_blocking::Database) -> mongo_blocking::Result<()> {
    /// let names = library.list_collection_names().run()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_collection_names(&self) -> ListCollectionNames<'_> {
        ListCollectionNames { database: self, options: ListCollectionsOptions::default(), session: None }
    }

    /// Creates a collection or a view. An ordinary collection need not be created: the first insert does that.
    ///
    /// ```no_run
    /// # fn f(library: mongo_blocking::Database) -> mongo_blocking::Result<()> {
    /// library.create_collection("log").capped(true).size(1_000_000).run()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn create_collection(&self, name: impl Into<String>) -> CreateCollection<'_> {
        CreateCollection {
            database: self,
            name: name.into(),
            options: CreateCollectionOptions::default(),
            session: None,
        }
    }

    /// Drops the database with all its collections.
    ///
    /// ```no_run
    /// # fn f(library: mongo_blocking::Database) -> mongo_blocking::Result<()> {
    /// library.drop().run()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn drop(&self) -> DropDatabase<'_> {
        DropDatabase { database: self, options: DropDatabaseOptions::default(), session: None }
    }

    fn checked_name(&self) -> Result<&str> {
        check_database_name(&self.0.name)?;
        Ok(&self.0.name)
    }
}

/// The action that [`Client::list_databases`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct ListDatabases<'a> {
    client: &'a Client,
    options: ListDatabasesOptions,
    session: Option<&'a mut ClientSession>,
}

impl<'a> ListDatabases<'a> {
    list_databases_setters! {}
    session_setter! {'a}

    /// Asks the server for the list.
    ///
    /// # Errors
    /// [`ErrorKind::Command`](crate::error::ErrorKind::Command) where the server refuses; [the errors of every
    /// action](crate::action#errors).
    pub fn run(self) -> Result<Vec<DatabaseSpecification>> {
        let mut list = databases::ListDatabases { name_only: false, options: &self.options };
        self.client.execute(&mut list, self.session)
    }
}

/// The action that [`Client::list_database_names`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct ListDatabaseNames<'a> {
    client: &'a Client,
    options: ListDatabasesOptions,
    session: Option<&'a mut ClientSession>,
}

impl<'a> ListDatabaseNames<'a> {
    list_databases_setters! {}
    session_setter! {'a}

    /// Asks the server for the list.
    ///
    /// # Errors
    /// [`ErrorKind::Command`](crate::error::ErrorKind::Command) where the server refuses; [the errors of every
    /// action](crate::action#errors).
    pub fn run(self) -> Result<Vec<String>> {
        let mut list = databases::ListDatabases { name_only: true, options: &self.options };
        let listed = self.client.execute(&mut list, self.session)?;
        Ok(listed.into_iter().map(|database| database.name).collect())
    }
}

/// The action that [`Database::run_command`] makes.
#[must_use = "nothing is sent until `run`"]
pub struct RunCommand<'a, T = Document> {
    database: &'a Database,
    /// As BSON, or why it cannot be.
    command: Result<RawDocumentBuf>,
    options: RunCommandOptions,
    session: Option<&'a mut ClientSession>,
    reply: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for RunCommand<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = FieldNames(&self.command);
        f.debug_struct("RunCommand").field("command", &command).field("options", &self.options).finish_non_exhaustive()
    }
}

impl<'a, T> RunCommand<'a, T> {
    run_command_setters! {}
    session_setter! {'a}

    /// Reads the reply as `U`. The server chooses the types of its numbers; a field of the type `f64` takes all of them, and
    /// [`Numbers`](crate::bson::Numbers) reads them from a document.
    ///
    /// ```no_run
    /// # fn f(library: mongo_blocking::Database) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::doc;
    ///
    /// #[derive(serde::Deserialize)]
    /// #[serde(rename_all = "camelCase")]
    /// struct Sizes { collections: u32, data_size: f64 }
    ///
    /// let sizes = library.run_command(doc! { "dbStats": 1 }).with_type::<Sizes>().run()?;
    /// println!("{} collections, {} bytes", sizes.collections, sizes.data_size);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_type<U>(self) -> RunCommand<'a, U> {
        RunCommand {
            database: self.database,
            command: self.command,
            options: self.options,
            session: self.session,
            reply: PhantomData,
        }
    }

    /// Sends the command and returns the reply.
    ///
    /// # Errors
    /// [`ErrorKind::Command`](crate::error::ErrorKind::Command) where the server replies with `ok: 0`,
    /// [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) for an empty command,
    /// [`ErrorKind::BsonDeserialization`](crate::error::ErrorKind::BsonDeserialization) for a reply that does not fit `T`; [the errors of
    /// every action](crate::action#errors).
    pub fn run(mut self) -> Result<T>
    where
        T: DeserializeOwned,
    {
        let inner = self.database.0.client.inner();
        fill_in_criteria(&mut self.options.selection_criteria, self.session.as_deref());
        let mut session = self.database.0.client.operation_session(self.session.take())?;
        let mut command = self.operation()?;
        let CursorReply { reply, server } =
            inner.execute(&mut command, &mut session, inner.operation_deadline(), None)?;
        let decoded = decode_reply(reply.document(), inner.nesting_limits());
        decoded.map_err(|error| error.with_address(&server))
    }

    /// Sends the command and returns the reply undecoded.
    ///
    /// # Errors
    /// As [`RunCommand::run`].
    pub fn run_raw(mut self) -> Result<RawDocumentBuf> {
        let inner = self.database.0.client.inner();
        fill_in_criteria(&mut self.options.selection_criteria, self.session.as_deref());
        let mut session = self.database.0.client.operation_session(self.session.take())?;
        let mut command = self.operation()?;
        let CursorReply { reply, .. } = inner.execute(&mut command, &mut session, inner.operation_deadline(), None)?;
        Ok(reply.document().to_owned())
    }

    fn operation(&self) -> Result<run_command::RunCommand<'_>> {
        let name = self.database.checked_name()?;
        let command = self.command.as_ref().map_err(Clone::clone)?;
        run_command::RunCommand::new(name, command, self.options.selection_criteria.as_ref())
    }
}

/// The action that [`Database::run_cursor_command`] makes.
#[must_use = "nothing is sent until `run`"]
pub struct RunCursorCommand<'a, S = ImplicitSession> {
    database: &'a Database,
    /// As BSON, or why it cannot be.
    command: Result<RawDocumentBuf>,
    options: RunCursorCommandOptions,
    session: S,
}

impl<S> fmt::Debug for RunCursorCommand<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = FieldNames(&self.command);
        f.debug_struct("RunCursorCommand")
            .field("command", &command)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl<'a, S> RunCursorCommand<'a, S> {
    run_cursor_command_setters! {}
    cursor_session_setter! {'a, RunCursorCommand<> { database, command, options }}
}

impl RunCursorCommand<'_> {
    /// Sends the command and returns a cursor on its results.
    ///
    /// # Errors
    /// [`ErrorKind::Command`](crate::error::ErrorKind::Command) where the server refuses,
    /// [`ErrorKind::InvalidResponse`](crate::error::ErrorKind::InvalidResponse) for a reply without a cursor; [the errors of
    /// every action](crate::action#errors).
    pub fn run(self) -> Result<Cursor<Document>> {
        run_cursor_command(self.database, self.command, self.options, None)
    }
}

impl RunCursorCommand<'_, ExplicitSession<'_>> {
    /// Sends the command in the session and returns a cursor on its results.
    ///
    /// # Errors
    /// As without a session; [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) for a session of another
    /// client, [`ErrorKind::SessionsNotSupported`](crate::error::ErrorKind::SessionsNotSupported) where the server has no sessions.
    pub fn run(self) -> Result<SessionCursor<Document>> {
        let session = self.session.0;
        let cursor = run_cursor_command(self.database, self.command, self.options, Some(&mut *session))?;
        Ok(SessionCursor::new(cursor, session))
    }
}

fn run_cursor_command(
    database: &Database,
    command: Result<RawDocumentBuf>,
    mut options: RunCursorCommandOptions,
    session: Option<&mut ClientSession>,
) -> Result<Cursor<Document>> {
    let client = &database.0.client;
    fill_in_criteria(&mut options.selection_criteria, session.as_deref());
    let name = database.checked_name()?;
    let settings = CursorSettings {
        batch_size: options.batch_size,
        limit_left: None,
        max_await_time: options.max_time,
        await_option: (options.cursor_type == Some(CursorType::TailableAwait)).then_some("max_time"),
        comment: CursorSettings::comment(options.comment.as_ref())?,
        cursor_type: options.cursor_type.unwrap_or_default(),
    };
    let command = command?;
    let command = run_command::RunCommand::new(name, &command, options.selection_criteria.as_ref())?;
    let mut command = run_command::RunCursorCommand(command);
    Cursor::open(client, &mut command, client.operation_session(session)?, settings)
}

/// Says which servers a command of the program's goes to, where that is up to its transaction.
fn fill_in_criteria(criteria: &mut Option<SelectionCriteria>, session: Option<&ClientSession>) {
    if let Some(transaction) = session.and_then(ClientSession::transaction) {
        transaction.fill_in_criteria(criteria);
    }
}

/// A command without its values, which may be secrets: passwords, keys, tokens.
struct FieldNames<'a>(&'a Result<RawDocumentBuf>);

impl fmt::Debug for FieldNames<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.0.iter().flat_map(|command| command.iter()).map_while(|field| field.ok());
        f.debug_set().entries(fields.map(|(name, _)| name.as_str())).finish()
    }
}

/// The action that [`Database::list_collections`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct ListCollections<'a, S = ImplicitSession> {
    database: &'a Database,
    options: ListCollectionsOptions,
    session: S,
}

impl<'a, S> ListCollections<'a, S> {
    list_collections_setters! {}
    cursor_session_setter! {'a, ListCollections<> { database, options }}
}

impl ListCollections<'_> {
    /// Opens a cursor on the specifications.
    ///
    /// # Errors
    /// [`ErrorKind::Command`](crate::error::ErrorKind::Command) where the server refuses; [the errors of every
    /// action](crate::action#errors).
    pub fn run(self) -> Result<Cursor<CollectionSpecification>> {
        Ok(list_collections(self.database, &self.options, false, None)?.with_type())
    }
}

impl ListCollections<'_, ExplicitSession<'_>> {
    /// Opens a cursor on the specifications in the session.
    ///
    /// # Errors
    /// As without a session; [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) for a session of another
    /// client, [`ErrorKind::SessionsNotSupported`](crate::error::ErrorKind::SessionsNotSupported) where the server has no sessions.
    pub fn run(self) -> Result<SessionCursor<CollectionSpecification>> {
        let session = self.session.0;
        let cursor = list_collections(self.database, &self.options, false, Some(&mut *session))?;
        Ok(SessionCursor::new(cursor.with_type(), session))
    }
}

/// The action that [`Database::list_collection_names`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct ListCollectionNames<'a> {
    database: &'a Database,
    options: ListCollectionsOptions,
    session: Option<&'a mut ClientSession>,
}

impl<'a> ListCollectionNames<'a> {
    list_collections_setters! {}
    session_setter! {'a}

    /// Asks the server for the list.
    ///
    /// # Errors
    /// [`ErrorKind::Command`](crate::error::ErrorKind::Command) where the server refuses; [the errors of every
    /// action](crate::action#errors).
    pub fn run(self) -> Result<Vec<String>> {
        // A filter on more than the name needs more than the name.
        let name_only = self.options.filter.as_ref().is_none_or(|filter| filter.keys().all(|key| key == "name"));
        let mut session = self.session;
        let mut collections = list_collections(self.database, &self.options, name_only, session.as_deref_mut())?;
        let mut names = Vec::new();
        while let Some(collection) = collections.next_in(session.as_deref_mut()).transpose()? {
            names.push(collection.get_str("name").unwrap_or_default().to_owned());
        }
        Ok(names)
    }
}

fn list_collections(
    database: &Database,
    options: &ListCollectionsOptions,
    name_only: bool,
    session: Option<&mut ClientSession>,
) -> Result<Cursor<Document>> {
    let client = &database.0.client;
    let settings = CursorSettings {
        batch_size: options.batch_size,
        comment: CursorSettings::comment(options.comment.as_ref())?,
        ..CursorSettings::default()
    };
    let mut list = collections::ListCollections { database: database.checked_name()?, name_only, options };
    Cursor::open(client, &mut list, client.operation_session(session)?, settings)
}

/// The action that [`Database::create_collection`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct CreateCollection<'a> {
    database: &'a Database,
    name: String,
    options: CreateCollectionOptions,
    session: Option<&'a mut ClientSession>,
}

impl<'a> CreateCollection<'a> {
    create_collection_setters! {}
    session_setter! {'a}

    /// Creates it.
    ///
    /// # Errors
    /// [`ErrorKind::Command`](crate::error::ErrorKind::Command) where the server refuses, which it does where a collection
    /// of that name has other options; [the errors of every action](crate::action#errors).
    pub fn run(mut self) -> Result<()> {
        self.database.0.defaults.fill_in_write(&mut self.options.write_concern, self.session.as_deref())?;
        check_collection_name(&self.name)?;
        let namespace = Namespace { database: self.database.checked_name()?, collection: &self.name };
        let mut create = collections::CreateCollection { namespace, options: &self.options };
        self.database.0.client.execute(&mut create, self.session)
    }
}

/// The action that [`Database::drop`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct DropDatabase<'a> {
    database: &'a Database,
    options: DropDatabaseOptions,
    session: Option<&'a mut ClientSession>,
}

impl<'a> DropDatabase<'a> {
    drop_database_setters! {}
    session_setter! {'a}

    /// Drops the database.
    ///
    /// # Errors
    /// [`ErrorKind::Command`](crate::error::ErrorKind::Command) where the server refuses; [the errors of every
    /// action](crate::action#errors).
    pub fn run(mut self) -> Result<()> {
        self.database.0.defaults.fill_in_write(&mut self.options.write_concern, self.session.as_deref())?;
        let mut drop = databases::DropDatabase { database: self.database.checked_name()?, options: &self.options };
        self.database.0.client.execute(&mut drop, self.session)
    }
}
