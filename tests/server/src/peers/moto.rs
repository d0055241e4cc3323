//! AWS as moto plays it: IAM and STS on loopback, which judge signatures that this project made.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::{require, script};

/// A running `tests/clients/moto_server.py`. It ends when this value is dropped or the test process ends.
#[derive(Debug)]
pub struct Moto {
    child: Child,
    url: String,
    access_key_id: String,
    secret_access_key: String,
    temporary: [String; 3],
}

/// Whether moto asks who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Iam {
    /// Signatures are verified, and what no policy allows is refused.
    Enforced,
    /// Anyone may do anything. Only so does moto answer AssumeRoleWithWebIdentity, which nobody signs.
    Off,
}

impl Moto {
    /// Starts it. `None`, after a [`skip`](super::skip), where there is no Python with moto.
    ///
    /// # Panics
    /// If it is there but does not start.
    pub fn start(iam: Iam) -> Option<Moto> {
        let mode = match iam {
            Iam::Enforced => "enforced",
            Iam::Off => "off",
        };
        let mut child = Command::new(aws_python()?)
            .arg(script("moto_server.py"))
            .arg(mode)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line).expect("the server's first line");
        }
        let mut words = line.split_whitespace().map(str::to_owned);
        let [url, access_key_id, secret_access_key] = [(); 3].map(|()| words.next().unwrap_or_default());
        let temporary = [(); 3].map(|()| words.next().unwrap_or_default());
        assert!(!temporary[2].is_empty(), "moto_server.py did not start; its error is above");
        Some(Moto { child, url, access_key_id, secret_access_key, temporary })
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// The access key of the user `tester`, who may do everything.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// Its secret.
    pub fn secret_access_key(&self) -> &str {
        &self.secret_access_key
    }

    /// Temporary keys of the role `second` in a session `stub`: id, secret, token.
    pub fn temporary(&self) -> &[String; 3] {
        &self.temporary
    }

    /// The ARN of one of the roles `first` and `second`, which may do everything, too.
    pub fn role(name: &str) -> String {
        format!("arn:aws:iam::123456789012:role/{name}")
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A Python that has moto, boto3 and PyMongo with pymongo-auth-aws.
///
/// # Panics
/// As [`skip`](super::skip).
pub fn aws_python() -> Option<std::path::PathBuf> {
    require("AWS_PEERS", "aws/bin/python")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    #[test]
    fn moto_starts_and_takes_no_forged_signature_when_iam_is_enforced() {
        let Some(moto) = Moto::start(Iam::Enforced) else { return };
        assert!(moto.access_key_id().starts_with("AKIA"), "{moto:?}");
        let id = moto.access_key_id();
        let forged = format!(
            "AWS4-HMAC-SHA256 Credential={id}/20260101/us-east-1/sts/aws4_request, SignedHeaders=host;x-amz-date, \
             Signature={}",
            "0".repeat(64)
        );
        let body = "Action=GetCallerIdentity&Version=2011-06-15";
        let mut stream = TcpStream::connect(moto.address()).expect("moto listens");
        write!(
            stream,
            "POST / HTTP/1.1\r\nHost: sts.amazonaws.com\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             X-Amz-Date: 20260101T000000Z\r\nAuthorization: {forged}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
}
