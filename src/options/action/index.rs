//! Indexes: what they are, and the options of making, listing and dropping them.

use std::time::Duration;

use bson::{Bson, Document};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{OptionsBuilder, action_options};
use crate::options::{Collation, WriteConcern};
use crate::serde_util;

action_options! {
    /// Options of an index.
    IndexOptions {
        /// Its name; made from the keys where there is none (`age_1_name_-1`).
        name into String,
        /// Whether documents with the same keys are refused.
        #[serde(deserialize_with = "serde_util::optional_flag")]
        unique: bool,
        /// Leave out documents that have none of the keys.
        #[serde(deserialize_with = "serde_util::optional_flag")]
        sparse: bool,
        /// How long after the time in the key a document expires; whole seconds on the wire.
        #[serde(rename = "expireAfterSeconds", with = "serde_util::expiry")]
        expire_after: Duration,
        /// Leave out documents that do not match.
        partial_filter_expression: Document,
        /// How strings are compared.
        collation: Collation,
        /// Invisible to the query planner.
        #[serde(deserialize_with = "serde_util::optional_flag")]
        hidden: bool,
        /// Whether it is the index of a clustered collection. `list_indexes` says so; a server refuses it for an index to be made.
        #[serde(deserialize_with = "serde_util::optional_flag")]
        #[serde(rename = "clustered")]
        is_clustered: bool,
        /// The version of the index format.
        #[serde(rename = "v")]
        version into IndexVersion,
        /// Options of the storage engine.
        storage_engine: Document,
        /// Which fields a wildcard index takes.
        wildcard_projection: Document,
        /// The weights of a text index.
        weights: Document,
        /// The language of a text index.
        #[serde(rename = "default_language")]
        default_language into String,
        /// The field that names a document's language.
        #[serde(rename = "language_override")]
        language_override into String,
        /// The version of a text index.
        text_index_version into TextIndexVersion,
        /// The version of a 2dsphere index.
        #[serde(rename = "2dsphereIndexVersion")]
        sphere_2d_index_version into Sphere2DIndexVersion,
        /// The precision of a 2d index, 1 to 32.
        #[serde(serialize_with = "serde_util::optional_i32::serialize", deserialize_with = "serde_util::optional_count")]
        bits: u32,
        /// The upper bound of a 2d index.
        max: f64,
        /// The lower bound of a 2d index.
        min: f64,
        /// The size of a bucket of a geoHaystack index (before MongoDB 5.0).
        #[serde(serialize_with = "serde_util::optional_i32::serialize", deserialize_with = "serde_util::optional_count")]
        bucket_size: u32,
        /// Build it in the background (before MongoDB 4.2).
        #[serde(deserialize_with = "serde_util::optional_flag")]
        background: bool,
    }
}

impl IndexOptions {
    /// Whether it is the index of a clustered collection, as [`list_indexes`](crate::Collection::list_indexes) says.
    pub fn clustered(&self) -> Option<bool> {
        self.is_clustered
    }
}

