//! Answers to hello and its older names.

use bson::{Bson, DateTime, Document, doc, oid::ObjectId};

/// How the fake server presents itself.
#[derive(Debug, Clone)]
pub(crate) struct HelloOverrides {
    pub(crate) wire_version: i32,
    pub(crate) set_name: Option<String>,
    pub(crate) mongos: bool,
    pub(crate) service_id: Option<ObjectId>,
    /// Set in every answer, over what is there.
    pub(crate) fields: Document,
    /// Left out of every answer.
    pub(crate) without: Vec<String>,
}

impl Default for HelloOverrides {
    fn default() -> Self {
        HelloOverrides {
            wire_version: 17,
            set_name: None,
            mongos: false,
            service_id: None,
            fields: Document::new(),
            without: Vec::new(),
        }
    }
}

impl HelloOverrides {
    /// True if a server of this age knows the command.
    pub(crate) fn knows(&self, name: &str) -> bool {
        name != "hello" || self.wire_version >= WIRE_4_4
    }

    /// True if a server of this age logs in within hello.
    pub(crate) fn speculates(&self) -> bool {
        self.wire_version >= WIRE_4_4
    }

    /// The version that goes with the wire version.
    pub(crate) fn version(&self) -> &'static str {
        match self.wire_version {
            ..=6 => "3.6.23",
            7 => "4.0.28",
            8 => "4.2.6",
            9 => "4.4.2",
            10..=13 => "5.0.4",
            14..=17 => "6.0.5",
            18..=21 => "7.0.0",
            _ => "8.0.0",
        }
    }

    /// The answer to `request`, without anything that has to do with logging in.
    pub(crate) fn answer(&self, request: &Document, address: &str, connection: usize) -> Document {
        let modern = request.keys().next().is_some_and(|name| name == "hello");
        let mut answer = Document::new();
        if let Ok(true) = request.get_bool("helloOk")
            && self.wire_version >= WIRE_4_4
        {
            answer.insert("helloOk", true);
        }
        answer.insert(if modern { "isWritablePrimary" } else { "ismaster" }, true);
        if let Some(name) = &self.set_name {
            answer.extend(doc! {
                "hosts": [address], "setName": name, "setVersion": 1, "secondary": false, "primary": address,
                "me": address, "electionId": ObjectId::from_bytes([0x7f; 12]),
                "lastWrite": {"lastWriteDate": DateTime::now()},
            });
        }
        if self.mongos {
            answer.insert("msg", "isdbgrid");
        }
        if let (Some(id), Ok(true)) = (self.service_id, request.get_bool("loadBalanced")) {
            answer.insert("serviceId", id);
        }
        answer.extend(doc! {
            "maxBsonObjectSize": 16 * 1024 * 1024,
            "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000,
            "localTime": DateTime::now(),
            "logicalSessionTimeoutMinutes": 30,
            "connectionId": i32::try_from(connection).unwrap_or(i32::MAX),
            "minWireVersion": 0,
            "maxWireVersion": self.wire_version,
            "readOnly": false,
        });
        answer
    }

    /// Puts the test's own wishes over a finished answer, and `ok` at its end.
    pub(crate) fn finish(&self, answer: &mut Document) {
        answer.insert("ok", 1.0);
        for (name, value) in &self.fields {
            answer.insert(name, value.clone());
        }
        for name in &self.without {
            answer.remove(name);
        }
    }
}

/// The application's name in a handshake.
pub(crate) fn app_name(request: &Document) -> Option<String> {
    let client = request.get_document("client").ok()?;
    let name = client.get_document("application").ok()?.get_str("name").ok()?;
    Some(name.to_owned())
}

/// The answer to buildInfo.
pub(crate) fn build_info(hello_overrides: &HelloOverrides) -> Document {
    let version = hello_overrides.version();
    let mut numbers: Vec<Bson> = version.split('.').map(|n| Bson::Int32(n.parse().unwrap_or(0))).collect();
    numbers.push(Bson::Int32(0));
    doc! {"version": version, "versionArray": numbers, "modules": [], "maxBsonObjectSize": 16 * 1024 * 1024, "ok": 1.0}
}

/// The wire version of 4.4, the first with the hello command and with a login inside it.
const WIRE_4_4: i32 = 9;
