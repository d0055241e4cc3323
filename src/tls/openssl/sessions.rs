//! Sessions that later channels of the same client take up again, which spares both sides the certificates.
//!
//! A session is the fruit of one verification, so it belongs to one server (name and port), one identity and one set of
//! trust settings: it lives in the [`Context`](super::Context) that made it, and goes with it. OpenSSL does not look at
//! the certificate again when a session is taken up, so what was verified holds for [`MAX_AGE`] at most, and not past
//! the day on which a certificate of the chain or the word about its revocation runs out. A session that comes of a
//! resumed channel inherits that limit.
//!
//! A TLS 1.3 ticket is used once, as RFC 8446 (C.4) asks: the server sends new ones on each channel. A TLS 1.2 session
//! serves again and again. A child of `fork` begins anew, so that a ticket is not used by two processes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, SystemTime};

use ::openssl::asn1::Asn1Time;
use ::openssl::error::ErrorStack;
use ::openssl::ex_data::Index;
use ::openssl::ssl::{Ssl, SslContextBuilder, SslRef, SslSession, SslSessionCacheMode, SslVersion};

use super::resume;
use crate::event::Revocation;
use crate::fork;
use crate::locks;
use crate::tls::target::Target;

/// The sessions of one context.
#[derive(Default)]
pub(super) struct Sessions(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// The process that they are of, as [`fork::process`] numbers it.
    process: u64,
    servers: HashMap<Server, ServerSessions>,
}

/// A server, as the connection string names it.
type Server = (String, u16);

/// What is held for one server.
#[derive(Default)]
struct ServerSessions {
    sessions: Vec<(SslSession, VerifiedUntil)>,
    /// When a handshake failed in which a session was taken up.
    failed: Option<SystemTime>,
}

/// What the full handshake at the root of a session found out, and how long that holds.
#[derive(Clone, Debug)]
pub(super) struct VerifiedUntil {
    from: SystemTime,
    until: SystemTime,
    pub(super) revocation: Revocation,
}

/// What a channel knows of the place where its sessions go.
struct SessionSlot {
    sessions: Arc<Sessions>,
    server: Server,
    /// Set once the channel is accepted: no session of another is kept.
    verified: OnceLock<VerifiedUntil>,
}

impl Sessions {
    /// Has the context tell of new sessions, and keep none by itself.
    pub(super) fn watch(builder: &mut SslContextBuilder) -> Result<(), ErrorStack> {
        let index = slot()?;
        builder.set_session_cache_mode(SslSessionCacheMode::CLIENT | SslSessionCacheMode::NO_INTERNAL);
        builder.set_new_session_callback(move |ssl, session| {
            if let Some(slot) = ssl.ex_data(index)
                && let Some(verified) = slot.verified.get()
            {
                slot.sessions.keep(&slot.server, session, verified);
            }
        });
        Ok(())
    }

    /// Prepares a handshake: it takes up the newest session with that server, if there is one. Returns what its full
    /// handshake had found out.
    pub(super) fn offer(
        self: &Arc<Self>,
        ssl: &mut Ssl,
        target: &Target<'_>,
    ) -> Result<Option<VerifiedUntil>, ErrorStack> {
        let server = (target.host.to_owned(), target.port);
        let taken = self.take(&server);
        ssl.set_ex_data(slot()?, SessionSlot { sessions: self.clone(), server, verified: OnceLock::new() });
        let Some((session, verified)) = taken else { return Ok(None) };
        resume::take_up(ssl, &session)?;
        Ok(Some(verified))
    }

    /// The channel is accepted: its sessions may be kept. With TLS 1.3 they come later, with TLS 1.2 it has its own by
    /// now.
    pub(super) fn accept(ssl: &SslRef, verified: VerifiedUntil) {
        let Some(slot) = slot().ok().and_then(|index| ssl.ex_data(index)) else { return };
        if is_used_once(ssl.version2()) {
            let _ = slot.verified.set(verified);
        } else if let Some(session) = ssl.session().filter(|session| !session.id().is_empty()) {
            slot.sessions.keep(&slot.server, session.to_owned(), &verified);
        }
    }

    /// A handshake failed in which a session was taken up: there is none for a while.
    pub(super) fn failed(&self, target: &Target<'_>) {
        let mut kept = self.lock();
        let held = kept.servers.entry((target.host.to_owned(), target.port)).or_default();
        *held = ServerSessions { sessions: Vec::new(), failed: Some(SystemTime::now()) };
    }

