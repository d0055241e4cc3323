//! The named objects of one case.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bson::{Bson, Document, doc};
use mongo_blocking::event::sdam::TopologyDescription;
use mongo_blocking::options::SessionOptions;
use mongo_blocking::options::{ClientOptions, ClientOptionsBuilder, Monitoring, ServerApi, percent_encode};
use mongo_blocking::{Client, ClientSession, Collection, CollectionOptions, Database};

use super::arguments::{self, Arguments};
use super::deployment::Deployment;
use super::events::EventLog;
use super::file::{self, ClientEntity, ScopeOptions};
use super::matching::Lookup;
use super::mode::Mode;
use super::operations::{OpenCursor, Trouble};
use super::threads::Worker;
use super::unbuilt::part_of_entity;
use mongo_blocking_test_server::report::Part;

/// Names and what they stand for. Threads of one case share it.
#[derive(Default)]
pub struct Entities(Mutex<HashMap<String, Entity>>);

#[derive(Clone)]
pub enum Entity {
    Client(Arc<ClientHandle>),
    Database(Database),
    Collection(Collection<Document>),
    Cursor(Arc<Mutex<Option<OpenCursor>>>),
    Session(Arc<SessionHandle>),
    Value(Bson),
    /// What a client knew of its deployment at some moment.
    Topology(Box<TopologyDescription>),
    /// The events that this client's handler stores under this name.
    Events(Arc<EventLog>, String),
    Thread(Arc<Worker>),
    /// Declared, but of a kind that the driver can't do yet; no case that names it is run.
    Unbuilt(Part),
}

/// A client and what its handler has seen.
pub struct ClientHandle {
    client: Mutex<Option<Client>>,
    pub log: Arc<EventLog>,
}

impl ClientHandle {
    pub fn client(&self) -> Result<Client, String> {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner).clone();
        client.ok_or_else(|| "the client was closed before".to_owned())
    }

    pub fn close(&self) {
        if let Some(client) = self.client.lock().unwrap_or_else(PoisonError::into_inner).take() {
            client.close();
        }
    }
}

/// A session, which is away while an operation runs in it.
pub struct SessionHandle {
    session: Mutex<Option<ClientSession>>,
    /// Its id, which files ask for after its end too.
    id: Document,
}

impl SessionHandle {
    pub fn take(&self) -> Result<ClientSession, String> {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner).take();
        session.ok_or_else(|| "the session has ended, or another operation runs in it".to_owned())
    }

    pub fn put_back(&self, session: ClientSession) {
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
    }

    /// Calls this with the session.
    pub fn with<T>(&self, call: impl FnOnce(&mut ClientSession) -> T) -> Result<T, String> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        session.as_mut().map(call).ok_or_else(|| "the session has ended".to_owned())
    }
}

impl Entities {
    /// Makes an entity as the file describes it.
    pub fn create(&self, described: &file::Entity, deployment: &Deployment, mode: Mode) -> Result<(), String> {
        let known = |id: &str| self.get(id).is_ok();
        if let Some(part) = part_of_entity(described, &known) {
            return self.store(described.id(), Entity::Unbuilt(part));
        }
        let parent = described.parent().map(|id| self.get(id)).transpose()?;
        let entity = match (described, parent) {
            (_, Some(Entity::Unbuilt(part))) => Entity::Unbuilt(part),
            (file::Entity::Client(client), None) => self.client(client, deployment, mode)?,
            (file::Entity::Database { name, options, .. }, Some(Entity::Client(client))) => {
                Entity::Database(client.client()?.database_with_options(name, scope_options(options)?))
            }
            (file::Entity::Collection { name, options, .. }, Some(Entity::Database(database))) => {
                Entity::Collection(database.collection_with_options(name, scope_options(options)?))
            }
            (file::Entity::Session { options, .. }, Some(Entity::Client(client))) => {
                let options = self.session_options(options)?;
                let session = client.client()?.start_session().with_options(options).run();
                let session = session.map_err(|e| format!("session {}: {e}", described.id()))?;
                let id = session.id().clone();
                Entity::Session(Arc::new(SessionHandle { session: Mutex::new(Some(session)), id }))
            }
            (file::Entity::Thread { .. }, None) => Entity::Thread(Arc::default()),
            (_, parent) => {
                let kind = parent.map_or("nothing", |parent| parent.kind());
                return Err(format!("{} can't be made from a {kind}", described.id()));
            }
        };
        self.store(described.id(), entity)
    }

