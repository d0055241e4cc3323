//! Checks in the background: a thread for each server, as the Server Monitoring specification describes it.
//!
//! A thread ends when its server leaves the deployment and when the client is closed or dropped. It holds neither the client nor a
//! lock while it waits, calls a handler, or is on the network.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::RawDocumentBuf;

use super::check::{Checker, Heartbeat, HeartbeatEnd, failed};
use super::monitor_control::{MonitorConnection, MonitorControl};
use super::round_trip_monitor;
use super::shared::{Finding, Shared};
use super::state::MIN_HEARTBEAT_FREQUENCY;
use crate::connection::{HelloFor, OpenedConnection, Supervisor};
use crate::description::TopologyVersion;
use crate::error::{Error, ErrorKind, Result};
use crate::fork;
use crate::server::Server;

/// The name of the threads. The system shows 15 characters.
const THREAD_NAME: &str = "mongo-monitor";

/// Starts the thread that checks a server, unless there is one.
pub(super) fn start(shared: &Arc<Shared>, server: &Arc<Server>, control: &Arc<MonitorControl>) {
    if !control.claim_start() {
        return;
    }
    let mut monitor = Monitor {
        checker: Checker::of(shared),
        shared: shared.clone(),
        server: server.clone(),
        control: control.clone(),
        connection: None,
        more_to_come: false,
        version: None,
        is_known: false,
        measures: false,
    };
    let counted = shared.threads.count_one();
    let work = move || {
        let _counted = counted.begin();
        // A handler of the program's may panic. The server is checked all the same.
        while catch_unwind(AssertUnwindSafe(|| monitor.run())).is_err() {
            log::warn!("an event handler has panicked while {} was checked", monitor.server.address());
            if !monitor.control.sleep(MIN_HEARTBEAT_FREQUENCY) {
                break;
            }
        }
    };
    if let Err(error) = fork::start_thread(THREAD_NAME, work) {
        // The next operation that finds no server tries again.
        log::warn!("no thread to check {} in the background: {error}", server.address());
        control.give_up_start();
    }
}

/// What the thread of one server knows.
struct Monitor {
    checker: Checker,
    shared: Arc<Shared>,
    server: Arc<Server>,
    control: Arc<MonitorControl>,
    connection: Option<OpenedConnection>,
    /// Whether the server sends another answer of itself.
    more_to_come: bool,
    /// The version of the server's view of itself in the last answer.
    version: Option<TopologyVersion>,
    /// Whether the last check was answered.
    is_known: bool,
    /// Whether round trip times are measured apart from the checks.
    measures: bool,
}

impl Monitor {
    fn run(&mut self) {
        let heartbeat_frequency = self.shared.settings.heartbeat_frequency;
        while !self.control.is_stopped() {
            // Routers come and go while no operation asks for one, too.
            #[cfg(feature = "srv")]
            super::srv::poll(&self.shared, &mut self.shared.lock());
            let began = self.shared.clock.now();
            let finding = self.check();
            let at_once = match finding {
                // Another thread closed the connection, because an operation's has failed.
                Finding::Failed { error, .. } if matches!(error.kind(), ErrorKind::Shutdown) => {
                    self.is_known = false;
                    false
                }
                finding => {
                    let was_known = std::mem::replace(&mut self.is_known, matches!(finding, Finding::Answered { .. }));
                    let lost =
                        matches!(&finding, Finding::Failed { error, .. } if was_known && error.is_network_error());
                    self.shared.conclude(&self.server, finding, began);
                    self.measure();
                    lost || self.streams()
                }
            };
            if !at_once && !self.control.wait(MIN_HEARTBEAT_FREQUENCY, heartbeat_frequency) {
                break;
            }
        }
    }

    /// Whether the next check can begin now, because the server answers it only when there is something new.
    fn streams(&self) -> bool {
        self.shared.settings.streams && (self.version.is_some() || self.more_to_come)
    }

    /// Has round trip times measured by another thread once the checks' answers say nothing about them.
    fn measure(&mut self) {
        if self.streams() && !self.measures {
            self.measures = round_trip_monitor::start(&self.shared, &self.server, &self.control);
        }
    }

    /// One answer of the server, or why there is none.
    fn check(&mut self) -> Finding {
        let usable = |opened: &OpenedConnection| !opened.is_broken() || opened.has_more_to_come();
        let connection = self.connection.take().filter(usable);
        let Some(mut opened) = connection else { return self.open() };
        let awaited = self.streams();
        let id = opened.server_connection_id();
        let (checker, server) = (self.checker.clone(), self.server.clone());
        let heartbeat = Heartbeat::started(&checker, &server, id, awaited);
        let outcome = if awaited { self.stream(&mut opened) } else { self.poll(&mut opened) };
        match outcome {
            Ok((finding, reply, duration)) => {
                if let Finding::Answered { hello, .. } = &finding {
                    self.version = hello.topology_version;
                }
                self.connection = Some(opened);
                heartbeat.succeeded(|| reply, duration, id);
                finding
            }
            Err(error) => self.lose(heartbeat, error),
        }
    }

    /// Connects, which is a check, too.
    fn open(&mut self) -> Finding {
        (self.more_to_come, self.version) = (false, None);
        let (checker, server) = (self.checker.clone(), self.server.clone());
        let heartbeat = Heartbeat::started(&checker, &server, None, false);
        let supervisor = Supervisor {
            observer: None,
            opened: &|handle| self.control.runs_on(MonitorConnection::Check, handle),
            given_up: &|| self.control.is_stopped(),
        };
        match self.shared.settings.factory.open_for_check(self.server.address(), HelloFor::Check, &supervisor) {
            Ok(opened) => {
                let (hello, round_trip_time) = (opened.hello().clone(), opened.round_trip_time());
                heartbeat.succeeded(|| opened.reply(), round_trip_time, opened.server_connection_id());
                self.version = hello.topology_version;
                self.connection = Some(opened);
                Finding::Answered { hello, round_trip_time: Some(round_trip_time) }
            }
            Err(error) => self.lose(heartbeat, error),
        }
    }

    /// Asks, and is answered at once.
    fn poll(&self, opened: &mut OpenedConnection) -> Result<(Finding, RawDocumentBuf, Duration)> {
        let factory = &self.shared.settings.factory;
        let (hello, reply, duration) = factory.check(opened.connection_mut(), factory.check_deadline())?;
        Ok((Finding::Answered { hello, round_trip_time: Some(duration) }, reply, duration))
    }

    /// Waits until the server has something new to tell, or heartbeatFrequencyMS have passed.
    fn stream(&mut self, opened: &mut OpenedConnection) -> Result<(Finding, RawDocumentBuf, Duration)> {
        let began = Instant::now();
        let settings = &self.shared.settings;
        let answer = match self.version.filter(|_| !self.more_to_come) {
            Some(version) => {
                settings.factory.start_stream(opened.connection_mut(), version, settings.heartbeat_frequency)
            }
            None => settings.factory.next_in_stream(opened.connection_mut(), settings.heartbeat_frequency),
        }?;
        self.more_to_come = answer.more_to_come;
        let finding = Finding::Answered { hello: answer.description, round_trip_time: None };
        Ok((finding, answer.reply, began.elapsed()))
    }

    fn lose(&mut self, heartbeat: Option<Heartbeat<'_>>, error: Error) -> Finding {
        (self.more_to_come, self.version) = (false, None);
        // A client that was closed has published its last event.
        if !self.control.is_stopped() {
            heartbeat.failed(&error);
        }
        failed(error, false)
    }
}
