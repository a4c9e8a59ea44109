//! Hosts that follow a script, on a network without sockets.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use postrider::foundations::tasks::Tasks;
use postrider::services::outbound::{Connecting, Connector, Io};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

/// A network in which each address may have a host.
pub(crate) struct Network {
    hosts: Mutex<HashMap<IpAddr, Arc<Peer>>>,
    tasks: Tasks,
}

impl Network {
    pub(crate) fn new(tasks: Tasks) -> Arc<Self> {
        Arc::new(Self { hosts: Mutex::default(), tasks })
    }

    /// Puts a host on an address.
    pub(crate) fn host(&self, address: &str, peer: Peer) -> Arc<Peer> {
        let peer = Arc::new(peer);
        self.hosts.lock().insert(address.parse().unwrap(), Arc::clone(&peer));
        peer
    }
}

impl Connector for Network {
    fn connect(&self, address: SocketAddr, _: Option<IpAddr>) -> Connecting<'_> {
        Box::pin(async move {
            let peer = self.hosts.lock().get(&address.ip()).cloned();
            let peer = peer.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            let (near, far) = tokio::io::duplex(1 << 16);
            self.tasks.spawn(peer.serve(far));
            Ok(Box::new(near) as Box<dyn Io>)
        })
    }
}

/// What a host has accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) mail: String,
    pub(crate) recipients: Vec<String>,
    pub(crate) data: String,
    pub(crate) over_tls: bool,
    pub(crate) connection: usize,
}

/// A host. Every command gets the reply of the first line of the script that fits it, else a friendly one.
#[derive(Default)]
pub(crate) struct Peer {
    greeting: Option<&'static str>,
    extensions: Vec<&'static str>,
    script: Mutex<Vec<Line>>,
    tls: Option<TlsAcceptor>,
    gate: Option<Arc<Semaphore>>,
    impatient: Option<&'static str>,
    dribbles: bool,
    pause: Option<Duration>,
    pub(crate) taken: Mutex<Vec<Taken>>,
    pub(crate) heard: Mutex<Vec<String>>,
    connections: AtomicUsize,
}

struct Line {
    command: &'static str,
    reply: &'static str,
    times: usize,
}

/// Instead of a reply: closes the connection.
pub(crate) const HANG_UP: &str = "(hang up)";

impl Peer {
    pub(crate) fn new() -> Self {
        Self { extensions: vec!["PIPELINING", "8BITMIME", "SIZE 1000000"], ..Self::default() }
    }

    pub(crate) fn greeting(mut self, line: &'static str) -> Self {
        self.greeting = Some(line);
        self
    }

