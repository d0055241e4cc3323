//! A TCP proxy that counts the connections and round trips of a client.

use std::io::{self, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::relay::read_some;

/// A proxy on a free port of 127.0.0.1, before one server. What the server sends is held back until it has sent nothing more for
/// [`GATHERED_FOR`], and is passed on as a whole: each such delivery ends a round trip, however many pieces it has. Connecting is one
/// more round trip of each connection.
///
/// Dropping it closes the port and every connection.
///
/// ```no_run
/// # use mongo_blocking_test_server::counting_proxy::CountingProxy;
/// let proxy = CountingProxy::start("127.0.0.1:27017");
/// println!("{} has seen {} connections, {} round trips", proxy.address(), proxy.connections(), proxy.round_trips());
/// ```
#[derive(Debug)]
pub struct CountingProxy {
    address: String,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    connections: AtomicUsize,
    deliveries: AtomicUsize,
    over: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

/// How long the server must be silent for its answer to be complete.
pub const GATHERED_FOR: Duration = Duration::from_millis(50);

impl CountingProxy {
    /// Listens before the server at `upstream` (`127.0.0.1:port`).
    ///
    /// # Panics
    /// If 127.0.0.1 can't be listened on.
    pub fn start(upstream: &str) -> CountingProxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port to listen on");
        let address = listener.local_addr().expect("its address").to_string();
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            connections: AtomicUsize::new(0),
            deliveries: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            open: Mutex::default(),
        });
        let of_acceptor = shared.clone();
        let acceptor = Some(thread::spawn(move || {
            for client in listener.incoming() {
                if of_acceptor.over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(client) = client else { continue };
                of_acceptor.connections.fetch_add(1, Ordering::SeqCst);
                let of_connection = of_acceptor.clone();
                thread::spawn(move || serve(&of_connection, &client));
            }
        }));
        CountingProxy { address, shared, acceptor }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.address.clone()
    }

    /// How many connections were taken so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many round trips there were so far, on all connections.
    pub fn round_trips(&self) -> usize {
        self.connections() + self.shared.deliveries.load(Ordering::SeqCst)
    }
}

impl Drop for CountingProxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        for stream in self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let _ = TcpStream::connect(&self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn serve(shared: &Shared, client: &TcpStream) {
    let Ok(server) = TcpStream::connect(&shared.upstream) else { return };
    for stream in [client, &server] {
        let _ = stream.set_nodelay(true);
        if let Ok(stream) = stream.try_clone() {
            shared.open.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
        }
    }
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = gather(shared, &server, client);
            let _ = client.shutdown(Shutdown::Both);
        });
        let _ = io::copy(&mut &*client, &mut &server);
        let _ = server.shutdown(Shutdown::Both);
    });
}

fn gather(shared: &Shared, server: &TcpStream, mut client: &TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        server.set_read_timeout(None)?;
        let mut gathered = Vec::new();
        while let Some(read @ 1..) = read_some(server, &mut buffer)? {
            gathered.extend_from_slice(buffer.get(..read).unwrap_or_default());
            server.set_read_timeout(Some(GATHERED_FOR))?;
        }
        if gathered.is_empty() {
            return Ok(());
        }
        shared.deliveries.fetch_add(1, Ordering::SeqCst);
        client.write_all(&gathered)?;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::script::Script;

    #[test]
    fn an_answer_in_pieces_is_one_round_trip() {
        let server = Script::start(|mut stream, _| {
            let mut byte = [0];
            while stream.read_exact(&mut byte).is_ok() {
                for piece in [b"a", b"b", b"c"] {
                    let _ = stream.write_all(piece);
                    thread::sleep(Duration::from_millis(2));
                }
            }
        });
        let proxy = CountingProxy::start(&server.address());
        let mut client = TcpStream::connect(proxy.address()).unwrap();
        for round in 1..=3 {
            client.write_all(b"x").unwrap();
            let mut answer = [0; 3];
            client.read_exact(&mut answer).unwrap();
            assert_eq!((&answer, proxy.connections(), proxy.round_trips()), (b"abc", 1, 1 + round));
        }
    }
}
