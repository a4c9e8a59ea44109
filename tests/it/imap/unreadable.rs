//! Messages that cannot be read, among others that can.

use std::os::unix::fs::PermissionsExt as _;

use postrider::foundations::settings::ByteSize;
use postrider::storage::mailbox::MailboxSettings;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use super::world::{Client, World, settings};

/// Runs a test on threads subject to permissions, even when run by root.
fn as_anybody<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let run = move || {
        let mut sets = capabilities(None).unwrap();
        sets.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
        set_capabilities(None, sets).unwrap();
        // The blocking threads are created by this one, and inherit its permissions.
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test());
    };
    std::thread::spawn(run).join().unwrap();
}

/// A client in an inbox left by another server: the second of its three messages cannot be read.
async fn three_messages(world: &World) -> Client {
    let folder = world.maildir("ann");
    for place in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(folder.join(place)).unwrap();
    }
    for (uid, word) in [(1, "one"), (2, "two"), (3, "three")] {
        let text = format!("Subject: {word}\r\n\r\nAbout {word}\r\n");
        let size = text.len();
        let file = folder.join(format!("cur/170000000{uid}.M{uid}P1.h,U={uid},S={size},W={size}:2,"));
        std::fs::write(&file, text).unwrap();
        if uid == 2 {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o000)).unwrap();
        }
    }
    let mut client = world.connect();
    client.log_in("ann").await;
    let lines = client.command("s SELECT INBOX").await;
    assert!(lines.contains(&"* 3 EXISTS".to_owned()), "{lines:?}");
    client
}

/// The numbers of the messages that FETCH has returned.
fn told(lines: &[String]) -> Vec<&str> {
    lines.iter().filter_map(|line| Some(line.strip_prefix("* ")?.split_once(" FETCH (")?.0)).collect()
}

/// Apple Mail asks for fields that few programs want, in each list of messages. Every file was opened each time.
#[test]
fn fields_that_were_asked_for_before_need_no_file() {
    as_anybody(|| async {
        let world = World::new(settings()).await;
        let mut client = world.connect();
        client.log_in("ann").await;
        client.command("a APPEND INBOX (\\Seen) {24+}\r\nDKIM-Signature: v=1\r\n\r\nx").await;
        client.command("b SELECT INBOX").await;
        let asked = client.command("c FETCH 1 BODY.PEEK[HEADER.FIELDS (DATE DKIM-SIGNATURE)]").await;
        for file in std::fs::read_dir(world.maildir("ann").join("cur")).unwrap() {
            std::fs::set_permissions(file.unwrap().path(), std::fs::Permissions::from_mode(0o000)).unwrap();
        }
        let again = client.command("d FETCH 1 BODY.PEEK[HEADER.FIELDS (Chat-Version DKIM-Signature)]").await;
        for lines in [asked, again] {
            let is_there = lines.contains(&"DKIM-Signature: v=1".to_owned());
            assert!(is_there && lines.last().is_some_and(|line| line.contains(" OK ")), "{lines:?}");
        }
    });
}

/// The whole message was read and summarised once more for them, one at a time for all users.
#[tokio::test]
async fn fields_that_few_programs_ask_for_are_read_from_the_header() {
    let storage = MailboxSettings { summarized_size: ByteSize::kib(1), ..MailboxSettings::default() };
    let world = World::with(settings(), storage).await;
    let mut client = world.connect();
    client.log_in("ann").await;
    let message = format!("Subject: s\r\nDKIM-Signature: v=1\r\n\r\n{}", "x\r\n".repeat(1_000));
    client.command(&format!("a APPEND INBOX (\\Seen) {{{}+}}\r\n{message}", message.len())).await;
    client.command("b SELECT INBOX").await;
    for _ in 0..2 {
        let lines = client.command("c FETCH 1 (ENVELOPE BODY.PEEK[HEADER.FIELDS (DKIM-SIGNATURE)])").await;
        let is_there = lines.contains(&"DKIM-Signature: v=1".to_owned());
        assert!(is_there && lines.last().is_some_and(|line| line.contains(" OK ")), "{lines:?}");
    }
}

