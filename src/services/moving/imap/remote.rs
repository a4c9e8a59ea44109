use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use super::Error;
use super::connection::Connection;
use super::fetched::{Found, fetched, found, item};
use super::identity::{Identities, Identity};
use super::naming::{Listed, Namespaces, View, assign, listed};
use super::origin::{Earlier, Origin, message_id};
use super::response::{Response, Value};
use crate::foundations::clock::Timestamp;
use crate::foundations::mail::{Uid, UidValidity};
use crate::foundations::secret::Secret;
use crate::services::moving::importer::date_within;
use crate::services::moving::{self, FolderMoved};
use crate::services::outbound::Roots;
use crate::storage::mailbox::{Deposit, Deposited, FolderName, MailboxSettings, SourceUids};

/// The address of another server.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its name, which its certificate must hold.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How to connect to it.
    pub security: Security,
}

/// How to connect to another server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS from the start (port 993).
    Implicit,
    /// STARTTLS (port 143).
    StartTls,
    /// Without TLS: for a server on this machine.
    None,
}

/// A session with another server.
pub struct Remote {
    connection: Connection,
    server: Server,
    login: String,
    largest: u64,
    /// The messages seen so far, for mailboxes that show the messages of others.
    identities: Option<Identities>,
}

impl Remote {
    /// Connects and logs in.
    ///
    /// # Errors
    /// The server cannot be reached, cannot prove its identity, or refuses the password.
    pub async fn log_in(
        server: Server,
        roots: &Roots,
        login: &str,
        password: &Secret<String>,
        largest: u64,
    ) -> Result<Self, Error> {
        let shown = format!("{}:{}", server.host, server.port);
        let failed = |source| Error::Connection { server: shown.clone(), source };
        let not_shaken = |source| Error::of_handshake(&shown, source);
        let stream = TcpStream::connect((server.host.as_str(), server.port)).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let mut connection = match server.security {
            Security::Implicit => {
                let stream = shake_hands(&server.host, Box::new(stream), roots).await.map_err(not_shaken)?;
                Connection::new(&shown, stream, largest)
            }
            Security::StartTls | Security::None => Connection::new(&shown, Box::new(stream), largest),
        };
        let greeting = connection.response().await;
        if server.security == Security::StartTls {
            greeting.map_err(|source| Error::NoGreeting { server: shown.clone(), source: Box::new(source) })?;
            connection.command("STARTTLS", "STARTTLS", |_| Ok(())).await.map_err(|error| match error {
                Error::Refused { .. } => Error::NoTls(shown.clone()),
                error => error,
            })?;
            let stream = shake_hands(&server.host, connection.into_stream(), roots).await.map_err(not_shaken)?;
            connection = Connection::new(&shown, stream, largest);
        } else {
            greeting?;
        }
        let command = format!("LOGIN {} {}", quoted(login), quoted(password.expose()));
        connection.command(&command, &format!("the login of {login}"), |_| Ok(())).await?;
        Ok(Self { connection, server, login: login.to_owned(), largest, identities: None })
    }

    /// The user's own mailboxes there that can be opened, special-use ones with their names from `settings`, and the
    /// subscribed ones. Mailboxes that show the messages of others come last.
    ///
    /// # Errors
    /// The connection breaks, or the server does not speak IMAP.
    pub async fn mailboxes(&mut self, settings: &MailboxSettings) -> Result<(Vec<Listed>, Vec<FolderName>), Error> {
        let capabilities = self.capabilities().await?;
        let has = |wanted: &str| capabilities.iter().any(|capability| capability.eq_ignore_ascii_case(wanted));
        let mut namespaces = Namespaces::default();
        if has("NAMESPACE") {
            let each = |response: Response| {
                if let Some(told) = Namespaces::read(response) {
                    namespaces = told;
                }
                Ok(())
            };
            self.connection.command("NAMESPACE", "the namespaces", each).await?;
        }
        let told = if has("SPECIAL-USE") && has("LIST-EXTENDED") { " RETURN (SPECIAL-USE)" } else { "" };
        let mut all = self.list(&format!("LIST \"\" \"*\"{told}"), &namespaces).await?;
        assign(&mut all, settings);
        all.sort_by_key(|listed| listed.view);
        if all.iter().any(|listed| listed.view != View::Own) {
            self.identities = Identity::among(has).map(Identities::new);
        }
        let subscribed = self.list("LSUB \"\" \"*\"", &namespaces).await?;
        let here = |one: Listed| match all.iter().find(|listed| listed.wire == one.wire) {
            Some(listed) => listed.name.clone(),
            None => one.name,
        };
        let subscribed = subscribed.into_iter().filter_map(here).collect();
        Ok((all, subscribed))
    }

