//! Messages that scripts send: redirected mail, replies, notifications; and refusals.

use std::time::Duration;

use postrider::config::Protocol;
use postrider::foundations::event::EventKind;
use postrider::foundations::settings::ByteSize;
use postrider::storage::journal::Query;

use super::{activate, letter};
use crate::harness::{Host, Peer, Reply, Smtp, until};

const ANN: &str = "ann@example.test";
const BOB: &str = "bob@example.test";
const EVE: &str = "eve@elsewhere.test";
/// An alias that leads to Ann.
const SALES: &str = "sales@example.test";
/// One that leads to Ann and Bob.
const TEAM: &str = "team@example.test";
const CARL: &str = "carl@example.test";
/// One that leads to all three.
const ALL: &str = "all@example.test";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Only messages from this address are mail of `elsewhere.test`.
const ZONE: &str = "elsewhere.test MX 10 mx.elsewhere.test\nmx.elsewhere.test A 192.0.2.25\ngone.test MX 0 .\n\
    elsewhere.test TXT v=spf1 ip4:198.51.100.7 -all\n\
    198.51.100.7 PTR out.elsewhere.test\nout.elsewhere.test A 198.51.100.7\nneutral.test MX 10 mx.elsewhere.test";

struct World {
    host: Host,
    peer: Peer,
}

impl World {
    async fn new(more: &str) -> Self {
        // Clients connect from an Internet address, through a load balancer.
        let settings = format!(
            "[spam.rules]\nbuiltin = false\n[spam.classifier]\nenabled = false\n{more}\n\
             [[listener]]\nprotocol = \"smtp\"\nbind = [\"127.0.0.1:0\"]\nproxies = [\"127.0.0.1/32\"]\n\
             [[listener]]\nprotocol = \"lmtp\"\nbind = [\"127.0.0.1:0\"]\n\
             [[listener]]\nprotocol = \"imaps\"\nbind = [\"127.0.0.1:0\"]\n"
        );
        let host = Host::start().settings(&settings).user(ANN).user(BOB).alias(SALES, ANN);
        let host = host.alias(TEAM, ANN).alias(TEAM, BOB).user(CARL);
        let host = host.alias(ALL, ANN).alias(ALL, BOB).alias(ALL, CARL).dns(ZONE).await;
        let peer = Peer::start().await;
        host.detour().lead("192.0.2.25".parse().unwrap(), peer.address);
        Self { host, peer }
    }

    async fn send(&self, from: &str, to: &[&str], message: &str) -> Reply {
        let mut talk = self.host.plain(Protocol::Smtp).await;
        talk.send("PROXY TCP4 198.51.100.7 192.0.2.1 40000 25\r\n").await;
        Smtp::hello(talk, "EHLO peer.example").await.deliver(from, to, message).await
    }

    async fn taken(&self, from: &str, to: &[&str], message: &str) {
        let reply = self.send(from, to, message).await;
        assert_eq!(reply.code, 250, "{}", reply.text());
    }

    /// How many messages a user's inbox holds.
    async fn inbox(&self, user: &str) -> u32 {
        self.host.imap(user).await.ok("EXAMINE INBOX").await.number("EXISTS").unwrap()
    }

