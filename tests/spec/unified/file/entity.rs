//! The objects that a case works with, as the file describes them.

use std::time::Duration;

use bson::{Bson, Document};

use super::reader::{Object, Result, Rule, Value};
use super::some_of;

/// A named object.
#[derive(Clone, Debug)]
pub enum Entity {
    Client(Box<ClientEntity>),
    Database { id: String, client: String, name: String, options: ScopeOptions },
    Collection { id: String, database: String, name: String, options: ScopeOptions },
    Session { id: String, client: String, options: Document },
    Bucket { id: String, database: String },
    Thread { id: String },
    ClientEncryption { id: String, client: String },
}

impl Entity {
    pub fn id(&self) -> &str {
        match self {
            Entity::Client(client) => &client.id,
            Entity::Database { id, .. } | Entity::Collection { id, .. } | Entity::Thread { id } => id,
            Entity::Session { id, .. } | Entity::Bucket { id, .. } | Entity::ClientEncryption { id, .. } => id,
        }
    }

    /// Its kind, as files name it.
    pub fn kind(&self) -> &'static str {
        match self {
            Entity::Client(_) => "client",
            Entity::Database { .. } => "database",
            Entity::Collection { .. } => "collection",
            Entity::Session { .. } => "session",
            Entity::Bucket { .. } => "bucket",
            Entity::Thread { .. } => "thread",
            Entity::ClientEncryption { .. } => "clientEncryption",
        }
    }

    /// The entity it is made from.
    pub fn parent(&self) -> Option<&str> {
        match self {
            Entity::Client(_) | Entity::Thread { .. } => None,
            Entity::Database { client, .. } | Entity::Session { client, .. } => Some(client),
            Entity::ClientEncryption { client, .. } => Some(client),
            Entity::Collection { database, .. } | Entity::Bucket { database, .. } => Some(database),
        }
    }
}

#[derive(Clone, Debug)]
pub struct ClientEntity {
    pub id: String,
    pub uri_options: Document,
    pub observed_events: Vec<&'static str>,
    pub ignored_commands: Vec<String>,
    pub stored_events: Vec<StoredEvents>,
    pub server_api: Option<ServerApi>,
    pub observes_sensitive_commands: bool,
    pub encrypts: bool,
    /// How long the runner waits for the pool's first connections before it goes on.
    pub awaits_min_pool_size: Option<Duration>,
    /// Whether the client has all routers of a sharded deployment, or one of them; `None` where the case does not mind.
    pub uses_multiple_mongoses: Option<bool>,
}

/// Events that are kept in an entity of their own.
#[derive(Clone, Debug)]
pub struct StoredEvents {
    pub id: String,
    pub events: Vec<&'static str>,
}

#[derive(Clone, Debug)]
pub struct ServerApi {
    pub version: String,
    pub strict: Option<bool>,
    pub deprecation_errors: Option<bool>,
}

/// What a database or collection does differently from its client.
#[derive(Clone, Debug, Default)]
pub struct ScopeOptions {
    pub read_concern: Option<Document>,
    pub read_preference: Option<Document>,
    pub write_concern: Option<Document>,
    pub has_timeout: bool,
}

pub fn read(value: Value<'_>) -> Result<Entity> {
    let (kind, description) = value.single()?;
    match kind {
        "client" => client(description).map(|client| Entity::Client(Box::new(client))),
        "database" => database(description),
        "collection" => collection(description),
        "session" => session(description),
        "bucket" => bucket(description),
        "thread" => thread(description),
        "clientEncryption" => client_encryption(description),
        _ => description.fault(Rule::Unknown),
    }
}

fn client(value: Value<'_>) -> Result<ClientEntity> {
    let mut object = value.object()?;
    let flag = |value: Option<Value<'_>>| value.map_or(Ok(false), |v| v.boolean());
    let milliseconds =
        |value: Value<'_>| value.integer().map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
    let read = ClientEntity {
        id: object.required("id")?.string()?,
        uri_options: object.optional("uriOptions").map_or(Ok(Document::new()), |v| v.document())?,
        observed_events: some_of(&mut object, "observeEvents", |v| v.one_of(EVENTS))?,
        ignored_commands: some_of(&mut object, "ignoreCommandMonitoringEvents", |v| v.string())?,
        stored_events: some_of(&mut object, "storeEventsAsEntities", stored_events)?,
        server_api: object.optional("serverApi").map(server_api).transpose()?,
        observes_sensitive_commands: flag(object.optional("observeSensitiveCommands"))?,
        encrypts: auto_encryption(&mut object)?,
        awaits_min_pool_size: object.optional("awaitMinPoolSizeMS").map(milliseconds).transpose()?,
        uses_multiple_mongoses: object.optional("useMultipleMongoses").map(|v| v.boolean()).transpose()?,
    };
    check_observed_logs(&mut object)?;
    check_observed_traces(&mut object)?;
    object.end()?;
    Ok(read)
}