    async fn capabilities(&mut self) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        let each = |response: Response| {
            if starts_with(&response.line, "* CAPABILITY ") {
                let line = String::from_utf8_lossy(&response.line);
                found = line.split_whitespace().skip(2).map(str::to_owned).collect();
            }
            Ok(())
        };
        self.connection.command("CAPABILITY", "the list of its capabilities", each).await?;
        Ok(found)
    }

    async fn list(&mut self, command: &str, namespaces: &Namespaces) -> Result<Vec<Listed>, Error> {
        let mut found = Vec::new();
        let server = self.shown();
        let each = |response: Response| {
            let shown = response.shown();
            let is_list = ["* LIST ", "* LSUB "].iter().any(|word| starts_with(&response.line, word));
            if !is_list {
                return Ok(());
            }
            let values = response.values(7);
            let listed = values.as_deref().and_then(|values| listed(values, namespaces));
            found.extend(listed.ok_or_else(|| Error::Syntax { server: server.clone(), what: shown })?);
            Ok(())
        };
        self.connection.command(command, "the list of mailboxes", each).await?;
        Ok(found)
    }

    /// Imports a mailbox, with UIDVALIDITY and UIDs if the folder does not exist here yet. What the server refuses
    /// is noted.
    ///
    /// # Errors
    /// The connection breaks, the server does not speak IMAP, or the disk fails; what was complete by then is kept, and
    /// the next run continues from there.
    pub async fn import_mailbox(
        &mut self,
        listed: &Listed,
        name: &FolderName,
        deposit: &Deposit,
        now: Timestamp,
    ) -> Result<FolderMoved, moving::Error> {
        let mut moved = FolderMoved::new(name);
        match self.import_messages(listed, name, deposit, now, &mut moved).await {
            Err(moving::Error::Imap(error @ Error::Refused { .. })) => moved.refused = Some(error.to_string()),
            imported => imported?,
        }
        Ok(moved)
    }

    async fn import_messages(
        &mut self,
        listed: &Listed,
        name: &FolderName,
        deposit: &Deposit,
        now: Timestamp,
        moved: &mut FolderMoved,
    ) -> Result<(), moving::Error> {
        let uids = self.examine(listed).await?;
        let mut messages = self.messages(listed).await?;
        if listed.view != View::Own {
            moved.elsewhere = self.leave_elsewhere(listed, &mut messages);
            // A folder that has only what others have is not needed.
            if messages.is_empty() && moved.elsewhere > 0 {
                return Ok(());
            }
        }
        let mut target = deposit.folder(name, uids)?;
        let validity = uids.map_or(0, |uids| uids.validity.get());
        let origin = Origin::new(&self.server.host, &self.login, &listed.wire, validity);
        let mut earlier = Earlier::of(&origin, target.present()?);
        if !earlier.is_empty() {
            target.forget_uids();
        }
        moved.keeps_uids = target.keeps_uids();
        let is_there = |uid: u32, found: &Found| target.has(&origin.unique(uid, found.date));
        let known = self.known(&messages, is_there, &mut earlier).await?;
        let wanted = self.wanted(listed, &messages, is_there, &known, moved);
        if !deposit.stores() {
            moved.messages = wanted.len() as u64;
            moved.octets = wanted.iter().map(|(_, size)| size).sum();
            self.remember(&messages);
            return Ok(());
        }
        let mut refused = None;
        for batch in batches(&wanted) {
            let mut waiting: BTreeSet<u32> = batch.iter().map(|(uid, _)| *uid).collect();
            let mut contents = Vec::with_capacity(batch.len());
            match self.fetch(batch, &mut contents).await {
                // RFC 3501 §6.4.5: some messages cannot be fetched. The others have arrived before the server says so.
                Err(error @ Error::Refused { .. }) => refused = Some(error),
                answer => answer?,
            }
            for (uid, content) in contents {
                let Some(found) = messages.get(&uid).filter(|_| waiting.remove(&uid)) else { continue };
                if earlier.takes_content(&content)? {
                    moved.present += 1;
                    moved.recognised += 1;
                    continue;
                }
                moved.messages += 1;
                moved.octets += content.len() as u64;
                let (flags, keywords) = (found.flags, found.keywords.clone());
                let date = found.date.or_else(|| date_within(&content)).unwrap_or(now);
                let unique = origin.unique(uid, found.date);
                let message = Deposited { unique, uid: Uid::new(uid), flags, keywords, date };
                moved.lost_keywords += target.put(&message, &content)? as u64;
            }
            for uid in &waiting {
                log::warn!(server = self.shown(), mailbox = listed.wire.as_str(), uid = *uid;
                    "The server lists the message with UID {uid} of `{}` but does not deliver it: it was expunged meanwhile, or is damaged there", listed.wire);
            }
            moved.withheld += waiting.len() as u64;
            // Another mailbox may give it.
            messages.retain(|uid, _| !waiting.contains(uid));
        }
        target.finish()?;
        self.remember(&messages);
        refused.map_or(Ok(()), |error| Err(error.into()))
    }

    /// The messages to be fetched, with their sizes. Those that are left out are counted.
    fn wanted(
        &self,
        listed: &Listed,
        messages: &BTreeMap<u32, Found>,
        is_there: impl Fn(u32, &Found) -> bool,
        known: &BTreeSet<u32>,
        moved: &mut FolderMoved,
    ) -> Vec<(u32, u64)> {
        let mut wanted = Vec::new();
        for (uid, found) in messages {
            if is_there(*uid, found) {
                moved.present += 1;
            } else if known.contains(uid) {
                moved.present += 1;
                moved.recognised += 1;
            } else if found.size > self.largest {
                log::warn!(server = self.shown(), mailbox = listed.wire.as_str(), uid = *uid;
                    "Message {uid} of `{}` is left out: it has {} octets, more than `--largest` allows", listed.wire, found.size);
                moved.too_large += 1;
            } else {
                wanted.push((*uid, found.size));
            }
        }
        wanted
    }

    /// The messages that an earlier run imported under other UIDs: with the same date, size and Message-ID.
    async fn known(
        &mut self,
        messages: &BTreeMap<u32, Found>,
        is_there: impl Fn(u32, &Found) -> bool,
        earlier: &mut Earlier,
    ) -> Result<BTreeSet<u32>, moving::Error> {
        let mut known = BTreeSet::new();
        let alike = |(uid, found): &(&u32, &Found)| earlier.has_like(found.date, found.size) && !is_there(**uid, found);
        let alike: Vec<u32> = messages.iter().filter(alike).map(|(uid, _)| *uid).collect();
        for (uid, id) in self.message_ids(&alike).await? {
            if let Some(found) = messages.get(&uid).filter(|_| alike.binary_search(&uid).is_ok())
                && earlier.takes_id(found.date, found.size, &id)?
            {
                known.insert(uid);
            }
        }
        Ok(known)
    }

    /// The Message-IDs of messages in the open mailbox; those without one are left out.
    async fn message_ids(&mut self, uids: &[u32]) -> Result<BTreeMap<u32, String>, Error> {
        let mut ids = BTreeMap::new();
        let server = self.shown();
        for some in uids.chunks(MOST_HEADERS_AT_ONCE) {
            let each = |response: Response| {
                let Some(items) = fetched(response, &server)? else { return Ok(()) };
                let is_header =
                    |name: &Value| name.atom().is_some_and(|atom| starts_with(atom.as_bytes(), "BODY[HEADER.FIELDS"));
                let header = items.chunks_exact(2).find(|pair| is_header(&pair[0])).and_then(|pair| pair[1].text());
                if let (Some(uid), Some(id)) =
                    (item(&items, "UID").and_then(Value::number), header.and_then(message_id))
                {
                    ids.insert(uid, id);
                }
                Ok(())
            };
            let set = some.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
            let command = format!("UID FETCH {set} (UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])");
            match self.connection.command(&command, "Message-IDs", each).await {
                // Their content will tell.
                Err(Error::Refused { .. }) => {}
                answer => _ = answer?,
            }
        }
        Ok(ids)
    }

    /// Removes messages that were imported from other mailboxes, and returns how many.
    fn leave_elsewhere(&self, listed: &Listed, messages: &mut BTreeMap<u32, Found>) -> u64 {
        let Some(identities) = &self.identities else {
            log::warn!(server = self.shown(), mailbox = listed.wire.as_str();
                "`{}` also shows messages of other mailboxes, and the server does not say which: they are imported twice", listed.wire);
            return 0;
        };
        let all = messages.len();
        messages.retain(|_, found| !identities.has(found.identity.as_deref()));
        (all - messages.len()) as u64
    }

    fn remember(&mut self, messages: &BTreeMap<u32, Found>) {
        if let Some(identities) = &mut self.identities {
            identities.add(messages.values().filter_map(|found| found.identity.as_deref()));
        }
    }

    /// Opens a mailbox for reading, and returns its numbers.
    async fn examine(&mut self, listed: &Listed) -> Result<Option<SourceUids>, Error> {
        let (mut validity, mut next) = (None, None);
        let each = |response: Response| {
            let line = String::from_utf8_lossy(&response.line).to_ascii_uppercase();
            let number = |word: &str| line.split_once(word)?.1.split(']').next()?.trim().parse::<u32>().ok();
            validity = validity.or_else(|| number("[UIDVALIDITY "));
            next = next.or_else(|| number("[UIDNEXT "));
            Ok(())
        };
        let command = format!("EXAMINE {}", quoted(&listed.wire));
        self.connection.command(&command, &format!("to open `{}`", listed.wire), each).await?;
        let next = next.and_then(Uid::new).unwrap_or(Uid::MIN);
        Ok(validity.and_then(UidValidity::new).map(|validity| SourceUids { validity, next }))
    }

    /// The messages of the open mailbox, by UID.
    async fn messages(&mut self, listed: &Listed) -> Result<BTreeMap<u32, Found>, Error> {
        let mut messages: BTreeMap<u32, Found> = BTreeMap::new();
        let server = self.shown();
        let identity = self.identities.as_ref().map(Identities::kind);
        let each = |response: Response| {
            let Some(items) = fetched(response, &server)? else { return Ok(()) };
            let (uid, mut found) = found(&items);
            let Some(uid) = uid else { return Ok(()) };
            // RFC 9051 §7.5.2: it tells only of new flags. If the message itself is not listed, it is new, and the next run brings it.
            if item(&items, "RFC822.SIZE").is_none() && item(&items, "INTERNALDATE").is_none() {
                if let Some(known) = messages.get_mut(&uid).filter(|_| item(&items, "FLAGS").is_some()) {
                    (known.flags, known.keywords) = (found.flags, found.keywords);
                }
                return Ok(());
            }
            found.identity = identity.and_then(|identity| identity.read(item(&items, identity.item())?));
            messages.insert(uid, found);
            Ok(())
        };
        let more = identity.map_or(String::new(), |identity| format!(" {}", identity.item()));
        let command = format!("UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE{more})");
        self.connection.command(&command, &format!("the list of messages in `{}`", listed.wire), each).await?;
        Ok(messages)
    }

    async fn fetch(&mut self, batch: &[(u32, u64)], contents: &mut Vec<(u32, Vec<u8>)>) -> Result<(), Error> {
        let set = batch.iter().map(|(uid, _)| uid.to_string()).collect::<Vec<_>>().join(",");
        let server = self.shown();
        let each = |response: Response| {
            let Some(items) = fetched(response, &server)? else { return Ok(()) };
            let uid = item(&items, "UID").and_then(Value::number);
            // NIL, or nothing: expunged meanwhile. Without even a header it is no message: the server has lost its content.
            if let (Some(uid), Some(Value::Text(content))) = (uid, item(&items, "BODY[]"))
                && !content.is_empty()
            {
                contents.push((uid, content.clone()));
            }
            Ok(())
        };
        self.connection.command(&format!("UID FETCH {set} (UID BODY.PEEK[])"), "messages", each).await?;
        Ok(())
    }

    /// Logs out. A missing answer no longer matters.
    pub async fn log_out(mut self) {
        let _ = self.connection.command("LOGOUT", "the end", |_| Ok(())).await;
    }

    fn shown(&self) -> String {
        format!("{}:{}", self.server.host, self.server.port)
    }
}

