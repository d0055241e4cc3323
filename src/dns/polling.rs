//! Asking for the SRV records again, as the specification of polling has it, so that mongos which come and go are noticed.
//!
//! This says when to ask and what to make of an answer; it has no clock and no thread. A topology of
//! mongos asks [`SrvLookup::rescan`] on a helper thread when [`SrvPolling::is_due`], hands the
//! outcome to [`SrvPolling::record`], and takes the hosts that this returns into its description.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::seedlist::{Seedlist, SrvLookup};
use crate::error::Result;
use crate::options::{ClientSettings, ServerAddress};
use crate::system::System;

/// When the SRV records of a deployment are asked for again.
#[derive(Clone, Debug)]
pub(crate) struct SrvPolling {
    lookup: SrvLookup,
    heartbeat_frequency: Duration,
    /// `None`: later than the clock can tell, which is never.
    next: Option<Instant>,
    running: bool,
}

impl SrvPolling {
    /// For options whose hosts came from DNS; `None` for others, and with a load balancer.
    pub(crate) fn new(options: &ClientSettings, system: &Arc<dyn System>) -> Result<Option<Self>> {
        let lookup = SrvLookup::new(options, system)?;
        let (Some(lookup), Some(seedlist)) = (lookup, options.seedlist()) else { return Ok(None) };
        if options.load_balanced() {
            return Ok(None);
        }
        Ok(Some(SrvPolling {
            lookup,
            heartbeat_frequency: options.heartbeat_frequency(),
            next: seedlist.at.checked_add(interval(seedlist.lowest_ttl)),
            running: false,
        }))
    }

    /// Whether it is time to ask.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.next.is_some_and(|next| now >= next)
    }

    /// How long it is until the next question.
    pub(crate) fn due_in(&self, now: Instant) -> Option<Duration> {
        self.next.map(|next| next.saturating_duration_since(now))
    }

    /// Whether a question is out, whose answer may name other hosts.
    pub(crate) fn is_running(&self) -> bool {
        self.running
    }

    /// It is being asked: the next question follows when the answer is recorded, or a minute later if that never happens.
    pub(crate) fn asked(&mut self, now: Instant) {
        self.running = true;
        self.next = now.checked_add(SHORTEST_INTERVAL);
    }

    /// The question could not be asked after all: the next one follows after `heartbeatFrequencyMS`, as after a failure.
    pub(crate) fn not_asked(&mut self, now: Instant) {
        self.running = false;
        self.next = now.checked_add(self.heartbeat_frequency);
    }

    /// The question, as a copy for the thread that waits for the answer.
    pub(crate) fn lookup(&self) -> SrvLookup {
        self.lookup.clone()
    }

    /// Takes the outcome of a question that ended `now`, and returns the hosts that DNS names. `None` after a failure: it is
    /// logged and changes nothing, and the next question follows after `heartbeatFrequencyMS`.
    pub(crate) fn record(&mut self, outcome: Result<Seedlist>, now: Instant) -> Option<Vec<ServerAddress>> {
        self.running = false;
        match outcome {
            Ok(found) => {
                self.next = now.checked_add(interval(found.lowest_ttl));
                Some(found.hosts)
            }
            Err(error) => {
                self.next = now.checked_add(self.heartbeat_frequency);
                log::warn!("the hosts of the deployment stay as they are: {error:#}");
                None
            }
        }
    }
}

/// The lowest time to live, and a minute at least.
fn interval(lowest_ttl: Duration) -> Duration {
    lowest_ttl.max(SHORTEST_INTERVAL)
}

/// What the specification sets, so that name servers are not asked all the time.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(60);
