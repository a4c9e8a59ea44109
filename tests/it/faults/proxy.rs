//! A path to a server that can be cut or blocked.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use parking_lot::{Condvar, Mutex};

/// What happens to the octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// They pass.
    Open,
    /// Connections are closed, new ones at once.
    Cut,
    /// Octets are held back, and connections stay open.
    Stopped,
}

struct Shared {
    way: Mutex<Way>,
    changed: Condvar,
    connections: Mutex<Vec<TcpStream>>,
}

/// The proxy. Its threads end with their connections, or with the process of the tests.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Begins to listen for a server on this machine.
    pub(crate) fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared =
            Arc::new(Shared { way: Mutex::new(Way::Open), changed: Condvar::new(), connections: Mutex::default() });
        let inside = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&inside);
                // A connection that cannot be made is closed, which is what a client sees without a server.
                let _ = connect(client, server, shared);
            }
        });
        Self { port, shared }
    }

    pub(crate) fn set(&self, way: Way) {
        *self.shared.way.lock() = way;
        if way == Way::Cut {
            for connection in self.shared.connections.lock().drain(..) {
                let _ = connection.shutdown(Shutdown::Both);
            }
        }
        self.shared.changed.notify_all();
    }
}

fn connect(client: TcpStream, server: u16, shared: Arc<Shared>) -> io::Result<()> {
    if *shared.way.lock() == Way::Cut {
        return client.shutdown(Shutdown::Both);
    }
    let server = TcpStream::connect(("127.0.0.1", server))?;
    shared.connections.lock().extend([client.try_clone()?, server.try_clone()?]);
    for (from, to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        let shared = Arc::clone(&shared);
        thread::spawn(move || pass(from, to, &shared));
    }
    Ok(())
}

fn pass(mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    let mut piece = [0; 16 << 10];
    loop {
        let read = from.read(&mut piece).unwrap_or(0);
        let mut way = shared.way.lock();
        while *way == Way::Stopped {
            shared.changed.wait(&mut way);
        }
        let is_open = *way == Way::Open;
        drop(way);
        if read == 0 || !is_open || to.write_all(&piece[..read]).is_err() {
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
            return;
        }
    }
}
