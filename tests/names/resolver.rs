//! SRV and TXT records from a resolver in code: the rules about them, and what they do to the options.

use std::error::Error as StdError;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use mongo_blocking::error::{ErrorKind, Stage};
use mongo_blocking::options::{ClientOptions, ClientSettings};
use mongo_blocking::{Client, Credential, Error, Resolver, SecurityPolicy, SrvRecord, WarningKind};
use mongo_blocking_test_server::fake_server::FakeServer;

type Answer<T> = Result<Vec<T>, Box<dyn StdError + Send + Sync>>;

/// Gives the same answer to each question, and counts them.
#[derive(Clone)]
struct Records {
    hosts: Vec<SrvRecord>,
    texts: Vec<String>,
    asked: Arc<AtomicUsize>,
}

impl Resolver for Records {
    fn srv(&self, name: &str, within: Duration) -> Answer<SrvRecord> {
        assert!(name.starts_with('_') && name.contains("._tcp.") && !name.ends_with('.'), "{name}");
        assert!(within <= Duration::from_secs(10), "{within:?}");
        self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(self.hosts.clone())
    }

    fn txt(&self, name: &str, _within: Duration) -> Answer<String> {
        assert!(!name.starts_with('_') && !name.ends_with('.'), "{name}");
        Ok(self.texts.clone())
    }
}

fn records(hosts: &[&str], texts: &[&str]) -> Records {
    Records {
        hosts: hosts.iter().map(|host| SrvRecord::new(*host, 27017)).collect(),
        texts: texts.iter().map(|text| text.to_string()).collect(),
        asked: Arc::default(),
    }
}

fn resolve(uri: &str, records: &Records) -> Result<ClientSettings, Error> {
    ClientOptions::builder().uri(uri).resolver(records.clone()).build().settings().unwrap().resolve_srv()
}

fn hosts(options: &ClientSettings) -> Vec<String> {
    options.hosts().iter().map(ToString::to_string).collect()
}

#[test]
fn names_of_fewer_than_three_labels_are_allowed() {
    for (uri, host) in [("mongodb+srv://localhost", "db.localhost"), ("mongodb+srv://mongo.local", "a.mongo.local")] {
        assert_eq!(hosts(&resolve(uri, &records(&[host], &[])).unwrap()), [format!("{host}:27017")]);
    }
}

#[test]
fn a_host_elsewhere_is_refused_with_both_names_and_the_rule() {
    for (name, host) in [
        ("localhost", "localhost.mongodb"),
        ("mongo.local", "test_1.evil.local"),
        ("blogs.mongodb.com", "blogs.evil.com"),
        ("localhost", "localhost"),
        ("mongo.local", "mongo.local"),
        ("localhost", "test_1.cluster_1localhost"),
        ("mongo.local", "test_1.my_hostmongo.local"),
        ("blogs.mongodb.com", "cluster.testmongodb.com"),
    ] {
        let error = resolve(&format!("mongodb+srv://{name}/"), &records(&[host], &[])).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidResponse { .. }) && error.stage() == Stage::Dns, "{error:?}");
        assert!(error.message().contains(host) && error.message().contains(name), "{error}");
        assert!(error.message().contains("not below"), "{error}");
        assert_eq!(error.labels().len(), 0);
        // One bad host among good ones spoils them all.
        let good = format!("db.{name}");
        assert!(resolve(&format!("mongodb+srv://{name}/"), &records(&[&good, host], &[])).is_err());
    }
}

#[test]
fn case_and_a_dot_at_the_end_do_not_count() {
    let records = records(&["DB1.Example.COM.", "db1.example.com", "db2.example.com."], &[]);
    let options = resolve("mongodb+srv://Cluster.EXAMPLE.com./", &records).unwrap();
    assert_eq!(hosts(&options), ["db1.example.com:27017", "db2.example.com:27017"]);
}

#[test]
fn what_is_no_host_name_is_refused() {
    for host in [
        "",
        ".example.com",
        "a..example.com",
        "a b.example.com",
        "a/b.example.com",
        "caf\u{e9}.example.com",
        "10.0.0.1",
    ] {
        let error = resolve("mongodb+srv://cluster.example.com/", &records(&[host], &[])).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidResponse { .. }), "{host}: {error}");
    }
    let mut zero = records(&["db.example.com"], &[]);
    zero.hosts[0].port = 0;
    assert!(resolve("mongodb+srv://cluster.example.com/", &zero).unwrap_err().message().contains("port"));
}