async fn shake_hands(
    host: &str,
    stream: Box<dyn super::connection::Stream>,
    roots: &Roots,
) -> std::io::Result<Box<dyn super::connection::Stream>> {
    let invalid =
        |error: &dyn std::fmt::Display| std::io::Error::new(std::io::ErrorKind::InvalidInput, error.to_string());
    let name = ServerName::try_from(host.to_owned()).map_err(|error| invalid(&error))?;
    let config = roots.client_config().map_err(|error| invalid(&error))?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    Ok(Box::new(connector.connect(name, stream).await?))
}

/// A quoted string; characters that cannot be in one give a command that the server refuses.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace(['\r', '\n'], ""))
}

fn starts_with(line: &[u8], word: &str) -> bool {
    line.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
}

/// Messages to fetch at once: not too many, and not too much.
fn batches(wanted: &[(u32, u64)]) -> Vec<&[(u32, u64)]> {
    let mut batches = Vec::new();
    let (mut from, mut octets) = (0, 0);
    for (at, (_, size)) in wanted.iter().enumerate() {
        if at > from && (at - from >= MOST_AT_ONCE || octets + size > MOST_OCTETS_AT_ONCE) {
            batches.push(&wanted[from..at]);
            (from, octets) = (at, 0);
        }
        octets += size;
    }
    if from < wanted.len() {
        batches.push(&wanted[from..]);
    }
    batches
}

const MOST_AT_ONCE: usize = 100;
const MOST_OCTETS_AT_ONCE: u64 = 16 << 20;
const MOST_HEADERS_AT_ONCE: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_for_a_few_at_a_time() {
        let small: Vec<(u32, u64)> = (1..=250).map(|uid| (uid, 1_000)).collect();
        assert_eq!(batches(&small).iter().map(|batch| batch.len()).collect::<Vec<_>>(), [100, 100, 50]);
        let large = [(1, 20 << 20), (2, 20 << 20), (3, 10)];
        assert_eq!(batches(&large).len(), 3);
        assert!(batches(&[]).is_empty());
    }
}
