//! Webmail drafts: in a full mailbox, and long ones.

use postrider::config::Protocol;
use postrider::foundations::settings::ByteSize;
use serde_json::{Value, json};

use super::security::{JSON, page, webmail_login};
use crate::harness::Host;

const ANN: &str = "ann@example.test";

/// A letter of about this many KiB.
fn letter(kibibytes: usize) -> Value {
    let line = format!("{}\n", "x".repeat(62));
    json!({ "from": { "address": ANN }, "to": [{ "address": ANN }], "text": line.repeat(kibibytes * 16) })
}

/// The status and the JSON of the answer to a request.
pub(super) async fn ask(host: &Host, cookie: &str, path: &str, wish: &Value) -> (u16, Value) {
    read(&page(host, Protocol::Webmail, &format!("POST /api/{path}"), cookie, JSON, &wish.to_string()).await)
}

/// The status and the JSON of an answer.
pub(super) fn read(answer: &str) -> (u16, Value) {
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\n\n").map(|(_, body)| body).unwrap_or_default();
    // Answers may come in chunks, each with its length on a line before it.
    let object = body.find('{').zip(body.rfind('}')).map(|(from, to)| &body[from..=to]);
    let object = object.and_then(|object| serde_json::from_str(object).ok()).unwrap_or_default();
    (status.unwrap_or_else(|| panic!("{answer}")), object)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_in_a_full_mailbox_makes_room_for_a_newer_one() {
    let host = Host::start().user("bob@example.test").real_time().await;
    host.add_user(ANN, Some(ByteSize::mib(1))).await;
    let cookie = webmail_login(&host).await;
    let save = async |kibibytes, replaces: Option<u64>| {
        ask(&host, &cookie, "drafts", &json!({ "letter": letter(kibibytes), "replaces": replaces })).await
    };
    let (status, first) = save(700, None).await;
    assert_eq!(status, 200, "{first}");
    let first = first["uid"].as_u64();
    assert_eq!(save(600, None).await.0, 507, "beside the first one there is no room");
    assert_eq!(save(1_100, first).await.0, 507, "it is larger than the mailbox");
    let (status, second) = save(800, first).await;
    assert_eq!(status, 200, "{second}");
    let second = second["uid"].as_u64();
    assert_ne!(first, second);
    assert_eq!(save(600, first).await.0, 507, "one that has gone makes no room");
    let mut imap = host.imap(ANN).await;
    let status = imap.ok("STATUS Drafts (MESSAGES)").await.untagged.concat();
    assert!(status.contains("MESSAGES 1"), "{status}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_in_a_full_mailbox_makes_room_for_the_copy_of_what_was_sent() {
    let host = Host::start().user("bob@example.test").real_time().await;
    host.add_user(ANN, Some(ByteSize::mib(1))).await;
    let cookie = webmail_login(&host).await;
    let mut letter = letter(700);
    letter["to"] = json!([{ "address": "bob@example.test" }]);
    let (status, draft) = ask(&host, &cookie, "drafts", &json!({ "letter": letter })).await;
    assert_eq!(status, 200, "{draft}");
    let wish = json!({ "key": "0123456789abcdef", "letter": letter, "draft": draft["uid"] });
    let (status, sent) = ask(&host, &cookie, "send", &wish).await;
    assert_eq!((status, &sent["notes"]), (200, &json!([])), "{sent}");
    let mut imap = host.imap(ANN).await;
    for (folder, wanted) in [("Drafts", "MESSAGES 0"), ("Sent", "MESSAGES 1")] {
        let status = imap.ok(&format!("STATUS {folder} (MESSAGES)")).await.untagged.concat();
        assert!(status.contains(wanted), "{status}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_is_given_with_everybody_it_is_for() {
    let host = Host::start().user(ANN).real_time().await;
    let cookie = webmail_login(&host).await;
    let people: Vec<Value> = (0..1_500).map(|n| json!({ "address": format!("one{n}@example.test") })).collect();
    let mut letter = letter(1);
    letter["to"] = people.into();
    let (status, draft) = ask(&host, &cookie, "drafts", &json!({ "letter": letter })).await;
    assert_eq!(status, 200, "{draft}");
    let mut imap = host.imap(ANN).await;
    imap.ok("SELECT Drafts").await;
    imap.ok("UID COPY 1:* INBOX").await;
    imap.ok("SELECT INBOX").await;
    imap.ok(r"STORE 1:* -FLAGS.SILENT (\Draft)").await;
    for (folder, people, is_cut) in [("Drafts", 1_500, false), ("INBOX", 1_000, true)] {
        let first = format!("GET /api/message?folder={folder}&uid=1");
        let (status, message) = read(&page(&host, Protocol::Webmail, &first, &cookie, JSON, "").await);
        assert_eq!((status, &message["people_cut"]), (200, &is_cut.into()), "{folder}");
        assert_eq!(message["to"].as_array().map(Vec::len), Some(people), "{folder}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_is_given_whole_however_little_of_a_message_is_shown() {
    let host = Host::start().settings("[webmail]\ntext = \"1K\"\n").user(ANN).real_time().await;
    let cookie = webmail_login(&host).await;
    let (status, draft) = ask(&host, &cookie, "drafts", &json!({ "letter": letter(3) })).await;
    assert_eq!(status, 200, "{draft}");
    let text = letter(3)["text"].as_str().unwrap().replace('\n', "\r\n");
    let mut imap = host.imap(ANN).await;
    let source = format!("Subject: x\r\n\r\n{text}");
    for (folder, flags, wanted) in [("Drafts", r"\Draft", 3 * 1_024), ("INBOX", r"\Seen", 1_024)] {
        let append = format!("APPEND {folder} ({flags}) {{{}+}}\r\n{source}", source.len());
        let appended = imap.ok(&append).await.tagged;
        let uid = appended.split([' ', ']']).nth(3).unwrap_or_else(|| panic!("{appended}"));
        let first = format!("GET /api/message?folder={folder}&uid={uid}");
        let (status, message) = read(&page(&host, Protocol::Webmail, &first, &cookie, JSON, "").await);
        assert_eq!((status, &message["cut"]), (200, &(wanted == 1_024).into()), "{message}");
        assert!(message["text"].as_str().unwrap().len() >= wanted - 64, "{message}");
    }
    let first = format!("GET /api/message?folder=Drafts&uid={}", draft["uid"]);
    let (_, message) = read(&page(&host, Protocol::Webmail, &first, &cookie, JSON, "").await);
    let is_whole = message["text"].as_str().unwrap().lines().count() == 3 * 16;
    assert!(is_whole && message["cut"] == false && message["html_cut"] == false, "{message}");
    host.stop().await;
}
