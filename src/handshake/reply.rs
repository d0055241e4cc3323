//! The reply to `hello`: what the server reports about itself, and what it reports about this connection and its user.

use std::sync::Arc;

use bson::oid::ObjectId;
use bson::{RawDocument, RawDocumentBuf};

use crate::description::{self, MAX_MEMBERS, ServerDescription};
use crate::error::Result;

/// A reply to `hello`.
#[derive(Clone, Debug)]
pub(crate) struct Hello {
    pub(crate) description: Arc<ServerDescription>,
    /// The server's number for this connection.
    pub(crate) connection_id: Option<i64>,
    /// Which of the servers behind a load balancer it is.
    pub(crate) service_id: Option<ObjectId>,
    /// The mechanisms for the user that was asked about, as the server lists them.
    pub(crate) supported_mechanisms: Option<Vec<String>>,
    /// The answer to a speculative authentication.
    pub(crate) speculative: Option<RawDocumentBuf>,
}

impl Hello {
    /// Reads a reply to `hello` or its older form. `ok: 0` is the server's own error.
    pub(crate) fn read(reply: &RawDocument) -> Result<Self> {
        Ok(Hello {
            description: Arc::new(ServerDescription::read(reply)?),
            connection_id: description::number(reply, "connectionId")?,
            service_id: description::object_id(reply, "serviceId")?,
            supported_mechanisms: supported_mechanisms(reply),
            speculative: description::document(reply, "speculativeAuthenticate")?.map(RawDocument::to_owned),
        })
    }
}

/// The list is not validated: an entry that is not a string, or a value that is not an array, counts as absent.
fn supported_mechanisms(reply: &RawDocument) -> Option<Vec<String>> {
    let list = reply.get_array("saslSupportedMechs").ok()?;
    Some(list.into_iter().take(MAX_MEMBERS).filter_map(|name| name.ok()?.as_str().map(str::to_owned)).collect())
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;
    use crate::error::Stage;

    #[test]
    fn unusual_mechanism_lists_are_no_error() {
        let list = |reply: RawDocumentBuf| Hello::read(&reply).unwrap().supported_mechanisms;
        assert_eq!(list(rawdoc! { "ok": 1 }), None);
        assert_eq!(list(rawdoc! { "ok": 1, "saslSupportedMechs": 1 }), None);
        assert_eq!(list(rawdoc! { "ok": 1, "saslSupportedMechs": [1, "NEW"] }), Some(vec!["NEW".to_owned()]));
    }

    #[test]
    fn a_field_of_the_wrong_type_is_named() {
        for (reply, words) in [
            (rawdoc! { "ok": 1, "speculativeAuthenticate": 1 }, "speculativeAuthenticate is not a document"),
            (rawdoc! { "ok": 1, "connectionId": "1" }, "connectionId is not a whole number"),
            (rawdoc! { "ok": 1, "serviceId": 1 }, "serviceId is not an ObjectId"),
        ] {
            let error = Hello::read(&reply).unwrap_err();
            assert!(error.message().contains(words), "{words}: {error}");
            assert_eq!(error.stage(), Stage::Hello);
        }
    }
}
