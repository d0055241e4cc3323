//! Our client logs in to servers that we did not write: MongoDB itself, and a server whose SCRAM half is Python's `scramp`.
//!
//! (The other direction, other clients against our fake server, is in clients.rs.)

use mongo_blocking::bson::doc;
use mongo_blocking::error::{ErrorKind, Stage};
use mongo_blocking::options::percent_encode;
use mongo_blocking::{Client, Error};
use mongo_blocking_test_server::peers::{Mongod, ScrampServer};

/// Everything on a keyboard that a connection string could trip over, and some that is not on every keyboard.
const SPECIAL: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ \u{e4}\u{20ac}\u{6f22}";

const MECHANISMS: [&str; 2] = ["SCRAM-SHA-1", "SCRAM-SHA-256"];

fn root(mongod: &Mongod) -> Client {
    Client::with_uri_str(mongod.root_uri()).unwrap()
}

fn create_user(mongod: &Mongod, database: &str, name: &str, password: &str, mechanisms: &[&str]) {
    let database = root(mongod).database(database);
    let _ = database.run_command(doc! {"dropUser": name}).run();
    let roles = [doc! {"role": "readWrite", "db": "interop"}];
    let command = doc! {"createUser": name, "pwd": password, "roles": &roles[..], "mechanisms": mechanisms};
    database.run_command(command).run().unwrap();
}

/// Logs in, proves it with a command that needs it, and returns who the server says we are.
fn log_in(uri: &str) -> Result<String, Error> {
    let client = Client::with_uri_str(uri)?;
    let status = client.database("interop").run_command(doc! {"connectionStatus": 1}).run()?;
    let users = status.get_document("authInfo").unwrap().get_array("authenticatedUsers").unwrap();
    let user = users.first().expect("somebody is logged in").as_document().unwrap();
    Ok(user.get_str("user").unwrap().to_owned())
}

fn assert_refused(uri: &str, secret: &str) {
    let error = log_in(uri).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Authentication { .. }), "{error}");
    assert!(matches!(error.stage(), Stage::Authentication { .. }), "{error}");
    assert_eq!(error.code(), Some(18), "{error}");
    assert!(!format!("{error:#} {error:?}").contains(secret), "the password shows: {error}");
    assert!(error.hint().is_some(), "{error}");
}

#[test]
fn both_mechanisms_with_right_and_wrong_password() {
    let Some(mongod) = Mongod::shared_with_auth("6.0") else { return };
    create_user(mongod, "admin", "both", "pencil", &MECHANISMS);
    create_user(mongod, "admin", "only-1", "pencil", &["SCRAM-SHA-1"]);
    create_user(mongod, "admin", "only-256", "pencil", &["SCRAM-SHA-256"]);
    let host = mongod.address();
    for (user, mechanisms) in [("both", &MECHANISMS[..]), ("only-1", &MECHANISMS[..1]), ("only-256", &MECHANISMS[1..])]
    {
        for mechanism in mechanisms {
            let options = format!("?authMechanism={mechanism}");
            assert_eq!(log_in(&format!("mongodb://{user}:pencil@{host}/{options}")).unwrap(), user);
            assert_refused(&format!("mongodb://{user}:inkwell@{host}/{options}"), "inkwell");
        }
        // Negotiated: whatever the user has.
        assert_eq!(log_in(&format!("mongodb://{user}:pencil@{host}/")).unwrap(), user);
        assert_refused(&format!("mongodb://{user}:inkwell@{host}/"), "inkwell");
    }
    // A mechanism that the user has no credentials for.
    assert_refused(&format!("mongodb://only-1:pencil@{host}/?authMechanism=SCRAM-SHA-256"), "pencil");
    assert_refused(&format!("mongodb://only-256:pencil@{host}/?authMechanism=SCRAM-SHA-1"), "pencil");
    for mechanism in ["", "?authMechanism=SCRAM-SHA-1", "?authMechanism=SCRAM-SHA-256"] {
        assert_refused(&format!("mongodb://nobody:pencil@{host}/{mechanism}"), "pencil");
    }
}

#[test]
fn names_and_passwords_with_every_special_character() {
    let Some(mongod) = Mongod::shared_with_auth("6.0") else { return };
    let host = mongod.address();
    let names = ["a=b", "a,b", "=2C,=3D", "m\u{fc}ller", "user@example.com", "a/b", "a%b", "a+b", "a b", SPECIAL];
    for (number, name) in names.into_iter().enumerate() {
        // Not all at once for each: SCRAM-SHA-256 takes long by design.
        let mechanisms = [MECHANISMS[number % 2]];
        create_user(mongod, "admin", name, SPECIAL, &mechanisms);
        let (user, password) = (percent_encode(name), percent_encode(SPECIAL));
        let uri = format!("mongodb://{user}:{password}@{host}/?authMechanism={}", mechanisms[0]);
        assert_eq!(log_in(&uri).unwrap(), name);
        assert_eq!(log_in(&format!("mongodb://{user}:{password}@{host}/")).unwrap(), name);
    }
}

