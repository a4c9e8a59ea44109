//! FETCH (RFC 9051 §6.4.5; RFC 3516; RFC 7162 §3.1.4, §3.2.6; RFC 8474; RFC 8514; RFC 8970; RFC 9394).

use std::borrow::Cow;

use super::section::{Binary, Found, Source, cut};
use super::trouble;
use crate::foundations::clock::Timestamp;
use crate::foundations::mail::{EmailId, ListedNames, SequenceNumber, SequenceSet, StoredSummary, Summary, Uid};
use crate::foundations::wire::imap::encode::{Code, FetchWriter, Out};
use crate::foundations::wire::imap::{
    Addressing, Fetch, FetchItem, Messages, Numbers, Partial, Reading, Section, SectionText,
};
use crate::protocols::imap::account::{Account, Enabled, Own, Selected};
use crate::protocols::imap::link::Link;
use crate::protocols::imap::outcome::{Done, Outcome, Trouble};
use crate::protocols::imap::serve::{Conversation, State};
use crate::protocols::imap::session::Expunges;
use crate::storage::mailbox::{self, Access, Content, FlagChange, FlagOperation, Flags, Row};

/// Tells about messages, one response for each, written straight into the output and sent as it fills.
pub async fn run(talk: &mut Conversation, fetch: Fetch) -> Outcome {
    let State::Selected(account, selected) = &mut talk.state else {
        return Err(Trouble::bad("Select a mailbox first"));
    };
    // RFC 7162 §3.1: both enable CONDSTORE.
    if fetch.changed_since.is_some() || fetch.items.contains(&FetchItem::ModSeq) {
        account.enable_condstore(selected, &mut talk.link);
    }
    let mut plan = Plan::new(fetch, account.enabled);
    if let Some(partial) = plan.fetch.partial {
        // RFC 9394 §3.4: first the range, then CHANGEDSINCE.
        let mut uids = selected.uids(&plan.fetch.messages)?;
        let range = partial.of(uids.len());
        plan.some = Some(uids.drain(range).collect());
    }
    if plan.fetch.vanished {
        tell_vanished(&plan.fetch, selected, &mut talk.link);
    }
    if plan.marks && selected.view.access() == Access::ReadWrite {
        match mark_seen(&plan, account, selected, &mut talk.link).await {
            Ok(uids) => plan.newly_seen = uids,
            Err(Marking::Trouble(trouble)) => return Err(trouble),
            // RFC 9051 says nothing about this; what was asked for can still be given.
            Err(Marking::Store(error)) => log::warn!(error:% = error; "Messages that were read could not be marked"),
        }
    }
    match answer(&plan, account.enabled, selected, &mut talk.link).await {
        Ok(Fetched { expunged: 0, unknown_encoding: false }) => Ok(Done::new("Fetched")),
        Ok(Fetched { unknown_encoding: true, .. }) => {
            Err(Trouble::coded("UNKNOWN-CTE", "A part has a transfer encoding that is not known here"))
        }
        // RFC 2180 §4.1.3: the others have been answered; the client learns of the rest with its next NOOP.
        Ok(_) => Ok(Done::with(Code::Word("EXPUNGEISSUED"), "Some of the messages are gone")),
        Err(Failure::Trouble(trouble)) => Err(trouble),
        Err(Failure::Store(error)) => Err(trouble(talk, &error)),
    }
}

/// Tells what a client has asked to be told of new messages (RFC 5465 §5.2): those from this UID on.
pub async fn tell_new(
    items: &[FetchItem],
    from: Uid,
    enabled: Enabled,
    selected: &Selected,
    link: &mut Link,
) -> std::io::Result<()> {
    let uids: SequenceSet<Uid> = match selected.view.last_uid() {
        Some(last) if last >= from => SequenceSet::range(from, last),
        _ => return Ok(()),
    };
    let messages = Messages::Uid(Numbers::Set(uids));
    // As after FETCH with numbers: the UID is there only where it was asked for.
    let fetch = Fetch { messages, items: items.to_vec(), changed_since: None, vanished: false, partial: None };
    let plan = Plan::of(fetch, enabled);
    match answer(&plan, enabled, selected, link).await {
        Ok(_) => Ok(()),
        Err(Failure::Trouble(Trouble::Gone(error))) => Err(error),
        // What could not be read now can be fetched as ever.
        Err(Failure::Trouble(_)) => Ok(()),
        Err(Failure::Store(error)) => {
            log::warn!(error:% = error; "New messages could not be told of");
            Ok(())
        }
    }
}

