//! Which server a read may go to.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bson::raw::{CString, cstr};
use bson::{RawArrayBuf, RawDocumentBuf, rawdoc};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::builder;
use crate::event::sdam::ServerInfo;

/// Tags that a member must have, by name and value. An empty set matches every member.
pub type TagSet = HashMap<String, String>;

/// What decides which server an operation goes to.
///
/// ```
/// use mongo_blocking::options::{ReadPreference, SelectionCriteria};
///
/// let nearest: SelectionCriteria = ReadPreference::nearest(None).into();
/// assert_eq!(nearest.as_read_preference(), Some(&ReadPreference::Nearest { options: None }));
/// ```
///
/// A predicate is asked about each server that is available, by the thread that runs the operation, and again when something has changed.
/// Of the servers that it wants, the operation goes to one within `localThresholdMS`, as with a read preference. A secondary is told
/// `primaryPreferred`, since otherwise it would refuse; a router and a load balancer are told nothing.
///
/// ```no_run
/// # fn f(library: mongo_blocking::Database) -> mongo_blocking::Result<()> {
/// use std::sync::Arc;
///
/// use mongo_blocking::bson::doc;
/// use mongo_blocking::options::SelectionCriteria;
/// use mongo_blocking::{ServerInfo, ServerType};
///
/// let old = Arc::new(|server: &ServerInfo| {
///     server.server_type() == ServerType::RsSecondary && server.max_wire_version() < Some(21)
/// });
/// library.run_command(doc! { "ping": 1 }).selection_criteria(SelectionCriteria::Predicate(old)).run()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum SelectionCriteria {
    /// A read preference.
    ReadPreference(ReadPreference),
    /// A function that says of a server whether the operation may go there.
    Predicate(Predicate),
}

/// A function that says of a server whether an operation may go there.
pub type Predicate = Arc<dyn Fn(&ServerInfo<'_>) -> bool + Send + Sync>;

impl SelectionCriteria {
    /// The read preference, if that is what the criteria are.
    pub fn as_read_preference(&self) -> Option<&ReadPreference> {
        match self {
            SelectionCriteria::ReadPreference(preference) => Some(preference),
            SelectionCriteria::Predicate(_) => None,
        }
    }
}

impl SelectionCriteria {
    /// The read preference among criteria that may be unset.
    pub(crate) fn preference(criteria: Option<&Self>) -> Option<&ReadPreference> {
        criteria.and_then(SelectionCriteria::as_read_preference)
    }

    /// The read preference, or the default where there is a predicate.
    pub(crate) fn preference_or_primary(&self) -> &ReadPreference {
        self.as_read_preference().unwrap_or(&ReadPreference::Primary)
    }
}

/// As part of a line: `ReadPreference nearest`.
impl fmt::Display for SelectionCriteria {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SelectionCriteria::ReadPreference(preference) => write!(f, "ReadPreference {preference}"),
            SelectionCriteria::Predicate(_) => f.write_str("Custom predicate"),
        }
    }
}

impl fmt::Debug for SelectionCriteria {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SelectionCriteria::ReadPreference(preference) => f.debug_tuple("ReadPreference").field(preference).finish(),
            SelectionCriteria::Predicate(_) => f.write_str("Predicate"),
        }
    }
}

impl PartialEq for SelectionCriteria {
    /// Predicates are the same where one is a clone of the other.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (SelectionCriteria::ReadPreference(own), SelectionCriteria::ReadPreference(other)) => own == other,
            (SelectionCriteria::Predicate(own), SelectionCriteria::Predicate(other)) => Arc::ptr_eq(own, other),
            _ => false,
        }
    }
}

impl Eq for SelectionCriteria {}

impl Serialize for SelectionCriteria {
    /// # Errors
    /// For a predicate, which is a function.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            SelectionCriteria::ReadPreference(preference) => preference.serialize(serializer),
            SelectionCriteria::Predicate(_) => Err(serde::ser::Error::custom("a predicate has no serialized form")),
        }
    }
}

impl<'de> Deserialize<'de> for SelectionCriteria {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ReadPreference::deserialize(deserializer).map(SelectionCriteria::ReadPreference)
    }
}

impl From<ReadPreference> for SelectionCriteria {
    fn from(preference: ReadPreference) -> Self {
        SelectionCriteria::ReadPreference(preference)
    }
}

/// Which members of a deployment a read may go to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReadPreferenceMode {
    /// The primary only.
    #[default]
    Primary,
    /// The primary, or a secondary if no primary is available.
    PrimaryPreferred,
    /// Secondaries only.
    Secondary,
    /// A secondary, or the primary if no secondary is suitable.
    SecondaryPreferred,
    /// Any member.
    Nearest,
}

