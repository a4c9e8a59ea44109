//! Browsers that abuse the webmail.

use std::io::{Cursor, Read as _};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::attack::{during, stored};
use super::pipe::Pipe;
use super::server::{Layout, PASSWORD, Server};

const PORT: u16 = 8088;

/// A server with a webmail.
pub(super) fn server() -> Server {
    let more = "[smtp]\nmessage_size = \"24M\"\n\n[[listener]]\nprotocol = \"webmail\"\nbind = [\"ADDRESS:8088\"]\n";
    Server::start(Layout { more: more.to_owned(), ..Layout::default() })
}

/// Sends a request over a connection of its own and reads the header of the answer; returns its fields.
pub(super) fn ask(server: &Server, request: &str, body: &str) -> (Pipe, Vec<String>) {
    let mut pipe = Pipe::tcp(server.port(PORT)).unwrap();
    let length = body.len();
    let fields = "Host: localhost\r\nConnection: close\r\nX-Postrider: 1\r\nContent-Type: application/json\r\n";
    pipe.send(format!("{request}{fields}Content-Length: {length}\r\n\r\n{body}").as_bytes()).unwrap();
    let mut lines = Vec::new();
    loop {
        let line = String::from_utf8(pipe.line().unwrap()).unwrap();
        if line.is_empty() {
            return (pipe, lines);
        }
        lines.push(line);
    }
}

/// Logs ann in; returns the session cookie.
pub(super) fn sign_in(server: &Server) -> String {
    let body = serde_json::json!({ "address": "ann@example.test", "password": PASSWORD }).to_string();
    let (_, lines) = ask(server, "POST /api/session HTTP/1.1\r\n", &body);
    let cookie = lines.iter().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

fn encoded(octets: &[u8]) -> String {
    let text = STANDARD.encode(octets);
    text.as_bytes().chunks(76).map(|line| format!("{}\r\n", String::from_utf8_lossy(line))).collect()
}

/// A message of parts in base64.
fn message(subject: &str, boundary: &str, parts: &[(&str, &str, &[u8])]) -> String {
    let mut text = format!(
        "Subject: {subject}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary={boundary}\r\n\r\n"
    );
    for (kind, name, octets) in parts {
        text += &format!(
            "--{boundary}\r\nContent-Type: {kind}\r\nContent-Disposition: attachment; filename={name}\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{}",
            encoded(octets)
        );
    }
    text + &format!("--{boundary}--\r\n")
}

/// A client that takes an octet now and then holds its response for hours; that must not be kept in memory.
#[test]
fn slow_readers_of_files() {
    let server = server();
    let one: Vec<u8> = (0..3 << 20).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let other: Vec<u8> = one.iter().rev().copied().collect();
    let inner = message("inner", "b", &[("application/x-one", "one", &one)]);
    // Encoded although it need not be (RFC 2046 §5.2.1), as some programs do.
    let parts = [("message/rfc822", "inner.eml", inner.as_bytes()), ("application/x-other", "other", &other)];
    let (_, uid) = stored(&server, message("outer", "c", &parts).as_bytes());
    let cookie = sign_in(&server);
    let get = |path: &str| {
        let request = format!("GET /api/message/{path} HTTP/1.1\r\nCookie: {cookie}\r\n");
        let (pipe, lines) = ask(&server, &request, "");
        assert!(lines[0].contains(" 200 "), "{path}: {lines:?}");
        let length = lines.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        (pipe, length.parse::<usize>().unwrap())
    };
    let place = format!("folder=INBOX&uid={uid}");
    let inner = format!("part?{place}&within=1&part=1");
    let archive = format!("attachments?{place}");
    during(&server, "slow readers of files", 110, || {
        let held: Vec<_> = [&inner, &archive].into_iter().cycle().take(30).map(|path| get(path)).collect();
        assert!(held.iter().all(|(_, length)| *length >= one.len()));
    });
    let whole = |path: &str| {
        let (mut pipe, length) = get(path);
        let octets = pipe.exact(length).unwrap();
        assert!(pipe.rest().unwrap().is_empty(), "{path}: more than was announced");
        octets
    };
    assert!(whole(&inner) == one, "the file in the message within");
    let source = whole(&format!("source?{place}&within=1"));
    assert!(source.starts_with(b"Subject: inner\r\n") && source.ends_with(b"--b--\r\n"));
    let mut files = zip::ZipArchive::new(Cursor::new(whole(&archive))).unwrap();
    for (name, wanted) in [("inner.eml", &source), ("other", &other)] {
        let mut octets = Vec::new();
        files.by_name(name).unwrap().read_to_end(&mut octets).unwrap();
        assert!(octets == *wanted, "{name} in the archive");
    }
}

/// One client cannot take connections that others need, even where only authorities and other servers connect.
#[test]
fn connections_to_the_public_site_are_counted() {
    let more = "[guard]\ntrusted = []\n\n[guard.web]\nat_once = 3\n\n\
                [[listener]]\nprotocol = \"http\"\nbind = [\"ADDRESS:8000\"]\n";
    let server = Server::start(Layout { more: more.to_owned(), ..Layout::default() });
    // The first line of the answer, and the connection.
    let answered = || {
        let mut pipe = Pipe::tcp(server.port(8000)).unwrap();
        pipe.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let line = String::from_utf8(pipe.line().unwrap()).unwrap();
        (pipe, line)
    };
    let is_refused = |line: &str| line.starts_with("HTTP/1.1 429 ");
    let mut held: Vec<_> = (0..3).map(|_| answered()).collect();
    assert!(held.iter().all(|(_, line)| line.starts_with("HTTP/1.1 ") && !is_refused(line)));
    let (mut pipe, line) = answered();
    assert!(is_refused(&line), "one more: {line}");
    let rest = String::from_utf8(pipe.rest().unwrap()).unwrap();
    assert!(rest.contains("Retry-After: ") && rest.contains("Too many connections from "), "{rest}");
    held.pop();
    let begun = Instant::now();
    while is_refused(&answered().1) {
        assert!(begun.elapsed() < Duration::from_secs(60), "the place of a closed connection is not given back");
        std::thread::sleep(Duration::from_millis(50));
    }
}
