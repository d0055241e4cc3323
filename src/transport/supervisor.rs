//! How a connection that is being made is watched and ended.

use std::sync::Arc;

use super::socket::{ShutdownHandle, Socket};
use super::wait_observer::WaitObserver;

/// What may be done about a connection that is being made.
#[derive(Clone, Copy)]
pub(crate) struct Supervisor<'a> {
    /// Is told of long waits, now and for as long as there is the connection.
    pub(crate) observer: Option<&'a Arc<dyn WaitObserver>>,
    /// Gets a handle that ends the connection from another thread, as soon as there is a socket: before the handshakes of a proxy and
    /// of TLS. Called once more where TLS needs a second connection.
    pub(crate) opened: &'a dyn Fn(ShutdownHandle),
    /// Whether nobody wants the connection any more. Asked several times a second while TCP is long in coming: there is no socket
    /// yet that could be shut down.
    pub(crate) given_up: &'a dyn Fn() -> bool,
}

impl Supervisor<'_> {
    /// There is a socket.
    pub(super) fn supervise(&self, socket: &mut Socket) {
        (self.opened)(socket.shutdown_handle());
        if let Some(observer) = self.observer {
            socket.set_wait_observer(observer.clone());
        }
    }
}
