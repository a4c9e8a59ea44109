//! A search condition, prepared for evaluation on messages.

use std::cmp::Ordering;

use chrono::Local;

use super::Problem;
use super::day::Day;
use super::text::{Message, decode, is_charset};
use crate::foundations::clock::Timestamp;
use crate::foundations::mail::text::Needle;
use crate::foundations::mail::{
    EmailId, HeaderDate, ModSeq, SearchFields, SequenceNumber, SequenceSet, Summary, ThreadId, Uid,
};
use crate::foundations::wire::imap::{DateOf, Messages, Numbers, SearchKey, SystemFlag, When};
use crate::storage::mailbox::{Flags, Keyword, KeywordSet, Row, View};

/// A search key with everything resolved that does not depend on the message.
#[derive(Debug)]
pub struct Condition {
    test: Test,
    asks_summaries: bool,
    asks_saved: bool,
    has_mod_seq: bool,
    /// Decoded octets of one message that are searched.
    text_limit: usize,
    /// Texts that are searched for in messages.
    texts: usize,
}

#[derive(Debug)]
enum Test {
    Always(bool),
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    Flag(Flags),
    Keyword(KeywordSet),
    Recent,
    Larger(u64),
    Smaller(u64),
    Sequence(SequenceSet<SequenceNumber>, Option<SequenceNumber>),
    Uid(SequenceSet<Uid>, Option<Uid>),
    ModSeq(ModSeq),
    Date(DateOf, When, Day<Local>),
    /// The message has this identifier.
    EmailId(EmailId),
    /// The message belongs to this thread.
    ThreadId(ThreadId),
    /// The message arrived at this time or later.
    ArrivedSince(Timestamp),
    Field(Field, Needle),
    Header(String, Needle),
    Body(Needle),
    Text(Needle),
}

/// Header fields that summaries contain in decoded form.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field {
    Bcc,
    Cc,
    From,
    Subject,
    To,
}

/// What is known about a message at a given stage.
pub(super) struct Facts<'a> {
    /// Its number.
    pub sequence: SequenceNumber,
    /// Its row.
    pub row: &'a Row,
    /// Whether it is recent.
    pub recent: bool,
    /// When it was added to the folder, if that is needed and known.
    pub saved: Option<Timestamp>,
    /// Its summary, once read.
    pub summary: Option<&'a Summary>,
    /// Its octets, once read.
    pub body: Option<&'a [u8]>,
}

impl Condition {
    /// Prepares a search of this view at this time.
    ///
    /// # Errors
    /// A text's charset is unknown here, or the text is not valid in it.
    pub fn new(key: &SearchKey, wording: &Wording<'_>, view: &View, now: Timestamp) -> Result<Self, Problem> {
        if wording.charset.is_some_and(|label| !is_charset(label)) {
            return Err(Problem::UnknownCharset);
        }
        let mut builder = Builder { wording, view, now, asks_summaries: false, asks_saved: false, texts: 0 };
        let test = builder.test(key)?;
        let has_mod_seq = key.any(&|key| matches!(key, SearchKey::ModSeq(_)));
        let Builder { asks_summaries, asks_saved, texts, .. } = builder;
        Ok(Self { test, asks_summaries, asks_saved, has_mod_seq, text_limit: wording.text_limit, texts })
    }

    /// Whether summaries can decide some of it.
    pub(super) const fn asks_summaries(&self) -> bool {
        self.asks_summaries
    }

    /// Whether it depends on when messages were added to the folder.
    pub(super) const fn asks_saved(&self) -> bool {
        self.asks_saved
    }

    /// Decoded octets of one message that are searched.
    pub(super) const fn text_limit(&self) -> usize {
        self.text_limit
    }

    /// How many texts are searched for in the messages themselves: the cost of the search for each of their octets.
    pub const fn texts(&self) -> usize {
        self.texts
    }

    /// Whether it contains modification sequences.
    pub const fn has_mod_seq(&self) -> bool {
        self.has_mod_seq
    }

    /// Whether it holds; `None` when what is known does not decide that.
    pub(super) fn holds(&self, facts: &Facts<'_>) -> Option<bool> {
        let message = facts.body.map(|octets| Message::new(octets, self.text_limit));
        self.test.holds(facts, message.as_ref())
    }
}