    pub fn store(&self, id: &str, entity: Entity) -> Result<(), String> {
        match self.lock().entry(id.to_owned()) {
            std::collections::hash_map::Entry::Occupied(_) => Err(format!("there is an entity {id} already")),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(entity);
                Ok(())
            }
        }
    }

    /// Puts a value in place of another.
    pub fn replace(&self, id: &str, value: Bson) {
        self.lock().insert(id.to_owned(), Entity::Value(value));
    }

    pub fn get(&self, id: &str) -> Result<Entity, String> {
        self.lock().get(id).cloned().ok_or_else(|| format!("there is no entity {id}"))
    }

    pub fn client_handle(&self, id: &str) -> Result<Arc<ClientHandle>, String> {
        match self.get(id)? {
            Entity::Client(client) => Ok(client),
            other => Err(format!("the entity {id} is a {}, no client", other.kind())),
        }
    }

    pub fn session(&self, id: &str) -> Result<Arc<SessionHandle>, String> {
        match self.get(id)? {
            Entity::Session(session) => Ok(session),
            other => Err(format!("the entity {id} is a {}, no session", other.kind())),
        }
    }

    fn session_options(&self, described: &Document) -> Result<SessionOptions, String> {
        let mut options = SessionOptions::default();
        for (key, value) in described {
            match (key.as_str(), value) {
                ("causalConsistency", Bson::Boolean(on)) => options.causal_consistency = Some(*on),
                ("snapshot", Bson::Boolean(on)) => options.snapshot = Some(*on),
                // The name of an entity that has the time.
                ("snapshotTime", Bson::String(entity)) => match self.value(entity)? {
                    Bson::Timestamp(time) => options.snapshot_time = Some(time),
                    other => return Err(format!("{other} is no snapshotTime")),
                },
                ("defaultTransactionOptions", Bson::Document(described)) => {
                    let mut fields = Arguments::of(key, described);
                    let read = fields.transaction_options().and_then(|read| fields.end().map(|()| read));
                    options.default_transaction_options = Some(read.map_err(|trouble| match trouble {
                        Trouble::OfRunner(why) => why,
                        Trouble::OfDriver(error) => format!("{error:#}"),
                    })?);
                }
                _ => return Err(format!("the runner does not know the session option {key}: {value}")),
            }
        }
        Ok(options)
    }

    pub fn topology(&self, id: &str) -> Result<TopologyDescription, String> {
        match self.get(id)? {
            Entity::Topology(topology) => Ok(*topology),
            other => Err(format!("the entity {id} is a {}, no description of a topology", other.kind())),
        }
    }

    pub fn thread(&self, id: &str) -> Result<Arc<Worker>, String> {
        match self.get(id)? {
            Entity::Thread(worker) => Ok(worker),
            other => Err(format!("the entity {id} is a {}, no thread", other.kind())),
        }
    }

    fn client(&self, described: &ClientEntity, deployment: &Deployment, mode: Mode) -> Result<Entity, String> {
        let log = EventLog::new(described);
        let mut options = first_options(described, deployment)?
            .command_event_handler(log.command_handler())
            .cmap_event_handler(log.pool_handler())
            .sdam_event_handler(log.topology_handler());
        if mode == Mode::Background {
            options = options.monitoring(Monitoring::Background);
        }
        if let Some(api) = &described.server_api {
            let mut own = ServerApi::v1();
            own.version = api.version.parse().map_err(|error: mongo_blocking::Error| format!("{error:#}"))?;
            (own.strict, own.deprecation_errors) = (api.strict, api.deprecation_errors);
            options = options.server_api(own);
        }
        let client = options
            .build()
            .settings()
            .and_then(Client::with_options)
            .map_err(|e| format!("client {}: {e}", described.id))?;
        for stored in &described.stored_events {
            self.store(&stored.id, Entity::Events(log.clone(), stored.id.clone()))?;
        }
        if let Some(limit) = described.awaits_min_pool_size {
            let wanted =
                described.uri_options.get_i32("minPoolSize").map_or(0, |size| u64::try_from(size).unwrap_or(0));
            log.wait_for_ready_connections(limit, wanted).map_err(|why| format!("client {}: {why}", described.id))?;
        }
        Ok(Entity::Client(Arc::new(ClientHandle { client: Mutex::new(Some(client)), log })))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Entity>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lookup for Entities {
    fn value(&self, name: &str) -> Result<Bson, String> {
        match self.get(name)? {
            Entity::Value(value) => Ok(value),
            Entity::Events(log, id) => log.stored(&id).ok_or_else(|| format!("no events are stored as {id}")),
            other => Err(format!("the entity {name} is a {}, no value", other.kind())),
        }
    }

    fn session_id(&self, name: &str) -> Result<Document, String> {
        self.session(name).map(|session| session.id.clone())
    }
}

impl Entity {
    pub fn kind(&self) -> &'static str {
        match self {
            Entity::Client(_) => "client",
            Entity::Database(_) => "database",
            Entity::Collection(_) => "collection",
            Entity::Cursor(_) => "cursor",
            Entity::Session(_) => "session",
            Entity::Value(_) => "value",
            Entity::Topology(_) => "description of a topology",
            Entity::Events(..) => "list of events",
            Entity::Thread(_) => "thread",
            Entity::Unbuilt(_) => "object that the driver can't make yet",
        }
    }
}

