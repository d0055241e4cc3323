//! The arguments of an operation: each is taken by name and type, and one that nobody took is an error.

use std::sync::Arc;
use std::time::Duration;

use bson::{Bson, Document};
use mongo_blocking::ClientSession;
use mongo_blocking::options::{
    Acknowledgment, Collation, CursorType, Hint, ReadConcern, ReadPreference, ReadPreferenceMode,
    ReadPreferenceOptions, ReturnDocument, TagSet, TransactionOptions, UpdateModifications, WriteConcern,
};
use serde::de::DeserializeOwned;

use super::entities::SessionHandle;
use super::operations::Trouble;

/// What is left of the arguments.
pub struct Arguments {
    operation: String,
    left: Document,
    /// The session that the operation is to run in, while it runs.
    session: Option<(Arc<SessionHandle>, ClientSession)>,
}

type Taken<T> = Result<T, Trouble>;

impl Arguments {
    pub fn of(operation: &str, arguments: &Document) -> Arguments {
        Arguments { operation: operation.to_owned(), left: arguments.clone(), session: None }
    }

    /// All arguments must have been taken before the operation runs.
    pub fn end(&self) -> Taken<()> {
        match self.left.keys().next() {
            Some(key) => Err(Trouble::of_runner(format!("{} has no argument {key}", self.operation))),
            None => Ok(()),
        }
    }

    /// From now on the operation runs in this session, which is away until the arguments are dropped.
    pub fn enter(&mut self, handle: Arc<SessionHandle>) -> Taken<()> {
        let session = handle.take().map_err(Trouble::of_runner)?;
        self.session = Some((handle, session));
        Ok(())
    }

    /// The session that the operation is to run in.
    pub fn session(&mut self) -> Option<&mut ClientSession> {
        self.session.as_mut().map(|(_, session)| session)
    }

    pub fn session_handle(&self) -> Option<Arc<SessionHandle>> {
        self.session.as_ref().map(|(handle, _)| handle.clone())
    }

    /// Takes an argument that must be there, with the method that takes it where it may be missing.
    pub fn need<T>(&mut self, key: &str, take: impl Fn(&mut Self, &str) -> Taken<Option<T>>) -> Taken<T> {
        let missing = format!("{} needs the argument {key}", self.operation);
        take(self, key)?.ok_or_else(|| Trouble::of_runner(missing))
    }

    pub fn has(&self, key: &str) -> bool {
        self.left.contains_key(key)
    }

    pub fn any(&mut self, key: &str) -> Taken<Option<Bson>> {
        Ok(self.left.remove(key))
    }

    pub fn document(&mut self, key: &str) -> Taken<Option<Document>> {
        self.take(key, "a document", |value| match value {
            Bson::Document(document) => Some(document),
            _ => None,
        })
    }

    /// A document that the driver has a type for.
    pub fn typed<T: DeserializeOwned>(&mut self, key: &str) -> Taken<Option<T>> {
        let read =
            |document| bson::deserialize_from_document(document).map_err(|error| Trouble::of_runner(error.to_string()));
        self.document(key)?.map(read).transpose()
    }

    pub fn string(&mut self, key: &str) -> Taken<Option<String>> {
        self.take(key, "a string", |value| value.as_str().map(str::to_owned))
    }

    pub fn boolean(&mut self, key: &str) -> Taken<Option<bool>> {
        self.take(key, "a boolean", |value| value.as_bool())
    }

    pub fn i64(&mut self, key: &str) -> Taken<Option<i64>> {
        self.take(key, "a whole number", |value| whole(&value))
    }

    pub fn u64(&mut self, key: &str) -> Taken<Option<u64>> {
        self.take(key, "a count", |value| whole(&value)?.try_into().ok())
    }

    pub fn u32(&mut self, key: &str) -> Taken<Option<u32>> {
        self.take(key, "a small count", |value| whole(&value)?.try_into().ok())
    }

    pub fn milliseconds(&mut self, key: &str) -> Taken<Option<Duration>> {
        Ok(self.u64(key)?.map(Duration::from_millis))
    }

    pub fn seconds(&mut self, key: &str) -> Taken<Option<Duration>> {
        Ok(self.u64(key)?.map(Duration::from_secs))
    }

    pub fn documents(&mut self, key: &str) -> Taken<Option<Vec<Document>>> {
        self.take(key, "an array of documents", as_documents)
    }

    pub fn update(&mut self, key: &str) -> Taken<Option<UpdateModifications>> {
        self.take(key, "an update", |value| match value {
            Bson::Document(update) => Some(update.into()),
            pipeline => as_documents(pipeline).map(Into::into),
        })
    }

    pub fn hint(&mut self, key: &str) -> Taken<Option<Hint>> {
        self.take(key, "a hint", |value| match value {
            Bson::Document(keys) => Some(Hint::Keys(keys)),
            Bson::String(name) => Some(Hint::Name(name)),
            _ => None,
        })
    }

    pub fn return_document(&mut self, key: &str) -> Taken<Option<ReturnDocument>> {
        self.take(key, "Before or After", |value| match value.as_str()?.to_lowercase().as_str() {
            "before" => Some(ReturnDocument::Before),
            "after" => Some(ReturnDocument::After),
            _ => None,
        })
    }

    pub fn cursor_type(&mut self, key: &str) -> Taken<Option<CursorType>> {
        self.take(key, "a kind of cursor", |value| match value.as_str()? {
            "nonTailable" => Some(CursorType::NonTailable),
            "tailable" => Some(CursorType::Tailable),
            "tailableAwait" => Some(CursorType::TailableAwait),
            _ => None,
        })
    }

    pub fn collation(&mut self, key: &str) -> Taken<Option<Collation>> {
        self.document(key)?.map(|document| collation(&document).map_err(Trouble::of_runner)).transpose()
    }