/// How to interpret the texts of a search, and what `$` stands for.
#[derive(Debug, Clone, Copy)]
pub struct Wording<'a> {
    /// The charset of texts; UTF-8 when `None`.
    pub charset: Option<&'a str>,
    /// The messages found by the previous search (RFC 5182).
    pub saved: &'a SequenceSet<Uid>,
    /// Decoded octets of one message that are searched.
    pub text_limit: usize,
}

struct Builder<'a> {
    wording: &'a Wording<'a>,
    view: &'a View,
    now: Timestamp,
    asks_summaries: bool,
    asks_saved: bool,
    texts: usize,
}

impl Builder<'_> {
    fn test(&mut self, key: &SearchKey) -> Result<Test, Problem> {
        Ok(match key {
            SearchKey::All => Test::Always(true),
            SearchKey::And(keys) => Test::And(keys.iter().map(|key| self.test(key)).collect::<Result<_, _>>()?),
            SearchKey::Or(keys) => Test::Or(keys.iter().map(|key| self.test(key)).collect::<Result<_, _>>()?),
            SearchKey::Not(key) => Test::Not(Box::new(self.test(key)?)),
            SearchKey::Flag(flag) => Test::Flag(system_flag(*flag)),
            SearchKey::Keyword(name) => self.keyword(name),
            SearchKey::Recent => Test::Recent,
            SearchKey::Larger(octets) => Test::Larger(*octets),
            SearchKey::Smaller(octets) => Test::Smaller(*octets),
            SearchKey::Messages(messages) => self.messages(messages),
            SearchKey::ModSeq(mod_seq) => mod_seq.map_or(Test::Always(true), Test::ModSeq),
            SearchKey::Date { of, when, date } => {
                self.asks_summaries |= *of == DateOf::Sent;
                self.asks_saved |= *of == DateOf::Saved;
                Test::Date(*of, *when, Day::new(*date, Local))
            }
            // RFC 5032 §2.1: YOUNGER is within the interval, OLDER is not.
            SearchKey::Younger(seconds) => self.arrived_within(*seconds),
            SearchKey::Older(seconds) => Test::Not(Box::new(self.arrived_within(*seconds))),
            SearchKey::Header { field, text } => {
                let needle = decode(&text.0, self.wording.charset)?;
                match summary_field(field) {
                    // RFC 9051 §6.4.4: an empty text asks whether the field exists, which summaries do not say.
                    Some(field) if !needle.is_empty() => {
                        self.asks_summaries = true;
                        Test::Field(field, Needle::new(&needle))
                    }
                    _ => {
                        self.texts += 1;
                        Test::Header(field.clone(), Needle::new(&needle))
                    }
                }
            }
            SearchKey::EmailId(id) => match id.parse() {
                Ok(id) => {
                    self.asks_summaries = true;
                    Test::EmailId(id)
                }
                // It belongs to no message here.
                Err(_) => Test::Always(false),
            },
            SearchKey::ThreadId(id) => match id.parse() {
                Ok(id) => {
                    self.asks_summaries = true;
                    Test::ThreadId(id)
                }
                Err(_) => Test::Always(false),
            },
            SearchKey::Body(text) => Test::Body(self.text(&text.0)?),
            SearchKey::Text(text) => Test::Text(self.text(&text.0)?),
        })
    }

    fn text(&mut self, octets: &[u8]) -> Result<Needle, Problem> {
        self.texts += 1;
        Ok(Needle::new(&decode(octets, self.wording.charset)?))
    }

    fn arrived_within(&self, seconds: u32) -> Test {
        Test::ArrivedSince(self.now - std::time::Duration::from_secs(seconds.into()))
    }

    fn keyword(&self, name: &str) -> Test {
        if name.eq_ignore_ascii_case("$Forwarded") {
            return Test::Flag(Flags::FORWARDED);
        }
        let slot = Keyword::parse(name).ok().and_then(|keyword| self.view.keywords().slot(&keyword));
        slot.map_or(Test::Always(false), |slot| Test::Keyword(KeywordSet::slot(slot)))
    }

    fn messages(&self, messages: &Messages) -> Test {
        let view = self.view;
        match messages {
            Messages::Sequence(Numbers::Set(set)) => Test::Sequence(set.clone(), view.last()),
            Messages::Uid(Numbers::Set(set)) => Test::Uid(set.clone(), view.last_uid()),
            Messages::Sequence(Numbers::Saved) | Messages::Uid(Numbers::Saved) => {
                Test::Uid(self.wording.saved.clone(), view.last_uid())
            }
        }
    }
}

