//! A whole ManageSieve session, however its octets arrive, and what its commands mean after writing and reading them again.

use bytes::BytesMut;
use postrider::foundations::net::{Plaintext, StartTls};
use postrider::foundations::wire::managesieve::{Command, Framed, Framer, Limits, Reply};
use postrider::protocols::managesieve::{Profile, Session, Step};

const LIMITS: Limits = Limits { line: 200, literals: 400, skip: 2000 };

pub fn run(data: &[u8]) {
    let whole = frames(data, data.len());
    assert_eq!(whole, frames(data, 1), "in single octets");
    assert_eq!(whole, frames(data, 7), "in pieces of seven");
    let mut session = Session::new(Profile {
        plaintext: Plaintext::Allowed,
        start_tls: StartTls::Offered,
        failed_logins: 3,
        sieve: "fileinto".to_owned(),
        notify: "mailto".to_owned(),
        max_redirects: 4,
    });
    for framed in whole {
        let Framed::Command(octets) = framed else { continue };
        assert!(octets.len() <= LIMITS.line + LIMITS.literals + 2 * LIMITS.line);
        command(&octets);
        let mut step = session.command(&octets);
        loop {
            step = match step {
                Step::Reply(reply) | Step::Forget(reply) => {
                    check(&reply);
                    break;
                }
                Step::Lines(lines, reply) => {
                    assert!(lines.is_empty() || lines.ends_with(b"\r\n"));
                    check(&reply);
                    break;
                }
                Step::Challenge(_) | Step::Perform(_) => break,
                Step::LogIn(credentials) if credentials.username.len() % 2 == 0 => {
                    session.logged_in(Err(Reply::no("no")))
                }
                Step::LogIn(_) => session.logged_in(Ok("ann@example.test".to_owned())),
                Step::StartTls(reply) => {
                    check(&reply);
                    session.secured()
                }
                Step::Close(reply) => {
                    check(&reply);
                    return;
                }
            };
        }
    }
}

/// What the framer makes of octets that arrive in pieces.
fn frames(data: &[u8], piece: usize) -> Vec<Framed> {
    let (mut framer, mut input, mut found) = (Framer::new(LIMITS), BytesMut::new(), Vec::new());
    for piece in data.chunks(piece.max(1)) {
        input.extend_from_slice(piece);
        loop {
            match framer.feed(&mut input) {
                Framed::More(wanted) => {
                    assert!(wanted > 0);
                    break;
                }
                Framed::Lost => {
                    found.push(Framed::Lost);
                    return found;
                }
                framed => found.push(framed),
            }
        }
    }
    found
}

fn command(octets: &[u8]) {
    if let Ok(command) = Command::parse(octets) {
        let mut written = Vec::new();
        command.encode(&mut written);
        assert_eq!(Command::parse(written.strip_suffix(b"\r\n").unwrap()).as_ref(), Ok(&command));
    }
}

fn check(reply: &Reply) {
    let mut line = Vec::new();
    reply.encode(&mut line);
    assert!(line.ends_with(b"\r\n") && [&b"OK"[..], b"NO", b"BYE"].iter().any(|start| line.starts_with(start)));
}
