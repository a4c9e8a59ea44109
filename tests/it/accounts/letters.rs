//! Letters that wait to be sent, in the table.

use postrider::foundations::address::Address;
use postrider::foundations::clock::Timestamp;
use postrider::storage::database::Database;
use postrider::storage::personal::{Held, Personal};

super::engines::on_every_engine!(they_wait_until_they_are_due);

async fn they_wait_until_they_are_due(database: Database) {
    let personal = Personal::new(database);
    let (ann, bob): (Address, Address) = ("Ann@example.test".parse().unwrap(), "bob@example.test".parse().unwrap());
    let at = Timestamp::from_unix_seconds;
    let due = async |seconds| {
        let due = personal.due_before(at(seconds), at(seconds + 3_600), 10).await.unwrap();
        due.into_iter().map(|held| (held.account, held.wish, held.content)).collect::<Vec<_>>()
    };
    let row = |account: &Address, wish: &str, content: &str| (account.key(), wish.to_owned(), content.to_owned());
    personal.hold(&ann, "one", "{\"text\":\"grün 📮\"}", at(20)).await.unwrap();
    personal.hold(&bob, "one", "b", at(10)).await.unwrap();
    assert_eq!(due(10).await, []);
    assert_eq!(due(11).await, [row(&bob, "one", "b")]);
    assert_eq!(due(21).await, [row(&bob, "one", "b"), row(&ann, "one", "{\"text\":\"grün 📮\"}")]);
    // Asked for again, or put off.
    personal.hold(&ann, "one", "a", at(30)).await.unwrap();
    let all = personal.due_before(at(99), at(3_699), 1).await.unwrap();
    assert_eq!(
        all,
        [Held { account: bob.key(), wish: "one".into(), content: "b".into(), due: at(10) }],
        "the first first"
    );
    assert!(personal.is_held(&ann, "one").await.unwrap() && !personal.is_held(&ann, "two").await.unwrap());
    assert_eq!(personal.held(&ann).await.unwrap(), 1);
    assert!(personal.let_go(&bob, "one").await.unwrap());
    assert!(!personal.let_go(&bob, "one").await.unwrap(), "only once");
    assert_eq!(due(99).await, [row(&ann, "one", "a")]);
    // The clock was ahead by a day.
    personal.hold(&ann, "one", "a", at(86_400)).await.unwrap();
    assert_eq!(due(86_400 - 3_601).await, [row(&ann, "one", "a")]);
    assert_eq!(due(86_400 - 3_600).await, []);
}
