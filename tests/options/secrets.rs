//! No secret in errors, warnings and Debug, however badly a connection string is escaped.

use mongo_blocking::options::{ClientOptions, ClientSettings};
use mongo_blocking::uri::ConnectionString;

/// Whole passwords, and passwords whose pieces land in other places when they are not percent-encoded.
const SECRETS: &[&str] = &[
    "hunter2",
    "hunter2@hunter2",
    "hunter2:hunter2",
    "hunter2/hunter2",
    "hunter2?hunter2",
    "12?hunter2",
    "12?hunter2=hunter2",
    "12/hunter2",
    "12,hunter2",
    "hunter2%hunter2",
    "hunter2%zzhunter2",
    "hunter2,hunter2",
    "hunter2#hunter2",
    "hunter2[hunter2]",
    "hunter2 hunter2",
    "hunter2&hunter2",
    "hunter2;hunter2",
    "/hunter2",
    "?hunter2",
    "12/?hunter2=x",
    "12/?hunter2",
    "12?&hunter2=1&",
    "12?tls=hunter2",
    "12?w=1&maxPoolSize=hunter2",
    "12?authMechanism=hunter2",
    "12?readPreference=hunter2",
    "12?authMechanismProperties=hunter2",
    "12?authMechanismProperties=hunter2:hunter2",
];

/// Where a secret stands.
const PLACES: &[&str] = &[
    "mongodb://user:SECRET@host/",
    "mongodb://user:SECRET@host:27017/db?w=1",
    "mongodb://user:SECRET@host,other/?authMechanism=PLAIN",
    "mongodb+srv://user:SECRET@host.example.com/?x=1",
    "mongodb://SECRET@host/",
    "mongodb://SECRET:x@host/?authMechanism=MONGODB-AWS",
    "mongodb://host/?tlsCertificateKeyFilePassword=SECRET",
    "mongodb://host/?tlsCertificateKeyFilePassword=SECRET&tls=true",
    "mongodb://host/?tlsCertificateKeyFilePassword=SECRET&tlsCertificateKeyFilePassword=other",
    "mongodb://host/?ssl_pem_passphrase=SECRET",
    "mongodb://host/?proxyHost=p&proxyUsername=u&proxyPassword=SECRET",
    "mongodb://host/?proxyPassword=SECRET",
    "mongodb://ID:x@host/?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:SECRET",
    "mongodb://host/?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:SECRET",
    "mongodb://host/?authMechanismProperties=SECRET:x&authMechanism=GSSAPI",
    "mongodb://host/?autoEncryption=SECRET",
    "mongo://user:SECRET@host/",
    "user:SECRET@host",
];

#[test]
fn no_secret_shows() {
    let mut tried = 0;
    for place in PLACES {
        for secret in SECRETS {
            let uri = place.replace("SECRET", secret);
            // A user name is no secret; here it stands for a password that was put in the wrong place.
            let named = place.contains("//SECRET");
            let shown = match ClientSettings::parse(&uri) {
                Ok(options) if named => format!("{:?}", options.warnings()),
                Ok(options) => format!("{options:?} {:?} {:?}", options.warnings(), options.check_supported()),
                Err(error) => format!("{error:#} {error:?}"),
            };
            assert!(!shown.contains("hunter2"), "{uri}\n{shown}");
            let parts =
                ConnectionString::parse(&uri).map(|parts| if named { String::new() } else { format!("{parts:?}") });
            assert!(!format!("{parts:?}").contains("hunter2"), "{uri}\n{parts:?}");
            tried += 1;
        }
    }
    assert_eq!(tried, PLACES.len() * SECRETS.len());
}

#[test]
fn no_secret_set_in_code_is_printed() {
    let builder = ClientOptions::builder()
        .uri("mongodb://user:hunter2@host/?proxyPassword=hunter2")
        .username("user")
        .password("hunter2")
        .proxy_host("p")
        .proxy_username("u")
        .proxy_password("hunter2")
        .tls_certificate_key_file_password("hunter2")
        .auth_mechanism("MONGODB-AWS")
        .auth_mechanism_property("AWS_SESSION_TOKEN", "hunter2")
        .auto_encryption(mongo_blocking::bson::doc! { "key": "hunter2" });
    assert!(!format!("{builder:?}").contains("hunter2"));
    let options = builder.build().settings().unwrap();
    assert!(!format!("{options:?}").contains("hunter2"));
    assert!(!options.to_uri(false).contains("hunter2"));
    assert!(options.to_uri(true).contains("hunter2"));
}
