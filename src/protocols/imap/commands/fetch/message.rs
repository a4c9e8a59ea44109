//! One message's response.

use std::borrow::Cow;

use super::Fetched;
use super::plan::{Plan, item_asks_places, item_needs};
use crate::foundations::clock::Timestamp;
use crate::foundations::mail::{EmailId, SequenceNumber, StoredSummary, Summary};
use crate::foundations::wire::imap::encode::FetchWriter;
use crate::foundations::wire::imap::{FetchItem, Partial, Section, SectionText};
use crate::protocols::imap::account::Enabled;
use crate::protocols::imap::commands::section::{Binary, Found, Source};
use crate::protocols::imap::link::Link;
use crate::protocols::imap::outcome::Trouble;
use crate::protocols::imap::selected::Selected;
use crate::storage::mailbox::{self, Content, Row};

/// Writes an item that the row answers.
pub(super) fn row_item(
    item: &FetchItem,
    row: &Row,
    selected: &Selected,
    enabled: Enabled,
    writer: &mut FetchWriter<'_>,
) {
    match item {
        FetchItem::Flags => _ = writer.flags(selected.flags(row, enabled)),
        FetchItem::InternalDate => _ = writer.internal_date(row.internal_date.local()),
        FetchItem::ModSeq => _ = writer.mod_seq(row.mod_seq),
        FetchItem::Rfc822Size => _ = writer.size(row.size),
        FetchItem::SaveDate => _ = writer.save_date(selected.view.saved_at(row.uid).map(Timestamp::local)),
        FetchItem::Uid => _ = writer.uid(row.uid),
        _ => {}
    }
}

/// Writes an item that the row or the summary answers.
pub(super) fn summary_item(
    item: &FetchItem,
    row: &Row,
    summary: Option<&StoredSummary<'_>>,
    selected: &Selected,
    enabled: Enabled,
    writer: &mut FetchWriter<'_>,
) {
    match (item, summary) {
        (FetchItem::Body, Some(summary)) => _ = writer.ready("BODY", summary.body),
        (FetchItem::BodyStructure, Some(summary)) => _ = writer.ready("BODYSTRUCTURE", summary.body_structure),
        (FetchItem::EmailId, Some(summary)) => {
            writer.email_id(EmailId::new(summary.digest, row.internal_date));
        }
        (FetchItem::ThreadId, Some(summary)) => _ = writer.thread_id(summary.thread()),
        (FetchItem::Envelope, Some(summary)) => _ = writer.ready("ENVELOPE", summary.envelope),
        (FetchItem::Preview, Some(summary)) => _ = writer.preview(summary.preview),
        (item, _) => row_item(item, row, selected, enabled, writer),
    }
}

/// Why a response has no end.
enum Failure {
    Client(std::io::Error),
    Store(mailbox::Error),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Client(error)
    }
}

/// One message whose file is open.
pub(super) struct Fetching<'a> {
    pub plan: &'a Plan,
    pub enabled: Enabled,
    pub selected: &'a Selected,
    pub sequence: SequenceNumber,
    pub row: Row,
}

