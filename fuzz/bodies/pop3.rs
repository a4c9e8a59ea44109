//! A whole POP3 session, and what its commands mean after writing and reading them again.

use postrider::foundations::mail::{Uid, UidValidity};
use postrider::foundations::net::{Plaintext, StartTls};
use postrider::foundations::wire::pop3::{Command, Reply, Stuffer, TopLines};
use postrider::protocols::pop3::{Maildrop, Profile, Session, Step, UidlFormat};

const PROFILE: Profile = Profile {
    plaintext: Plaintext::Allowed,
    start_tls: StartTls::Offered,
    failed_logins: 3,
    uidl_format: UidlFormat::Dovecot,
};

pub fn run(data: &[u8]) {
    let mut session = Session::new(PROFILE);
    let mut over = false;
    for line in data.split(|b| *b == b'\n') {
        command(line);
        let mut step = session.line(line);
        loop {
            step = match step {
                Step::Reply(reply) => {
                    check(&reply);
                    break;
                }
                Step::Lines(reply, _) => {
                    check(&reply);
                    break;
                }
                Step::List(reply, mut listing) => {
                    check(&reply);
                    let mut out = Vec::new();
                    while session.maildrop().unwrap().list(&mut listing, &mut out) {}
                    assert!(out.ends_with(b".\r\n"));
                    break;
                }
                Step::Send { reply, number, lines, .. } => {
                    check(&reply);
                    content(data, lines);
                    session.sent(number, lines);
                    break;
                }
                Step::LogIn(credentials) if credentials.username.len() % 2 == 0 => {
                    session.logged_in(Err(Reply::err("no")))
                }
                Step::LogIn(_) => session.logged_in(Ok(maildrop())),
                Step::Update(uids) => {
                    assert!(!uids.is_empty());
                    session.updated(Ok(()))
                }
                Step::StartTls(reply) => {
                    check(&reply);
                    session.secured();
                    break;
                }
                Step::Close(reply) => {
                    check(&reply);
                    over = true;
                    break;
                }
            };
        }
        if let Some(maildrop) = session.maildrop() {
            assert!(maildrop.left().messages as usize + maildrop.deleted().len() == 3);
        }
        if over {
            return;
        }
    }
}

fn maildrop() -> Maildrop {
    Maildrop::new(UidValidity::MIN, [3, 5, 9].map(|uid| (Uid::new(uid).unwrap(), u64::from(uid))))
}

fn command(line: &[u8]) {
    if let Ok(command) = Command::parse(line) {
        let mut written = Vec::new();
        command.encode(&mut written);
        let read = Command::parse(written.strip_suffix(b"\r\n").unwrap());
        assert_eq!(read.as_ref(), Ok(&command));
    }
}

fn check(reply: &Reply) {
    let mut line = Vec::new();
    reply.encode(&mut line);
    let inner = line.strip_suffix(b"\r\n").unwrap();
    assert!(line.len() <= 512 && !inner.iter().any(u8::is_ascii_control), "{}", line.escape_ascii());
    assert!(inner.starts_with(b"+OK") || inner.starts_with(b"-ERR ") || inner.starts_with(b"+ "));
}

/// The output is the same whether the input arrives whole or in pieces.
fn content(data: &[u8], lines: Option<u32>) {
    let write = |piece: usize| {
        let (mut stuffer, mut top, mut out) = (Stuffer::new(), lines.map(TopLines::new), Vec::new());
        for piece in data.chunks(piece.max(1)) {
            let wanted = top.as_mut().map_or(piece.len(), |top| top.take(piece));
            stuffer.write(&piece[..wanted], &mut out);
            if wanted < piece.len() {
                break;
            }
        }
        stuffer.finish(&mut out);
        out
    };
    let whole = write(data.len());
    assert!(whole.ends_with(b".\r\n"));
    assert_eq!(whole, write(1));
    assert_eq!(whole, write(7));
}
