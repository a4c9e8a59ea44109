//! How intake handles a milter's answers about single recipients.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use postrider::foundations::event::EventKind;
use postrider::foundations::settings::{Live, Span};
use postrider::protocols::smtp::Mode;
use postrider::services::filter::{Endpoint, FilterSettings, MilterSettings, OnFailure};
use postrider::services::intake::{IntakeSettings, LmtpVerdict, Quarantine};
use postrider::storage::journal::Query;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use super::world::{Client, Wishes, World};

/// Answers of a milter: for the recipient of this local part, at the stage of this name, or (empty) at the end of the message,
/// these packets.
pub(crate) type Script = &'static [(&'static str, &'static [(u8, &'static [u8])])];

/// What milters receive, by number of milter and of connection: the command, and its data.
pub(crate) type Heard = Arc<Mutex<Vec<(usize, usize, char, String)>>>;

async fn serve(
    mut stream: UnixStream,
    script: Script,
    (milter, connection): (usize, usize),
    heard: Heard,
) -> std::io::Result<()> {
    loop {
        let mut data = vec![0; stream.read_u32().await? as usize];
        stream.read_exact(&mut data).await?;
        let (command, text) = (data[0], String::from_utf8_lossy(&data[1..]).into_owned());
        heard.lock().push((milter, connection, char::from(command), text.clone()));
        let wanted = |name: &str| match command {
            b'R' => !name.is_empty() && text.starts_with(&format!("<{name}@")),
            b'E' => name.is_empty(),
            b'C' => name == "CONNECTION",
            b'H' => name == "GREETING",
            b'M' => name == "SENDER",
            _ => false,
        };
        let mut packets: Vec<(u8, &[u8])> = match command {
            b'D' => continue,
            b'Q' => return Ok(()),
            b'O' => vec![(b'O', &[0, 0, 0, 6, 0, 0, 0, 0xff, 0, 0, 0, 0])],
            _ => script.iter().filter(|(name, _)| wanted(name)).flat_map(|(_, packets)| packets.to_vec()).collect(),
        };
        if command == b'E' || packets.is_empty() {
            packets.push((b'c', b""));
        }
        for (command, data) in packets {
            stream.write_u32(u32::try_from(data.len() + 1).unwrap()).await?;
            stream.write_u8(command).await?;
            stream.write_all(data).await?;
        }
    }
}

/// Starts such a milter at this path. It ends with the test.
#[expect(clippy::disallowed_methods, reason = "ends with the test")]
pub(crate) fn begin(path: &Path, script: Script, number: usize, heard: Heard) {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        for connection in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream, script, (number, connection), Arc::clone(&heard)));
        }
    });
}

/// A server that asks such a milter. The directory holds its socket.
async fn world(mode: Mode, script: Script) -> (World, tempfile::TempDir) {
    failing(mode, script, OnFailure::Accept).await
}

/// The same, with the action for a milter that talks nonsense.
async fn failing(mode: Mode, script: Script, on_failure: OnFailure) -> (World, tempfile::TempDir) {
    let (world, place, _) = asking(mode, &[script], on_failure).await;
    (world, place)
}

/// A server that asks such milters one after the other, and what they receive.
async fn asking(mode: Mode, scripts: &[Script], on_failure: OnFailure) -> (World, tempfile::TempDir, Heard) {
    let (place, heard) = (tempfile::tempdir().unwrap(), Heard::default());
    let mut milters = Vec::new();
    for (number, script) in scripts.iter().copied().enumerate() {
        let name = format!("odd{number}");
        let path = place.path().join(&name);
        begin(&path, script, number, Arc::clone(&heard));
        let (address, timeout) = (Some(Endpoint::Unix(path)), Span::seconds(20));
        milters.push(MilterSettings { name, address, timeout, on_failure, ..MilterSettings::default() });
    }
    let spam = FilterSettings { milters, ..FilterSettings::default() };
    let intake = Live::new(IntakeSettings { lmtp: LmtpVerdict::Judge, ..IntakeSettings::default() });
    (World::new(Wishes { spam, intake, ..Wishes::new(mode) }).await, place, heard)
}

