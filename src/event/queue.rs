//! Events on their way to handlers: put into a queue where the change happens, under whatever lock is held there, and delivered
//! where no lock is held, in order, by one thread at a time.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use super::EventHandler;
use super::cmap::CmapEvent;
use super::sdam::SdamEvent;
use crate::fork;
use crate::locks::{lock, unpoisoned};

/// The most events that wait. If a handler is too slow for that, later events are dropped, so that memory does not grow without
/// limit.
const MOST_WAITING: usize = 10_000;

/// How long a thread that others wait for waits for handlers.
const PATIENCE: Duration = Duration::from_millis(100);

/// The name of threads that only call handlers.
const THREAD_NAME: &str = "mongo-events";

/// An event for one of the handlers.
#[derive(Debug)]
pub(crate) enum Event {
    Sdam(SdamEvent),
    Cmap(CmapEvent),
}

/// The events of one client that its handlers have not got yet.
#[derive(Debug)]
pub(crate) struct EventQueue {
    sdam: Option<EventHandler<SdamEvent>>,
    cmap: Option<EventHandler<CmapEvent>>,
    state: Mutex<State>,
    delivered: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Event>,
    left_out: usize,
    /// Whether `TopologyClosed` was added, which is the last event of discovery.
    discovery_ended: bool,
    /// The thread that calls the handlers now.
    deliverer: Option<ThreadId>,
}

impl EventQueue {
    pub(crate) fn new(sdam: Option<EventHandler<SdamEvent>>, cmap: Option<EventHandler<CmapEvent>>) -> Self {
        EventQueue { sdam, cmap, state: Mutex::default(), delivered: Condvar::new() }
    }

    /// Whether there is a handler of discovery events. Without one, none need be made.
    pub(crate) fn wants_sdam(&self) -> bool {
        self.sdam.is_some()
    }

    /// Whether there is a handler of pool events.
    pub(crate) fn wants_cmap(&self) -> bool {
        self.cmap.is_some()
    }

    /// Adds an event, unless it belongs to a check that ends after discovery has. No handler is called.
    pub(crate) fn push(&self, event: Event) {
        let mut state = self.lock();
        if let Event::Sdam(event) = &event {
            if state.discovery_ended {
                return;
            }
            state.discovery_ended = matches!(event, SdamEvent::TopologyClosed(_));
        }
        if state.waiting.len() < MOST_WAITING {
            state.waiting.push_back(event);
        } else {
            state.left_out += 1;
        }
    }

    /// Calls the handlers with all waiting events. If a thread does that already (perhaps this one, within a handler), that thread
    /// delivers them. To be called without any lock held.
    pub(crate) fn deliver(&self) {
        if self.sdam.is_none() && self.cmap.is_none() {
            return;
        }
        let mut state = self.lock();
        if state.deliverer.is_some() {
            return;
        }
        state.deliverer = Some(thread::current().id());
        let delivery = Delivery(self);
        while let Some(event) = state.waiting.pop_front() {
            let left_out = std::mem::take(&mut state.left_out);
            drop(state);
            if left_out > 0 {
                log::warn!("{left_out} events were left out: their handler is too slow");
            }
            match (event, &self.sdam, &self.cmap) {
                (Event::Sdam(event), Some(handler), _) => handler.call(&event),
                (Event::Cmap(event), _, Some(handler)) => handler.call(&event),
                (Event::Sdam(_), None, _) | (Event::Cmap(_), _, None) => {}
            }
            state = self.lock();
        }
        // Still under the lock: an event that is added after this finds no deliverer.
        state.deliverer = None;
        self.delivered.notify_all();
        drop(state);
        std::mem::forget(delivery);
    }

    /// As [`deliver`](Self::deliver), but another thread calls the handlers. It is for a thread that makes a check: a handler may wait for
    /// the outcome of that check. The call returns when all events are delivered, after [`PATIENCE`] at the latest.
    pub(crate) fn deliver_beside(self: &Arc<Self>) {
        if self.sdam.is_none() && self.cmap.is_none() {
            return;
        }
        let own = thread::current().id();
        let state = self.lock();
        if state.waiting.is_empty() || state.deliverer == Some(own) {
            return;
        }
        if state.deliverer.is_none() {
            drop(state);
            let queue = self.clone();
            if let Err(error) = fork::start_thread(THREAD_NAME, move || queue.deliver()) {
                log::warn!("no thread for event handlers: {error}");
                return self.deliver();
            }
        } else {
            drop(state);
        }
        let undelivered = |state: &mut State| !state.waiting.is_empty() || state.deliverer.is_some();
        drop(unpoisoned(self.delivered.wait_timeout_while(self.lock(), PATIENCE, undelivered)));
    }

