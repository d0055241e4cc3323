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

impl Database {
    pub(crate) fn new(client: Client, name: String) -> Self {
        let options = client.deployment().options();
        let (read_preference, read_concern, write_concern) =
            (options.read_preference.clone(), options.read_concern.clone(), options.write_concern.clone());
        Database(Arc::new(Inner { client, name, read_preference, read_concern, write_concern }))
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
