//! IMAP extensions answer as in Dovecot: the same commands to both, by the same client.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tokio::process::Command;

use super::moving::{MAIL_USER, USER, dovecot, folder, user_at};
use crate::harness::tools::{Program, assert_success};
use crate::harness::{Host, Imap, Response};

/// Longer than a loaded machine takes; Dovecot itself waits up to half a second before it reports.
const PATIENCE: Duration = Duration::from_secs(25);

/// A Dovecot and a server of ours, each with an empty account.
async fn both(place: &Path) -> Option<(Program, u16, Host)> {
    let mail = place.join("mail");
    std::fs::create_dir(&mail).unwrap();
    assert_success("chown", &Command::new("chown").arg(MAIL_USER).arg(&mail).output().await.unwrap());
    let (running, port) = dovecot(place, &mail).await?;
    Some((running, port, Host::start().user(USER).real_time().await))
}

/// Literals as quoted strings, so that the form of a string makes no difference.
fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some(open) = rest.find('{') {
        let literal = rest[open + 1..].split_once("}\r\n").and_then(|(digits, after)| {
            let length = digits.parse::<usize>().ok()?;
            Some((after.get(..length)?, after.get(length..)?))
        });
        let Some((value, after)) = literal else { break };
        text.push_str(&format!("{}\"{value}\"", &rest[..open]));
        rest = after;
    }
    text.push_str(rest);
    text.replace("~\"", "\"")
}

fn answers(response: &Response) -> Vec<String> {
    let mut lines: Vec<String> = response.untagged.iter().map(|line| plain(line)).collect();
    lines.push(response.tagged.split(' ').next().unwrap_or_default().to_owned());
    lines
}

const LETTER: &str = "Subject: one\r\nFrom: Ann <ann@example.test>\r\nTo: bob@example.test,\r\n carl@example.test\r\nX-Other: x\r\n\
                      Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <1@example.test>\r\nto: dora@example.test\r\n\r\nHello\r\n";

const QUESTIONS: &[&str] = &[
    "GETMETADATA INBOX /private/comment",
    "SETMETADATA INBOX (/private/comment \"My own\" /shared/comment {5+}\r\na\r\nbc)",
    "GETMETADATA INBOX /private/comment",
    "GETMETADATA INBOX /shared/comment",
    "GETMETADATA (MAXSIZE 5) INBOX /shared/comment",
    "SETMETADATA INBOX (/private/comment NIL)",
    "GETMETADATA INBOX /private/comment",
    "SETMETADATA INBOX (/private/vendor/x/a \"1\")",
    "GETMETADATA (DEPTH infinity) INBOX /private/vendor",
    "SETMETADATA INBOX (/elsewhere/comment \"x\")",
    "SELECT INBOX",
    "FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT FROM TO DATE)]",
    "FETCH 1 BODY.PEEK[HEADER.FIELDS (TO MESSAGE-ID)]",
    "FETCH 1 BODY.PEEK[HEADER.FIELDS (TO X-OTHER)]",
    "FETCH 1 BODY.PEEK[HEADER.FIELDS (DATE)]<2.10>",
    "FETCH 1 BODY.PEEK[HEADER.FIELDS.NOT (SUBJECT FROM)]",
    "FETCH 1 BODY.PEEK[HEADER.FIELDS (LIST-ID)]",
    "SEARCH SAVEDATESUPPORTED",
    "SEARCH SAVEDBEFORE 1-Jan-2020",
    "SEARCH SAVEDSINCE 1-Jan-2020",
    "SEARCH SAVEDSINCE 1-Jan-2020 BEFORE 1-Jan-2020",
    "SEARCH OLDER 1000000",
    "SEARCH YOUNGER 1000000",
    "SEARCH RETURN (SAVE) ALL",
    "SEARCH RETURN (COUNT) $",
    "FETCH 1 PREVIEW",
    "SEARCH RETURN (UPDATE) SEEN",
    "UID SEARCH RETURN (CONTEXT) ALL",
    "UID SEARCH RETURN (UPDATE (FLAGS) COUNT) SUBJECT another",
    "SORT RETURN (PARTIAL 1:5) (SUBJECT) UTF-8 ALL",
    "STORE 1 -FLAGS (\\Seen)",
    "APPEND INBOX (\\Seen) CATENATE (TEXT {20+}\r\nSubject: another\r\n\r\n URL \"/INBOX/;UID=1/;SECTION=TEXT\")",
    "FETCH 2 BODY.PEEK[]",
    "APPEND INBOX CATENATE (URL \";UID=1/;SECTION=HEADER.FIELDS%20(SUBJECT)/;PARTIAL=9.3\")",
    "FETCH 3 BODY.PEEK[]",
    "APPEND INBOX CATENATE (URL /INBOX/;UID=99)",
    "APPEND INBOX CATENATE (URL /INBOX;UIDVALIDITY=1/;UID=1)",
    "APPEND Nowhere CATENATE (URL /INBOX/;UID=99)",
    "APPEND INBOX CATENATE (URL imap://localhost/INBOX/;UID=1)",
    "STORE 2:3 +FLAGS.SILENT (\\Seen \\Deleted)",
    "EXPUNGE",
    "CANCELUPDATE \"no such tag\"",
    "NOTIFY SET (personal (MessageNew))",
    "NOTIFY SET (personal (FlagChange))",
    "NOTIFY SET (selected (MailboxName))",
    "NOTIFY SET (selected (MessageNew MessageExpunge)) (selected-delayed (MessageNew MessageExpunge))",
    "NOTIFY NONE",
];