#[test]
fn no_records_are_an_error_that_says_so() {
    let error = resolve("mongodb+srv://cluster.example.com/", &records(&[], &[])).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::DnsResolve { .. }), "{error}");
    assert!(error.message().contains("_mongodb._tcp.cluster.example.com"), "{error}");
    assert!(error.elapsed().is_some());
}

#[test]
fn an_allowed_suffix() {
    let elsewhere = records(&["CLUSTER.MONGODB.COM."], &[]);
    let options = |suffix: &str| {
        ClientOptions::builder()
            .uri("mongodb+srv://blogs.example.net/")
            .resolver(elsewhere.clone())
            .srv_allowed_hosts_suffix(suffix)
            .build()
            .settings()
    };
    let found = options(".mongodb.com").unwrap().resolve_srv().unwrap();
    assert_eq!(hosts(&found), ["cluster.mongodb.com:27017"]);
    assert!(options("example.net").unwrap().resolve_srv().unwrap_err().message().contains("srvAllowedHostsSuffix"));
    for suffix in ["com", "", "a b.com"] {
        assert!(matches!(options(suffix).unwrap_err().kind(), ErrorKind::InvalidArgument { .. }), "{suffix}");
    }
    let without_srv = ClientOptions::builder().host("h").srv_allowed_hosts_suffix("example.net").build().settings();
    assert!(without_srv.unwrap_err().message().contains("mongodb+srv only"));
}

#[test]
fn a_txt_record_sets_three_options_below_everything_else() {
    let text = "authSource=thisDB&replicaSet=repl0&loadBalanced=false";
    let records = records(&["db1.example.com"], &[text]);
    let options = resolve("mongodb+srv://ann:pw@cluster.example.com/shop", &records).unwrap();
    assert_eq!((options.auth_source(), options.replica_set()), (Some("thisDB"), Some("repl0")));
    assert_eq!(options.credential().map(Credential::source), Some("thisDB"), "it beats the database of the URI");
    assert_eq!(options.default_database(), Some("shop"));
    assert!(options.tls().is_some());

    let uri = "mongodb+srv://ann:pw@cluster.example.com/?authSource=otherDB&replicaSet=other&tls=false";
    let options = resolve(uri, &records).unwrap();
    assert_eq!((options.auth_source(), options.replica_set()), (Some("otherDB"), Some("other")));
    assert!(options.tls().is_none());

    let in_code =
        ClientOptions::builder().uri("mongodb+srv://cluster.example.com/").replica_set("mine").resolver(records);
    assert_eq!(in_code.build().settings().unwrap().resolve_srv().unwrap().replica_set(), Some("mine"));
}

/// Options that become a builder or a connection string again are those that were given.
#[test]
fn what_dns_added_can_be_left_out_again() {
    let uri = "mongodb+srv://cluster.example.com/?appName=shop";
    let resolved = resolve(uri, &records(&["db1.example.com"], &["replicaSet=repl0"])).unwrap();
    assert_eq!((resolved.replica_set(), resolved.hosts().len()), (Some("repl0"), 1));
    assert_eq!(resolved.to_uri(false), uri);
    let again = resolved.into_builder().app_name("other").build().settings().unwrap();
    assert_eq!((again.replica_set(), again.hosts().len(), again.app_name()), (None, 0, Some("other")));
    assert_eq!(again.resolve_srv().unwrap().replica_set(), Some("repl0"));
}

#[test]
fn txt_records_that_are_refused() {
    for (texts, said) in [
        (&["replicaSet=a", "authSource=b"][..], "2 TXT records"),
        (&["ssl=false"], "\"ssl\""),
        (&["tls=false"], "\"tls\""),
        (&["socketTimeoutMS=500"], "authSource, replicaSet, loadBalanced only"),
        (&["nonsense=1"], "\"nonsense\""),
        (&["authSource"], "needs a name"),
        (&["=x"], "needs a name"),
        (&["authSource=%zz"], "TXT record of cluster.example.com"),
    ] {
        let error = resolve("mongodb+srv://cluster.example.com/", &records(&["db1.example.com"], texts)).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::InvalidResponse { .. }) && error.stage() == Stage::Dns,
            "{texts:?}: {error:?}"
        );
        assert!(error.message().contains(said), "{error}");
        assert!(error.message().contains("cluster.example.com"), "{error}");
    }
    let empty = resolve("mongodb+srv://cluster.example.com/", &records(&["db1.example.com"], &[""])).unwrap();
    assert_eq!(empty.replica_set(), None);
    let odd =
        resolve("mongodb+srv://cluster.example.com/", &records(&["db1.example.com"], &["loadBalanced=maybe"])).unwrap();
    assert!(
        odd.warnings().iter().any(|warning| warning.kind() == WarningKind::InvalidValue),
        "as in a connection string"
    );
}

