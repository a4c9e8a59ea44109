//! Old messages leave the folders for trash and junk, if that is wanted.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use postrider::foundations::event::EventKind;
use postrider::foundations::settings::{Live, Span};
use postrider::foundations::tasks::Tasks;
use postrider::services::tidying::{Tidying, TidyingParts};
use postrider::storage::journal::Query;
use postrider::storage::mailbox::MailboxSettings;

use crate::harness::{Host, Imap};

const ANN: &str = "ann@example.test";

/// Makes a round with this setting, and returns the number of removed messages.
async fn sweep(host: &Host, keep_trash: Option<Span>) -> usize {
    let parts = host.parts();
    let tidying = Tidying::new(TidyingParts {
        settings: Live::new(MailboxSettings { keep_trash, ..MailboxSettings::default() }),
        directory: parts.directory.clone(),
        mailboxes: parts.mailboxes.clone().unwrap(),
        journal: parts.journal.clone(),
        clock: Arc::clone(&parts.clock),
    });
    tidying.sweep(&Tasks::new()).await.unwrap()
}

/// Puts a message into a folder that came into it in 2020, as its file's name says.
fn put_old(host: &Host, folder: &str, name: &str) {
    let directory = host.mail_root().join("example.test/ann").join(folder).join("cur");
    fs::write(directory.join(format!("1600000000.M1P1.{name}:2,S")), "Subject: old\n\nold\n").unwrap();
}

async fn holds(imap: &mut Imap, folder: &str, messages: usize) {
    let told = imap.ok(&format!("STATUS {folder} (MESSAGES)")).await.untagged.concat();
    assert!(told.contains(&format!("MESSAGES {messages})")), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn trash_is_kept_for_as_long_as_is_set() {
    let host = Host::start().user(ANN).await;
    let mut imap = host.imap(ANN).await;
    for (folder, directory) in [("Trash", ".Trash"), ("Junk", ".Junk"), ("INBOX", "")] {
        holds(&mut imap, folder, 0).await;
        put_old(&host, directory, "old");
        holds(&mut imap, folder, 1).await;
        let appended = imap.append(folder, "", "Subject: new\r\n\r\nnew\r\n").await;
        assert!(appended.is_ok(), "{}", appended.tagged);
        holds(&mut imap, folder, 2).await;
    }
    let mut open = host.imap(ANN).await;
    open.ok("SELECT Trash").await;
    let month = Some(Span::days(30));
    for (keep, gone, left) in [(None, 0, 2), (Some(Span::days(0)), 0, 2), (month, 1, 1), (month, 0, 1)] {
        assert_eq!(sweep(&host, keep).await, gone, "{keep:?}");
        holds(&mut imap, "Trash", left).await;
    }
    // Those who have the folder open are told.
    assert_eq!(open.ok("NOOP").await.with("EXPUNGE").count(), 1);
    holds(&mut imap, "Junk", 2).await;
    holds(&mut imap, "INBOX", 2).await;
    // What has just come stays, however old it is: put back under its old name, as from a backup, and moved here.
    put_old(&host, ".Trash", "restored");
    holds(&mut imap, "Trash", 2).await;
    imap.ok("SELECT INBOX").await;
    imap.ok("MOVE 1 Trash").await;
    holds(&mut imap, "Trash", 3).await;
    assert_eq!(sweep(&host, month).await, 0);
    holds(&mut imap, "Trash", 3).await;
    let told = host.events(&Query { kinds: vec![EventKind::Expunged], ..Query::default() }).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].details["by"], "age");
    assert_eq!(told[0].details["folder"], "Trash");

    // A clock that is suddenly far ahead may be wrong.
    host.clock().advance(Duration::from_hours(40 * 24));
    assert_eq!(sweep(&host, month).await, 0);
    holds(&mut host.imap(ANN).await, "Trash", 3).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_without_mail_get_no_directory() {
    let host = Host::start().user(ANN).await;
    let home = host.mail_root().join("example.test/ann");
    assert!(!home.exists());
    assert_eq!(sweep(&host, Some(Span::days(30))).await, 0);
    assert!(!home.exists());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn archived_accounts_keep_everything() {
    let host = Host::start().user(ANN).await;
    let mut imap = host.imap(ANN).await;
    holds(&mut imap, "Trash", 0).await;
    put_old(&host, ".Trash", "old");
    holds(&mut imap, "Trash", 1).await;
    let mut edit = host.parts().directory.edit().await.unwrap();
    edit.archive_user(&ANN.parse().unwrap()).await.unwrap();
    edit.commit().await.unwrap();
    assert_eq!(sweep(&host, Some(Span::days(30))).await, 0);
    host.stop().await;
}
