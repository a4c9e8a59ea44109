//! Other hosts: where outbound connections are sent, and the servers there.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use postrider::foundations::tasks::Tasks;
use postrider::services::outbound::{Connecting, Connector, Io};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Sends connections to invented addresses to sockets of this machine. All others are refused.
#[derive(Clone, Default)]
pub struct Detour(Arc<Mutex<HashMap<IpAddr, SocketAddr>>>);

impl Detour {
    /// Connections to `from`, whatever the port, go to `to`.
    pub fn lead(&self, from: IpAddr, to: SocketAddr) {
        self.0.lock().insert(from, to);
    }
}

impl Connector for Detour {
    fn connect(&self, address: SocketAddr, _: Option<IpAddr>) -> Connecting<'_> {
        let to = self.0.lock().get(&address.ip()).copied();
        Box::pin(async move {
            let to = to.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            Ok(Box::new(TcpStream::connect(to).await?) as Box<dyn Io>)
        })
    }
}

/// A mail server that accepts everything, or answers as told, and records what it gets.
pub struct Peer {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// What to say instead of the usual reply, by verb.
    replies: HashMap<String, String>,
    messages: Vec<Received>,
    changed: Option<Arc<tokio::sync::Notify>>,
}

/// A message that a peer has accepted.
#[derive(Debug, Clone)]
pub struct Received {
    pub from: String,
    pub to: Vec<String>,
    pub content: String,
}

impl Peer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { changed: Some(Arc::default()), ..State::default() }));
        let shared = Arc::clone(&state);
        let (tasks, inner) = (Tasks::new(), Tasks::new());
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                inner.spawn(async move {
                    let _ = converse(stream, state).await;
                });
            }
        });
        Self { address, state }
    }

    /// Answers a verb (`MAIL`, `RCPT`, `DATA`, `.`) with this line from now on.
    pub fn answer(&self, verb: &str, reply: &str) {
        self.state.lock().replies.insert(verb.to_owned(), reply.to_owned());
    }

    /// Accepts everything again.
    pub fn relent(&self) {
        self.state.lock().replies.clear();
    }

    pub fn messages(&self) -> Vec<Received> {
        self.state.lock().messages.clone()
    }

    /// Waits until there are this many messages.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        let changed = self.state.lock().changed.clone().expect("set at the start");
        let wait = async {
            loop {
                let notified = changed.notified();
                let messages = self.messages();
                if messages.len() >= count {
                    return messages;
                }
                notified.await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), wait).await.expect("the messages did not come")
    }
}

async fn converse(stream: TcpStream, state: Arc<Mutex<State>>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 peer.example ESMTP\r\n").await?;
    let (mut from, mut to) = (String::new(), Vec::new());
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let told = state.lock().replies.get(&verb).cloned();
        let path = || line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        let reply = match (verb.as_str(), told) {
            (_, Some(told)) => told,
            ("EHLO", None) => "250-peer.example\r\n250-8BITMIME\r\n250-PIPELINING\r\n250 SIZE".to_owned(),
            ("MAIL", None) => {
                (from, to) = (path(), Vec::new());
                "250 2.1.0 ok".to_owned()
            }
            ("RCPT", None) => {
                to.push(path());
                "250 2.1.5 ok".to_owned()
            }
            ("DATA", None) => {
                stream.write_all(b"354 go ahead\r\n").await?;
                let content = content(&mut stream).await?;
                let told = state.lock().replies.get(".").cloned();
                if told.is_none() {
                    let mut state = state.lock();
                    state.messages.push(Received { from: from.clone(), to: to.clone(), content });
                    if let Some(changed) = &state.changed {
                        changed.notify_waiters();
                    }
                }
                told.unwrap_or_else(|| "250 2.0.0 taken".to_owned())
            }
            ("QUIT", None) => "221 2.0.0 bye".to_owned(),
            _ => "250 2.0.0 ok".to_owned(),
        };
        stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
        if verb == "QUIT" {
            return Ok(());
        }
    }
}

async fn content(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut content = String::new();
    loop {
        let mut line = Vec::new();
        stream.read_until(b'\n', &mut line).await?;
        let line = String::from_utf8_lossy(&line);
        if line == ".\r\n" || line.is_empty() {
            return Ok(content);
        }
        content.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}
