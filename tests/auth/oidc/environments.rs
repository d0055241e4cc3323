//! `ENVIRONMENT` from a connection string to the server's verdict, in processes of their own, since variables belong to a process.

use std::env;
use std::fs;
use std::path::Path;

use mongo_blocking::Client;
use mongo_blocking::error::ErrorKind;
use mongo_blocking_test_server::child;
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::oidc::{OidcServer, Seen};
use mongo_blocking_test_server::peers::Scratch;

use super::{REAUTHENTICATE, fail, fake_server, find, idp, who};

/// The file is read again when the server wants another login.
#[test]
fn the_environment_test() {
    let Some(idp) = idp() else { return };
    if !is_child() {
        return in_child("the_environment_test", &["OIDC_TOKEN_FILE"]);
    }
    let server = OidcServer::trusting(idp);
    let fake_server = fake_server(&server);
    let client = connect(&fake_server, "test");
    let tokens = [idp.token("ann"), idp.token("bob")];
    write("OIDC_TOKEN_FILE", &format!("{}\r\n", tokens[0]));
    assert_eq!(who(&client).unwrap(), "ann@$external");
    write("OIDC_TOKEN_FILE", &tokens[1]);
    find(&client).unwrap();
    assert_eq!(server.seen(), [Seen::Token(tokens[0].clone())]);
    fail(&fake_server, &["find"], 1, REAUTHENTICATE);
    find(&client).unwrap();
    assert_eq!((server.seen(), fake_server.connections()), (tokens.map(Seen::Token).to_vec(), 1));
}

#[test]
fn a_pod_on_azure() {
    let Some(idp) = idp() else { return };
    let variables = ["AZURE_FEDERATED_TOKEN_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE"];
    if !is_child() {
        return in_child("a_pod_on_azure", &variables);
    }
    let fake_server = fake_server(&OidcServer::trusting(idp));
    write("AZURE_FEDERATED_TOKEN_FILE", &idp.token("ann"));
    write("AWS_WEB_IDENTITY_TOKEN_FILE", &idp.token("bob"));
    assert_eq!(who(&connect(&fake_server, "k8s")).unwrap(), "ann@$external");
}

/// What is in the file goes to the server only if it can be a token.
#[test]
fn a_pod_on_amazons_cloud() {
    let Some(idp) = idp() else { return };
    if !is_child() {
        return in_child("a_pod_on_amazons_cloud", &["AWS_WEB_IDENTITY_TOKEN_FILE"]);
    }
    let server = OidcServer::trusting(idp);
    let fake_server = fake_server(&server);
    let token = idp.token("ann");
    for (text, words) in [("", "it is empty"), (" \n", "it is empty"), ("open sesame", "it has blanks")] {
        write("AWS_WEB_IDENTITY_TOKEN_FILE", text);
        let error = who(&connect(&fake_server, "k8s")).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Authentication { .. }), "{error:?}");
        assert!(error.message().contains(words) && !format!("{error:#} {error:?}").contains("sesame"), "{error:?}");
    }
    assert_eq!(server.seen(), []);
    write("AWS_WEB_IDENTITY_TOKEN_FILE", &format!("{token}\n"));
    assert_eq!(who(&connect(&fake_server, "k8s")).unwrap(), "ann@$external");
    assert_eq!(server.seen(), [Seen::Token(token)]);
}

/// The names are four, to the letter, and what is refused is refused before anybody is asked.
#[test]
fn unknown_environment_names_are_refused() {
    let build = |properties: &str, user: &str| {
        let options = format!("authMechanism=MONGODB-OIDC&authMechanismProperties={properties}");
        Client::with_uri_str(format!("mongodb://{user}localhost/?{options}"))
    };
    for right in ["test", "k8s", "azure,TOKEN_RESOURCE:r", "gcp,TOKEN_RESOURCE:api://r:s"] {
        build(&format!("ENVIRONMENT:{right}"), "").unwrap();
    }
    build("ENVIRONMENT:azure,TOKEN_RESOURCE:r", "id@").unwrap();
    for wrong in [
        "ENVIRONMENT:azure.evil.example,TOKEN_RESOURCE:r",
        "ENVIRONMENT:azure.,TOKEN_RESOURCE:r",
        "ENVIRONMENT:azure:80,TOKEN_RESOURCE:r",
        "ENVIRONMENT:Azure,TOKEN_RESOURCE:r",
        "ENVIRONMENT:aws,TOKEN_RESOURCE:r",
        "ENVIRONMENT:",
        "ENVIRONMENT:azure",
        "ENVIRONMENT:gcp",
        "ENVIRONMENT:azure,TOKEN_RESOURCE:",
        "ENVIRONMENT:test,TOKEN_RESOURCE:r",
        "ENVIRONMENT:k8s,TOKEN_RESOURCE:r",
        "ENVIRONMENT:test,ALLOWED_HOSTS:a",
        "TOKEN_RESOURCE:r",
    ] {
        let error = build(wrong, "").expect_err(wrong);
        assert!(matches!(error.kind(), ErrorKind::InvalidArgument { .. }), "{wrong}: {error:?}");
    }
    for password in ["ENVIRONMENT:test", "ENVIRONMENT:azure,TOKEN_RESOURCE:r"] {
        let error = build(password, "id:sesame@").expect_err(password);
        assert!(!format!("{error:#} {error:?}").contains("sesame"), "{error:?}");
    }
    build("ENVIRONMENT:test", "id@").expect_err("test takes no user name");
}

fn connect(fake_server: &FakeServer, environment: &str) -> Client {
    let options = "directConnection=true&authMechanism=MONGODB-OIDC&authMechanismProperties=ENVIRONMENT";
    Client::with_uri_str(format!("mongodb://{}/?{options}:{environment}", fake_server.address())).unwrap()
}

fn write(variable: &str, text: &str) {
    fs::write(env::var_os(variable).unwrap(), text).unwrap();
}

/// Runs one test in a process in which these variables name files in a folder of its own, and others like them do not exist.
fn in_child(test: &str, variables: &[&str]) {
    let folder = Scratch::new("environment");
    let file = |name: &str| Path::join(folder.path(), name);
    child::run(
        child::command(module_path!(), test)
            .env_remove("OIDC_TOKEN_FILE")
            .env_remove("AZURE_FEDERATED_TOKEN_FILE")
            .env_remove("AWS_WEB_IDENTITY_TOKEN_FILE")
            .envs(variables.iter().map(|name| (name, file(name))))
            .env(CHILD, "1"),
    );
}

fn is_child() -> bool {
    env::var_os(CHILD).is_some()
}

const CHILD: &str = "MONGO_BLOCKING_OIDC_CHILD";
