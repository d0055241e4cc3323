//! The server's half of PLAIN (RFC 4616): it takes the message apart and asks somebody else about the password.

use std::sync::Arc;

use crate::front::{Denied, Dialogue, Spoken};

/// Begins conversations whose passwords `judge` knows: it gets user name and password.
///
/// ```no_run
/// use mongo_blocking_test_server::front::Front;
/// use mongo_blocking_test_server::peers::Slapd;
/// use mongo_blocking_test_server::plain;
///
/// let Some(slapd) = Slapd::start(&[("ann", "pencil")]) else { return };
/// let judge = move |user: &str, password: &str| slapd.takes(user, password);
/// let front = Front::builder().mechanism("PLAIN", plain::judged_by(judge)).start();
/// ```
pub fn judged_by(
    judge: impl Fn(&str, &str) -> bool + Send + Sync + 'static,
) -> impl Fn(&str) -> Box<dyn Dialogue> + Send + Sync {
    let judge: Arc<Judge> = Arc::new(judge);
    move |_database| Box::new(Conversation { judge: judge.clone() })
}

type Judge = dyn Fn(&str, &str) -> bool + Send + Sync;

struct Conversation {
    judge: Arc<Judge>,
}

impl Dialogue for Conversation {
    fn step(&mut self, payload: &[u8]) -> Result<Spoken, Denied> {
        let text = std::str::from_utf8(payload).map_err(|_| Denied::failed())?;
        let parts: Vec<&str> = text.split('\0').collect();
        let [identity, user, password] = parts[..] else { return Err(Denied::failed()) };
        // A directory takes an empty password for an anonymous login, which succeeds.
        let wrong = user.is_empty() || password.is_empty() || !(identity.is_empty() || identity == user);
        if wrong || !(self.judge)(user, password) {
            return Err(Denied::failed());
        }
        Ok(Spoken { payload: Vec::new(), done: true, user: Some(user.to_owned()) })
    }
}
