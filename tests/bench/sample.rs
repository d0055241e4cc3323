//! The document that is inserted and found, as a struct: the same shape and size as the test server's canned documents.

use mongo_blocking_test_server::canned::{DOCUMENT_BYTES, documents};
use serde::{Deserialize, Serialize};

/// A document of 1 KB.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Sample {
    /// Left out of what is inserted, so that the driver makes one.
    #[serde(rename = "_id", default, skip_serializing_if = "Option::is_none")]
    pub id: Option<i32>,
    /// A number.
    pub number: i64,
    /// Another.
    pub score: f64,
    /// A short text.
    pub name: String,
    /// Yes or no.
    pub active: bool,
    /// Some words.
    pub tags: Vec<String>,
    /// A document within.
    pub place: Place,
    /// What makes it 1 KB.
    pub filler: String,
}

/// A document within.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Place {
    /// A text.
    pub city: String,
    /// Another.
    pub zip: String,
}

impl Sample {
    /// One to insert, without an `_id`.
    pub fn to_insert() -> Sample {
        let document = documents(1).next().expect("one document");
        assert_eq!(document.as_bytes().len(), DOCUMENT_BYTES);
        let sample: Sample = bson::deserialize_from_slice(document.as_bytes()).expect("a sample");
        Sample { id: None, ..sample }
    }
}
