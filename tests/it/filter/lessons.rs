//! Users train the filter with their mail clients.

use postrider::services::filter::Filter;
use postrider::services::filter::classifier::Owner;

use crate::harness::Host;

/// Waits until this many wanted and unwanted messages have been learned.
async fn learned(host: &Host, owner: &Owner, ham: u32, spam: u32) {
    // Reads the tables each time: the server's own data is cached for a minute.
    let mut found = (0, 0);
    for _ in 0..4_000 {
        let store = postrider::services::filter::classifier::Store::new(
            host.parts().database.clone(),
            std::sync::Arc::new(host.clock().clone()),
            postrider::services::filter::classifier::Limits {
                site: 10_000,
                account: 10_000,
                accounts: 4,
                fresh: std::time::Duration::ZERO,
            },
        );
        let table = store.table(owner).await.unwrap();
        found = (table.ham, table.spam);
        if found == (ham, spam) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("{owner:?}: {found:?} instead of {:?}", (ham, spam));
}

/// One move after the other, faster than they are learned.
#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_moves_teaches() {
    const MOVES: u32 = 60;
    let host = Host::start().user("ann@example.test").await;
    let account = "ann@example.test".parse().unwrap();
    let user = host.parts().mailboxes.as_ref().unwrap().user(&account).await.unwrap();
    let junk = user.special(postrider::storage::mailbox::SpecialUse::Junk).unwrap();
    let mut lmtp = host.lmtp().await;
    for n in 0..MOVES {
        let message = format!("From: eve@x.test\r\nMessage-ID: <{n}@x.test>\r\nSubject: {n}\r\n\r\nletter {n}\r\n");
        assert_eq!(lmtp.deliver("eve@x.test", &["ann@example.test"], &message).await.code, 250);
    }
    let mut imap = host.imap("ann@example.test").await;
    imap.command(&format!("CREATE \"{junk}\"")).await;
    imap.ok("SELECT INBOX").await;
    for _ in 0..MOVES {
        imap.ok(&format!("MOVE 1 \"{junk}\"")).await;
    }
    for owner in [&Filter::owner(&account), &Owner::Site] {
        learned(&host, owner, 0, MOVES).await;
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moving_messages_teaches() {
    let host = Host::start().user("ann@example.test").await;
    let account = "ann@example.test".parse().unwrap();
    for n in 0..4 {
        let message =
            format!("From: eve@elsewhere.test\r\nMessage-ID: <{n}@x.test>\r\nSubject: {n}\r\n\r\nletter {n}\r\n");
        assert_eq!(host.lmtp().await.deliver("eve@elsewhere.test", &["ann@example.test"], &message).await.code, 250);
    }
    let user = host.parts().mailboxes.as_ref().unwrap().user(&account).await.unwrap();
    let [junk, trash] = [postrider::storage::mailbox::SpecialUse::Junk, postrider::storage::mailbox::SpecialUse::Trash]
        .map(|special| user.special(special).unwrap());
    let mut imap = host.imap("ann@example.test").await;
    for folder in [&junk, &trash] {
        imap.command(&format!("CREATE \"{folder}\"")).await;
    }
    imap.ok("SELECT INBOX").await;
    imap.ok(&format!("MOVE 1:2 \"{junk}\"")).await;
    let (own, all) = (Filter::owner(&account), Owner::Site);
    for owner in [&own, &all] {
        learned(&host, owner, 0, 2).await;
    }
    // One of them was wanted after all; throwing a message away says nothing.
    imap.ok(&format!("SELECT \"{junk}\"")).await;
    imap.ok("MOVE 1 INBOX").await;
    for owner in [&own, &all] {
        learned(&host, owner, 1, 1).await;
    }
    imap.ok(&format!("MOVE 1 \"{trash}\"")).await;
    // Clients without MOVE copy and delete.
    imap.ok("SELECT INBOX").await;
    imap.ok(&format!("COPY 1 \"{junk}\"")).await;
    for owner in [&own, &all] {
        learned(&host, owner, 1, 2).await;
    }
    host.stop().await;
}