fn stored_events(value: Value<'_>) -> Result<StoredEvents> {
    let mut object = value.object()?;
    let read = StoredEvents {
        id: object.required("id")?.string()?,
        events: object.required("events")?.each_of_some(|v| v.one_of(STORED_EVENTS))?,
    };
    object.end()?;
    Ok(read)
}

fn server_api(value: Value<'_>) -> Result<ServerApi> {
    let mut object = value.object()?;
    let read = ServerApi {
        version: object.required("version")?.string()?,
        strict: object.optional("strict").map(|v| v.boolean()).transpose()?,
        deprecation_errors: object.optional("deprecationErrors").map(|v| v.boolean()).transpose()?,
    };
    object.end()?;
    Ok(read)
}

/// Cases that expect log messages say so themselves.
fn check_observed_logs(client: &mut Object<'_>) -> Result<()> {
    let Some(value) = client.optional("observeLogMessages") else { return Ok(()) };
    let mut object = value.filled_object()?;
    for component in LOG_COMPONENTS {
        if let Some(level) = object.optional(component) {
            level.one_of(LOG_LEVELS)?;
        }
    }
    object.end()
}

fn check_observed_traces(client: &mut Object<'_>) -> Result<()> {
    let Some(value) = client.optional("observeTracingMessages") else { return Ok(()) };
    let mut object = value.object()?;
    if let Some(payload) = object.optional("enableCommandPayload") {
        payload.boolean()?;
    }
    object.end()
}

fn auto_encryption(client: &mut Object<'_>) -> Result<bool> {
    let Some(value) = client.optional("autoEncryptOpts") else { return Ok(false) };
    let mut object = value.object()?;
    object.required("keyVaultNamespace")?.string()?;
    key_providers(object.required("kmsProviders")?)?;
    for flag in ["bypassAutoEncryption", "bypassQueryAnalysis"] {
        object.optional(flag).map(|v| v.boolean()).transpose()?;
    }
    for map in ["schemaMap", "encryptedFieldsMap"] {
        if let Some(map) = object.optional(map) {
            map.object()?.pairs().try_for_each(|(_, v)| v.document().map(drop))?;
        }
    }
    object.optional("extraOptions").map(|v| v.document()).transpose()?;
    object.optional("keyExpirationMS").map(|v| v.integer()).transpose()?;
    object.end()?;
    Ok(true)
}

fn client_encryption(value: Value<'_>) -> Result<Entity> {
    let mut object = value.object()?;
    let id = object.required("id")?.string()?;
    let mut options = object.required("clientEncryptionOpts")?.object()?;
    let client = options.required("keyVaultClient")?.string()?;
    options.required("keyVaultNamespace")?.string()?;
    key_providers(options.required("kmsProviders")?)?;
    options.optional("keyExpirationMS").map(|v| v.integer()).transpose()?;
    options.end()?;
    object.end()?;
    Ok(Entity::ClientEncryption { id, client })
}

fn key_providers(value: Value<'_>) -> Result<()> {
    for (name, provider) in value.object()?.pairs() {
        let (kind, own_name) = name.split_once(':').unwrap_or((name, "unnamed"));
        if own_name.is_empty() || !own_name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return provider.fault(Rule::Unknown);
        }
        let keys: &[&str] = match kind {
            "aws" => &["accessKeyId", "secretAccessKey", "sessionToken"],
            "azure" => &["tenantId", "clientId", "clientSecret", "identityPlatformEndpoint", "accessToken"],
            "gcp" => &["email", "privateKey", "endpoint", "accessToken"],
            "kmip" => &["endpoint"],
            "local" => &["key"],
            _ => return provider.fault(Rule::Unknown),
        };
        let mut object = provider.object()?;
        for key in keys {
            object.optional(key).map(secret_or_placeholder).transpose()?;
        }
        object.end()?;
    }
    Ok(())
}

fn secret_or_placeholder(value: Value<'_>) -> Result<()> {
    match value.bson() {
        Bson::String(_) => Ok(()),
        Bson::Document(document) if document.len() == 1 && document.contains_key("$$placeholder") => Ok(()),
        // The one file that gives a local key, gives it as binary.
        Bson::Binary(_) => Ok(()),
        _ => value.fault(Rule::Type("string or placeholder")),
    }
}

