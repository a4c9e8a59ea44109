//! No room left: reported in each protocol's terms, nothing half-visible, and over as soon as there is room again.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use super::disk::Disk;
use super::fake_mx::FakeMx;
use super::server::{Layout, Server};

fn letter(n: u32, size: usize) -> Vec<u8> {
    let line = format!("{n:08} nothing but text, and a lot of it, line for line\r\n");
    let text = line.repeat(size.div_ceil(line.len()));
    format!("Subject: letter {n}\r\nMessage-ID: <{n}@full.test>\r\n\r\n{text}").into_bytes()
}

/// The messages of a folder by UID.
fn messages(server: &Server, folder: &str) -> BTreeMap<u32, Vec<u8>> {
    let mut imap = server.imap("ann").unwrap();
    assert!(imap.select(folder).unwrap().is_ok());
    let fetched = imap.fetch("1:*", "(UID BODY.PEEK[])").unwrap();
    fetched.iter().map(|message| (message.uid(), message.octets("BODY[]").to_vec())).collect()
}

/// Files of ann's INBOX, in `new/` and `cur/`, and in `tmp/`.
fn files(server: &Server) -> (usize, usize) {
    let count = |half: &str| fs::read_dir(server.maildir("ann").join(half)).unwrap().count();
    (count("new") + count("cur"), count("tmp"))
}

fn deliver(server: &Server, content: &[u8]) -> (u16, String) {
    let replies = server.lmtp().unwrap().send("a@elsewhere.test", &["ann@example.test"], content).unwrap();
    (replies[0].code, replies[0].status().to_owned())
}

#[test]
fn the_mail_root_is_full() {
    let Some(disk) = Disk::mount(16) else { return };
    let server = Server::start(Layout { mail_root: Some(disk.path("mail")), ..Layout::default() });
    for n in 0..4 {
        assert_eq!(deliver(&server, &letter(n, 10_000)).0, 250);
    }
    let mut open = server.imap("ann").unwrap();
    // The default folders are made while there is room.
    assert!(open.command("LIST \"\" *").unwrap().is_ok());
    assert!(open.select("INBOX").unwrap().is_ok());
    let before = messages(&server, "INBOX");
    assert_eq!(before.len(), 4);

    disk.fill();
    // First not even its beginning fits, then the beginning fits and the rest does not.
    for room in [0, 64 << 10] {
        disk.loosen(room);
        let large = letter(100, 1 << 20);
        assert_eq!(deliver(&server, &large), (452, "4.3.1".to_owned()), "LMTP with room for {room}");
        let replies = server
            .relay()
            .unwrap()
            .send("a@elsewhere.test", &["ann@example.test", "bob@example.test"], &large)
            .unwrap();
        assert_eq!((replies[0].code, replies[0].status()), (452, "4.3.1"), "SMTP with room for {room}");
        let answer = open.append("INBOX", "", &large).unwrap();
        assert_eq!((answer.status.as_str(), answer.code.as_str()), ("NO", "OVERQUOTA"), "{answer:?}");
        assert_eq!(messages(&server, "INBOX"), before, "nothing is half-visible");
        assert_eq!(files(&server), (4, 0), "nothing is left behind");
        disk.fill();
    }
    // With no room at all, and for one directory of it after the other.
    for room in (0..5).map(|blocks| blocks * 4096) {
        disk.loosen(room);
        let answer = open.command("CREATE Half").unwrap();
        assert!(answer.is_ok() || answer.code == "OVERQUOTA", "{answer:?}");
        let is_there = server.maildir("ann").join(".Half").exists();
        assert_eq!(is_there, answer.is_ok(), "with room for {room} octets half a folder is left behind");
        assert!(!answer.is_ok() || open.command("DELETE Half").unwrap().is_ok());
        disk.fill();
    }
    // A copy may need no room; a new folder does. Neither may half succeed.
    let answer = open.command("UID COPY 1:4 Archive").unwrap();
    let copied = messages(&server, "Archive").len();
    assert!(matches!((answer.status.as_str(), copied), ("OK", 4) | ("NO", 0)), "{answer:?}, {copied} copied");
    // Operations that free room, or need none, work.
    assert!(open.command("UID STORE 1 +FLAGS (\\Seen \\Flagged)").unwrap().is_ok());
    assert!(open.command("UID STORE 2 +FLAGS (\\Deleted)").unwrap().is_ok());
    let answer = open.command("UID EXPUNGE 2").unwrap();
    assert!(answer.is_ok(), "{answer:?}");
    assert!(open.command("NOOP").unwrap().is_ok());
    assert_eq!(messages(&server, "INBOX").keys().copied().collect::<Vec<_>>(), [1, 3, 4]);

    disk.empty();
    assert_eq!(deliver(&server, &letter(200, 1 << 20)), (250, "2.0.0".to_owned()), "without a restart");
    assert!(open.append("INBOX", "", &letter(201, 10_000)).unwrap().is_ok());
    let after = messages(&server, "INBOX");
    assert_eq!(after.len(), 5);
    assert!(after.values().any(|text| text.ends_with(&letter(200, 1 << 20))));

    // And it was all true: a new process sees the same.
    server.kill();
    server.resume();
    assert_eq!(messages(&server, "INBOX"), after);
    let mut imap = server.imap("ann").unwrap();
    imap.select("INBOX").unwrap();
    let flags = imap.fetch("1", "(UID FLAGS)").unwrap()[0].flags();
    assert_eq!(flags.into_iter().collect::<Vec<_>>(), ["\\Flagged", "\\Seen"]);
}

#[test]
fn the_spool_and_the_database_are_full() {
    let Some(disk) = Disk::mount(16) else { return };
    let more = "[[outbound.routes]]\ndomains = [\"*\"]\nhost = \"[ADDRESS]\"\nport = 2525\n\
                [queue]\nfirst_retry = \"1s\"\nlongest_retry = \"1s\"\nfirst_rest = \"1s\"\nlongest_rest = \"1s\"\n"
        .to_owned();
    let database = format!("sqlite:{}", disk.path("data/postrider.sqlite").display());
    let server =
        Server::start(Layout { spool: Some(disk.path("spool")), database: Some(database), more, ..Layout::default() });
    let submit = |n: u32, size: usize| {
        let mut client = server.submission("ann").unwrap();
        let content = [b"From: ann@example.test\r\n".as_slice(), &letter(n, size)].concat();
        let replies = client.send("ann@example.test", &["someone@elsewhere.test"], &content).unwrap();
        (replies[0].code, replies[0].status().to_owned())
    };
    assert_eq!(submit(1, 10_000).0, 250);

    disk.fill();
    for room in [0, 64 << 10] {
        disk.loosen(room);
        let (code, status) = submit(2, 1 << 20);
        assert_eq!((code, status.as_str()), (452, "4.3.1"), "with room for {room}");
        disk.fill();
    }
    // Mail for mailboxes needs neither, and users can read.
    assert_eq!(deliver(&server, &letter(3, 10_000)).0, 250);
    assert_eq!(messages(&server, "INBOX").len(), 1);

    disk.empty();
    assert_eq!(submit(4, 10_000).0, 250, "without a restart");
    // Accepted mail arrives; refused mail does not.
    let elsewhere = FakeMx::start(server.port(2525));
    let wanted = ["<1@full.test>", "<4@full.test>"];
    let all = elsewhere.wait_for(Duration::from_secs(60), |arrived| wanted.iter().all(|id| arrived.contains_key(*id)));
    assert!(all, "{:?}", elsewhere.arrived());
    assert_eq!(elsewhere.arrived().len(), 2, "{:?}", elsewhere.arrived());
}
