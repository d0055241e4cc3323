//! What a login sent is wiped: the message with the password in it is nowhere in the memory of a program that has logged in.
//!
//! The program is this test itself, run once more, for the test server has the password in its own memory.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use mongo_blocking::Client;
use mongo_blocking::bson::{self, Document};
use mongo_blocking::options::{ClientOptions, Credential};
use mongo_blocking_test_server::child;
use mongo_blocking_test_server::fake_server::{FakeServer, SaslError, SaslReply, SaslServer};
use mongo_blocking_test_server::plain;

const CHILD: &str = "MONGO_BLOCKING_MEMORY_CHILD";

#[test]
fn messages_with_a_password_are_wiped() {
    let judge = plain::judged_by(|user, password| user == text(USER) && password == text(PASSWORD));
    let fake_server = FakeServer::builder().mechanism("PLAIN", judge).start();
    run("the_program", &fake_server);
    assert_eq!(fake_server.logins(), 2);
}

/// A token is kept, but not the messages that it travelled in: `saslStart`, and `hello` of the next connection.
#[cfg(feature = "oidc")]
#[test]
fn messages_with_a_token_are_wiped() {
    let fake_server = FakeServer::builder().mechanism("MONGODB-OIDC", |_| Box::new(AnyToken)).start();
    run("the_program_with_a_token", &fake_server);
    assert_eq!((fake_server.logins(), fake_server.commands_named("saslStart").len()), (2, 1));
}

fn run(program: &str, fake_server: &FakeServer) {
    child::run(child::command(module_path!(), program).env(CHILD, fake_server.address()));
}

/// Whoever comes with this token may come in.
struct AnyToken;

impl SaslServer for AnyToken {
    fn step(&mut self, payload: &[u8]) -> Result<SaslReply, SaslError> {
        let message = Document::from_reader(payload).unwrap();
        assert_eq!(message.get_str("jwt").unwrap(), text(PASSWORD));
        Ok(SaslReply { payload: Vec::new(), done: true, user: Some("ann".to_owned()) })
    }
}

#[test]
fn the_program() {
    let Ok(address) = std::env::var(CHILD) else { return };
    // That a message is found where it stands: this one does.
    let needle: Vec<u8> = USER.iter().chain(&[MASK]).chain(PASSWORD).copied().collect();
    let count = || count(&needle);
    let message = [text(USER).as_bytes(), b"\0", text(PASSWORD).as_bytes()].concat();
    assert_eq!(count(), 1, "the search is broken");
    let token = bson::doc! { "AWS_SESSION_TOKEN": String::from_utf8(message.clone()).unwrap() };
    let credential = Credential::builder().mechanism_properties(token).build();
    assert_eq!(count(), 2, "it is in the credential");
    drop(credential);
    assert_eq!(count(), 1, "a mechanism property in code");
    drop(zeroize::Zeroizing::new(message));
    assert_eq!(count(), 0, "the search finds what is wiped");

    let options = ClientOptions::builder().host(&address).username(text(USER)).password(text(PASSWORD));
    let client = Client::with_options(options.auth_mechanism("PLAIN").build().settings().unwrap()).unwrap();
    client.ping().unwrap();
    assert_eq!(count(), 0, "after a login");

    let options = ClientOptions::builder().host(&address).username(text(USER)).password(text(PASSWORD));
    let options = options.auth_mechanism("PLAIN").server_api(mongo_blocking::options::ServerApi::v1());
    Client::with_options(options.build().settings().unwrap()).unwrap().ping().unwrap();
    assert_eq!(count(), 0, "after a login that declares the version of the API");
    drop(client);
}

#[cfg(feature = "oidc")]
#[test]
fn the_program_with_a_token() {
    use mongo_blocking::{IdpServerResponse, OidcCallbackContext};

    let Ok(address) = std::env::var(CHILD) else { return };
    // The name of the field, and how long the text is with its end: the token itself may stand where it is kept.
    let before = [&b"jwt\0"[..], &(PASSWORD.len() as u32 + 1).to_le_bytes()].concat();
    let needle: Vec<u8> = before.iter().map(|byte| byte ^ MASK).chain(PASSWORD.iter().copied()).collect();
    let message = bson::rawdoc! { "jwt": text(PASSWORD) }.into_bytes();
    assert_eq!(count(&needle), 1, "the search is broken");
    drop(zeroize::Zeroizing::new(message));
    let callback = |_: &OidcCallbackContext| Ok(IdpServerResponse::new(text(PASSWORD)));
    let options = ClientOptions::builder().host(&address).auth_mechanism("MONGODB-OIDC").max_idle_time(TICK);
    let client = Client::with_options(options.oidc_callback(callback).build().settings().unwrap()).unwrap();
    for login in ["by itself", "with hello"] {
        client.ping().unwrap();
        assert_eq!(count(&needle), 0, "after a login {login}");
        std::thread::sleep(2 * TICK); // so that the connection is not used again
    }
}

/// How often the message (masked) stands in the memory that this process can write to, but for the buffer that it is looked for in.
fn count(needle: &[u8]) -> usize {
    let memory = File::open("/proc/self/mem").unwrap();
    let mut window = vec![0; needle.len() - 1 + PAGE];
    let mut found = 0;
    for line in fs::read_to_string("/proc/self/maps").unwrap().lines().filter(|line| line.contains(" rw")) {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [from, to] = [from, to].map(|at| u64::from_str_radix(at, 16).unwrap());
        window.fill(0);
        for at in (from..to).step_by(PAGE) {
            window.copy_within(PAGE.., 0);
            let page = &mut window[needle.len() - 1..];
            if memory.read_exact_at(page, at).is_err() {
                page.fill(0);
            }
            page.iter_mut().for_each(|byte| *byte ^= MASK);
            found += window.windows(needle.len()).filter(|part| part == &needle).count();
        }
    }
    found
}

/// What is looked for stands nowhere as it is, not even in the search: each byte is masked.
fn text(masked: &[u8]) -> String {
    let mut text = String::with_capacity(masked.len());
    masked.iter().for_each(|byte| text.push(char::from(byte ^ MASK)));
    text
}

const MASK: u8 = 0x55;
const PAGE: usize = 4096;
#[cfg(feature = "oidc")]
const TICK: std::time::Duration = std::time::Duration::from_millis(50);
const USER: &[u8] = &[0x21; 300]; // "ttt…"
const PASSWORD: &[u8] = &[0x3a; 300]; // "ooo…"
