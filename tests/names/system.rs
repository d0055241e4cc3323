//! What the name servers of the system are asked. In a mount namespace of its own, a process has another `/etc/resolv.conf`, and
//! dnsmasq, which is named there, notes each question.

use std::net::{Ipv4Addr, ToSocketAddrs};
use std::{env, fs};

use mongo_blocking::Client;
use mongo_blocking::bson::doc;
use mongo_blocking::options::ClientSettings;
use mongo_blocking_test_server::child;
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose};
use mongo_blocking_test_server::peers::{NameServer, Scratch, SocksProxy, free_port};
use mongo_blocking_test_server::users::Mechanism;

#[test]
fn srv_records_by_the_name_servers_of_the_system() {
    if child::has_own_name_server() {
        let options = ClientSettings::parse("mongodb+srv://cluster.example.com/").unwrap().resolve_srv().unwrap();
        assert_eq!(options.hosts()[0].to_string(), "db1.example.com:27017");
        assert_eq!(options.replica_set(), Some("rs0"));
        return;
    }
    let options = [
        "--srv-host=_mongodb._tcp.cluster.example.com,db1.example.com,27017",
        "--txt-record=cluster.example.com,replicaSet=rs0",
    ];
    let Some(dnsmasq) = NameServer::dnsmasq_of_system(Ipv4Addr::new(127, 0, 53, 1), &options) else { return };
    if child::with_name_server(&dnsmasq, module_path!(), "srv_records_by_the_name_servers_of_the_system", &[]).is_some()
    {
        let log = dnsmasq.log();
        assert_eq!(log.matches("query[").count(), 2, "SRV and TXT, and no search list: {log}");
    }
}

#[test]
fn with_a_proxy_no_name_server_hears_of_the_server() {
    const NAME: &str = "db.only-the-proxy-knows.test";
    if child::has_own_name_server() {
        let [server, proxy] = ["SERVER_PORT", "PROXY_PORT"].map(|name| env::var(name).unwrap());
        let uri = format!("mongodb://{NAME}:{server}/?proxyHost=127.0.0.1&proxyPort={proxy}");
        Client::with_uri_str(uri).unwrap().ping().unwrap();
        // The log does note what this process asks for.
        assert!(("witness.test", 1).to_socket_addrs().is_err());
        return;
    }
    let fake_server = FakeServer::builder().start();
    let Some(proxy) = SocksProxy::microsocks(None, &format!("127.0.0.1 {NAME}\n")) else { return };
    let Some(dnsmasq) = NameServer::dnsmasq_of_system(Ipv4Addr::new(127, 0, 53, 2), &[]) else { return };
    let ports = [("SERVER_PORT", fake_server.port().to_string()), ("PROXY_PORT", proxy.port().to_string())];
    if child::with_name_server(&dnsmasq, module_path!(), "with_a_proxy_no_name_server_hears_of_the_server", &ports)
        .is_some()
    {
        let log = dnsmasq.log();
        assert!(log.contains("witness.test") && !log.contains("only-the-proxy-knows"), "{log}");
    }
}

