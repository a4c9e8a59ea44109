//! Another host that accepts mail: it records what arrives, and when.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::pipe::Pipe;

/// Each Message-ID with the epochs in which it has arrived.
type Arrivals = BTreeMap<String, Vec<u32>>;

#[derive(Default)]
struct Shared {
    arrived: Mutex<Arrivals>,
    more: Condvar,
    epoch: Mutex<u32>,
}

/// The host. Its threads end with the process of the tests.
pub(crate) struct FakeMx(Arc<Shared>);

impl FakeMx {
    /// Begins to listen.
    pub(crate) fn start(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let shared = Arc::new(Shared::default());
        let host = Self(Arc::clone(&shared));
        thread::spawn(move || {
            for socket in listener.incoming() {
                let shared = Arc::clone(&shared);
                // A conversation that breaks off has not accepted its message.
                thread::spawn(move || socket.and_then(Pipe::over).and_then(|pipe| converse(pipe, &shared)));
            }
        });
        host
    }

    /// Starts another epoch: between two epochs the server is not alive.
    pub(crate) fn next_epoch(&self) {
        *self.0.epoch.lock() += 1;
    }

    /// What has arrived.
    pub(crate) fn arrived(&self) -> Arrivals {
        self.0.arrived.lock().clone()
    }

    /// Waits until a condition on the arrivals holds; returns whether it does within `patience`.
    pub(crate) fn wait_for(&self, patience: Duration, condition: impl Fn(&Arrivals) -> bool) -> bool {
        let deadline = Instant::now() + patience;
        let mut arrived = self.0.arrived.lock();
        while !condition(&arrived) {
            if self.0.more.wait_until(&mut arrived, deadline).timed_out() {
                return condition(&arrived);
            }
        }
        true
    }
}

fn converse(mut pipe: Pipe, shared: &Shared) -> io::Result<()> {
    pipe.send(b"220 elsewhere.test ESMTP\r\n")?;
    loop {
        let line = String::from_utf8_lossy(&pipe.line()?).to_ascii_uppercase();
        match line.split([' ', ':']).next().unwrap() {
            "EHLO" => pipe.send(b"250-elsewhere.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n")?,
            "DATA" => {
                pipe.send(b"354 go on\r\n")?;
                let id = content(&mut pipe)?;
                // Recorded before the answer, as a reliable host would.
                let epoch = *shared.epoch.lock();
                shared.arrived.lock().entry(id).or_default().push(epoch);
                shared.more.notify_all();
                pipe.send(b"250 2.0.0 taken\r\n")?;
            }
            "QUIT" => return pipe.send(b"221 2.0.0 bye\r\n"),
            _ => pipe.send(b"250 2.0.0 fine\r\n")?,
        }
    }
}

/// Reads a message to its end; returns its Message-ID.
fn content(pipe: &mut Pipe) -> io::Result<String> {
    let mut id = None;
    loop {
        let line = pipe.line()?;
        if line == b"." {
            return Ok(id.expect("a message without a Message-ID has arrived"));
        }
        let text = String::from_utf8_lossy(&line);
        if id.is_none() && text.to_ascii_lowercase().starts_with("message-id:") {
            id = Some(text["message-id:".len()..].trim().to_owned());
        }
    }
}
