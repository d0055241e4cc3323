//! What a client keeps for making TLS channels, whichever backend makes them.

use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;

use super::{Context, Failure, Memory, TlsStream};
use crate::auth::Presented;
use crate::deadline::Deadline;
use crate::error::Result;
use crate::options::TlsOptions;
use crate::warning::Alarm;

/// What a client keeps for making TLS channels.
pub(crate) struct Connector {
    context: Arc<Context>,
}

/// The server that a channel is to lead to.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    /// Its name or address as the connection string has it: what its certificate must bear.
    pub(crate) host: &'a str,
    /// Its port.
    #[cfg_attr(
        any(windows, target_os = "macos", mongo_blocking_native_tls),
        expect(dead_code, reason = "it keeps no sessions")
    )]
    pub(crate) port: u16,
    /// Until when the channel must be there. The stream beneath keeps it by itself; what else is asked has to, too.
    pub(crate) deadline: Deadline,
}

impl Connector {
    /// Reads the files that the options name.
    pub(crate) fn new(options: &TlsOptions, alarm: &Alarm) -> Result<Connector> {
        let memory = Arc::<Memory>::default();
        Ok(Connector { context: Arc::new(Context::new(options, &memory, alarm)?) })
    }

    /// The certificate that servers get to see, where the backend can tell.
    pub(crate) fn presented(&self) -> Option<&Presented> {
        self.context.presented()
    }

    /// Makes a channel over a connected stream.
    pub(crate) fn connect<S>(&self, target: &Target<'_>, stream: S) -> Result<TlsStream<S>, Failure>
    where
        S: Read + Write + fmt::Debug,
    {
        let (channel, facts) = self.context.connect(target, stream)?;
        Ok(TlsStream::new(channel, facts))
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}
