//! Options of making a collection. The server also describes collections by them.

use std::time::Duration;

use bson::{Bson, Document, doc};
use serde::{Deserialize, Deserializer, Serialize};

use super::{OptionsBuilder, action_options};
use crate::options::{Collation, WriteConcern};
use crate::serde_util;

action_options! {
    /// Options of [`Database::create_collection`](crate::Database::create_collection), and those that
    /// [`Database::list_collections`](crate::Database::list_collections) reports.
    CreateCollectionOptions with create_collection_setters {
        /// A fixed size, beyond which the oldest documents go; needs `size`.
        #[serde(deserialize_with = "serde_util::optional_flag")]
        capped: bool,
        /// The size in bytes.
        #[serde(deserialize_with = "serde_util::optional_count")]
        size: u64,
        /// The most documents.
        #[serde(deserialize_with = "serde_util::optional_count")]
        max: u64,
        /// Options of the storage engine.
        storage_engine: Document,
        /// What a document must match.
        validator: Document,
        /// Which writes the validator judges.
        validation_level: ValidationLevel,
        /// What happens to a document that does not match.
        validation_action: ValidationAction,
        /// Options of the indexes of the collection, unless an index has its own.
        index_option_defaults: IndexOptionDefaults,
        /// The collection or view that this view shows.
        view_on into String,
        /// The stages that make the view.
        pipeline each Vec<Document>,
        /// How strings are compared unless told otherwise.
        collation: Collation,
        /// Makes a time series collection.
        timeseries: TimeseriesOptions,
        /// When documents expire (time series and clustered collections); whole seconds on the wire.
        #[serde(with = "serde_util::expiry")]
        expire_after_seconds: Duration,
        /// Makes a clustered collection, which is stored in the order of this index.
        #[serde(deserialize_with = "optional_clustered_index")]
        clustered_index: ClusteredIndex,
        /// Whether the server keeps images of documents before and after changes.
        change_stream_pre_and_post_images: ChangeStreamPreAndPostImages,
        /// A note for the server's logs and profiler.
        comment into Bson,
        /// The write concern, instead of the database's.
        #[serde(skip_serializing)]
        write_concern: WriteConcern,
    }
}

/// Declares an enum of names that the server knows.
macro_rules! names {
    ($(#[$about:meta])* $name:ident { $($(#[$variant_about:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_about])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// Its name on the wire.
            pub fn as_str(&self) -> &'static str {
                match self {
                    $($name::$variant => $text,)*
                }
            }
        }
    };
}

names! {
    /// Which writes a collection's validator judges.
    ValidationLevel {
        /// None.
        Off = "off",
        /// All.
        Strict = "strict",
        /// Inserts, and updates of documents that matched before.
        Moderate = "moderate",
    }
}

names! {
    /// What happens to a document that a collection's validator does not accept.
    ValidationAction {
        /// The write fails.
        Error = "error",
        /// The write succeeds, and the server logs a warning.
        Warn = "warn",
    }
}

names! {
    /// How far apart the measurements of a time series are.
    TimeseriesGranularity {
        /// Seconds.
        Seconds = "seconds",
        /// Minutes.
        Minutes = "minutes",
        /// Hours.
        Hours = "hours",
    }
}

/// A clustered index ([`clusteredIndex`](https://www.mongodb.com/docs/manual/core/clustered-collections/)): by default a unique
/// one on `_id`, which is the only kind that servers know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ClusteredIndex {
    /// The key: `{ "_id": 1 }`.
    pub key: Document,
    /// Whether two documents may have the same key: they may not.
    pub unique: bool,
    /// Its name; made by the server where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The version of the index format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v: Option<i32>,
}

impl Default for ClusteredIndex {
    fn default() -> Self {
        ClusteredIndex { key: doc! { "_id": 1 }, unique: true, name: None, v: None }
    }
}

/// The server describes the collection behind a time series with `true` in place of an index, which means the one on `_id`.
fn optional_clustered_index<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ClusteredIndex>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Flag(bool),
        Index(ClusteredIndex),
    }
    Ok(Option::<Written>::deserialize(deserializer)?.and_then(|written| match written {
        Written::Flag(flag) => flag.then(ClusteredIndex::default),
        Written::Index(index) => Some(index),
    }))
}

/// Options of the indexes of a collection, unless an index has its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[non_exhaustive]
pub struct IndexOptionDefaults {
    /// Options of the storage engine.
    pub storage_engine: Document,
}

impl IndexOptionDefaults {
    /// A builder.
    pub fn builder() -> OptionsBuilder<Self> {
        OptionsBuilder(Self::default())
    }
}

impl OptionsBuilder<IndexOptionDefaults> {
    /// Sets [`storage_engine`](IndexOptionDefaults::storage_engine).
    pub fn storage_engine(mut self, options: impl Into<Document>) -> Self {
        self.0.storage_engine = options.into();
        self
    }
}

