//! Messages put together from what the client sends and what is there (RFC 4469).

use std::ops::Range;

use bytes::Bytes;

use super::trouble;
use crate::foundations::mail::Summary;
use crate::foundations::wire::imap::encode::Code;
use crate::foundations::wire::imap::{CatenatePart, MessageUrl};
use crate::protocols::imap::commands::section::{Found, Source, cut};
use crate::protocols::imap::outcome::Trouble;
use crate::protocols::imap::serve::Conversation;
use crate::protocols::imap::state::State;
use crate::storage::mailbox::{self, Access, FolderName, View};

/// The whole message. It is in memory as an appended one is, and counted likewise; `sent` octets came with the command.
pub async fn assemble(talk: &mut Conversation, parts: &[CatenatePart], sent: usize) -> Result<Bytes, Trouble> {
    let mut message = Vec::new();
    // Most URLs of a message lead to the same mailbox.
    let mut open = None;
    for part in parts {
        match part {
            CatenatePart::Text(text) => {
                make_room(talk, &mut message, text.len() as u64, sent).await?;
                message.extend_from_slice(text);
            }
            CatenatePart::Url(url) => {
                let (source, found) = match find(talk, url, &mut open).await {
                    Ok(found) => found,
                    Err(NotFound::Url) => {
                        let code = Some(Code::BadUrl(url.clone()));
                        return Err(Trouble::No {
                            code,
                            text: "One of the URLs does not refer to a message or part".into(),
                        });
                    }
                    Err(NotFound::Store(error)) => return Err(trouble(talk, &error)),
                };
                copy(talk, source, found, &mut message, sent).await?;
            }
        }
    }
    Ok(message.into())
}

/// Makes room for further octets, within the largest message there may be and the memory for messages.
async fn make_room(talk: &mut Conversation, message: &mut Vec<u8>, octets: u64, sent: usize) -> Result<(), Trouble> {
    let whole = (message.len() as u64).saturating_add(octets);
    if whole > talk.settings.append_limit.get() {
        // RFC 4469 §4.2.
        return Err(Trouble::coded("TOOBIG", "The message would exceed this server's size limit"));
    }
    let whole = usize::try_from(whole).unwrap_or(usize::MAX);
    talk.reserve(sent.saturating_add(whole)).await?;
    message.reserve_exact(whole - message.len());
    Ok(())
}

/// Why a URL gives no octets.
enum NotFound {
    Url,
    Store(mailbox::Error),
}

impl From<mailbox::Error> for NotFound {
    fn from(error: mailbox::Error) -> Self {
        match error {
            mailbox::Error::NoFolder(_) | mailbox::Error::NoMessage(_) => Self::Url,
            error => Self::Store(error),
        }
    }
}

/// What a URL points to, as `UID FETCH BODY.PEEK[section]` would give it (RFC 4469 §3).
async fn find(talk: &Conversation, url: &str, open: &mut Option<View>) -> Result<(Source, Found), NotFound> {
    let url: MessageUrl = url.parse().map_err(|_| NotFound::Url)?;
    let folder = match (&url.mailbox, &talk.state) {
        (Some(name), _) => FolderName::parse(name).map_err(|_| NotFound::Url)?,
        (None, State::Selected(_, selected)) => selected.view.folder().clone(),
        (None, _) => return Err(NotFound::Url),
    };
    if open.as_ref().is_none_or(|view| *view.folder() != folder) {
        let Some(account) = talk.state.account() else { return Err(NotFound::Url) };
        *open = Some(account.user.open(&folder, Access::ReadOnly).await?);
    }
    let Some(view) = open else { return Err(NotFound::Url) };
    if url.uid_validity.is_some_and(|epoch| epoch != view.uid_validity()) || view.sequence(url.uid).is_none() {
        return Err(NotFound::Url);
    }
    let Some((_, content)) = view.bodies(vec![url.uid]).next().await else { return Err(NotFound::Url) };
    let content = content?;
    let section = match url.section {
        None => {
            let source = Source::new(content, None);
            let whole = cut(0..source.size(), url.partial);
            return Ok((source, Found::Range(whole)));
        }
        Some(section) => section,
    };
    let stored = match Source::needs_sections(&content) || !section.part.0.is_empty() {
        true => view.summaries(vec![url.uid]).next().await.map(|(_, stored)| stored).transpose()?,
        false => None,
    };
    let sections = stored.as_ref().and_then(|stored| Summary::read(stored)).map(|summary| summary.sections);
    let mut source = Source::new(content, sections);
    match source.section(&section, url.partial).await? {
        Found::Nothing => Err(NotFound::Url),
        found => Ok((source, found)),
    }
}

async fn copy(
    talk: &mut Conversation,
    mut source: Source,
    found: Found,
    message: &mut Vec<u8>,
    sent: usize,
) -> Result<(), Trouble> {
    let Range { mut start, end } = match found {
        Found::Nothing => return Ok(()),
        Found::Made(octets) => {
            make_room(talk, message, octets.len() as u64, sent).await?;
            message.extend_from_slice(&octets);
            return Ok(());
        }
        Found::Range(range) => range,
    };
    make_room(talk, message, end - start, sent).await?;
    while start < end {
        let piece = source.piece(&(start..end)).await.map_err(|error| trouble(talk, &error))?;
        if piece.is_empty() {
            // Another program has made the file shorter: what the URL stands for no longer exists.
            return Err(Trouble::no("A message changed while it was being read"));
        }
        start += piece.len() as u64;
        message.extend_from_slice(&piece);
    }
    Ok(())
}
