//! The server's half of PLAIN (RFC 4616): it takes the message apart and asks somebody else about the password.

use std::sync::Arc;

use crate::fake_server::{SaslError, SaslReply, SaslServer};

/// Begins conversations whose passwords `judge` knows: it gets user name and password.
///
/// ```no_run
/// use mongo_blocking_test_server::fake_server::FakeServer;
/// use mongo_blocking_test_server::peers::Slapd;
/// use mongo_blocking_test_server::plain;
///
/// let Some(slapd) = Slapd::start(&[("ann", "pencil")]) else { return };
/// let judge = move |user: &str, password: &str| slapd.takes(user, password);
/// let fake_server = FakeServer::builder().mechanism("PLAIN", plain::judged_by(judge)).start();
/// ```
pub fn judged_by(
    judge: impl Fn(&str, &str) -> bool + Send + Sync + 'static,
) -> impl Fn(&str) -> Box<dyn SaslServer> + Send + Sync {
    let judge: Arc<Judge> = Arc::new(judge);
    move |_database| Box::new(Conversation { judge: judge.clone() })
}

type Judge = dyn Fn(&str, &str) -> bool + Send + Sync;

struct Conversation {
    judge: Arc<Judge>,
}

impl SaslServer for Conversation {
    fn step(&mut self, payload: &[u8]) -> Result<SaslReply, SaslError> {
        let text = std::str::from_utf8(payload).map_err(|_| SaslError::failed())?;
        let parts: Vec<&str> = text.split('\0').collect();
        let [identity, user, password] = parts[..] else { return Err(SaslError::failed()) };
        // A directory takes an empty password for an anonymous login, which succeeds.
        let wrong = user.is_empty() || password.is_empty() || !(identity.is_empty() || identity == user);
        if wrong || !(self.judge)(user, password) {
            return Err(SaslError::failed());
        }
        Ok(SaslReply { payload: Vec::new(), done: true, user: Some(user.to_owned()) })
    }
}