/// The numbers in the guide's page on SRV.
#[test]
fn what_a_new_client_costs() {
    if child::has_own_name_server() {
        let ca_file = env::var("CA_FILE").unwrap();
        let uri = format!("mongodb+srv://ann:pencil@cluster.example.com/?tlsCAFile={ca_file}");
        Client::with_uri_str(uri).unwrap().ping().unwrap();
        return;
    }
    let authority = Authority::new();
    let issued = authority.issue(CertPurpose::Server, "db1.example.com");
    let fake_server = FakeServer::builder()
        .tls(&issued.certificate, &issued.key)
        .user("ann", "pencil", &[Mechanism::ScramSha256], "admin")
        .start();
    let folder = Scratch::new("what-a-client-costs");
    let ca_file = folder.path().join("ca.pem");
    fs::write(&ca_file, authority.pem()).unwrap();
    let options = [
        &format!("--srv-host=_mongodb._tcp.cluster.example.com,db1.example.com,{}", fake_server.port()),
        "--txt-record=cluster.example.com,authSource=admin",
        "--host-record=db1.example.com,127.0.0.1",
    ];
    let Some(dnsmasq) = NameServer::dnsmasq_of_system(Ipv4Addr::new(127, 0, 53, 3), &options) else { return };
    let variables = [("CA_FILE", ca_file.to_str().unwrap().to_owned())];
    if child::with_name_server(&dnsmasq, module_path!(), "what_a_new_client_costs", &variables).is_some() {
        let log = dnsmasq.log();
        let questions = |kind: &str| log.matches(&format!("query[{kind}]")).count();
        assert_eq!(["SRV", "TXT", "A", "AAAA"].map(questions), [1, 1, 1, 1], "{log}");
        assert_eq!((fake_server.connections(), fake_server.logins()), (1, 1));
        let names: Vec<String> = fake_server.commands().into_iter().map(|command| command.name).collect();
        assert_eq!(names, ["isMaster", "saslContinue", "ping", "endSessions"], "the last one when the client ends");
    }
}

/// The same for a set of three, all of them named by DNS.
#[test]
fn what_a_new_client_of_a_set_costs() {
    if child::has_own_name_server() {
        let ca_file = env::var("CA_FILE").unwrap();
        let uri = format!("mongodb+srv://ann:pencil@cluster.example.com/?tlsCAFile={ca_file}");
        let client = Client::with_uri_str(uri).unwrap();
        client.ping().unwrap();
        assert_eq!(client.topology().servers().len(), 3);
        return;
    }
    let authority = Authority::new();
    let names = ["db1.example.com", "db2.example.com", "db3.example.com"];
    let hosts = names.map(|name| (name, free_port()));
    let all: Vec<String> = hosts.iter().map(|(name, port)| format!("{name}:{port}")).collect();
    let member = |(name, port): (&str, u16)| {
        let issued = authority.issue(CertPurpose::Server, name);
        let is_primary = name == names[0];
        FakeServer::builder()
            .port(port)
            .tls(&issued.certificate, &issued.key)
            .user("ann", "pencil", &[Mechanism::ScramSha256], "admin")
            .replica_set("rs0")
            .hello_fields(doc! {
                "hosts": &all, "me": format!("{name}:{port}"), "primary": &all[0],
                "ismaster": is_primary, "secondary": !is_primary,
            })
            .start()
    };
    let members = hosts.map(member);
    let folder = Scratch::new("what-a-client-of-a-set-costs");
    let ca_file = folder.path().join("ca.pem");
    fs::write(&ca_file, authority.pem()).unwrap();
    let mut options = vec!["--txt-record=cluster.example.com,authSource=admin&replicaSet=rs0".to_owned()];
    for (name, port) in hosts {
        options.push(format!("--srv-host=_mongodb._tcp.cluster.example.com,{name},{port}"));
        options.push(format!("--host-record={name},127.0.0.1"));
    }
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let Some(dnsmasq) = NameServer::dnsmasq_of_system(Ipv4Addr::new(127, 0, 53, 6), &options) else { return };
    let variables = [("CA_FILE", ca_file.to_str().unwrap().to_owned())];
    if child::with_name_server(&dnsmasq, module_path!(), "what_a_new_client_of_a_set_costs", &variables).is_some() {
        let log = dnsmasq.log();
        let questions = |kind: &str| log.matches(&format!("query[{kind}]")).count();
        assert_eq!(["SRV", "TXT", "A", "AAAA"].map(questions), [1, 1, 3, 3], "{log}");
        let commands = members.each_ref().map(|member| {
            let names: Vec<String> = member.commands().into_iter().map(|command| command.name).collect();
            (member.connections(), member.logins(), names.join(" "))
        });
        let checked = (1, 0, "isMaster".to_owned());
        let chosen = (1, 1, "isMaster saslStart saslContinue ping endSessions".to_owned());
        assert_eq!(commands, [chosen, checked.clone(), checked]);
    }
}
