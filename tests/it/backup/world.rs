//! The environment of the backup tests.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;

use crate::harness::cli::printed;
use crate::harness::{Host, cli};

/// Runs `postrider backup …` beside a server; returns its JSON output and its status.
pub async fn backup(host: &Host, arguments: &[&str]) -> (Value, i32) {
    let output = command(host, arguments).output().await.unwrap();
    (printed(arguments, &output), output.status.code().unwrap())
}

/// The same, for a command that must succeed.
pub async fn done(host: &Host, arguments: &[&str]) -> Value {
    let (value, code) = backup(host, arguments).await;
    assert_eq!(code, 0, "{arguments:?}: {value}");
    value
}

pub fn command(host: &Host, arguments: &[&str]) -> Command {
    let mut command = cli::command(&host.config());
    command.arg("backup").args(arguments);
    command
}

/// Settings that store backups in a directory.
pub fn settings(destination: &Path) -> String {
    format!("[backup]\ndestination = \"{}\"\n", destination.display())
}

/// What a client sees of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    pub uid_validity: String,
    /// UID, flags, date and content of each message.
    pub messages: Vec<String>,
}

/// A user's client's view: every folder, and the subscribed ones.
pub async fn picture(host: &Host, user: &str) -> (BTreeMap<String, Folder>, Vec<String>) {
    let mut imap = host.imap(user).await;
    let names = |lines: &[String]| -> Vec<String> {
        let name = |line: &String| line.rsplit_once("\"/\" ").unwrap().1.trim_matches('"').to_owned();
        let mut names: Vec<String> = lines.iter().map(name).collect();
        names.sort();
        names
    };
    let mut listed = imap.ok("LIST \"\" \"*\"").await.untagged;
    listed.retain(|line| !line.contains("\\NonExistent") && !line.contains("\\Noselect"));
    let listed = names(&listed);
    let subscribed = names(&imap.ok("LSUB \"\" \"*\"").await.untagged);
    let mut folders = BTreeMap::new();
    for name in listed {
        let opened = imap.ok(&format!("EXAMINE \"{name}\"")).await;
        let uid_validity = opened.with("[UIDVALIDITY").next().unwrap().to_owned();
        let mut messages = Vec::new();
        if opened.number("EXISTS") != Some(0) {
            for line in imap.ok("UID FETCH 1:* (UID FLAGS INTERNALDATE BODY.PEEK[])").await.untagged {
                // Whether a message is recent depends on who looked at it.
                messages.push(line.replace(" \\Recent", "").replace("\\Recent", "").replace("( ", "("));
            }
        }
        folders.insert(name, Folder { uid_validity, messages });
    }
    (folders, subscribed)
}

/// A message with a Message-ID and some lines.
pub fn message(id: &str, lines: usize) -> String {
    let body = format!("A line of {id} that says something.\r\n").repeat(lines);
    format!("From: eve@elsewhere.test\r\nTo: ann@example.test\r\nMessage-ID: <{id}>\r\nSubject: {id}\r\n\r\n{body}")
}

/// Delivers messages over LMTP.
pub async fn deliver(host: &Host, user: &str, ids: impl IntoIterator<Item = String>) {
    let mut lmtp = host.lmtp().await;
    for id in ids {
        let reply = lmtp.deliver("eve@elsewhere.test", &[user], &message(&id, 3)).await;
        assert_eq!(reply.code, 250, "{}", reply.text());
    }
}

/// The files of all packs.
pub fn packs(destination: &Path) -> Vec<PathBuf> {
    let directories = fs::read_dir(destination.join("packs")).unwrap().map(|entry| entry.unwrap().path());
    let files = directories.filter(|path| path.is_dir()).flat_map(|path| fs::read_dir(path).unwrap());
    let mut packs: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    packs.sort();
    packs
}

/// Gives ann 3,000 messages that the server has not seen, in a directory.
pub fn much_unseen(host: &Host) -> PathBuf {
    unseen(host, 3000, |n| message(&format!("{n}@x"), 40))
}

/// Gives ann 200 messages that do not compress, enough for several packs of a mebibyte.
pub fn much_noise(host: &Host) {
    let mut state = 1u64;
    let mut line = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{state:016x}{:016x}\r\n", state.rotate_left(17))
    };
    unseen(host, 200, |n| message(&format!("{n}@x"), 1) + &(0..2000).map(|_| line()).collect::<String>());
}

fn unseen(host: &Host, messages: u32, mut content: impl FnMut(u32) -> String) -> PathBuf {
    let folder = host.mail_root().join("example.test/ann");
    for directory in ["cur", "new", "tmp"] {
        fs::create_dir_all(folder.join(directory)).unwrap();
    }
    for n in 0..messages {
        fs::write(folder.join(format!("new/{n}.M1P1.host")), content(n)).unwrap();
    }
    folder
}
