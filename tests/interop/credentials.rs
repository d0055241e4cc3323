//! The same connection strings, read by PyMongo and by us: the same mechanism, source, user and password, but where we mean to
//! differ.

use std::process::Command;

use mongo_blocking::options::ClientSettings;
use mongo_blocking_test_server::peers;

/// What both read alike.
const ALIKE: &[&str] = &[
    "mongodb://h/",
    "mongodb://h/db",
    "mongodb://h/?authSource=x",
    "mongodb://@h/",
    "mongodb://u@h/",
    "mongodb://:p@h/",
    "mongodb://:@h/",
    "mongodb://u:p@h/",
    "mongodb://u:p@h/db",
    "mongodb://u:p@h/db.collection",
    "mongodb://u:p@h/db?authSource=x",
    "mongodb://u:p@h/db?authSource=",
    "mongodb://u:p@h/?authSource=$external",
    "mongodb://u:p@h/?authSource=%24external",
    "mongodb://u:p@h/?authSource=a&authSource=b",
    "mongodb://u%3Ap:q%40%2F@h/?authSource=a%3Fb",
    "mongodb://u:p@h/?authmechanism=SCRAM-SHA-1&AUTHSOURCE=b",
    "mongodb://u:p@h/db?authMechanism=SCRAM-SHA-256",
    "mongodb://h/?authMechanism=SCRAM-SHA-1",
    "mongodb://u@h/?authMechanism=SCRAM-SHA-1",
    "mongodb://u:p@h/?authMechanism=PLAIN",
    "mongodb://u:p@h/db?authMechanism=PLAIN",
    "mongodb://u:p@h/db?authMechanism=PLAIN&authSource=x",
    "mongodb://u:p@h/db?authMechanism=PLAIN&authSource=$external",
    "mongodb://h/?authMechanism=PLAIN",
    "mongodb://@h/?authMechanism=PLAIN",
    "mongodb://u%40R@h/?authMechanism=GSSAPI",
    "mongodb://u%40R:p@h/?authMechanism=GSSAPI",
    "mongodb://u%40R@h/db?authMechanism=GSSAPI",
    "mongodb://u%40R@h/?authMechanism=GSSAPI&authSource=db",
    "mongodb://u%40R@h/?authMechanism=GSSAPI&authSource=$external",
    "mongodb://u@h/?authMechanism=GSSAPI&authMechanismProperties=CANONICALIZE_HOST_NAME:True",
    "mongodb://h/?authMechanism=GSSAPI",
    "mongodb://h/?authMechanism=MONGODB-X509",
    "mongodb://h/db?authMechanism=MONGODB-X509",
    "mongodb://h/?authMechanism=MONGODB-X509&authSource=db",
    "mongodb://u@h/?authMechanism=MONGODB-X509",
    "mongodb://u:@h/?authMechanism=MONGODB-X509",
    "mongodb://u:p@h/?authMechanism=MONGODB-X509",
    "mongodb://:p@h/?authMechanism=MONGODB-X509",
    "mongodb://h/?authMechanism=MONGODB-AWS",
    "mongodb://i@h/?authMechanism=MONGODB-AWS",
    "mongodb://i:@h/?authMechanism=MONGODB-AWS",
    "mongodb://:s@h/?authMechanism=MONGODB-AWS",
    "mongodb://i:s@h/?authMechanism=MONGODB-AWS",
    "mongodb://i:s@h/db?authMechanism=MONGODB-AWS",
    "mongodb://i:s@h/?authMechanism=MONGODB-AWS&authSource=admin",
    "mongodb://i:s@h/?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:t%2Fo%3D",
    "mongodb://h/?authMechanism=MONGODB-OIDC",
    "mongodb://h/db?authMechanism=MONGODB-OIDC&authMechanismProperties=ENVIRONMENT:test",
    "mongodb://u@h/?authMechanism=MONGODB-OIDC&authMechanismProperties=ENVIRONMENT:azure,TOKEN_RESOURCE:x",
];

