//! In whose name an account may submit mail.

use base64::Engine as _;
use postrider::protocols::smtp::Mode;
use postrider::storage::directory::{Owner, Source};

use super::world::{Client, Wishes, World};
use crate::harness::user;

/// Also with a user, and an alias for Bob, whose names read as Ann's with a tag.
async fn submission() -> World {
    let world = World::new(Wishes::new(Mode::Submission)).await;
    let mut edit = world.directory.edit().await.unwrap();
    edit.add_user(&user("ann+lee@example.test")).await.unwrap();
    edit.add_alias(&Source::parse("ann+box@example.test").unwrap(), "bob@example.test", Owner::Admin).await.unwrap();
    edit.commit().await.unwrap();
    world
}

async fn logged_in(world: &World, name: &str) -> Client {
    let mut client = world.connect();
    assert!(client.reply().await.starts_with("220"));
    assert!(client.command("EHLO client.example").await.starts_with("250"));
    let secret = base64::engine::general_purpose::STANDARD.encode(format!("\0{name}@example.test\0pencil"));
    assert!(client.command(&format!("AUTH PLAIN {secret}")).await.starts_with("235"), "{name}");
    client
}

/// Account, address, and whether it may write in its name.
const CASES: &[(&str, &str, bool)] = &[
    ("ann", "ann+tag@example.test", true),
    ("ann", "Ann+Tag@EXAMPLE.test", true),
    ("bob", "ann+tag@example.test", false),
    ("bob", "ann+@example.test", false),
    ("bob", "ann+bob@example.test", false),
    ("bob", "Ann+Tag@EXAMPLE.test", false),
    ("bob", "sales+tag@example.test", true),
    ("bob", "both+tag@example.test", false),
    ("bob", "ann+box@example.test", true),
    ("ann", "ann+box@example.test", false),
    ("ann", "ann+lee@example.test", false),
    ("bob", "ann+lee@example.test", false),
    ("ann+lee", "ann+lee@example.test", true),
    ("ann+lee", "ann@example.test", false),
    ("ann+lee", "ann+tag@example.test", false),
];

const ACCOUNTS: [&str; 3] = ["ann", "bob", "ann+lee"];

fn cases_of(account: &str) -> impl Iterator<Item = (&'static str, bool)> {
    CASES.iter().filter(move |(who, ..)| *who == account).map(|(_, address, is_own)| (*address, *is_own))
}

#[tokio::test]
async fn nobody_is_the_sender_with_anothers_tag() {
    let world = submission().await;
    for account in ACCOUNTS {
        let mut client = logged_in(&world, account).await;
        for (address, is_own) in cases_of(account) {
            let reply = client.command(&format!("MAIL FROM:<{address}>")).await;
            let wanted = if is_own { "250 " } else { "553 5.7.1 " };
            assert!(reply.starts_with(wanted), "{account} as {address}: {reply}");
            assert!(client.command("RSET").await.starts_with("250"));
        }
    }
}

#[tokio::test]
async fn nobody_is_the_author_with_anothers_tag() {
    let world = submission().await;
    for account in ACCOUNTS {
        let mut client = logged_in(&world, account).await;
        for (address, is_own) in cases_of(account) {
            for from in [address.to_owned(), format!("Bob <{address}>"), format!("{account}@example.test, {address}")] {
                client.command(&format!("MAIL FROM:<{account}@example.test>")).await;
                client.command("RCPT TO:<bob@example.test>").await;
                assert!(client.command("DATA").await.starts_with("354"));
                let reply = client.command(&format!("From: {from}\r\nSubject: x\r\n\r\nx\r\n.")).await;
                let wanted = if is_own { "250 " } else { "550 5.7.1 " };
                assert!(reply.starts_with(wanted), "{account} as {from}: {reply}");
            }
        }
    }
}