/// Declares the versions of a format.
macro_rules! versions {
    ($(#[$about:meta])* $name:ident { $($variant:ident = $number:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "Version", into = "i32")]
        #[non_exhaustive]
        pub enum $name {
            $(#[doc = concat!("Version ", $number, ".")] $variant,)*
            /// A version that this driver does not know.
            Custom(u32),
        }

        impl $name {
            /// The number of the version.
            pub fn number(&self) -> u32 {
                match self {
                    $($name::$variant => $number,)*
                    $name::Custom(number) => *number,
                }
            }
        }

        impl From<u32> for $name {
            fn from(number: u32) -> Self {
                match number {
                    $($number => $name::$variant,)*
                    other => $name::Custom(other),
                }
            }
        }

        impl From<$name> for i32 {
            fn from(version: $name) -> i32 {
                i32::try_from(version.number()).unwrap_or(i32::MAX)
            }
        }

        impl TryFrom<Version> for $name {
            type Error = &'static str;

            fn try_from(Version(number): Version) -> Result<Self, Self::Error> {
                Ok(number.ok_or("expected the number of a version")?.into())
            }
        }
    };
}

/// A version as the server lists it, in any number type.
#[derive(Deserialize)]
struct Version(#[serde(deserialize_with = "serde_util::optional_count")] Option<u32>);

versions! {
    /// The version of the index format.
    IndexVersion { V0 = 0, V1 = 1, V2 = 2, }
}

versions! {
    /// The version of a text index.
    TextIndexVersion { V1 = 1, V2 = 2, V3 = 3, }
}

versions! {
    /// The version of a 2dsphere index.
    Sphere2DIndexVersion { V2 = 2, V3 = 3, }
}

/// An index: its keys and its options.
///
/// ```
/// use mongo_blocking::bson::doc;
/// use mongo_blocking::options::{IndexModel, IndexOptions};
///
/// let by_name = IndexModel::new(doc! { "name": 1 }).options(IndexOptions::default().unique(true));
/// assert_eq!(by_name.keys, doc! { "name": 1 });
///
/// let by_age = IndexModel::builder().keys(doc! { "age": -1 }).options(IndexOptions::builder().sparse(true).build()).build();
/// assert_eq!(by_age.options.and_then(|options| options.sparse), Some(true));
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct IndexModel {
    /// The fields and their directions, or the kind of index.
    pub keys: Document,
    /// The rest.
    pub options: Option<IndexOptions>,
}

impl IndexModel {
    /// An index on these keys.
    pub fn new(keys: Document) -> Self {
        IndexModel { keys, options: None }
    }

    /// A builder. Set the [`keys`](IndexModel::keys) at least; the server refuses an index without any.
    pub fn builder() -> OptionsBuilder<Self> {
        OptionsBuilder(Self::default())
    }

    /// With these options.
    pub fn options(mut self, options: impl Into<Option<IndexOptions>>) -> Self {
        self.options = options.into();
        self
    }
}

impl OptionsBuilder<IndexModel> {
    /// Sets [`keys`](IndexModel::keys).
    pub fn keys(mut self, keys: impl Into<Document>) -> Self {
        self.0.keys = keys.into();
        self
    }

    /// Sets [`options`](IndexModel::options).
    pub fn options(mut self, options: impl Into<Option<IndexOptions>>) -> Self {
        self.0.options = options.into();
        self
    }
}

/// The keys of an index in the server's form, in which its options are beside them.
const KEYS: &str = "key";

impl Serialize for IndexModel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written<'a> {
            key: &'a Document,
            #[serde(flatten)]
            options: Option<&'a IndexOptions>,
        }
        Written { key: &self.keys, options: self.options.as_ref() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for IndexModel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut index = Document::deserialize(deserializer)?;
        let Some(Bson::Document(keys)) = index.remove(KEYS) else {
            return Err(D::Error::custom("the description of an index has no document 'key'"));
        };
        let options = bson::deserialize_from_document(index).map_err(D::Error::custom)?;
        Ok(IndexModel { keys, options: Some(options) })
    }
}

/// How many members of a replica set must have built an index before it is ready (MongoDB 4.4 and later).
///
/// ```
/// use mongo_blocking::options::CommitQuorum;
///
/// assert_eq!(CommitQuorum::from("votingMembers"), CommitQuorum::VotingMembers);
/// assert_eq!(CommitQuorum::from(2), CommitQuorum::Nodes(2));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenQuorum", into = "WrittenQuorum")]
#[non_exhaustive]
pub enum CommitQuorum {
    /// So many that hold data.
    Nodes(u32),
    /// All that hold data and vote; the server's default.
    VotingMembers,
    /// A majority of those that hold data and vote.
    Majority,
    /// Those that the replica set's configuration gives this name.
    Custom(String),
}

/// A quorum as the server takes it.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WrittenQuorum {
    Nodes(i32),
    Name(String),
}

impl TryFrom<WrittenQuorum> for CommitQuorum {
    type Error = &'static str;

    fn try_from(written: WrittenQuorum) -> Result<Self, Self::Error> {
        Ok(match written {
            WrittenQuorum::Nodes(count) => {
                CommitQuorum::Nodes(count.try_into().map_err(|_| "a commit quorum cannot be negative")?)
            }
            WrittenQuorum::Name(name) => name.into(),
        })
    }
}

impl From<CommitQuorum> for WrittenQuorum {
    fn from(quorum: CommitQuorum) -> Self {
        WrittenQuorum::Name(match quorum {
            CommitQuorum::Nodes(count) => return WrittenQuorum::Nodes(count.try_into().unwrap_or(i32::MAX)),
            CommitQuorum::VotingMembers => "votingMembers".to_owned(),
            CommitQuorum::Majority => "majority".to_owned(),
            CommitQuorum::Custom(name) => name,
        })
    }
}

impl From<u32> for CommitQuorum {
    fn from(count: u32) -> Self {
        CommitQuorum::Nodes(count)
    }
}

impl From<&str> for CommitQuorum {
    fn from(name: &str) -> Self {
        match name {
            "votingMembers" => CommitQuorum::VotingMembers,
            "majority" => CommitQuorum::Majority,
            other => CommitQuorum::Custom(other.to_owned()),
        }
    }
}

impl From<String> for CommitQuorum {
    fn from(name: String) -> Self {
        CommitQuorum::from(name.as_str())
    }
}

