//! Asking for the SRV records again, as the specification of polling has it, so that mongos which come and go are noticed. When
//! to ask, and what the answer changes; pure but for the question itself. The topology owns the clock and the threads.

use std::time::{Duration, Instant};

use super::seedlist::{Seedlist, SrvLookup, choose};
use crate::error::Result;
use crate::options::{ClientOptions, ServerAddress};

/// Polls the SRV records of a deployment.
///
/// To be used while the deployment is of unknown type or sharded, and not load balanced: whenever
/// [`is_due`](SrvPolling::is_due), [`lookup`](SrvPolling::lookup) is asked on a thread of its own, and its outcome goes to
/// [`hosts_after`](SrvPolling::hosts_after).
#[derive(Debug)]
pub(crate) struct SrvPolling {
    lookup: SrvLookup,
    max_hosts: usize,
    heartbeat_frequency: Duration,
    next: Instant,
}

impl SrvPolling {
    /// For options that DNS gave the hosts of; `None` for others, and with a load balancer.
    pub(crate) fn new(options: &ClientOptions) -> Result<Option<Self>> {
        let (Some(lookup), Some(seedlist)) = (SrvLookup::new(options)?, options.seedlist()) else { return Ok(None) };
        if options.load_balanced() {
            return Ok(None);
        }
        Ok(Some(SrvPolling {
            lookup,
            max_hosts: usize::try_from(options.srv_max_hosts()).unwrap_or(usize::MAX),
            heartbeat_frequency: options.heartbeat_frequency(),
            next: seedlist.at + interval(seedlist.lowest_ttl),
        }))
    }

    /// Whether it is time to ask.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// What to ask: a copy for the thread that waits for the answer.
    pub(crate) fn lookup(&self) -> SrvLookup {
        self.lookup.clone()
    }

    /// The hosts that the topology shall have from now on; `None` where nothing changes. A failure, which is logged, changes
    /// nothing, and the next question follows after heartbeatFrequencyMS.
    pub(crate) fn hosts_after(
        &mut self,
        outcome: Result<Seedlist>,
        current: &[ServerAddress],
        now: Instant,
    ) -> Option<Vec<ServerAddress>> {
        let hosts = match outcome {
            Ok(found) => {
                self.next = now + interval(found.lowest_ttl);
                self.choose_hosts(found.hosts, current)
            }
            Err(error) => {
                self.next = now + self.heartbeat_frequency;
                Err(error)
            }
        };
        match hosts {
            Ok(hosts) => {
                let same = hosts.len() == current.len() && hosts.iter().all(|host| current.contains(host));
                (!same).then_some(hosts)
            }
            Err(error) => {
                log::warn!("the hosts of the deployment stay as they are: {error}");
                None
            }
        }
    }

    /// Hosts that are in use stay; new ones are taken at random as far as srvMaxHosts leaves room.
    fn choose_hosts(&self, found: Vec<ServerAddress>, current: &[ServerAddress]) -> Result<Vec<ServerAddress>> {
        if self.max_hosts == 0 || self.max_hosts >= found.len() {
            return Ok(found);
        }
        let (mut hosts, mut new): (Vec<_>, Vec<_>) = found.into_iter().partition(|host| current.contains(host));
        hosts.truncate(self.max_hosts);
        choose(&mut new, self.max_hosts - hosts.len())?;
        hosts.append(&mut new);
        Ok(hosts)
    }
}

/// The lowest time to live, and a minute at least.
fn interval(lowest_ttl: Duration) -> Duration {
    lowest_ttl.max(SHORTEST_INTERVAL)
}

/// What the specification sets, so that name servers are not asked all the time.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