/// The options of a database, which are those of a collection.
fn scope_options(options: &ScopeOptions) -> Result<CollectionOptions, String> {
    if options.has_timeout {
        return Err("a database or collection has no timeoutMS of its own".to_owned());
    }
    let mut own = CollectionOptions::default();
    own.read_concern = options.read_concern.as_ref().map(arguments::read_concern).transpose()?.flatten();
    own.write_concern = options.write_concern.as_ref().map(arguments::write_concern).transpose()?;
    let preference = options.read_preference.as_ref().map(arguments::read_preference).transpose()?;
    own.selection_criteria = preference.map(Into::into);
    Ok(own)
}

/// Where the deployment is, how to log in there, and the file's own options.
fn first_options(described: &ClientEntity, deployment: &Deployment) -> Result<ClientOptionsBuilder, String> {
    let mut of_file = described.uri_options.clone();
    // A case that does not mind gets all of them.
    let one_router = deployment.uri_of_one_router.as_ref().filter(|_| described.uses_multiple_mongoses == Some(false));
    let uri = one_router.unwrap_or(&deployment.uri);
    let left_to_us = of_file.get("authMechanismProperties") == Some(&Bson::Document(doc! {"$$placeholder": 1}));
    if !left_to_us {
        return Ok(ClientOptions::builder().uri(with_options(uri, &of_file)?));
    }
    let login =
        deployment.login.as_ref().ok_or("the file leaves the login to the runner, and this deployment has none")?;
    of_file.remove("authMechanismProperties");
    if of_file.remove("authMechanism") != Some(login.mechanism.into()) {
        return Err("the file leaves the login to the runner, with another mechanism".to_owned());
    }
    let options = ClientOptions::builder().uri(with_options(&login.uri, &of_file)?);
    Ok((login.set)(options.auth_mechanism(login.mechanism)))
}

/// A connection string with the file's options, which go before the deployment's own.
fn with_options(uri: &str, of_file: &Document) -> Result<String, String> {
    let (hosts, own) = uri.split_once('?').unwrap_or((uri, ""));
    let hosts = match of_file.get("directConnection") {
        Some(Bson::Boolean(true)) => first_host_of(hosts),
        _ => hosts.to_owned(),
    };
    let own = own.split('&').filter(|pair| !pair.is_empty());
    let is_given = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        of_file.keys().any(|given| given.eq_ignore_ascii_case(name))
    };
    let mut pairs: Vec<String> = own.filter(|pair| !is_given(pair)).map(str::to_owned).collect();
    pairs.extend(Some(query(of_file)?).filter(|query| !query.is_empty()));
    Ok(format!("{hosts}?{}", pairs.join("&")))
}

/// A connection string without options and with its first host only, as directConnection wants it.
fn first_host_of(uri: &str) -> String {
    let Some((first, others)) = uri.split_once(',') else { return uri.to_owned() };
    format!("{first}/{}", others.split_once('/').map_or("", |(_, database)| database))
}

/// The options of a connection string.
fn query(options: &Document) -> Result<String, String> {
    let mut pairs = Vec::new();
    for (key, value) in options {
        for text in texts(key, value)? {
            pairs.push(format!("{key}={}", percent_encode(&text)));
        }
    }
    Ok(pairs.join("&"))
}

/// The texts of an option, which may stand in a connection string more than once.
fn texts(key: &str, value: &Bson) -> Result<Vec<String>, String> {
    match value {
        Bson::String(text) => Ok(vec![text.clone()]),
        Bson::Boolean(_) | Bson::Int32(_) | Bson::Int64(_) => Ok(vec![value.to_string()]),
        Bson::Double(number) if number.fract() == 0.0 => Ok(vec![format!("{number:.0}")]),
        Bson::Array(tag_sets) if key == "readPreferenceTags" => {
            tag_sets.iter().map(|set| one_text(set).ok_or_else(|| format!("{key}: {set}"))).collect()
        }
        Bson::Array(items) => {
            let texts = items.iter().map(|item| item.as_str().ok_or_else(|| format!("{key}: {item}")));
            Ok(vec![texts.collect::<Result<Vec<_>, _>>()?.join(",")])
        }
        Bson::Document(_) => one_text(value).map(|text| vec![text]).ok_or_else(|| format!("{key}: {value}")),
        other => Err(format!("the option {key} can't be {other}")),
    }
}

/// A string, or the pairs of a document in the form `key:value,key:value`.
fn one_text(value: &Bson) -> Option<String> {
    match value {
        Bson::String(text) => Some(text.clone()),
        Bson::Document(pairs) => {
            let pair = |(key, value): (&String, &Bson)| match value {
                Bson::String(text) => Some(format!("{key}:{text}")),
                Bson::Boolean(_) | Bson::Int32(_) | Bson::Int64(_) => Some(format!("{key}:{value}")),
                _ => None,
            };
            Some(pairs.iter().map(pair).collect::<Option<Vec<_>>>()?.join(","))
        }
        _ => None,
    }
}