action_options! {
    /// Options of making indexes.
    CreateIndexOptions with create_index_setters {
        /// How many members must be ready.
        commit_quorum into CommitQuorum,
        /// How long the server may work on it, if `timeoutMS` is not given.
        #[serde(rename = "maxTimeMS", alias = "maxTime", with = "serde_util::optional_millis")]
        max_time: Duration,
        /// A note for the server's logs and profiler.
        comment into Bson,
        /// The write concern, instead of the collection's.
        #[serde(skip_serializing)]
        write_concern: WriteConcern,
    }
}

action_options! {
    /// Options of listing indexes.
    ListIndexesOptions with list_indexes_setters {
        /// Documents in a batch.
        #[serde(skip_serializing)]
        batch_size: u32,
        /// How long the server may work on it, if `timeoutMS` is not given.
        #[serde(rename = "maxTimeMS", alias = "maxTime", with = "serde_util::optional_millis")]
        max_time: Duration,
        /// A note for the server's logs and profiler.
        comment into Bson,
    }
}

action_options! {
    /// Options of dropping indexes.
    DropIndexOptions with drop_index_setters {
        /// How long the server may work on it, if `timeoutMS` is not given.
        #[serde(rename = "maxTimeMS", alias = "maxTime", with = "serde_util::optional_millis")]
        max_time: Duration,
        /// A note for the server's logs and profiler.
        comment into Bson,
        /// The write concern, instead of the collection's.
        #[serde(skip_serializing)]
        write_concern: WriteConcern,
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn the_servers_description_of_an_index_is_read_whatever_its_number_types() {
        let listed = doc! {
            "v": 2.0, "key": { "a": 1, "b": "text" }, "name": "x", "unique": 1, "sparse": false, "expireAfterSeconds": 3600.0,
            "2dsphereIndexVersion": 3_i64, "default_language": "none", "textIndexVersion": 9, "bits": 20.0, "new": "field",
        };
        let index: IndexModel = bson::deserialize_from_document(listed).unwrap();
        assert_eq!(index.keys, doc! { "a": 1, "b": "text" });
        let options = index.options.unwrap();
        assert_eq!((options.name.as_deref(), options.version), (Some("x"), Some(IndexVersion::V2)));
        assert_eq!((options.unique, options.sparse), (Some(true), Some(false)));
        assert_eq!(options.expire_after, Some(Duration::from_secs(3600)));
        assert_eq!(options.sphere_2d_index_version, Some(Sphere2DIndexVersion::V3));
        assert_eq!(options.text_index_version, Some(TextIndexVersion::Custom(9)));
        assert_eq!((options.default_language.as_deref(), options.bits), (Some("none"), Some(20)));
    }

    #[test]
    fn an_expiry_that_makes_no_sense_does_not_hide_the_index() {
        for odd in [Bson::Double(f64::NAN), Bson::Int32(-1), Bson::Double(0.5)] {
            let listed = doc! { "key": { "a": 1 }, "name": "x", "expireAfterSeconds": odd };
            let index: IndexModel = bson::deserialize_from_document(listed).unwrap();
            assert_eq!(index.options.unwrap().expire_after, None);
        }
        bson::deserialize_from_document::<IndexModel>(doc! { "name": "x" }).unwrap_err();
        bson::deserialize_from_document::<IndexModel>(doc! { "key": {}, "v": "two" }).unwrap_err();
    }

    #[test]
    fn an_index_is_written_as_the_server_describes_it() {
        let options = IndexOptions::default().name("x").expire_after(Duration::from_secs(5)).version(2);
        let index = IndexModel::new(doc! { "a": 1 }).options(options.bits(20).bucket_size(3));
        let written = bson::serialize_to_document(&index).unwrap();
        let expected =
            doc! { "key": { "a": 1 }, "name": "x", "expireAfterSeconds": 5, "v": 2, "bits": 20, "bucketSize": 3 };
        assert_eq!(written, expected);
        let read: IndexModel = bson::deserialize_from_document(written).unwrap();
        assert_eq!(read.options.unwrap().version, Some(IndexVersion::V2));
    }

    #[test]
    fn a_commit_quorum_is_a_name_or_a_number_that_is_not_negative() {
        let read = |quorum: Bson| bson::deserialize_from_bson::<CommitQuorum>(quorum);
        assert_eq!(read(2.into()).unwrap(), CommitQuorum::Nodes(2));
        assert_eq!(read("majority".into()).unwrap(), CommitQuorum::Majority);
        let error = read(Bson::Int32(-1)).unwrap_err();
        assert!(error.to_string().contains("negative"), "{error}");
    }
}
