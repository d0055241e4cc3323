//! Replays the conversations in `tests/conversations` against the machines.
//!
//! A conversation is a text: `#` comments, `name: value` settings, then `C:` lines (what we must send) and `S:` lines (what
//! the server answers), and how it ends. Documents are extended JSON, in which `{"$text": "…"}` is a binary that holds this
//! text, and `{"$bson": {…}}` one that holds this document. `K:` lines are what the Kerberos library is asked and answers. A bug
//! report becomes one more file.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, Document, RawDocument, RawDocumentBuf};

use super::{context, credential};
use crate::auth::authenticate;
use crate::auth::cr::Cr;
use crate::auth::mechanism::{Mechanism, Step};
use crate::auth::plain::Plain;
use crate::auth::sasl::Sasl;
use crate::auth::scram::Scram;
use crate::auth::x509::X509;
use crate::credential::{CrCredential, PlainCredential, ScramCredential, ScramMechanism, X509Credential};
use crate::error::{Result, Stage};

struct Conversation {
    name: String,
    settings: HashMap<String, String>,
    client: Vec<RawDocumentBuf>,
    server: Vec<RawDocumentBuf>,
    kerberos: Vec<String>,
}

#[test]
fn every_conversation_ends_as_recorded() {
    let conversations = conversations();
    assert!(conversations.len() >= 45, "only {} conversations found", conversations.len());
    for conversation in &conversations {
        let outcome = conversation.replay();
        match (conversation.settings["end"].as_str(), outcome) {
            ("logged in", outcome) => outcome.unwrap_or_else(|error| panic!("{}: {error}", conversation.name)),
            ("refused", outcome) => {
                let error = outcome.expect_err(&conversation.name);
                let words = &conversation.settings["error"];
                assert!(error.message().contains(words), "{}: {error} does not say: {words}", conversation.name);
                let step = conversation.settings["step"].as_str();
                let Stage::Authentication { mechanism, step: at } = error.stage() else { panic!("{error}") };
                assert_eq!(
                    (mechanism, at),
                    (conversation.settings["mechanism"].as_str(), step),
                    "{}: {error}",
                    conversation.name
                );
            }
            (other, _) => panic!("{}: unknown end {other:?}", conversation.name),
        }
    }
}

#[test]
fn a_refused_conversation_stays_dead() {
    let conversations = conversations();
    let good = conversations.iter().find(|one| one.name == "sha256-rfc7677.txt").unwrap();
    for conversation in conversations.iter().filter(|one| one.settings["end"] == "refused") {
        let mut machine = conversation.machine();
        conversation.begin(machine.as_mut());
        // A reply with ok: 0 never reaches a machine; the runner drops the machine then.
        let failed = conversation.server.iter().any(|reply| machine.step(reply).is_err());
        if !failed {
            continue;
        }
        for reply in good.server.iter().chain(&conversation.server) {
            assert!(machine.step(reply).is_err(), "{} came back to life", conversation.name);
        }
        assert!(machine.start().is_err());
    }
}

/// Whatever is cut off a conversation's end, nobody is logged in.
#[test]
fn no_part_of_a_conversation_logs_in() {
    for conversation in conversations().iter().filter(|one| one.settings["end"] == "logged in") {
        for kept in 0..conversation.server.len() {
            let mut machine = conversation.machine();
            conversation.begin(machine.as_mut());
            for reply in &conversation.server[..kept] {
                assert!(matches!(machine.step(reply), Ok(Step::Send(_))), "{}", conversation.name);
            }
        }
    }
}

impl Conversation {
    fn mechanism(&self) -> ScramMechanism {
        match self.settings["mechanism"].as_str() {
            "SCRAM-SHA-1" => ScramMechanism::Sha1,
            "SCRAM-SHA-256" => ScramMechanism::Sha256,
            other => panic!("{}: unknown mechanism {other}", self.name),
        }
    }

    fn speculative(&self) -> bool {
        self.settings.get("speculative").is_some_and(|value| value == "yes")
    }

    fn machine(&self) -> Box<dyn Mechanism> {
        #[cfg(feature = "aws")]
        if self.settings["mechanism"] == "MONGODB-AWS" {
            return self.aws();
        }
        #[cfg(feature = "oidc")]
        if self.settings["mechanism"] == "MONGODB-OIDC" {
            return self.oidc();
        }
        if self.settings["mechanism"] == "GSSAPI" {
            let machine = crate::auth::gssapi::tests::scripted(&self.settings["user"], &self.kerberos);
            return Box::new(Sasl::new(machine, crate::credential::EXTERNAL));
        }
        if self.settings["mechanism"] == "MONGODB-X509" {
            let credential = X509Credential { username: self.settings.get("user").cloned() };
            return Box::new(X509::new(&credential, None));
        }
        let user = credential(&self.settings["user"], &self.settings["password"]);
        let ScramCredential { username, password, .. } = user.clone();
        match self.settings["mechanism"].as_str() {
            "PLAIN" => {
                let source = crate::credential::EXTERNAL.to_owned();
                let credential = PlainCredential { username, password, source };
                return Box::new(Sasl::new(Plain::new(&credential), &credential.source));
            }
            "MONGODB-CR" => return Box::new(Cr::new(&CrCredential { username, password, source: user.source })),
            _ => {}
        }
        let mut context = context();
        if let Some(limit) = self.settings.get("max iterations") {
            context.scram.max_iterations = limit.parse().unwrap();
        }
        let scram = Scram::with_nonce(&user, self.mechanism(), &context.scram, self.settings["nonce"].clone()).unwrap();
        Box::new(Sasl::new(scram, "admin"))
    }

