//! The modification sequences that QRESYNC leaves a client with, and what it is told when it returns with them.

use super::world::{Client, World, settings};

/// A client with QRESYNC in an inbox of three messages, the second marked `\Deleted`, and another session there.
async fn two_sessions(world: &World) -> (Client, Client) {
    let (mut one, mut other) = (world.connect(), world.connect());
    one.log_in("ann").await;
    other.log_in("ann").await;
    for _ in 0..3 {
        one.command("a APPEND INBOX {2+}\r\na:").await;
    }
    one.command("b ENABLE QRESYNC").await;
    one.command("c SELECT INBOX").await;
    one.command("d STORE 2 +FLAGS (\\Deleted)").await;
    other.command("a SELECT INBOX").await;
    (one, other)
}

/// The number of a response code in the lines.
fn code(lines: &[String], name: &str) -> u64 {
    let mark = format!("[{name} ");
    let found = lines.iter().find_map(|line| line.split_once(&mark)?.1.split_once(']'));
    found.unwrap_or_else(|| panic!("no {name} in {lines:?}")).0.parse().unwrap()
}

/// The responses when the client selects the inbox again with what it was told.
async fn back(client: &mut Client, mod_seq: u64) -> Vec<String> {
    let validity = code(&client.command("y EXAMINE INBOX").await, "UIDVALIDITY");
    client.command("z UNSELECT").await;
    client.command(&format!("r SELECT INBOX (QRESYNC ({validity} {mod_seq}))")).await
}

fn has(lines: &[String], part: &str) -> bool {
    lines.iter().any(|line| line.contains(part))
}

#[tokio::test]
async fn close_tells_no_mod_sequence_above_what_the_client_was_told() {
    let world = World::new(settings()).await;
    let (mut one, mut other) = two_sessions(&world).await;
    other.command("b STORE 1 +FLAGS (\\Flagged)").await;
    other.command("c STORE 3 +FLAGS (\\Deleted)").await;
    other.command("d UID EXPUNGE 3").await;
    let closed = one.command("e CLOSE").await;
    let lines = back(&mut one, code(&closed, "HIGHESTMODSEQ")).await;
    assert!(has(&lines, "* 1 FETCH (UID 1 FLAGS (\\Flagged"), "{closed:?} {lines:?}");
    assert!(has(&lines, "* VANISHED (EARLIER) 2:3"), "{closed:?} {lines:?}");
}

#[tokio::test]
async fn close_tells_the_new_mod_sequence_when_nobody_else_has_changed_anything() {
    let world = World::new(settings()).await;
    let (mut one, _other) = two_sessions(&world).await;
    let closed = code(&one.command("e CLOSE").await, "HIGHESTMODSEQ");
    let lines = back(&mut one, closed).await;
    assert_eq!(code(&lines, "HIGHESTMODSEQ"), closed);
    assert!(!has(&lines, "VANISHED") && !has(&lines, "FETCH"), "{lines:?}");
}

/// RFC 7162 §3.2.8: it takes messages that it saw flagged as deleted for gone.
#[tokio::test]
async fn a_client_knows_which_marks_others_have_made_and_taken_away_when_it_closes() {
    let world = World::new(settings()).await;
    let (mut one, mut other) = two_sessions(&world).await;
    other.command("b STORE 2 -FLAGS (\\Deleted)").await;
    other.command("c STORE 3 +FLAGS (\\Deleted marked)").await;
    other.command("d APPEND INBOX {2+}\r\na:").await;
    let closed = one.command("e CLOSE").await;
    assert!(has(&closed, "* FLAGS (") && has(&closed, " marked)"), "{closed:?}");
    assert!(has(&closed, "* 2 FETCH (UID 2 FLAGS (\\Recent) MODSEQ "), "{closed:?}");
    assert!(has(&closed, "* 3 FETCH (UID 3 FLAGS (\\Deleted marked \\Recent) MODSEQ "), "{closed:?}");
    assert!(!has(&closed, "EXISTS") && !has(&closed, "EXPUNGE") && !has(&closed, "VANISHED"), "{closed:?}");
    // As it does not know of the new message, it is told everything once more.
    let lines = back(&mut one, code(&closed, "HIGHESTMODSEQ")).await;
    assert!(has(&lines, "* 3 EXISTS") && has(&lines, "* VANISHED (EARLIER) 3"), "{closed:?} {lines:?}");
    assert!(has(&lines, "* 2 FETCH (UID 2 ") && has(&lines, "* 3 FETCH (UID 4 "), "{closed:?} {lines:?}");
}