#[test]
fn the_others_are_fetched() {
    as_anybody(|| async {
        let world = World::new(settings()).await;
        let mut client = three_messages(&world).await;
        for items in [
            "(FLAGS ENVELOPE)",
            "BODY.PEEK[]",
            "BODY.PEEK[HEADER.FIELDS (SUBJECT)]",
            "(BODYSTRUCTURE BODY.PEEK[1])",
            "BINARY.SIZE[1]",
        ] {
            let lines = client.command(&format!("f UID FETCH 1:* {items}")).await;
            assert_eq!(told(&lines), ["1", "3"], "{items}: {lines:?}");
            assert!(lines.last().unwrap().starts_with("f NO [UNAVAILABLE] "), "{items}: {lines:?}");
        }
        let lines = client.command("g UID FETCH 1:* FLAGS").await;
        assert_eq!(told(&lines), ["1", "2", "3"], "{lines:?}");
        assert!(lines.last().unwrap().starts_with("g OK "), "{lines:?}");
        // An unreadable message has not been seen.
        client.command("h UID FETCH 1:* BODY[]").await;
        let lines = client.command("i UID FETCH 1:* FLAGS").await;
        let seen: Vec<bool> = ["* 1 ", "* 2 ", "* 3 "]
            .map(|start| lines.iter().rfind(|line| line.starts_with(start)).unwrap().contains("\\Seen"))
            .into();
        assert_eq!(seen, [true, false, true], "{lines:?}");
    });
}

#[test]
fn the_others_are_searched_and_all_are_sorted() {
    as_anybody(|| async {
        let world = World::new(settings()).await;
        let mut client = three_messages(&world).await;
        // An unreadable message matches no search for its content, even when negated.
        for (key, found) in [
            ("SUBJECT three", "* SEARCH 3"),
            ("NOT SUBJECT three", "* SEARCH 1"),
            ("BODY three", "* SEARCH 3"),
            ("NOT BODY three", "* SEARCH 1"),
            ("NOT (SUBJECT three BODY nothing)", "* SEARCH 1 3"),
            ("OR UID 2 SUBJECT three", "* SEARCH 2 3"),
        ] {
            let lines = client.command(&format!("a SEARCH {key}")).await;
            assert!(lines.contains(&found.to_owned()), "{key}: {lines:?}");
            assert!(lines.last().unwrap().starts_with("a OK "), "{key}: {lines:?}");
            let is_warned = lines.iter().any(|line| line.starts_with("* NO [UNAVAILABLE] "));
            assert_eq!(is_warned, !found.contains('2'), "{key}: {lines:?}");
        }
        let lines = client.command("b SORT (REVERSE SUBJECT) UTF-8 ALL").await;
        assert_eq!(lines[0], "* SORT 3 1 2", "{lines:?}");
        assert!(lines.last().unwrap().starts_with("b OK "), "{lines:?}");
        let lines = client.command("c THREAD REFERENCES UTF-8 ALL").await;
        assert_eq!(lines[0], "* THREAD (1)(2)(3)", "{lines:?}");
        assert!(lines.last().unwrap().starts_with("c OK "), "{lines:?}");
    });
}

/// `mailbox.summarized_size`: what is larger is never in memory as a whole.
#[tokio::test]
async fn the_source_of_a_message_that_is_too_large_to_be_summarised_is_fetched() {
    let storage = MailboxSettings { summarized_size: ByteSize::mib(2), ..MailboxSettings::default() };
    let world = World::with(settings(), storage).await;
    let folder = world.maildir("ann");
    for place in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(folder.join(place)).unwrap();
    }
    let text = "Subject: large\r\n\r\n".to_owned() + &"line\r\n".repeat(400_000);
    std::fs::write(folder.join("cur/1700000001.M1P1.h:2,S"), text).unwrap();
    let mut client = world.connect();
    client.log_in("ann").await;
    client.command("s SELECT INBOX").await;
    let lines = client.command("a FETCH 1 BODY.PEEK[]<0.16>").await;
    assert_eq!(lines, ["* 1 FETCH (BODY[]<0> {16}", "Subject: large", ")", "a OK Fetched"]);
    let lines = client.command("b FETCH 1 (RFC822.SIZE BINARY.SIZE[])").await;
    assert_eq!(lines, ["* 1 FETCH (RFC822.SIZE 2400018 BINARY.SIZE[] 2400018)", "b OK Fetched"]);
    let lines = client.command("c FETCH 1 ENVELOPE").await;
    assert!(lines[0].starts_with("c NO ["), "{lines:?}");
}
