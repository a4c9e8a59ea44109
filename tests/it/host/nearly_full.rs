//! Users are warned in time that their mailboxes are filling up.

use std::time::Duration;

use postrider::foundations::event::EventKind;
use postrider::foundations::settings::ByteSize;
use postrider::storage::journal::Query;

use crate::harness::{Host, Smtp};

const ANN: &str = "ann@example.test";
const LETTER: &str = "Subject: Your mailbox is";

/// Delivers a message of about this many KiB.
async fn receive(host: &Host, name: &str, kibibytes: usize) {
    receive_octets(host, name, kibibytes << 10).await;
}

/// Delivers a message with this many octets of text.
async fn receive_octets(host: &Host, name: &str, octets: usize) {
    let mut smtp: Smtp = host.lmtp().await;
    let line = format!("{}\r\n", "x".repeat(62));
    let filling = line.repeat(octets / line.len()) + &"x".repeat(octets % line.len());
    let reply = smtp.deliver("eve@elsewhere.test", &[ANN], &format!("Subject: {name}\r\n\r\n{filling}")).await;
    assert_eq!(reply.code, 250, "{}", reply.text());
}

/// The subjects of letters about the quota that the inbox holds.
async fn letters(host: &Host) -> Vec<String> {
    let mut imap = host.imap(ANN).await;
    imap.ok("EXAMINE INBOX").await;
    let fetched = imap.ok("FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])").await.untagged.concat();
    fetched.lines().filter(|line| line.starts_with(LETTER)).map(|line| line[LETTER.len()..].trim().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_told_once_of_each_share_of_the_quota() {
    let settings = "[delivery]\nnearly_full = [50, 80]\n";
    let host = Host::start().settings(settings).user("bob@example.test").await;
    host.add_user(ANN, Some(ByteSize::mib(1))).await;
    receive(&host, "a", 400).await;
    assert_eq!(letters(&host).await, [""; 0]);
    receive(&host, "b", 200).await;
    receive(&host, "c", 10).await;
    assert_eq!(letters(&host).await, ["58 % full"]);
    // Not again after a restart, and the next threshold is reported.
    let host = host.restart().await;
    receive(&host, "d", 10).await;
    assert_eq!(letters(&host).await, ["58 % full"]);
    receive(&host, "e", 300).await;
    assert_eq!(letters(&host).await, ["58 % full", "90 % full"]);
    let told = host.events(&Query { kinds: vec![EventKind::NearlyFull], ..Query::default() }).await;
    assert_eq!(told.iter().map(|event| event.details["percent"].clone()).collect::<Vec<_>>(), [58, 90]);
    host.stop().await;
}

/// The size of Ann's messages, in octets.
async fn used(host: &Host) -> usize {
    let user = host.parts().mailboxes.as_ref().unwrap().user(&ANN.parse().unwrap()).await.unwrap();
    usize::try_from(user.usage().await.unwrap().octets).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_could_not_be_stored_is_written_again() {
    let host = Host::start().settings("[delivery]\nnearly_full = [99]\n").user("bob@example.test").await;
    host.add_user(ANN, Some(ByteSize::mib(1))).await;
    receive(&host, "a", 20).await;
    let head = used(&host).await - (20 << 10);
    receive(&host, "b", 980).await;
    // There is no room for a warning beside this one.
    let left = (1 << 20) - used(&host).await;
    receive_octets(&host, "c", left - head - 100).await;
    assert_eq!(letters(&host).await, [""; 0]);
    let mut imap = host.imap(ANN).await;
    imap.ok("SELECT INBOX").await;
    imap.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    imap.ok("EXPUNGE").await;
    host.clock().advance(Duration::from_secs(11 * 60));
    receive(&host, "d", 13).await;
    assert_eq!(letters(&host).await, ["99 % full"]);
    let told = host.events(&Query { kinds: vec![EventKind::NearlyFull], ..Query::default() }).await;
    assert_eq!(told.len(), 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_where_that_is_not_wanted() {
    let host = Host::start().settings("[delivery]\nnearly_full = []\n").user("bob@example.test").await;
    host.add_user(ANN, Some(ByteSize::mib(1))).await;
    receive(&host, "a", 1000).await;
    assert_eq!(letters(&host).await, [""; 0]);
    host.stop().await;
}
