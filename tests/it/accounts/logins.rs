//! Logins of browsers, in the table.

use std::time::Duration;

use postrider::foundations::clock::Timestamp;
use postrider::foundations::ids::SessionId;
use postrider::storage::database::Database;
use postrider::storage::logins::{BrowserLogin, BrowserLogins, Ending, Limits, Page};

super::engines::on_every_engine!(they_outlive_the_process, they_are_bounded, they_end);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds)
}

fn login(account: &str, seconds: i64) -> BrowserLogin {
    BrowserLogin {
        id: SessionId::generate(at(seconds)),
        account: account.to_owned(),
        password: "a".repeat(64),
        two_factor_since: None,
        begun: at(seconds),
        used: at(seconds),
        client: "192.0.2.1".to_owned(),
        browser: "Mozilla/5.0 (ü)".to_owned(),
    }
}

const LIMITS: Limits = Limits { idle: Duration::from_secs(10), whole: Duration::from_secs(25), per_account: 2, all: 3 };

fn key(letter: char) -> String {
    letter.to_string().repeat(64)
}

async fn they_outlive_the_process(database: Database) {
    let (ann, page) = (login("ann@example.test", 5), BrowserLogins::new(database.clone(), Page::Webmail));
    page.begin(&key('a'), &ann, &LIMITS).await.unwrap();
    let another = BrowserLogins::new(database.clone(), Page::Webmail);
    assert_eq!(another.find(&key('a')).await.unwrap(), Some(ann.clone()));
    assert_eq!(another.find(&key('b')).await.unwrap(), None);
    let dashboard = BrowserLogins::new(database, Page::Dashboard);
    assert_eq!(dashboard.find(&key('a')).await.unwrap(), None, "a login to one page is none to another");
    another.note_use(&key('a'), at(9)).await.unwrap();
    page.note_use(&key('a'), at(7)).await.unwrap();
    another.passed(&key('a'), Some(at(6))).await.unwrap();
    another.keep_with(&key('a'), &key('c')).await.unwrap();
    let found = page.find(&key('a')).await.unwrap().unwrap();
    let wanted = BrowserLogin { used: at(9), two_factor_since: Some(at(6)), password: key('c'), ..ann };
    assert_eq!(found, wanted, "the later use counts");
    assert!(!found.is_over(at(18), &LIMITS) && found.is_over(at(19), &LIMITS));
    let used = BrowserLogin { used: at(29), ..found };
    assert!(!used.is_over(at(29), &LIMITS) && used.is_over(at(30), &LIMITS), "not without end");
}

async fn they_are_bounded(database: Database) {
    let page = BrowserLogins::new(database.clone(), Page::Webmail);
    page.begin(&key('a'), &login("ann@example.test", 1), &LIMITS).await.unwrap();
    page.begin(&key('b'), &login("ann@example.test", 2), &LIMITS).await.unwrap();
    page.note_use(&key('a'), at(3)).await.unwrap();
    let ended = page.begin(&key('c'), &login("ann@example.test", 4), &LIMITS).await.unwrap();
    assert_eq!(ended, [key('b')]);
    let of = |found: Vec<(String, BrowserLogin)>| found.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!(of(page.of("ann@example.test").await.unwrap()), [key('c'), key('a')], "the one unused for longest ends");
    page.begin(&key('d'), &login("bob@example.test", 5), &LIMITS).await.unwrap();
    page.begin(&key('e'), &login("eve@example.test", 6), &LIMITS).await.unwrap();
    assert_eq!(of(page.of("ann@example.test").await.unwrap()), [key('c')], "of all, too");
    let dashboard = BrowserLogins::new(database, Page::Dashboard);
    dashboard.begin(&key('f'), &login("ann@example.test", 7), &LIMITS).await.unwrap();
    assert!(page.find(&key('c')).await.unwrap().is_some(), "each page has its own");
    page.begin(&key('1'), &login("bob@example.test", 14), &LIMITS).await.unwrap();
    assert!(page.find(&key('c')).await.unwrap().is_none(), "what is over goes");
    assert!(page.find(&key('d')).await.unwrap().is_some() && dashboard.find(&key('f')).await.unwrap().is_some());
}

async fn they_end(database: Database) {
    let (page, limits) = (BrowserLogins::new(database, Page::Webmail), Limits { per_account: 9, all: 99, ..LIMITS });
    let own: Vec<BrowserLogin> = (1..5).map(|n| login("ann@example.test", n)).collect();
    for (letter, login) in "abcd".chars().zip(&own) {
        page.begin(&key(letter), login, &limits).await.unwrap();
    }
    page.begin(&key('e'), &login("bob@example.test", 5), &limits).await.unwrap();
    assert_eq!(page.end("bob@example.test", Ending::One(own[0].id)).await.unwrap(), 0, "not those of others");
    assert_eq!(page.end("ann@example.test", Ending::One(own[0].id)).await.unwrap(), 1);
    assert_eq!(page.end("ann@example.test", Ending::AllBut(own[1].id)).await.unwrap(), 2);
    assert_eq!(page.of("ann@example.test").await.unwrap(), [(key('b'), own[1].clone())]);
    assert!(page.find(&key('e')).await.unwrap().is_some());
}
