//! A disk that fails to take what was written: whatever command was at work, no message is lost by it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::server::{Layout, Server};
use super::variable;

/// A tracer that lets one call of the server fail; it lets go of it when dropped.
struct Fault(Child);

impl Fault {
    /// Lets the `nth` sync of a thread from now on fail. `None`, with a word about it, where that cannot be done.
    fn at_sync(server: &Server, nth: u32) -> Option<Self> {
        let inject = format!("inject=fsync,fdatasync:error=EIO:when={nth}");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-e", "trace=fsync,fdatasync", "-e", &inject, "-p", &server.pid().to_string()]);
        let Ok(mut child) = strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn() else {
            let required = variable("POSTRIDER_TEST_REQUIRE_ALL").is_some_and(|value| value != "0");
            assert!(!required, "strace is required (POSTRIDER_TEST_REQUIRE_ALL), but it is not there");
            eprintln!("SKIPPED: strace is not there");
            return None;
        };
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let attached = said.by_ref().find(|line| line.as_ref().is_ok_and(|line| line.contains("attached")));
        assert!(attached.is_some(), "strace does not attach to the server");
        std::thread::spawn(move || said.count());
        Some(Self(child))
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

fn letter(subject: &str) -> Vec<u8> {
    format!("Subject: {subject}\r\nMessage-ID: <{subject}@fails.test>\r\n\r\nText\r\n").into_bytes()
}

/// The subjects of all messages in all folders.
fn subjects(server: &Server) -> BTreeSet<String> {
    let mut imap = server.imap("ann").unwrap();
    let mut found = BTreeSet::new();
    for folder in ["INBOX", "Archive", "Kept"] {
        if !imap.select(folder).unwrap().is_ok() {
            continue;
        }
        for message in imap.fetch("1:*", "(UID BODY.PEEK[])").unwrap() {
            let text = String::from_utf8_lossy(message.octets("BODY[]")).into_owned();
            found.insert(text.lines().next().unwrap().trim_start_matches("Subject: ").to_owned());
        }
    }
    found
}

/// What is done while the disk fails, and the subjects that must be somewhere afterwards, of a message before and after it.
struct Work {
    name: &'static str,
    command: &'static str,
    literal: Option<&'static str>,
}

const WORKS: [Work; 5] = [
    Work { name: "MOVE", command: "UID MOVE 1:3 Archive", literal: None },
    Work { name: "MOVE within", command: "UID MOVE 1:3 INBOX", literal: None },
    Work { name: "COPY", command: "UID COPY 1:3 Archive", literal: None },
    Work { name: "REPLACE", command: "UID REPLACE 2 INBOX", literal: Some("new") },
    Work { name: "RENAME", command: "RENAME INBOX Kept", literal: None },
];

#[test]
fn no_message_is_lost_when_a_sync_fails() {
    for work in &WORKS {
        let mut failed = 0;
        for nth in 1..=4 {
            let server = Server::start(Layout::default());
            let mut imap = server.imap("ann").unwrap();
            assert!(imap.command("LIST \"\" *").unwrap().is_ok());
            for subject in ["one", "two", "three", "other"] {
                assert!(imap.append("INBOX", "", &letter(subject)).unwrap().is_ok());
            }
            assert!(imap.select("INBOX").unwrap().is_ok());
            // Both folders have been written to, so that only what the command itself must sync is left.
            assert!(imap.command("UID MOVE 4 Archive").unwrap().is_ok());
            assert!(imap.command("UID STORE 1:* +FLAGS (\\Seen)").unwrap().is_ok());

            let Some(fault) = Fault::at_sync(&server, nth) else { return };
            let answer = match work.literal {
                None => imap.command(work.command).unwrap(),
                Some(subject) => {
                    let content = letter(subject);
                    let line = format!("{} {{{}+}}\r\n", work.command, content.len());
                    imap.octets(&[line.as_bytes(), &content].concat()).unwrap()
                }
            };
            drop(fault);
            failed += u32::from(!answer.is_ok());
            let now = subjects(&server);
            server.kill();
            server.resume();
            let later = subjects(&server);
            for (when, there) in [("at once", &now), ("after a restart", &later)] {
                let replaced = work.literal.is_some_and(|subject| there.contains(subject));
                for subject in ["one", "two", "three", "other"] {
                    assert!(
                        there.contains(subject) || subject == "two" && replaced,
                        "{} with sync {nth} failing: `{subject}` is lost {when}; answered {answer:?}, there are {there:?}",
                        work.name,
                    );
                }
                if let (Some(subject), true) = (work.literal, answer.is_ok()) {
                    assert!(there.contains(subject), "{}: `{subject}` was acknowledged and is lost {when}", work.name);
                }
            }
        }
        assert!(failed > 0 || work.name == "RENAME", "{}: no failing sync was noticed", work.name);
    }
}
