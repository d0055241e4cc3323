//! The cache of TLS sessions. Later channels of the same client resume them, so no certificates have to be sent and verified.
//!
//! A session results from one verification. So it belongs to one server (name and port), one identity and one set of trust
//! settings, and is stored in the [`Context`](super::Context) that made it. OpenSSL does not verify the certificate again when a
//! session is resumed. So a session is used for [`MAX_AGE`] at most, and not after a certificate of the chain or the information
//! about its revocation has expired. A session from a resumed channel inherits that limit.
//!
//! A TLS 1.3 ticket is used once, as RFC 8446 (C.4) asks: the server sends new ones on each channel. A TLS 1.2 session
//! is used many times. A child of `fork` begins with an empty cache, so that two processes do not use the same ticket.

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
use crate::system::System;
use crate::tls::target::Target;

/// The sessions of one context.
pub(super) struct Sessions {
    system: Arc<dyn System>,
    cache: Mutex<SessionCache>,
}

#[derive(Default)]
struct SessionCache {
    /// The process that they belong to ([`fork::process`]).
    process: u64,
    servers: HashMap<Server, ServerSessions>,
}

/// A server, as the connection string names it.
type Server = (String, u16);

/// The sessions of one server.
#[derive(Default)]
struct ServerSessions {
    sessions: Vec<(SslSession, VerifiedUntil)>,
    /// When a handshake that resumed a session failed.
    failed: Option<SystemTime>,
}

/// What the full handshake behind a session verified, and how long that is valid.
#[derive(Clone, Debug)]
pub(super) struct VerifiedUntil {
    from: SystemTime,
    until: SystemTime,
    pub(super) revocation: Revocation,
}

/// Where a channel stores its sessions.
struct SessionSlot {
    sessions: Arc<Sessions>,
    server: Server,
    /// Set once the channel is accepted; sessions of other channels are not stored.
    verified: OnceLock<VerifiedUntil>,
}

impl Sessions {
    pub(super) fn new(system: &Arc<dyn System>) -> Sessions {
        Sessions { system: system.clone(), cache: Mutex::default() }
    }

    /// Makes the context report new sessions instead of storing them.
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

    /// Prepares a handshake to resume the newest session with that server, if there is one. Returns what its full handshake
    /// verified.
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

    /// The channel is accepted, so its sessions may be stored. With TLS 1.3 they come later. With TLS 1.2 the session exists
    /// already.
    pub(super) fn accept(ssl: &SslRef, verified: VerifiedUntil) {
        let Some(slot) = slot().ok().and_then(|index| ssl.ex_data(index)) else { return };
        if is_used_once(ssl.version2()) {
            let _ = slot.verified.set(verified);
        } else if let Some(session) = ssl.session().filter(|session| !session.id().is_empty()) {
            slot.sessions.keep(&slot.server, session.to_owned(), &verified);
        }
    }

    /// A handshake that resumed a session failed: no session of this server is used for [`PAUSE`].
    pub(super) fn failed(&self, target: &Target<'_>) {
        let mut cache = self.lock();
        let held = cache.servers.entry((target.host.to_owned(), target.port)).or_default();
        *held = ServerSessions { sessions: Vec::new(), failed: Some(self.system.now()) };
    }

    fn take(&self, server: &Server) -> Option<(SslSession, VerifiedUntil)> {
        let now = self.system.now();
        let mut cache = self.lock();
        let held = &mut cache.servers.get_mut(server)?.sessions;
        held.retain(|(_, verified)| verified.holds(now));
        match held.last()? {
            (session, _) if is_used_once(Some(session.protocol_version())) => held.pop(),
            again => Some(again.clone()),
        }
    }

    fn keep(&self, server: &Server, session: SslSession, verified: &VerifiedUntil) {
        let now = self.system.now();
        if !verified.holds(now) {
            return;
        }
        let mut cache = self.lock();
        if cache.servers.len() >= MAX_SERVERS && !cache.servers.contains_key(server) {
            cache.servers.clear();
        }
        let held = cache.servers.entry(server.clone()).or_default();
        if held.failed.is_some_and(|failed| failed <= now && now < failed + PAUSE) {
            return;
        }
        if held.sessions.len() >= MAX_SESSIONS || !is_used_once(Some(session.protocol_version())) {
            held.sessions.drain(..1.min(held.sessions.len()));
        }
        held.sessions.push((session, verified.clone()));
    }

    /// How many are stored for a server.
    #[cfg(test)]
    pub(super) fn count(&self, host: &str, port: u16) -> usize {
        self.lock().servers.get(&(host.to_owned(), port)).map_or(0, |held| held.sessions.len())
    }

    fn lock(&self) -> MutexGuard<'_, SessionCache> {
        let mut cache = locks::lock(&self.cache);
        let process = fork::process();
        if cache.process != process {
            *cache = SessionCache { process, servers: HashMap::new() };
        }
        cache
    }
}

impl VerifiedUntil {
    /// What a full handshake verified at this moment. `until` is the end of the information about revocation.
    pub(super) fn since(
        from: SystemTime,
        ssl: &SslRef,
        revocation: Revocation,
        until: Option<SystemTime>,
    ) -> VerifiedUntil {
        let limits = [Some(from + MAX_AGE), until, shortest_life(ssl, from)];
        VerifiedUntil { from, until: limits.into_iter().flatten().min().unwrap_or(from), revocation }
    }

    /// Not valid before `from` either, so setting the clock back does not prolong it.
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

/// How long one verification of a server's certificates is valid.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);
/// How long after a failed resumption no session of that server is stored.
const PAUSE: Duration = Duration::from_secs(10 * 60);
/// The most tickets of one server: more than the connections that are usually opened at the same time.
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