impl ReadPreferenceMode {
    /// Its name in a connection string and in a command.
    pub fn name(self) -> &'static str {
        match self {
            ReadPreferenceMode::Primary => "primary",
            ReadPreferenceMode::PrimaryPreferred => "primaryPreferred",
            ReadPreferenceMode::Secondary => "secondary",
            ReadPreferenceMode::SecondaryPreferred => "secondaryPreferred",
            ReadPreferenceMode::Nearest => "nearest",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        let modes = [
            ReadPreferenceMode::Primary,
            ReadPreferenceMode::PrimaryPreferred,
            ReadPreferenceMode::Secondary,
            ReadPreferenceMode::SecondaryPreferred,
            ReadPreferenceMode::Nearest,
        ];
        modes.into_iter().find(|mode| mode.name().eq_ignore_ascii_case(name))
    }
}

/// Which server a read goes to
/// ([`readPreference`](https://github.com/mongodb/specifications/blob/master/source/server-selection/server-selection.md)).
///
/// ```
/// use std::time::Duration;
/// use mongo_blocking::options::{ReadPreference, ReadPreferenceMode, ReadPreferenceOptions};
///
/// let reports = ReadPreferenceOptions::builder()
///     .tag_sets(vec![[("use".to_string(), "reports".to_string())].into()])
///     .max_staleness(Duration::from_secs(120))
///     .build();
/// let preference = ReadPreference::secondary(reports);
/// assert_eq!(preference.mode(), ReadPreferenceMode::Secondary);
/// assert_eq!(preference.max_staleness(), Some(Duration::from_secs(120)));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadPreference {
    /// The primary only.
    #[default]
    Primary,
    /// Secondaries only.
    Secondary {
        /// Which of them.
        options: Option<ReadPreferenceOptions>,
    },
    /// The primary, or a secondary if no primary is available.
    PrimaryPreferred {
        /// Which of the secondaries.
        options: Option<ReadPreferenceOptions>,
    },
    /// A secondary, or the primary if no secondary is suitable.
    SecondaryPreferred {
        /// Which of the secondaries.
        options: Option<ReadPreferenceOptions>,
    },
    /// Any member.
    Nearest {
        /// Which of them.
        options: Option<ReadPreferenceOptions>,
    },
}

/// What narrows down the members that a read may go to.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[non_exhaustive]
pub struct ReadPreferenceOptions {
    /// Tag sets. The first set that some member matches counts.
    #[serde(alias = "tag_sets", skip_serializing_if = "Option::is_none")]
    pub tag_sets: Option<Vec<TagSet>>,
    /// How far behind the primary a secondary may be; at least 90 seconds.
    #[serde(
        rename = "maxStalenessSeconds",
        with = "crate::serde_util::optional_seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_staleness: Option<Duration>,
    /// Whether mongos may send the read to two members. MongoDB 8.0 deprecates hedged reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hedge: Option<HedgedReadOptions>,
}

builder! {
    ReadPreferenceOptions,
    ReadPreferenceOptionsBuilder { tag_sets: Vec<TagSet>, max_staleness: Duration, hedge: HedgedReadOptions }
}

/// Tags in one order, so that equal options look equal.
impl fmt::Debug for ReadPreferenceOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sorted: Option<Vec<BTreeMap<_, _>>> =
            self.tag_sets.as_ref().map(|sets| sets.iter().map(|set| set.iter().collect()).collect());
        f.debug_struct("ReadPreferenceOptions")
            .field("tag_sets", &sorted)
            .field("max_staleness", &self.max_staleness)
            .field("hedge", &self.hedge)
            .finish()
    }
}

/// Whether mongos may send a read to two members and use the first answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct HedgedReadOptions {
    /// Whether it may.
    pub enabled: bool,
}

impl HedgedReadOptions {
    /// With hedged reads on or off.
    pub fn with_enabled(enabled: bool) -> Self {
        HedgedReadOptions { enabled }
    }

    /// A builder. Hedged reads are off unless they are switched on.
    pub fn builder() -> HedgedReadOptionsBuilder {
        HedgedReadOptionsBuilder(HedgedReadOptions::default())
    }
}

/// The builder that [`HedgedReadOptions::builder`] returns.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct HedgedReadOptionsBuilder(HedgedReadOptions);

impl HedgedReadOptionsBuilder {
    /// Sets [`enabled`](HedgedReadOptions::enabled).
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.0.enabled = enabled;
        self
    }

    /// The options.
    pub fn build(self) -> HedgedReadOptions {
        self.0
    }
}

impl ReadPreference {
    /// The primary only.
    pub fn primary() -> Self {
        ReadPreference::Primary
    }

    /// Secondaries only.
    pub fn secondary(options: impl Into<Option<ReadPreferenceOptions>>) -> Self {
        ReadPreference::Secondary { options: options.into() }
    }

    /// The primary, or a secondary if no primary is available.
    pub fn primary_preferred(options: impl Into<Option<ReadPreferenceOptions>>) -> Self {
        ReadPreference::PrimaryPreferred { options: options.into() }
    }

