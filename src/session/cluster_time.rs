//! The time of a cluster, which servers tell clients and clients tell servers.

use bson::raw::cstr;
use bson::{Document, RawDocument, RawDocumentBuf, Timestamp};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::operation::body::Body;

/// The longest cluster time that is kept and sent on: it has a timestamp, a hash of 20 bytes and a number.
const MAX_BYTES: usize = 1024;

/// The logical time of a cluster, as a server has reported and signed it.
///
/// [`ClientSession::cluster_time`](crate::ClientSession::cluster_time) returns it, and
/// [`ClientSession::advance_cluster_time`](crate::ClientSession::advance_cluster_time) takes it, so that a session can follow
/// another one. It can be serialized, for a session in another process. Two of them are compared by their timestamps.
#[derive(Clone, Debug)]
pub struct ClusterTime {
    time: Timestamp,
    /// The whole value, with the signature.
    document: RawDocumentBuf,
}

impl ClusterTime {
    /// The value of a reply's `$clusterTime`, if it is one.
    pub(super) fn read(document: &RawDocument) -> Option<Self> {
        let time = timestamp_of(document)?;
        Some(ClusterTime { time, document: document.to_owned() })
    }

    /// Adds `$clusterTime` to a command.
    pub(super) fn append_to(&self, body: &mut Body) {
        body.append(cstr!("$clusterTime"), &*self.document);
    }

    /// Takes the time of a reply in the place of `known` if it is later.
    pub(super) fn advance(known: &mut Option<ClusterTime>, document: &RawDocument) {
        let Some(time) = timestamp_of(document) else { return };
        if known.as_ref().is_none_or(|known| known.time < time) {
            *known = Some(ClusterTime { time, document: document.to_owned() });
        }
    }
}

fn timestamp_of(document: &RawDocument) -> Option<Timestamp> {
    if document.as_bytes().len() > MAX_BYTES {
        log::debug!("a $clusterTime of more than {MAX_BYTES} bytes was ignored");
        return None;
    }
    document.get_timestamp("clusterTime").ok()
}

impl PartialEq for ClusterTime {
    fn eq(&self, other: &Self) -> bool {
        self.time == other.time
    }
}

impl Eq for ClusterTime {}

impl PartialOrd for ClusterTime {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ClusterTime {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.time.cmp(&other.time)
    }
}

impl Serialize for ClusterTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.document.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ClusterTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let document = Document::deserialize(deserializer)?;
        let document = RawDocumentBuf::try_from(&document).map_err(D::Error::custom)?;
        ClusterTime::read(&document).ok_or_else(|| D::Error::custom("a cluster time needs a timestamp `clusterTime`"))
    }
}
