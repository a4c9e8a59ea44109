//! What happens at the limits, and at the end.

use std::time::Duration;

use postrider::foundations::settings::{ByteSize, Span};
use postrider::protocols::imap::ImapSettings;
use postrider::storage::mailbox::MailboxSettings;

use super::world::{World, settings};

#[tokio::test]
async fn without_tls_no_password_is_taken() {
    let world = World::new(ImapSettings::default()).await;
    let mut client = world.connect();
    let greeting = client.line().await.unwrap();
    assert!(greeting.contains(" LOGINDISABLED]") && !greeting.contains("AUTH="), "{greeting}");
    let lines = client.command("a LOGIN ann@example.test pencil").await;
    assert!(lines[0].starts_with("a NO [PRIVACYREQUIRED]"), "{lines:?}");
    let lines = client.command("b AUTHENTICATE PLAIN").await;
    assert!(lines[0].starts_with("b NO [PRIVACYREQUIRED]"), "{lines:?}");
}

#[tokio::test]
async fn slow_logins_are_sent_away() {
    let world = World::new(ImapSettings { login_timeout: Span::millis(50), ..settings() }).await;
    let mut client = world.connect();
    assert!(client.rest().await.contains("* BYE You took too long to log in"));
}

#[tokio::test]
async fn failed_logins_end() {
    let world = World::new(ImapSettings { login_failures: 2, ..settings() }).await;
    let mut client = world.connect();
    client.line().await;
    let lines = client.command("a LOGIN ann@example.test wrong").await;
    assert_eq!(lines, ["a NO [AUTHENTICATIONFAILED] Wrong user name or password"]);
    client.send("b LOGIN ann@example.test wrong\r\n").await;
    let rest = client.rest().await;
    assert!(rest.contains("* BYE Too many failed logins") && rest.contains("b NO"), "{rest}");
}

#[tokio::test]
async fn a_stop_is_told() {
    let world = World::new(settings()).await;
    let (mut waiting, mut idling) = (world.connect(), world.connect());
    waiting.log_in("ann").await;
    idling.log_in("ann").await;
    idling.send("a IDLE\r\n").await;
    assert!(idling.line().await.unwrap().starts_with('+'));
    world.stop();
    assert!(waiting.rest().await.starts_with("* BYE"));
    assert!(idling.rest().await.starts_with("* BYE"));
}

#[tokio::test]
async fn idle_sessions_are_kept_alive_and_then_sent_away() {
    let times = ImapSettings { keep_alive: Span::millis(40), idle_timeout: Span::millis(100), ..settings() };
    let world = World::new(times).await;
    let mut client = world.connect();
    client.log_in("ann").await;
    client.send("a IDLE\r\n").await;
    let rest = client.rest().await;
    assert!(rest.contains("* OK Still here\r\n") && rest.contains("* BYE"), "{rest}");
}

