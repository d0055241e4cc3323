//! What all tests here share: the KDC with its users and services, and the acceptor behind a fake server.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use mongo_blocking_test_server::fake_server::{FakeServer, FakeServerBuilder};
use mongo_blocking_test_server::gssapi::{Acceptor, Tamper};
use mongo_blocking_test_server::peers::Kdc;

use crate::child::Login;

/// The KDC and an honest acceptor.
pub struct Realm {
    pub kdc: Kdc,
    pub acceptor: Arc<Acceptor>,
}

/// Ann, whose password is [`PASSWORD`]; her key is in the keytab `ann.keytab` too.
pub const ANN: &str = "ann@TEST.LOCAL";
pub const PASSWORD: &str = "pencil";

/// Bob, of the other realm, with the same password.
pub const BOB: &str = "bob@OTHER.LOCAL";

/// The services, all with their keys in one keytab.
const SERVICES: &[&str] = &[
    "mongodb/localhost@TEST.LOCAL",
    "database/localhost@TEST.LOCAL",
    "mongodb/db.test.local@TEST.LOCAL",
    "name/db.test.local@TEST.LOCAL",
    "name/db.test.local@OTHER.LOCAL",
    "mongodb/alias.test.local@TEST.LOCAL",
    "mongodb/forward.test.local@TEST.LOCAL",
    "mongodb/reverse.test.local@TEST.LOCAL",
    "mongodb/rotated.test.local@TEST.LOCAL",
    "mongodb/localhost@OTHER.LOCAL",
    "mongodb/windows.test.local@TEST.LOCAL",
    "windows/localhost@TEST.LOCAL",
    "windows/localhost@OTHER.LOCAL",
    "windows/db.test.local@OTHER.LOCAL",
    "mongodb/db.other.local@OTHER.LOCAL",
];

impl Realm {
    /// Started at the first call, ended with the test process. `None`, after a skip, where something is missing.
    pub fn shared() -> Option<&'static Realm> {
        static REALM: OnceLock<Option<Realm>> = OnceLock::new();
        REALM.get_or_init(Realm::start).as_ref()
    }

    fn start() -> Option<Realm> {
        let kdc = Kdc::start()?;
        kdc.add_user(ANN, PASSWORD);
        kdc.add_user(BOB, PASSWORD);
        kdc.add_user("mongodbuser@TEST.LOCAL", PASSWORD);
        kdc.add_user("+requires_preauth strict@TEST.LOCAL", PASSWORD);
        kdc.export(ANN, "ann.keytab");
        SERVICES.iter().for_each(|service| drop(kdc.add_service(service, "services.keytab")));
        let acceptor = Acceptor::start(&kdc, &kdc.file("services.keytab"), 1)?;
        Some(Realm { kdc, acceptor })
    }

    /// A server that takes GSSAPI, honest or not.
    pub fn fake_server(&self, tamper: Tamper) -> FakeServer {
        served(&self.acceptor, tamper)
    }

    /// A configuration with a file of this name as the system's own cache.
    pub fn with_system_cache(&self, cache: &str) -> PathBuf {
        let configuration = fs::read_to_string(self.kdc.file("krb5.conf")).unwrap();
        let named = format!("[libdefaults]\n default_ccache_name = FILE:{}", self.kdc.file(cache).display());
        let file = self.kdc.file(&format!("{cache}.conf"));
        fs::write(&file, configuration.replace("[libdefaults]", &named)).unwrap();
        file
    }

    /// A login at `fake server` as `user` (percent-encoded, perhaps with a password), with more mechanism properties.
    pub fn login(&self, fake_server: &FakeServer, user: &str, properties: &str) -> Login {
        self.login_at(&fake_server.address().replace("127.0.0.1", "localhost"), user, properties)
    }

    /// The same, at an address of the test's choosing.
    pub fn login_at(&self, address: &str, user: &str, properties: &str) -> Login {
        let properties = match properties {
            "" => String::new(),
            some => format!("&authMechanismProperties={some}"),
        };
        let uri = format!("mongodb://{user}@{address}/?authMechanism=GSSAPI{properties}");
        Login { environment: self.kdc.environment(), ..Login::new(uri) }
    }
}

/// A fake server with this acceptor behind it.
pub fn served(acceptor: &Arc<Acceptor>, tamper: Tamper) -> FakeServer {
    let acceptor = acceptor.clone();
    FakeServerBuilder::default().mechanism("GSSAPI", move |_| acceptor.sasl_server(tamper)).start()
}
