//! The server that one login is about.

use crate::certificate::PresentedCertificate;
use crate::deadline::Deadline;

/// The server that one login is about, as far as a mechanism may know it.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "each mechanism behind a feature reads some of it")]
pub(crate) struct AuthTarget<'a> {
    /// Its host, as the connection string has it; for a Unix socket, its path.
    pub(crate) host: &'a str,
    /// When the operation that waits for this login must end.
    pub(crate) deadline: Deadline,
    /// When one step of the login must end: what each of its commands is given.
    pub(crate) step_deadline: Deadline,
    /// When this connection must be made: what is left of `connectTimeoutMS`, and of the operation's time.
    pub(crate) connect_deadline: Deadline,
    /// Whether TLS has verified the server in full.
    pub(crate) verified: bool,
    /// The client certificate that the server has received, where TLS can tell.
    pub(crate) presented: Option<&'a PresentedCertificate>,
}

impl AuthTarget<'_> {
    /// A target without a server, for validating a credential before there is a connection.
    pub(super) fn unknown() -> Self {
        AuthTarget {
            host: "",
            deadline: Deadline::NEVER,
            step_deadline: Deadline::NEVER,
            connect_deadline: Deadline::NEVER,
            verified: false,
            presented: None,
        }
    }
}
