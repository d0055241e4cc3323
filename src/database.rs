//! A database: where collections live, and where commands run.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bson::{Bson, Document, RawBsonRef, RawDocument, RawDocumentBuf};

use crate::client::Client;
use crate::collection::{
    Aggregate, Collection, CollectionOptions, Settings, check_collection_name, check_database_name, comment,
};
use crate::cursor::{Cursor, CursorSettings};
use crate::error::{Error, Result, Stage};
use crate::operation;
use crate::operation::Namespace;
use crate::operation::body::raw;
use crate::operation::reply::malformed;
use crate::options::action::setters;
use crate::options::{
    AggregateOptions, Collation, CreateCollectionOptions, CursorType, DropDatabaseOptions, ListCollectionsOptions,
    ListDatabasesOptions, ReadConcern, ReadPreference, RunCommandOptions, RunCursorCommandOptions, WriteConcern,
};
use crate::results::DatabaseSpecification;
use crate::wire::check_nesting;

/// A handle on a database. Cheap to clone; nothing is sent until an operation runs.
#[derive(Clone, Debug)]
pub struct Database(Arc<Inner>);

/// What a database's operations, and its collections', use unless told otherwise.
pub type DatabaseOptions = CollectionOptions;

#[derive(Debug)]
struct Inner {
    client: Client,
    name: String,
    settings: Settings,
}

impl Client {
    /// A handle on a database. Nothing is sent; a name that cannot be one is refused when an operation runs.
    pub fn database(&self, name: impl Into<String>) -> Database {
        self.database_with_options(name, DatabaseOptions::default())
    }

    /// A handle on a database with a read preference or concerns of its own.
    pub fn database_with_options(&self, name: impl Into<String>, options: DatabaseOptions) -> Database {
        let own = self.deployment().options();
        let inherited = Settings {
            read_preference: own.read_preference.clone(),
            read_concern: own.read_concern.clone(),
            write_concern: own.write_concern.clone(),
        };
        let settings = inherited.with(options);
        Database(Arc::new(Inner { client: self.clone(), name: name.into(), settings }))
    }

    /// The database that the connection string names (`mongodb://host/name`), if it names one.
    pub fn default_database(&self) -> Option<Database> {
        self.deployment().options().default_database.as_ref().map(|name| self.database(name))
    }

    /// Lists the databases with their sizes.
    pub fn list_databases(&self) -> ListDatabases<'_> {
        ListDatabases { client: self, options: ListDatabasesOptions::default() }
    }

    /// Lists the names of the databases.
    pub fn list_database_names(&self) -> ListDatabaseNames<'_> {
        ListDatabaseNames { client: self, options: ListDatabasesOptions::default() }
    }
}

impl Database {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The client it belongs to.
    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// The read concern of its operations, if one is set.
    pub fn read_concern(&self) -> Option<&ReadConcern> {
        self.0.settings.read_concern.as_ref()
    }

    /// The write concern of its operations, if one is set.
    pub fn write_concern(&self) -> Option<&WriteConcern> {
        self.0.settings.write_concern.as_ref()
    }

    /// The read preference of its operations.
    pub fn read_preference(&self) -> &ReadPreference {
        &self.0.settings.read_preference
    }

    /// A handle on a collection whose documents are read and written as `T`.
    pub fn collection<T>(&self, name: impl Into<String>) -> Collection<T> {
        self.collection_with_options(name, CollectionOptions::default())
    }

    /// A handle on a collection with a read preference or concerns of its own.
    pub fn collection_with_options<T>(&self, name: impl Into<String>, options: CollectionOptions) -> Collection<T> {
        let settings = self.0.settings.with(options);
        Collection::new(self.0.client.clone(), self.0.name.clone(), name.into(), settings)
    }

    /// Runs a command as it is. It inherits nothing: neither concerns nor the read preference.
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
        RunCommand { database: self, command, options: RunCommandOptions::default() }
    }

    /// Runs a command whose reply is a cursor.
    pub fn run_cursor_command(&self, command: Document) -> RunCursorCommand<'_> {
        RunCursorCommand { database: self, command, options: RunCursorCommandOptions::default() }
    }

    /// Runs the stages of a pipeline that needs no collection (`$currentOp`, `$documents`, `$listLocalSessions`).
    pub fn aggregate(&self, pipeline: impl IntoIterator<Item = Document>) -> Aggregate<'_, Document> {
        Aggregate {
            client: &self.0.client,
            database: &self.0.name,
            collection: None,
            settings: &self.0.settings,
            pipeline: pipeline.into_iter().collect(),
            options: AggregateOptions::default(),
            documents: PhantomData,
        }
    }

    /// Lists the collections and views, as the server describes them.
    pub fn list_collections(&self) -> ListCollections<'_> {
        ListCollections { database: self, options: ListCollectionsOptions::default() }
    }

    /// Lists the names of the collections and views.
    pub fn list_collection_names(&self) -> ListCollectionNames<'_> {
        ListCollectionNames { database: self, options: ListCollectionsOptions::default() }
    }

    /// Makes a collection or a view. An ordinary collection need not be made: the first insert does it.
    pub fn create_collection(&self, name: impl Into<String>) -> CreateCollection<'_> {
        CreateCollection { database: self, name: name.into(), options: CreateCollectionOptions::default() }
    }

    /// Drops the database with all its collections.
    pub fn drop(&self) -> DropDatabase<'_> {
        DropDatabase { database: self, options: DropDatabaseOptions::default() }
    }

    fn checked_name(&self) -> Result<&str> {
        check_database_name(&self.0.name)?;
        Ok(&self.0.name)
    }
}