/// The commands that a milter has received.
fn commands(heard: &Heard, milter: usize) -> String {
    let heard = heard.lock();
    let own = heard.iter().filter(|(number, _, command, _)| *number == milter && *command != 'D');
    own.map(|(_, _, command, _)| *command).collect()
}

async fn send(client: &mut Client, hello: &str, recipients: &[&str]) -> Vec<String> {
    assert!(client.reply().await.starts_with("220"));
    assert!(client.command(hello).await.starts_with("250"));
    client.command("MAIL FROM:<eve@elsewhere.test>").await;
    for recipient in recipients {
        assert!(client.command(&format!("RCPT TO:<{recipient}@example.test>")).await.starts_with("250"));
    }
    client.command("DATA").await;
    let mut replies = vec![client.command("Subject: x\r\n\r\nx\r\n.").await];
    while hello.starts_with("LHLO") && replies.len() < recipients.len() {
        replies.push(client.reply().await);
    }
    replies
}

#[tokio::test]
async fn another_sender_is_put_in_place() {
    const CASES: &[(Script, &str)] = &[
        (&[("", &[(b'e', b"<bounces@elsewhere.test>\0")])], "bounces@elsewhere.test"),
        (&[("", &[(b'e', b"<one@elsewhere.test>\0"), (b'e', b"two@elsewhere.test\0SIZE=1\0")])], "two@elsewhere.test"),
        (&[("", &[(b'e', b"<>\0")])], ""),
        (&[("", &[(b'e', b"<nonsense>\0")])], "eve@elsewhere.test"),
    ];
    for (script, sender) in CASES {
        let (world, _place) = world(Mode::Relay, script).await;
        let replies = send(&mut world.connect(), "EHLO client.example", &["away"]).await;
        assert!(replies[0].starts_with("250"), "{sender}: {replies:?}");
        assert_eq!(world.queue.mails.lock()[0].0, *sender);
    }
}

#[tokio::test]
async fn each_command_has_the_milters_answer() {
    const NO: &[(u8, &[u8])] = &[(b'y', b"550-5.7.26 No\r\n550 5.7.26 mail, 100%% sure\0")];
    const LATER: &[(u8, &[u8])] = &[(b't', b"")];
    let (world, _place) = world(Mode::Relay, &[("ann", NO), ("broken", LATER)]).await;
    let mut client = world.connect();
    assert!(client.reply().await.starts_with("220"));
    for (command, wanted) in [
        ("EHLO client.example", "250"),
        ("MAIL FROM:<eve@elsewhere.test>", "250"),
        ("RCPT TO:<ann@example.test>", "550 5.7.26 No mail, 100% sure"),
        ("RCPT TO:<nobody@example.test>", "550 5.1.1"),
        ("RCPT TO:<bob@example.test>", "250"),
        ("RCPT TO:<broken@example.test>", "451 4.7.1"),
        ("DATA", "354"),
        ("Subject: x\r\n\r\nx\r\n.", "250"),
        ("MAIL FROM:<eve@elsewhere.test>", "250"),
        ("RCPT TO:<ann@example.test>", "550 5.7.26 No mail, 100% sure"),
        ("DATA", "503"),
        ("RSET", "250"),
        ("MAIL FROM:<eve@elsewhere.test>", "250"),
        ("QUIT", "221"),
    ] {
        let reply = client.command(command).await;
        assert!(reply.starts_with(wanted), "{command}: {reply}");
    }
    let boxes: Vec<String> = world.mailboxes.0.lock().iter().map(|(address, _)| address.to_string()).collect();
    assert_eq!(boxes, ["bob@example.test"]);
    let journal = &world.room.journal;
    journal.flush().await;
    let query = Query { kinds: vec![EventKind::RecipientRefused], ..Query::default() };
    let events = journal.query(&query).await.unwrap();
    let refused = events.iter().filter(|event| event.details["reason"].as_str().unwrap().contains("100% sure"));
    let refused: Vec<_> = refused.map(|event| event.subject.as_deref()).collect();
    assert_eq!(refused, [Some("ann@example.test"); 2], "{events:?}");
}