fn database(value: Value<'_>) -> Result<Entity> {
    let mut object = value.object()?;
    let read = Entity::Database {
        id: object.required("id")?.string()?,
        client: object.required("client")?.string()?,
        name: object.required("databaseName")?.string()?,
        options: object.optional("databaseOptions").map_or(Ok(ScopeOptions::default()), scope_options)?,
    };
    object.end()?;
    Ok(read)
}

fn collection(value: Value<'_>) -> Result<Entity> {
    let mut object = value.object()?;
    let read = Entity::Collection {
        id: object.required("id")?.string()?,
        database: object.required("database")?.string()?,
        name: object.required("collectionName")?.string()?,
        options: object.optional("collectionOptions").map_or(Ok(ScopeOptions::default()), scope_options)?,
    };
    object.end()?;
    Ok(read)
}

/// Also what the operations `createCollection` and `withOptions` of other formats call collection options.
fn scope_options(value: Value<'_>) -> Result<ScopeOptions> {
    let mut object = value.object()?;
    let read = ScopeOptions {
        read_concern: object.optional("readConcern").map(|v| v.document()).transpose()?,
        read_preference: object.optional("readPreference").map(|v| v.document()).transpose()?,
        write_concern: object.optional("writeConcern").map(|v| v.document()).transpose()?,
        has_timeout: object.optional("timeoutMS").map(|v| v.integer()).transpose()?.is_some(),
    };
    object.end()?;
    Ok(read)
}

fn session(value: Value<'_>) -> Result<Entity> {
    let mut object = value.object()?;
    let id = object.required("id")?.string()?;
    let client = object.required("client")?.string()?;
    let options = object.optional("sessionOptions").map_or(Ok(Document::new()), |v| v.document())?;
    object.end()?;
    Ok(Entity::Session { id, client, options })
}

fn bucket(value: Value<'_>) -> Result<Entity> {
    let mut object = value.object()?;
    let id = object.required("id")?.string()?;
    let database = object.required("database")?.string()?;
    object.optional("bucketOptions").map(|v| v.document()).transpose()?;
    object.end()?;
    Ok(Entity::Bucket { id, database })
}

fn thread(value: Value<'_>) -> Result<Entity> {
    let mut object = value.object()?;
    let id = object.required("id")?.string()?;
    object.end()?;
    Ok(Entity::Thread { id })
}

/// The events that a client may observe, in the spelling of `observeEvents`.
pub const EVENTS: &[&str] = &[
    "commandStartedEvent",
    "commandSucceededEvent",
    "commandFailedEvent",
    "poolCreatedEvent",
    "poolReadyEvent",
    "poolClearedEvent",
    "poolClosedEvent",
    "poolBackoffEvent",
    "connectionCreatedEvent",
    "connectionReadyEvent",
    "connectionClosedEvent",
    "connectionCheckOutStartedEvent",
    "connectionCheckOutFailedEvent",
    "connectionCheckedOutEvent",
    "connectionCheckedInEvent",
    "connectionPendingResponseStarted",
    "connectionPendingResponseSucceeded",
    "connectionPendingResponseFailed",
    "serverDescriptionChangedEvent",
    "serverHeartbeatStartedEvent",
    "serverHeartbeatSucceededEvent",
    "serverHeartbeatFailedEvent",
    "topologyDescriptionChangedEvent",
    "topologyOpeningEvent",
    "topologyClosedEvent",
];

const STORED_EVENTS: &[&str] = &[
    "PoolCreatedEvent",
    "PoolReadyEvent",
    "PoolClearedEvent",
    "PoolClosedEvent",
    "ConnectionCreatedEvent",
    "ConnectionReadyEvent",
    "ConnectionClosedEvent",
    "ConnectionCheckOutStartedEvent",
    "ConnectionCheckOutFailedEvent",
    "ConnectionCheckedOutEvent",
    "ConnectionCheckedInEvent",
    "CommandStartedEvent",
    "CommandSucceededEvent",
    "CommandFailedEvent",
    "ServerDescriptionChangedEvent",
    "TopologyDescriptionChangedEvent",
];

pub const LOG_COMPONENTS: &[&str] = &["command", "topology", "serverSelection", "connection"];
pub const LOG_LEVELS: &[&str] =
    &["emergency", "alert", "critical", "error", "warning", "notice", "info", "debug", "trace"];