/// What [`Client::list_databases`] returns.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct ListDatabases<'a> {
    client: &'a Client,
    options: ListDatabasesOptions,
}

impl ListDatabases<'_> {
    setters! {
        ListDatabasesOptions { filter: Document, authorized_databases: bool, comment into Bson, }
    }

    /// Asks the server.
    ///
    /// # Errors
    /// What keeps us from the server, and the server's refusal.
    pub fn run(self) -> Result<Vec<DatabaseSpecification>> {
        let reply = operation::collections::list_databases(self.client.deployment(), false, &self.options)?;
        operation::collections::databases(&reply)?.map(|database| specification(database?)).collect()
    }
}

/// What [`Client::list_database_names`] returns.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct ListDatabaseNames<'a> {
    client: &'a Client,
    options: ListDatabasesOptions,
}

impl ListDatabaseNames<'_> {
    setters! {
        ListDatabasesOptions { filter: Document, authorized_databases: bool, comment into Bson, }
    }

    /// Asks the server.
    ///
    /// # Errors
    /// What keeps us from the server, and the server's refusal.
    pub fn run(self) -> Result<Vec<String>> {
        let reply = operation::collections::list_databases(self.client.deployment(), true, &self.options)?;
        let names = operation::collections::databases(&reply)?;
        names.map(|database| Ok(database?.get_str("name").unwrap_or_default().to_owned())).collect()
    }
}

fn specification(database: &RawDocument) -> Result<DatabaseSpecification> {
    let name = database.get_str("name").map_err(|_| {
        Error::invalid_reply(Stage::Decode, "an entry of the reply to listDatabases has no text 'name'")
    })?;
    Ok(DatabaseSpecification {
        name: name.to_owned(),
        size_on_disk: whole(database.get("sizeOnDisk")),
        empty: database.get_bool("empty").unwrap_or_default(),
    })
}

/// A size, whichever number it comes as; what is none counts as nothing.
fn whole(value: bson::error::Result<Option<RawBsonRef<'_>>>) -> u64 {
    match value {
        Ok(Some(RawBsonRef::Int32(number))) => u64::try_from(number).unwrap_or_default(),
        Ok(Some(RawBsonRef::Int64(number))) => u64::try_from(number).unwrap_or_default(),
        Ok(Some(RawBsonRef::Double(number))) if number > 0.0 => number as u64,
        _ => 0,
    }
}

/// What [`Database::run_command`] returns.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct RunCommand<'a> {
    database: &'a Database,
    command: Document,
    options: RunCommandOptions,
}

impl RunCommand<'_> {
    setters! {
        RunCommandOptions { read_preference: ReadPreference, }
    }

    /// Sends it and returns the reply.
    ///
    /// # Errors
    /// [`ErrorKind::Command`](crate::error::ErrorKind::Command) where the server answered `ok: 0`, and what keeps us from the
    /// server.
    pub fn run(self) -> Result<Document> {
        let reply = self.run_raw()?;
        check_nesting(&reply)?;
        Document::try_from(&*reply).map_err(malformed)
    }

    /// Sends it and returns the reply undecoded.
    ///
    /// # Errors
    /// As [`RunCommand::run`].
    pub fn run_raw(self) -> Result<RawDocumentBuf> {
        let deployment = self.database.0.client.deployment();
        let name = self.database.checked_name()?;
        let preference = self.options.read_preference.as_ref();
        let reply = operation::run_command::run_command(deployment, name, raw(&self.command)?, preference)?;
        Ok(reply.document().to_owned())
    }
}

/// What [`Database::run_cursor_command`] returns.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct RunCursorCommand<'a> {
    database: &'a Database,
    command: Document,
    options: RunCursorCommandOptions,
}

