//! Importing from servers that are not here: their answers are scripted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use postrider::foundations::tasks::Tasks;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpListener;

use super::moving::{USER, counts, postrider};
use crate::harness::{Host, PASSWORD, cli};

/// A server that answers one client after the other; `untagged` gives its response to a command, which may end with the
/// answer `NO …`.
async fn scripted(tasks: &Tasks, mut untagged: impl FnMut(&str) -> String + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tasks.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufStream::new(stream);
            stream.write_all(b"* OK [CAPABILITY IMAP4rev1] here\r\n").await.unwrap();
            loop {
                stream.flush().await.unwrap();
                let mut line = String::new();
                if stream.read_line(&mut line).await.unwrap() == 0 {
                    break;
                }
                let (tag, command) = line.split_once(' ').unwrap();
                let said = untagged(command.trim_end());
                let answer = match said.rsplit_once("NO ") {
                    Some((untagged, why)) => format!("{untagged}{tag} NO {why}\r\n"),
                    None => format!("{said}{tag} OK done\r\n"),
                };
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    });
    port
}

/// A server that lists four messages and returns one: the second has no content, the third is omitted, the fourth is empty.
fn withholds(command: &str) -> String {
    match command.to_ascii_uppercase() {
        command if command.starts_with("LIST") => "* LIST () \"/\" INBOX\r\n".to_owned(),
        command if command.starts_with("EXAMINE") => "* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 9] x\r\n".to_owned(),
        command if command.contains("RFC822.SIZE") => {
            (1..=4).map(|uid| format!("* {uid} FETCH (UID {uid} FLAGS () RFC822.SIZE 14)\r\n")).collect()
        }
        command if command.contains("BODY.PEEK[]") => {
            "* 1 FETCH (UID 1 BODY[] {14}\r\nSubject: 1\r\n\r\n)\r\n* 2 FETCH (UID 2 BODY[] NIL)\r\n* 4 FETCH (UID 4 BODY[] {0}\r\n)\r\n"
                .to_owned()
        }
        _ => String::new(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_lists_but_does_not_give_is_told() {
    let host = Host::start().user(USER).real_time().await;
    let password = host.directory().join("password");
    std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    let tasks = Tasks::new();
    let (port, password) = (scripted(&tasks, withholds).await.to_string(), password.display().to_string());
    let mut arguments = vec!["import", "imap", "127.0.0.1", "--insecure", "--port", &port, "--login", USER];
    arguments.extend(["--password-file", &password, "--user", USER]);
    let (moved, code) = cli::run(&host.config(), &arguments, "").await;
    assert_eq!((code, counts(&moved)), (7, (1, 0)), "{moved}");
    assert_eq!(moved[0]["folders"][0]["withheld"], 3, "{moved}");
    assert_eq!(host.imap(USER).await.ok("SELECT INBOX").await.number("EXISTS"), Some(1));
    host.stop().await;
}

/// A server on which somebody else reads the second message, and gets a third, while its messages are listed for the first time.
fn is_in_use() -> impl FnMut(&str) -> String + Send + 'static {
    let mut is_calm = false;
    move |command: &str| match command.split('"').next().unwrap_or_default() {
        "LIST " => "* LIST () \"/\" INBOX\r\n".to_owned(),
        "EXAMINE " => "* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 9] x\r\n".to_owned(),
        list if list.contains("RFC822.SIZE") => {
            let each = |uid| {
                format!(
                    "* {uid} FETCH (UID {uid} FLAGS () INTERNALDATE \"14-Nov-2023 22:13:20 +0000\" RFC822.SIZE 14)\r\n"
                )
            };
            let listed: String = (1..=2).map(each).collect();
            match std::mem::replace(&mut is_calm, true) {
                false => format!("{listed}* 2 FETCH (UID 2 FLAGS (\\Seen))\r\n* 3 FETCH (UID 3 FLAGS (\\Recent))\r\n"),
                true => listed,
            }
        }
        fetch if fetch.contains("BODY.PEEK[]") => (1..=2)
            .map(|uid| format!("* {uid} FETCH (UID {uid} BODY[] {{14}}\r\nSubject: {uid}\r\n\r\n)\r\n"))
            .collect(),
        _ => String::new(),
    }
}

/// A message whose flags had changed meanwhile lost its date, and the next run imported it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flag_that_changes_meanwhile_makes_no_second_message() {
    let host = Host::start().user(USER).real_time().await;
    let password = host.directory().join("password");
    std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    let tasks = Tasks::new();
    let (port, password) = (scripted(&tasks, is_in_use()).await.to_string(), password.display().to_string());
    let mut arguments = vec!["import", "imap", "127.0.0.1", "--insecure", "--port", &port, "--login", USER];
    arguments.extend(["--password-file", &password, "--user", USER]);
    assert_eq!(counts(&postrider(&host, &arguments).await), (2, 0));
    assert_eq!(counts(&postrider(&host, &arguments).await), (0, 2));
    let mut imap = host.imap(USER).await;
    imap.ok("SELECT INBOX").await;
    let fetched = format!("{:?}", imap.ok("FETCH 2 (FLAGS INTERNALDATE)").await);
    assert!(fetched.contains("14-Nov-2023 22:13:20") && fetched.contains("Seen"), "{fetched}");
    host.stop().await;
}

/// A server like Gmail: 1 and 2 are in INBOX, 3 is archived and starred, and 1 is starred, too.
fn labels() -> impl FnMut(&str) -> String + Send + 'static {
    let mut open = String::new();
    move |command: &str| {
        let messages: &[u32] = match open.as_str() {
            "INBOX" => &[1, 2],
            "[Gmail]/All Mail" => &[1, 2, 3],
            "[Gmail]/Starred" => &[1, 3],
            _ => &[],
        };
        let each = |of: fn(&u32) -> String| messages.iter().map(of).collect();
        match command.split('"').collect::<Vec<_>>().as_slice() {
            ["CAPABILITY"] => "* CAPABILITY IMAP4rev1 X-GM-EXT-1 SPECIAL-USE\r\n".to_owned(),
            [list @ ("LIST " | "LSUB "), ..] => {
                [("\\All", "[Gmail]/All Mail"), ("\\Flagged", "[Gmail]/Starred"), ("\\HasNoChildren", "INBOX")]
                    .map(|(attribute, name)| format!("* {list}({attribute}) \"/\" \"{name}\"\r\n"))
                    .concat()
            }
            ["EXAMINE ", name, ..] => {
                open = (*name).to_owned();
                "* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 9] x\r\n".to_owned()
            }
            [fetch] if fetch.contains("X-GM-MSGID") => {
                each(|id| format!("* {id} FETCH (UID {id} FLAGS () X-GM-MSGID 180000000000{id} RFC822.SIZE 14)\r\n"))
            }
            [fetch] if fetch.contains("BODY.PEEK[]") => each(|id| {
                format!(
                    "* {id} FETCH (UID {id} BODY[] {{53}}\r\nSubject: {id}\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n\r\n)\r\n"
                )
            }),
            _ => String::new(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mailboxes_that_show_what_others_have_bring_the_rest_only() {
    let host = Host::start().user(USER).real_time().await;
    let password = host.directory().join("password");
    std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    let tasks = Tasks::new();
    let (port, password) = (scripted(&tasks, labels()).await.to_string(), password.display().to_string());
    let mut arguments = vec!["import", "imap", "127.0.0.1", "--insecure", "--port", &port, "--login", USER];
    arguments.extend(["--password-file", &password, "--user", USER]);
    let planned = postrider(&host, &[&arguments[..], &["--dry-run"]].concat()).await;
    assert_eq!(counts(&planned), (3, 0), "{planned}");
    let moved = postrider(&host, &arguments).await;
    assert_eq!(counts(&moved), (3, 0), "{moved}");
    let elsewhere: Vec<_> = moved[0]["folders"].as_array().unwrap().iter().map(|folder| &folder["elsewhere"]).collect();
    assert_eq!(elsewhere, [0, 2, 2], "{moved}");
    // The server gives no dates, and recognising a message again does not depend on the second of its arrival.
    tokio::time::sleep(Duration::from_millis(1001)).await;
    assert_eq!(counts(&postrider(&host, &arguments).await), (0, 3));

    let mut imap = host.imap(USER).await;
    for (folder, wanted) in [("INBOX", 2), ("\"[Gmail]/All Mail\"", 1)] {
        assert_eq!(imap.ok(&format!("SELECT {folder}")).await.number("EXISTS"), Some(wanted), "{folder}");
    }
    let fetched = format!("{:?}", imap.ok("FETCH 1 INTERNALDATE").await);
    assert!(fetched.contains("14-Nov-2023 22:13:20"), "{fetched}");
    let listed = format!("{:?}", imap.ok("LSUB \"\" *").await);
    assert!(listed.contains("All Mail") && !listed.contains("Starred"), "{listed}");
    host.stop().await;
}

/// A server that fails to open one mailbox, returns one of two messages of another, and nonsense for a third.
fn refuses() -> impl FnMut(&str) -> String + Send + 'static {
    let mut open = String::new();
    move |command: &str| match command.split('"').collect::<Vec<_>>().as_slice() {
        ["LIST ", ..] => ["INBOX", "Locked", "100%", "a//b", "Half", "Odd", "Behind"]
            .map(|name| format!("* LIST () \"/\" \"{name}\"\r\n"))
            .concat(),
        ["EXAMINE ", "Locked", ..] => "NO [INUSE] somebody else has it".to_owned(),
        ["EXAMINE ", name, ..] => {
            open = (*name).to_owned();
            "* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 9] x\r\n".to_owned()
        }
        [fetch] if fetch.contains("RFC822.SIZE") && open == "Odd" => "* 1 FETCH (UID 1 RFC822.SIZE 14\r\n".to_owned(),
        [fetch] if fetch.contains("RFC822.SIZE") => {
            let uids = if open == "Half" { 1..=2 } else { 1..=1 };
            uids.map(|uid| format!("* {uid} FETCH (UID {uid} FLAGS () RFC822.SIZE 14)\r\n")).collect()
        }
        [fetch] if fetch.contains("BODY.PEEK[]") => {
            let end = if open == "Half" { "NO [SERVERBUG] one is damaged" } else { "" };
            format!("* 1 FETCH (UID 1 BODY[] {{14}}\r\nSubject: 1\r\n\r\n)\r\n{end}")
        }
        _ => String::new(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_refuses_keeps_no_other_mailbox_out() {
    let host = Host::start().user(USER).real_time().await;
    let password = host.directory().join("password");
    std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    let tasks = Tasks::new();
    let (port, password) = (scripted(&tasks, refuses()).await.to_string(), password.display().to_string());
    let mut arguments = vec!["import", "imap", "127.0.0.1", "--insecure", "--port", &port, "--login", USER];
    arguments.extend(["--password-file", &password, "--user", USER]);
    let (moved, code) = cli::run(&host.config(), &arguments, "").await;
    assert_eq!((code, counts(&moved)), (1, (3, 0)), "{moved}");
    let folders = moved[0]["folders"].as_array().unwrap();
    let names: Vec<_> = folders.iter().map(|folder| folder["folder"].as_str().unwrap()).collect();
    assert_eq!(names, ["INBOX", "Locked", "100_", "Half"]);
    let refused = [1, 3].map(|n: usize| folders[n]["refused"].as_str().unwrap());
    assert!(refused[0].contains("[INUSE]") && refused[1].contains("[SERVERBUG]"), "{moved}");
    assert_eq!((&folders[3]["withheld"], &folders[0]["refused"]), (&1.into(), &serde_json::Value::Null), "{moved}");
    assert_eq!(moved[0]["unnamed"], serde_json::json!(["a//b"]));
    assert!(moved[0]["problem"].as_str().unwrap().contains("not understood"), "{moved}");
    let mut imap = host.imap(USER).await;
    for folder in ["INBOX", "100_", "Half"] {
        let opened = imap.ok(&format!("SELECT {folder}")).await;
        assert_eq!(opened.number("EXISTS"), Some(1), "{folder}");
        assert!(opened.untagged.iter().any(|line| line.contains("[UIDVALIDITY 7]")), "{folder}");
    }
    host.stop().await;
}

/// A server with one mailbox; `held` gives its UIDVALIDITY and the messages of an account.
fn holds(held: impl Fn(&str) -> (u32, Vec<String>) + Send + 'static) -> impl FnMut(&str) -> String + Send + 'static {
    let mut account = String::new();
    move |command: &str| {
        let (validity, messages) = held(&account);
        let each = |of: fn(&str) -> String| {
            let fetched = |(n, text): (usize, &String)| format!("* {0} FETCH (UID {0} {1})\r\n", n + 1, of(text));
            messages.iter().enumerate().map(fetched).collect::<String>()
        };
        match command.split('"').collect::<Vec<_>>().as_slice() {
            ["LOGIN ", login, ..] => {
                account = (*login).to_owned();
                String::new()
            }
            ["LIST ", ..] => "* LIST () \"/\" INBOX\r\n".to_owned(),
            ["EXAMINE ", ..] => format!("* OK [UIDVALIDITY {validity}] x\r\n* OK [UIDNEXT 99] x\r\n"),
            [fetch] if fetch.contains("RFC822.SIZE") => {
                each(|text| format!("FLAGS () INTERNALDATE \"14-Nov-2023 22:13:20 +0000\" RFC822.SIZE {}", text.len()))
            }
            [fetch] if fetch.contains("HEADER.FIELDS") => each(|text| {
                let id = text.split_inclusive("\r\n").find(|line| line.starts_with("Message-ID")).unwrap_or_default();
                format!("BODY[HEADER.FIELDS (MESSAGE-ID)] {{{}}}\r\n{id}\r\n", id.len() + 2)
            }),
            [fetch] if fetch.contains("BODY.PEEK[]") => each(|text| format!("BODY[] {{{}}}\r\n{text}", text.len())),
            _ => String::new(),
        }
    }
}

/// The second account's messages counted as already there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_accounts_of_a_host_with_the_same_numbers_are_both_imported() {
    let host = Host::start().user(USER).real_time().await;
    let password = host.directory().join("password");
    std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    let tasks = Tasks::new();
    let held = |account: &str| (7, (1..=2).map(|n| format!("Subject: {n} of {account}\r\n\r\n")).collect::<Vec<_>>());
    let (port, password) = (scripted(&tasks, holds(held)).await.to_string(), password.display().to_string());
    let import = async |login: &str| {
        let mut arguments = vec!["import", "imap", "127.0.0.1", "--insecure", "--port", &port, "--login", login];
        arguments.extend(["--password-file", &password, "--user", USER]);
        counts(&postrider(&host, &arguments).await)
    };
    for wanted in [(2, 0), (0, 2)] {
        assert_eq!([import("ann").await, import("bob").await], [wanted, wanted]);
    }
    assert_eq!(host.imap(USER).await.ok("SELECT INBOX").await.number("EXISTS"), Some(4));
    host.stop().await;
}

/// They were all imported again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_were_renumbered_are_recognised() {
    let host = Host::start().user(USER).real_time().await;
    let password = host.directory().join("password");
    std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    let tasks = Tasks::new();
    let validity = Arc::new(AtomicU32::new(7));
    let held = {
        let validity = Arc::clone(&validity);
        move |_: &str| {
            let validity = validity.load(Ordering::Relaxed);
            let letter = |n: u32| match n {
                // Two are the same, and have nothing to be recognised by but their content.
                3 | 4 => "Subject: x\r\n\r\n".to_owned(),
                n => format!("Message-ID: <{n}@x>\r\n\r\n"),
            };
            // The first is gone when the others get new numbers, and one is new.
            let messages = if validity == 7 { 1..=4 } else { 2..=5 };
            (validity, messages.map(letter).collect::<Vec<_>>())
        }
    };
    let (port, password) = (scripted(&tasks, holds(held)).await.to_string(), password.display().to_string());
    let mut arguments = vec!["import", "imap", "127.0.0.1", "--insecure", "--port", &port, "--login", USER];
    arguments.extend(["--password-file", &password, "--user", USER]);
    assert_eq!(counts(&postrider(&host, &arguments).await), (4, 0));
    validity.store(8, Ordering::Relaxed);
    for wanted in [(1, 3), (0, 4)] {
        let moved = postrider(&host, &arguments).await;
        assert_eq!(counts(&moved), wanted, "{moved}");
        assert_eq!(moved[0]["folders"][0]["recognised"], 3, "{moved}");
    }
    assert_eq!(host.imap(USER).await.ok("SELECT INBOX").await.number("EXISTS"), Some(5));
    host.stop().await;
}
