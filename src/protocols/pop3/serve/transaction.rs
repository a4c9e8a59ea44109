//! What the client wants of its maildrop: listed, sent, removed, marked as seen.

use super::{Driver, End};
use crate::foundations::failure::Kind;
use crate::foundations::mail::Uid;
use crate::foundations::wire::pop3::{Code, Number, Reply, Stuffer, TopLines};
use crate::protocols::pop3::maildrop::Listing;
use crate::protocols::pop3::settings::MarkSeen;
use crate::services::trace::expunged;
use crate::storage::mailbox::{self, Body, Content, FlagChange, FlagOperation, Flags, Unfinished};

/// Octets of a message read at once.
const PIECE: u64 = 64 * 1024;
/// As above for TOP, which mostly wants the header.
const TOP_PIECE: u64 = 8 * 1024;

impl Driver<'_> {
    pub(super) async fn list(&mut self, reply: &Reply, mut listing: Listing) -> Result<(), End> {
        reply.encode(&mut self.link.out);
        while let Some(maildrop) = self.session.maildrop()
            && maildrop.list(&mut listing, &mut self.link.out)
        {
            self.link.flush_if_long().await?;
        }
        Ok(self.link.flush_if_long().await?)
    }

    /// Sends a message, a large one in pieces, so that its size costs no memory.
    pub(super) async fn send(
        &mut self,
        reply: &Reply,
        number: Number,
        uid: Uid,
        lines: Option<u32>,
    ) -> Result<(), End> {
        let Some(opened) = &mut self.opened else { return Ok(()) };
        let content = match lines {
            None => opened.reading.message(&opened.view, number, uid).await,
            Some(_) => opened.view.body(uid).await.map(Content::Large),
        };
        match content {
            Ok(Content::Whole(message)) => {
                reply.encode(&mut self.link.out);
                let mut stuffer = Stuffer::new();
                stuffer.write(&message, &mut self.link.out);
                stuffer.finish(&mut self.link.out);
            }
            Ok(Content::Large(body)) => {
                reply.encode(&mut self.link.out);
                self.send_pieces(body, lines).await?;
            }
            Err(mailbox::Error::NoMessage(_)) => {
                return self.reply(&Reply::err("Another session has removed that message")).await;
            }
            Err(error) => {
                let reply = self.trouble(&error);
                return self.reply(&reply).await;
            }
        }
        self.session.sent(number, lines);
        if let (Some(opened), Some(maildrop), None) = (&mut self.opened, self.session.maildrop(), lines) {
            opened.reading.sent(&opened.view, maildrop, number);
        }
        Ok(self.link.flush_if_long().await?)
    }

    async fn send_pieces(&mut self, mut body: Body, lines: Option<u32>) -> Result<(), End> {
        let (mut stuffer, mut top) = (Stuffer::new(), lines.map(TopLines::new));
        let piece_size = if lines.is_some() { TOP_PIECE } else { PIECE };
        let mut offset = 0;
        while offset < body.size() {
            let length = piece_size.min(body.size() - offset);
            let piece = body.read(offset, usize::try_from(length).unwrap_or(usize::MAX)).await.map_err(End::Cut)?;
            let wanted = top.as_mut().map_or(piece.len(), |top| top.take(&piece));
            stuffer.write(&piece[..wanted], &mut self.link.out);
            self.link.flush_if_long().await?;
            if wanted < piece.len() || piece.is_empty() {
                break;
            }
            offset += piece.len() as u64;
        }
        stuffer.finish(&mut self.link.out);
        Ok(())
    }

    /// RFC 1939 §6: removes the messages; returns when they are gone from the disk.
    pub(super) async fn update(&mut self, uids: &[Uid]) -> Result<(), Reply> {
        let Some(opened) = &self.opened else { return Ok(()) };
        let (removed, failure) = match opened.view.remove(uids).await {
            Ok(removed) => (removed, None),
            Err(Unfinished { gone, error }) => (gone, Some(error)),
        };
        if !removed.is_empty() {
            let (now, folder) = (self.room.needs.clock.now(), opened.view.folder());
            let event = expunged(now, &opened.account, folder.as_str(), &removed).session(self.id);
            self.room.needs.journal.record(event.with("protocol", "pop3"));
        }
        match failure {
            None => Ok(()),
            Some(error) => {
                log::warn!(session:% = self.id; "pop3: the store did not remove messages: {error}");
                Err(Reply::coded(Code::SysTemp, "Some deleted messages are not removed"))
            }
        }
    }

    /// Lets IMAP clients know what has been read. Nobody was promised it, so a failure is only logged.
    pub(super) async fn mark_seen(&self) {
        let (Some(opened), Some(maildrop)) = (&self.opened, self.session.maildrop()) else { return };
        let seen = maildrop.retrieved();
        if self.settings.mark_seen == MarkSeen::No || seen.is_empty() {
            return;
        }
        let change = FlagChange {
            operation: FlagOperation::Add,
            flags: Flags::SEEN,
            keywords: Vec::new(),
            unchanged_since: None,
        };
        if let Err(error) = opened.view.store_flags(&seen, &change).await {
            log::warn!(session:% = self.id; "pop3: retrieved messages could not be marked as seen: {error}");
        }
    }

    /// Logs an error of the store, and says of it what the client may know.
    pub(super) fn trouble(&self, error: &mailbox::Error) -> Reply {
        log::warn!(session:% = self.id; "pop3: the store refused: {error}");
        match error.kind() {
            Kind::Corrupt | Kind::Invalid => Reply::coded(Code::SysPerm, "The maildrop cannot be read"),
            _ => Reply::coded(Code::SysTemp, "The maildrop cannot be read right now; try again later"),
        }
    }
}