/// Where the two are not meant to agree.
fn is_own_business(question: &str) -> bool {
    // UIDVALIDITY, identifiers, texts.
    question.starts_with("SELECT")
        // RFC 5465 §5 wants BAD, and Dovecot says OK.
        || question.starts_with("NOTIFY SET (personal")
        || question.starts_with("NOTIFY SET (selected (MailboxName")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn extensions_answer_as_dovecot_does() {
    let place = folder();
    let Some((_running, port, host)) = both(place.path()).await else { return };
    let (mut theirs, mut ours) = (user_at(port).await, host.imap(USER).await);
    let append = format!("APPEND INBOX (\\Seen) \"14-Nov-2003 22:13:20 +0000\" {{{}+}}\r\n{LETTER}", LETTER.len());
    theirs.ok(&append).await;
    ours.ok(&append).await;
    let mut differences = Vec::new();
    for question in QUESTIONS {
        let (mut theirs, mut ours) = (answers(&theirs.command(question).await), answers(&ours.command(question).await));
        // After an EXPUNGE Dovecot counts recent messages anew, which RFC 3501 §7.3.2 does not require.
        theirs.retain(|line| question != &"EXPUNGE" || !line.ends_with(" RECENT"));
        if question.starts_with("STORE") {
            // Flags before results, or after them: RFC 5267 §4.3.2 leaves that to servers.
            theirs.sort_unstable();
            ours.sort_unstable();
        }
        if theirs != ours && !is_own_business(question) {
            differences.push(format!("{question}\n  Dovecot {}\n  ours    {}", theirs.join("|"), ours.join("|")));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    host.stop().await;
}

/// What a STATUS response says, by item.
fn status(line: &str) -> Option<(String, BTreeMap<String, String>)> {
    let (name, items) = line.strip_prefix("* STATUS ")?.split_once(" (")?;
    let words: Vec<&str> = items.trim_end_matches(')').split(' ').collect();
    let items = words.chunks_exact(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect();
    Some((name.trim_matches('"').to_owned(), items))
}

/// Appends to a mailbox until that is reported; returns the report. Dovecot may miss a change in the second of its last
/// look, since directory times do not show it.
async fn told(watcher: &mut Imap, other: &mut Imap, mailbox: &str) -> BTreeMap<String, String> {
    let append = format!("APPEND {mailbox} {{{}+}}\r\n{LETTER}", LETTER.len());
    let wait = async {
        loop {
            other.ok(&append).await;
            while let Ok(line) = tokio::time::timeout(Duration::from_secs(4), watcher.response()).await {
                match status(&line) {
                    Some((name, items)) if name == mailbox && items.contains_key("MESSAGES") => return items,
                    _ => {}
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{mailbox} is not told"))
}

/// Waits until a name is reported with LIST; returns its attributes without those that depend on the server.
async fn listed(imap: &mut Imap, mailbox: &str) -> Vec<String> {
    let wait = async {
        loop {
            let line = imap.response().await;
            let Some((attributes, name)) = line.strip_prefix("* LIST (").and_then(|rest| rest.split_once(") \"/\" "))
            else {
                continue;
            };
            if name.trim_matches('"') == mailbox {
                let words = attributes.split(' ').filter(|word| !word.starts_with("\\Has") && !word.is_empty());
                return words.map(str::to_ascii_lowercase).collect::<Vec<String>>();
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{mailbox} is not told"))
}

/// What one server reports to a client that waits without a command.
async fn watched(mut watcher: Imap, mut other: Imap) -> Vec<String> {
    let mut seen = Vec::new();
    other.ok("CREATE Work").await;
    watcher.ok("SELECT INBOX").await;
    watcher
        .ok("NOTIFY SET (mailboxes Work (MessageNew MessageExpunge)) (personal (MailboxName SubscriptionChange))")
        .await;
    let items = told(&mut watcher, &mut other, "Work").await;
    let number = |item: &str| items[item].parse::<u32>().unwrap();
    seen.push(format!("Work has messages: {}", number("MESSAGES") > 0 && number("UIDNEXT") == number("MESSAGES") + 1));
    other.ok("CREATE Play").await;
    seen.push(format!("Play is {:?}", listed(&mut watcher, "Play").await));
    other.ok("SUBSCRIBE Play").await;
    seen.push(format!("Play is {:?}", listed(&mut watcher, "Play").await));
    other.ok("DELETE Play").await;
    let mut attributes = listed(&mut watcher, "Play").await;
    // The name is still subscribed: Dovecot does not report that for a mailbox that is gone.
    attributes.retain(|attribute| attribute != "\\subscribed");
    seen.push(format!("Play is {attributes:?}"));
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_watched_is_told_as_dovecot_tells_it() {
    let place = folder();
    let Some((_running, port, host)) = both(place.path()).await else { return };
    let theirs = watched(user_at(port).await, user_at(port).await).await;
    let ours = watched(host.imap(USER).await, host.imap(USER).await).await;
    assert_eq!(theirs, ours);
    host.stop().await;
}
