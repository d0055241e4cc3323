//! Secret key and session token show nowhere: not in a log, an event, an error, a warning, nor in a `Debug` form.

use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use log::{LevelFilter, Log, Metadata, Record};
use mongo_blocking::event::{CommandEvent, Handler};
use mongo_blocking::options::ClientOptions;
use mongo_blocking::{AwsKeys, Client};
use mongo_blocking_test_server::aws::{AwsServer, AwsTamper};

use super::{front, who_is};

static LOGGED: Capture = Capture(Mutex::new(String::new()));

struct Capture(Mutex<String>);

impl Log for Capture {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &Record<'_>) {
        let _ = writeln!(self.0.lock().unwrap(), "{} {}", record.target(), record.args());
    }
    fn flush(&self) {}
}

#[test]
fn neither_secret_nor_token_shows() {
    const SECRET: &str = "hunter2SECRET";
    const TOKEN: &str = "hunter2TOKEN";
    log::set_logger(&LOGGED).unwrap();
    log::set_max_level(LevelFilter::Trace);
    let seen = Arc::new(Mutex::new(String::new()));
    for (tamper, good) in [(AwsTamper::Honest, true), (AwsTamper::Honest, false), (AwsTamper::ExtraField, true)] {
        let aws = AwsServer::judged_by(move |signed| good.then(|| signed.access_key_id.clone())).tamper(tamper);
        let front = front(&aws);
        let builder = ClientOptions::builder().host(front.address()).auth_mechanism("MONGODB-AWS");
        let given = builder
            .clone()
            .username("AKIDEXAMPLE")
            .password(SECRET)
            .auth_mechanism_property("AWS_SESSION_TOKEN", TOKEN);
        let provided = builder
            .aws_credential_provider(|_within: Duration| Ok(AwsKeys::new("AKIDEXAMPLE", SECRET).session_token(TOKEN)));
        for builder in [given, provided] {
            let events = seen.clone();
            let handler = Handler::new(move |event: &CommandEvent| {
                let _ = writeln!(events.lock().unwrap(), "{event:?}");
            });
            let options = builder.command_event_handler(handler).build().unwrap();
            let show = |thing: &dyn std::fmt::Debug| writeln!(seen.lock().unwrap(), "{thing:?}").unwrap();
            show(&options);
            show(&options.clone().into_builder());
            show(&options.credential());
            show(&options.warnings());
            show(&options.to_uri(false));
            let client = Client::with_options(options).unwrap();
            show(&client);
            show(&who_is(&client).map_err(|error| format!("{error} {error:?}")));
        }
        assert!(aws.seen().iter().all(|signed| signed.header("x-amz-security-token") == Some(TOKEN)));
    }
    let all = format!("{}{}", seen.lock().unwrap(), LOGGED.0.lock().unwrap());
    assert!(all.contains("AKIDEXAMPLE") && all.contains("ConnectionInfo"), "{all}");
    for secret in [SECRET, TOKEN, "hunter2"] {
        assert!(!all.contains(secret), "{all}");
    }
}
