//! Read concern, write concern, read preference and collation: what a command says about how it wants to be run.

use std::collections::BTreeMap;
use std::time::Duration;

use bson::raw::cstr;
use bson::{Bson, Document, RawArrayBuf, RawDocumentBuf, rawdoc};

use crate::deadline::whole_millis;
use crate::error::{Error, Result};

/// How well replicated the data that a read sees must be (`readConcern`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadConcern {
    /// The level: `local`, `majority`, `linearizable`, `available`, `snapshot`, or another that the server knows.
    pub level: String,
}

impl ReadConcern {
    /// Data that this server has, replicated or not.
    pub fn local() -> Self {
        ReadConcern::custom("local")
    }

    /// Data that a majority of the replica set has.
    pub fn majority() -> Self {
        ReadConcern::custom("majority")
    }

    /// All writes that a majority acknowledged before the read began.
    pub fn linearizable() -> Self {
        ReadConcern::custom("linearizable")
    }

    /// As `local`, without a look at the shard's metadata.
    pub fn available() -> Self {
        ReadConcern::custom("available")
    }

    /// The data as it was at one moment.
    pub fn snapshot() -> Self {
        ReadConcern::custom("snapshot")
    }

    /// A level by its name.
    pub fn custom(level: impl Into<String>) -> Self {
        ReadConcern { level: level.into() }
    }

    /// The `readConcern` of a command.
    pub fn to_document(&self) -> RawDocumentBuf {
        rawdoc! { "level": self.level.as_str() }
    }
}

/// Who must have a write before the server acknowledges it (`w`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Acknowledgment {
    /// That many members. 0: no acknowledgment at all.
    Nodes(u32),
    /// A majority of the voting members.
    Majority,
    /// The members with these tags, by the name of a rule in the replica set's configuration.
    Custom(String),
}

/// What a write must achieve before it counts as done (`writeConcern`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteConcern {
    /// Who must have it.
    pub w: Option<Acknowledgment>,
    /// How long the server waits for them (`wtimeout`, milliseconds on the wire).
    pub w_timeout: Option<Duration>,
    /// Whether it must be in the journal.
    pub journal: Option<bool>,
}

impl WriteConcern {
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

/// Which members of a replica set a read may go to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReadPreferenceMode {
    /// The primary only.
    #[default]
    Primary,
    /// The primary, a secondary where there is none.
    PrimaryPreferred,
    /// Secondaries only.
    Secondary,
    /// Secondaries, the primary where there is none.
    SecondaryPreferred,
    /// Any member.
    Nearest,
}

/// Which server a read goes to (`readPreference`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadPreference {
    /// Which members.
    pub mode: ReadPreferenceMode,
    /// Tag sets, tried in this order; an empty set matches every member.
    pub tag_sets: Vec<BTreeMap<String, String>>,
    /// How far behind a secondary may be.
    pub max_staleness: Option<Duration>,
    /// Whether a router of a sharded cluster may ask two members and take the faster reply (`hedge`). `None`: the server
    /// decides. Not with mode primary. MongoDB 8.0 has deprecated it, and later releases remove it.
    pub hedge: Option<bool>,
}

impl ReadPreference {
    /// The `$readPreference` of a command.
    pub(crate) fn to_document(&self) -> RawDocumentBuf {
        let mut document = rawdoc! { "mode": self.mode.name() };
        if !self.tag_sets.is_empty() {
            let mut sets = RawArrayBuf::new();
            for set in &self.tag_sets {
                let mut tags = Document::new();
                tags.extend(set.iter().map(|(key, value)| (key.clone(), Bson::from(value.as_str()))));
                if let Ok(tags) = RawDocumentBuf::try_from(&tags) {
                    sets.push(tags);
                }
            }
            document.append(cstr!("tags"), sets);
        }
        if let Some(limit) = self.max_staleness {
            document.append(cstr!("maxStalenessSeconds"), i64::try_from(limit.as_secs()).unwrap_or(i64::MAX));
        }
        if let Some(enabled) = self.hedge {
            document.append(cstr!("hedge"), rawdoc! { "enabled": enabled });
        }
        document
    }
}

impl ReadPreferenceMode {
    /// Its name in a connection string and on the wire.
    pub fn name(self) -> &'static str {
        match self {
            ReadPreferenceMode::Primary => "primary",
            ReadPreferenceMode::PrimaryPreferred => "primaryPreferred",
            ReadPreferenceMode::Secondary => "secondary",
            ReadPreferenceMode::SecondaryPreferred => "secondaryPreferred",
            ReadPreferenceMode::Nearest => "nearest",
        }
    }
}

/// How strings are compared (`collation`).
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Collation {
    /// The ICU locale, or `simple`.
    pub locale: String,
    /// How deep the comparison goes, 1 to 5.
    pub strength: Option<u8>,
    /// Whether to compare case at strength 1 or 2.
    pub case_level: Option<bool>,
    /// Which case sorts first: `upper`, `lower`, `off`.
    pub case_first: Option<String>,
    /// Whether digits are compared as numbers.
    pub numeric_ordering: Option<bool>,
    /// `non-ignorable` or `shifted`.
    pub alternate: Option<String>,
    /// Which characters `shifted` ignores: `punct` or `space`.
    pub max_variable: Option<String>,
    /// Whether to normalise text first.
    pub normalization: Option<bool>,
    /// Whether accents are compared from the end, as in some French dictionaries.
    pub backwards: Option<bool>,
}

impl Collation {
    /// A collation of this locale, the rest as ICU has it.
    pub fn new(locale: impl Into<String>) -> Self {
        Collation { locale: locale.into(), ..Collation::default() }
    }

    pub(crate) fn to_document(&self) -> RawDocumentBuf {
        let mut document = rawdoc! { "locale": self.locale.as_str() };
        let mut flag = |key, value: Option<bool>| {
            if let Some(value) = value {
                document.append(key, value);
            }
        };
        flag(cstr!("caseLevel"), self.case_level);
        flag(cstr!("numericOrdering"), self.numeric_ordering);
        flag(cstr!("normalization"), self.normalization);
        flag(cstr!("backwards"), self.backwards);
        if let Some(strength) = self.strength {
            document.append(cstr!("strength"), i32::from(strength));
        }
        let texts = [
            (cstr!("caseFirst"), &self.case_first),
            (cstr!("alternate"), &self.alternate),
            (cstr!("maxVariable"), &self.max_variable),
        ];
        for (key, value) in texts {
            if let Some(value) = value {
                document.append(key, value.as_str());
            }
        }
        document
    }
}
