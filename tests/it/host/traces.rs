//! Whatever happens to a message, its trace shows it.

use std::time::Duration;

use postrider::config::Protocol;
use postrider::services::trace::{Asked, Period, Trace, Traced};
use postrider::storage::directory::{Owner, Source};
use postrider::storage::journal::Journal;

use crate::harness::{Host, Peer, Reply, Smtp};

/// Rules that give a message the score its subject asks for.
const RULES: &str = "header ASKS_JUNK Subject =~ /^junk/\nscore ASKS_JUNK 6\n\
    header ASKS_QUARANTINE Subject =~ /^quarantine/\nscore ASKS_QUARANTINE 11\n\
    header ASKS_SPAM Subject =~ /^spam/\nscore ASKS_SPAM 90\n\
    header ASKS_DOUBT Subject =~ /^doubt/\nscore ASKS_DOUBT 4\n";

const ZONE: &str = "elsewhere.test MX 10 mx.elsewhere.test\nmx.elsewhere.test A 192.0.2.25\nsilent.test FAIL\n\
    null.test MX 0 .\n_dmarc.strict.test TXT v=DMARC1; p=reject\nstrict.test A 192.0.2.77";

/// A server on which a message can meet every fate.
struct World {
    host: Host,
    peer: Peer,
    _rules: tempfile::TempDir,
}

impl World {
    /// `more` is further configuration.
    async fn new(more: &str) -> Self {
        let rules = tempfile::tempdir().unwrap();
        let path = rules.path().join("rules.cf");
        std::fs::write(&path, RULES).unwrap();
        // Clients connect from an Internet address, through a load balancer.
        let settings = format!(
            "[spam]\nquarantine = 10.0\n[spam.rules]\nbuiltin = false\nfiles = [\"{}\"]\n[spam.classifier]\nenabled = false\n\
             {more}\n[[listener]]\nprotocol = \"smtp\"\nbind = [\"127.0.0.1:0\"]\nproxies = [\"127.0.0.1/32\"]\n\
             [[listener]]\nprotocol = \"submissions\"\nbind = [\"127.0.0.1:0\"]\n\
             [[listener]]\nprotocol = \"imaps\"\nbind = [\"127.0.0.1:0\"]\n",
            path.display()
        );
        let host = Host::start().settings(&settings).user("ann@example.test").user("bob@example.test");
        let host = host.alias("away@example.test", "eve@elsewhere.test").dns(ZONE).await;
        let peer = Peer::start().await;
        host.detour().lead("192.0.2.25".parse().unwrap(), peer.address);
        Self { host, peer, _rules: rules }
    }

    /// From another host.
    async fn others_send(&self, name: &str, from: &str, to: &str, subject: &str) -> Reply {
        self.outside().await.deliver(from, &[to], &letter(name, from, subject)).await
    }

    async fn outside(&self) -> Smtp {
        let mut talk = self.host.plain(Protocol::Smtp).await;
        talk.send("PROXY TCP4 198.51.100.7 192.0.2.1 40000 25\r\n").await;
        Smtp::hello(talk, "EHLO peer.example").await
    }

    /// From a user of ours.
    async fn ann_sends(&self, name: &str, to: &str) {
        let from = "ann@example.test";
        let reply = self.host.submission(from).await.deliver(from, &[to], &letter(name, from, "Hello")).await;
        assert_eq!(reply.code, 250, "{}", reply.text());
    }

    /// Waits until a message's trace has this ending and contains all of this.
    async fn ends(&self, name: &str, ending: &str, words: &[&str]) {
        let asked: Asked = format!("<{name}@fates.test>").parse().unwrap();
        let mut last = None;
        let wait = async {
            loop {
                let traced = self.trace(&asked).await;
                let told = traced.to_string();
                let ends = traced.journeys.first().is_some_and(|journey| journey.ending == ending);
                if ends && words.iter().all(|words| told.contains(words)) {
                    return;
                }
                last = Some(told);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), wait).await;
        waited.unwrap_or_else(|_| panic!("{asked} does not end with `{ending}`, or does not say {words:?}: {last:?}"));
    }

