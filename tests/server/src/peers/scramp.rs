//! A server whose logins are judged by PyPI's scramp, which this project did not write.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::python;

/// A running `tests/clients/scramp_server.py`. It ends when this value is dropped or the test process ends.
#[derive(Debug)]
pub struct ScrampServer {
    child: Child,
    uri: String,
}

impl ScrampServer {
    /// Starts it with these users (name, password), each in `admin` and with both SCRAM mechanisms. `None`, after a
    /// [`skip`](super::skip), where there is no Python with scramp. It knows ping, connectionStatus, listDatabases.
    ///
    /// # Panics
    /// If it is there but does not start.
    pub fn start(users: &[(&str, &str)]) -> Option<ScrampServer> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/scramp_server.py");
        let mut child = Command::new(python()?)
            .arg(script)
            .args(users.iter().flat_map(|(name, password)| [name, password]))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let mut uri = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut uri).expect("the server's first line");
        }
        let uri = uri.trim().to_owned();
        assert!(uri.starts_with("mongodb://"), "scramp_server.py did not start; its error is above");
        Some(ScrampServer { child, uri })
    }

    /// The URI without credentials.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> &str {
        self.uri.trim_start_matches("mongodb://").trim_end_matches('/')
    }
}

impl Drop for ScrampServer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
