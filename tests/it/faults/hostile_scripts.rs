//! Users with malicious Sieve scripts.

use std::fs;
use std::thread;
use std::time::Duration;

use super::attack::during;
use super::server::{Layout, Server};
use super::smtp::Smtp;

/// Gives a user a script.
fn put(server: &Server, user: &str, script: &str) {
    fs::create_dir_all(server.maildir(user)).unwrap();
    fs::write(server.maildir(user).join(".dovecot.sieve"), script).unwrap();
}

fn letter(subject: &str) -> String {
    format!("From: a@elsewhere.test\r\nSubject: {subject}\r\n\r\nhello\r\n")
}

#[test]
fn a_value_named_thousands_of_times() {
    let server = Server::start(Layout::default());
    let many = "${0}".repeat(20_000);
    let script =
        format!("require \"variables\"; if header :matches \"Subject\" \"*\" {{ set \"x\" \"{many}\"; }} keep;");
    put(&server, "ann", &script);
    let text = letter(&"x".repeat(400_000));
    during(&server, "Sieve: a value named thousands of times", 96, || {
        let replies = server.lmtp().unwrap().send("a@elsewhere.test", &["ann@example.test"], text.as_bytes()).unwrap();
        assert!(replies.iter().all(|reply| reply.code == 250), "{replies:?}");
    });
    let mut ann = server.imap("ann").unwrap();
    assert!(ann.select("INBOX").unwrap().is_ok());
    assert_eq!(ann.command("FETCH 1 (UID)").unwrap().fetched().len(), 1, "the message is kept all the same");
}

/// Far more of them than there are threads for slow work.
#[test]
fn scripts_that_take_long() {
    let server = Server::start(Layout::default());
    let pattern = "é".repeat(60);
    let script = format!(
        "require \"comparator-i;unicode-casemap\";\n\
         if header :comparator \"i;unicode-casemap\" :matches \"Subject\" \"*{pattern}x*\" {{ keep; }}\n"
    );
    put(&server, "ann", &script);
    let text = letter(&"É".repeat(8000));
    during(&server, "Sieve: scripts that take long", 160, || {
        let mut senders: Vec<Smtp> = Vec::new();
        for _ in 0..100 {
            let mut client = server.lmtp().unwrap();
            for command in ["MAIL FROM:<a@elsewhere.test>", "RCPT TO:<ann@example.test>", "DATA"] {
                client.command(command).unwrap();
            }
            client.pipe.send(format!("{text}.\r\n").as_bytes()).unwrap();
            senders.push(client);
        }
        thread::sleep(Duration::from_secs(10));
    });
}