/// What is asked for, and what must be read for it.
struct Plan {
    fetch: Fetch,
    needs: Needs,
    /// Beside each item, how the cached summary answers it although it is a section of the message.
    listed: Vec<Option<Listed>>,
    /// Whether reading sets `\Seen`.
    marks: bool,
    /// Which messages are meant, ascending, when not all that are named (RFC 9394 §3.3).
    some: Option<Vec<Uid>>,
    /// Messages that this command has marked, ascending: their responses hold the new flags.
    newly_seen: Vec<Uid>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Needs {
    summaries: bool,
    bodies: bool,
}

/// How it went.
#[derive(Debug, Default)]
struct Fetched {
    /// Messages that are gone.
    expunged: usize,
    /// RFC 3516 §4.3.
    unknown_encoding: bool,
}

enum Failure {
    Trouble(Trouble),
    Store(mailbox::Error),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Trouble(error.into())
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl Plan {
    fn new(mut fetch: Fetch, enabled: Enabled) -> Self {
        // RFC 9051 §6.4.9: the responses to UID FETCH hold the UID, asked for or not.
        if fetch.messages.addressing() == Addressing::Uid {
            fetch.items.insert(0, FetchItem::Uid);
        }
        Self::of(fetch, enabled)
    }

    fn of(mut fetch: Fetch, enabled: Enabled) -> Self {
        let mut items: Vec<FetchItem> = Vec::with_capacity(fetch.items.len() + 1);
        for item in fetch.items.drain(..) {
            if !items.contains(&item) {
                items.push(item);
            }
        }
        // RFC 7162 §3.1.4.1, and §3.2.4 for flags.
        let mod_seq = fetch.changed_since.is_some() || (enabled.qresync && items.contains(&FetchItem::Flags));
        if mod_seq && !items.contains(&FetchItem::ModSeq) {
            items.push(FetchItem::ModSeq);
        }
        let listed: Vec<Option<Listed>> = items.iter().map(Listed::of).collect();
        let of_item = |(item, listed): (&FetchItem, &Option<Listed>)| match listed {
            Some(_) => Needs { summaries: true, bodies: false },
            None => item_needs(item),
        };
        let needs = items.iter().zip(&listed).fold(Needs::default(), |needs, item| of_item(item).and(needs));
        let marks = items.iter().any(|item| match item {
            FetchItem::BodySection { reading, .. } | FetchItem::Binary { reading, .. } => *reading == Reading::Marks,
            FetchItem::Rfc822 | FetchItem::Rfc822Text => true,
            _ => false,
        });
        fetch.items = items;
        Self { fetch, needs, listed, marks, some: None, newly_seen: Vec::new() }
    }

    fn wants(&self, row: &Row) -> bool {
        self.fetch.changed_since.is_none_or(|since| row.mod_seq > since)
            && self.some.as_ref().is_none_or(|some| some.binary_search(&row.uid).is_ok())
    }
}

/// Header fields that the cached summary has.
struct Listed {
    names: ListedNames,
    /// The item's name as it stands in the response.
    name: Vec<u8>,
    partial: Option<Partial>,
}

impl Listed {
    fn of(item: &FetchItem) -> Option<Self> {
        let FetchItem::BodySection { section, partial, reading: Reading::Peeks } = item else { return None };
        let SectionText::HeaderFields(names) = &section.text else { return None };
        if !section.part.0.is_empty() {
            return None;
        }
        let names = ListedNames::of(names.iter().map(String::as_str))?;
        let mut name = Out::new();
        name.raw("BODY").section(section).origin(partial.map(|partial| partial.first));
        Some(Self { names, name: name.take(), partial: *partial })
    }
}

impl Needs {
    const fn and(self, other: Self) -> Self {
        Self { summaries: self.summaries || other.summaries, bodies: self.bodies || other.bodies }
    }
}

fn item_needs(item: &FetchItem) -> Needs {
    match item {
        FetchItem::Body
        | FetchItem::BodyStructure
        | FetchItem::EmailId
        | FetchItem::Envelope
        | FetchItem::Preview => {
            Needs { summaries: true, bodies: false }
        }
        FetchItem::Rfc822 | FetchItem::Rfc822Header | FetchItem::Rfc822Text => Needs { summaries: false, bodies: true },
        FetchItem::BodySection { section: Section { part, .. }, .. }
        | FetchItem::Binary { part, .. }
        | FetchItem::BinarySize(part) => Needs { summaries: !part.0.is_empty(), bodies: true },
        FetchItem::Flags
        | FetchItem::InternalDate
        | FetchItem::ModSeq
        | FetchItem::Rfc822Size
        | FetchItem::SaveDate
        | FetchItem::ThreadId
        | FetchItem::Uid => Needs::default(),
    }
}

/// RFC 7162 §3.2.6: which of the messages asked for are gone since then.
fn tell_vanished(fetch: &Fetch, selected: &Selected, link: &mut Link) {
    let known = match &fetch.messages {
        Messages::Uid(Numbers::Set(set)) => set,
        Messages::Uid(Numbers::Saved) | Messages::Sequence(_) => &selected.saved,
    };
    if let Some(since) = fetch.changed_since {
        let vanished = selected.view.vanished(since, known);
        if !vanished.is_empty() {
            link.out.vanished_earlier(&vanished);
        }
    }
}

enum Marking {
    Trouble(Trouble),
    Store(mailbox::Error),
}

/// Sets `\Seen` where it is not set; which messages got it.
async fn mark_seen(
    plan: &Plan,
    account: &Account,
    selected: &mut Selected,
    link: &mut Link,
) -> Result<Vec<Uid>, Marking> {
    let unseen = |(_, row): &(SequenceNumber, Row)| plan.wants(row) && !row.flags.contains(Flags::SEEN);
    let rows = selected.rows(&plan.fetch.messages).map_err(Marking::Trouble)?;
    let uids: Vec<Uid> = rows.filter(unseen).map(|(_, row)| row.uid).collect();
    if uids.is_empty() {
        return Ok(uids);
    }
    let change =
        FlagChange { operation: FlagOperation::Add, flags: Flags::SEEN, keywords: Vec::new(), unchanged_since: None };
    let stored = selected.view.store_flags(&uids, &change).await.map_err(Marking::Store)?;
    let own = Own { uids: &stored.changed, mod_seq: stored.mod_seq };
    let told = selected.tell_all_but(account, Expunges::Hold, own, link).await;
    told.map_err(|error| Marking::Trouble(error.into()))?;
    Ok(stored.changed)
}

async fn answer(plan: &Plan, enabled: Enabled, selected: &Selected, link: &mut Link) -> Result<Fetched, Failure> {
    match plan.needs {
        Needs { bodies: false, summaries: false } => rows(plan, enabled, selected, link).await,
        Needs { bodies: false, summaries: true } => summaries(plan, enabled, selected, link).await,
        Needs { bodies: true, .. } => bodies(plan, enabled, selected, link).await,
    }
}

/// Items that need no file: from the view, at the speed of memory.
async fn rows(plan: &Plan, enabled: Enabled, selected: &Selected, link: &mut Link) -> Result<Fetched, Failure> {
    for (sequence, row) in selected.rows(&plan.fetch.messages)? {
        if plan.wants(&row) {
            let mut writer = link.out.fetch(sequence);
            for item in &plan.fetch.items {
                row_item(item, &row, selected, enabled, &mut writer);
            }
            writer.end();
            link.relieve().await?;
        }
    }
    Ok(Fetched::default())
}

/// Writes an item that the row answers.
fn row_item(item: &FetchItem, row: &Row, selected: &Selected, enabled: Enabled, writer: &mut FetchWriter<'_>) {
    match item {
        FetchItem::Flags => _ = writer.flags(selected.flags(row, enabled)),
        FetchItem::InternalDate => _ = writer.internal_date(row.internal_date.local()),
        FetchItem::ModSeq => _ = writer.mod_seq(row.mod_seq),
        FetchItem::Rfc822Size => _ = writer.size(row.size),
        FetchItem::SaveDate => _ = writer.save_date(selected.view.saved_at(row.uid).map(Timestamp::local)),
        FetchItem::ThreadId => _ = writer.no_thread_id(),
        FetchItem::Uid => _ = writer.uid(row.uid),
        _ => {}
    }
}

/// Writes an item that the row or the summary answers.
fn summary_item(
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
        (FetchItem::Envelope, Some(summary)) => _ = writer.ready("ENVELOPE", summary.envelope),
        (FetchItem::Preview, Some(summary)) => _ = writer.preview(summary.preview),
        (item, _) => row_item(item, row, selected, enabled, writer),
    }
}

/// Items that the cached summaries answer.
async fn summaries(plan: &Plan, enabled: Enabled, selected: &Selected, link: &mut Link) -> Result<Fetched, Failure> {
    let wanted = |(_, row): &(SequenceNumber, Row)| plan.wants(row);
    let uids = selected.rows(&plan.fetch.messages)?.filter(wanted).map(|(_, row)| row.uid).collect();
    let mut stream = selected.view.summaries(uids);
    let mut fetched = Fetched::default();
    let mut fields = Vec::new();
    for (sequence, row) in selected.rows(&plan.fetch.messages)?.filter(wanted) {
        let Some((_, stored)) = stream.next().await else { break };
        let stored = match stored {
            Ok(stored) => stored,
            Err(mailbox::Error::NoMessage(_)) => {
                fetched.expunged += 1;
                continue;
            }
            Err(error) => return Err(Failure::Store(error)),
        };
        let summary = Summary::stored(&stored);
        let kept = summary.is_some_and(|summary| summary.listed.is_some());
        if !kept && plan.listed.iter().any(Option::is_some) {
            // Its fields are too long to be kept.
            let Some((_, content)) = selected.view.bodies(vec![row.uid]).next().await else { continue };
            let message = Fetching { plan, enabled, selected, sequence, row };
            message.open(content, Some(stored), link, &mut fetched).await?;
            continue;
        }
        let mut writer = link.out.fetch(sequence);
        for (item, listed) in plan.fetch.items.iter().zip(&plan.listed) {
            match (listed, summary.and_then(|summary| summary.listed)) {
                (Some(listed), Some(kept)) => {
                    fields.clear();
                    kept.write(listed.names, &mut fields);
                    let range = cut(0..fields.len() as u64, listed.partial);
                    writer.literal(&listed.name, &fields[range.start as usize..range.end as usize]);
                }
                _ => summary_item(item, &row, summary.as_ref(), selected, enabled, &mut writer),
            }
        }
        writer.end();
        link.relieve().await?;
    }
    Ok(fetched)
}

/// Items for which files are opened.
async fn bodies(plan: &Plan, enabled: Enabled, selected: &Selected, link: &mut Link) -> Result<Fetched, Failure> {
    let wanted = |(_, row): &(SequenceNumber, Row)| plan.wants(row);
    let uids: Vec<Uid> = selected.rows(&plan.fetch.messages)?.filter(wanted).map(|(_, row)| row.uid).collect();
    let mut stored = plan.needs.summaries.then(|| selected.view.summaries(uids.clone()));
    let mut contents = selected.view.bodies(uids);
    let mut fetched = Fetched::default();
    for (sequence, row) in selected.rows(&plan.fetch.messages)?.filter(wanted) {
        let stored = match &mut stored {
            Some(stream) => stream.next().await.map(|(_, stored)| stored),
            None => None,
        };
        let Some((_, content)) = contents.next().await else { break };
        let stored = match stored.transpose() {
            Ok(stored) => stored,
            Err(mailbox::Error::NoMessage(_)) => {
                fetched.expunged += 1;
                continue;
            }
            Err(error) => return Err(Failure::Store(error)),
        };
        let message = Fetching { plan, enabled, selected, sequence, row };
        message.open(content, stored, link, &mut fetched).await?;
    }
    Ok(fetched)
}

/// One message whose file is open.
struct Fetching<'a> {
    plan: &'a Plan,
    enabled: Enabled,
    selected: &'a Selected,
    sequence: SequenceNumber,
    row: Row,
}

