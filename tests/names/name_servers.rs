//! `mongodb+srv` by real name servers: NSD and dnsmasq.

use std::time::{Duration, Instant};

use mongo_blocking::Error;
use mongo_blocking::error::ErrorKind;
use mongo_blocking::options::{ClientOptions, ClientSettings};
use mongo_blocking_test_server::peers::NameServer;

fn resolve(server: &NameServer, uri: &str) -> Result<ClientSettings, Error> {
    ClientOptions::builder()
        .uri(uri)
        .name_servers([server.address().to_string()])
        .build()
        .settings()
        .unwrap()
        .resolve_srv()
}

fn hosts(options: &ClientSettings) -> Vec<String> {
    let mut hosts: Vec<String> = options.hosts().iter().map(ToString::to_string).collect();
    hosts.sort();
    hosts
}

#[test]
fn nsd_names_hosts_and_options() {
    let records = "_mongodb._tcp.cluster.example.com. 300 IN SRV 0 0 27017 db1.example.com.\n\
                   _mongodb._tcp.cluster.example.com. 300 IN SRV 0 0 27018 db2.example.com.\n\
                   cluster.example.com. 300 IN TXT \"replicaS\" \"et=rep\" \"l0\"\n\
                   _other._tcp.cluster.example.com. 300 IN SRV 0 0 27019 db3.example.com.\n\
                   _mongodb._tcp.alias.example.com. 300 IN CNAME _mongodb._tcp.cluster.example.com.\n\
                   alias.example.com. 300 IN CNAME cluster.example.com.\n\
                   _mongodb._tcp.two.example.com. 300 IN SRV 0 0 27017 db1.example.com.\n\
                   two.example.com. 300 IN TXT \"replicaSet=a\"\n\
                   two.example.com. 300 IN TXT \"authSource=b\"\n\
                   text-only.example.com. 300 IN TXT \"replicaSet=a\"\n\
                   _mongodb._tcp.gone.example.com. 300 IN SRV 0 0 0 .";
    let Some(nsd) = NameServer::nsd(records) else { return };
    for name in ["cluster", "CLUSTER", "alias"] {
        let options = resolve(&nsd, &format!("mongodb+srv://{name}.example.com/")).unwrap();
        assert_eq!(hosts(&options), ["db1.example.com:27017", "db2.example.com:27018"]);
        assert_eq!(options.replica_set(), Some("repl0"));
    }
    let options = resolve(&nsd, "mongodb+srv://cluster.example.com/?srvServiceName=other").unwrap();
    assert_eq!(hosts(&options), ["db3.example.com:27019"]);
    for (name, said) in [
        ("missing", "there is no such name"),
        ("text-only", "there is no such name"),
        ("gone", "no such record"),
        ("two", "2 TXT records"),
    ] {
        let error = resolve(&nsd, &format!("mongodb+srv://{name}.example.com/")).unwrap_err();
        assert!(error.message().contains(said), "{name}: {error}");
    }
}

/// A hundred records do not fit into a message over UDP.
#[test]
fn nsd_gives_long_answers_over_tcp() {
    let record = |number| format!("_mongodb._tcp.many.example.com. 60 IN SRV 0 0 {number} db{number}.example.com.\n");
    let records: String = (1..=100).map(record).collect();
    let Some(nsd) = NameServer::nsd(&records) else { return };
    let options = resolve(&nsd, "mongodb+srv://many.example.com/").unwrap();
    assert_eq!(options.hosts().len(), 100);
}

#[test]
fn dnsmasq_names_hosts_and_options() {
    let options = [
        "--srv-host=_mongodb._tcp.cluster.example.com,db1.example.com,27017",
        "--txt-record=cluster.example.com,replicaSet=repl0&authSource=thisDB",
    ];
    let Some(dnsmasq) = NameServer::dnsmasq(&options) else { return };
    let options = resolve(&dnsmasq, "mongodb+srv://cluster.example.com/").unwrap();
    assert_eq!(hosts(&options), ["db1.example.com:27017"]);
    assert_eq!((options.replica_set(), options.auth_source()), (Some("repl0"), Some("thisDB")));
    let log = dnsmasq.log();
    assert_eq!(log.matches("query[").count(), 2, "one question for each kind of record: {log}");
    let error = resolve(&dnsmasq, "mongodb+srv://missing.example.com/").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::DnsResolve { .. }), "{error}");
}

/// The first of two name servers is dead: that costs two seconds.
#[test]
fn a_dead_name_server_before_a_good_one() {
    let record = "_mongodb._tcp.cluster.example.com. 300 IN SRV 0 0 27017 db1.example.com.";
    let Some(nsd) = NameServer::nsd(record) else { return };
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let servers = [silent.local_addr().unwrap(), nsd.address()].map(|address| address.to_string());
    let options = ClientOptions::builder().uri("mongodb+srv://cluster.example.com/").name_servers(servers);
    let began = Instant::now();
    let options = options.build().settings().unwrap().resolve_srv().unwrap();
    let took = began.elapsed();
    assert_eq!(hosts(&options), ["db1.example.com:27017"]);
    assert!((Duration::from_secs(2)..Duration::from_millis(2_400)).contains(&took), "{took:?}");
}