    pub fn read_concern(&mut self, key: &str) -> Taken<Option<ReadConcern>> {
        let given = self.document(key)?.map(|document| read_concern(&document).map_err(Trouble::of_runner));
        given.transpose().map(Option::flatten)
    }

    pub fn write_concern(&mut self, key: &str) -> Taken<Option<WriteConcern>> {
        self.document(key)?.map(|document| write_concern(&document).map_err(Trouble::of_runner)).transpose()
    }

    pub fn read_preference(&mut self, key: &str) -> Taken<Option<ReadPreference>> {
        self.document(key)?.map(|document| read_preference(&document).map_err(Trouble::of_runner)).transpose()
    }

    /// The options of a transaction, all of which are optional.
    pub fn transaction_options(&mut self) -> Taken<TransactionOptions> {
        let mut options = TransactionOptions::default();
        options.read_concern = self.read_concern("readConcern")?;
        options.write_concern = self.write_concern("writeConcern")?;
        options.selection_criteria = self.read_preference("readPreference")?.map(Into::into);
        options.max_commit_time = self.milliseconds("maxCommitTimeMS")?;
        Ok(options)
    }

    fn take<T>(&mut self, key: &str, wanted: &str, convert: impl Fn(Bson) -> Option<T>) -> Taken<Option<T>> {
        let Some(value) = self.left.remove(key) else { return Ok(None) };
        let wrong = format!("the argument {key} of {} is not {wanted}: {value}", self.operation);
        convert(value).map(Some).ok_or_else(|| Trouble::of_runner(wrong))
    }
}

impl Drop for Arguments {
    fn drop(&mut self) {
        if let Some((handle, session)) = self.session.take() {
            handle.put_back(session);
        }
    }
}

/// An empty read concern is the server's default: the driver has none to send.
pub fn read_concern(document: &Document) -> Result<Option<ReadConcern>, String> {
    only(document, &["level"])?;
    if document.is_empty() {
        return Ok(None);
    }
    let level = document.get_str("level").map_err(|e| format!("readConcern: {e}"))?;
    Ok(Some(ReadConcern::custom(level)))
}

pub fn write_concern(document: &Document) -> Result<WriteConcern, String> {
    only(document, &["w", "journal", "wtimeoutMS"])?;
    let mut concern = WriteConcern::default();
    concern.w = document.get("w").map(acknowledgment).transpose()?;
    concern.journal = document.get("journal").and_then(Bson::as_bool);
    concern.w_timeout =
        document.get("wtimeoutMS").and_then(whole).and_then(|n| n.try_into().ok()).map(Duration::from_millis);
    Ok(concern)
}

fn acknowledgment(value: &Bson) -> Result<Acknowledgment, String> {
    match (value, whole(value)) {
        (Bson::String(majority), _) if majority == "majority" => Ok(Acknowledgment::Majority),
        (Bson::String(name), _) => Ok(Acknowledgment::Custom(name.clone())),
        (_, Some(nodes)) if nodes >= 0 => Ok(Acknowledgment::Nodes(nodes.try_into().unwrap_or(u32::MAX))),
        _ => Err(format!("a write concern's w can't be {value}")),
    }
}

pub fn read_preference(document: &Document) -> Result<ReadPreference, String> {
    only(document, &["mode", "tagSets", "maxStalenessSeconds"])?;
    let mode = document.get_str("mode").map_err(|e| format!("readPreference: {e}"))?.to_lowercase();
    let mode = match mode.as_str() {
        "primary" => ReadPreferenceMode::Primary,
        "primarypreferred" => ReadPreferenceMode::PrimaryPreferred,
        "secondary" => ReadPreferenceMode::Secondary,
        "secondarypreferred" => ReadPreferenceMode::SecondaryPreferred,
        "nearest" => ReadPreferenceMode::Nearest,
        other => return Err(format!("there is no read preference {other}")),
    };
    let seconds = document.get("maxStalenessSeconds").and_then(whole).and_then(|n| n.try_into().ok());
    let mut options = ReadPreferenceOptions::default();
    options.max_staleness = seconds.map(Duration::from_secs);
    let tag_sets = document.get("tagSets").cloned().and_then(as_documents).map(|sets| {
        let texts = |tags: Document| {
            tags.into_iter()
                .map(|(key, value)| (key, value.as_str().unwrap_or_default().to_owned()))
                .collect::<TagSet>()
        };
        sets.into_iter().map(texts).collect::<Vec<_>>()
    });
    options.tag_sets = tag_sets;
    let given = options != ReadPreferenceOptions::default();
    Ok(ReadPreference::with_mode(mode, given.then_some(options)))
}

fn collation(document: &Document) -> Result<Collation, String> {
    only(document, COLLATION_KEYS)?;
    bson::deserialize_from_document(document.clone()).map_err(|error| format!("collation: {error}"))
}

fn only(document: &Document, known: &[&str]) -> Result<(), String> {
    match document.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(format!("the runner does not know {key} of {document}")),
        None => Ok(()),
    }
}

fn as_documents(value: Bson) -> Option<Vec<Document>> {
    let Bson::Array(items) = value else { return None };
    items
        .into_iter()
        .map(|item| match item {
            Bson::Document(document) => Some(document),
            _ => None,
        })
        .collect()
}

fn whole(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(n) => Some(i64::from(*n)),
        Bson::Int64(n) => Some(*n),
        Bson::Double(n) if n.fract() == 0.0 => Some(*n as i64),
        _ => None,
    }
}

const COLLATION_KEYS: &[&str] = &[
    "locale",
    "strength",
    "caseLevel",
    "caseFirst",
    "numericOrdering",
    "alternate",
    "maxVariable",
    "normalization",
    "backwards",
];
