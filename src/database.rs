//! A database: where collections live, and where commands run.

use std::sync::Arc;

use crate::client::Client;
use crate::options::{ReadConcern, ReadPreference, WriteConcern};

/// A handle on a database. Cheap to clone; nothing is sent until an operation runs.
#[derive(Clone, Debug)]
pub struct Database(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    name: String,
    read_preference: ReadPreference,
    read_concern: Option<ReadConcern>,
    write_concern: Option<WriteConcern>,
}

impl Client {
    /// A handle on a database. Nothing is sent.
    pub fn database(&self, name: impl Into<String>) -> Database {
        Database::new(self.clone(), name.into())
    }

    /// The database that the connection string names (`mongodb://host/name`), if it names one.
    pub fn default_database(&self) -> Option<Database> {
        self.deployment().options().default_database.as_ref().map(|name| self.database(name))
    }
}

impl Database {
    pub(crate) fn new(client: Client, name: String) -> Self {
        let options = client.deployment().options();
        let (read_preference, read_concern, write_concern) =
            (options.read_preference.clone(), options.read_concern.clone(), options.write_concern.clone());
        Database(Arc::new(Inner { client, name, read_preference, read_concern, write_concern }))
    }

    /// Runs a command as it is.
    ///
    /// # Errors
    /// Whatever keeps us from the server, and the server's own refusal.
    pub fn run_command(&self, command: bson::Document) -> crate::error::Result<bson::Document> {
        let body = bson::RawDocumentBuf::try_from(&command)
            .map_err(|e| crate::Error::invalid_argument("not BSON").with_source(e))?;
        let reply = crate::operation::run_command::run_command(self.0.client.deployment(), self.name(), body, None)?;
        crate::wire::check_nesting(reply.document())?;
        bson::Document::try_from(reply.document()).map_err(crate::operation::reply::malformed)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The client it belongs to.
    pub fn client(&self) -> &Client {
        &self.0.client
    }
}
