//! Secret key and session token show nowhere: not in a log, an event, an error, a warning, nor in a `Debug` form.

use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use log::LevelFilter;
use mongo_blocking::event::{CommandEvent, EventHandler};
use mongo_blocking::options::ClientOptions;
use mongo_blocking::{AwsKeys, Client};
use mongo_blocking_test_server::aws::{AwsServer, AwsTamper};
use mongo_blocking_test_server::http::{HttpStub, Reply};

use super::{fake_server, in_child, is_child, who_is};
use crate::captured_log::CapturedLog;

const SECRET: &str = "hunter2SECRET";
const TOKEN: &str = "hunter2TOKEN";
const AUTHORIZATION: &str = "hunter2AUTHORIZATION";

/// In a process of its own, where keys can also be found: in the answer of a container's endpoint, for a token.
#[test]
fn neither_secret_nor_token_is_printed() {
    if is_child() {
        return show_everything();
    }
    let endpoint = HttpStub::start(|asked| match asked.header("authorization") {
        Some(AUTHORIZATION) => {
            Reply::ok(format!(r#"{{"AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "{SECRET}", "Token": "{TOKEN}"}}"#))
        }
        _ => Reply::status(401, SECRET),
    });
    let variables = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", endpoint.url("/keys")),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", AUTHORIZATION.to_owned()),
        ("AWS_SHARED_CREDENTIALS_FILE", String::new()),
        ("AWS_CONFIG_FILE", String::new()),
    ];
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    in_child(module_path!(), "neither_secret_nor_token_is_printed", &variables);
    assert_eq!(endpoint.seen().len(), 3);
    assert!(endpoint.seen().iter().all(|asked| asked.header("authorization") == Some(AUTHORIZATION)));
}

fn show_everything() {
    let log = CapturedLog::install();
    let seen = Arc::new(Mutex::new(String::new()));
    for (tamper, good) in [(AwsTamper::Honest, true), (AwsTamper::Honest, false), (AwsTamper::ExtraField, true)] {
        let aws = AwsServer::judged_by(move |signed| good.then(|| signed.access_key_id.clone())).tamper(tamper);
        let fake_server = fake_server(&aws);
        let builder = ClientOptions::builder().host(fake_server.address()).auth_mechanism("MONGODB-AWS");
        let given = builder
            .clone()
            .username("AKIDEXAMPLE")
            .password(SECRET)
            .auth_mechanism_property("AWS_SESSION_TOKEN", TOKEN);
        let found = builder.clone();
        let provided = builder
            .aws_credential_provider(|_within: Duration| Ok(AwsKeys::new("AKIDEXAMPLE", SECRET).session_token(TOKEN)));
        for builder in [given, provided, found] {
            let events = seen.clone();
            let handler = EventHandler::new(move |event: &CommandEvent| {
                let _ = writeln!(events.lock().unwrap(), "{event:?}");
            });
            let options = builder.command_event_handler(handler).build().settings().unwrap();
            let show = |thing: &dyn std::fmt::Debug| writeln!(seen.lock().unwrap(), "{thing:?}").unwrap();
            show(&options);
            show(&options.clone().into_builder());
            show(&options.credential());
            show(&options.warnings());
            show(&options.to_uri(false));
            let client = Client::with_options(options).unwrap();
            show(&client);
            show(&who_is(&client).map_err(|error| format!("{error:#} {error:?}")));
        }
        assert!(aws.seen().iter().all(|signed| signed.header("x-amz-security-token") == Some(TOKEN)));
    }
    let all = format!("{}{}", seen.lock().unwrap(), log.text());
    assert!(all.contains("AKIDEXAMPLE") && all.contains("ConnectionInfo"), "{all}");
    assert!(all.contains("ureq"), "the log of the HTTP library is looked at, too");
    assert_eq!(log::max_level(), LevelFilter::Trace, "and all of it again after a request");
    assert!(!all.contains("hunter2"), "{all}");
}
