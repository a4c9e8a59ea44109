//! Runs `tests/talks/smtp-*.talk`.
//!
//! `mode: relay|submission|lmtp` comes first. `C: text` sends a line, `R: text` sends octets with `\r \n \t \0 \\` and no
//! CRLF of their own. `S: text` is the next line the server must send; `*` in it stands for anything. `E:` is the end
//! of the connection. `M: n` says how many copies the mailboxes hold, `H: text` a text the last of them holds, `A: text` one
//! it does not hold, and `Q: address here|elsewhere` a recipient of the last entry of the queue. `#` is a comment.

use std::path::Path;

use postrider::protocols::smtp::Mode;
use postrider::services::handover::Bound;

use super::world::{Client, Wishes, World};

fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

fn octets(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'r') => b'\r',
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(b'0') => 0,
                Some(other) => other,
                None => b'\\',
            },
            other => other,
        });
    }
    out
}

async fn play(path: &Path) {
    let script = std::fs::read_to_string(path).unwrap();
    let mut lines = script.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let mode = match lines.next().map(|(_, line)| line) {
        Some("mode: relay") => Mode::Relay,
        Some("mode: submission") => Mode::Submission,
        Some("mode: lmtp") => Mode::Lmtp,
        other => panic!("{}: {other:?} is no mode", path.display()),
    };
    let world = World::new(Wishes::new(mode)).await;
    let mut client = world.connect();
    for (number, line) in lines {
        let place = format!("{}:{}", path.display(), number + 1);
        step(&world, &mut client, line, &place).await;
    }
}

async fn step(world: &World, client: &mut Client, line: &str, place: &str) {
    let (mark, text) = line.split_once(':').unwrap_or_else(|| panic!("{place}: no mark"));
    let text = text.strip_prefix(' ').unwrap_or(text);
    let last = || world.mailboxes.0.lock().last().cloned().map(|(_, text)| text).unwrap_or_default();
    match mark {
        "C" => client.send(format!("{text}\r\n").as_bytes()).await,
        "R" => client.send(&octets(text)).await,
        "S" => {
            let line = client.line().await.unwrap_or_else(|| panic!("{place}: the connection is closed"));
            assert!(fits(text, &line), "{place}: wanted `{text}`, got `{line}`");
        }
        "E" => assert_eq!(client.line().await, None, "{place}"),
        "M" => assert_eq!(world.mailboxes.0.lock().len(), text.parse::<usize>().unwrap(), "{place}"),
        "H" => {
            let wanted = String::from_utf8(octets(text)).unwrap();
            assert!(last().contains(&wanted), "{place}: `{text}` is not in:\n{}", last());
        }
        "A" => {
            let wanted = String::from_utf8(octets(text)).unwrap();
            assert!(!last().contains(&wanted), "{place}: `{text}` is in:\n{}", last());
        }
        "Q" => {
            let (address, bound) = text.split_once(' ').unwrap();
            let bound = if bound == "here" { Bound::Here } else { Bound::Elsewhere };
            let entries = world.queue.entries.lock();
            let entry = entries.last().unwrap_or_else(|| panic!("{place}: the queue is empty"));
            assert!(entry.0.contains(&(address.to_owned(), bound)), "{place}: {entry:?}");
        }
        other => panic!("{place}: {other} is no mark"),
    }
}

#[tokio::test]
async fn talks() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/talks");
    let mut played = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("smtp-")) {
            play(&path).await;
            played += 1;
        }
    }
    assert!(played > 5);
}