    fn take(&self, server: &Server) -> Option<(SslSession, VerifiedUntil)> {
        let now = SystemTime::now();
        let mut kept = self.lock();
        let held = &mut kept.servers.get_mut(server)?.sessions;
        held.retain(|(_, verified)| verified.holds(now));
        match held.last()? {
            (session, _) if is_used_once(Some(session.protocol_version())) => held.pop(),
            again => Some(again.clone()),
        }
    }

    fn keep(&self, server: &Server, session: SslSession, verified: &VerifiedUntil) {
        let now = SystemTime::now();
        if !verified.holds(now) {
            return;
        }
        let mut kept = self.lock();
        if kept.servers.len() >= MAX_SERVERS && !kept.servers.contains_key(server) {
            kept.servers.clear();
        }
        let held = kept.servers.entry(server.clone()).or_default();
        if held.failed.is_some_and(|failed| failed <= now && now < failed + PAUSE) {
            return;
        }
        if held.sessions.len() >= MAX_SESSIONS || !is_used_once(Some(session.protocol_version())) {
            held.sessions.drain(..1.min(held.sessions.len()));
        }
        held.sessions.push((session, verified.clone()));
    }

    /// How many are kept for a server.
    #[cfg(test)]
    pub(super) fn count(&self, host: &str, port: u16) -> usize {
        self.lock().servers.get(&(host.to_owned(), port)).map_or(0, |held| held.sessions.len())
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        let mut kept = locks::lock(&self.0);
        let process = fork::process();
        if kept.process != process {
            *kept = Kept { process, servers: HashMap::new() };
        }
        kept
    }
}

impl VerifiedUntil {
    /// What a full handshake found out just now; `until` limits how long the word about revocation holds.
    pub(super) fn now(ssl: &SslRef, revocation: Revocation, until: Option<SystemTime>) -> VerifiedUntil {
        let from = SystemTime::now();
        let limits = [Some(from + MAX_AGE), until, shortest_life(ssl, from)];
        VerifiedUntil { from, until: limits.into_iter().flatten().min().unwrap_or(from), revocation }
    }

    /// A clock that was set back does not prolong it.
    fn holds(&self, now: SystemTime) -> bool {
        self.from <= now && now < self.until
    }
}

/// When the first certificate of the chain expires.
fn shortest_life(ssl: &SslRef, now: SystemTime) -> Option<SystemTime> {
    let today = Asn1Time::days_from_now(0).ok()?;
    let left = |certificate: &::openssl::x509::X509Ref| {
        let left = today.diff(certificate.not_after()).ok()?;
        let seconds = i64::from(left.days) * SECONDS_A_DAY + i64::from(left.secs);
        Some(now + Duration::from_secs(u64::try_from(seconds).unwrap_or(0).min(MAX_AGE.as_secs())))
    };
    // Without verification there is only what the server sent.
    ssl.verified_chain().or_else(|| ssl.peer_cert_chain())?.iter().filter_map(left).min()
}

fn is_used_once(version: Option<SslVersion>) -> bool {
    version == Some(SslVersion::TLS1_3)
}

/// Where OpenSSL keeps a channel's [`SessionSlot`].
fn slot() -> Result<Index<Ssl, SessionSlot>, ErrorStack> {
    static INDEX: OnceLock<Index<Ssl, SessionSlot>> = OnceLock::new();
    match INDEX.get() {
        Some(index) => Ok(*index),
        None => {
            let index = Ssl::new_ex_index()?;
            Ok(*INDEX.get_or_init(|| index))
        }
    }
}

/// So long one verification of a server's certificates counts.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);
/// So long after a failed attempt no session of that server is kept.
const PAUSE: Duration = Duration::from_secs(10 * 60);
/// More tickets of one server are not kept: as many as connections are opened side by side, and some.
const MAX_SESSIONS: usize = 8;
/// A deployment has fewer servers; with more, all sessions are dropped, which costs a full handshake each.
const MAX_SERVERS: usize = 128;
const SECONDS_A_DAY: i64 = 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_verified_holds_for_a_while_and_not_with_another_clock() {
        let from = SystemTime::now();
        let verified = VerifiedUntil { from, until: from + MAX_AGE, revocation: Revocation::NotChecked };
        assert!(verified.holds(from) && verified.holds(from + MAX_AGE - Duration::from_secs(1)));
        assert!(!verified.holds(from + MAX_AGE) && !verified.holds(from - Duration::from_secs(1)));
    }
}
