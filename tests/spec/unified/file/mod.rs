//! What a test file says: each file is read into these types before anything runs, and what is not of the format is refused
//! with its place and the broken rule.

mod entity;
mod expectation;
mod operation;
pub mod reader;

use bson::{Bson, Document};

pub use entity::{ClientEntity, Entity, ScopeOptions, StoredEvents};
pub use expectation::{EventFacts, EventKind, ExpectedEvent, ExpectedEvents, read_event};
pub use operation::{ExpectedError, Operation};
pub use reader::Fault;

use reader::{Object, Result, Rule, Value, parse_extended_json};

/// A test file.
#[derive(Clone, Debug)]
pub struct TestFile {
    pub requirements: Vec<Requirement>,
    pub entities: Vec<Entity>,
    pub initial_data: Vec<CollectionData>,
    pub tests: Vec<Test>,
}

/// A case.
#[derive(Clone, Debug)]
pub struct Test {
    pub description: String,
    pub requirements: Vec<Requirement>,
    pub skip_reason: Option<String>,
    pub operations: Vec<Operation>,
    pub events: Vec<ExpectedEvents>,
    pub expects_logs: bool,
    pub expects_traces: bool,
    pub outcome: Vec<CollectionData>,
}

/// What a deployment must be for a case to run: of several, one must be met.
#[derive(Clone, Debug, Default)]
pub struct Requirement {
    pub min_server: Option<Version>,
    pub max_server: Option<Version>,
    pub topologies: Vec<&'static str>,
    pub serverless: Option<&'static str>,
    pub server_parameters: Document,
    pub auth: Option<bool>,
    pub auth_mechanism: Option<String>,
    pub encryption: Option<bool>,
}

/// What a collection holds, before or after.
#[derive(Clone, Debug)]
pub struct CollectionData {
    pub collection: String,
    pub database: String,
    pub create_options: Option<Document>,
    pub documents: Vec<Document>,
}

/// major.minor.patch, compared as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub [u32; 3]);

/// The newest version of the format that this runner knows.
const FORMAT: Version = Version([1, 28, 0]);

/// Reads a file's text.
pub fn read(text: &str) -> Result<TestFile> {
    let json = parse_extended_json(text)?;
    let root = Value::root(&json);
    let mut file = root.object()?;
    let version = file.required("schemaVersion")?;
    known_version(&version)?;
    file.required("description")?.string()?;
    let read = TestFile {
        requirements: some_of(&mut file, "runOnRequirements", requirement)?,
        entities: some_of(&mut file, "createEntities", entity::read)?,
        initial_data: some_of(&mut file, "initialData", collection_data)?,
        tests: file.required("tests")?.each_of_some(test)?,
    };
    if let Some(anchors) = file.optional("_yamlAnchors") {
        anchors.object()?;
    }
    file.end()?;
    Ok(read)
}

/// Reads the entities of the operation `createEntities`.
pub fn read_entities(described: &Bson) -> Result<Vec<Entity>> {
    Value::root(described).each_of_some(entity::read)
}

/// Reads operations that stand in the arguments of another.
pub fn read_operations(described: &Bson) -> Result<Vec<Operation>> {
    Value::root(described).each(operation::read)
}

fn known_version(value: &Value<'_>) -> Result<()> {
    let asked = version(value)?;
    if asked.0[0] == FORMAT.0[0] && asked <= FORMAT {
        return Ok(());
    }
    value.fault(Rule::Version(value.string()?))
}

fn test(value: Value<'_>) -> Result<Test> {
    let mut test = value.object()?;
    let read = Test {
        description: test.required("description")?.string()?,
        requirements: some_of(&mut test, "runOnRequirements", requirement)?,
        skip_reason: test.optional("skipReason").map(|v| v.string()).transpose()?,
        operations: test.required("operations")?.each(operation::read)?,
        events: some_of(&mut test, "expectEvents", expectation::read_events)?,
        expects_logs: !some_of(&mut test, "expectLogMessages", expectation::check_logs)?.is_empty(),
        expects_traces: expectation::check_traces(&mut test)?,
        outcome: some_of(&mut test, "outcome", collection_data)?,
    };
    test.end()?;
    Ok(read)
}

fn requirement(value: Value<'_>) -> Result<Requirement> {
    let mut object = value.filled_object()?;
    let read = Requirement {
        min_server: object.optional("minServerVersion").map(|v| version(&v)).transpose()?,
        max_server: object.optional("maxServerVersion").map(|v| version(&v)).transpose()?,
        topologies: some_of(&mut object, "topologies", |v| v.one_of(TOPOLOGIES))?,
        serverless: object.optional("serverless").map(|v| v.one_of(&["require", "forbid", "allow"])).transpose()?,
        server_parameters: match object.optional("serverParameters") {
            Some(parameters) => {
                parameters.filled_object()?;
                parameters.document()?
            }
            None => Document::new(),
        },
        auth: object.optional("auth").map(|v| v.boolean()).transpose()?,
        auth_mechanism: object.optional("authMechanism").map(|v| v.string()).transpose()?,
        encryption: object.optional("csfle").map(encryption).transpose()?,
    };
    object.end()?;
    Ok(read)
}

fn encryption(value: Value<'_>) -> Result<bool> {
    if !value.is_object() {
        return value.boolean();
    }
    let mut object = value.filled_object()?;
    if let Some(library) = object.optional("minLibmongocryptVersion") {
        version(&library)?;
    }
    object.end()?;
    Ok(true)
}

fn collection_data(value: Value<'_>) -> Result<CollectionData> {
    let mut object = value.object()?;
    let read = CollectionData {
        collection: object.required("collectionName")?.string()?,
        database: object.required("databaseName")?.string()?,
        create_options: object.optional("createOptions").map(create_options).transpose()?,
        documents: object.required("documents")?.each(|v| v.document())?,
    };
    object.end()?;
    Ok(read)
}

fn create_options(value: Value<'_>) -> Result<Document> {
    let options = value.object()?;
    if options.has("writeConcern") {
        return options.fault("writeConcern", Rule::Unknown);
    }
    value.document()
}

/// An array that may be missing but not empty.
fn some_of<'a, T>(object: &mut Object<'a>, key: &'static str, read: impl Fn(Value<'a>) -> Result<T>) -> Result<Vec<T>> {
    object.optional(key).map_or(Ok(Vec::new()), |value| value.each_of_some(read))
}

fn version(value: &Value<'_>) -> Result<Version> {
    let text = value.string()?;
    let parts: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
    match parts.as_deref() {
        Some([major, minor]) => Ok(Version([*major, *minor, 0])),
        Some([major, minor, patch]) => Ok(Version([*major, *minor, *patch])),
        _ => value.fault(Rule::Pattern("version")),
    }
}

impl Version {
    /// From the `versionArray` of `buildInfo`.
    pub fn of_build(build: &Document) -> Option<Version> {
        let part = |at: usize| match build.get_array("versionArray").ok()?.get(at)? {
            Bson::Int32(n) => u32::try_from(*n).ok(),
            _ => None,
        };
        Some(Version([part(0)?, part(1)?, part(2)?]))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            [major, minor, 0] => write!(f, "{major}.{minor}"),
            [major, minor, patch] => write!(f, "{major}.{minor}.{patch}"),
        }
    }
}

const TOPOLOGIES: &[&str] = &["single", "replicaset", "sharded", "sharded-replicaset", "load-balanced"];