impl Fetching<'_> {
    /// Answers with what was found, or notes that the message is gone or cannot be read.
    pub async fn open(
        &self,
        content: Result<Content, mailbox::Error>,
        stored: Option<bytes::Bytes>,
        link: &mut Link,
        fetched: &mut Fetched,
    ) -> Result<(), Trouble> {
        let begun = link.mark();
        let responded = match content {
            Ok(content) => self.respond(content, stored, link, fetched).await,
            Err(error) => Err(Failure::Store(error)),
        };
        match responded {
            Ok(()) => Ok(link.relieve().await?),
            Err(Failure::Client(error)) => Err(error.into()),
            Err(Failure::Store(error)) if link.take_back(begun) => {
                fetched.miss(self.row.uid, error);
                Ok(())
            }
            // The client has a part of the response, and nothing but the rest of it may follow.
            Err(Failure::Store(error)) => Err(std::io::Error::other(error.to_string()).into()),
        }
    }

    async fn respond(
        &self,
        content: Content,
        mut stored: Option<bytes::Bytes>,
        link: &mut Link,
        fetched: &mut Fetched,
    ) -> Result<(), Failure> {
        let asks_places = self.plan.fetch.items.iter().any(item_asks_places);
        if stored.is_none() && asks_places && Source::needs_sections(&content) {
            let next = self.selected.view.summaries(vec![self.row.uid]).next().await;
            stored = next.map(|(_, summary)| summary).transpose().map_err(Failure::Store)?;
        }
        let sections = stored.as_ref().and_then(|stored| Summary::read(stored)).map(|summary| summary.sections);
        let mut source = Source::new(content, sections);
        let mut separator = "";
        link.out.raw("* ").number(self.sequence.get()).raw(" FETCH (");
        for item in &self.plan.fetch.items {
            if item_needs(item).bodies {
                link.out.raw(separator);
                self.body_item(item, &mut source, link, fetched).await?;
            } else {
                let summary = stored.as_ref().and_then(|stored| Summary::stored(stored));
                let mut writer = FetchWriter::within(&mut link.out, separator);
                summary_item(item, &self.row, summary.as_ref(), self.selected, self.enabled, &mut writer);
            }
            separator = " ";
        }
        self.tell_seen(FetchWriter::within(&mut link.out, separator));
        link.out.raw(")\r\n");
        Ok(())
    }

    /// RFC 9051 §6.4.5: the change of flags that the command has caused.
    fn tell_seen(&self, mut writer: FetchWriter<'_>) {
        if self.plan.newly_seen.binary_search(&self.row.uid).is_err() {
            return;
        }
        let items = &self.plan.fetch.items;
        if !items.contains(&FetchItem::Flags) {
            writer.flags(self.selected.flags(&self.row, self.enabled));
        }
        if self.enabled.condstore && !items.contains(&FetchItem::ModSeq) {
            writer.mod_seq(self.row.mod_seq);
        }
    }

    async fn body_item(
        &self,
        item: &FetchItem,
        source: &mut Source,
        link: &mut Link,
        fetched: &mut Fetched,
    ) -> Result<(), Failure> {
        let whole = |text| Section { text, ..Section::default() };
        let (name, section, partial) = match item {
            FetchItem::BodySection { section, partial, .. } => {
                link.out.raw("BODY").section(section).origin(partial.map(|partial| partial.first));
                ("", Cow::Borrowed(section), *partial)
            }
            FetchItem::Rfc822 => ("RFC822", Cow::Owned(whole(SectionText::Whole)), None),
            FetchItem::Rfc822Header => ("RFC822.HEADER", Cow::Owned(whole(SectionText::Header)), None),
            FetchItem::Rfc822Text => ("RFC822.TEXT", Cow::Owned(whole(SectionText::Text)), None),
            other => return self.binary_item(other, source, link, fetched).await,
        };
        link.out.raw(name).raw(" ");
        let found = source.section(&section, partial).await.map_err(Failure::Store)?;
        write(found, source, Form::Literal, link).await
    }

    async fn binary_item(
        &self,
        item: &FetchItem,
        source: &mut Source,
        link: &mut Link,
        fetched: &mut Fetched,
    ) -> Result<(), Failure> {
        let (part, partial): (_, Option<Partial>) = match item {
            FetchItem::Binary { part, partial, .. } => (part, *partial),
            FetchItem::BinarySize(part) => (part, None),
            _ => return Ok(()),
        };
        let found = match source.binary(part, partial).await.map_err(Failure::Store)? {
            Binary::Found(found) => found,
            Binary::UnknownEncoding => {
                fetched.unknown_encoding = true;
                Found::Nothing
            }
        };
        if let FetchItem::BinarySize(_) = item {
            let size = match &found {
                Found::Nothing => 0,
                Found::Range(range) => range.end - range.start,
                Found::Made(bytes) => bytes.len() as u64,
            };
            link.out.raw("BINARY.SIZE[").display(part).raw("] ").number(size);
            return Ok(());
        }
        link.out.raw("BINARY[").display(part).raw("]").origin(partial.map(|partial| partial.first)).raw(" ");
        write(found, source, Form::Binary, link).await
    }
}

/// How octets are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Literal,
    /// `literal8` where there is a NUL.
    Binary,
}

impl Form {
    async fn send(self, octets: &bytes::Bytes, link: &mut Link) -> std::io::Result<()> {
        match self {
            Self::Literal => link.send_text(octets).await,
            Self::Binary => link.send(octets).await,
        }
    }
}

/// Writes what was found, piece by piece. A file that turns out shorter than promised breaks the connection: the
/// announced literal cannot be kept.
async fn write(found: Found, source: &mut Source, form: Form, link: &mut Link) -> Result<(), Failure> {
    match found {
        Found::Nothing => _ = link.out.raw("NIL"),
        Found::Made(bytes) => {
            if form == Form::Binary && memchr::memchr(0, &bytes).is_some() {
                link.out.raw("~");
            }
            link.out.literal_header(bytes.len() as u64);
            form.send(&bytes, link).await?;
        }
        Found::Range(range) => {
            let mut at = range.start;
            let mut piece = source.piece(&range).await.map_err(Failure::Store)?;
            if form == Form::Binary {
                // NUL may come in a later piece; a literal8 is never wrong for BINARY (RFC 3516 §4.4).
                let whole = piece.len() as u64 == range.end - range.start;
                if !whole || memchr::memchr(0, &piece).is_some() {
                    link.out.raw("~");
                }
            }
            link.out.literal_header(range.end - range.start);
            loop {
                form.send(&piece, link).await?;
                at += piece.len() as u64;
                if at >= range.end {
                    break;
                }
                if piece.is_empty() {
                    return Err(std::io::Error::other("a message is shorter than it was").into());
                }
                piece = source.piece(&(at..range.end)).await.map_err(Failure::Store)?;
            }
        }
    }
    Ok(())
}