    pub(crate) fn extensions(mut self, lines: &[&'static str]) -> Self {
        self.extensions = lines.to_vec();
        self
    }

    pub(crate) fn tls(mut self, acceptor: TlsAcceptor) -> Self {
        self.tls = Some(acceptor);
        self
    }

    /// The end of each message is answered when the gate has a permit for it.
    pub(crate) fn waits_for(mut self, gate: Arc<Semaphore>) -> Self {
        self.gate = Some(gate);
        self
    }

    /// Answers a message after its first octets, reads the rest and sends no further reply to it.
    pub(crate) fn impatient(mut self, reply: &'static str) -> Self {
        self.impatient = Some(reply);
        self
    }

    /// Delays each reply by this much.
    pub(crate) fn slow(mut self, pause: Duration) -> Self {
        self.pause = Some(pause);
        self
    }

    /// Sends replies octet by octet.
    pub(crate) fn dribbles(mut self) -> Self {
        self.dribbles = true;
        self
    }

    /// From now on commands that start so get this reply, `times` times.
    pub(crate) fn answers(&self, command: &'static str, reply: &'static str, times: usize) {
        self.script.lock().push(Line { command, reply, times });
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.taken.lock().clone()
    }

    fn reply(&self, command: &str, friendly: &str) -> String {
        let mut script = self.script.lock();
        let found = script.iter_mut().find(|line| line.times > 0 && command.starts_with(line.command));
        match found {
            Some(line) => {
                line.times -= 1;
                line.reply.to_owned()
            }
            None => friendly.to_owned(),
        }
    }

    async fn serve(self: Arc<Self>, stream: impl Io) {
        let connection = self.connections.fetch_add(1, Ordering::SeqCst);
        let mut stream: BufStream<Box<dyn Io>> = BufStream::new(Box::new(stream));
        let mut over_tls = false;
        if self.say(&mut stream, self.greeting.unwrap_or("220 peer ESMTP")).await.is_err() {
            return;
        }
        let (mut mail, mut recipients) = (String::new(), Vec::new());
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim_end().to_owned();
            self.heard.lock().push(line.clone());
            let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
            let friendly = self.friendly(&verb, over_tls);
            let reply = self.reply(&line, &friendly);
            // The data arrives without being asked for, and is recorded before the reply: once a test has the reply, it
            // may look.
            if verb == "BDAT" {
                let size = line.split(' ').nth(1).and_then(|size| size.parse().ok()).unwrap_or(0);
                let mut data = vec![0; size];
                if let Some(early) = self.impatient {
                    let _ = stream.read_exact(&mut data[..1]).await;
                    return self.lose_interest(stream, early).await;
                }
                if stream.read_exact(&mut data).await.is_err() {
                    return;
                }
                if reply.starts_with('2') {
                    let data = String::from_utf8_lossy(&data).into_owned();
                    let recipients = std::mem::take(&mut recipients);
                    self.taken.lock().push(Taken { mail: mail.clone(), recipients, data, over_tls, connection });
                }
            }
            if reply == HANG_UP || self.say(&mut stream, &reply).await.is_err() {
                return;
            }
            match verb.as_str() {
                "MAIL" => mail = line,
                "RCPT" if reply.starts_with('2') => recipients.push(line),
                "RSET" => recipients.clear(),
                "QUIT" => return,
                "STARTTLS" if reply.starts_with('2') => {
                    let Some(acceptor) = &self.tls else { return };
                    let Ok(encrypted) = acceptor.accept(stream.into_inner()).await else { return };
                    stream = BufStream::new(Box::new(encrypted));
                    over_tls = true;
                }
                "DATA" if reply.starts_with('3') => {
                    if let Some(early) = self.impatient {
                        let _ = stream.read_u8().await;
                        return self.lose_interest(stream, early).await;
                    }
                    let Some(data) = read_data(&mut stream).await else { return };
                    if let Some(gate) = &self.gate {
                        gate.acquire().await.unwrap().forget();
                    }
                    let reply = self.reply("(end)", "250 2.0.0 Taken");
                    if reply.starts_with('2') || reply == HANG_UP {
                        let recipients = std::mem::take(&mut recipients);
                        self.taken.lock().push(Taken { mail: mail.clone(), recipients, data, over_tls, connection });
                    }
                    if reply == HANG_UP || self.say(&mut stream, &reply).await.is_err() {
                        return;
                    }
                }
                _ => {}
            }
        }
    }

    fn friendly(&self, verb: &str, over_tls: bool) -> String {
        match verb {
            "EHLO" => {
                let mut lines = vec!["peer"];
                lines.extend(&self.extensions);
                if self.tls.is_some() && !over_tls {
                    lines.push("STARTTLS");
                }
                let last = lines.len() - 1;
                let marks = lines.iter().enumerate();
                let lines = marks.map(|(n, line)| format!("250{}{line}", if n == last { ' ' } else { '-' }));
                lines.collect::<Vec<_>>().join("\r\n")
            }
            "DATA" => "354 Go on".to_owned(),
            "QUIT" => "221 2.0.0 Bye".to_owned(),
            "STARTTLS" => "220 2.0.0 Ready".to_owned(),
            "AUTH" => "235 2.7.0 Welcome".to_owned(),
            _ => "250 2.0.0 Fine".to_owned(),
        }
    }

    async fn lose_interest(&self, mut stream: BufStream<Box<dyn Io>>, reply: &str) {
        if self.say(&mut stream, reply).await.is_ok() {
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        }
    }

    async fn say(&self, stream: &mut BufStream<Box<dyn Io>>, reply: &str) -> io::Result<()> {
        if let Some(pause) = self.pause {
            tokio::time::sleep(pause).await;
        }
        let reply = format!("{reply}\r\n");
        for piece in reply.as_bytes().chunks(if self.dribbles { 1 } else { reply.len() }) {
            stream.write_all(piece).await?;
            stream.flush().await?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

/// A message; `None` when the connection ends before it does.
async fn read_data(stream: &mut BufStream<Box<dyn Io>>) -> Option<String> {
    let mut data = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return None;
        }
        if line == ".\r\n" {
            return Some(data);
        }
        data.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}