/// Connection string, our reading, PyMongo's.
const APART: &[(&str, &str, &str)] = &[
    // An empty password is a password: what follows the ':' is there.
    ("mongodb://u:@h/", "DEFAULT|admin|u|", "refused"),
    ("mongodb://u:@h/?authMechanism=SCRAM-SHA-256", "SCRAM-SHA-256|admin|u|", "refused"),
    // An LDAP server takes an empty password for no login at all.
    ("mongodb://u@h/?authMechanism=PLAIN", "refused", "PLAIN|$external|u|"),
    ("mongodb://u:@h/?authMechanism=PLAIN", "refused", "PLAIN|$external|u|"),
    // A plus sign is no space.
    ("mongodb://u:p+q@h/", "DEFAULT|admin|u|p+q", "DEFAULT|admin|u|p q"),
    // An empty user name is none, and these mechanisms need none.
    ("mongodb://@h/?authMechanism=MONGODB-X509", "MONGODB-X509|$external||", "refused"),
    ("mongodb://@h/?authMechanism=MONGODB-AWS", "MONGODB-AWS|$external||", "refused"),
    // What cannot be meant is an error, not a warning.
    ("mongodb://u:p@h/?authMechanism=scram-sha-256", "refused", "DEFAULT|admin|u|p"),
    ("mongodb://u:p@h/?authMechanism=", "refused", "DEFAULT|admin|u|p"),
    ("mongodb://u:p@h/?authMechanismProperties=SERVICE_NAME:x", "refused", "DEFAULT|admin|u|p"),
    ("mongodb://u:p@h/?authMechanism=PLAIN&authMechanismProperties=SERVICE_NAME:x", "refused", "PLAIN|$external|u|p"),
    (
        "mongodb://h/?authMechanism=MONGODB-X509&authMechanismProperties=SERVICE_NAME:x",
        "refused",
        "MONGODB-X509|$external||",
    ),
    ("mongodb://u@h/?authMechanism=GSSAPI&authMechanismProperties=SERVICE_NAME", "refused", "GSSAPI|$external|u|"),
    ("mongodb://u@h/?authMechanism=GSSAPI&authMechanismProperties=MADE_UP:x", "refused", "GSSAPI|$external|u|"),
    (
        "mongodb://h/?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:t",
        "refused",
        "MONGODB-AWS|$external||",
    ),
    (
        "mongodb://h/?authMechanism=MONGODB-OIDC&authMechanismProperties=ENVIRONMENT:test&authSource=db",
        "refused",
        "MONGODB-OIDC|$external||",
    ),
];

#[test]
fn a_connection_string_means_the_same_credential_to_pymongo() {
    let Some(python) = peers::python() else { return };
    let apart = APART.iter().map(|(uri, _, _)| uri);
    let mut command = Command::new(python);
    command.arg(peers::script("pymongo_credentials.py")).args(ALIKE).args(apart);
    let theirs = peers::run(&mut command);
    assert_eq!(theirs.len(), ALIKE.len() + APART.len());
    let (alike, apart) = theirs.split_at(ALIKE.len());
    for (uri, theirs) in ALIKE.iter().zip(alike) {
        assert_eq!(reading(uri), *theirs, "{uri}");
    }
    for ((uri, ours, expected), theirs) in APART.iter().zip(apart) {
        assert_eq!((reading(uri).as_str(), theirs.as_str()), (*ours, *expected), "{uri}");
    }
}

fn reading(uri: &str) -> String {
    let Ok(options) = ClientSettings::parse(uri) else { return "refused".to_owned() };
    let Some(credential) = options.credential() else { return "none".to_owned() };
    let mechanism = credential.mechanism().unwrap_or("DEFAULT");
    let password = credential.password().map(|password| password.expose()).unwrap_or_default();
    format!("{mechanism}|{}|{}|{password}", credential.source(), credential.username().unwrap_or_default())
}
