//! Read concern, write concern, read preference and collation.

mod collation;
mod read_preference;

use std::time::Duration;

use bson::raw::cstr;
use bson::{RawDocumentBuf, rawdoc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::builder_macro::builder;
use crate::error::{Error, Result};
use crate::serde_util::whole_millis;

pub use collation::{
    Collation, CollationAlternate, CollationBuilder, CollationCaseFirst, CollationMaxVariable, CollationStrength,
};
pub use read_preference::{
    HedgedReadOptions, HedgedReadOptionsBuilder, Predicate, ReadPreference, ReadPreferenceMode, ReadPreferenceOptions,
    ReadPreferenceOptionsBuilder, SelectionCriteria, TagSet,
};

/// How well replicated the data that a read returns must be (`readConcern`).
///
/// ```
/// use mongo_blocking::options::{ReadConcern, ReadConcernLevel};
///
/// assert_eq!(ReadConcern::majority(), ReadConcern::from(ReadConcernLevel::Majority));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReadConcern {
    /// The level.
    pub level: ReadConcernLevel,
}

/// The levels of a read concern.
///
/// ```
/// use mongo_blocking::options::ReadConcernLevel;
///
/// assert_eq!(ReadConcernLevel::from("majority"), ReadConcernLevel::Majority);
/// assert_eq!(ReadConcernLevel::Custom("new".into()).as_str(), "new");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum ReadConcernLevel {
    /// `local`: data that this server has, whether or not it is replicated.
    Local,
    /// `majority`: data that a majority of the replica set has.
    Majority,
    /// `linearizable`: all writes that a majority acknowledged before the read began.
    Linearizable,
    /// `available`: as `local`, but a sharded cluster may return orphaned documents.
    Available,
    /// `snapshot`: the data of one point in time.
    Snapshot,
    /// A level that this driver does not know.
    Custom(String),
}

impl ReadConcernLevel {
    /// The name of the level in a connection string and in a command.
    pub fn as_str(&self) -> &str {
        match self {
            ReadConcernLevel::Local => "local",
            ReadConcernLevel::Majority => "majority",
            ReadConcernLevel::Linearizable => "linearizable",
            ReadConcernLevel::Available => "available",
            ReadConcernLevel::Snapshot => "snapshot",
            ReadConcernLevel::Custom(name) => name,
        }
    }
}

impl From<String> for ReadConcernLevel {
    fn from(name: String) -> Self {
        match name.as_str() {
            "local" => ReadConcernLevel::Local,
            "majority" => ReadConcernLevel::Majority,
            "linearizable" => ReadConcernLevel::Linearizable,
            "available" => ReadConcernLevel::Available,
            "snapshot" => ReadConcernLevel::Snapshot,
            _ => ReadConcernLevel::Custom(name),
        }
    }
}

impl From<&str> for ReadConcernLevel {
    fn from(name: &str) -> Self {
        ReadConcernLevel::from(name.to_owned())
    }
}

impl From<ReadConcernLevel> for String {
    fn from(level: ReadConcernLevel) -> Self {
        level.as_str().to_owned()
    }
}

impl From<ReadConcernLevel> for ReadConcern {
    fn from(level: ReadConcernLevel) -> Self {
        ReadConcern { level }
    }
}

impl ReadConcern {
    /// Data that this server has, whether or not it is replicated.
    pub fn local() -> Self {
        ReadConcernLevel::Local.into()
    }

    /// Data that a majority of the replica set has.
    pub fn majority() -> Self {
        ReadConcernLevel::Majority.into()
    }

    /// All writes that a majority acknowledged before the read began.
    pub fn linearizable() -> Self {
        ReadConcernLevel::Linearizable.into()
    }

    /// As [`local`](Self::local), but a sharded cluster may return orphaned documents.
    pub fn available() -> Self {
        ReadConcernLevel::Available.into()
    }

    /// The data of one point in time.
    pub fn snapshot() -> Self {
        ReadConcernLevel::Snapshot.into()
    }

    /// The level with this name.
    pub fn custom(level: impl AsRef<str>) -> Self {
        ReadConcernLevel::from(level.as_ref()).into()
    }

    /// The `readConcern` of a command.
    pub fn to_document(&self) -> RawDocumentBuf {
        rawdoc! { "level": self.level.as_str() }
    }
}

/// Which members must have a write before the server acknowledges it (`w`).
///
/// ```
/// use mongo_blocking::options::Acknowledgment;
///
/// assert_eq!(Acknowledgment::from(2), Acknowledgment::Nodes(2));
/// assert_eq!(Acknowledgment::from("majority"), Acknowledgment::Majority);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Acknowledgment {
    /// That many members. 0: the server sends no acknowledgment.
    Nodes(u32),
    /// A majority of the voting members.
    Majority,
    /// The members that the rule of this name requires. The replica set's configuration defines the rule.
    Custom(String),
}

impl From<u32> for Acknowledgment {
    fn from(members: u32) -> Self {
        Acknowledgment::Nodes(members)
    }
}

