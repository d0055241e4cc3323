//! The deployments at hand, and which cases may run on them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bson::oid::ObjectId;
use bson::{Bson, Document, doc};
use mongo_blocking::Client;
use mongo_blocking::options::ClientOptionsBuilder;
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::{HaProxy, Mongod, ReplicaSet, ReplicaSetOptions};

use super::file::{Requirement, Version};
use mongo_blocking_test_server::report::{Part, Skip};

/// A running deployment.
pub struct Deployment {
    pub uri: String,
    /// With one router as its only seed, where there are several.
    pub uri_of_one_router: Option<String>,
    /// For preparing and looking afterwards; the cases' own clients are others.
    pub internal: Client,
    /// A client for each server, for what is to be done on every one.
    pub servers: Vec<Client>,
    pub facts: Facts,
    /// How the clients of cases log in that leave it to the runner (`$$placeholder`), where the deployment has such a mechanism.
    pub login: Option<Login>,
    /// Held by the case that runs: fail points and collections are the whole deployment's, and those of the set behind routers.
    pub turn: Arc<Mutex<()>>,
}

/// What decides which cases may run on a deployment.
#[derive(Clone, Debug)]
pub struct Facts {
    /// As files name it.
    pub topology: &'static str,
    pub version: Version,
    pub auth: bool,
    /// Known once it runs.
    parameters: Option<Document>,
    /// A mechanism that its parameters do not name.
    mechanism: Option<&'static str>,
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
    Topology(String),
    Other(String),
}

/// The deployments that cases may run on.
pub struct AtHand(Vec<Candidate>);

enum Candidate {
    Running(Arc<Deployment>),
    /// Started when the first case needs it.
    Startable(Kind),
}

/// A deployment that is the same for all tests of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Kind {
    topology: &'static str,
    /// As peers are named: `6.0`.
    generation: &'static str,
    auth: bool,
}

impl AtHand {
    /// MongoDB 6.0 as a standalone and as a replica set, each with access control and without, the set behind routers and behind a
    /// load balancer, and for cases that want older servers MongoDB 4.4 and 4.2.
    pub fn all() -> AtHand {
        let kinds = GENERATIONS.iter().flat_map(|(generation, _)| {
            let kind = |topology, auth| Kind { topology, generation, auth };
            let real =
                [kind("single", false), kind("single", true), kind("replicaset", false), kind("replicaset", true)];
            // Routers pass themselves off as 6.0: hello is theirs.
            let routed = [kind("sharded", false), kind("load-balanced", false)];
            real.into_iter().chain(routed.into_iter().filter(|kind| kind.generation == "6.0"))
        });
        AtHand(kinds.map(Candidate::Startable).collect())
    }

    /// One server without access control.
    pub fn only(mongod: &Mongod) -> AtHand {
        AtHand(vec![Candidate::Running(Deployment::standalone(mongod.uri(), false))])
    }

    /// A replica set of this generation without access control. `None`, after a skip, where there is no such mongod.
    pub fn set(generation: &'static str) -> Option<AtHand> {
        let set = Kind { topology: "replicaset", generation, auth: false }.started()?;
        Some(AtHand(vec![Candidate::Running(set)]))
    }

    /// One server with access control, which stands for one of this version: it has the login that servers have from there on.
    pub fn standing_for(version: Version, uri: String, login: Login) -> AtHand {
        let mut open = Deployment::open(&uri, &[], true);
        open.facts.version = version;
        open.facts.mechanism = Some(login.mechanism);
        open.login = Some(login);
        AtHand(vec![Candidate::Running(Arc::new(open))])
    }

    /// The standalone without access control; `None`, after a skip, where there is no mongod.
    pub fn standalone() -> Option<Arc<Deployment>> {
        Kind { topology: "single", generation: "6.0", auth: false }.started()
    }

    /// Each deployment that meets the file's and the test's requirements; or, where there is none, what is lacking.
    pub fn choose(&self, of_file: &[Requirement], of_test: &[Requirement]) -> Vec<Result<Arc<Deployment>, Skip>> {
        let asks_for_access_control = of_file.iter().chain(of_test).any(|requirement| requirement.auth == Some(true));
        let (mut chosen, mut lacking) = (Vec::new(), Vec::new());
        let mut generation = None;
        for candidate in &self.0 {
            let kind = candidate.kind();
            // An older generation is for cases that the newest can't run.
            if !chosen.is_empty() && kind.is_some_and(|kind| Some(kind.generation) != generation) {
                break;
            }
            // Access control changes nothing for cases that do not ask for it.
            if !asks_for_access_control && kind.is_some_and(|kind| kind.auth) {
                continue;
            }
            let result = candidate.if_it_meets(of_file, of_test);
            match result {
                Err(lack) => lacking.push(lack),
                Ok(found) => {
                    generation = kind.map(|kind| kind.generation);
                    chosen.push(Ok(found));
                }
            }
        }
        if chosen.is_empty() {
            chosen.push(Err(most_telling(lacking)));
        }
        chosen
    }
}

