//! The fake server as a program: its first line is its URI, and it ends with its input.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use bson::doc;
use mongo_blocking_test_server::peers::run_command;

#[test]
fn prints_its_uri_serves_and_ends_with_its_input() {
    let (mut child, uri) = start(&["--user", "a=b", "--password", "p@ss", "--mechanism", "SCRAM-SHA-256"]);
    let address = uri.strip_prefix("mongodb://a%3Db:p%40ss@").and_then(|rest| rest.strip_suffix('/')).expect(&uri);
    let answer = run_command(address, "admin", doc! {"hello": 1, "saslSupportedMechs": "admin.a=b"}).unwrap();
    assert_eq!(answer.get_array("saslSupportedMechs").unwrap().len(), 1);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn answers_from_what_was_made_beforehand() {
    let (mut child, uri) = start(&["--canned", "--documents", "7", "--wire-version", "9"]);
    let address = uri.trim_start_matches("mongodb://").trim_end_matches('/').to_owned();
    let found = run_command(&address, "d", doc! {"find": "any"}).unwrap();
    assert_eq!(found.get_document("cursor").unwrap().get_array("firstBatch").unwrap().len(), 7);
    let hello = run_command(&address, "admin", doc! {"hello": 1}).unwrap();
    assert_eq!(hello.get_i32("maxWireVersion").unwrap(), 9);
    drop(child.stdin.take());
    child.wait().unwrap();
}

#[test]
fn says_what_is_wrong_with_its_arguments() {
    for arguments in [&["--user", "x"][..], &["--port", "no"], &["--what", "1"], &["--mechanism", "PLAIN"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_fake_server")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("usage: fake_server"));
    }
}

fn start(arguments: &[&str]) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_fake_server"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the fake server starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("its first line");
    (child, line.trim_end().to_owned())
}