#[tokio::test]
async fn connections_of_an_account_are_counted() {
    let world = World::new(ImapSettings { connections_per_user: 2, ..settings() }).await;
    let mut first = world.connect();
    first.log_in("ann").await;
    let mut second = world.connect();
    second.log_in("ann").await;
    let mut third = world.connect();
    third.line().await;
    let lines = third.command("a LOGIN ann@example.test pencil").await;
    assert!(lines[0].starts_with("a NO [LIMIT]"), "{lines:?}");
    first.command("x LOGOUT").await;
    assert_eq!(first.line().await, None);
    let lines = third.command("a LOGIN ann@example.test pencil").await;
    assert!(lines[0].starts_with("a OK"), "{lines:?}");
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_the_session_goes_on() {
    let small = ImapSettings {
        command: ByteSize::bytes(100),
        command_before_login: ByteSize::bytes(100),
        literal: ByteSize::bytes(50),
        append_limit: ByteSize::bytes(1000),
        skip: ByteSize::bytes(5000),
        ..settings()
    };
    let world = World::new(small).await;
    let mut client = world.connect();
    client.log_in("ann").await;
    let long = "x".repeat(200);
    assert_eq!(client.command(&format!("a NOOP {long}")).await, ["a BAD The command is too long"]);
    assert_eq!(client.command("b SELECT {51}").await, ["b BAD [TOOBIG] The literal is too large"]);
    let lines = client.command("c APPEND INBOX {1001}").await;
    assert_eq!(lines, ["c NO [TOOBIG] The message exceeds this server's size limit"]);
    let lines = client.command(&format!("d APPEND INBOX {{1001+}}\r\n{}", "x".repeat(1001))).await;
    assert_eq!(lines, ["d NO [TOOBIG] The message exceeds this server's size limit"]);
    assert_eq!(client.command("e NOOP").await, ["e OK Nothing done"]);
    client.send("f APPEND INBOX {9999+}\r\n").await;
    let rest = client.rest().await;
    assert!(rest.contains("f NO [TOOBIG]") && rest.contains("* BYE"), "{rest}");
}

#[tokio::test]
async fn each_of_several_messages_may_be_as_large_as_one() {
    let memory = ImapSettings {
        append_limit: ByteSize::bytes(1000),
        append_memory_per_user: ByteSize::bytes(5000),
        ..settings()
    };
    let world = World::new(memory).await;
    let mut client = world.connect();
    client.log_in("ann").await;
    let append = |sizes: &[usize]| {
        let messages = sizes.iter().map(|size| format!(" {{{size}+}}\r\n{}", "x".repeat(*size)));
        format!("a APPEND INBOX{}", messages.collect::<String>())
    };
    let lines = client.command(&append(&[1000, 1000, 1000, 1000, 1000])).await;
    assert!(lines[0].starts_with("a OK [APPENDUID ") && lines[0].contains(" 1:5] "), "{lines:?}");
    let lines = client.command(&append(&[1, 1001, 1])).await;
    assert_eq!(lines, ["a NO [TOOBIG] The message exceeds this server's size limit"]);
    let lines = client.command(&append(&[1000, 1000, 1000, 1000, 1000, 1])).await;
    assert_eq!(lines, ["a NO [LIMIT] That is too much for one command; append less at once"]);
    let lines = client.command("b STATUS INBOX (MESSAGES)").await;
    assert!(lines[0].contains("(MESSAGES 5)"), "{lines:?}");
}

#[tokio::test]
async fn memory_for_messages_is_shared() {
    let memory = ImapSettings { append_memory: ByteSize::kib(10), append_patience: Span::millis(50), ..settings() };
    let world = World::new(memory).await;
    let mut first = world.connect();
    first.log_in("ann").await;
    first.send("a APPEND INBOX {9000}\r\n").await;
    assert!(first.line().await.unwrap().starts_with('+'));
    let mut second = world.connect();
    second.log_in("bob").await;
    let lines = second.command("b APPEND INBOX {9000}").await;
    assert!(lines[0].starts_with("b NO [LIMIT]"), "{lines:?}");
    drop(first);
    for _ in 0..100 {
        second.send("c APPEND INBOX {9000}\r\n").await;
        if second.line().await.unwrap().starts_with('+') {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the memory was not given back");
}

#[tokio::test]
async fn one_user_leaves_memory_for_others() {
    let memory =
        ImapSettings { append_memory_per_user: ByteSize::kib(12), append_patience: Span::millis(50), ..settings() };
    let world = World::new(memory).await;
    let (mut first, mut second, mut other) = (world.connect(), world.connect(), world.connect());
    for (client, name) in [(&mut first, "ann"), (&mut second, "ann"), (&mut other, "bob")] {
        client.log_in(name).await;
    }
    first.send("a APPEND INBOX {9000}\r\n").await;
    assert!(first.line().await.unwrap().starts_with('+'));
    let lines = second.command("b APPEND INBOX {9000}").await;
    assert!(lines[0].starts_with("b NO [LIMIT]"), "{lines:?}");
    other.send("c APPEND INBOX {9000}\r\n").await;
    assert!(other.line().await.unwrap().starts_with('+'));
}

#[tokio::test]
async fn nonsense_ends() {
    let world = World::new(ImapSettings { bad_commands: 3, ..settings() }).await;
    let mut client = world.connect();
    client.log_in("ann").await;
    client.send("a X\r\nb NOOP\r\n\r\n+\r\nc FETCH\r\nd NOOP\r\n").await;
    let rest = client.rest().await;
    assert!(rest.contains("a BAD Unknown command") && rest.contains("b OK"), "{rest}");
    assert!(rest.contains("* BAD A tag expected at octet 0") && rest.contains("* BYE"), "{rest}");
    assert!(!rest.contains("d OK"), "{rest}");
}

#[tokio::test]
async fn compression_can_be_switched_off() {
    let world = World::new(ImapSettings { compress: false, ..settings() }).await;
    let mut client = world.connect();
    client.log_in("ann").await;
    let lines = client.command("a CAPABILITY").await;
    assert!(!lines[0].contains("COMPRESS"), "{lines:?}");
    let lines = client.command("b COMPRESS DEFLATE").await;
    assert!(lines[0].starts_with("b NO [CANNOT]"), "{lines:?}");
    let lines = client.command("c COMPRESS LZW").await;
    assert!(lines[0].starts_with("c BAD"), "{lines:?}");
    assert_eq!(client.command("d NOOP").await, ["d OK Nothing done"]);
}

#[tokio::test]
async fn what_is_no_compressed_stream_ends_the_connection() {
    let world = World::new(settings()).await;
    let mut client = world.connect();
    client.log_in("ann").await;
    let lines = client.command("a COMPRESS DEFLATE").await;
    assert!(lines[0].starts_with("a OK"), "{lines:?}");
    client.send([0xff; 40]).await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn annotations_have_limits() {
    let world = World::new(ImapSettings { admin: "mailto:postmaster@example.test".to_owned(), ..settings() }).await;
    let mut client = world.connect();
    client.log_in("ann").await;
    let lines = client.command("a GETMETADATA \"\" /shared/admin").await;
    assert_eq!(lines[0], "* METADATA \"\" (/shared/admin \"mailto:postmaster@example.test\")");
    let value = "x".repeat(60_000);
    for (n, want) in ["OK", "OK", "OK", "OK", "NO [METADATA TOOMANY]"].into_iter().enumerate() {
        client.send(format!("b SETMETADATA INBOX (/private/{n} {{{}+}}\r\n{value})\r\n", value.len())).await;
        let line = client.line().await.unwrap();
        assert!(line.starts_with(&format!("b {want}")), "{n}: {line}");
    }
    let lines = client.command("c GETMETADATA (DEPTH infinity MAXSIZE 10) INBOX /private").await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("c OK [METADATA LONGENTRIES 60000]"), "{lines:?}");
}

#[tokio::test]
async fn who_does_not_read_what_was_asked_for_is_told_so() {
    let world = World::new(settings()).await;
    let (mut watcher, mut other) = (world.connect(), world.connect());
    watcher.log_in("ann").await;
    other.log_in("ann").await;
    let lines = watcher.command("a NOTIFY SET (personal (SubscriptionChange MailboxName))").await;
    assert!(lines.last().unwrap().starts_with("a OK"), "{lines:?}");
    // The watcher's end is not read meanwhile: news fills the pipe, and further news has to wait.
    let name = "n".repeat(200);
    for n in 0..2_500 {
        let word = if n % 2 == 0 { "SUBSCRIBE" } else { "UNSUBSCRIBE" };
        let lines = other.command(&format!("b {word} {name}")).await;
        assert!(lines.last().unwrap().starts_with("b "), "{lines:?}");
    }
    watcher.send("c NOOP\r\n").await;
    let mut overflow = 0;
    loop {
        let line = watcher.line().await.unwrap();
        if line.starts_with("* OK [NOTIFICATIONOVERFLOW]") {
            overflow += 1;
        }
        if line.starts_with("c OK") {
            break;
        }
    }
    assert_eq!(overflow, 1);
    // As after NOTIFY NONE.
    other.command("d CREATE Further").await;
    assert_eq!(watcher.command("e NOOP").await.len(), 1);
}

#[tokio::test]
async fn a_message_that_comes_octet_by_octet_has_an_end() {
    let times = ImapSettings { command_time: Span::seconds(1), ..settings() };
    let world = World::new(times).await;
    let mut client = world.connect();
    client.log_in("ann").await;
    client.send("a APPEND INBOX {100000}\r\n").await;
    assert!(client.line().await.unwrap().starts_with('+'));
    let drip = async {
        for _ in 0..10 {
            client.send("x").await;
        }
        client.rest().await
    };
    let rest = tokio::time::timeout(Duration::from_secs(20), drip).await.unwrap();
    assert!(rest.contains("* BYE The rest of the command did not arrive"), "{rest}");
}

#[tokio::test]
async fn no_literal_holds_nul_and_sizes_stay() {
    let world = World::new(settings()).await;
    let mut client = world.connect();
    client.log_in("ann").await;
    let message = "Subject: a\0b\r\nX-Odd: \0\r\n\r\nbody\0\r\n";
    let length = message.len();
    let lines = client.command(&format!("a APPEND INBOX {{{length}+}}\r\n{message}")).await;
    assert!(lines[0].starts_with("a OK"), "{lines:?}");
    client.command("b SELECT INBOX").await;
    client.send("c FETCH 1 (RFC822.SIZE BODY.PEEK[] BODY.PEEK[HEADER] BODY.PEEK[HEADER.FIELDS (X-ODD)])\r\n").await;
    client.send("d FETCH 1 (ENVELOPE BODY.PEEK[HEADER.FIELDS (SUBJECT)] PREVIEW BINARY.PEEK[TEXT])\r\n").await;
    client
        .send("e FETCH 1 (BODY.PEEK[TEXT]<0.5> BODY.PEEK[HEADER.FIELDS (SUBJECT)] BODYSTRUCTURE)\r\nf LOGOUT\r\n")
        .await;
    let rest = client.rest().await;
    assert!(!rest.contains('\0') && rest.contains("e OK"), "{rest}");
    assert!(rest.contains(&format!("RFC822.SIZE {length} BODY[] {{{length}}}\r\nSubject: a\u{fffd}b\r\n")), "{rest}");
    // Where NUL may stand it stays.
    let mut client = world.connect();
    client.log_in("ann").await;
    client.command("b SELECT INBOX").await;
    let lines = client.command("c FETCH 1 BINARY.PEEK[1]").await;
    assert!(lines[0].ends_with("BINARY[1] ~{7}") && lines[1] == "body\0", "{lines:?}");
}

#[tokio::test]
async fn who_has_as_many_folders_as_there_may_be_is_shown_them() {
    let storage = MailboxSettings { folders_per_user: 4, ..MailboxSettings::default() };
    let world = World::with(settings(), storage).await;
    let mut client = world.connect();
    client.log_in("ann").await;
    // Before anything is listed, and with it the usual folders are made.
    for (folder, wanted) in [("a", "x OK"), ("b", "x OK"), ("c", "x OK"), ("d", "x NO [LIMIT]")] {
        let lines = client.command(&format!("x CREATE {folder}")).await;
        assert!(lines[0].starts_with(wanted), "{folder}: {lines:?}");
    }
    let lines = client.command("y LIST \"\" *").await;
    assert!(lines.last().unwrap().starts_with("y OK"), "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("* LIST ")).count(), 4, "{lines:?}");
    for command in ["z DELETE a", "z CREATE d", "z SUBSCRIBE b", "z STATUS INBOX (MESSAGES)"] {
        let lines = client.command(command).await;
        assert!(lines.last().unwrap().starts_with("z OK"), "{command}: {lines:?}");
    }
}

#[tokio::test]
async fn messages_put_together_have_the_limits_of_others() {
    let memory = ImapSettings {
        append_limit: ByteSize::bytes(60_000),
        append_memory: ByteSize::kib(64),
        append_patience: Span::millis(50),
        ..settings()
    };
    let world = World::new(memory).await;
    let (mut bob, mut ann) = (world.connect(), world.connect());
    bob.log_in("bob").await;
    ann.log_in("ann").await;
    let lines = bob.command(&format!("a APPEND INBOX {{40000+}}\r\n{}", "x".repeat(40_000))).await;
    assert!(lines[0].starts_with("a OK"), "{lines:?}");
    let lines = bob.command("b APPEND INBOX CATENATE (URL /INBOX/;UID=1 URL /INBOX/;UID=1)").await;
    assert!(lines[0].starts_with("b NO [TOOBIG]"), "{lines:?}");
    ann.send("c APPEND INBOX {40000}\r\n").await;
    assert!(ann.line().await.unwrap().starts_with('+'));
    let lines = bob.command("d APPEND INBOX CATENATE (URL /INBOX/;UID=1)").await;
    assert!(lines[0].starts_with("d NO [LIMIT]"), "{lines:?}");
    let lines = bob.command("e APPEND INBOX CATENATE (URL /INBOX/;UID=1/;PARTIAL=0.10)").await;
    assert!(lines[0].starts_with("e OK"), "{lines:?}");
}

#[tokio::test]
async fn results_that_are_too_large_are_not_followed() {
    let world = World::new(ImapSettings { search_contexts: 1, search_context_runs: 1, ..settings() }).await;
    let mut client = world.connect();
    client.log_in("ann").await;
    client.command("a APPEND INBOX {1+}\r\n1 {1+}\r\n2 {1+}\r\n3").await;
    client.command("b SELECT INBOX").await;
    let lines = client.command("c SEARCH RETURN (UPDATE COUNT) 1,3").await;
    assert!(lines[1].starts_with("* NO [NOUPDATE \"c\"]") && lines[2].starts_with("c OK"), "{lines:?}");
    let lines = client.command("d SEARCH RETURN (UPDATE) SEEN").await;
    assert!(lines[1].starts_with("d OK"), "{lines:?}");
    let lines = client.command("e STORE 1 +FLAGS.SILENT (\\Seen)").await;
    assert_eq!(lines[0], "* ESEARCH (TAG \"d\") ADDTO (0 1)", "{lines:?}");
    let lines = client.command("f STORE 3 +FLAGS.SILENT (\\Seen)").await;
    assert!(lines[0].starts_with("* NO [NOUPDATE \"d\"]"), "{lines:?}");
    let lines = client.command("g STORE 3 -FLAGS.SILENT (\\Seen)").await;
    assert!(lines[0].starts_with("g OK"), "{lines:?}");
}

#[tokio::test]
async fn a_draft_in_a_full_maildir_can_be_replaced() {
    let world = World::new(settings()).await;
    let maildir = world.maildir("ann");
    for place in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(maildir.join(place)).unwrap();
    }
    std::fs::write(maildir.join("maildirsize"), "4S,1C\n").unwrap();
    let mut client = world.connect();
    client.log_in("ann").await;
    for (command, wanted) in [
        ("a APPEND INBOX {4+}\r\na: b", "a OK"),
        ("b APPEND INBOX {1+}\r\na", "b NO [OVERQUOTA]"),
        ("c SELECT INBOX", "c OK"),
        ("d REPLACE 1 INBOX {5+}\r\na: bc", "d NO [OVERQUOTA]"),
        ("e REPLACE 1 INBOX {4+}\r\na: c", "e OK"),
        ("f UID FETCH 2 BODY.PEEK[]", "f OK"),
    ] {
        let lines = client.command(command).await;
        assert!(lines.last().unwrap().starts_with(wanted), "{command}: {lines:?}");
    }
}

#[tokio::test]
async fn fields_longer_than_summaries_keep_are_searched() {
    let world = World::new(settings()).await;
    let mut client = world.connect();
    client.log_in("ann").await;
    let filler = format!("=?utf-8?b?eA==?= {}\r\n ", "x".repeat(60)).repeat(1_200);
    let message = format!("To: {filler}<far@b.test>\r\nSubject: {filler}end\r\nX-Long: {filler}end\r\n\r\n");
    let appended = client.command(&format!("a APPEND INBOX {{{}+}}\r\n{message}", message.len())).await;
    assert!(appended.last().unwrap().starts_with("a OK"), "{appended:?}");
    client.command("b SELECT INBOX").await;
    for (criteria, found) in [
        ("SUBJECT end", true),
        ("TO far@b.test", true),
        ("HEADER X-Long end", true),
        ("TEXT end", true),
        ("SUBJECT far", false),
        ("NOT SUBJECT end", false),
    ] {
        let lines = client.command(&format!("c SEARCH {criteria}")).await;
        assert_eq!(lines[0].trim_end(), if found { "* SEARCH 1" } else { "* SEARCH" }, "{criteria}");
    }
}