#[tokio::test]
async fn a_client_that_is_told_of_all_flags_when_it_closes_comes_back_with_nothing_to_learn() {
    let world = World::new(settings()).await;
    let (mut one, mut other) = two_sessions(&world).await;
    other.command("b STORE 2 -FLAGS (\\Deleted)").await;
    other.command("c STORE 3 +FLAGS (\\Deleted)").await;
    let closed = code(&one.command("e CLOSE").await, "HIGHESTMODSEQ");
    let lines = back(&mut one, closed).await;
    assert_eq!(code(&lines, "HIGHESTMODSEQ"), closed);
    assert!(has(&lines, "* 2 EXISTS") && !has(&lines, "VANISHED") && !has(&lines, "FETCH"), "{lines:?}");
}

#[tokio::test]
async fn expunge_tells_no_mod_sequence_above_what_notify_has_kept_from_the_client() {
    for notify in ["NOTIFY NONE", "NOTIFY SET (SELECTED (MessageNew MessageExpunge))"] {
        for command in ["EXPUNGE", "UID MOVE 2 Archive", "UID REPLACE 2 Archive {2+}\r\nb:"] {
            let world = World::new(settings()).await;
            let (mut one, mut other) = two_sessions(&world).await;
            one.command("e CREATE Archive").await;
            one.command(&format!("f {notify}")).await;
            other.command("b STORE 1 +FLAGS (\\Flagged)").await;
            let expunged = one.command(&format!("g {command}")).await;
            let told = code(&expunged[expunged.len() - 1..], "HIGHESTMODSEQ");
            let lines = back(&mut one, told).await;
            assert!(has(&lines, "* 1 FETCH (UID 1 FLAGS (\\Flagged"), "{notify}, {command}: {expunged:?} {lines:?}");
        }
    }
}

#[tokio::test]
async fn a_mod_sequence_that_is_told_hides_no_expunge_that_is_held_back() {
    let world = World::new(settings()).await;
    let (mut one, mut other) = two_sessions(&world).await;
    other.command("b STORE 3 +FLAGS (\\Deleted)").await;
    one.command("e NOOP").await;
    other.command("c UID EXPUNGE 3").await;
    // Its FETCH reports a modification sequence above that of the expunge.
    let stored = one.command("f STORE 1 +FLAGS (\\Flagged)").await;
    let told = code(&stored, "HIGHESTMODSEQ");
    let lines = back(&mut one, told).await;
    assert!(has(&lines, "* VANISHED (EARLIER) 3"), "{stored:?} {lines:?}");
}

/// The same between commands: NOTIFY with SELECTED-DELAYED holds expunges back, but not flags.
#[tokio::test]
async fn what_notify_tells_between_commands_hides_no_expunge_that_is_held_back() {
    let world = World::new(settings()).await;
    let (mut one, mut other) = two_sessions(&world).await;
    one.command("e NOTIFY SET (SELECTED-DELAYED (MessageNew MessageExpunge FlagChange))").await;
    other.command("b STORE 3 +FLAGS (\\Deleted)").await;
    other.command("c UID EXPUNGE 3").await;
    other.command("d STORE 1 +FLAGS (\\Flagged)").await;
    let mut told: Vec<String> = Vec::new();
    while !(has(&told, "* 1 FETCH ") && told.last().is_some_and(|line| line.contains("[HIGHESTMODSEQ "))) {
        told.push(one.line().await.expect("a notification"));
    }
    one.command("f UNSELECT").await;
    let lines = back(&mut one, code(&told[told.len() - 1..], "HIGHESTMODSEQ")).await;
    assert!(has(&lines, "* VANISHED (EARLIER) 3"), "{told:?} {lines:?}");
}