impl Fetching<'_> {
    /// Answers with what was found, or counts that the message is gone.
    async fn open(
        &self,
        content: Result<Content, mailbox::Error>,
        stored: Option<bytes::Bytes>,
        link: &mut Link,
        fetched: &mut Fetched,
    ) -> Result<(), Failure> {
        match content {
            Ok(content) => self.respond(content, stored, link, fetched).await,
            Err(mailbox::Error::NoMessage(_)) => {
                fetched.expunged += 1;
                Ok(())
            }
            Err(error) => Err(Failure::Store(error)),
        }
    }

    async fn respond(
        &self,
        content: Content,
        mut stored: Option<bytes::Bytes>,
        link: &mut Link,
        fetched: &mut Fetched,
    ) -> Result<(), Failure> {
        if stored.is_none() && Source::needs_sections(&content) {
            let (_, summary) = match self.selected.view.summaries(vec![self.row.uid]).next().await {
                Some(next) => next,
                None => return Ok(()),
            };
            stored = summary.ok();
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
        Ok(link.relieve().await?)
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
            link.send(&bytes).await?;
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
                link.send(&piece).await?;
                at += piece.len() as u64;
                if at >= range.end {
                    break;
                }
                if piece.is_empty() {
                    return Err(std::io::Error::other("a message is shorter than it was").into());
                }
                let next = source.piece(&(at..range.end)).await;
                piece = next.map_err(|error| Failure::from(std::io::Error::other(error.to_string())))?;
            }
        }
    }
    Ok(())
}
