//! The callbacks of examples/oidc_*.rs, as the examples have them.
#![allow(clippy::duplicate_mod, reason = "each example stands alone, with what they share")]

#[path = "../../../examples/oidc_azure.rs"]
#[allow(dead_code, reason = "a test has a client of its own")]
mod azure;
#[path = "../../../examples/oidc_gke.rs"]
#[allow(dead_code, reason = "a test has a client of its own")]
mod gke;
#[path = "../../../examples/oidc_human.rs"]
#[allow(dead_code, reason = "a test has a client of its own")]
mod person;

use std::io;

use mongo_blocking::OidcCallbackContext;
use mongo_blocking_test_server::http::{HttpStub, Reply};
use mongo_blocking_test_server::oidc::{OidcServer, Seen};
use mongo_blocking_test_server::peers::Scratch;

use super::{client, fail, fake_server, find, idp, options, who};

#[test]
fn a_person_logs_in_by_the_browser() {
    let Some(idp) = idp() else { return };
    let server = OidcServer::trusting(idp);
    let fake_server = fake_server(&server);
    let person = person::Person { issuer: idp.issuer().to_owned(), open: browser };
    let client = client(options(&fake_server).oidc_human_callback(person));
    assert_eq!(who(&client).unwrap(), "test_user1@$external");
    // This provider takes no refresh tokens, so there is the browser once more.
    let Some(Seen::Token(first)) = server.seen().pop() else { panic!("no token") };
    server.revoke(&first);
    fail(&fake_server, &["find"], 1, super::REAUTHENTICATE);
    find(&client).unwrap();
    assert!(matches!(server.seen().pop(), Some(Seen::Token(second)) if second != first));
}

#[test]
fn requests_that_the_user_did_not_start_are_refused_by_the_callback_page() {
    let Some(idp) = idp() else { return };
    let server = OidcServer::trusting(idp);
    let fake_server = fake_server(&server);
    let open = |page: &str| {
        let page = page.to_owned();
        std::thread::spawn(move || knock_then_browse(&page));
        Ok(())
    };
    let person = person::Person { issuer: idp.issuer().to_owned(), open };
    let client = client(options(&fake_server).oidc_human_callback(person));
    assert_eq!(who(&client).unwrap(), "test_user1@$external");
}

#[test]
fn a_browser_login_at_another_provider_is_refused() {
    let Some(idp) = idp() else { return };
    let server = OidcServer::trusting(idp);
    let fake_server = fake_server(&server);
    let person = person::Person { issuer: "https://login.example.com".to_owned(), open: |_| panic!("a page opens") };
    let error = who(&client(options(&fake_server).oidc_human_callback(person))).unwrap_err();
    assert!(format!("{error:#}").contains("not the trusted one"), "{error}");
}

#[test]
fn a_service_principal_of_azure() {
    let Some(idp) = idp() else { return };
    let server = OidcServer::trusting(idp);
    let fake_server = fake_server(&server);
    let token = idp.token("principal");
    let azure = HttpStub::start(move |request| {
        assert_eq!((request.method.as_str(), &*request.target), ("POST", "/tenant/oauth2/v2.0/token"));
        assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
        let form =
            "grant_type=client_credentials&client_id=id&client_secret=s%2F%26%3D&scope=api%3A%2F%2Fdb%2F.default";
        match request.text() == form {
            true => Reply::ok(format!(r#"{{"token_type":"Bearer","expires_in":3599,"access_token":"{token}"}}"#)),
            false => Reply::status(401, r#"{"error":"invalid_client","error_description":"no such principal"}"#),
        }
    });
    let principal = |secret: &'static str| {
        let host = azure.url("/");
        let variable = Box::new(move |name: &str| match name {
            "AZURE_AUTHORITY_HOST" => Some(host.clone()),
            "AZURE_TENANT_ID" => Some("tenant".to_owned()),
            "AZURE_CLIENT_ID" => Some("id".to_owned()),
            "AZURE_CLIENT_SECRET" => Some(secret.to_owned()).filter(|secret| !secret.is_empty()),
            other => panic!("{other} is asked for"),
        });
        client(
            options(&fake_server).oidc_callback(azure::ServicePrincipal { audience: "api://db".to_owned(), variable }),
        )
    };
    assert_eq!(who(&principal("s/&=")).unwrap(), "principal@$external");
    let error = who(&principal("wrong-secret")).unwrap_err();
    assert!(format!("{error:#}").contains("invalid_client: no such principal"), "{error}");
    assert!(!format!("{error:#} {error:?}").contains("wrong-secret"));
    let error = who(&principal("")).unwrap_err();
    assert!(format!("{error:#}").contains("AZURE_CLIENT_SECRET is not set"), "{error}");
}

#[test]
fn the_token_file_of_a_pod() {
    let Some(idp) = idp() else { return };
    let server = OidcServer::trusting(idp);
    let fake_server = fake_server(&server);
    let folder = Scratch::new("pod");
    let path = folder.path().join("token");
    let name = path.to_str().unwrap().to_owned();
    let client =
        client(options(&fake_server).oidc_callback(move |_context: &OidcCallbackContext| gke::token_in(&name)));
    let error = who(&client).unwrap_err();
    assert!(format!("{error:#}").contains("(os error 2)"), "{error}");
    for user in ["first", "second"] {
        std::fs::write(&path, idp.token(user) + "\n").unwrap();
        fail(&fake_server, &["connectionStatus"], i32::from(user == "second"), super::REAUTHENTICATE);
        // (Our server keeps who was logged in on a connection before.)
        assert!(who(&client).unwrap().ends_with(&format!("{user}@$external")));
    }
}

/// Somebody who is logged in there already: the page sends the browser back at once.
fn browser(page: &str) -> io::Result<()> {
    let page = page.to_owned();
    std::thread::spawn(move || {
        let text = ureq::get(&page).call().unwrap().body_mut().read_to_string().unwrap();
        assert_eq!(text, "You can close this page.");
    });
    Ok(())
}

fn knock_then_browse(page: &str) {
    let redirect = page.split_once("redirect_uri=").and_then(|(_, rest)| rest.split('&').next()).unwrap();
    let redirect = redirect.replace("%3A", ":").replace("%2F", "/");
    for wrong in ["?code=stolen&state=guessed", "?code=stolen", "", "/../x?state=1"] {
        assert!(ureq::get(&format!("{redirect}{wrong}")).call().is_err(), "{wrong}");
    }
    browser(page).unwrap();
}