#[test]
fn everything_is_validated_again() {
    let two = ["db1.example.com", "db2.example.com"];
    for (query, hosts, text, said) in [
        ("?srvMaxHosts=1", &two[..1], "replicaSet=a", "srvMaxHosts and replicaSet"),
        ("?srvMaxHosts=1", &two[..1], "loadBalanced=true", "srvMaxHosts and loadBalanced"),
        ("?replicaSet=a", &two[..1], "loadBalanced=true", "loadBalanced=true and replicaSet"),
        ("?loadBalanced=true", &two, "", "only one host"),
        ("?authMechanism=MONGODB-X509", &two[..1], "authSource=admin", "MONGODB-X509"),
    ] {
        let error =
            resolve(&format!("mongodb+srv://cluster.example.com/{query}"), &records(hosts, &[text])).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidArgument { .. }), "{error:?}");
        assert!(error.message().contains(said), "{error}");
        let from_txt = error.hint().is_some_and(|hint| hint.contains("the TXT record of cluster.example.com sets"));
        assert_eq!(from_txt, !text.is_empty(), "{error}");
    }
}

#[test]
fn some_of_the_hosts() {
    let names: Vec<String> = (0..9).map(|number| format!("db{number}.example.com")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let records = records(&names, &[]);
    for (max, expected) in [(0, 9), (1, 1), (8, 8), (9, 9), (10, 9)] {
        let uri = format!("mongodb+srv://cluster.example.com/?srvMaxHosts={max}");
        let mut found = hosts(&resolve(&uri, &records).unwrap());
        found.sort();
        found.dedup();
        assert_eq!(found.len(), expected);
    }
    let first = |_| hosts(&resolve("mongodb+srv://cluster.example.com/?srvMaxHosts=1", &records).unwrap()).remove(0);
    let chosen: std::collections::BTreeSet<String> = (0..64).map(first).collect();
    assert!(chosen.len() > 4, "{chosen:?}");
}

#[test]
fn options_stay_as_given_and_each_client_asks_anew() {
    let fake_server = FakeServer::builder().start();
    let mut records = records(&["db.localhost"], &[]);
    records.hosts[0].port = fake_server.port();
    let uri = "mongodb+srv://localhost/?tls=false";
    let options = ClientOptions::builder().uri(uri).resolver(Loopback(records.clone())).build().settings().unwrap();
    for asked in 1..=2 {
        let client = Client::with_options(options.clone()).unwrap();
        client.ping().unwrap();
        assert_eq!(records.asked.load(Ordering::SeqCst), asked);
    }
    assert!(options.hosts().is_empty() && options.srv_host() == Some("localhost"));
    let resolved = options.resolve_srv().unwrap();
    Client::with_options(resolved).unwrap().ping().unwrap();
    assert_eq!(records.asked.load(Ordering::SeqCst), 3, "what was resolved is not asked for again");
}

/// The address of each host too: this machine.
struct Loopback(Records);

impl Resolver for Loopback {
    fn srv(&self, name: &str, within: Duration) -> Answer<SrvRecord> {
        self.0.srv(name, within)
    }

    fn txt(&self, name: &str, within: Duration) -> Answer<String> {
        self.0.txt(name, within)
    }

    fn addresses(&self, host: &str, _within: Duration) -> Option<Answer<IpAddr>> {
        Some(match host {
            "db.localhost" => Ok(vec![[127, 0, 0, 1].into()]),
            "nowhere.example.com" => Ok(Vec::new()),
            _ => Err("a planted failure".into()),
        })
    }
}

#[test]
fn addresses_from_code() {
    let ping = |host: &str, port: u16| {
        let loopback = Loopback(records(&[], &[]));
        let options =
            ClientOptions::builder().host(format!("{host}:{port}")).resolver(loopback).build().settings().unwrap();
        Client::with_options(options).unwrap().ping()
    };
    let fake_server = FakeServer::builder().start();
    ping("db.localhost", fake_server.port()).unwrap();
    for (host, said) in [("nowhere.example.com", "has no address"), ("other.example.com", "planted failure")] {
        let error = ping(host, fake_server.port()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::DnsResolve { .. }) && format!("{error:#}").contains(said), "{error}");
    }
}

