//! A server that strangers send to, and what it sends them.

use std::time::Duration;

use postrider::config::Protocol;
use postrider::services::filter::authentication::dkim::{Algorithm, generate};

use crate::harness::{Host, Peer, Received, Smtp, until};

/// Listeners of which the one for strangers believes the addresses they claim, as behind a load balancer.
const LISTENERS: &str = "[[listener]]\nprotocol = \"smtp\"\nbind = [\"127.0.0.1:0\"]\nproxies = [\"127.0.0.1/32\"]\n\
                         [[listener]]\nprotocol = \"submissions\"\nbind = [\"127.0.0.1:0\"]\n";

/// A host with a key for its domain, whose mail to 192.0.2.25 arrives at the peer; and the key's record.
pub(super) async fn start(settings: &str, zone: &str) -> (Host, Peer, String) {
    let keys = tempfile::tempdir().unwrap();
    let pair = generate(Algorithm::Rsa).unwrap();
    let file = keys.path().join("key.pem");
    std::fs::write(&file, pair.private.expose()).unwrap();
    let key =
        format!("[[spam.dkim.keys]]\ndomain = \"example.test\"\nselector = \"s1\"\nfile = \"{}\"\n", file.display());
    let peer = Peer::start().await;
    let host =
        Host::start().settings(&format!("{settings}\n{LISTENERS}\n{key}")).user("ann@example.test").dns(zone).await;
    host.detour().lead("192.0.2.25".parse().unwrap(), peer.address);
    // The key is read when the first message is signed: while the directory still exists.
    let mut submission = host.submission("ann@example.test").await;
    let own = "From: ann@example.test\r\nSubject: x\r\n\r\nx\r\n";
    assert_eq!(submission.deliver("ann@example.test", &["ann@example.test"], own).await.code, 250);
    (host, peer, pair.record)
}

/// Sends a message from a stranger at an address of the Internet.
pub(super) async fn from_outside(host: &Host, address: &str, from: &str, to: &str, message: &str) -> u16 {
    let mut talk = host.plain(Protocol::Smtp).await;
    talk.send(format!("PROXY TCP4 {address} 127.0.0.1 4444 25\r\n")).await;
    let mut smtp = Smtp::hello(talk, "EHLO mail.sender.test").await;
    smtp.deliver(from, &[to], message).await.code
}

/// Lets the day pass, and the hours in which reports go out.
pub(super) async fn next_day(host: &Host, peer: &Peer, mails: usize) -> Vec<Received> {
    let queue = host.parts().queue.as_ref().unwrap();
    // An attempt in flight would outlive its lease.
    until("the queue is empty", async || queue.counts().await.unwrap().entries == 0).await;
    host.parts().reports.flush().await.unwrap();
    host.clock().advance(Duration::from_secs(29 * 3600));
    peer.wait_for(mails).await
}