/// Whether the server keeps images of documents before and after changes
/// ([`changeStreamPreAndPostImages`](https://www.mongodb.com/docs/manual/changeStreams/#change-streams-with-document-pre--and-post-images)).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChangeStreamPreAndPostImages {
    /// Whether it does.
    pub enabled: bool,
}

impl ChangeStreamPreAndPostImages {
    /// A builder. Images are not kept unless this is switched on.
    pub fn builder() -> OptionsBuilder<Self> {
        OptionsBuilder(Self::default())
    }
}

impl OptionsBuilder<ChangeStreamPreAndPostImages> {
    /// Sets [`enabled`](ChangeStreamPreAndPostImages::enabled).
    pub fn enabled(mut self, enabled: impl Into<bool>) -> Self {
        self.0.enabled = enabled.into();
        self
    }
}

/// What makes a collection a time series
/// ([`timeseries`](https://www.mongodb.com/docs/manual/core/timeseries-collections/)).
///
/// ```
/// use mongo_blocking::options::{TimeseriesGranularity, TimeseriesOptions};
///
/// let weather = TimeseriesOptions::builder()
///     .time_field("at")
///     .meta_field("station".to_string())
///     .granularity(TimeseriesGranularity::Minutes)
///     .build();
/// assert_eq!(weather.time_field, "at");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TimeseriesOptions {
    /// The field that holds the time of a measurement.
    pub time_field: String,
    /// The field that names the source of a measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta_field: Option<String>,
    /// How far apart measurements of one source are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granularity: Option<TimeseriesGranularity>,
    /// The longest time between measurements that are stored together; whole seconds on the wire. Excludes `granularity`.
    #[serde(
        default,
        rename = "bucketMaxSpanSeconds",
        with = "serde_util::optional_seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub bucket_max_span: Option<Duration>,
    /// What the start of such a time is rounded to: as long as `bucket_max_span`.
    #[serde(
        default,
        rename = "bucketRoundingSeconds",
        with = "serde_util::optional_seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub bucket_rounding: Option<Duration>,
}

impl TimeseriesOptions {
    /// A builder. Set the [`time_field`](TimeseriesOptions::time_field) at least; the server refuses options without one.
    pub fn builder() -> OptionsBuilder<Self> {
        OptionsBuilder(Self::default())
    }
}

impl OptionsBuilder<TimeseriesOptions> {
    /// Sets [`time_field`](TimeseriesOptions::time_field).
    pub fn time_field(mut self, name: impl Into<String>) -> Self {
        self.0.time_field = name.into();
        self
    }

    /// Sets [`meta_field`](TimeseriesOptions::meta_field).
    pub fn meta_field(mut self, name: impl Into<Option<String>>) -> Self {
        self.0.meta_field = name.into();
        self
    }

    /// Sets [`granularity`](TimeseriesOptions::granularity).
    pub fn granularity(mut self, granularity: impl Into<Option<TimeseriesGranularity>>) -> Self {
        self.0.granularity = granularity.into();
        self
    }

    /// Sets [`bucket_max_span`](TimeseriesOptions::bucket_max_span).
    pub fn bucket_max_span(mut self, span: impl Into<Option<Duration>>) -> Self {
        self.0.bucket_max_span = span.into();
        self
    }

    /// Sets [`bucket_rounding`](TimeseriesOptions::bucket_rounding).
    pub fn bucket_rounding(mut self, span: impl Into<Option<Duration>>) -> Self {
        self.0.bucket_rounding = span.into();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_description_of_a_collection_is_read_whatever_its_number_types() {
        let listed = doc! {
            "capped": 1, "size": 4096.0, "max": 10_i64, "expireAfterSeconds": 60_i64, "clusteredIndex": true, "new": "field",
            "timeseries": { "timeField": "at", "granularity": "seconds", "bucketMaxSpanSeconds": 3600 },
            "validationLevel": "moderate",
        };
        let read: CreateCollectionOptions = bson::deserialize_from_document(listed).unwrap();
        assert_eq!((read.capped, read.size, read.max), (Some(true), Some(4096), Some(10)));
        assert_eq!(read.expire_after_seconds, Some(Duration::from_secs(60)));
        assert_eq!(read.clustered_index, Some(ClusteredIndex::default()));
        let series = read.timeseries.unwrap();
        assert_eq!(series.granularity, Some(TimeseriesGranularity::Seconds));
        assert_eq!(series.bucket_max_span, Some(Duration::from_secs(3600)));
        assert_eq!(read.validation_level, Some(ValidationLevel::Moderate));
        bson::deserialize_from_document::<CreateCollectionOptions>(doc! { "size": -1 }).unwrap_err();
    }
}
