//! The client's own certificate, before servers that judge it: MongoDB with `--tlsCRLFile`, our fake server, and `openssl s_server`.

use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose, Extras, Issued};
use mongo_blocking_test_server::peers::{CertStatus, Mongod, OcspResponder, SServer, Scratch};

use super::listeners::Listener;
use super::table::{Expected, Table};

#[test]
fn client_certificates_that_servers_accept_and_refuse() {
    let (scratch, authority) = (Scratch::new("tls-matrix-clients"), Authority::new());
    let Some(ocsp_responder) = OcspResponder::new(&authority) else { return };
    let good = authority.issue_with(CertPurpose::Client, "ann", &Extras::default());
    let revoked = authority.issue_with(CertPurpose::Client, "bob", &Extras::default());
    ocsp_responder.enter(&revoked, CertStatus::Revoked);
    let (ca, list) = (scratch.file("ca.pem", authority.pem()), scratch.file("list.pem", ocsp_responder.list(false)));
    let server = authority.issue(CertPurpose::Server, "localhost");
    let key = scratch.file("server.pem", server.both());
    let Some(mongod) = Mongod::start_with_tls("6.0", &key, &ca, &["--tlsCRLFile", &list]) else { return };
    let fake_server =
        FakeServer::builder().tls(&server.certificate, &server.key).client_authority(&authority.pem(), true).start();
    let judging = ["-Verify", "2", "-verify_return_error", "-CAfile", &ca, "-CRL", &list, "-crl_check"];
    let Some(s_server) = SServer::start(&server.both(), &judging) else { return };

    let middle = authority.intermediate();
    let below = middle.issue(CertPurpose::Client, "ann");
    let chain = Issued { certificate: format!("{}{}", below.certificate, middle.pem()), key: below.key };
    let away = Expected::TurnedAway("client certificate");
    let mut table = Table::new("TLS: the client's own certificate");
    for listener in [Listener::Mongod(mongod), Listener::FakeServer(fake_server), Listener::SServer(s_server)] {
        let has_list = !matches!(listener, Listener::FakeServer(_));
        // Who checks one certificate by lists wants one of each authority, and there is none of the intermediate.
        let (of_revoked, of_chain) = if has_list { (away, away) } else { (Expected::Channel, Expected::Channel) };
        for (case, own, expected) in [
            ("valid", Some(&good), Expected::Channel),
            ("revoked, says the server's list", Some(&revoked), of_revoked),
            ("under an intermediate of which the server has no list", Some(&chain), of_chain),
            ("none", None, away),
            ("of another authority", Some(&Authority::new().issue(CertPurpose::Client, "ann")), away),
            ("expired", Some(&authority.issue_expired(CertPurpose::Client, "ann")), away),
        ] {
            let own = own.map(|own| scratch.file("own.pem", own.both()));
            let option = own.map_or("tls=true".to_owned(), |own| format!("tlsCertificateKeyFile={own}"));
            let uri = format!(
                "mongodb://localhost:{}/?serverSelectionTryOnce=true&appName=a%0Ab&tlsCAFile={ca}&{option}",
                listener.port()
            );
            table.row(case, listener.name(), &uri, expected);
        }
    }
    table.finish();
}