impl RunCursorCommand<'_> {
    setters! {
        RunCursorCommandOptions {
            batch_size: u32, max_time: Duration, cursor_type: CursorType, comment into Bson,
            read_preference: ReadPreference,
        }
    }

    /// Sends it and returns a cursor on its results.
    ///
    /// # Errors
    /// A reply without a cursor; the server's refusal; and what keeps us from the server.
    pub fn run(self) -> Result<Cursor<Document>> {
        let client = &self.database.0.client;
        let name = self.database.checked_name()?;
        let preference = self.options.read_preference.as_ref();
        let reply = operation::run_command::run_command(client.deployment(), name, raw(&self.command)?, preference)?;
        let settings = CursorSettings {
            batch_size: self.options.batch_size,
            max_await_time: self.options.max_time,
            comment: comment(self.options.comment.as_ref())?,
            tailable: self.options.cursor_type.unwrap_or_default() != CursorType::NonTailable,
        };
        Cursor::new(client, reply, settings)
    }
}

/// What [`Database::list_collections`] returns.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct ListCollections<'a> {
    database: &'a Database,
    options: ListCollectionsOptions,
}

impl ListCollections<'_> {
    setters! {
        ListCollectionsOptions {
            filter: Document, authorized_collections: bool, batch_size: u32, comment into Bson,
        }
    }

    /// Opens a cursor on the specifications: `name`, `type`, `options`, `info`, `idIndex`.
    ///
    /// # Errors
    /// What keeps us from the server, and the server's refusal.
    pub fn run(self) -> Result<Cursor<Document>> {
        list_collections(self.database, &self.options, false)
    }
}

/// What [`Database::list_collection_names`] returns.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct ListCollectionNames<'a> {
    database: &'a Database,
    options: ListCollectionsOptions,
}

impl ListCollectionNames<'_> {
    setters! {
        ListCollectionsOptions {
            filter: Document, authorized_collections: bool, batch_size: u32, comment into Bson,
        }
    }

    /// Asks the server.
    ///
    /// # Errors
    /// What keeps us from the server, and the server's refusal.
    pub fn run(self) -> Result<Vec<String>> {
        // A filter on more than the name needs more than the name.
        let name_only = self.options.filter.as_ref().is_none_or(|filter| filter.keys().all(|key| key == "name"));
        let name = |collection: Result<Document>| Ok(collection?.get_str("name").unwrap_or_default().to_owned());
        list_collections(self.database, &self.options, name_only)?.map(name).collect()
    }
}

fn list_collections(
    database: &Database,
    options: &ListCollectionsOptions,
    name_only: bool,
) -> Result<Cursor<Document>> {
    let client = &database.0.client;
    let settings = CursorSettings {
        batch_size: options.batch_size,
        comment: comment(options.comment.as_ref())?,
        ..CursorSettings::default()
    };
    let name = database.checked_name()?;
    let reply = operation::collections::list_collections(client.deployment(), name, name_only, options)?;
    Cursor::new(client, reply, settings)
}

/// What [`Database::create_collection`] returns.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct CreateCollection<'a> {
    database: &'a Database,
    name: String,
    options: CreateCollectionOptions,
}

impl CreateCollection<'_> {
    setters! {
        CreateCollectionOptions {
            capped: bool, size: u64, max: u64, storage_engine: Document, validator: Document,
            validation_level into String, validation_action into String, index_option_defaults: Document,
            view_on into String, pipeline: Vec<Document>, collation: Collation, timeseries: Document,
            expire_after: Duration, clustered_index: Document, change_stream_pre_and_post_images: Document,
            comment into Bson, write_concern: WriteConcern,
        }
    }

    /// Makes it.
    ///
    /// # Errors
    /// A collection of that name with other options; what keeps us from the server; and the server's refusal.
    pub fn run(mut self) -> Result<()> {
        if self.options.write_concern.is_none() {
            self.options.write_concern.clone_from(&self.database.0.settings.write_concern);
        }
        check_collection_name(&self.name)?;
        let namespace = Namespace { database: self.database.checked_name()?, collection: &self.name };
        operation::collections::create(self.database.0.client.deployment(), namespace, &self.options)
    }
}

/// What [`Database::drop`] returns.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct DropDatabase<'a> {
    database: &'a Database,
    options: DropDatabaseOptions,
}

impl DropDatabase<'_> {
    setters! {
        DropDatabaseOptions { comment into Bson, write_concern: WriteConcern, }
    }

    /// Drops it.
    ///
    /// # Errors
    /// What keeps us from the server, and the server's refusal.
    pub fn run(mut self) -> Result<()> {
        if self.options.write_concern.is_none() {
            self.options.write_concern.clone_from(&self.database.0.settings.write_concern);
        }
        let name = self.database.checked_name()?;
        operation::collections::drop_database(self.database.0.client.deployment(), name, &self.options)
    }
}
