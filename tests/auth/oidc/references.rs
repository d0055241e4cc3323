//! PyMongo and the Node driver beside ours, at the same server, with the same tokens: verdict for verdict.

use std::fs;

use mongo_blocking::{Client, IdpServerResponse, OidcCallbackContext};
use mongo_blocking_test_server::oidc::{OidcServer, Seen};
use mongo_blocking_test_server::peers::{Idp, Reference, Scratch, python, report, run, script};

use super::{client, fake_server, idp, options, who};

/// Both take the token from a file with `ENVIRONMENT:test`; so does ours, and from a file that is named in code.
#[test]
fn the_same_tokens() {
    let (Some(idp), Some(stranger)) = (idp(), Idp::start()) else { return };
    let (Some(pymongo), Some(node)) = (Reference::pymongo(), Reference::node()) else { return };
    let server = OidcServer::trusting(idp);
    let fake_server = fake_server(&server);
    let uri = format!(
        "mongodb://{}/?directConnection=true&authMechanism=MONGODB-OIDC&authMechanismProperties=ENVIRONMENT:test",
        fake_server.address()
    );
    let folder = Scratch::new("tokens");
    let right = idp.token("ann");
    let mut changed = right.clone().into_bytes();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    let cases = [
        ("right", right.clone(), "ok ann@$external"),
        ("with a line's end", format!("{right}\n"), ""), // PyMongo and Node send it as it is, we do not
        ("expired", idp.token("expired-ann"), "auth 18"),
        ("for another audience", idp.token("elsewhere-ann"), "auth 18"),
        ("of another provider", stranger.token("ann"), "auth 18"),
        ("one sign changed", String::from_utf8(changed).unwrap(), "auth 18"),
        ("no token", "ann".to_owned(), "auth 18"),
    ];
    let file = folder.path().join("token");
    let environment = || vec![("OIDC_TOKEN_FILE", file.clone().into_os_string())];
    let others = [pymongo.with_environment(environment()), node.with_environment(environment())];
    let mut rows = String::new();
    for (what, token, expected) in &cases {
        fs::write(&file, token).unwrap();
        let mut verdicts = vec![verdict(&client(options(&fake_server).oidc_token_file(&file)))];
        for other in others.iter().filter(|_| !expected.is_empty()) {
            verdicts.extend(other.verdicts(std::slice::from_ref(&uri)));
        }
        rows += &format!("{what} | {}\n", verdicts.join(" | "));
        let expected = if expected.is_empty() { "ok ann@$external" } else { expected };
        assert!(verdicts.iter().all(|verdict| verdict == expected), "{what}: {verdicts:?}");
    }
    report(&format!("MONGODB-OIDC: the same tokens\ntoken | ours | PyMongo | Node driver\n{rows}"));
}

/// The server half of two steps: PyMongo is told the same as we are.
#[test]
fn a_person_with_pymongo() {
    let (Some(idp), Some(python)) = (idp(), python()) else { return };
    let server = OidcServer::trusting(idp);
    let fake_server = fake_server(&server);
    let folder = Scratch::new("person");
    let file = folder.path().join("token");
    fs::write(&file, idp.token("ann")).unwrap();
    let told = format!("{} test_user1 fizz,buzz", idp.issuer());
    for user in ["", "ann@"] {
        let uri =
            format!("mongodb://{user}{}/?directConnection=true&authMechanism=MONGODB-OIDC", fake_server.address());
        let mut command = std::process::Command::new(&python);
        let lines = run(command.arg(script("pymongo_oidc_human.py")).arg(uri).env("OIDC_TOKEN_FILE", &file));
        assert_eq!(lines, [format!("ok ann@$external told {told}")]);
    }
    let theirs = server.seen();
    let expected = |context: &OidcCallbackContext| {
        let info = context.idp_info.as_ref().unwrap();
        format!(
            "{} {} {}",
            info.issuer,
            info.client_id.as_ref().unwrap(),
            info.request_scopes.as_ref().unwrap().join(",")
        )
    };
    for user in [None, Some("ann")] {
        let (token, told) = (fs::read_to_string(&file).unwrap(), told.clone());
        let mut options = options(&fake_server).oidc_human_callback(move |context: &OidcCallbackContext| {
            assert_eq!(expected(context), told);
            Ok(IdpServerResponse::new(token.as_str()))
        });
        options = match user {
            Some(user) => options.username(user),
            None => options,
        };
        assert_eq!(who(&client(options)).unwrap(), "ann@$external");
    }
    // And we said the same as PyMongo, step by step.
    let principals =
        |seen: &[Seen]| seen.iter().filter(|one| matches!(one, Seen::Principal(_))).cloned().collect::<Vec<_>>();
    assert_eq!(principals(&server.seen()[theirs.len()..]), principals(&theirs));
}

/// As the programs in `tests/clients` say it.
fn verdict(client: &Client) -> String {
    match who(client) {
        Ok(users) => format!("ok {users}"),
        Err(error) => error.code().map_or_else(|| format!("error {error}"), |code| format!("auth {code}")),
    }
}
