//! A peer whose every byte the test decides: a listener that hands each connection to a closure.

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// A listener on 127.0.0.1 whose connections are handled by a closure, each on a thread of its own. Dropping it closes
/// the port and every connection, and waits for the threads.
///
/// ```
/// use mongo_blocking_test_server::{script::Script, wire};
/// use bson::doc;
/// let peer = Script::start(|mut stream, _number| {
///     while let Ok(Some(request)) = wire::read_request(&mut stream) {
///         let _ = wire::write_reply(&mut stream, &request, &doc! {"ok": 0, "code": 1, "errmsg": "no"});
///     }
/// });
/// println!("{}", peer.uri());
/// ```
#[derive(Debug)]
pub struct Script {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    connections: AtomicUsize,
    open: Mutex<Vec<(usize, TcpStream)>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Script {
    /// Listens on a free port. `handle` gets each connection and its number, counted from 1.
    ///
    /// # Panics
    /// If 127.0.0.1 can't be listened on.
    pub fn start(handle: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Script {
        Script::start_on(0, handle)
    }

    /// As [`Script::start`], on a given port; 0 is a free one.
    ///
    /// # Panics
    /// If the port can't be listened on.
    pub fn start_on(port: u16, handle: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Script {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a port to listen on");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared::default());
        let of_acceptor = Arc::clone(&shared);
        let acceptor = thread::spawn(move || accept(&listener, &of_acceptor, Arc::new(handle)));
        Script { address, shared, acceptor: Some(acceptor) }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// A URI that names this peer and nothing else.
    pub fn uri(&self) -> String {
        format!("mongodb://{}/", self.address)
    }

    /// How many connections were taken so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many connections are open now.
    pub fn open_connections(&self) -> usize {
        lock(&self.shared.open).len()
    }

    /// Closes every open connection and goes on listening.
    pub fn hang_up(&self) {
        for (_, stream) in lock(&self.shared.open).iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // One last connection wakes the acceptor.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        self.hang_up();
        for thread in lock(&self.shared.threads).drain(..) {
            let _ = thread.join();
        }
    }
}

fn accept<F>(listener: &TcpListener, shared: &Arc<Shared>, handle: Arc<F>)
where
    F: Fn(TcpStream, usize) + Send + Sync + 'static,
{
    for stream in listener.incoming() {
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let _ = stream.set_nodelay(true);
        let Ok(second) = stream.try_clone() else {
            continue;
        };
        let number = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
        lock(&shared.open).push((number, second));
        let (handle, of_thread) = (Arc::clone(&handle), Arc::clone(shared));
        let thread = thread::spawn(move || {
            handle(stream, number);
            let mut open = lock(&of_thread.open);
            if let Some(at) = open.iter().position(|(n, _)| *n == number) {
                let (_, stream) = open.swap_remove(at);
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
        let mut threads = lock(&shared.threads);
        threads.retain(|t| !t.is_finished());
        threads.push(thread);
    }
}

/// A lock that a panicking test does not poison for the clean-up.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn takes_connections_and_ends_with_its_owner() {
        let script = Script::start(|mut stream, number| {
            let _ = stream.write_all(&[number as u8]);
            let _ = stream.read(&mut [0]);
        });
        let mut streams: Vec<_> = (0..3).map(|_| TcpStream::connect(script.address()).unwrap()).collect();
        let mut numbers: Vec<u8> = streams
            .iter_mut()
            .map(|s| {
                let mut byte = [0];
                s.read_exact(&mut byte).unwrap();
                byte[0]
            })
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3]);
        let address = script.address();
        drop(script);
        assert_eq!(streams[0].read(&mut [0]).unwrap(), 0);
        assert!(TcpStream::connect(address).is_err());
    }
}