    /// Waits until everything was delivered, but not within a handler.
    pub(crate) fn wait_until_delivered(&self, limit: Duration) {
        self.deliver();
        let ends = Instant::now() + limit;
        let own = thread::current().id();
        let mut state = self.lock();
        while state.deliverer.is_some_and(|deliverer| deliverer != own) {
            let left = ends.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = unpoisoned(self.delivered.wait_timeout(state, left)).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// A handler that panics ends the delivery, and the next one goes on after it.
struct Delivery<'a>(&'a EventQueue);

impl Drop for Delivery<'_> {
    fn drop(&mut self) {
        self.0.lock().deliverer = None;
        self.0.delivered.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::{OnceLock, mpsc};

    use bson::oid::ObjectId;

    use super::*;
    use crate::address::ServerAddress;
    use crate::event::sdam::{ServerClosedEvent, ServerOpeningEvent, TopologyClosedEvent};

    fn opening(address: &str) -> Event {
        let (address, topology_id) = (ServerAddress::Unix { path: address.into() }, ObjectId::from_bytes([1; 12]));
        Event::Sdam(SdamEvent::ServerOpening(ServerOpeningEvent { address, topology_id }))
    }

    fn address(event: &SdamEvent) -> String {
        match event {
            SdamEvent::ServerOpening(ServerOpeningEvent { address, .. })
            | SdamEvent::ServerClosed(ServerClosedEvent { address, .. }) => address.to_string(),
            SdamEvent::TopologyClosed(_) => "closed".to_owned(),
            other => panic!("{other:?}"),
        }
    }

    /// A check may end after its client was closed.
    #[test]
    fn nothing_follows_the_end_of_discovery() {
        let (sender, received) = mpsc::channel();
        let handler = EventHandler::new(move |event: &SdamEvent| sender.send(address(event)).unwrap());
        let queue = EventQueue::new(Some(handler), None);
        queue.push(opening("a"));
        queue.push(Event::Sdam(SdamEvent::TopologyClosed(TopologyClosedEvent { topology_id: ObjectId::new() })));
        queue.push(opening("b"));
        queue.deliver();
        drop(queue);
        assert_eq!(received.iter().collect::<Vec<_>>(), ["a", "closed"]);
    }

    #[test]
    fn a_handler_that_adds_an_event_gets_it_after_the_present_one() {
        let queue: Arc<OnceLock<EventQueue>> = Arc::default();
        let (sender, received) = mpsc::channel();
        let own = queue.clone();
        let handler = EventHandler::new(move |event: &SdamEvent| {
            let queue = own.get().unwrap();
            if address(event) == "a" {
                queue.push(opening("c"));
                queue.deliver();
                queue.wait_until_delivered(Duration::from_secs(60));
            }
            sender.send(address(event)).unwrap();
        });
        let queue = queue.get_or_init(|| EventQueue::new(Some(handler), None));
        queue.push(opening("a"));
        queue.push(opening("b"));
        queue.deliver();
        assert_eq!(received.try_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn a_thread_that_others_wait_for_goes_on_without_a_slow_handler() {
        let (enter, entered) = mpsc::channel();
        let (leave, left) = mpsc::channel::<()>();
        let left = Mutex::new(left);
        let handler = EventHandler::new(move |event: &SdamEvent| {
            enter.send((address(event), thread::current().id())).unwrap();
            let _ = lock(&left).recv();
        });
        let queue = Arc::new(EventQueue::new(Some(handler), None));
        queue.push(opening("a"));
        queue.deliver_beside();
        let (first, deliverer) = entered.recv().unwrap();
        assert!(first == "a" && deliverer != thread::current().id());
        // The handler is called for one event at a time still.
        queue.push(opening("b"));
        queue.deliver_beside();
        assert!(entered.try_recv().is_err());
        drop(leave);
        assert_eq!(entered.recv().unwrap(), ("b".to_owned(), deliverer));
        queue.wait_until_delivered(Duration::from_secs(60));
    }

    #[test]
    fn a_handler_that_panics_misses_nothing_else() {
        let (sender, received) = mpsc::channel();
        let handler = EventHandler::new(move |event: &SdamEvent| match address(event).as_str() {
            "a" => std::panic::resume_unwind(Box::new("planted")),
            other => sender.send(other.to_owned()).unwrap(),
        });
        let queue = EventQueue::new(Some(handler), None);
        queue.push(opening("a"));
        queue.push(opening("b"));
        assert!(catch_unwind(AssertUnwindSafe(|| queue.deliver())).is_err());
        queue.deliver();
        assert_eq!(received.try_iter().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn a_slow_handler_misses_the_events_that_do_not_fit() {
        let queue = EventQueue::new(Some(EventHandler::new(|_: &SdamEvent| {})), None);
        let counts = || {
            let state = queue.lock();
            (state.waiting.len(), state.left_out)
        };
        (0..MOST_WAITING + 3).for_each(|_| queue.push(opening("a")));
        assert_eq!(counts(), (MOST_WAITING, 3));
        queue.deliver();
        assert_eq!(counts(), (0, 0));
    }
}