/// Of what the candidates lack: something else than the topology, which one of them has.
fn most_telling(lacking: Vec<Skip>) -> Skip {
    let is_topology = |skip: &Skip| matches!(skip, Skip::Needs(what) if what.starts_with(A_TOPOLOGY));
    let of_topology = lacking.iter().position(|skip| !is_topology(skip));
    lacking.into_iter().nth(of_topology.unwrap_or(0)).unwrap_or_else(|| Skip::Needs("a deployment".to_owned()))
}

impl Candidate {
    fn kind(&self) -> Option<&Kind> {
        match self {
            Candidate::Running(_) => None,
            Candidate::Startable(kind) => Some(kind),
        }
    }

    /// `Err` for what it lacks.
    fn if_it_meets(&self, of_file: &[Requirement], of_test: &[Requirement]) -> Result<Arc<Deployment>, Skip> {
        let meets = |facts: &Facts| facts.lacks(of_file).or_else(|| facts.lacks(of_test)).map_or(Ok(()), Err);
        let deployment = match self {
            Candidate::Running(deployment) => deployment.clone(),
            Candidate::Startable(kind) => {
                meets(&kind.facts())?;
                kind.started().ok_or_else(|| Skip::Needs(format!("MongoDB {}", kind.generation)))?
            }
        };
        meets(&deployment.facts)?;
        Ok(deployment)
    }
}

impl Kind {
    fn facts(&self) -> Facts {
        let version = GENERATIONS.iter().find(|(generation, _)| *generation == self.generation);
        let version = version.map_or(Version([0; 3]), |(_, version)| *version);
        Facts { topology: self.topology, version, auth: self.auth, parameters: None, mechanism: None }
    }

    fn started(&self) -> Option<Arc<Deployment>> {
        type Started = Mutex<HashMap<Kind, Option<Arc<Deployment>>>>;
        static STARTED: std::sync::OnceLock<Started> = std::sync::OnceLock::new();
        let mut started = STARTED.get_or_init(Started::default).lock().unwrap_or_else(PoisonError::into_inner);
        started.entry(*self).or_insert_with(|| self.start()).clone()
    }

    fn start(&self) -> Option<Arc<Deployment>> {
        match (self.topology, self.auth) {
            ("single", false) => {
                Mongod::shared(self.generation).map(|mongod| Deployment::standalone(mongod.uri(), false))
            }
            ("single", true) => {
                Mongod::shared_with_auth(self.generation).map(|mongod| Deployment::standalone(mongod.root_uri(), true))
            }
            ("sharded", _) => routed_set(self.generation).map(|set| Arc::new(Deployment::of_routers(set))),
            ("load-balanced", _) => Deployment::of_load_balancer(routed_set(self.generation)?).map(Arc::new),
            (_, auth) => {
                let set = if auth { ReplicaSet::shared_with_auth } else { ReplicaSet::shared };
                set(self.generation).map(|set| Arc::new(Deployment::of_set(set, auth)))
            }
        }
    }
}

impl Deployment {
    fn standalone(uri: String, auth: bool) -> Arc<Deployment> {
        Arc::new(Deployment::open(&uri, &[], auth))
    }

    fn of_set(set: &ReplicaSet, auth: bool) -> Deployment {
        let members: Vec<String> = (0..set.addresses().len()).map(|n| set.direct_uri(n)).collect();
        Deployment::open(&set.uri(), &members, auth)
    }

    /// Two routers before a set, which live as long as the process.
    fn of_routers(set: &ReplicaSet) -> Deployment {
        let router = |_| {
            &*Box::leak(Box::new(
                FakeServer::builder().mongos().streams_hello().routes_to(&set.addresses(), None).start(),
            ))
        };
        let routers: Vec<&FakeServer> = (0..ROUTERS).map(router).collect();
        let addresses: Vec<String> = routers.iter().map(|router| router.address()).collect();
        let direct: Vec<String> = addresses.iter().map(|at| format!("mongodb://{at}/?directConnection=true")).collect();
        let mut open = Deployment::open(&format!("mongodb://{}/", addresses.join(",")), &direct, false);
        open.uri_of_one_router = Some(format!("mongodb://{}/", addresses[0]));
        open.turn = turn_of_routed_set();
        open
    }