/// The same during IDLE, for flags that the client does not want to know of.
#[tokio::test]
async fn what_idle_tells_hides_no_flags_that_notify_keeps_from_the_client() {
    let world = World::new(settings()).await;
    let (mut one, mut other) = two_sessions(&world).await;
    one.command("e NOTIFY SET (SELECTED (MessageNew (UID FLAGS) MessageExpunge))").await;
    one.send("f IDLE\r\n").await;
    other.command("b STORE 1 +FLAGS (\\Flagged)").await;
    other.command("c APPEND INBOX {2+}\r\na:").await;
    let mut told: Vec<String> = Vec::new();
    while !(has(&told, "* 4 FETCH ") && told.last().is_some_and(|line| line.contains("[HIGHESTMODSEQ "))) {
        told.push(one.line().await.expect("a notification"));
    }
    // The connection breaks, and the client comes back.
    let mut again = world.connect();
    again.log_in("ann").await;
    again.command("b ENABLE QRESYNC").await;
    let lines = back(&mut again, code(&told[told.len() - 1..], "HIGHESTMODSEQ")).await;
    assert!(has(&lines, "* 1 FETCH (UID 1 FLAGS (\\Flagged"), "{told:?} {lines:?}");
}

/// It was told a modification sequence at each change of one.
#[tokio::test]
async fn a_client_that_wants_no_flags_from_notify_is_not_woken_by_them() {
    let world = World::new(settings()).await;
    let (mut one, mut other) = two_sessions(&world).await;
    one.command("e NOTIFY SET (SELECTED (MessageNew MessageExpunge))").await;
    for n in 0..20 {
        other.command(&format!("b{n} STORE 1 {}FLAGS (\\Flagged)", if n % 2 == 0 { '+' } else { '-' })).await;
    }
    let lines = one.command("f NOOP").await;
    let told: Vec<_> = lines.iter().filter(|line| line.contains("[HIGHESTMODSEQ ")).collect();
    assert_eq!(told.len(), 1, "{lines:?}");
}

#[tokio::test]
async fn a_client_that_knows_everything_is_told_no_mod_sequence() {
    let world = World::new(settings()).await;
    let (mut one, mut other) = two_sessions(&world).await;
    other.command("b STORE 3 +FLAGS (\\Deleted)").await;
    other.command("c UID EXPUNGE 3").await;
    assert!(has(&one.command("e FETCH 1 FLAGS").await, "HIGHESTMODSEQ"));
    for command in ["NOOP", "FETCH 1 FLAGS", "STORE 1 +FLAGS (\\Flagged)"] {
        let lines = one.command(&format!("f {command}")).await;
        assert!(!has(&lines, "HIGHESTMODSEQ"), "{command}: {lines:?}");
    }
}

/// It was slow in proportion to UIDNEXT, not to the messages.
#[tokio::test]
async fn high_uids_are_compared_at_once() {
    let world = World::new(settings()).await;
    let home = world.maildir("ann");
    for directory in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(home.join(directory)).unwrap();
    }
    for name in ["a", "b"] {
        std::fs::write(home.join("cur").join(format!("{name}:2,")), "a:\r\n").unwrap();
    }
    let uids = "3 V7 N4000000011 G0\n4000000000 :a\n4000000010 :b\n";
    std::fs::write(home.join("dovecot-uidlist"), uids).unwrap();
    let mut client = world.connect();
    client.log_in("ann").await;
    client.command("b ENABLE QRESYNC").await;
    let lines = client.command("c SELECT INBOX (QRESYNC (7 1 (1 4000000000)))").await;
    assert!(has(&lines, "* VANISHED (EARLIER) 4000000001:4000000009"), "{lines:?}");
    assert!(has(&lines, "* 2 FETCH (UID 4000000010 "), "{lines:?}");
}