#[test]
fn each_special_character_by_itself() {
    let Some(mongod) = Mongod::shared_with_auth("6.0") else { return };
    let host = mongod.address();
    for character in SPECIAL.chars() {
        let password = format!("a{character}b");
        create_user(mongod, "admin", "single", &password, &["SCRAM-SHA-1"]);
        let uri = format!("mongodb://single:{}@{host}/?authMechanism=SCRAM-SHA-1", percent_encode(&password));
        assert_eq!(log_in(&uri).unwrap_or_else(|error| panic!("{character:?}: {error}")), "single");
    }
}

#[test]
fn saslprep_pairs() {
    let Some(mongod) = Mongod::shared_with_auth("6.0") else { return };
    let host = mongod.address();
    create_user(mongod, "admin", "IX", "IX", &["SCRAM-SHA-256"]);
    create_user(mongod, "admin", "\u{2168}", "\u{2163}", &["SCRAM-SHA-256"]);
    for (user_info, name) in
        [("IX:IX", "IX"), ("IX:I%C2%ADX", "IX"), ("%E2%85%A8:IV", "\u{2168}"), ("%E2%85%A8:I%C2%ADV", "\u{2168}")]
    {
        for options in ["", "?authMechanism=SCRAM-SHA-256"] {
            let uri = format!("mongodb://{user_info}@{host}/{options}");
            assert_eq!(log_in(&uri).unwrap_or_else(|error| panic!("{user_info}: {error}")), name);
        }
    }
}

#[test]
fn the_database_that_knows_the_user() {
    let Some(mongod) = Mongod::shared_with_auth("6.0") else { return };
    let host = mongod.address();
    create_user(mongod, "elsewhere", "local", "pencil", &MECHANISMS);
    for uri in [
        format!("mongodb://local:pencil@{host}/elsewhere"),
        format!("mongodb://local:pencil@{host}/?authSource=elsewhere"),
        format!("mongodb://local:pencil@{host}/another?authSource=elsewhere"),
        format!("mongodb://local:pencil@{host}/elsewhere?authMechanism=SCRAM-SHA-1"),
    ] {
        assert_eq!(log_in(&uri).unwrap_or_else(|error| panic!("{uri}: {error}")), "local");
    }
    assert_refused(&format!("mongodb://local:pencil@{host}/"), "pencil");
    assert_refused(&format!("mongodb://local:pencil@{host}/elsewhere?authSource=admin"), "pencil");
}

#[test]
fn a_plus_in_the_password_is_a_plus_and_the_error_hints_at_the_space() {
    let Some(mongod) = Mongod::shared_with_auth("6.0") else { return };
    let host = mongod.address();
    create_user(mongod, "admin", "plus", "a+b", &["SCRAM-SHA-1"]);
    create_user(mongod, "admin", "space", "a b", &["SCRAM-SHA-1"]);
    assert_eq!(log_in(&format!("mongodb://plus:a+b@{host}/")).unwrap(), "plus");
    let error = log_in(&format!("mongodb://space:a+b@{host}/")).unwrap_err();
    assert!(error.hint().is_some_and(|hint| hint.contains("%20")), "{error}");
}

#[test]
fn a_user_is_kept_for_every_connection_of_the_pool() {
    let Some(mongod) = Mongod::shared_with_auth("6.0") else { return };
    create_user(mongod, "admin", "pool", "pencil", &["SCRAM-SHA-256"]);
    let client = Client::with_uri_str(format!("mongodb://pool:pencil@{}/", mongod.address())).unwrap();
    std::thread::scope(|scope| {
        for number in 0..4 {
            let client = &client;
            scope.spawn(move || {
                let numbers = client.database("interop").collection("pool");
                numbers.insert_one(doc! {"number": number}).run().unwrap();
            });
        }
    });
}

#[test]
fn over_the_unix_socket() {
    let Some(mongod) = Mongod::shared_with_auth("6.0") else { return };
    create_user(mongod, "admin", "socket", "pencil", &["SCRAM-SHA-256"]);
    let path = mongod.unix_socket();
    let host = percent_encode(path.to_str().unwrap());
    assert_eq!(log_in(&format!("mongodb://socket:pencil@{host}/")).unwrap(), "socket");
}

#[test]
fn a_server_judged_by_scramp() {
    let names = ["user", "a=b", "a,b", "=2C,=3D", "m\u{fc}ller", "a b"];
    let mut users: Vec<(&str, &str)> = names.iter().map(|name| (*name, SPECIAL)).collect();
    users.push(("IX", "IX"));
    let Some(server) = ScrampServer::start(&users) else { return };
    let host = server.address();
    let options = ["", "?authMechanism=SCRAM-SHA-1", "?authMechanism=SCRAM-SHA-256"];
    for name in names {
        let (user, password) = (percent_encode(name), percent_encode(SPECIAL));
        for options in options {
            let uri = format!("mongodb://{user}:{password}@{host}/{options}");
            assert_eq!(log_in(&uri).unwrap_or_else(|error| panic!("{name} {options}: {error}")), name);
        }
    }
    for options in options {
        assert_refused(&format!("mongodb://user:inkwell@{host}/{options}"), "inkwell");
        assert_refused(&format!("mongodb://nobody:inkwell@{host}/{options}"), "inkwell");
    }
    // The soft hyphen is prepared away, by SCRAM-SHA-256 alone.
    for options in ["", "?authMechanism=SCRAM-SHA-256"] {
        assert_eq!(log_in(&format!("mongodb://IX:I%C2%ADX@{host}/{options}")).unwrap(), "IX");
    }
}