impl From<String> for Acknowledgment {
    fn from(name: String) -> Self {
        if name == "majority" { Acknowledgment::Majority } else { Acknowledgment::Custom(name) }
    }
}

impl From<&str> for Acknowledgment {
    fn from(name: &str) -> Self {
        Acknowledgment::from(name.to_owned())
    }
}

impl Serialize for Acknowledgment {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Acknowledgment::Nodes(members) => match i32::try_from(*members) {
                Ok(members) => serializer.serialize_i32(members),
                Err(_) => serializer.serialize_i64(i64::from(*members)),
            },
            Acknowledgment::Majority => serializer.serialize_str("majority"),
            Acknowledgment::Custom(name) => serializer.serialize_str(name),
        }
    }
}

impl<'de> Deserialize<'de> for Acknowledgment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Nodes(u32),
            Name(String),
        }
        Ok(match Either::deserialize(deserializer)? {
            Either::Nodes(members) => members.into(),
            Either::Name(name) => name.into(),
        })
    }
}

/// What a write must achieve before the server acknowledges it (`writeConcern`).
///
/// ```
/// use std::time::Duration;
/// use mongo_blocking::options::{Acknowledgment, WriteConcern};
///
/// let concern = WriteConcern::builder().w(Acknowledgment::Majority).w_timeout(Duration::from_secs(5)).build();
/// assert_eq!(concern, WriteConcern::majority().with_w_timeout(Duration::from_secs(5)));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct WriteConcern {
    /// Which members must have the write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub w: Option<Acknowledgment>,
    /// How long the server waits for them, if `timeoutMS` is not given. Whole milliseconds in a command.
    #[serde(
        rename = "wtimeout",
        alias = "wtimeoutMS",
        with = "crate::serde_util::optional_millis",
        skip_serializing_if = "Option::is_none"
    )]
    pub w_timeout: Option<Duration>,
    /// Whether the write must be in the journal.
    #[serde(rename = "j", alias = "journal", skip_serializing_if = "Option::is_none")]
    pub journal: Option<bool>,
}

builder! { WriteConcern, WriteConcernBuilder { w: Acknowledgment, w_timeout: Duration, journal: bool } }

impl From<Acknowledgment> for WriteConcern {
    fn from(w: Acknowledgment) -> Self {
        WriteConcern { w: Some(w), ..WriteConcern::default() }
    }
}

impl WriteConcern {
    /// Acknowledged as the rule of this name requires, or by a majority if the name is `majority`.
    pub fn custom(name: impl AsRef<str>) -> Self {
        Acknowledgment::from(name.as_ref()).into()
    }

    /// Acknowledged by that many members.
    pub fn nodes(count: u32) -> Self {
        WriteConcern { w: Some(Acknowledgment::Nodes(count)), ..WriteConcern::default() }
    }

    /// Acknowledged by a majority.
    pub fn majority() -> Self {
        WriteConcern { w: Some(Acknowledgment::Majority), ..WriteConcern::default() }
    }

    /// Not acknowledged at all: errors are not noticed.
    pub fn unacknowledged() -> Self {
        WriteConcern::nodes(0)
    }

    /// With or without the journal.
    pub fn with_journal(mut self, journal: bool) -> Self {
        self.journal = Some(journal);
        self
    }

    /// With a limit on the server's wait.
    pub fn with_w_timeout(mut self, limit: Duration) -> Self {
        self.w_timeout = Some(limit);
        self
    }

    /// The `writeConcern` of a command.
    pub fn to_document(&self) -> RawDocumentBuf {
        let mut document = RawDocumentBuf::new();
        match &self.w {
            Some(Acknowledgment::Nodes(count)) => match i32::try_from(*count) {
                Ok(count) => document.append(cstr!("w"), count),
                Err(_) => document.append(cstr!("w"), i64::from(*count)),
            },
            Some(Acknowledgment::Majority) => document.append(cstr!("w"), "majority"),
            Some(Acknowledgment::Custom(name)) => document.append(cstr!("w"), name.as_str()),
            None => {}
        }
        if let Some(limit) = self.w_timeout {
            let millis = whole_millis(limit);
            match i32::try_from(millis) {
                Ok(millis) => document.append(cstr!("wtimeout"), millis),
                Err(_) => document.append(cstr!("wtimeout"), millis),
            }
        }
        if let Some(journal) = self.journal {
            document.append(cstr!("j"), journal);
        }
        document
    }

    /// Whether it can be: a write that is in the journal is acknowledged.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) for `w: 0` with `journal: true`.
    pub fn check(&self) -> Result<()> {
        if !self.is_acknowledged() && self.journal == Some(true) {
            return Err(Error::invalid_argument("a write concern with w: 0 and journal: true contradicts itself"));
        }
        Ok(())
    }

    /// Whether the server answers a write.
    pub fn is_acknowledged(&self) -> bool {
        self.w != Some(Acknowledgment::Nodes(0))
    }
}
