//! How the server describes a collection.

use bson::{Binary, Document};
use serde::{Deserialize, Serialize};

use crate::options::CreateCollectionOptions;

/// What a collection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum CollectionType {
    /// A view.
    View,
    /// A collection.
    #[default]
    Collection,
    /// A time series collection.
    Timeseries,
    /// What this version of the driver does not know.
    #[serde(other)]
    Other,
}

/// What the server adds to the description of a collection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[non_exhaustive]
pub struct CollectionSpecificationInfo {
    /// Whether it cannot be written, as a view cannot.
    pub read_only: bool,
    /// The collection's UUID. A view has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<Binary>,
}

/// A collection or a view, as the server lists it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CollectionSpecification {
    /// Its name.
    pub name: String,
    /// What it is.
    #[serde(rename = "type", default)]
    pub collection_type: CollectionType,
    /// The options that it was made with.
    #[serde(default)]
    pub options: CreateCollectionOptions,
    /// What else the server says.
    #[serde(default)]
    pub info: CollectionSpecificationInfo,
    /// The index on `_id`, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_index: Option<Document>,
}
