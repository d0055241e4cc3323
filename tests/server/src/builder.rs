//! What a test sets before a fake server starts.

use std::fmt::{self, Debug};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Condvar, Mutex, OnceLock};

use bson::{Document, oid::ObjectId};
use openssl::pkey::PKey;
use openssl::ssl::{SslAcceptor, SslMethod, SslVerifyMode, SslVersion};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;

use crate::behaviour::{Answer, Behaviour, Behaviours, Handler};
use crate::canned::Answers;
use crate::cr::CrUser;
use crate::fake_server::{FakeServer, State};
use crate::forward::Upstream;
use crate::hello::HelloOverrides;
use crate::router::Router;
use crate::sasl_server::{SaslServer, Start};
use crate::script::Script;
use crate::session;
use crate::users::{Mechanism, User};
use crate::wire::Request;

/// Builds a [`FakeServer`].
#[derive(Default)]
pub struct FakeServerBuilder {
    port: u16,
    users: Vec<NewUser>,
    mechanisms: Vec<(String, Box<Start>)>,
    cr_users: Vec<CrUser>,
    iterations: Option<u32>,
    hello_overrides: HelloOverrides,
    behaviours: Behaviours,
    handler: Option<Box<Handler>>,
    upstream_server: Option<Upstream>,
    tls: Option<Tls>,
    no_log: bool,
    canned: Option<Answers>,
    router: Option<Router>,
    streams_hello: bool,
}

struct NewUser {
    name: String,
    password: String,
    mechanisms: Vec<Mechanism>,
    database: String,
}

struct Tls {
    certificate: String,
    key: String,
    client_authority: Option<(String, bool)>,
    only_tls_1_2: bool,
    breaks_off_resumption: bool,
    staple: Option<Vec<u8>>,
}

impl FakeServerBuilder {
    /// Listens on this port instead of a free one.
    pub fn port(mut self, port: u16) -> FakeServerBuilder {
        self.port = port;
        self
    }

    /// Adds a user. With at least one, commands want a login.
    pub fn user(mut self, name: &str, password: &str, mechanisms: &[Mechanism], database: &str) -> FakeServerBuilder {
        self.users.push(NewUser {
            name: name.to_owned(),
            password: password.to_owned(),
            mechanisms: mechanisms.to_vec(),
            database: database.to_owned(),
        });
        self
    }

    /// Adds a user who has credentials for MONGODB-CR only. Commands want a login then.
    pub fn cr_user(mut self, name: &str, password: &str, database: &str) -> FakeServerBuilder {
        let [name, password, database] = [name, password, database].map(str::to_owned);
        self.cr_users.push(CrUser { name, password, database });
        self
    }

    /// Adds a SASL mechanism. `start` begins a conversation about a user of the database that it is given. With at least
    /// one, commands want a login.
    pub fn mechanism(
        mut self,
        name: &str,
        start: impl Fn(&str) -> Box<dyn SaslServer> + Send + Sync + 'static,
    ) -> FakeServerBuilder {
        self.mechanisms.push((name.to_owned(), Box::new(start)));
        self
    }

    /// Iterations of the stored credentials; by default 10,000 for SCRAM-SHA-1 and 15,000 for SCRAM-SHA-256.
    pub fn iterations(mut self, iterations: u32) -> FakeServerBuilder {
        self.iterations = Some(iterations);
        self
    }

    /// Adds a way of breaking the rules.
    pub fn behaviour(mut self, behaviour: Behaviour) -> FakeServerBuilder {
        self.behaviours.0.push(behaviour);
        self
    }

    /// Asks `handler` first about every command. It gets the command and the connection's number.
    pub fn on_command(
        mut self,
        handler: impl Fn(&Request, usize) -> Option<Answer> + Send + Sync + 'static,
    ) -> FakeServerBuilder {
        self.handler = Some(Box::new(handler));
        self
    }