#[test]
fn a_resolver_that_fails_or_panics() {
    struct Failing(fn() -> Answer<String>);
    impl Resolver for Failing {
        fn srv(&self, _name: &str, _within: Duration) -> Answer<SrvRecord> {
            Ok(vec![SrvRecord::new("db.example.com", 27017)])
        }
        fn txt(&self, _name: &str, _within: Duration) -> Answer<String> {
            (self.0)()
        }
    }
    let ask = |txt: fn() -> Answer<String>| {
        let options = ClientOptions::builder().uri("mongodb+srv://cluster.example.com/").resolver(Failing(txt));
        options.build().settings().unwrap().resolve_srv().unwrap_err()
    };
    let error = ask(|| Err("a planted failure".into()));
    assert!(
        matches!(error.kind(), ErrorKind::DnsResolve { .. }) && format!("{error:#}").contains("planted failure"),
        "{error}"
    );
    assert!(error.message().contains("TXT"), "a TXT record that cannot be asked for is an error: {error}");
    let error = ask(|| panic!("planted"));
    assert!(matches!(error.kind(), ErrorKind::DnsResolve { .. }) && error.message().contains("panicked"), "{error}");
}

#[test]
fn a_resolver_that_never_answers_costs_the_limit() {
    struct Hanging(std::sync::Mutex<mpsc::Receiver<()>>);
    impl Resolver for Hanging {
        fn srv(&self, _name: &str, _within: Duration) -> Answer<SrvRecord> {
            let _ = self.0.lock().unwrap().recv();
            Ok(Vec::new())
        }
        fn txt(&self, _name: &str, _within: Duration) -> Answer<String> {
            Ok(Vec::new())
        }
    }
    let (hold, held) = mpsc::channel();
    let uri = "mongodb+srv://cluster.example.com/?connectTimeoutMS=200";
    let options = ClientOptions::builder().uri(uri).resolver(Hanging(held.into())).build().settings().unwrap();
    let began = Instant::now();
    let error = Client::with_options(options).unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(
        matches!(error.kind(), ErrorKind::Io(_))
            && error.is_network_timeout()
            && error.message().contains("connectTimeoutMS"),
        "{error}"
    );
    drop(hold);
}

/// Whether a secret leaves this machine is known only once DNS has named the hosts.
#[test]
fn secrets_are_judged_with_the_hosts_that_came() {
    let uri = "mongodb+srv://localhost/?tls=false&authMechanism=MONGODB-OIDC";
    let builder = || {
        ClientOptions::builder()
            .uri(uri)
            .oidc_token_file("/no-such-file")
            .policy(SecurityPolicy::default().refuse_unprotected_secrets(true))
    };
    let elsewhere = builder().resolver(records(&["db.localhost"], &[])).build().settings().unwrap();
    let error = elsewhere.resolve_srv().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::InvalidArgument { .. }) && error.message().contains("MONGODB-OIDC"),
        "{error}"
    );
    let policy = SecurityPolicy::default();
    let warned = builder().policy(policy).resolver(records(&["db.localhost"], &[])).build().settings().unwrap();
    assert!(!warned.warnings().iter().any(|warning| warning.message().contains("MONGODB-OIDC")));
    let warned = warned.resolve_srv().unwrap();
    assert!(warned.warnings().iter().any(|warning| warning.message().contains("MONGODB-OIDC")));
}

#[test]
fn options_that_exclude_each_other() {
    let both =
        ClientOptions::builder().host("h").resolver(records(&[], &[])).name_servers(["127.0.0.1"]).build().settings();
    assert!(both.unwrap_err().message().contains("exclude one another"));
    for servers in [&[][..], &["ns.example.com"], &["127.0.0.1", "nonsense"]] {
        let error = ClientOptions::builder().host("h").name_servers(servers).build().settings().unwrap_err();
        assert!(error.message().contains("name_servers"), "{error}");
    }
    let idle = ClientOptions::builder().host("h").name_servers(["127.0.0.1"]).build().settings().unwrap();
    assert!(idle.warnings().iter().any(|warning| warning.kind() == WarningKind::NoEffect));
}
