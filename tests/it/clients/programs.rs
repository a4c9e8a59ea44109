//! Mail from programs on this machine, which hand it to `sendmail`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;

use crate::harness::{Host, Peer, tools};

/// The number of the user that runs the tests; programs are recognised by it.
fn number() -> u32 {
    rustix::process::getuid().as_raw()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ways_that_programs_call_sendmail() {
    let settings = "[routing]\nmachine_users = \"ann@example.test\"\n";
    let host = Host::start().settings(settings).user("ann@example.test").user("bob@example.test").real_time().await;
    tools::run_script("sendmail_session.py", &["s-nail", "git"], &host.description()).await;
    host.stop().await;
}

/// Sends each line to the socket and returns the code of each reply.
async fn said(host: &Host, lines: &[&str]) -> Vec<String> {
    let socket = host.directory().join("sendmail.sock");
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    tokio::task::spawn_blocking(move || {
        let mut stream = BufReader::new(UnixStream::connect(socket).unwrap());
        let mut codes = Vec::new();
        for line in std::iter::once(None).chain(lines.iter().map(Some)) {
            if let Some(line) = line {
                stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
            }
            let mut reply = String::from("    ");
            while !reply[3..].starts_with(' ') || reply.trim().is_empty() {
                reply.clear();
                assert!(stream.read_line(&mut reply).unwrap() > 0, "{lines:?}");
            }
            codes.push(reply[..3].to_owned());
        }
        codes
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_with_an_account_reaches_others() {
    let peer = Peer::start().await;
    let settings = format!(
        "[routing]\nmachine_users = \"ann@example.test\"\n[[submission.programs]]\nuser = \"{}\"\naccount = \"bob@example.test\"\n",
        number()
    );
    let host = Host::start().settings(&settings).user("ann@example.test").user("bob@example.test");
    let host = host.dns("far.test MX 10 mx.far.test\nmx.far.test A 192.0.2.25").await;
    host.detour().lead("192.0.2.25".parse().unwrap(), peer.address);
    let message = "Subject: out\r\n\r\nx\r\n.";
    // Its user's own address is the account's; another's is not allowed, neither in the envelope nor in the message.
    let codes =
        said(&host, &["EHLO x", "MAIL FROM:<bob+x@example.test>", "RCPT TO:<eve@far.test>", "DATA", message]).await;
    assert_eq!(codes, ["220", "250", "250", "250", "354", "250"]);
    let codes = said(&host, &["EHLO x", "MAIL FROM:<ann@example.test>"]).await;
    assert_eq!(codes, ["220", "250", "553"]);
    let foreign = "From: ann@example.test\r\nSubject: no\r\n\r\nx\r\n.";
    let codes =
        said(&host, &["EHLO x", "MAIL FROM:<bob@example.test>", "RCPT TO:<eve@far.test>", "DATA", foreign]).await;
    assert_eq!(codes[5], "550");
    let received = peer.wait_for(1).await;
    assert_eq!(received[0].from, "bob+x@example.test");
    assert!(received[0].content.contains("From: <bob+x@example.test>"), "{}", received[0].content);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_the_machine_are_written_to_by_it_alone() {
    let settings = "[routing]\nmachine_users = \"ann@example.test\"\n[submission]\nmessages_per_hour = 2\n";
    let host = Host::start().settings(settings).user("ann@example.test").await;
    let mut stranger = host.smtp().await;
    let refused = stranger.deliver("eve@far.test", &["root@mail.example.test"], "Subject: x\r\n\r\nx\r\n").await;
    assert_eq!(refused.code, 550);
    let letter = [
        "EHLO x",
        "MAIL FROM:<ann@example.test>",
        "RCPT TO:<daemon@mail.example.test>",
        "DATA",
        "Subject: y\r\n\r\nx\r\n.",
    ];
    for wanted in ["250", "250", "450"] {
        assert_eq!(said(&host, &letter).await[5], wanted);
    }
    // Whatever its user is called, nobody elsewhere is reached, and no login changes that.
    let codes = said(&host, &["EHLO x", "AUTH PLAIN AGFubgB4", "MAIL FROM:<>", "RCPT TO:<eve@far.test>"]).await;
    assert_eq!(codes, ["220", "250", "502", "250", "550"]);
    let mut imap = host.imap("ann@example.test").await;
    assert_eq!(imap.ok("SELECT INBOX").await.number("EXISTS"), Some(2));
    host.stop().await;
}
