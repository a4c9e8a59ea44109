//! What is remembered about senders, on each engine, and in a whole server.

use std::sync::Arc;
use std::time::Duration;

use postrider::services::filter::reputation::{Book, Evidence, Party, PartyKind, ReputationSettings};
use postrider::storage::database::Database;

use crate::accounts::engines::on_every_engine;
use crate::harness::{Host, TestClock};

on_every_engine!(is_shared_by_adding, is_bounded);

fn party(name: &str) -> Party {
    Party::new(PartyKind::Author, name).unwrap()
}

fn close(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-6
}

async fn is_shared_by_adding(database: Database) {
    let clock = TestClock::new();
    let book = || Book::new(database.clone(), Arc::new(clock.clone()));
    let (one, other) = (book(), book());
    let settings = ReputationSettings::default();
    let owners = [String::new(), "bob@example.test".to_owned()];
    let (ann, eve) = (party("ann@far.test"), party("eve@far.test"));
    one.note("", &[ann.clone(), eve.clone()], Evidence::WANTED);
    // Observations count at once in the process that made them.
    let found = one.read(&settings, &owners, &[ann.clone(), eve.clone()]).await.unwrap();
    assert!(close(found.get("", &ann).told_wanted, 1.0));
    one.flush(&settings).await.unwrap();
    other.note("", std::slice::from_ref(&ann), Evidence::WANTED);
    other.note("bob@example.test", std::slice::from_ref(&ann), Evidence::SEEN_UNWANTED);
    other.flush(&settings).await.unwrap();
    for book in [&other, &book()] {
        let found = book.read(&settings, &owners, &[ann.clone(), eve.clone()]).await.unwrap();
        assert!(close(found.get("", &ann).told_wanted, 2.0), "{found:?}");
        assert!(close(found.get("", &eve).told_wanted, 1.0));
        assert!(close(found.get("bob@example.test", &ann).seen_unwanted, 1.0));
        assert!(close(found.get("bob@example.test", &eve).told_wanted, 0.0));
    }
    // The first one has already looked, and looks again after a while. Old observations then count half.
    clock.advance(Duration::from_secs(30 * 86_400));
    let found = one.read(&settings, &owners, std::slice::from_ref(&ann)).await.unwrap();
    assert!(close(found.get("", &ann).told_wanted, 1.0), "{found:?}");
    // No count falls below zero.
    for _ in 0..3 {
        one.note("", std::slice::from_ref(&ann), -Evidence::WANTED);
    }
    one.flush(&settings).await.unwrap();
    one.note("", std::slice::from_ref(&ann), Evidence::WANTED);
    one.flush(&settings).await.unwrap();
    let found = book().read(&settings, &owners, std::slice::from_ref(&ann)).await.unwrap();
    assert!(close(found.get("", &ann).told_wanted, 1.0), "{found:?}");
}

async fn is_bounded(database: Database) {
    let clock = TestClock::new();
    let book = Book::new(database.clone(), Arc::new(clock.clone()));
    let settings = ReputationSettings { rows: 100, in_memory: 50, ..ReputationSettings::default() };
    for n in 0..300 {
        let who = party(&format!("{n}@far.test"));
        book.note("", std::slice::from_ref(&who), Evidence::SEEN_WANTED);
        if n % 10 == 9 {
            clock.advance(Duration::from_secs(1));
            book.flush(&settings).await.unwrap();
        }
        book.read(&settings, &[String::new()], &[who]).await.unwrap();
    }
    clock.advance(Duration::from_secs(3_601));
    book.flush(&settings).await.unwrap();
    let count = async || {
        database.fetch_optional("SELECT COUNT(*) FROM sender_reputation", &[]).await.unwrap().unwrap().int(0).unwrap()
    };
    let left = count().await;
    assert!((80..=100).contains(&left), "{left}");
    let last = book.read(&settings, &[String::new()], &[party("299@far.test")]).await.unwrap();
    assert!(last.get("", &party("299@far.test")).seen_wanted > 0.9);
    clock.advance(Duration::from_secs(401 * 86_400));
    book.flush(&settings).await.unwrap();
    assert_eq!(count().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_known_as_one() {
    let host = Host::start().user("ann@example.test").await;
    let message = "From: ann@example.test\r\nTo: bob@far.test\r\nSubject: x\r\n\r\nx\r\n";
    let mut smtp = host.submission("ann@example.test").await;
    assert_eq!(smtp.deliver("ann@example.test", &["bob@far.test"], message).await.code, 250);
    let answer = "From: bob@far.test\r\nTo: ann@example.test\r\nSubject: Re: x\r\nDate: Tue, 24 Nov 2026 04:00:00 +0000\r\n\
                  Message-ID: <1@far.test>\r\n\r\nyes\r\n";
    assert_eq!(host.smtp().await.deliver("bob@far.test", &["ann@example.test"], answer).await.code, 250);
    let mut imap = host.imap("ann@example.test").await;
    imap.ok("SELECT INBOX").await;
    let lines = format!("{:?}", imap.ok("FETCH 1:* BODY.PEEK[HEADER.FIELDS (X-Spam-Status)]").await);
    // Bob's host cannot be reached: the attempt may have been reported before. From this machine nothing shows that it
    // is he.
    assert!(lines.contains("KNOWN_CORRESPONDENT=-0.50"), "{lines}");
    host.stop().await;
}
