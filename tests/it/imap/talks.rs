//! Conversations from `tests/talks/imap/*.talk`, each in a world of its own.
//!
//! A line is `C: ` and what the client sends, or `S: ` and what the server must answer, where `…` stands for any text.
//! With a number (`C2: `) it belongs to another connection, which begins with its first line. `@login` stands for
//! greeting and login as ann, `@login bob` for bob's; `@login2 ann` is connection 2. `S? ` passes over lines until one
//! matches. `#` begins a comment.

use std::collections::BTreeMap;
use std::path::Path;

use super::world::{Client, World, settings};

/// Less than the client's own patience, so that the failing line is named.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

#[tokio::test]
async fn talks_go_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/talks/imap");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    let mut failed = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if let Err(problem) = talk(&std::fs::read_to_string(&path).unwrap()).await {
            failed.push(format!("{name}: {problem}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

async fn talk(script: &str) -> Result<(), String> {
    let world = World::new(settings()).await;
    let mut clients: BTreeMap<u32, Client> = BTreeMap::new();
    for (n, line) in script.lines().enumerate() {
        let n = n + 1;
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(login) = line.strip_prefix("@login") {
            let (number, user) = login.split_once(' ').unwrap_or((login, "ann"));
            let client = clients.entry(number.parse().unwrap_or(1)).or_insert_with(|| world.connect());
            client.log_in(user).await;
            continue;
        }
        let (who, text) = line.split_once([':', '?']).ok_or(format!("line {n} is neither C: nor S:"))?;
        let text = text.strip_prefix(' ').unwrap_or(text);
        let client = clients.entry(who[1..].parse().unwrap_or(1)).or_insert_with(|| world.connect());
        match (&who[..1], line[who.len()..].starts_with('?')) {
            ("C", _) => client.send(format!("{text}\r\n")).await,
            ("S", skip) => match tokio::time::timeout(PATIENCE, expect(client, text, skip)).await {
                Ok(met) => met.map_err(|problem| format!("line {n}: {problem}"))?,
                Err(_) => return Err(format!("line {n}: `{text}` expected, nothing more came")),
            },
            _ => return Err(format!("line {n} is neither C: nor S:")),
        }
    }
    Ok(())
}

async fn expect(client: &mut Client, pattern: &str, skip: bool) -> Result<(), String> {
    let mut passed = Vec::new();
    loop {
        let Some(line) = client.line().await else {
            return Err(format!("`{pattern}` expected, the connection has ended after {passed:?}"));
        };
        if matches(pattern, &line) {
            return Ok(());
        }
        if !skip {
            return Err(format!("`{pattern}` expected, `{line}` came"));
        }
        passed.push(line);
    }
}

/// Whether a line has the pattern's pieces in order, with anything where `…` stands.
fn matches(pattern: &str, line: &str) -> bool {
    let mut pieces = pattern.split('…');
    let Some(mut rest) = pieces.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}
