//! An unreliable proxy between a server and its storage.

use std::collections::VecDeque;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use postrider::foundations::tasks::Tasks;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The fate of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The storage answers it.
    Passed,
    /// The connection ends after half of its body; the storage sees nothing of it.
    Cut,
    /// The connection ends after half of its body, and so does the one to the storage.
    CutBeyond,
    /// It reaches the storage, and the connection ends before an answer.
    Unanswered,
    /// It reaches the storage, and the connection ends in the middle of the answer.
    AnsweredInPart,
    /// `503 SlowDown`.
    SlowDown,
    /// `500 InternalError`.
    Failed,
}

/// A recorded request.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    /// Without the query.
    pub path: String,
    headers: Vec<(String, String)>,
    /// Octets of its body, as far as it came.
    pub octets: usize,
    /// The SHA-256 of its body in Base64.
    digest: String,
    pub fate: Fate,
    /// Whether the storage reported success; for requests cut off that is unknown.
    pub succeeded: bool,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.0 == name).map(|header| header.1.as_str())
    }

    /// Whether it declares the checksum that a bucket with Object Lock demands, correctly.
    pub fn has_checksum(&self) -> bool {
        self.header("x-amz-checksum-sha256") == Some(&self.digest)
            && self.header("x-amz-sdk-checksum-algorithm") == Some("SHA256")
    }

    pub fn puts(&self, part: &str) -> bool {
        self.method == "PUT" && self.path.contains(part)
    }
}

/// Decides about a request by method and path.
type Rule = Box<dyn FnMut(&str, &str) -> Fate + Send>;

struct Shared {
    rule: Rule,
    seen: Vec<Seen>,
}

/// A proxy on this machine in front of a storage.
pub struct Unreliable {
    pub address: String,
    shared: Arc<Mutex<Shared>>,
    task: JoinHandle<()>,
}

impl Drop for Unreliable {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Unreliable {
    /// Starts in front of the storage at `address` (`http://localhost:port`).
    pub async fn before(address: &str) -> Self {
        let upstream = address.strip_prefix("http://localhost:").expect("moto listens here").parse::<u16>().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let rule: Rule = Box::new(|_, _| Fate::Passed);
        let shared = Arc::new(Mutex::new(Shared { rule, seen: Vec::new() }));
        let (tasks, connections) = (Tasks::new(), Tasks::new());
        let task = tasks.spawn({
            let shared = Arc::clone(&shared);
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    // A client that hangs up ends only its own connection.
                    connections.spawn(serve(client, upstream, Arc::clone(&shared)));
                }
            }
        });
        Self { address, shared, task }
    }

    /// Treats requests like this from now on, and drops the record.
    pub fn treats(&self, rule: impl FnMut(&str, &str) -> Fate + Send + 'static) {
        let mut shared = self.shared.lock();
        shared.rule = Box::new(rule);
        shared.seen.clear();
    }

    /// The next requests of a method whose path contains this meet these fates, one after the other; all others pass.
    pub fn treats_next(&self, method: &'static str, part: &'static str, fates: &[Fate]) {
        let mut fates: VecDeque<Fate> = fates.iter().copied().collect();
        self.treats(move |asked, path| {
            if asked == method && path.contains(part) {
                fates.pop_front().unwrap_or(Fate::Passed)
            } else {
                Fate::Passed
            }
        });
    }

    /// The recorded requests.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.lock().seen.clone()
    }
}

/// One request of one connection, which ends with it.
async fn serve(mut client: TcpStream, upstream: u16, shared: Arc<Mutex<Shared>>) -> Option<()> {
    let (head, mut body) = head_of(&mut client).await?;
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let path = target.split('?').next()?.to_owned();
    let header = |line: &str| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    let headers: Vec<(String, String)> = lines.filter_map(header).collect();
    let length = headers.iter().find(|header| header.0 == "content-length").map_or(Ok(0), |header| header.1.parse());
    let length: usize = length.ok()?;
    let fate = (shared.lock().rule)(&method, &path);
    let is_cut = matches!(fate, Fate::Cut | Fate::CutBeyond);
    let wanted = if is_cut { length / 2 } else { length };
    let mut buffer = vec![0; 64 << 10];
    while body.len() < wanted {
        match client.read(&mut buffer).await.ok()? {
            0 => return None,
            read => body.extend_from_slice(&buffer[..read]),
        }
    }
    let digest = STANDARD.encode(digest(&SHA256, &body));
    let mut seen = Seen { method, path, headers, octets: body.len(), digest, fate, succeeded: false };
    let answer = match fate {
        Fate::Cut => Vec::new(),
        Fate::SlowDown => refusal("503 Slow Down", "SlowDown", "Please reduce your request rate."),
        Fate::Failed => refusal("500 Internal Server Error", "InternalError", "Please try again."),
        _ => {
            let (first, rest) = head.split_once("\r\n")?;
            let request = format!("{first}\r\nconnection: close\r\n{rest}");
            ask(upstream, request.as_bytes(), &body, fate).await?
        }
    };
    seen.succeeded = fate == Fate::Passed && answer.starts_with(b"HTTP/1.1 2");
    shared.lock().seen.push(seen);
    let shown = match fate {
        Fate::Cut | Fate::CutBeyond | Fate::Unanswered => 0,
        Fate::AnsweredInPart => answer.len() - body_of(&answer).div_ceil(2),
        _ => answer.len(),
    };
    client.write_all(&answer[..shown]).await.ok()?;
    client.shutdown().await.ok()
}

/// The head of a request with its empty line, and the part of the body that came with it.
async fn head_of(client: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let (mut got, mut buffer) = (Vec::new(), vec![0; 16 << 10]);
    loop {
        if let Some(end) = got.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = got.split_off(end + 4);
            return Some((String::from_utf8(got).ok()?, body));
        }
        match client.read(&mut buffer).await.ok()? {
            0 => return None,
            read => got.extend_from_slice(&buffer[..read]),
        }
    }
}

/// The storage's answer; empty when only part of the request is sent.
async fn ask(upstream: u16, head: &[u8], body: &[u8], fate: Fate) -> Option<Vec<u8>> {
    let mut storage = TcpStream::connect(("127.0.0.1", upstream)).await.ok()?;
    storage.write_all(head).await.ok()?;
    storage.write_all(body).await.ok()?;
    let mut answer = Vec::new();
    if fate != Fate::CutBeyond {
        storage.read_to_end(&mut answer).await.ok()?;
    }
    Some(answer)
}

/// How long the body of an answer is.
fn body_of(answer: &[u8]) -> usize {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("answers have a head") + 4;
    answer.len() - head
}

fn refusal(status: &str, code: &str, message: &str) -> Vec<u8> {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>");
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/xml\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