    /// HAProxy before two routers, and they before a set. `None`, after a skip, where there is no HAProxy.
    fn of_load_balancer(set: &ReplicaSet) -> Option<Deployment> {
        let router = |_| {
            let builder = FakeServer::builder().load_balancer(ObjectId::new()).routes_to(&set.addresses(), None);
            &*Box::leak(Box::new(builder.start()))
        };
        let routers: Vec<&FakeServer> = (0..ROUTERS).map(router).collect();
        let addresses: Vec<String> = routers.iter().map(|router| router.address()).collect();
        let balancer: &HaProxy = Box::leak(Box::new(HaProxy::before(&addresses)?));
        let balanced = |address: &str| format!("mongodb://{address}/?loadBalanced=true");
        let direct: Vec<String> = addresses.iter().map(|at| balanced(at)).collect();
        let mut open = Deployment::open(&balanced(&balancer.address()), &direct, false);
        open.facts.topology = "load-balanced";
        open.uri_of_one_router = Some(balanced(&addresses[0]));
        open.turn = turn_of_routed_set();
        Some(open)
    }

    fn open(uri: &str, members: &[String], auth: bool) -> Deployment {
        let client = |uri: &str| Client::with_uri_str(uri).expect("a client for the deployment");
        let internal = client(uri);
        let servers =
            if members.is_empty() { vec![internal.clone()] } else { members.iter().map(|uri| client(uri)).collect() };
        let admin = internal.database("admin");
        let run = |command: Document| admin.run_command(command).run().expect("an answer of the deployment");
        let build = run(doc! {"buildInfo": 1});
        let parameters = Some(run(doc! {"getParameter": "*"}));
        // The name that every generation knows; 4.2 has no `hello`.
        let hello = run(doc! {"isMaster": 1});
        let topology = match (hello.get_str("msg"), hello.get_str("setName")) {
            (Ok("isdbgrid"), _) => "sharded",
            (_, Ok(_)) => "replicaset",
            _ => "single",
        };
        let version = Version::of_build(&build).expect("the server's version");
        let facts = Facts { topology, version, auth, parameters, mechanism: None };
        let uri = uri.to_owned();
        Deployment { uri, uri_of_one_router: None, internal, servers, facts, login: None, turn: Arc::default() }
    }
}

/// The set behind routers. It is another one than that without them, so that cases on both run at the same time.
fn routed_set(generation: &str) -> Option<&'static ReplicaSet> {
    static SET: std::sync::OnceLock<Option<ReplicaSet>> = std::sync::OnceLock::new();
    let set = SET.get_or_init(|| ReplicaSet::start(generation, ReplicaSetOptions::default()));
    set.as_ref().filter(|set| set.version() == generation)
}

/// The turn of the set behind routers, with a load balancer before them and without.
fn turn_of_routed_set() -> Arc<Mutex<()>> {
    static TURN: std::sync::OnceLock<Arc<Mutex<()>>> = std::sync::OnceLock::new();
    TURN.get_or_init(Arc::default).clone()
}

/// For reports: which one it was.
impl std::fmt::Display for Deployment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let access_control = if self.facts.auth { " with access control" } else { "" };
        write!(f, "{} {}{access_control}", self.facts.topology, self.facts.version)
    }
}

impl Facts {
    /// Why none of the requirements is met; `None` where one is, or there are none.
    fn lacks(&self, requirements: &[Requirement]) -> Option<Skip> {
        let mut reasons = Vec::new();
        for requirement in requirements {
            match self.lack(requirement) {
                None => return None,
                Some(Lack::Encryption) => return Some(Skip::NotBuilt(Part::Encryption)),
                Some(Lack::Topology(reason) | Lack::Other(reason)) if reasons.contains(&reason) => {}
                // Said last, so that another lack is told first.
                Some(Lack::Topology(reason)) => reasons.push(reason),
                Some(Lack::Other(reason)) => reasons.insert(0, reason),
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
            return Some(Lack::Topology(format!("{A_TOPOLOGY}{}", topologies.join(" or "))));
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
        for (name, wanted) in self.parameters.iter().flat_map(|_| &requirement.server_parameters) {
            let own = self.parameters.as_ref().and_then(|own| own.get(name));
            if super::matching::match_nested(wanted, own, &super::case::NoEntities).is_err() || own.is_none() {
                return other(format!("the server parameter {name}: {wanted}"));
            }
        }
        (requirement.encryption == Some(true)).then_some(Lack::Encryption)
    }

    /// Whether it has the mechanism, as far as is known.
    fn speaks(&self, mechanism: &str) -> bool {
        let Some(parameters) = &self.parameters else { return true };
        if self.mechanism == Some(mechanism) {
            return true;
        }
        let known = parameters.get_array("authenticationMechanisms");
        known.is_ok_and(|known| {
            known.iter().any(|name| matches!(name, Bson::String(name) if name.eq_ignore_ascii_case(mechanism)))
        })
    }
}

const ROUTERS: usize = 2;
const A_TOPOLOGY: &str = "a deployment that is ";
/// What peers are named by, and the versions that are fetched; the newest first.
const GENERATIONS: [(&str, Version); 3] =
    [("6.0", Version([6, 0, 5])), ("4.4", Version([4, 4, 2])), ("4.2", Version([4, 2, 6]))];
