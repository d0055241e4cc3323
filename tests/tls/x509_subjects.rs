//! The subject of a client certificate in our words is the name that MongoDB gives the user, to the letter: proven by logging
//! in as a user of that name, on 6.0 and 4.2; and it is what `openssl x509 -nameopt RFC2253` prints, but where MongoDB does
//! not go by that.

use std::fs;
use std::process::Command;

use mongo_blocking::bson::doc;
use mongo_blocking::{Client, Error};
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose, Issued};
use mongo_blocking_test_server::peers::{Mongod, Scratch};

const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const IA5: u8 = 0x16;

const CN: &[u8] = &[0x55, 4, 3];
const OU: &[u8] = &[0x55, 4, 11];
const O: &[u8] = &[0x55, 4, 10];
const STREET: &[u8] = &[0x55, 4, 9];
const TITLE: &[u8] = &[0x55, 4, 12];
const SERIAL: &[u8] = &[0x55, 4, 5];
const DC: &[u8] = &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25];
const UID: &[u8] = &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1];
const EMAIL: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1];
/// 1.2.3.4, which has no name.
const NAMELESS: &[u8] = &[0x2a, 3, 4];

type Part<'a> = (&'a [u8], u8, &'a [u8]);

/// A subject, part by part, and whether MongoDB and OpenSSL write it alike.
fn subjects() -> Vec<(&'static str, Vec<Vec<Part<'static>>>, bool)> {
    let org = || one(O, UTF8, b"odd");
    vec![
        ("plain", vec![org(), one(OU, PRINTABLE, b"people"), one(CN, UTF8, b"ann")], true),
        ("UTF-8", vec![org(), one(CN, UTF8, "Zoë Müller 名前".as_bytes())], true),
        ("special", vec![org(), one(CN, UTF8, br#"a,b+c"d\e<f>g;h=i/j"#)], true),
        ("leading and trailing blanks", vec![org(), one(CN, UTF8, b"  two  ")], true),
        ("leading number sign", vec![org(), one(CN, UTF8, b"#ann #2")], true),
        ("a blank", vec![org(), one(CN, UTF8, b" ")], true),
        ("e-mail", vec![org(), one(CN, UTF8, b"ann"), one(EMAIL, IA5, b"ann@example.com")], true),
        ("domain components", vec![one(DC, IA5, b"com"), one(DC, IA5, b"example"), one(UID, UTF8, b"ann")], true),
        (
            "title, street, serial number",
            vec![
                org(),
                one(STREET, UTF8, b"Main St. 1, 2nd floor"),
                one(TITLE, UTF8, b"Dr."),
                one(SERIAL, PRINTABLE, b"42"),
                one(CN, UTF8, b"ann"),
            ],
            true,
        ),
        (
            "several values in one part",
            vec![org(), [one(CN, UTF8, b"ann"), one(UID, UTF8, b"a1")].concat(), one(OU, UTF8, b"x")],
            true,
        ),
        (
            "the same kind twice in one part",
            vec![org(), [one(OU, UTF8, b"a"), one(OU, UTF8, b"b")].concat(), one(CN, UTF8, b"ann")],
            true,
        ),
        ("a kind without a name", vec![org(), one(NAMELESS, UTF8, b"va,lue"), one(CN, UTF8, b"ann")], false),
    ]
    // At UTF-16 (BMPString) and Latin-1 (T61String) MongoDB closes the connection.
}

fn one(kind: &'static [u8], tag: u8, value: &'static [u8]) -> Vec<Part<'static>> {
    vec![(kind, tag, value)]
}

#[test]
fn subjects_with_unusual_attributes_log_in() {
    for version in ["6.0", "4.2"] {
        let (folder, authority) = (Scratch::new("subjects"), Authority::new());
        let ca = folder.file("ca.pem", authority.pem());
        let server = folder.file("server.pem", authority.issue(CertPurpose::Server, "localhost").both());
        let mechanisms = ["--setParameter", "authenticationMechanisms=SCRAM-SHA-256,MONGODB-X509"];
        let Some(mongod) = Mongod::start_with_tls(version, &server, &ca, &mechanisms) else { return };
        let mut failed = Vec::new();
        for (name, parts, alike) in subjects() {
            let issued = authority.issue_to(&distinguished_name(&parts));
            let own = folder.file("own.pem", issued.both());
            let uri = format!(
                "mongodb://localhost:{}/?serverSelectionTryOnce=true&tlsCAFile={ca}&tlsCertificateKeyFile={own}",
                mongod.port()
            );
            let x509 = format!("{uri}&authMechanism=MONGODB-X509");
            let subject = told(&who(&x509).unwrap_err(), name);
            let openssl = by_openssl(&folder, &issued);
            if alike && subject != openssl {
                failed.push(format!("{version} {name}: ours {subject:?}, openssl {openssl:?}"));
            }
            let create = doc! { "createUser": &subject, "roles": [] };
            Client::with_uri_str(&uri)
                .unwrap()
                .database("$external")
                .run_command(create)
                .run()
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            match who(&x509) {
                Ok(user) if user == subject => {}
                outcome => failed.push(format!("{version} {name}: ours {subject:?}, MongoDB {outcome:?}")),
            }
        }
        assert!(failed.is_empty(), "{}", failed.join("\n"));
    }
}

/// The subject that a refusal tells of.
fn told(refusal: &Error, case: &str) -> String {
    let (_, rest) = refusal.message().split_once("has the subject ").unwrap_or_else(|| panic!("{case}: {refusal}"));
    rest.rsplit_once(" and is valid until").unwrap().0.to_owned()
}

fn by_openssl(folder: &Scratch, issued: &Issued) -> String {
    let path = folder.path().join("alone.pem");
    fs::write(&path, &issued.certificate).unwrap();
    let arguments = ["x509", "-noout", "-subject", "-nameopt", "RFC2253", "-in"];
    let done = Command::new("openssl").args(arguments).arg(&path).output().expect("the openssl command");
    let text = String::from_utf8(done.stdout).unwrap();
    text.trim_end_matches('\n').strip_prefix("subject=").expect("a subject").to_owned()
}

fn who(uri: &str) -> Result<String, Error> {
    let status = Client::with_uri_str(uri)?.database("admin").run_command(doc! { "connectionStatus": 1 }).run()?;
    let users = status.get_document("authInfo").unwrap().get_array("authenticatedUsers").unwrap();
    Ok(users.first().expect("somebody is logged in").as_document().unwrap().get_str("user").unwrap().to_owned())
}

fn distinguished_name(parts: &[Vec<Part<'_>>]) -> Vec<u8> {
    let sets = parts.iter().map(|part| {
        let mut pairs: Vec<Vec<u8>> =
            part.iter().map(|(kind, tag, value)| tlv(0x30, &[tlv(6, kind), tlv(*tag, value)].concat())).collect();
        pairs.sort(); // DER orders the values of a set
        tlv(0x31, &pairs.concat())
    });
    tlv(0x30, &sets.collect::<Vec<_>>().concat())
}

fn tlv(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).unwrap();
    let head = if length < 0x80 { vec![tag, length] } else { vec![tag, 0x81, length] };
    [head, body.to_vec()].concat()
}