#[tokio::test]
async fn client_greeting_and_sender_are_refused_at_mail() {
    const NO: &[(u8, &[u8])] = &[(b'y', b"554 5.7.1 Not from there\0")];
    for script in [&[("CONNECTION", NO)] as Script, &[("GREETING", NO)], &[("SENDER", NO)]] {
        let name = script[0].0;
        let (world, _place) = world(Mode::Relay, script).await;
        let mut client = world.connect();
        assert!(client.reply().await.starts_with("220"));
        for (command, wanted) in [
            ("EHLO client.example", "250"),
            ("MAIL FROM:<eve@elsewhere.test>", "554 5.7.1 Not from there"),
            ("RCPT TO:<ann@example.test>", "503"),
            ("MAIL FROM:<eve@elsewhere.test>", "554 5.7.1 Not from there"),
        ] {
            let reply = client.command(command).await;
            assert!(reply.starts_with(wanted), "{name}: {command}: {reply}");
        }
    }
}

#[tokio::test]
async fn a_milter_sees_what_those_before_it_have_made_of_the_message() {
    let first: Script = &[("", &[(b'h', b"X-First\0yes\0")])];
    let (world, _place, heard) = asking(Mode::Relay, &[first, &[]], OnFailure::Accept).await;
    let replies = send(&mut world.connect(), "EHLO client.example", &["ann"]).await;
    assert!(replies[0].starts_with("250"), "{replies:?}");
    let told = |milter: usize| {
        let heard = heard.lock();
        let fields = heard.iter().filter(|(number, _, command, _)| *number == milter && *command == 'L');
        fields.map(|(_, _, _, text)| text.replace('\0', "|")).collect::<Vec<_>>()
    };
    assert!(!told(0).iter().any(|field| field.starts_with("X-First|")), "{:?}", told(0));
    assert!(told(1).iter().any(|field| field.starts_with("X-First|")), "{:?}", told(1));
    // They know it by the name that the journal has.
    let journal = &world.room.journal;
    journal.flush().await;
    let events = journal.query(&Query { kinds: vec![EventKind::Verdict], ..Query::default() }).await.unwrap();
    let id = format!("i\0{}\0", events[0].mail.unwrap());
    let heard = heard.lock();
    assert!(heard.iter().any(|(_, _, command, text)| *command == 'D' && text.contains(&id)), "{id}: {heard:?}");
}

#[tokio::test]
async fn who_comes_after_a_milter_that_refuses_is_told_nothing_more() {
    const NO: &[(u8, &[u8])] = &[(b'y', b"550 5.7.1 No\0")];
    let (world, _place, heard) = asking(Mode::Relay, &[&[("CONNECTION", NO)], &[]], OnFailure::Accept).await;
    let mut client = world.connect();
    assert!(client.reply().await.starts_with("220"));
    assert!(client.command("EHLO client.example").await.starts_with("250"));
    assert!(client.command("MAIL FROM:<eve@elsewhere.test>").await.starts_with("550 5.7.1 No"));
    assert_eq!(commands(&heard, 1), "");

    let (world, _place, heard) = asking(Mode::Relay, &[&[("", NO)], &[]], OnFailure::Accept).await;
    let replies = send(&mut world.connect(), "EHLO client.example", &["ann"]).await;
    assert!(replies[0].starts_with("550 5.7.1 No"), "{replies:?}");
    let (first, second) = (commands(&heard, 0), commands(&heard, 1));
    assert!(first.contains('E') && second.contains('R') && !second.contains(['L', 'E']), "{first} {second}");
    let journal = &world.room.journal;
    journal.flush().await;
    let events = journal.query(&Query { kinds: vec![EventKind::Verdict], ..Query::default() }).await.unwrap();
    assert!(events[0].details["signals"].to_string().contains("MILTER_ODD0_REJECT"), "{events:?}");

    // Over LMTP nobody is left.
    let scripts: &[Script] = &[&[("ann", NO), ("bob", NO)]];
    let (world, _place, heard) = asking(Mode::Lmtp, scripts, OnFailure::Accept).await;
    let replies = send(&mut world.connect(), "LHLO client.example", &["ann", "bob"]).await;
    assert!(replies.iter().all(|reply| reply.starts_with("550 5.7.1")), "{replies:?}");
    assert!(!commands(&heard, 0).contains('E'), "{}", commands(&heard, 0));
}