    #[cfg(feature = "aws")]
    fn aws(&self) -> Box<dyn Mechanism> {
        use crate::auth::aws::tests::machine;
        use crate::system::TestSystem;

        let mut keys = crate::AwsKeys::new(&self.settings["user"], self.settings["password"].as_str());
        keys.session_token = self.settings.get("token").map(|token| token.as_str().into());
        let system = TestSystem::at(self.settings["seconds"].parse().unwrap());
        Box::new(Sasl::new(machine(keys, system), crate::credential::EXTERNAL))
    }

    /// A service with `token`, or, with `person: yes`, a person who gets it from the provider that the server names.
    #[cfg(feature = "oidc")]
    fn oidc(&self) -> Box<dyn Mechanism> {
        use crate::auth::oidc::Oidc;
        use crate::credential::{OidcCredential, OidcSource, SharedOidcCallback};
        use crate::{AllowedHosts, IdpServerResponse, OidcCallbackContext};

        let (token, issuer) = (self.settings["token"].clone(), self.settings.get("issuer").cloned());
        let callback = SharedOidcCallback::new(move |context: &OidcCallbackContext| {
            assert_eq!(context.idp_info.as_ref().map(|info| &info.issuer), issuer.as_ref());
            Ok(IdpServerResponse::new(token.as_str()))
        });
        let source = match self.settings.contains_key("person") {
            true => OidcSource::HumanCallback { callback, allowed_hosts: AllowedHosts::default() },
            false => OidcSource::Callback(callback),
        };
        let credential = OidcCredential { username: self.settings.get("user").cloned(), source };
        let machine = Oidc::new(&credential, &context().oidc, &crate::auth::tests::localhost());
        Box::new(Sasl::new(machine, crate::credential::EXTERNAL))
    }

    fn begin(&self, machine: &mut dyn Mechanism) -> RawDocumentBuf {
        if self.speculative() { machine.speculative().unwrap().unwrap() } else { machine.start().unwrap() }
    }

    fn replay(&self) -> Result<()> {
        let mut machine = self.machine();
        let source = machine.source().to_owned();
        let mut client = self.client.iter();
        let mut server = self.server.iter();
        let mut first = None;
        if self.speculative() {
            assert_eq!(Some(&self.begin(machine.as_mut())), client.next(), "{}", self.name);
            first = server.next().map(|reply| &**reply);
        }
        let outcome = authenticate(machine, first, &mut |database: &str, command: &RawDocument| {
            assert_eq!(database, source);
            assert_eq!(Some(command), client.next().map(|own| &**own), "{}", self.name);
            Ok(server.next().expect("an answer").clone())
        });
        assert!(client.next().is_none() && server.next().is_none(), "{}: it ended early: {outcome:?}", self.name);
        outcome.map(drop)
    }
}

fn conversations() -> Vec<Conversation> {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "conversations"].iter().collect();
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let missing = |mechanism: &str| match mechanism {
        "MONGODB-AWS" => !cfg!(feature = "aws"),
        "MONGODB-OIDC" => !cfg!(feature = "oidc"),
        _ => false,
    };
    files.iter().map(parse).filter(|one| !missing(&one.settings["mechanism"])).collect()
}

fn parse(path: &PathBuf) -> Conversation {
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let (mut settings, mut client, mut server, mut kerberos) = (HashMap::new(), Vec::new(), Vec::new(), Vec::new());
    for line in fs::read_to_string(path).unwrap().lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (key, value) = line.split_once(": ").unwrap_or_else(|| panic!("{name}: {line}"));
        match key {
            "C" => client.push(document(value)),
            "S" => server.push(document(value)),
            "K" => kerberos.push(value.to_owned()),
            _ => assert!(settings.insert(key.to_owned(), value.to_owned()).is_none(), "{name}: {key} twice"),
        }
    }
    Conversation { name, settings, client, server, kerberos }
}

fn document(json: &str) -> RawDocumentBuf {
    let mut plain = String::new();
    let mut rest = json;
    while let Some((before, text)) = rest.split_once(r#"{"$text": ""#) {
        let (text, after) = text.split_once(r#""}"#).expect("an end of the text");
        plain += before;
        plain += &format!(r#"{{"$binary": {{"base64": "{}", "subType": "00"}}}}"#, STANDARD.encode(text));
        rest = after;
    }
    plain += rest;
    let mut document: Document = serde_json::from_str(&plain).unwrap_or_else(|error| panic!("{plain}: {error}"));
    for (_, value) in document.iter_mut() {
        if let Some(Bson::Document(inner)) = value.as_document().and_then(|value| value.get("$bson")) {
            *value = Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: inner.to_vec().unwrap() });
        }
    }
    RawDocumentBuf::try_from(&document).unwrap()
}
