//! The server sessions of a client that no operation uses now, and the highest cluster time that it has seen.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{RawDocument, RawDocumentBuf};

use super::cluster_time::ClusterTime;
use super::server_session::{ServerSession, SessionId};
use crate::error::Result;
use crate::fork::PerProcess;
use crate::operation::body::Body;
use crate::system::System;

/// What a client keeps for its sessions. A child process begins anew: the parent's sessions are the parent's.
pub(crate) struct Sessions {
    system: Arc<dyn System>,
    kept: PerProcess<Kept>,
}

#[derive(Default)]
struct Kept {
    /// The one that was used last is in front, and is taken first.
    idle: VecDeque<Box<ServerSession>>,
    /// Those that open cursors and sessions of the program's hold, for when the client is closed.
    lent: HashSet<SessionId>,
    /// How many are in use.
    in_use: usize,
    /// The highest time that a server has reported.
    cluster_time: Option<ClusterTime>,
    /// How long a session lives on the servers without being used; `None`: for ever, as far as the client knows.
    timeout: Option<Duration>,
}

impl Sessions {
    pub(crate) fn new(system: Arc<dyn System>) -> Self {
        Sessions { system, kept: PerProcess::new() }
    }

    /// A server session for one operation, or for one session of the program's. `timeout`: how long servers keep one that is
    /// not used. It is `now`.
    ///
    /// Fails where there is none, and the operating system has no random bytes for a new one.
    pub(crate) fn take(&self, timeout: Option<Duration>, now: Instant) -> Result<Box<ServerSession>> {
        let mut kept = self.kept.lock();
        kept.timeout = timeout;
        while let Some(session) = kept.idle.pop_front() {
            if !session.expires_soon(timeout, now) {
                kept.in_use += 1;
                return Ok(session);
            }
        }
        drop(kept);
        let session = ServerSession::new(&*self.system, now)?;
        self.kept.lock().in_use += 1;
        Ok(session)
    }

    /// Takes a session back that is not used any longer. It is `now`.
    pub(crate) fn give_back(&self, mut session: Box<ServerSession>, now: Instant) {
        if !session.is_ours() {
            return;
        }
        let mut kept = self.kept.lock();
        kept.in_use = kept.in_use.saturating_sub(1);
        if session.is_lent {
            kept.lent.remove(&session.id());
        }
        let timeout = kept.timeout;
        while kept.idle.back().is_some_and(|session| session.expires_soon(timeout, now)) {
            kept.idle.pop_back();
        }
        if !session.is_dirty() && !session.expires_soon(timeout, now) {
            session.is_lent = false;
            kept.idle.push_front(session);
        }
    }

    /// A session whose id was sent stays in use beyond one operation.
    pub(super) fn lend(&self, session: &mut ServerSession) {
        if session.is_ours() && !std::mem::replace(&mut session.is_lent, true) {
            self.kept.lock().lent.insert(session.id());
        }
    }

    /// Empties the pool: the ids of all that servers know of, as commands carry them. Those that are lent are among them: what holds
    /// them is of no use without the client.
    pub(crate) fn take_all(&self) -> Vec<RawDocumentBuf> {
        let mut kept = self.kept.lock();
        let (idle, lent) = (std::mem::take(&mut kept.idle), std::mem::take(&mut kept.lent));
        drop(kept);
        let idle = idle.iter().filter(|session| session.is_used()).map(|session| session.id());
        idle.chain(lent).map(SessionId::to_raw).collect()
    }

    /// How many sessions were taken and not given back.
    pub(crate) fn in_use(&self) -> usize {
        self.kept.lock().in_use
    }

    /// How many sessions are in the pool.
    #[cfg(test)]
    pub(crate) fn idle(&self) -> usize {
        self.kept.lock().idle.len()
    }

    /// A server has reported this cluster time.
    pub(crate) fn cluster_time_reported(&self, document: &RawDocument) {
        ClusterTime::advance(&mut self.kept.lock().cluster_time, document);
    }

    /// Adds the highest cluster time to a command: the client's or, if that is higher, that of the operation's session.
    pub(super) fn append_cluster_time(&self, body: &mut Body, of_session: Option<&ClusterTime>) {
        let kept = self.kept.lock();
        if let Some(highest) = kept.cluster_time.as_ref().max(of_session) {
            highest.append_to(body);
        }
    }
}
