//! Parse, write, parse again: equal. And whatever the bytes: no panic.

use mongo_blocking::options::{ClientOptions, ClientSettings};

use super::parse;

/// A source of bytes that is the same in every run (xorshift64*).
struct Bytes(u64);

impl Bytes {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

const USERS: &[&str] = &["", "ann:p@", "a%40n+n:p%2Fs%25+%E2%82%AC@", "ann:%20@", "U@", "@", "a%2Cb:%26;=@"];
const HOSTS: &[&str] =
    &["h", "H.example.com:1", "[::1]", "[fe80::1%25eth0]:9", "%2Ftmp%2Fa%20b.sock", "127.0.0.1:65535", "a_b,c"];
const PATHS: &[&str] = &["", "/", "/db", "/d%3Db.x", "/%E2%82%AC"];
const OPTIONS: &[&str] = &[
    "w=1",
    "w=majority",
    "w=my%20rule%26",
    "wTimeoutMS=5",
    "wtimeout=7",
    "journal=true",
    "j=0",
    "tls=true",
    "ssl=false",
    "tlsCAFile=/a/b%26c;d",
    "ssl_ca_certs=/x",
    "ssl_certfile=/c",
    "ssl_keyfile=/k",
    "ssl_cert_reqs=CERT_NONE",
    "ssl_match_hostname=false",
    "tlsCertificateKeyFilePassword=p%26%3Dq",
    "authMechanism=GSSAPI",
    "authMechanism=MONGODB-AWS",
    "authMechanism=MONGODB-OIDC",
    "authMechanism=SCRAM-SHA-1",
    "authMechanism=PLAIN",
    "authMechanismProperties=SERVICE_NAME:x,CANONICALIZE_HOST_NAME:forward",
    "authMechanismProperties=ENVIRONMENT:azure,TOKEN_RESOURCE:mongodb://a%2Cb",
    "authMechanismProperties=AWS_SESSION_TOKEN:a%2Bb/c%3D",
    "authSource=$external",
    "authSource=a b",
    "gssapiServiceName=svc",
    "readPreference=nearest",
    "readPreferenceTags=dc:ny,rack:1",
    "readPreferenceTags=",
    "readPreferenceTags=a%20b:c%26d",
    "maxStalenessSeconds=120",
    "readConcernLevel=majority",
    "retryWrites=true",
    "retryReads=false",
    "connectTimeoutMS=0",
    "timeoutMS=0",
    "socketTimeoutMS=3",
    "maxPoolSize=0",
    "minPoolSize=3",
    "replicaSet=my@set",
    "directConnection=true",
    "compressors=zlib,zstd",
    "zlibCompressionLevel=-1",
    "proxyHost=p",
    "proxyPort=2",
    "proxyUsername=u",
    "proxyPassword=p%25",
    "srvMaxHosts=2",
    "srvServiceName=x-y",
    "appName=a+b%20c",
    "loadBalanced=true",
    "serverMonitoringMode=poll",
    "unknown=1",
    "",
];

fn random_uri(bytes: &mut Bytes) -> String {
    let scheme = bytes.one(&["mongodb://", "mongodb://", "mongodb+srv://"]);
    let mut uri = format!("{scheme}{}{}{}", bytes.one(USERS), bytes.one(HOSTS), bytes.one(PATHS));
    let options: Vec<&str> = (0..bytes.below(6)).map(|_| bytes.one(OPTIONS)).collect();
    if !options.is_empty() {
        uri.push('?');
        uri.push_str(&options.join("&"));
    }
    uri
}

/// All that can be seen of options, but for the warnings: those are about the first spelling.
fn seen(options: &ClientSettings) -> String {
    let shown = format!("{options:?}");
    let (fields, _) = shown.split_once(", warnings: ").expect("the warnings");
    fields.to_owned()
}

#[test]
fn parse_write_parse_is_equal() {
    let mut bytes = Bytes(0x9E37_79B9_7F4A_7C15);
    let mut valid = 0;
    for _ in 0..20_000 {
        let uri = random_uri(&mut bytes);
        let Ok(first) = ClientSettings::parse(&uri) else { continue };
        let written = first.to_uri(true);
        let second = ClientSettings::parse(&written).unwrap_or_else(|error| panic!("{uri}\n{written}\n{error}"));
        assert_eq!(second.to_uri(true), written, "{uri}");
        assert_eq!(seen(&first), seen(&second), "{uri}\n{written}");
        let secret = |options: &ClientSettings| {
            options
                .credential()
                .and_then(|credential| credential.password())
                .map(|password| password.expose().to_owned())
        };
        assert_eq!(secret(&first), secret(&second), "{uri}\n{written}");
        valid += 1;
    }
    assert!(valid > 2_000, "only {valid} were valid");
}

#[test]
fn whatever_the_bytes_no_panic() {
    let mut bytes = Bytes(7);
    let signs =
        ["%", "@", ":", "/", "?", "&", ";", "=", ",", "[", "]", "%2F", "%C3", "é", "\0", " ", ".sock", "$", "+", "\n"];
    for _ in 0..20_000 {
        let mut uri = random_uri(&mut bytes);
        for _ in 0..=bytes.below(4) {
            let mut at = bytes.below(uri.len() + 1);
            while !uri.is_char_boundary(at) {
                at -= 1;
            }
            uri.insert_str(at, bytes.one(&signs));
        }
        let _ = ClientSettings::parse(&uri);
        let _ = mongo_blocking::uri::ConnectionString::parse(uri.get(bytes.below(12)..).unwrap_or_default());
    }
}

#[test]
fn written_by_the_names_of_today() {
    let uri = parse("mongodb://h/?ssl=true&wtimeout=5&j=1&ssl_ca_certs=/ca.pem").to_uri(true);
    assert_eq!(uri, "mongodb://h:27017/?tls=true&tlsCAFile=/ca.pem&wTimeoutMS=5&journal=true");
}

#[test]
fn a_uri_without_credentials_has_no_secret() {
    let options = parse(
        "mongodb://user:secret@h/?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:secret&proxyHost=p\
         &proxyUsername=secret&proxyPassword=secret&tlsCertificateKeyFilePassword=secret&tlsCertificateKeyFile=/c",
    );
    assert_eq!(
        options.to_uri(false),
        "mongodb://h:27017/?authMechanism=MONGODB-AWS&tlsCertificateKeyFile=/c&proxyHost=p"
    );
}

#[test]
fn options_without_a_uri_form_are_left_out() {
    let options = ClientOptions::builder()
        .username("u")
        .auth_mechanism("GSSAPI")
        .auth_mechanism_property("SERVICE_NAME", "a,b")
        .auth_mechanism_property("SERVICE_REALM", "R")
        .build()
        .settings()
        .unwrap();
    assert_eq!(
        options.to_uri(true),
        "mongodb://u@localhost:27017/?authMechanism=GSSAPI&authMechanismProperties=SERVICE_REALM:R"
    );
}
