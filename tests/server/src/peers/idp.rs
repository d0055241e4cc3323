//! An identity provider that this project did not write: @mongodb-js/oidc-mock-provider.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{require, script};
use crate::fake_server::percent_encode;

/// A running `tests/clients/oidc_provider.js`. It ends when this value is dropped or the test process ends.
#[derive(Debug)]
pub struct Idp {
    child: Child,
    issuer: String,
}

impl Idp {
    /// Starts it. `None`, after a [`skip`](super::skip), where there is none.
    ///
    /// # Panics
    /// If it is there but does not start.
    pub fn start() -> Option<Idp> {
        let folder = require("OIDC_PEERS", "oidc")?;
        let mut child = Command::new(folder.join("node"))
            .arg(script("oidc_provider.js"))
            .env("NODE_PATH", folder.join("node_modules"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Node starts");
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line).expect("the provider's first line");
        }
        let issuer = line.trim().to_owned();
        assert!(issuer.starts_with("http://127.0.0.1:"), "oidc_provider.js did not start; its error is above");
        Some(Idp { child, issuer })
    }

    /// Its URL.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// A token for this user, by the device flow. Names that begin with `expired-` get tokens that have expired,
    /// those that begin with `elsewhere-` get them for another audience.
    ///
    /// # Panics
    /// If the provider does not give one.
    pub fn token(&self, user: &str) -> String {
        let device = self.ask("/device", &[("client_id", user), ("scope", "openid")]);
        let code = device["device_code"].as_str().expect("a device code");
        let answer = self.ask("/token", &[("device_code", code), ("client_id", user)]);
        answer["access_token"].as_str().expect("an access token").to_owned()
    }

    /// Its public keys (RFC 7517).
    ///
    /// # Panics
    /// If it does not answer.
    pub fn keys(&self) -> Value {
        let metadata = self.exchange("GET /.well-known/openid-configuration HTTP/1.1\r\n", "");
        let keys = metadata["jwks_uri"].as_str().and_then(|uri| uri.strip_prefix(&self.issuer)).expect("a jwks_uri");
        self.exchange(&format!("GET {keys} HTTP/1.1\r\n"), "")
    }

    fn ask(&self, path: &str, fields: &[(&str, &str)]) -> Value {
        let pairs = fields.iter().map(|(name, value)| format!("{name}={}", percent_encode(value)));
        let body = pairs.collect::<Vec<_>>().join("&");
        let head = format!(
            "POST {path} HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
            body.len()
        );
        self.exchange(&head, &body)
    }

    fn exchange(&self, head: &str, body: &str) -> Value {
        let address = self.issuer.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).expect("the provider listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
        write!(stream, "{head}Host: {address}\r\nConnection: close\r\n\r\n{body}").expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        serde_json::from_str(body).expect("JSON")
    }
}

impl Drop for Idp {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
