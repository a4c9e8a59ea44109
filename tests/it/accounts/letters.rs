//! The table of letters waiting to be sent.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use postrider::foundations::address::Address;
use postrider::foundations::clock::{Clock as _, Timestamp};
use postrider::services::moving::rename;
use postrider::storage::database::Database;
use postrider::storage::directory::{OldAddress, Renaming};
use postrider::storage::personal::{Held, Personal};

use crate::harness::{Host, until};

super::engines::on_every_engine!(they_wait_until_they_are_due, none_that_was_taken_back_is_put_off);

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
    // Requested again, or postponed.
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
    // The clock was a day ahead.
    personal.hold(&ann, "one", "a", at(86_400)).await.unwrap();
    assert_eq!(due(86_400 - 3_601).await, [row(&ann, "one", "a")]);
    assert_eq!(due(86_400 - 3_600).await, []);
}

async fn none_that_was_taken_back_is_put_off(database: Database) {
    let personal = Personal::new(database);
    let ann: Address = "ann@example.test".parse().unwrap();
    let at = Timestamp::from_unix_seconds;
    personal.hold(&ann, "one", "a", at(10)).await.unwrap();
    // Neither another letter of the account nor one with the same id in another account is affected.
    let bob: Address = "bob@example.test".parse().unwrap();
    for (account, wish, due) in [(&ann, "two", 11), (&bob, "one", 12)] {
        personal.hold(account, wish, "b", at(due)).await.unwrap();
    }
    personal.put_off(&ann, "one", at(20)).await.unwrap();
    let held = async || {
        let held = personal.due_before(at(99), at(3_699), 10).await.unwrap();
        held.into_iter().map(|one| (one.account, one.wish, one.due)).collect::<Vec<_>>()
    };
    let row = |account: &Address, wish: &str, due| (account.key(), wish.to_owned(), at(due));
    let others = [row(&ann, "two", 11), row(&bob, "one", 12)];
    assert_eq!(held().await, [&others[..], &[row(&ann, "one", 20)]].concat());
    assert!(personal.let_go(&ann, "one").await.unwrap());
    personal.put_off(&ann, "one", at(30)).await.unwrap();
    assert_eq!(held().await, others);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_waits_is_sent_although_its_account_gets_another_address() {
    let (ann, anna) = ("ann@example.test".parse::<Address>().unwrap(), "anna@example.test".parse::<Address>().unwrap());
    let host = Host::start().user("ann@example.test").user("bob@example.test").await;
    let (parts, key) = (host.parts(), "0123456789abcdef0123");
    let due = host.clock().now() + Duration::from_secs(10);
    let letter = serde_json::json!({
        "from": { "address": "ann@example.test" }, "to": [{ "address": "bob@example.test" }],
        "subject": "Held", "text": "Words",
    });
    let sending = serde_json::json!({ "key": key, "letter": letter, "draft": null });
    let content =
        serde_json::json!({ "sending": sending, "client": null, "encrypted": true, "due": due.unix_millis() });
    let wish = digest(&SHA256, format!("{} {key}", ann.key()).as_bytes());
    let wish: String = wish.as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
    let personal = Personal::new(parts.database.clone());
    personal.hold(&ann, &wish, &content.to_string(), due).await.unwrap();
    let renaming = Renaming { from: &ann, to: &anna, old: OldAddress::Kept, tag_separator: None };
    rename(&parts.directory, parts.mailboxes.as_ref().unwrap(), &renaming, None).await.unwrap();
    host.clock().advance(Duration::from_secs(20));
    let mut bob = host.imap("bob@example.test").await;
    until("it arrives", async || bob.ok("STATUS INBOX (MESSAGES)").await.untagged.concat().contains("MESSAGES 1"))
        .await;
    until("it waits no longer", async || personal.held(&anna).await.unwrap() == 0).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_waits_is_kept_while_its_account_cannot_be_looked_up() {
    let (ann, bob): (Address, Address) = ("ann@example.test".parse().unwrap(), "bob@example.test".parse().unwrap());
    let host = Host::start().user("ann@example.test").user("bob@example.test").await;
    let database = host.parts().database.clone();
    let personal = Personal::new(database.clone());
    let limit = "UPDATE virtual_users SET quota_mb = ? WHERE email = 'ann@example.test'";
    assert_eq!(database.execute(limit, &["no number".into()]).await.unwrap(), 1);
    // Neither is a letter, so that both go as soon as somebody can look at them; Ann's is the first.
    for (account, due) in [(&ann, 10), (&bob, 11)] {
        personal.hold(account, "one", "no letter", Timestamp::from_unix_seconds(due)).await.unwrap();
    }
    until("the other one was looked at", async || personal.held(&bob).await.unwrap() == 0).await;
    assert_eq!(personal.held(&ann).await.unwrap(), 1);
    assert_eq!(database.execute(limit, &[0_i64.into()]).await.unwrap(), 1);
    until("it is looked at again", async || personal.held(&ann).await.unwrap() == 0).await;
    host.stop().await;
}