    async fn trace(&self, asked: &Asked) -> Traced {
        let journal: &Journal = &self.host.parts().journal;
        journal.flush().await;
        Trace::new(journal.clone()).find(asked, Period::default()).await.unwrap()
    }
}

fn letter(name: &str, from: &str, subject: &str) -> String {
    format!(
        "From: {from}\r\nTo: x@example.test\r\nSubject: {subject}\r\nMessage-ID: <{name}@fates.test>\r\n\r\nWords\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn of_mail_that_is_taken() {
    let world = World::new("").await;
    let (bob, eve) = ("bob@example.test", "eve@elsewhere.test");
    for (name, subject, ending, words) in [
        ("delivered", "Hello", "delivered for bob@example.test", "Stored for bob@example.test in INBOX"),
        ("junk", "junk", "delivered for bob@example.test", "Stored for bob@example.test in Junk"),
        ("junk", "junk", "delivered for bob@example.test", "verdict is junk; ASKS_JUNK (6"),
        ("quarantined", "quarantine", "in quarantine for bob@example.test", "held until an administrator releases it"),
    ] {
        let reply = world.others_send(name, eve, bob, subject).await;
        assert_eq!(reply.code, 250, "{}", reply.text());
        world.ends(name, ending, &[words]).await;
    }
    world.ann_sends("passed-on", eve).await;
    world.ends("passed-on", "passed on for eve@elsewhere.test", &["via mx.elsewhere.test"]).await;
    let reply = world.others_send("forwarded", "joe@far.test", "away@example.test", "Hello").await;
    assert_eq!(reply.code, 250, "{}", reply.text());
    let words = "away@example.test is an alias for other addresses; for eve@elsewhere.test";
    world.ends("forwarded", "passed on for eve@elsewhere.test", &[words]).await;
    world.ann_sends("deferred", "x@silent.test").await;
    let words = ["Not passed on yet for x@silent.test", "the next attempt is at "];
    world.ends("deferred", "waiting for x@silent.test", &words).await;
    world.peer.answer("RCPT", "550 5.1.1 nobody of that name");
    world.ann_sends("bounced", "nobody@elsewhere.test").await;
    let words = ["550 5.1.1 nobody of that name", "The sender ann@example.test was notified"];
    world.ends("bounced", "given up for nobody@elsewhere.test", &words).await;
    world.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_mail_that_an_account_has_sent_in_another_name() {
    let world = World::new("").await;
    let sales = Source::parse("sales@example.test").unwrap();
    let mut edit = world.host.parts().directory.edit().await.unwrap();
    edit.add_alias(&sales, "ann@example.test", Owner::Admin).await.unwrap();
    edit.commit().await.unwrap();
    for (name, from) in [("tagged", "ann+shop@example.test"), ("alias", "sales@example.test")] {
        let mut ann = world.host.submission("ann@example.test").await;
        let reply = ann.deliver(from, &["bob@example.test"], &letter(name, from, "Hello")).await;
        assert_eq!(reply.code, 250, "{}", reply.text());
        world.ends(name, "delivered for bob@example.test", &["the login was ann@example.test"]).await;
    }
    let told = world.trace(&"Ann@example.test".parse().unwrap()).await;
    assert_eq!((told.journeys.len(), told.mentions_back_to), (2, None), "{told}");
    // A part of an address is another one.
    let told = world.trace(&"nn@example.test".parse().unwrap()).await;
    assert!(told.journeys.is_empty() && told.besides.is_empty(), "{told}");
    world.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_mail_that_a_script_has_looked_at() {
    let world = World::new("").await;
    let (bob, eve) = ("bob@example.test", "eve@elsewhere.test");
    crate::sieve::activate(
        &world.host,
        bob,
        "require [\"fileinto\", \"reject\"];\nif header :is \"subject\" \"file\" { fileinto \"Work\"; }\n\
         elsif header :is \"subject\" \"drop\" { discard; }\n\
         elsif header :is \"subject\" \"pass\" { redirect \"eve@elsewhere.test\"; }\n\
         elsif header :is \"subject\" \"refuse\" { reject \"No thanks\"; }\n",
    );
    for (name, subject, code, ending, words) in [
        ("filed", "file", 250, "filed by Sieve for bob@example.test", "Filed by Sieve for bob@example.test in Work"),
        ("filed", "file", 250, "filed by Sieve for bob@example.test", "by the script main; because line "),
        ("dropped", "drop", 250, "discarded by Sieve for bob@example.test", "Discarded by Sieve for bob@example.test"),
        ("refused-by-sieve", "refuse", 550, "refused", "Rejected by Sieve for bob@example.test: No thanks"),
        ("kept", "Hello", 250, "delivered for bob@example.test", "Stored for bob@example.test in INBOX"),
    ] {
        let reply = world.others_send(name, eve, bob, subject).await;
        assert_eq!(reply.code, code, "{}", reply.text());
        world.ends(name, ending, &[words]).await;
    }
    let reply = world.others_send("redirected", "joe@far.test", bob, "pass").await;
    assert_eq!(reply.code, 250, "{}", reply.text());
    let ending = "passed on for eve@elsewhere.test; redirected by Sieve for bob@example.test";
    world.ends("redirected", ending, &["Redirected by Sieve for bob@example.test to eve@elsewhere.test"]).await;
    world.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_mail_that_is_not_taken() {
    let world = World::new("[spam.greylist]\nenabled = true\nfrom = 3.0").await;
    let (bob, eve) = ("bob@example.test", "eve@elsewhere.test");
    for (name, from, subject, code, words) in [
        ("spam", eve, "spam", 550, "looks like unwanted mail"),
        ("forged", "boss@strict.test", "Hello", 550, "(DMARC)"),
        ("greylisted", eve, "doubt", 451, "We do not know you yet"),
    ] {
        let reply = world.others_send(name, from, bob, subject).await;
        assert_eq!(reply.code, code, "{name}: {}", reply.text());
        world.ends(name, "refused", &[words, "for bob@example.test"]).await;
    }
    let reply = world.others_send("unknown", eve, "nobody@example.test", "Hello").await;
    assert!(reply.text().starts_with("550 5.1.1"), "{}", reply.text());
    let told = world.trace(&"nobody@example.test".parse().unwrap()).await;
    assert!(told.journeys.is_empty() && told.to_string().contains("nobody@example.test was refused"), "{told}");
    world.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_mail_for_a_full_mailbox_and_mail_thrown_away() {
    let world = World::new("").await;
    world.host.add_user("full@example.test", Some(postrider::foundations::settings::ByteSize::mib(1))).await;
    let long = format!("{}{}\r\n", letter("large", "eve@elsewhere.test", "Hello"), "words\r\n".repeat(200_000));
    let reply = world.outside().await.deliver("eve@elsewhere.test", &["full@example.test"], &long).await;
    assert!(reply.code >= 400 && reply.text().contains("2.2"), "{}", reply.text());
    let told = ["full@example.test", "eve@elsewhere.test"].map(|asked| asked.parse::<Asked>().unwrap());
    let told = format!("{}{}", world.trace(&told[0]).await, world.trace(&told[1]).await);
    assert!(told.to_lowercase().contains("full") && told.contains("refused"), "{told}");

    let reply = world.others_send("thrown-away", "eve@elsewhere.test", "bob@example.test", "Hello").await;
    assert_eq!(reply.code, 250, "{}", reply.text());
    let mut bob = world.host.imap("bob@example.test").await;
    bob.ok("SELECT INBOX").await;
    bob.ok("STORE 1 +FLAGS (\\Deleted)").await;
    bob.ok("EXPUNGE").await;
    let words =
        ["Stored for bob@example.test in INBOX", "Messages of bob@example.test were expunged by a client in INBOX"];
    world.ends("thrown-away", "expunged by a client for bob@example.test", &words).await;

    let reply = world.others_send("deleted", "eve@elsewhere.test", "bob@example.test", "junk").await;
    assert_eq!(reply.code, 250, "{}", reply.text());
    bob.ok("DELETE Junk").await;
    let words = ["Messages of bob@example.test were expunged by a client in Junk"];
    world.ends("deleted", "expunged by a client for bob@example.test", &words).await;
    world.host.stop().await;
}