#[tokio::test]
async fn milters_are_bidden_goodbye() {
    let (world, _place, heard) = asking(Mode::Relay, &[&[]], OnFailure::Accept).await;
    let mut client = world.connect();
    assert!(client.reply().await.starts_with("220"));
    let mail = "MAIL FROM:<eve@elsewhere.test>";
    for command in ["EHLO client.example", mail, "RSET", mail, "RCPT TO:<ann@example.test>", "DATA"] {
        client.command(command).await;
    }
    assert!(client.command("Subject: x\r\n\r\nx\r\n.").await.starts_with("250"));
    let goodbyes = || heard.lock().iter().filter(|(_, _, command, _)| *command == 'Q').count();
    let patience = tokio::time::Instant::now() + std::time::Duration::from_secs(5);
    while goodbyes() < 2 && tokio::time::Instant::now() < patience {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(goodbyes(), 2, "{:?}", heard.lock());
}

#[tokio::test]
async fn a_milter_that_fails_in_the_middle_does_what_the_settings_say() {
    for (on_failure, wanted) in [
        (OnFailure::Accept, ["250", "250", "250"]),
        (OnFailure::Later, ["451 4.7.1", "451 4.7.1", "503"]),
        (OnFailure::Refuse, ["550 5.7.1", "550 5.7.1", "503"]),
    ] {
        let (world, _place) = failing(Mode::Relay, &[("ann", &[(b'?', b"")])], on_failure).await;
        let mut client = world.connect();
        assert!(client.reply().await.starts_with("220"));
        assert!(client.command("EHLO client.example").await.starts_with("250"));
        assert!(client.command("MAIL FROM:<eve@elsewhere.test>").await.starts_with("250"));
        let replies = [
            client.command("RCPT TO:<ann@example.test>").await,
            client.command("RCPT TO:<bob@example.test>").await,
            match client.command("DATA").await {
                reply if reply.starts_with("354") => client.command("Subject: x\r\n\r\nx\r\n.").await,
                reply => reply,
            },
        ];
        assert!(replies.iter().zip(wanted).all(|(reply, wanted)| reply.starts_with(wanted)), "{wanted:?}: {replies:?}");
    }
}

#[tokio::test]
async fn who_has_logged_in_is_told_whom_a_milter_refuses() {
    let (world, _place) = world(Mode::Submission, &[("bob", &[(b'y', b"550 5.7.1 Not to Bob\0")])]).await;
    let mut client = world.connect();
    assert!(client.reply().await.starts_with("220"));
    for (command, wanted) in [
        ("EHLO client.example", "250"),
        ("AUTH PLAIN AGFubkBleGFtcGxlLnRlc3QAcGVuY2ls", "235"),
        ("MAIL FROM:<ann@example.test>", "250"),
        ("RCPT TO:<ann@example.test>", "250"),
        ("RCPT TO:<bob@example.test>", "550 5.7.1 Not to Bob"),
        ("DATA", "354"),
        ("Subject: x\r\n\r\nx\r\n.", "250"),
    ] {
        let reply = client.command(command).await;
        assert!(reply.starts_with(wanted), "{command}: {reply}");
    }
    assert_eq!(world.mailboxes.0.lock().len(), 1);
}

#[tokio::test]
async fn over_lmtp_each_recipient_has_the_milters_answer() {
    let (world, _place) = world(Mode::Lmtp, &[("bob", &[(b't', b"")])]).await;
    let replies = send(&mut world.connect(), "LHLO client.example", &["ann", "bob"]).await;
    assert!(replies[0].starts_with("250") && replies[1].starts_with("451 4.7.1 <bob@example.test>"), "{replies:?}");
    assert_eq!(world.mailboxes.0.lock().len(), 1);
}

#[tokio::test]
async fn recipients_that_a_milter_adds_and_removes_do_not_shift_the_answers_of_lmtp() {
    let script: Script = &[("", &[(b'-', b"<ann@example.test>\0"), (b'+', b"<sales@example.test>\0")])];
    let (world, _place) = world(Mode::Lmtp, script).await;
    let mut client = world.connect();
    let replies = send(&mut client, "LHLO client.example", &["ann", "bob"]).await;
    assert!(replies.iter().all(|reply| reply.starts_with("250")), "{replies:?}");
    // `sales` leads to both; the session goes on.
    let mut boxes: Vec<String> = world.mailboxes.0.lock().iter().map(|(address, _)| address.to_string()).collect();
    boxes.sort();
    assert_eq!(boxes, ["ann@example.test", "bob@example.test", "bob@example.test"]);
    assert!(client.command("NOOP").await.starts_with("250"));
}

#[tokio::test]
async fn a_message_of_which_a_milter_leaves_nobody_is_told_of() {
    let script: Script = &[("", &[(b'-', b"<ann@example.test>\0"), (b'-', b"<bob@example.test>\0")])];
    for (mode, hello) in [(Mode::Relay, "EHLO client.example"), (Mode::Lmtp, "LHLO client.example")] {
        let (world, _place) = world(mode, script).await;
        let replies = send(&mut world.connect(), hello, &["ann", "bob"]).await;
        assert!(replies.iter().all(|reply| reply.starts_with("250")), "{replies:?}");
        assert!(world.mailboxes.0.lock().is_empty());
        let journal = &world.room.journal;
        journal.flush().await;
        let events = journal.query(&Query::default()).await.unwrap();
        let dropped = events.iter().filter(|event| event.kind == EventKind::Discarded);
        let mut dropped: Vec<_> =
            dropped.map(|event| (event.subject.as_deref(), event.details["by"].as_str())).collect();
        dropped.sort_unstable();
        let wanted = ["ann@example.test", "bob@example.test"].map(|address| (Some(address), Some("milter")));
        assert_eq!(dropped, wanted, "{hello}");
        let received = events.iter().filter(|event| event.kind == EventKind::MessageReceived);
        let recipients = received.map(|event| event.details["recipients"].as_u64().unwrap()).sum::<u64>();
        assert_eq!(recipients, 2, "{hello}");
    }
}

#[tokio::test]
async fn lmtp_behind_an_alias_is_not_repeated_for_the_one_mailbox_that_failed() {
    let (world, _place) = world(Mode::Lmtp, &[("", &[(b'+', b"<broken@example.test>\0")])]).await;
    let replies = send(&mut world.connect(), "LHLO client.example", &["ann"]).await;
    assert!(replies[0].starts_with("250"), "{replies:?}");
    assert_eq!(world.mailboxes.0.lock().len(), 1);
    let entries = world.queue.entries.lock().clone();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].0[0].0, "broken@example.test");
}

#[tokio::test]
async fn what_is_held_is_somewhere_also_after_a_reload_in_the_middle() {
    let (world, _place) = world(Mode::Relay, &[("", &[(b'q', b"odd\0")])]).await;
    world.intake.set(IntakeSettings { quarantine: Quarantine::Mailbox, ..IntakeSettings::default() });
    *world.queue.reload.lock() = Some((world.intake.clone(), IntakeSettings::default()));
    let replies = send(&mut world.connect(), "EHLO client.example", &["ann", "away"]).await;
    assert!(replies[0].starts_with("250"), "{replies:?}");
    assert_eq!(world.intake.get().quarantine, Quarantine::Queue);
    assert_eq!((world.mailboxes.0.lock().len(), world.queue.entries.lock().len()), (1, 1));
}
