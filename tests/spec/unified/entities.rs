//! The named objects of one case.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bson::{Bson, Document, doc};
use mongo_blocking::options::{ClientOptions, ClientOptionsBuilder, ServerApi, percent_encode};
use mongo_blocking::{Client, Collection, CollectionOptions, Cursor, Database};

use super::arguments;
use super::deployment::Deployment;
use super::events::EventLog;
use super::file::{self, ClientEntity, ScopeOptions};
use super::matching::Lookup;
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
    Cursor(Arc<Mutex<Option<Cursor<Document>>>>),
    Value(Bson),
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

impl Entities {
    /// Makes an entity as the file describes it.
    pub fn create(&self, described: &file::Entity, deployment: &Deployment) -> Result<(), String> {
        let known = |id: &str| self.get(id).is_ok();
        if let Some(part) = part_of_entity(described, &known) {
            return self.store(described.id(), Entity::Unbuilt(part));
        }
        let parent = described.parent().map(|id| self.get(id)).transpose()?;
        let entity = match (described, parent) {
            (_, Some(Entity::Unbuilt(part))) => Entity::Unbuilt(part),
            (file::Entity::Client(client), None) => self.client(client, deployment)?,
            (file::Entity::Database { name, options, .. }, Some(Entity::Client(client))) => {
                Entity::Database(client.client()?.database_with_options(name, scope_options(options)?))
            }
            (file::Entity::Collection { name, options, .. }, Some(Entity::Database(database))) => {
                Entity::Collection(database.collection_with_options(name, scope_options(options)?))
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

    pub fn thread(&self, id: &str) -> Result<Arc<Worker>, String> {
        match self.get(id)? {
            Entity::Thread(worker) => Ok(worker),
            other => Err(format!("the entity {id} is a {}, no thread", other.kind())),
        }
    }

    fn client(&self, described: &ClientEntity, deployment: &Deployment) -> Result<Entity, String> {
        let log = EventLog::new(described);
        let mut options = first_options(&described.uri_options, deployment)?.command_event_handler(log.handler());
        if let Some(api) = &described.server_api {
            let mut own = ServerApi::v1();
            own.version.clone_from(&api.version);
            (own.strict, own.deprecation_errors) = (api.strict, api.deprecation_errors);
            options = options.server_api(own);
        }
        let client =
            options.build().and_then(Client::with_options).map_err(|e| format!("client {}: {e}", described.id))?;
        for stored in &described.stored_events {
            self.store(&stored.id, Entity::Events(log.clone(), stored.id.clone()))?;
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
        let entity = self.get(name)?;
        Err(format!("the entity {name} is a {}, no session", entity.kind()))
    }
}

impl Entity {
    pub fn kind(&self) -> &'static str {
        match self {
            Entity::Client(_) => "client",
            Entity::Database(_) => "database",
            Entity::Collection(_) => "collection",
            Entity::Cursor(_) => "cursor",
            Entity::Value(_) => "value",
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
fn first_options(of_file: &Document, deployment: &Deployment) -> Result<ClientOptionsBuilder, String> {
    let mut of_file = of_file.clone();
    let left_to_us = of_file.get("authMechanismProperties") == Some(&Bson::Document(doc! {"$$placeholder": 1}));
    if !left_to_us {
        return Ok(ClientOptions::builder().uri(format!("{}?{}", deployment.uri, query(&of_file)?)));
    }
    let login =
        deployment.login.as_ref().ok_or("the file leaves the login to the runner, and this deployment has none")?;
    of_file.remove("authMechanismProperties");
    if of_file.remove("authMechanism") != Some(login.mechanism.into()) {
        return Err("the file leaves the login to the runner, with another mechanism".to_owned());
    }
    let options = ClientOptions::builder().uri(format!("{}?{}", login.uri, query(&of_file)?));
    Ok((login.set)(options.auth_mechanism(login.mechanism)))
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
