//! The buffers that a connection needs while it is in use. An idle connection has none; its pool keeps a few for the next.

/// The buffers of one exchange. Empty ones cost nothing; they get their room when a message is about to be sent.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// The message that is sent.
    pub(super) outgoing: Vec<u8>,
    /// The first part of a reply, and all of a short one.
    pub(super) incoming: Vec<u8>,
    /// A buffer for a long reply, if one was given back.
    pub(super) spare: Vec<u8>,
}

impl Buffers {
    /// Makes room for a reply, unless there is some.
    pub(super) fn prepare(&mut self) {
        if self.incoming.is_empty() {
            self.incoming = vec![0; INCOMING];
        }
    }

    /// Whether they hold no memory.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        [&self.outgoing, &self.incoming, &self.spare].iter().all(|buffer| buffer.capacity() == 0)
    }

    /// Gives large buffers back before these are kept for later.
    pub(crate) fn shrink(&mut self) {
        if self.spare.capacity() > KEPT_AT_REST {
            self.spare = Vec::new();
        }
        if self.outgoing.capacity() > KEPT_AT_REST {
            self.outgoing = Vec::new();
        }
    }
}

/// Room for most replies, read in one go.
pub(super) const INCOMING: usize = 16 * 1024;
/// A larger buffer is not kept for later.
const KEPT_AT_REST: usize = 1024 * 1024;