    /// A secondary, or the primary if no secondary is suitable.
    pub fn secondary_preferred(options: impl Into<Option<ReadPreferenceOptions>>) -> Self {
        ReadPreference::SecondaryPreferred { options: options.into() }
    }

    /// Any member.
    pub fn nearest(options: impl Into<Option<ReadPreferenceOptions>>) -> Self {
        ReadPreference::Nearest { options: options.into() }
    }

    /// The preference with this mode. [`ReadPreferenceMode::Primary`] takes no options and drops them.
    pub fn with_mode(mode: ReadPreferenceMode, options: impl Into<Option<ReadPreferenceOptions>>) -> Self {
        match mode {
            ReadPreferenceMode::Primary => ReadPreference::primary(),
            ReadPreferenceMode::PrimaryPreferred => ReadPreference::primary_preferred(options),
            ReadPreferenceMode::Secondary => ReadPreference::secondary(options),
            ReadPreferenceMode::SecondaryPreferred => ReadPreference::secondary_preferred(options),
            ReadPreferenceMode::Nearest => ReadPreference::nearest(options),
        }
    }

    /// Its mode.
    pub fn mode(&self) -> ReadPreferenceMode {
        match self {
            ReadPreference::Primary => ReadPreferenceMode::Primary,
            ReadPreference::Secondary { .. } => ReadPreferenceMode::Secondary,
            ReadPreference::PrimaryPreferred { .. } => ReadPreferenceMode::PrimaryPreferred,
            ReadPreference::SecondaryPreferred { .. } => ReadPreferenceMode::SecondaryPreferred,
            ReadPreference::Nearest { .. } => ReadPreferenceMode::Nearest,
        }
    }

    /// Its options. The mode primary has none.
    pub fn options(&self) -> Option<&ReadPreferenceOptions> {
        match self {
            ReadPreference::Primary => None,
            ReadPreference::Secondary { options }
            | ReadPreference::PrimaryPreferred { options }
            | ReadPreference::SecondaryPreferred { options }
            | ReadPreference::Nearest { options } => options.as_ref(),
        }
    }

    /// Its tag sets, in the order in which they are tried.
    pub fn tag_sets(&self) -> &[TagSet] {
        self.options().and_then(|options| options.tag_sets.as_deref()).unwrap_or_default()
    }

    /// How far behind the primary a secondary may be.
    pub fn max_staleness(&self) -> Option<Duration> {
        self.options().and_then(|options| options.max_staleness)
    }

    /// The `$readPreference` of a command.
    pub(crate) fn to_document(&self) -> RawDocumentBuf {
        let mut document = rawdoc! { "mode": self.mode().name() };
        if !self.tag_sets().is_empty() {
            let mut sets = RawArrayBuf::new();
            for set in self.tag_sets() {
                // In one order, so that equal preferences send equal commands.
                let mut sorted: Vec<_> = set.iter().collect();
                sorted.sort();
                let mut tags = RawDocumentBuf::new();
                for (name, value) in sorted {
                    // No member has a tag with a zero byte in its name, and BSON cannot say it.
                    if let Ok(name) = CString::try_from(name.as_str()) {
                        tags.append(name, value.as_str());
                    }
                }
                sets.push(tags);
            }
            document.append(cstr!("tags"), sets);
        }
        if let Some(limit) = self.max_staleness() {
            document.append(cstr!("maxStalenessSeconds"), i64::try_from(limit.as_secs()).unwrap_or(i64::MAX));
        }
        if let Some(hedge) = self.options().and_then(|options| options.hedge.as_ref()) {
            document.append(cstr!("hedge"), rawdoc! { "enabled": hedge.enabled });
        }
        document
    }
}

impl fmt::Display for ReadPreference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.mode().name())?;
        if !self.tag_sets().is_empty() {
            write!(f, ", tag sets {:?}", self.tag_sets())?;
        }
        if let Some(limit) = self.max_staleness() {
            write!(f, ", max staleness {} s", limit.as_secs())?;
        }
        Ok(())
    }
}

/// How a preference is written in documents.
#[derive(Serialize, Deserialize)]
struct Written {
    mode: String,
    #[serde(flatten)]
    options: ReadPreferenceOptions,
}

impl Serialize for ReadPreference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written =
            Written { mode: self.mode().name().to_owned(), options: self.options().cloned().unwrap_or_default() };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ReadPreference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Written { mode, options } = Written::deserialize(deserializer)?;
        let mode = ReadPreferenceMode::from_name(&mode).ok_or_else(|| {
            D::Error::custom(format!(
                "the mode of a read preference must be primary, primaryPreferred, secondary, secondaryPreferred or \
                 nearest, not {mode:?}"
            ))
        })?;
        let given = options != ReadPreferenceOptions::default();
        if mode == ReadPreferenceMode::Primary && given {
            return Err(D::Error::custom("the read preference primary takes no options"));
        }
        Ok(ReadPreference::with_mode(mode, given.then_some(options)))
    }
}
