//! An upgrade and the way back: this version on what an earlier one, or a later one, has left behind.
//!
//! `tests/releases` says how what a release leaves is written down, `migrations/README.md` what a later one may change.

mod later;

use std::sync::Arc;
use std::time::Duration;

use postrider::config::Protocol;
use postrider::foundations::clock::{Clock, SystemClock};
use postrider::storage::database::{Database, Dialect, Val};
use serde_json::Value;
use tempfile::TempDir;

use super::drafts::{ask, read};
use super::scheduling;
use super::security::{JSON, page, webmail_login};
use crate::accounts::engines::Fresh;
use crate::harness::cli::run;
use crate::harness::frozen::Frozen;
use crate::harness::{Host, Imap, Peer, until};

const ANN: &str = "ann@example.test";
const BOB: &str = "bob@example.test";
const WHAT_NEVER_CHANGES: &str = "FLAGS RFC822.SIZE EMAILID";

#[tokio::test(flavor = "multi_thread")]
async fn what_earlier_releases_have_left_is_all_there() {
    for frozen in Frozen::all() {
        for dialect in Dialect::ALL {
            let Some(left) = Left::of(&frozen, dialect).await else { continue };
            let (host, peer) = left.host().await;
            folders_are_as_before(&host, &frozen, &[WHAT_NEVER_CHANGES, "MODSEQ"]).await;
            everything_works(&host, &frozen, &peer).await;
            host.stop().await;
            left.remove().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_next_release_would_leave_is_all_there() {
    let frozen = Frozen::all().pop().unwrap();
    for dialect in Dialect::ALL {
        let Some(left) = Left::of(&frozen, dialect).await else { continue };
        later::change_files(left.directory.path());
        later::change_database(&left.database).await;
        let (host, peer) = left.host().await;
        // Modification sequences may grow with a new index: clients then ask once more for the same flags.
        folders_are_as_before(&host, &frozen, &[WHAT_NEVER_CHANGES]).await;
        everything_works(&host, &frozen, &peer).await;
        later::the_draft_of_the_waiting_letter_is_flagged(&host).await;
        host.stop().await;
        later::everything_is_kept(&left.database, left.directory.path()).await;
        left.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_of_earlier_releases_can_be_restored() {
    for frozen in Frozen::all() {
        let (left, restored) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        frozen.lay_out(left.path());
        let host = Host::start().await;
        let (from, to) = (left.path().join("backup").display().to_string(), restored.path().display().to_string());
        let (told, code) = run(&host.config(), &["backup", "verify", "--destination", &from], "").await;
        assert_eq!((code, told["snapshots"].as_u64()), (0, Some(1)), "{}: {told}", frozen.name);
        let (told, code) = run(&host.config(), &["backup", "restore", "--destination", &from, "--to", &to], "").await;
        assert_eq!(code, 0, "{}: {told}", frozen.name);
        host.stop().await;
        let host = Host::start().on(restored).await;
        folders_are_as_before(&host, &frozen, &[WHAT_NEVER_CHANGES]).await;
        personal_data_is_there(&host).await;
        let (queue, _) = run(&host.config(), &["queue", "list"], "").await;
        assert!(queue.to_string().contains("far@elsewhere.test"), "{queue}");
        host.stop().await;
    }
}

/// What a release has left: its files in a directory, its rows in a database.
struct Left {
    fresh: Fresh,
    database: Database,
    directory: Arc<TempDir>,
}

impl Left {
    async fn of(frozen: &Frozen, dialect: Dialect) -> Option<Self> {
        let fresh = Fresh::create(dialect).await?;
        let database = fresh.connect().await;
        frozen.fill(&database).await;
        let directory = tempfile::tempdir().unwrap();
        frozen.lay_out(directory.path());
        // The queue's times are the only ones that must be of today: what waits was to be tried again a minute from now.
        let due = SystemClock.now() + Duration::from_secs(60);
        let end = due + Duration::from_secs(3_600);
        let sql = "UPDATE queue_recipients SET due_at = ?, expires_at = ?, warn_at = NULL";
        database.execute(sql, &[Val::from(due), Val::from(end)]).await.unwrap();
        eprintln!("{} on {dialect}", frozen.name);
        Some(Self { fresh, database, directory: Arc::new(directory) })
    }

    /// This version on it, and the server to which the queue's mail goes.
    async fn host(&self) -> (Host, Peer) {
        let start = Host::start()
            .on_shared(Arc::clone(&self.directory))
            .settings(&format!("[storage]\ndatabase = \"{}\"\n", self.fresh.url))
            .dns("elsewhere.test MX 10 mx.elsewhere.test\nmx.elsewhere.test A 192.0.2.25");
        let host = start.await;
        let peer = Peer::start().await;
        host.detour().lead("192.0.2.25".parse().unwrap(), peer.address);
        (host, peer)
    }

    async fn remove(self) {
        self.database.close().await;
        self.fresh.remove().await;
    }
}

/// The list in a response. \Recent is left out: it is of sessions, not of messages.
fn values(line: &str) -> String {
    let list = &line[line.find(" (").unwrap() + 1..];
    list.replace(" \\Recent", "").replace("\\Recent", "")
}

async fn folders_are_as_before(host: &Host, frozen: &Frozen, asked: &[&str]) {
    for (user, folders) in &frozen.seen.folders {
        let mut imap = host.imap(user).await;
        let listed = imap.ok("LIST \"\" \"*\"").await;
        assert_eq!(listed.with("LIST").count(), folders.len(), "{user}: {:?}", listed.untagged);
        for (name, seen) in folders {
            let items = "UIDVALIDITY UIDNEXT MAILBOXID MESSAGES";
            let status = imap.ok(&format!("STATUS \"{name}\" ({items})")).await;
            let status = values(status.with("STATUS").next().unwrap());
            assert!(is_continued(&status, &seen.status), "{user}, {name}: {status} after {}", seen.status);
            imap.ok(&format!("EXAMINE \"{name}\"")).await;
            for items in asked {
                let fetched = imap.ok(&format!("UID FETCH 1:* ({items})")).await;
                let lines: Vec<String> = fetched.with("FETCH").map(values).collect();
                assert_eq!(lines, seen.fetched[*items], "{user}, {name}");
            }
        }
    }
}

/// Whether a folder is the same: only its next UID may be higher, as without an index some are left out to be sure.
fn is_continued(now: &str, before: &str) -> bool {
    let apart = |status: &str| {
        let words: Vec<String> = status.split(' ').map(str::to_owned).collect();
        let place = words.iter().position(|word| word == "UIDNEXT").unwrap() + 1;
        let next: u32 = words[place].parse().unwrap();
        let others: Vec<String> =
            words.into_iter().enumerate().filter(|(n, _)| *n != place).map(|(_, word)| word).collect();
        (next, others)
    };
    let ((next, others), (next_before, others_before)) = (apart(now), apart(before));
    next >= next_before && others == others_before
}

async fn messages(imap: &mut Imap, folder: &str) -> usize {
    imap.ok(&format!("SELECT \"{folder}\"")).await;
    imap.ok("UID SEARCH ALL").await.with("SEARCH").next().unwrap().split(' ').skip(1).count()
}

async fn everything_works(host: &Host, frozen: &Frozen, peer: &Peer) {
    personal_data_is_there(host).await;
    let config = host.config();
    let (bans, _) = run(&config, &["ban", "list"], "").await;
    assert!(bans.to_string().contains("198.51.100.7"), "{bans}");
    let mut phone = Imap::greeted(host.tls(Protocol::Imaps).await).await;
    phone.ok(&format!("LOGIN \"{ANN}\" \"{}\"", frozen.seen.app_password)).await;
    let annotation = phone.ok("GETMETADATA Work /private/comment").await;
    assert!(annotation.untagged.concat().contains("for the office"), "{:?}", annotation.untagged);

    let (mut ann, mut bob) = (host.imap(ANN).await, host.imap(BOB).await);
    let (inbox, lists) = (messages(&mut ann, "INBOX").await, messages(&mut bob, "Lists").await);
    let mut smtp = host.smtp().await;
    let letter = |subject: &str| format!("From: <eve@elsewhere.test>\r\nSubject: {subject}\r\n\r\nWords.\r\n");
    for (to, subject) in [("sales@example.test", "to an alias"), (BOB, "the list speaks")] {
        let reply = smtp.deliver("eve@elsewhere.test", &[to], &letter(subject)).await;
        assert_eq!(reply.code, 250, "{to}: {}", reply.text());
    }
    assert_eq!(messages(&mut ann, "INBOX").await, inbox + 1);
    assert_eq!(messages(&mut bob, "Lists").await, lists + 1, "the script is active");
    let highest = ann.ok("UID SEARCH UID *").await;
    let highest: u32 = highest.with("SEARCH").next().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(highest >= 6, "UID {highest} was of another message");

    assert!(run(&config, &["queue", "list"], "").await.0.to_string().contains("far@elsewhere.test"));
    host.clock().advance(Duration::from_secs(120));
    let passed_on = peer.wait_for(1).await;
    assert_eq!(passed_on[0].to, ["far@elsewhere.test"]);
    assert!(passed_on[0].content.contains("Subject: far away"), "{}", passed_on[0].content);
    until("the recipient is gone from the queue", async || {
        !run(&config, &["queue", "list"], "").await.0.to_string().contains("far@elsewhere.test")
    })
    .await;
}

/// What is not mail: preferences, a calendar, contacts. Saving the preferences changes only what is new.
async fn personal_data_is_there(host: &Host) {
    for (path, text) in [
        ("calendars/ann@example.test/Personal/breakfast.ics", "SUMMARY:Breakfast"),
        ("contacts/ann@example.test/Contacts/eve.vcf", "FN:Eve Elsewhere"),
    ] {
        let answer = scheduling::get(host, ANN, &format!("/dav/{path}")).await;
        assert!(answer.status == 200 && answer.body.contains(text), "{path}: {}", answer.body);
    }
    let cookie = webmail_login(host).await;
    let account = async || read(&page(host, Protocol::Webmail, "GET /api/account", &cookie, JSON, "").await).1;
    let mut preferences = account().await["preferences"].take();
    assert_eq!(preferences["theme"], "dark", "{preferences}");
    assert_eq!(preferences["identities"][ANN]["signature"], "Ann, at your service", "{preferences}");
    assert_eq!(preferences["responses"][0]["text"], "Thank you.", "{preferences}");
    preferences["density"] = Value::from("compact");
    assert_eq!(ask(host, &cookie, "preferences", &preferences).await.0, 204);
    assert_eq!(account().await["preferences"], preferences);
}
