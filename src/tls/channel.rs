//! A TLS channel, whichever backend made it.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;

use super::{Channel, is_idle};
use crate::certificate::PresentedCertificate;
use crate::event::TlsInfo;

/// A TLS channel over a stream.
pub(crate) struct TlsStream<S> {
    channel: Channel<S>,
    facts: Arc<TlsInfo>,
    presented: Option<Arc<PresentedCertificate>>,
}

impl<S: Read + Write> TlsStream<S> {
    pub(super) fn new(
        channel: Channel<S>,
        facts: TlsInfo,
        presented: Option<Arc<PresentedCertificate>>,
    ) -> TlsStream<S> {
        TlsStream { channel, facts: Arc::new(facts), presented }
    }

    /// The stream beneath.
    pub(crate) fn get_ref(&self) -> &S {
        self.channel.get_ref()
    }

    /// The stream beneath.
    pub(crate) fn get_mut(&mut self) -> &mut S {
        self.channel.get_mut()
    }

    /// What was agreed on, and with whom.
    pub(crate) fn facts(&self) -> &Arc<TlsInfo> {
        &self.facts
    }

    /// The client certificate that the server received, if the backend reports it.
    pub(crate) fn presented(&self) -> Option<&PresentedCertificate> {
        self.presented.as_deref()
    }

    /// Whether the peer has neither sent anything nor closed. The stream beneath must be non-blocking now.
    pub(crate) fn is_idle(&mut self) -> bool {
        is_idle(&mut self.channel)
    }

    /// Sends the peer the end of the data. The stream beneath must be non-blocking now. A failure is ignored.
    pub(crate) fn send_close_notify(&mut self) {
        let _ = self.channel.shutdown();
    }
}

impl<S: Read + Write> Read for TlsStream<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.channel.read(buffer)
    }
}

impl<S: Read + Write> Write for TlsStream<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.channel.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.channel.flush()
    }
}

impl<S> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TlsStream").field(&self.facts).finish()
    }
}