    /// Takes TLS connections only, with this certificate and key (PEM).
    pub fn tls(mut self, certificate: &str, key: &str) -> FakeServerBuilder {
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        self.tls = Some(Tls {
            certificate,
            key,
            client_authority: None,
            only_tls_1_2: false,
            breaks_off_resumption: false,
            staple: None,
        });
        self
    }

    /// Checks client certificates against this authority (PEM); `required` refuses clients without one. After `tls`.
    pub fn client_authority(mut self, pem: &str, required: bool) -> FakeServerBuilder {
        if let Some(tls) = &mut self.tls {
            tls.client_authority = Some((pem.to_owned(), required));
        }
        self
    }

    /// Staples these bytes as its OCSP answer, whatever they are. After `tls`.
    pub fn staples(mut self, answer: &[u8]) -> FakeServerBuilder {
        if let Some(tls) = &mut self.tls {
            tls.staple = Some(answer.to_vec());
        }
        self
    }

    /// Speaks TLS 1.2 and nothing newer. After `tls`.
    pub fn only_tls_1_2(mut self) -> FakeServerBuilder {
        if let Some(tls) = &mut self.tls {
            tls.only_tls_1_2 = true;
        }
        self
    }

    /// Hands out sessions, and breaks off the handshake at a client that takes one up: what OpenSSL does in a server that
    /// checks client certificates and has no session id context. After `client_authority`.
    pub fn breaks_off_resumption(mut self) -> FakeServerBuilder {
        if let Some(tls) = &mut self.tls {
            tls.breaks_off_resumption = true;
        }
        self
    }

    /// Hands every command that is not about logging in to the server at `address` ("127.0.0.1:port"); with a credential
    /// (name and password in `admin`) the fake server logs in there by SCRAM-SHA-256.
    pub fn forward_to(mut self, address: &str, credential: Option<(&str, &str)>) -> FakeServerBuilder {
        let credential = credential.map(|(user, password)| (user.to_owned(), password.to_owned()));
        self.upstream_server = Some(Upstream { address: address.to_owned(), credential, ..Upstream::default() });
        self
    }

    /// Hands every command that is not about logging in to the primary of the set with these members, as mongos would, and keeps to
    /// itself which cursors and transactions began here: it refuses those of another router. Fail points of commands that are handed
    /// on are handed on too. Goes together with [`mongos`](Self::mongos) or [`load_balancer`](Self::load_balancer).
    pub fn routes_to(mut self, members: &[String], credential: Option<(&str, &str)>) -> FakeServerBuilder {
        let credential = credential.map(|(user, password)| (user.to_owned(), password.to_owned()));
        self.upstream_server = Some(Upstream { members: members.to_vec(), credential, ..Upstream::default() });
        self.router = Some(Router::default());
        self
    }

    /// Presents itself as a server of this wire version (17, that is 6.0, by default). Below 9 (4.4) it knows neither the
    /// hello command nor speculative authentication.
    pub fn wire_version(mut self, version: i32) -> FakeServerBuilder {
        self.hello_overrides.wire_version = version;
        self
    }

    /// Presents itself as the primary, and only member, of this replica set.
    pub fn replica_set(mut self, name: &str) -> FakeServerBuilder {
        self.hello_overrides.set_name = Some(name.to_owned());
        self
    }

    /// Presents itself as mongos.
    pub fn mongos(mut self) -> FakeServerBuilder {
        self.hello_overrides.mongos = true;
        self
    }

    /// Presents itself as mongos behind a load balancer: hello with `loadBalanced: true` is answered with this serviceId.
    pub fn load_balancer(mut self, service: ObjectId) -> FakeServerBuilder {
        self.hello_overrides.mongos = true;
        self.hello_overrides.service_id = Some(service);
        self
    }

    /// Has a topologyVersion, and answers a hello that waits for another one when there is one
    /// ([`FakeServer::change_hello`](crate::fake_server::FakeServer::change_hello)) or its maxAwaitTimeMS is over; if the client allows
    /// it, again and again (an exhaust command).
    pub fn streams_hello(mut self) -> FakeServerBuilder {
        self.streams_hello = true;
        self
    }

