//! What the topology concludes from what the pools of its servers tell it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::shared::Shared;
use super::silent;
use super::transition::{self, OperationFailure, Outcome};
use crate::description::ServerDescription;
use crate::error::Error;
use crate::options::ServerAddress;
use crate::pool::{FailedAttempt, PoolObserver};

impl PoolObserver for Shared {
    fn hello_answered(&self, address: &ServerAddress, hello: &Arc<ServerDescription>, round_trip_time: Duration) {
        let now = self.clock.now();
        let mut state = self.lock();
        let Some(member) = state.members.get_mut(address).filter(|_| !self.settings.initial.load_balanced) else {
            return;
        };
        member.check.record(now, now.checked_sub(round_trip_time));
        // In the background only the monitor's round trip times count.
        let round_trip_time = Some(round_trip_time).filter(|_| !self.settings.background);
        let hello = hello.clone();
        let outcome = Outcome::Answered { address, hello, round_trip_time, at: now };
        let update = transition::apply(&state.description, outcome);
        let aftermath = self.carry_out(&mut state, update);
        drop(state);
        self.finish(aftermath);
    }

    fn attempt_failed(&self, address: &ServerAddress, error: &Error, attempt: FailedAttempt) {
        let FailedAttempt { generation, service_id, own_limit } = attempt;
        let server = self.lock().members.get(address).map(|member| member.server.clone());
        if let Some(server) = server.filter(|_| !own_limit) {
            let failure = OperationFailure {
                address,
                error,
                reply: None,
                handshake_completed: false,
                generation: Some(generation),
                pool_generation: 0,
                service_id,
                at: self.clock.now(),
            };
            self.operation_failed(&server, failure);
        }
    }
    fn still_waiting(&self, address: &ServerAddress, since: Instant) {
        silent::look_at(self, address, since);
    }
}