    /// Waits until a user's inbox holds this many.
    async fn inbox_gets(&self, user: &str, count: u32) {
        let wait = async {
            while self.inbox(user).await != count {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap_or_else(|_| panic!("{user} has not {count}"));
    }

    /// The reasons of script actions of a kind.
    async fn reasons(&self, action: &str) -> Vec<String> {
        let query = Query { kinds: vec![EventKind::SieveAction], ..Query::default() };
        let events = self.host.events(&query).await.into_iter().filter(|event| event.details["action"] == action);
        let reason = |event: postrider::foundations::event::Event| {
            event.details.get("reason").and_then(|reason| reason.as_str()).unwrap_or_default().to_owned()
        };
        events.map(reason).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_passed_on_once_under_a_sender_of_ours() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "a secret of more than sixteen octets\n").unwrap();
    let world = World::new(&format!("[routing.srs]\nsecret_file = \"{}\"\n", secret.path().display())).await;
    activate(
        &world.host,
        ANN,
        &format!(
            "require \"copy\";\nif header :is \"subject\" \"both\" {{ redirect :copy \"{EVE}\"; }} else {{ redirect \"{EVE}\"; }}\n"
        ),
    );
    let first = letter("one", "first");
    world.taken("joe@far.test", &[ANN], &first).await;
    let got = world.peer.wait_for(1).await;
    assert!(
        got[0].from.to_lowercase().starts_with("srs0") && got[0].from.ends_with("@mail.example.test"),
        "{}",
        got[0].from
    );
    assert_eq!(got[0].to, [EVE]);
    assert!(
        got[0].content.contains("Subject: first") && !got[0].content.contains("Return-Path:"),
        "{}",
        got[0].content
    );
    // The same again, as after a connection that was lost before the answer came.
    world.taken("joe@far.test", &[ANN], &first).await;
    world.taken("joe@far.test", &[ANN], &letter("two", "both")).await;
    let got = world.peer.wait_for(2).await;
    assert!(got.len() == 2 && got[1].content.contains("Subject: both"));
    assert_eq!(world.inbox(ANN).await, 1);
    assert_eq!(world.reasons("redirect").await, ["", "passed on before", ""]);
    // Nothing is left of what has been passed on before.
    let discarded = Query { kinds: vec![EventKind::Discarded], ..Query::default() };
    assert_eq!(world.host.events(&discarded).await.len(), 1);
    // Another message from a sender who gives all messages the same Message-ID.
    world.taken("joe@far.test", &[ANN], &letter("one", "another")).await;
    let got = world.peer.wait_for(3).await;
    assert!(got[2].content.contains("Subject: another"), "{}", got[2].content);
    world.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_mailbox_is_full_a_message_is_passed_on_once() {
    let world = World::new("").await;
    let mut edit = world.host.parts().directory.edit().await.unwrap();
    edit.set_quota(&ANN.parse().unwrap(), Some(ByteSize::mib(1))).await.unwrap();
    edit.commit().await.unwrap();
    activate(&world.host, ANN, &format!("require \"copy\";\nredirect :copy \"{EVE}\";\nkeep;\n"));
    let filling = |kibibytes: usize| format!("{}\r\n", "x".repeat(62)).repeat(kibibytes * 16);
    let mut imap = world.host.imap(ANN).await;
    assert!(imap.append("INBOX", "", &format!("Subject: filler\r\n\r\n{}", filling(900))).await.is_ok());
    let message = format!("{}{}", letter("full", "full"), filling(200));
    let attempt = async || world.host.lmtp().await.deliver("joe@far.test", &[ANN], &message).await;
    for _ in 0..7 {
        let reply = attempt().await;
        assert!(reply.text().starts_with("452 4.2.2"), "{}", reply.text());
        world.host.clock().advance(DAY / 6);
    }
    let mut imap = world.host.imap(ANN).await;
    imap.ok("SELECT INBOX").await;
    imap.ok("STORE 1 +FLAGS (\\Deleted)").await;
    imap.ok("EXPUNGE").await;
    let reply = attempt().await;
    assert_eq!((reply.code, world.inbox(ANN).await), (250, 1), "{}", reply.text());
    let reasons = world.reasons("redirect").await;
    assert_eq!(reasons.iter().filter(|reason| reason.is_empty()).count(), 1, "{reasons:?}");
    assert_eq!(world.peer.wait_for(1).await.len(), 1);
    world.host.stop().await;
}

/// The sender was told of a mail loop, once for each copy.
#[tokio::test(flavor = "multi_thread")]
async fn mail_that_is_passed_on_in_a_circle_is_kept_where_it_ends() {
    let world = World::new("").await;
    // Which of them would hide it.
    let hide = "require \"editheader\"; deleteheader \"Delivered-To\"; deleteheader \"Message-ID\";";
    activate(&world.host, ANN, &format!("{hide} redirect \"{BOB}\"; redirect \"bob+again@example.test\";"));
    activate(&world.host, BOB, &format!("redirect \"{ANN}\"; redirect \"ann+again@example.test\";"));
    world.taken(EVE, &[ANN], &letter("round", "and round")).await;
    world.inbox_gets(BOB, 2).await;
    assert_eq!(world.inbox(ANN).await, 0);
    // Ann has passed it on before it comes to others by an alias of hers.
    activate(&world.host, ANN, &format!("redirect \"{CARL}\";"));
    activate(&world.host, CARL, &format!("redirect \"{TEAM}\";"));
    activate(&world.host, BOB, "keep;");
    world.taken(EVE, &[ANN], &letter("alias", "alias")).await;
    world.inbox_gets(BOB, 3).await;
    assert_eq!((world.inbox(ANN).await, world.inbox(CARL).await), (0, 0));
    assert!(world.peer.messages().is_empty(), "nobody is told of a loop");
    world.host.stop().await;
}

/// RFC 3461 §4.1. Others learn to whom they have written.
#[tokio::test(flavor = "multi_thread")]
async fn who_wants_no_notifications_gets_none_of_what_is_passed_on() {
    let world = World::new("").await;
    activate(&world.host, ANN, "redirect \"ann@gone.test\";");
    let mut talk = world.host.plain(Protocol::Smtp).await;
    talk.send("PROXY TCP4 198.51.100.7 192.0.2.1 40000 25\r\n").await;
    let mut smtp = Smtp::hello(talk, "EHLO peer.example").await;
    for command in [format!("MAIL FROM:<{EVE}>"), format!("RCPT TO:<{ANN}> NOTIFY=NEVER"), "DATA".to_owned()] {
        let reply = smtp.command(&command).await;
        assert!(reply.code < 400, "{command}: {}", reply.text());
    }
    smtp.content(&letter("never", "never")).await;
    assert_eq!(smtp.reply().await.code, 250);
    world.taken(EVE, &[ANN], &letter("failing", "failing")).await;
    let got = world.peer.wait_for(1).await;
    for told in ["In-Reply-To: <failing@sieve.test>", "you wrote to ann@example.test"] {
        assert!(got[0].content.contains(told), "{told}: {}", got[0].content);
    }
    assert_eq!(world.peer.messages().len(), 1);
    world.host.stop().await;
}

/// RFC 5183 §4.1.
#[tokio::test(flavor = "multi_thread")]
async fn the_client_is_a_part_of_the_environment() {
    let world = World::new("").await;
    activate(
        &world.host,
        ANN,
        "require \"environment\";\n\
         if not allof(environment \"remote-ip\" \"198.51.100.7\", environment \"remote-host\" \"out.elsewhere.test\") { discard; }",
    );
    world.taken(EVE, &[ANN], &letter("client", "client")).await;
    assert_eq!(world.inbox(ANN).await, 1);
    world.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_nobodys_keeps_the_message() {
    let world = World::new("").await;
    activate(&world.host, ANN, "redirect \"nobody@example.test\";");
    world.taken(EVE, &[ANN], &letter("lost", "lost")).await;
    assert_eq!(world.inbox(ANN).await, 1);
    world.host.stop().await;
}

/// It came back to her, and was refused as a mail loop.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_passed_on_to_another_address_of_the_owner_is_kept() {
    let world = World::new("").await;
    activate(&world.host, ANN, &format!("redirect \"{SALES}\";"));
    world.taken(EVE, &[ANN], &letter("back", "back")).await;
    assert_eq!((world.inbox(ANN).await, world.reasons("redirect").await.len()), (1, 0));
    world.host.stop().await;
}

/// Her own copy came back to her, and the sender was told of a mail loop.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_passed_on_to_an_alias_of_the_owner_and_others_reaches_each_once() {
    let world = World::new("").await;
    for (name, filing, inbox, filed) in [
        ("a", "", 1, 0),
        ("b", "keep;", 2, 0),
        ("c", "require [\"fileinto\", \"mailbox\"]; fileinto :create \"Filed\";", 2, 1),
    ] {
        activate(&world.host, ANN, &format!("{filing} redirect \"{TEAM}\";"));
        world.taken(EVE, &[ANN], &letter(name, name)).await;
        let mut imap = world.host.imap(ANN).await;
        let status = imap.command("STATUS Filed (MESSAGES)").await.untagged.concat();
        assert_eq!(
            (world.inbox(ANN).await, status.contains(&format!("MESSAGES {filed}"))),
            (inbox, filed > 0),
            "{name}"
        );
    }
    world.inbox_gets(BOB, 3).await;
    assert!(world.peer.messages().is_empty(), "nobody is told of a loop");
    world.host.stop().await;
}

/// Each one's copy came back to the other, and the sender was told of a mail loop.
#[tokio::test(flavor = "multi_thread")]
async fn what_several_pass_on_to_an_alias_of_theirs_reaches_each() {
    let world = World::new("").await;
    for (count, alias, redirects, dropped) in [(1, TEAM, 1, 1), (2, ALL, 2, 0)] {
        let before = world.reasons("redirect").await;
        for user in [ANN, BOB] {
            activate(&world.host, user, &format!("redirect \"{alias}\";"));
        }
        let name = format!("to{count}");
        world.taken(EVE, &[ANN], &letter(&name, &name)).await;
        world.inbox_gets(BOB, count).await;
        assert_eq!(world.inbox(ANN).await, count);
        // Of two only the first has anybody to pass it on to.
        let reasons = world.reasons("redirect").await;
        let more = |is_wanted: fn(&&String) -> bool| {
            reasons.iter().filter(is_wanted).count() - before.iter().filter(is_wanted).count()
        };
        let is_dropped = |reason: &&String| reason.starts_with("not done: all others");
        assert_eq!((more(|reason| reason.is_empty()), more(is_dropped)), (redirects, dropped), "{alias}");
    }
    // From each of the two, who know nothing of each other's.
    world.inbox_gets(CARL, 2).await;
    assert!(world.peer.messages().is_empty(), "nobody is told of a loop");
    world.host.stop().await;
}

/// He had a second copy in the inbox, as if the alias led to nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn who_files_what_several_pass_on_to_an_alias_of_theirs_has_it_once() {
    let world = World::new("").await;
    activate(&world.host, ANN, &format!("redirect \"{TEAM}\";"));
    activate(
        &world.host,
        BOB,
        &format!("require [\"fileinto\", \"mailbox\"]; redirect \"{TEAM}\"; fileinto :create \"Filed\";"),
    );
    world.taken(EVE, &[ANN], &letter("filed", "filed")).await;
    until("Bob has filed it", async || {
        let status = world.host.imap(BOB).await.command("STATUS Filed (MESSAGES)").await.untagged.concat();
        status.contains("MESSAGES 1")
    })
    .await;
    assert_eq!((world.inbox(ANN).await, world.inbox(BOB).await), (1, 0));
    world.host.stop().await;
}

/// A field that anybody may have written kept it from Bob, whose mailbox would have taken it.
#[tokio::test(flavor = "multi_thread")]
async fn where_circles_are_ignored_an_alias_of_the_owner_and_others_reaches_whom_the_message_names() {
    let world = World::new("[delivery]\ncircles = \"ignore\"\n").await;
    activate(&world.host, ANN, &format!("redirect \"{TEAM}\";"));
    world.taken(EVE, &[ANN], &format!("Delivered-To: {BOB}\r\n{}", letter("named", "named"))).await;
    world.inbox_gets(BOB, 1).await;
    assert_eq!(world.inbox(ANN).await, 1);
    world.host.stop().await;
}

/// The second time it came to Ann, nobody got it.
#[tokio::test(flavor = "multi_thread")]
async fn where_circles_are_ignored_mail_that_runs_in_one_is_stored() {
    for hide in ["", "require \"editheader\"; deleteheader \"Message-ID\";"] {
        let world = World::new("[delivery]\ncircles = \"ignore\"\n").await;
        activate(&world.host, ANN, &format!("{hide} redirect \"{BOB}\";"));
        activate(&world.host, BOB, &format!("redirect \"{ANN}\";"));
        world.taken(EVE, &[ANN], &letter("round", "and round")).await;
        world.inbox_gets(ANN, 1).await;
        assert_eq!(world.inbox(BOB).await, 0);
        world.host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sender_is_answered_once_in_a_while() {
    let world = World::new("").await;
    activate(&world.host, ANN, "require \"vacation\";\nvacation :days 7 :subject \"Away\" \"Back on Monday\";\n");
    world.taken(EVE, &[ANN], &letter("one", "first")).await;
    let got = world.peer.wait_for(1).await;
    assert!(got[0].from.is_empty(), "RFC 3834 §3.3: {}", got[0].from);
    assert_eq!(got[0].to, [EVE]);
    for field in ["Auto-Submitted: auto-replied", "Subject: Away", "In-Reply-To: <one@sieve.test>", "Back on Monday"] {
        assert!(got[0].content.contains(field), "{field}: {}", got[0].content);
    }
    // Not to senders already answered, nobody who must not be answered, and nobody whose mail was not for her.
    world.taken(EVE, &[ANN], &letter("two", "second")).await;
    world.taken("", &[ANN], &letter("bounce", "bounce")).await;
    let from = |extra: &str| format!("{extra}\r\n{}", letter("x", "x"));
    for (n, extra) in
        ["List-Id: <l.elsewhere.test>", "Auto-Submitted: auto-generated", "Precedence: bulk"].iter().enumerate()
    {
        world.taken(&format!("other{n}@elsewhere.test"), &[ANN], &from(extra)).await;
    }
    // Nor the owner, who writes from another address of hers.
    let reply = world.host.lmtp().await.deliver(SALES, &[ANN], &letter("own", "own")).await;
    assert_eq!(reply.code, 250, "{}", reply.text());
    let blind = letter("blind", "blind").replace("To: ann@example.test", "To: undisclosed-recipients:;");
    world.taken("blind@elsewhere.test", &[ANN], &blind).await;
    assert_eq!(world.inbox(ANN).await, 8);
    assert_eq!(world.reasons("vacation").await, ["", "not done: this sender has been answered"]);
    let World { host, peer } = world;
    let world = World { host: host.restart().await, peer };
    world.taken(EVE, &[ANN], &letter("three", "third")).await;
    world.host.clock().advance(DAY * 8);
    world.taken(EVE, &[ANN], &letter("four", "fourth")).await;
    let got = world.peer.wait_for(2).await;
    assert_eq!(got.len(), 2);
    assert!(got[1].content.contains("In-Reply-To: <four@sieve.test>"), "{}", got[1].content);
    world.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_go_by_mail() {
    let world = World::new("").await;
    activate(
        &world.host,
        ANN,
        "require \"enotify\";\nnotify :message \"News for you\" \"mailto:pager@elsewhere.test\";\n",
    );
    world.taken(EVE, &[ANN], &letter("one", "first")).await;
    let got = world.peer.wait_for(1).await;
    assert_eq!((got[0].from.as_str(), got[0].to.as_slice()), (ANN, ["pager@elsewhere.test".to_owned()].as_slice()));
    assert!(
        got[0].content.contains("News for you") && got[0].content.contains("Auto-Submitted: auto-notified"),
        "{}",
        got[0].content
    );
    assert_eq!(world.inbox(ANN).await, 1);
    world.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_made_in_the_dialogue_and_never_sent_to_forged_senders() {
    let world = World::new("").await;
    activate(
        &world.host,
        ANN,
        "require [\"reject\", \"ereject\"];\nif header :is \"subject\" \"e\" { ereject \"Go\r\naway\"; }\n\
         elsif header :is \"subject\" \"u\" { reject \"Danke für nichts\"; } else { reject \"No thanks\"; }\n",
    );
    for (name, subject, reason) in [("a", "r", "550 5.7.1 No thanks"), ("b", "e", "550 5.7.1 Go away")] {
        let reply = world.send("joe@neutral.test", &[ANN], &letter(name, subject)).await;
        assert_eq!(reply.text(), reason);
    }
    // Bob has it, so the sender could only be written to; nobody knows whether it is the real one.
    world.taken("joe@neutral.test", &[ANN, BOB], &letter("c", "r")).await;
    assert_eq!((world.inbox(ANN).await, world.inbox(BOB).await), (1, 1));
    assert!(world.peer.messages().is_empty());
    // This one is.
    world.taken(EVE, &[ANN, BOB], &letter("d", "r")).await;
    let got = world.peer.wait_for(1).await;
    assert!(got[0].from.is_empty() && got[0].to == [EVE] && got[0].content.contains("No thanks"), "{}", got[0].content);
    world.inbox_gets(BOB, 2).await;
    assert_eq!(world.inbox(ANN).await, 1);
    // A reply can say only what is ASCII. Whoever is the real sender is written to, once.
    let reply = world.send("joe@neutral.test", &[ANN], &letter("f", "u")).await;
    assert_eq!(reply.text(), "550 5.7.1 The recipient does not want this message");
    for _ in 0..2 {
        world.taken(EVE, &[ANN], &letter("g", "u")).await;
    }
    let got = world.peer.wait_for(2).await.remove(1);
    assert!(got.from.is_empty() && got.to == [EVE], "{got:?}");
    for part in ["report-type=disposition-notification", "Danke f", "Original-Message-ID: <g@sieve.test>"] {
        assert!(got.content.contains(part), "{part}: {}", got.content);
    }
    assert_eq!((world.inbox(ANN).await, world.peer.messages().len()), (1, 2));
    world.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_script_writes_in_the_name_of_another() {
    let world = World::new("").await;
    let script = format!(
        "require [\"enotify\", \"vacation\", \"fcc\", \"mailbox\"];\n\
         notify :from \"Boss <{BOB}>\" :fcc \"Copies\" :create \"mailto:{EVE}?subject=pay\";\n\
         vacation :from \"Boss <{BOB}>\" :subject \"pay\" \"now\";\n"
    );
    activate(&world.host, ANN, &script);
    world.taken(EVE, &[ANN], &letter("one", "first")).await;
    for sent in world.peer.wait_for(2).await {
        let own = sent.content.lines().any(|line| line == "From: ann@example.test");
        assert!(own && !sent.content.contains(BOB), "{}", sent.content);
    }
    // The copy is what was sent.
    let mut imap = world.host.imap(ANN).await;
    imap.ok("EXAMINE Copies").await;
    let copy = imap.ok("FETCH 1 (BODY.PEEK[HEADER])").await.untagged.concat();
    assert!(copy.contains("From: ann@example.test") && !copy.contains(BOB), "{copy}");
    // Nor does a redirected message become another's, or one that this server has found to be good.
    let script = format!(
        "require \"editheader\";\n\
         deleteheader \"From\";\naddheader \"From\" \"Boss <{BOB}>\";\n\
         addheader \"Authentication-Results\" \"mail.example.test; dmarc=pass\";\n\
         redirect \"{EVE}\";\n"
    );
    activate(&world.host, ANN, &script);
    world.taken("joe@far.test", &[ANN], &letter("two", "second")).await;
    let sent = world.peer.wait_for(3).await.remove(2);
    assert!(sent.content.lines().any(|line| line == "From: eve@elsewhere.test"), "{}", sent.content);
    assert!(!sent.content.contains(BOB) && !sent.content.contains("dmarc=pass"), "{}", sent.content);
    world.host.stop().await;
}