/// The store's bit for a flag.
pub const fn system_flag(flag: SystemFlag) -> Flags {
    match flag {
        SystemFlag::Answered => Flags::ANSWERED,
        SystemFlag::Deleted => Flags::DELETED,
        SystemFlag::Draft => Flags::DRAFT,
        SystemFlag::Flagged => Flags::FLAGGED,
        SystemFlag::Seen => Flags::SEEN,
    }
}

fn summary_field(name: &str) -> Option<Field> {
    match name.to_ascii_lowercase().as_str() {
        "bcc" => Some(Field::Bcc),
        "cc" => Some(Field::Cc),
        "from" => Some(Field::From),
        "subject" => Some(Field::Subject),
        "to" => Some(Field::To),
        _ => None,
    }
}

impl Test {
    /// `message` is there once its octets have been read.
    fn holds(&self, facts: &Facts<'_>, message: Option<&Message<'_>>) -> Option<bool> {
        let row = facts.row;
        match self {
            Self::Always(always) => Some(*always),
            Self::And(tests) => all(tests.iter().map(|test| test.holds(facts, message))),
            // True unless none of them holds.
            Self::Or(tests) => not(all(tests.iter().map(|test| not(test.holds(facts, message))))),
            Self::Not(test) => not(test.holds(facts, message)),
            Self::Flag(flag) => Some(row.flags.contains(*flag)),
            Self::Keyword(set) => Some(row.keywords.contains(*set)),
            Self::Recent => Some(facts.recent),
            Self::Larger(octets) => Some(row.size > *octets),
            Self::Smaller(octets) => Some(row.size < *octets),
            Self::Sequence(set, max) => Some(set.contains(facts.sequence, *max)),
            Self::Uid(set, max) => Some(set.contains(row.uid, *max)),
            Self::ModSeq(least) => Some(row.mod_seq >= *least),
            Self::Date(DateOf::Internal, when, day) => Some(is_so(*when, day.order(row.internal_date))),
            // RFC 8514 §4.3: if it is not known, the internal date is used instead.
            Self::Date(DateOf::Saved, when, day) => {
                Some(is_so(*when, day.order(facts.saved.unwrap_or(row.internal_date))))
            }
            Self::EmailId(id) if id.date() != row.internal_date => Some(false),
            Self::EmailId(id) => facts.summary.map(|summary| EmailId::new(summary.digest, row.internal_date) == *id),
            Self::ThreadId(id) => facts.summary.map(|summary| summary.thread() == *id),
            Self::Date(DateOf::Sent, when, day) => {
                let is_so = |sent: HeaderDate| is_so(*when, sent.day().cmp(&day.number()));
                facts.summary.map(|summary| summary.sent.is_some_and(is_so))
            }
            Self::ArrivedSince(since) => Some(row.internal_date >= *since),
            Self::Field(field, needle) => {
                let text = field.of(&facts.summary?.fields);
                if needle.is_in(text) {
                    Some(true)
                } else if SearchFields::may_be_cut(text) {
                    message.map(|message| message.field_holds(*field, needle))
                } else {
                    Some(false)
                }
            }
            Self::Header(name, needle) => message.map(|message| message.header_holds(name, needle)),
            Self::Body(needle) => message.map(|message| message.texts().body_holds(needle)),
            Self::Text(needle) => message.map(|message| message.texts().header_or_body_holds(needle)),
        }
    }
}

fn not(holds: Option<bool>) -> Option<bool> {
    holds.map(|holds| !holds)
}

/// False as soon as one is false, unknown as long as one is unknown.
fn all(tests: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut known = true;
    for holds in tests {
        match holds {
            Some(false) => return Some(false),
            Some(true) => {}
            None => known = false,
        }
    }
    known.then_some(true)
}

const fn is_so(when: When, day: Ordering) -> bool {
    match when {
        When::Before => day.is_lt(),
        When::On => day.is_eq(),
        When::Since => day.is_ge(),
    }
}

impl Field {
    pub const ALL: [Self; 5] = [Self::Bcc, Self::Cc, Self::From, Self::Subject, Self::To];

    pub fn of(self, fields: &SearchFields) -> &str {
        match self {
            Self::Bcc => &fields.bcc,
            Self::Cc => &fields.cc,
            Self::From => &fields.from,
            Self::Subject => &fields.subject,
            Self::To => &fields.to,
        }
    }
}
