//! Compares what a client of the restored server sees with what is in the backup.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use crate::cli::demo::client::Client;
use crate::foundations::address::Address;
use crate::foundations::counted::counted;
use crate::foundations::mail::{Uid, crlf};
use crate::services::backup::{ExpectedFolder, ExpectedMessage, Repository, UserEntry, expected_folders};

/// The comparison for one user.
pub(super) struct Comparison {
    client: Client,
    commands: u32,
    whose: String,
    pub(super) folders: u64,
    pub(super) messages: u64,
    pub(super) contents: u64,
    pub(super) unnumbered: u64,
    pub(super) differences: Vec<String>,
}

/// What the server tells a client about a message.
struct Seen {
    size: u64,
    flags: BTreeSet<String>,
}

impl Comparison {
    /// Logs in.
    pub(super) async fn begin(
        address: SocketAddr,
        authority: &Path,
        account: &Address,
        password: &str,
    ) -> anyhow::Result<Self> {
        let mut client = Client::connect(address, authority).await?;
        client.line().await?;
        let whose = account.to_string();
        let (folders, messages, contents, unnumbered) = (0, 0, 0, 0);
        let mut comparison =
            Self { client, commands: 0, whose, folders, messages, contents, unnumbered, differences: Vec::new() };
        comparison.command(&format!("LOGIN {} {}", quoted(&account.to_string()), quoted(password))).await?;
        comparison.command("ENABLE UTF8=ACCEPT").await?;
        Ok(comparison)
    }

    /// Compares every folder, with the content of all messages or of at most the given number.
    pub(super) async fn compare(
        &mut self,
        repository: &Arc<Repository>,
        user: &UserEntry,
        most: u32,
    ) -> anyhow::Result<()> {
        let expected = {
            let (repository, user) = (Arc::clone(repository), user.clone());
            tokio::task::spawn_blocking(move || expected_folders(&repository, &user)).await??
        };
        let listed = self.command("LIST \"\" \"*\"").await?;
        let name = |line: &str| line.rsplit_once("\"/\" ").map(|(_, name)| unquoted(name));
        let there: BTreeSet<String> = listed.iter().filter_map(|(line, _)| name(line)).collect();
        // Every n-th message, so that both old and new ones are included.
        let every = match u64::from(most) {
            0 => 1,
            most => user.messages.div_ceil(most).max(1),
        };
        for folder in &expected {
            self.folders += 1;
            if there.contains(folder.name.as_str()) {
                self.folder(repository, folder, every).await?;
            } else {
                self.differs(folder, "is missing");
            }
        }
        self.command("LOGOUT").await?;
        Ok(())
    }

    async fn folder(
        &mut self,
        repository: &Arc<Repository>,
        folder: &ExpectedFolder,
        every: u64,
    ) -> anyhow::Result<()> {
        let opened = self.command(&format!("EXAMINE {}", quoted(folder.name.as_str()))).await?;
        let number =
            |line: &str, before: &str| line.split_once(before)?.1.split([']', ' ']).next()?.parse::<u32>().ok();
        let validity = opened.iter().find_map(|(line, _)| number(line, "[UIDVALIDITY "));
        if folder.uid_validity.is_some() && folder.uid_validity != validity {
            self.differs(folder, &format!("has UIDVALIDITY {validity:?} instead of {:?}", folder.uid_validity));
        }
        let seen = self.seen().await?;
        self.messages += seen.len() as u64;
        if seen.len() != folder.messages.len() {
            self.differs(
                folder,
                &format!("has {} instead of {}", counted(seen.len(), "message"), folder.messages.len()),
            );
        }
        let mut count = 0;
        for message in &folder.messages {
            // A file that the server had not seen yet, or a folder without assigned UIDs: both get new ones.
            let (Some(uid), Some(_)) = (message.uid, folder.uid_validity) else {
                self.unnumbered += 1;
                continue;
            };
            let Some(found) = seen.get(&uid) else {
                self.differs(folder, &format!("has no message with UID {uid}"));
                continue;
            };
            if found.flags != message.flags {
                let (found, wanted) = (&found.flags, &message.flags);
                self.differs(folder, &format!("UID {uid} has the flags {found:?} instead of {wanted:?}"));
            }
            // The server adds missing CRs at line ends.
            if found.size < message.size {
                self.differs(
                    folder,
                    &format!("UID {uid} has {} instead of {}", counted(found.size, "octet"), message.size),
                );
            }
            if count % every == 0 {
                self.content(repository, folder, uid, message).await?;
            }
            count += 1;
        }
        Ok(())
    }

    async fn seen(&mut self) -> anyhow::Result<BTreeMap<Uid, Seen>> {
        let fetched = self.command("UID FETCH 1:* (UID FLAGS RFC822.SIZE)").await?;
        let seen = fetched.iter().filter_map(|(line, _)| {
            let word = |name: &str| line.split_once(name)?.1.split([' ', ')']).next();
            let flags = line.split_once("FLAGS (")?.1.split(')').next()?;
            let flags = flags.split(' ').filter(|flag| !flag.is_empty() && *flag != "\\Recent").map(str::to_owned);
            Some((
                word("UID ")?.parse().ok()?,
                Seen { size: word("RFC822.SIZE ")?.parse().ok()?, flags: flags.collect() },
            ))
        });
        Ok(seen.collect())
    }

    async fn content(
        &mut self,
        repository: &Arc<Repository>,
        folder: &ExpectedFolder,
        uid: Uid,
        message: &ExpectedMessage,
    ) -> anyhow::Result<()> {
        self.contents += 1;
        let fetched = self.command(&format!("UID FETCH {uid} BODY.PEEK[]")).await?;
        let found = fetched.into_iter().find(|(line, _)| line.contains("BODY[]")).map(|(_, literal)| literal);
        let wanted = {
            let (repository, objects) = (Arc::clone(repository), message.objects.clone());
            tokio::task::spawn_blocking(move || repository.read_all(&objects)).await??
        };
        // The server adds CRs to messages that another program stored with bare line feeds.
        if found.is_none_or(|found| found != wanted && found != *crlf(&wanted)) {
            self.differs(folder, &format!("UID {uid} has different content"));
        }
        Ok(())
    }

    fn differs(&mut self, folder: &ExpectedFolder, how: &str) {
        self.differences.push(format!("{}: folder `{}` {how}", self.whose, folder.name));
    }

    async fn command(&mut self, command: &str) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        self.commands += 1;
        self.client.imap(&format!("d{}", self.commands), command).await
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The text of an atom or a quoted string.
fn unquoted(text: &str) -> String {
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(inner) => inner.replace("\\\"", "\"").replace("\\\\", "\\"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings() {
        for text in ["INBOX", "a \"b\" \\c", "Entw\u{fc}rfe/2026"] {
            assert_eq!(unquoted(&quoted(text)), text);
        }
        assert_eq!(unquoted("Sent"), "Sent");
    }
}
