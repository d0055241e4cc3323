//! The servers at hand, and which cases may run on them.

use std::sync::{Arc, Mutex, OnceLock};

use bson::{Bson, Document, doc};
use mongo_blocking::Client;
use mongo_blocking_test_server::peers::Mongod;

use super::file::{Requirement, Version};
use crate::report::{Part, Skip};

/// A running deployment.
pub struct Deployment {
    pub uri: String,
    /// For preparing and looking afterwards; the cases' own clients are others.
    pub internal: Client,
    pub version: Version,
    topology: &'static str,
    auth: bool,
    parameters: Document,
    /// Held by the case that runs: fail points and collections are the whole server's.
    pub turn: Mutex<()>,
}

/// What a case asks for and a deployment lacks.
enum Lack {
    /// The driver's part, not the server's.
    Encryption,
    Other(String),
}

/// Deployments for a whole test process: a standalone MongoDB 6.0 without access control, and one with it. `None`, after a
/// skip, where there is no mongod.
pub fn standalones() -> Option<&'static [Arc<Deployment>]> {
    static STANDALONES: OnceLock<Option<Vec<Arc<Deployment>>>> = OnceLock::new();
    STANDALONES
        .get_or_init(|| {
            let open = Mongod::shared("6.0")?;
            let guarded = Mongod::shared_with_auth("6.0")?;
            Some(vec![Deployment::standalone(open), Deployment::with_access_control(guarded)])
        })
        .as_deref()
}

/// The first deployment that meets the file's and the test's requirements; else what the first one lacks.
pub fn choose<'a>(
    deployments: &'a [Arc<Deployment>],
    of_file: &[Requirement],
    of_test: &[Requirement],
) -> Result<&'a Arc<Deployment>, Skip> {
    let mut lacks = deployments.iter().map(|deployment| {
        let lack = deployment.lacks(of_file).or_else(|| deployment.lacks(of_test));
        lack.map_or(Ok(deployment), Err)
    });
    let first = lacks.next().expect("at least one deployment");
    first.or_else(|skip| lacks.find_map(Result::ok).ok_or(skip))
}

impl Deployment {
    /// A server without access control.
    pub fn standalone(mongod: &Mongod) -> Arc<Deployment> {
        Arc::new(Deployment::new(mongod.uri(), false))
    }

    /// A server with access control and the user that the test server's crate makes.
    pub fn with_access_control(mongod: &Mongod) -> Arc<Deployment> {
        Arc::new(Deployment::new(mongod.root_uri(), true))
    }

    fn new(uri: String, auth: bool) -> Deployment {
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
        Deployment { uri, internal, version, topology, auth, parameters, turn: Mutex::default() }
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
        let known = self.parameters.get_array("authenticationMechanisms");
        known.is_ok_and(|known| {
            known.iter().any(|name| matches!(name, Bson::String(name) if name.eq_ignore_ascii_case(mechanism)))
        })
    }
}
