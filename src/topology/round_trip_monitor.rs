//! Measures the round trip times of a server whose checks are answered only when there is something new: a thread with a connection of
//! its own, of which no event tells.

use std::sync::Arc;
use std::time::Duration;

use super::monitor_control::{MonitorConnection, MonitorControl};
use super::shared::Shared;
use crate::connection::{HelloFor, OpenedConnection, Supervisor};
use crate::error::Result;
use crate::fork;
use crate::server::Server;

/// The name of the threads.
const THREAD_NAME: &str = "mongo-rtt";

/// Starts the thread. `false`: none could be had.
pub(super) fn start(shared: &Arc<Shared>, server: &Arc<Server>, control: &Arc<MonitorControl>) -> bool {
    let (shared, server, control) = (shared.clone(), server.clone(), control.clone());
    let counted = shared.threads.count_one();
    let work = move || {
        let _counted = counted.begin();
        let mut connection = None;
        while !control.is_stopped() {
            match measure(&shared, &server, &control, &mut connection) {
                Ok(sample) => shared.record_round_trip_time(&server, sample),
                // The monitor finds out what it means for the server.
                Err(error) => log::debug!("the round trip time of {} was not measured: {error:#}", server.address()),
            }
            if !control.sleep(shared.settings.heartbeat_frequency) {
                break;
            }
        }
    };
    match fork::start_thread(THREAD_NAME, work) {
        Ok(()) => true,
        Err(error) => {
            log::warn!("no thread to measure round trip times: {error}");
            false
        }
    }
}

/// One hello. A connection on which it fails is given up.
fn measure(
    shared: &Shared,
    server: &Server,
    control: &MonitorControl,
    kept: &mut Option<OpenedConnection>,
) -> Result<Duration> {
    let factory = &shared.settings.factory;
    let (opened, sample) = match kept.take() {
        None => {
            let supervisor = Supervisor {
                observer: None,
                opened: &|handle| control.runs_on(MonitorConnection::Measurement, handle),
                given_up: &|| control.is_stopped(),
            };
            let opened = factory.open_for_check(server.address(), HelloFor::Check, &supervisor)?;
            let sample = opened.round_trip_time();
            (opened, sample)
        }
        Some(mut opened) => {
            let (_, _, sample) = factory.check(opened.connection_mut(), factory.check_deadline())?;
            (opened, sample)
        }
    };
    *kept = Some(opened);
    Ok(sample)
}