    /// Sets fields in every answer to hello, over what is there.
    pub fn hello_fields(mut self, fields: Document) -> FakeServerBuilder {
        self.hello_overrides.fields.extend(fields);
        self
    }

    /// Leaves a field out of every answer to hello.
    pub fn hello_without(mut self, field: &str) -> FakeServerBuilder {
        self.hello_overrides.without.push(field.to_owned());
        self
    }

    /// Counts commands without keeping them.
    pub fn without_log(mut self) -> FakeServerBuilder {
        self.no_log = true;
        self
    }

    /// Answers ping, insert, find and getMore with what was made beforehand (after the login, if there are users). They
    /// are neither counted nor logged, and no behaviour or fail point touches them.
    pub fn canned(mut self, answers: Answers) -> FakeServerBuilder {
        self.canned = Some(answers);
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// If the port can't be listened on, or OpenSSL refuses a certificate or key.
    pub fn start(self) -> FakeServer {
        let users = self.users.iter().map(|u| {
            User::new(&u.name, &u.password, &u.mechanisms, &u.database, self.iterations).expect("credentials")
        });
        let state = Arc::new(State {
            users: users.collect(),
            mechanisms: self.mechanisms,
            cr_users: self.cr_users,
            hello_overrides: self.hello_overrides,
            behaviours: Mutex::new(self.behaviours),
            handler: self.handler,
            fail_point: Mutex::default(),
            store: Mutex::default(),
            upstream_server: self.upstream_server,
            tls: self.tls.as_ref().map(|tls| acceptor(tls).expect("a certificate and its key")),
            canned: self.canned,
            router: self.router,
            topology_version: self.streams_hello.then(Mutex::default),
            topology_changed: Condvar::new(),
            counters: Arc::default(),
            logins: AtomicUsize::new(0),
            upstreams: Mutex::default(),
            address: OnceLock::new(),
            commands: AtomicUsize::new(0),
            log: (!self.no_log).then(Mutex::default),
            stopped: Mutex::new(false),
            stopping: Condvar::new(),
        });
        let of_connections = Arc::clone(&state);
        let script = Script::start_on(self.port, move |tcp, number| session::serve(&of_connections, tcp, number));
        let _ = state.address.set(script.address());
        FakeServer { state, script }
    }
}

impl Debug for FakeServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeServerBuilder").field("dress", &self.hello_overrides).finish_non_exhaustive()
    }
}

fn acceptor(tls: &Tls) -> Result<SslAcceptor, openssl::error::ErrorStack> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    let mut chain = X509::stack_from_pem(tls.certificate.as_bytes())?.into_iter();
    if let Some(leaf) = chain.next() {
        builder.set_certificate(&leaf)?;
    }
    for intermediate in chain {
        builder.add_extra_chain_cert(intermediate)?;
    }
    builder.set_private_key(&*PKey::private_key_from_pem(tls.key.as_bytes())?)?;
    builder.check_private_key()?;
    if tls.only_tls_1_2 {
        builder.set_max_proto_version(Some(SslVersion::TLS1_2))?;
    }
    if !tls.breaks_off_resumption {
        builder.set_session_id_context(b"fake server")?;
    }
    if let Some(staple) = tls.staple.clone() {
        builder.set_status_callback(move |ssl| ssl.set_ocsp_status(&staple).map(|()| true))?;
    }
    if let Some((pem, required)) = &tls.client_authority {
        let mut store = X509StoreBuilder::new()?;
        for authority in X509::stack_from_pem(pem.as_bytes())? {
            builder.add_client_ca(&authority)?;
            store.add_cert(authority)?;
        }
        builder.set_verify_cert_store(store.build())?;
        let fail = if *required { SslVerifyMode::FAIL_IF_NO_PEER_CERT } else { SslVerifyMode::empty() };
        builder.set_verify(SslVerifyMode::PEER | fail);
    }
    Ok(builder.build())
}
