//! The servers at hand, and which cases may run on them.

use std::sync::{Arc, Mutex, OnceLock};

use bson::{Bson, Document, doc};
use mongo_blocking::Client;
use mongo_blocking::options::ClientOptionsBuilder;
use mongo_blocking_test_server::peers::Mongod;

use super::file::{Requirement, Version};
use mongo_blocking_test_server::report::{Part, Skip};

/// A running deployment.
pub struct Deployment {
    pub uri: String,
    /// For preparing and looking afterwards; the cases' own clients are others.
    pub internal: Client,
    pub version: Version,
    topology: &'static str,
    pub auth: bool,
    parameters: Document,
    /// How the clients of cases log in that leave it to the runner (`$$placeholder`), where the deployment has such a mechanism.
    pub login: Option<Login>,
    /// Held by the case that runs: fail points and collections are the whole server's.
    pub turn: Mutex<()>,
}

/// A login that no connection string can name.
pub struct Login {
    /// The mechanism that the deployment has for it.
    pub mechanism: &'static str,
    /// A connection string without a login.
    pub uri: String,
    /// Sets what else the mechanism needs.
    pub set: fn(ClientOptionsBuilder) -> ClientOptionsBuilder,
}

/// What a case asks for and a deployment lacks.
enum Lack {
    /// The driver's part, not the server's.
    Encryption,
    Other(String),
}

/// The servers of one generation: the second is started when a case asks for access control.
pub struct AtHand {
    pub open: Arc<Deployment>,
    guarded: fn() -> Option<Arc<Deployment>>,
}

impl AtHand {
    /// A standalone MongoDB 6.0, with access control and without. `None`, after a skip, where there is no mongod.
    pub fn default_generation() -> Option<AtHand> {
        static OPEN: OnceLock<Option<Arc<Deployment>>> = OnceLock::new();
        static GUARDED: OnceLock<Option<Arc<Deployment>>> = OnceLock::new();
        let open = OPEN.get_or_init(|| Mongod::shared("6.0").map(|mongod| Deployment::new(mongod.uri(), false)));
        let guarded = || {
            let start = || Mongod::shared_with_auth("6.0").map(|mongod| Deployment::new(mongod.root_uri(), true));
            GUARDED.get_or_init(start).clone()
        };
        Some(AtHand { open: open.clone()?, guarded })
    }

    /// One server without access control.
    pub fn only(mongod: &Mongod) -> AtHand {
        AtHand { open: Deployment::new(mongod.uri(), false), guarded: || None }
    }

    /// One server with access control, which stands for one of this version: it has the login that servers have from there on.
    pub fn standing_for(version: Version, uri: String, login: Login) -> AtHand {
        let mut open = Deployment::open(uri, true);
        (open.version, open.login) = (version, Some(login));
        AtHand { open: Arc::new(open), guarded: || None }
    }

    /// The server that meets the file's and the test's requirements; else what is lacking.
    pub fn choose(&self, of_file: &[Requirement], of_test: &[Requirement]) -> Result<Arc<Deployment>, Skip> {
        let asks_for_access_control = of_file.iter().chain(of_test).any(|requirement| requirement.auth == Some(true));
        let guarded = asks_for_access_control.then(|| (self.guarded)()).flatten();
        let chosen = guarded.unwrap_or_else(|| self.open.clone());
        chosen.lacks(of_file).or_else(|| chosen.lacks(of_test)).map_or(Ok(chosen), Err)
    }
}

impl Deployment {
    fn new(uri: String, auth: bool) -> Arc<Deployment> {
        Arc::new(Deployment::open(uri, auth))
    }

    fn open(uri: String, auth: bool) -> Deployment {
        let internal = Client::with_uri_str(&uri).expect("a client for the deployment");
        let admin = internal.database("admin");
        let run = |command: Document| admin.run_command(command).run().expect("an answer of the deployment");
        let build = run(doc! {"buildInfo": 1});
        let parameters = run(doc! {"getParameter": "*"});
        // The name that every generation knows; 4.2 has no `hello`.
        let hello = run(doc! {"isMaster": 1});
        let topology = match (hello.get_str("msg"), hello.get_str("setName")) {
            (Ok("isdbgrid"), _) => "sharded",
            (_, Ok(_)) => "replicaset",
            _ => "single",
        };
        let version = Version::of_build(&build).expect("the server's version");
        Deployment { uri, internal, version, topology, auth, parameters, login: None, turn: Mutex::default() }
    }

    /// Why none of the requirements is met; `None` where one is, or there are none.
    fn lacks(&self, requirements: &[Requirement]) -> Option<Skip> {
        let mut reasons = Vec::new();
        for requirement in requirements {
            match self.lack(requirement) {
                None => return None,
                Some(Lack::Encryption) => return Some(Skip::NotBuilt(Part::Encryption)),
                Some(Lack::Other(reason)) if reasons.contains(&reason) => {}
                Some(Lack::Other(reason)) => reasons.push(reason),
            }
        }
        (!reasons.is_empty()).then(|| Skip::Needs(reasons.join(" or ")))
    }

    fn lack(&self, requirement: &Requirement) -> Option<Lack> {
        let other = |text: String| Some(Lack::Other(text));
        let topologies = &requirement.topologies;
        let topology_fits = topologies.contains(&self.topology)
            || (self.topology == "sharded" && topologies.contains(&"sharded-replicaset"));
        if !topologies.is_empty() && !topology_fits {
            return other(format!("a deployment that is {}", topologies.join(" or ")));
        }
        if let Some(min) = requirement.min_server.filter(|min| self.version < *min) {
            return other(format!("a server from {min}"));
        }
        if let Some(max) = requirement.max_server.filter(|max| self.version > *max) {
            return other(format!("a server up to {max}"));
        }
        if requirement.serverless == Some("require") {
            return other("a serverless deployment".to_owned());
        }
        if let Some(auth) = requirement.auth.filter(|auth| *auth != self.auth) {
            return other(format!("access control {}", if auth { "on" } else { "off" }));
        }
        if let Some(mechanism) = requirement.auth_mechanism.as_ref().filter(|mechanism| !self.speaks(mechanism)) {
            return other(format!("the mechanism {mechanism}"));
        }
        for (name, wanted) in &requirement.server_parameters {
            let own = self.parameters.get(name);
            if super::matching::match_nested(wanted, own, &super::case::NoEntities).is_err() || own.is_none() {
                return other(format!("the server parameter {name}: {wanted}"));
            }
        }
        (requirement.encryption == Some(true)).then_some(Lack::Encryption)
    }

    fn speaks(&self, mechanism: &str) -> bool {
        if self.login.as_ref().is_some_and(|login| login.mechanism == mechanism) {
            return true;
        }
        let known = self.parameters.get_array("authenticationMechanisms");
        known.is_ok_and(|known| {
            known.iter().any(|name| matches!(name, Bson::String(name) if name.eq_ignore_ascii_case(mechanism)))
        })
    }
}
