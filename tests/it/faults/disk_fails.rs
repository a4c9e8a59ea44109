//! A disk that fails for a moment: whatever command was running, no message is lost by it, nothing unreadable is taken
//! to be missing, and all is well again when the disk is.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::hostile_web::{ask, server, sign_in};
use super::imap::Value;
use super::server::{Layout, Server};
use super::variable;

/// A tracer that makes one system call of the server fail; detaches when dropped.
struct Fault(Child);

impl Fault {
    /// Makes the `nth` sync of a thread from now on fail. `None`, with a message, where that cannot be done.
    fn at_sync(server: &Server, nth: u32) -> Option<Self> {
        Self::of(server, &[&format!("fsync,fdatasync:error=EIO:when={nth}")], &[])
    }

    /// Makes calls fail as strace's `inject=` says, only for these files if any are named.
    fn of(server: &Server, injections: &[&str], files: &[PathBuf]) -> Option<Self> {
        let calls: Vec<&str> = injections.iter().filter_map(|one| one.split(':').next()).collect();
        let mut strace = Command::new("strace");
        strace.args(["-f", "-p", &server.pid().to_string(), "-e", &format!("trace={}", calls.join(","))]);
        injections.iter().for_each(|one| _ = strace.args(["-e", &format!("inject={one}")]));
        files.iter().for_each(|file| _ = strace.arg("-P").arg(file));
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

/// An operation during the failure, and the subjects that must be somewhere afterwards, of a message before and after
/// it.
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
            // Both folders have been written to, so only what the command itself must sync is left.
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

/// Makes a folder with a message in it, with nothing of it left in the server's memory.
fn with_folder(folder: &str, subject: &str) -> Server {
    let server = Server::start(Layout::default());
    let mut imap = server.imap("ann").unwrap();
    assert!(imap.command(&format!("CREATE {folder}")).unwrap().is_ok());
    assert!(imap.append(folder, "", &letter(subject)).unwrap().is_ok());
    server
}

fn restart(server: &Server) {
    server.kill();
    server.resume();
}

#[test]
fn folders_and_subscriptions_stay_that_could_not_be_looked_at() {
    let server = with_folder("Kept", "one");
    assert!(server.imap("ann").unwrap().command("UNSUBSCRIBE Sent").unwrap().is_ok());
    restart(&server);
    let files = [server.maildir("ann").join(".Kept/cur"), server.maildir("ann").join("subscriptions")];
    let Some(fault) = Fault::of(&server, &["statx:error=EIO"], &files) else { return };
    let mut imap = server.imap("ann").unwrap();
    let during = imap.command("LIST \"\" *").unwrap();
    drop(fault);
    assert_eq!(during.status, "NO", "{during:?}");
    let answer = imap.command("LIST \"\" * RETURN (SUBSCRIBED)").unwrap();
    let line = |name: &str| {
        let is_it = |value: &Value| {
            matches!(value, Value::Word(text) if text == name)
                || matches!(value, Value::Octets(text) if text == name.as_bytes())
        };
        answer.untagged.iter().find(|line| line.iter().any(is_it)).map(|line| format!("{line:?}"))
    };
    assert!(line("Kept").is_some(), "{answer:?}");
    let is_subscribed = |name: &str| line(name).unwrap().contains("Subscribed");
    assert!(is_subscribed("Drafts") && !is_subscribed("Sent"), "{answer:?}");
}

#[test]
fn what_is_added_after_a_deletion_that_failed_is_kept() {
    for nth in 1..=3 {
        let server = with_folder("Kept", "one");
        let mut imap = server.imap("ann").unwrap();
        let Some(fault) = Fault::of(&server, &[&format!("fsync:error=EIO:when={nth}")], &[server.maildir("ann")])
        else {
            return;
        };
        let deleted = imap.command("DELETE Kept").unwrap();
        drop(fault);
        let added = imap.append("Kept", "", &letter("two")).unwrap();
        assert!(deleted.is_ok() || added.is_ok(), "{deleted:?} {added:?}");
        // Looks for folders.
        assert!(imap.command("CREATE Other").unwrap().is_ok());
        for when in ["at once", "after a restart"] {
            let there = subjects(&server);
            assert!(!added.is_ok() || there.contains("two"), "sync {nth}: what was acknowledged is lost {when}");
            assert!(deleted.is_ok() || there.contains("one"), "sync {nth}: it was not deleted, and is lost {when}");
            restart(&server);
        }
    }
}

#[test]
fn a_family_of_folders_is_renamed_as_a_whole_or_not() {
    let server = with_folder("Kept", "one");
    let mut imap = server.imap("ann").unwrap();
    assert!(imap.command("CREATE Kept/Below").unwrap().is_ok());
    let Some(fault) = Fault::of(&server, &["renameat:error=EIO:when=2"], &[]) else { return };
    let renamed = imap.command("RENAME Kept Other").unwrap();
    drop(fault);
    assert_eq!(renamed.status, "NO", "{renamed:?}");
    assert_eq!(imap.command("STATUS Other (MESSAGES)").unwrap().code, "NONEXISTENT");
    assert!(imap.command("STATUS Kept/Below (MESSAGES)").unwrap().is_ok());
    assert!(subjects(&server).contains("one"));
    assert!(imap.command("RENAME Kept Other").unwrap().is_ok());
}

#[test]
fn a_message_that_could_not_be_looked_at_for_a_moment_keeps_its_uid() {
    let server = with_folder("Kept", "one");
    server.kill();
    let folder = server.maildir("ann").join(".Kept");
    let _ = std::fs::remove_file(folder.join("postrider.index"));
    server.resume();
    let places = [folder.join("new"), folder.join("cur")];
    let Some(fault) = Fault::of(&server, &["newfstatat:error=EIO:when=1"], &places) else { return };
    let mut imap = server.imap("ann").unwrap();
    assert!(imap.select("Kept").unwrap().is_ok());
    let uids: Vec<u32> = imap.fetch("1:*", "(UID)").unwrap().iter().map(|message| message.uid()).collect();
    drop(fault);
    assert_eq!(uids, [1]);
}

/// Mail is deferred as long as the disk does not return a script, whichever call fails, and then filed by it: in the
/// end the folder has this many messages.
fn is_waited_for(server: &Server, script: &Path, calls: &[&str], (folder, messages): (&str, usize)) {
    let deliver = |subject: &str| {
        server.lmtp().unwrap().send("a@elsewhere.test", &["ann@example.test"], &letter(subject)).unwrap()[0].code
    };
    for call in calls {
        let Some(fault) = Fault::of(server, &[call], &[script.to_owned()]) else { return };
        assert_eq!(deliver("during"), 451, "{call}");
        drop(fault);
    }
    assert_eq!(deliver("after"), 250);
    let mut imap = server.imap("ann").unwrap();
    assert!(imap.select(folder).unwrap().is_ok());
    assert_eq!(imap.fetch("1:*", "(UID)").unwrap().len(), messages, "the script runs again");
}

#[test]
fn a_script_that_cannot_be_read_is_waited_for() {
    let server = with_folder("Kept", "one");
    let home = server.maildir("ann");
    std::fs::create_dir(home.join("sieve")).unwrap();
    std::fs::write(home.join("sieve/main.sieve"), "require \"fileinto\"; fileinto \"Kept\";").unwrap();
    std::os::unix::fs::symlink("sieve/main.sieve", home.join(".dovecot.sieve")).unwrap();
    is_waited_for(&server, &home.join(".dovecot.sieve"), &["openat:error=EMFILE"], ("Kept", 2));
}

#[test]
fn a_script_of_the_site_that_cannot_be_read_is_waited_for() {
    let place = tempfile::tempdir().unwrap();
    let script = place.path().join("site.sieve");
    std::fs::write(&script, "require \"fileinto\"; fileinto \"Archive\"; stop;").unwrap();
    let more = format!("[delivery.sieve]\nbefore = [{script:?}]\n");
    let server = Server::start(Layout { more, ..Layout::default() });
    assert!(server.imap("ann").unwrap().command("LIST \"\" *").unwrap().is_ok());
    is_waited_for(&server, &script, &["openat:error=EMFILE"], ("Archive", 1));
}

#[test]
fn an_included_script_that_cannot_be_read_is_waited_for() {
    let server = with_folder("Kept", "one");
    let home = server.maildir("ann");
    std::fs::create_dir(home.join("sieve")).unwrap();
    let main = "require \"include\"; include :optional \"other\";";
    std::fs::write(home.join("sieve/main.sieve"), main).unwrap();
    std::fs::write(home.join("sieve/other.sieve"), "require \"fileinto\"; fileinto \"Kept\";").unwrap();
    std::os::unix::fs::symlink("sieve/main.sieve", home.join(".dovecot.sieve")).unwrap();
    let script = home.join("sieve/other.sieve");
    is_waited_for(&server, &script, &["openat:error=EMFILE", "statx:error=EIO"], ("Kept", 2));
}

#[test]
fn a_folder_that_could_not_be_put_on_disk_is_not_there() {
    let mut failed = 0;
    for nth in 1..=3 {
        let server = with_folder("Kept", "one");
        let mut imap = server.imap("ann").unwrap();
        let Some(fault) = Fault::at_sync(&server, nth) else { return };
        let created = imap.command("CREATE Fresh").unwrap();
        drop(fault);
        if created.is_ok() {
            continue;
        }
        failed += 1;
        let status = imap.command("STATUS Fresh (MESSAGES)").unwrap();
        assert_eq!(status.code, "NONEXISTENT", "sync {nth}: {status:?}");
        let again = imap.command("CREATE Fresh").unwrap();
        assert!(again.is_ok(), "sync {nth}: {again:?}");
        assert!(imap.append("Fresh", "", &letter("two")).unwrap().is_ok());
    }
    assert!(failed > 0, "no failing sync was noticed");
}

/// The file in ann's INBOX that contains these words; there is only one. It must have flags, so that it stays where it
/// is.
fn file_with(server: &Server, words: &str) -> PathBuf {
    let mut files = std::fs::read_dir(server.maildir("ann").join("cur")).unwrap().map(|file| file.unwrap().path());
    files.find(|file| String::from_utf8_lossy(&std::fs::read(file).unwrap()).contains(words)).unwrap()
}

#[test]
fn what_cannot_be_read_keeps_no_other_message_from_its_reader() {
    let server = server();
    for subject in ["one", "two", "three"] {
        assert!(server.imap("ann").unwrap().append("INBOX", "\\Seen", &letter(subject)).unwrap().is_ok());
    }
    server.kill();
    // So that the messages must be read.
    let _ = std::fs::remove_file(server.maildir("ann").join("postrider.cache"));
    server.resume();
    let file = file_with(&server, "Subject: two");
    let Some(fault) = Fault::of(&server, &["pread64:error=EIO"], &[file]) else { return };
    let mut imap = server.imap("ann").unwrap();
    assert!(imap.select("INBOX").unwrap().is_ok());
    let fetched = imap.command("UID FETCH 1:* (FLAGS ENVELOPE)").unwrap();
    let searched = imap.command("UID SEARCH NOT SUBJECT one").unwrap();
    let cookie = sign_in(&server);
    let listed = ["false", "true"].map(|conversations| {
        let path = format!("/api/messages?folder=INBOX&conversations={conversations}");
        let (mut pipe, lines) = ask(&server, &format!("GET {path} HTTP/1.1\r\nCookie: {cookie}\r\n"), "");
        assert!(lines[0].contains(" 200 "), "{path}: {lines:?}");
        serde_json::from_slice::<serde_json::Value>(&pipe.rest().unwrap()).unwrap()
    });
    drop(fault);
    assert_eq!((fetched.status.as_str(), fetched.code.as_str()), ("NO", "UNAVAILABLE"), "{fetched:?}");
    assert_eq!(fetched.fetched().iter().map(|message| message.uid()).collect::<Vec<_>>(), [1, 3]);
    assert!(searched.is_ok(), "{searched:?}");
    let is_result = |line: &&Vec<Value>| matches!(&line[0], Value::Word(word) if word == "SEARCH");
    let found: Vec<u64> = searched.untagged.iter().find(is_result).unwrap()[1..].iter().map(Value::number).collect();
    assert_eq!(found, [3], "{searched:?}");
    for list in listed {
        let subjects: BTreeSet<&str> =
            list["lines"].as_array().unwrap().iter().map(|line| line["subject"].as_str().unwrap()).collect();
        assert_eq!(subjects, BTreeSet::from(["", "one", "three"]), "{list}");
    }
    assert!(imap.command("UID FETCH 2 (ENVELOPE)").unwrap().is_ok());
}

#[test]
fn a_large_message_that_cannot_be_read_leaves_no_half_response() {
    let server = Server::start(Layout::default());
    let large = [letter("large"), b"0123456789abcde\r\n".repeat(128 << 10)].concat();
    let mut imap = server.imap("ann").unwrap();
    assert!(imap.append("INBOX", "\\Seen", &large).unwrap().is_ok());
    assert!(imap.select("INBOX").unwrap().is_ok());
    assert_eq!(imap.fetch("1:*", "(UID ENVELOPE)").unwrap().len(), 1);
    let Some(fault) = Fault::of(&server, &["pread64:error=EIO"], &[file_with(&server, "Subject: large")]) else {
        return;
    };
    for items in ["BODY.PEEK[]", "(FLAGS BODY.PEEK[TEXT])", "BODY.PEEK[HEADER.FIELDS (X-ANY)]", "BINARY.PEEK[]"] {
        let answer = imap.command(&format!("UID FETCH 1 {items}")).unwrap();
        assert_eq!((answer.status.as_str(), answer.code.as_str()), ("NO", "UNAVAILABLE"), "{items}: {answer:?}");
        assert!(answer.fetched().is_empty(), "{items}");
    }
    drop(fault);
    assert!(imap.fetch("1", "(UID BODY.PEEK[])").unwrap()[0].octets("BODY[]") == large);
}
