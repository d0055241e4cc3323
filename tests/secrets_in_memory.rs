//! What a login sent is wiped: the message with the password in it is nowhere in the memory of a program that has logged in.
//!
//! The program is this test itself, run once more, for the test server has the password in its own memory.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::Command;

use mongo_blocking::Client;
use mongo_blocking::options::ClientOptions;
use mongo_blocking_test_server::front::Front;
use mongo_blocking_test_server::plain;

const CHILD: &str = "MONGO_BLOCKING_MEMORY_CHILD";

#[test]
fn no_message_with_a_password_stays_behind() {
    let front = Front::builder()
        .mechanism("PLAIN", plain::judged_by(|user, password| user == text(USER) && password == text(PASSWORD)))
        .start();
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args(["--exact", "the_program"]).env(CHILD, front.address()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(front.logins(), 2);
}

#[test]
fn the_program() {
    let Ok(address) = std::env::var(CHILD) else { return };
    // That a message is found where it stands: this one does.
    let message = [text(USER).as_bytes(), b"\0", text(PASSWORD).as_bytes()].concat();
    assert_eq!(count(), 1, "the search is broken");
    drop(zeroize::Zeroizing::new(message));
    assert_eq!(count(), 0, "the search finds what is wiped");

    let options = ClientOptions::builder().host(&address).username(text(USER)).password(text(PASSWORD));
    let client = Client::with_options(options.auth_mechanism("PLAIN").build().unwrap()).unwrap();
    client.ping().unwrap();
    assert_eq!(count(), 0, "after a login");

    let options = ClientOptions::builder().host(&address).username(text(USER)).password(text(PASSWORD));
    let options = options.auth_mechanism("PLAIN").server_api(mongo_blocking::options::ServerApi::v1());
    Client::with_options(options.build().unwrap()).unwrap().ping().unwrap();
    assert_eq!(count(), 0, "after a login that declares the version of the API");
    drop(client);
}

/// How often the message stands in the memory that this process can write to, but for the buffer that it is looked for in.
fn count() -> usize {
    let needle: Vec<u8> = USER.iter().chain(&[MASK]).chain(PASSWORD).copied().collect();
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
            found += window.windows(needle.len()).filter(|part| *part == needle).count();
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
const USER: &[u8] = &[0x21; 300]; // "ttt…"
const PASSWORD: &[u8] = &[0x3a; 300]; // "ooo…"
