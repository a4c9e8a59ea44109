//! SEARCH (RFC 9051 §6.4.4; RFC 4731; RFC 5182; RFC 7162 §3.1.5; RFC 5032; RFC 5267 §4).

use chrono::NaiveDate;

use super::cursor::{Cursor, Parsed, is_astring};
use super::date::date;
use super::fetch::{FetchItem, MAX_ITEMS};
use super::flag::{SystemFlag, keyword};
use super::messages::{Addressing, Messages, PartialRange};
use super::nesting;
use crate::foundations::mail::ModSeq;

/// SEARCH or UID SEARCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// Which numbers the answer holds.
    pub addressing: Addressing,
    /// RETURN (…); without it the answer is a plain SEARCH response.
    pub returns: Option<SearchReturn>,
    /// CHARSET; without it UTF-8 (of which US-ASCII is a part).
    pub charset: Option<String>,
    /// The condition.
    pub key: SearchKey,
}

/// What to return (RFC 9051 §6.4.4). An empty list means ALL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SearchReturn {
    /// The lowest number.
    pub min: bool,
    /// The highest number.
    pub max: bool,
    /// All numbers.
    pub all: bool,
    /// How many.
    pub count: bool,
    /// Keep the result as `$` (RFC 5182).
    pub save: bool,
    /// Only these of the numbers (RFC 9394).
    pub partial: Option<PartialRange>,
    /// Report later changes of the result (RFC 5267 §4.3), with these items of messages that newly match (RFC 5465 §7).
    pub update: Option<Vec<FetchItem>>,
}

/// A condition on a message. Keys that are shorthand for others are parsed as those.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchKey {
    /// Every message.
    All,
    /// All of them hold.
    And(Vec<Self>),
    /// The text is in the body.
    Body(SearchText),
    /// A date compares so.
    Date {
        /// Which date of the message.
        of: DateOf,
        /// How it compares.
        when: When,
        /// The calendar date, without time and zone.
        date: NaiveDate,
    },
    /// The message has this EMAILID (RFC 8474).
    EmailId(String),
    /// The flag is set.
    Flag(SystemFlag),
    /// A header field with this name contains the text; an empty text matches any.
    Header {
        /// The field's name.
        field: String,
        /// What it contains.
        text: SearchText,
    },
    /// The keyword is set.
    Keyword(String),
    /// Larger than this many octets.
    Larger(u64),
    /// One of these messages.
    Messages(Messages),
    /// The modification sequence is at least this; `None` is zero.
    ModSeq(Option<ModSeq>),
    /// It does not hold.
    Not(Box<Self>),
    /// The internal date is at least this many seconds ago (RFC 5032).
    Older(u32),
    /// One of them holds.
    Or(Vec<Self>),
    /// `\Recent` is set (RFC 3501).
    Recent,
    /// Smaller than this many octets.
    Smaller(u64),
    /// The message has this THREADID (RFC 8474).
    ThreadId(String),
    /// The text is in the header or the body.
    Text(SearchText),
    /// The internal date is within the last seconds (RFC 5032).
    Younger(u32),
}

/// Text to look for, in the charset of the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchText(pub Vec<u8>);

/// A date of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateOf {
    /// When it arrived.
    Internal,
    /// When it came into this mailbox (RFC 8514).
    Saved,
    /// Its Date field.
    Sent,
}

/// How a date compares to the one given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Earlier.
    Before,
    /// On that day.
    On,
    /// On that day or later.
    Since,
}

impl Search {
    /// ```abnf
    /// search         = "SEARCH" [search-return-opts] SP search-program
    /// search-program = ["CHARSET" SP charset SP] search-key *(SP search-key)
    /// ```
    pub(super) fn parse(cursor: &mut Cursor<'_>, addressing: Addressing) -> Parsed<Self> {
        cursor.space()?;
        let returns = SearchReturn::parse_optional(cursor)?;
        let mut charset = None;
        if cursor.eat_word("CHARSET") {
            cursor.space()?;
            charset = Some(cursor.astring_text("A charset")?);
            cursor.space()?;
        }
        Ok(Self { addressing, returns, charset, key: nesting::keys(cursor)? })
    }

    /// ```abnf
    /// search-criteria = charset 1*(SP search-key)
    /// ```
    /// Of SORT and THREAD (RFC 5256 §5).
    pub(super) fn parse_criteria(
        cursor: &mut Cursor<'_>,
        addressing: Addressing,
        returns: Option<SearchReturn>,
    ) -> Parsed<Self> {
        let charset = Some(cursor.astring_text("A charset")?);
        cursor.space()?;
        Ok(Self { addressing, returns, charset, key: nesting::keys(cursor)? })
    }
}

impl SearchReturn {
    /// What follows RETURN and the space behind it, when that is there.
    pub(super) fn parse_optional(cursor: &mut Cursor<'_>) -> Parsed<Option<Self>> {
        if !cursor.eat_word("RETURN") {
            return Ok(None);
        }
        cursor.space()?;
        let returns = Self::parse(cursor)?;
        cursor.space()?;
        Ok(Some(returns))
    }

    /// ```abnf
    /// search-return-opts = SP "RETURN" SP "(" [search-return-opt *(SP search-return-opt)] ")"
    /// search-return-opt  = "MIN" / "MAX" / "ALL" / "COUNT" / "SAVE" / "PARTIAL" SP partial-range / "CONTEXT" /
    ///                      modifier-update
    /// modifier-update    = "UPDATE" [[SP] "(" fetch-att *(SP fetch-att) ")"]
    /// ```
    fn parse(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        let mut returns = Self::default();
        let options = cursor.list(16, |cursor| {
            let start = cursor.clone();
            match cursor.atom("A return option")?.to_ascii_uppercase().as_str() {
                "MIN" => returns.min = true,
                "MAX" => returns.max = true,
                "ALL" => returns.all = true,
                "COUNT" => returns.count = true,
                "SAVE" => returns.save = true,
                // RFC 9394 §3.1: one of them.
                "PARTIAL" if returns.partial.is_none() => {
                    cursor.space()?;
                    returns.partial = Some(PartialRange::parse(cursor)?);
                }
                // RFC 5267 §4.2: a hint, which requires nothing.
                "CONTEXT" => return Ok(None),
                "UPDATE" => returns.update = Some(update_items(cursor)?),
                _ => return start.wanted("MIN, MAX, ALL, COUNT, SAVE, PARTIAL, CONTEXT or UPDATE"),
            }
            Ok(Some(()))
        })?;
        returns.all |= options.iter().all(Option::is_none);
        if returns.all && returns.partial.is_some() {
            return cursor.wanted("PARTIAL or ALL");
        }
        Ok(returns)
    }
}

/// The items fetched of messages that newly match: nothing, or a list (RFC 5465 §7, where the examples have a space in
/// front of it and the grammar none).
fn update_items(cursor: &mut Cursor<'_>) -> Parsed<Vec<FetchItem>> {
    if !cursor.rest().starts_with(b" (") && cursor.peek() != Some(b'(') {
        return Ok(Vec::new());
    }
    cursor.eat(b' ');
    cursor.list1(MAX_ITEMS, FetchItem::parse)
}

impl SearchKey {
    fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// ```abnf
    /// search-key = "ALL" / "ANSWERED" / … / sequence-set
    /// ```
    /// One that holds no others.
    pub(super) fn single(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        if let Some(b'0'..=b'9' | b'*' | b'$') = cursor.peek() {
            return Messages::parse(cursor, Addressing::Sequence).map(Self::Messages);
        }
        let start = cursor.clone();
        let word = cursor.chars(is_astring, "A search key")?.to_ascii_uppercase();
        if let Some(key) = Self::without_argument(&word) {
            return Ok(key);
        }
        match Self::with_argument(&word, cursor)? {
            Some(key) => Ok(key),
            None => start.wanted("A search key"),
        }
    }

    fn without_argument(word: &str) -> Option<Self> {
        let flag = |flag| Some(Self::Flag(flag));
        let no_flag = |flag| Some(Self::Flag(flag).negated());
        match word {
            // RFC 8514 §4.3: save dates are supported in every mailbox.
            "ALL" | "SAVEDATESUPPORTED" => Some(Self::All),
            "ANSWERED" => flag(SystemFlag::Answered),
            "DELETED" => flag(SystemFlag::Deleted),
            "DRAFT" => flag(SystemFlag::Draft),
            "FLAGGED" => flag(SystemFlag::Flagged),
            "SEEN" => flag(SystemFlag::Seen),
            "UNANSWERED" => no_flag(SystemFlag::Answered),
            "UNDELETED" => no_flag(SystemFlag::Deleted),
            "UNDRAFT" => no_flag(SystemFlag::Draft),
            "UNFLAGGED" => no_flag(SystemFlag::Flagged),
            "UNSEEN" => no_flag(SystemFlag::Seen),
            // RFC 3501 §6.4.4.
            "RECENT" => Some(Self::Recent),
            "NEW" => Some(Self::And(vec![Self::Recent, Self::Flag(SystemFlag::Seen).negated()])),
            "OLD" => Some(Self::Recent.negated()),
            _ => None,
        }
    }

    fn with_argument(word: &str, cursor: &mut Cursor<'_>) -> Parsed<Option<Self>> {
        use {DateOf::*, When::*};
        let dated = |cursor: &mut Cursor<'_>, of, when| {
            cursor.space()?;
            Ok(Some(Self::Date { of, when, date: date(cursor)? }))
        };
        let key = match word {
            "BEFORE" => return dated(cursor, Internal, Before),
            "ON" => return dated(cursor, Internal, On),
            "SINCE" => return dated(cursor, Internal, Since),
            "SAVEDBEFORE" => return dated(cursor, Saved, Before),
            "SAVEDON" => return dated(cursor, Saved, On),
            "SAVEDSINCE" => return dated(cursor, Saved, Since),
            "SENTBEFORE" => return dated(cursor, Sent, Before),
            "SENTON" => return dated(cursor, Sent, On),
            "SENTSINCE" => return dated(cursor, Sent, Since),
            "BCC" | "CC" | "FROM" | "SUBJECT" | "TO" => {
                let field = word[..1].to_owned() + &word[1..].to_ascii_lowercase();
                Self::Header { field, text: text(cursor)? }
            }
            "BODY" => Self::Body(text(cursor)?),
            "TEXT" => Self::Text(text(cursor)?),
            "HEADER" => {
                cursor.space()?;
                let field = cursor.astring_text("The name of a header field")?;
                Self::Header { field, text: text(cursor)? }
            }
            "KEYWORD" | "UNKEYWORD" => {
                cursor.space()?;
                let key = Self::Keyword(keyword(cursor)?);
                if word == "KEYWORD" { key } else { key.negated() }
            }
            "LARGER" => Self::Larger(number(cursor)?),
            "SMALLER" => Self::Smaller(number(cursor)?),
            "OLDER" => Self::Older(seconds(cursor)?),
            "YOUNGER" => Self::Younger(seconds(cursor)?),
            "MODSEQ" => mod_seq(cursor)?,
            "EMAILID" => Self::EmailId(object_id(cursor)?),
            "THREADID" => Self::ThreadId(object_id(cursor)?),
            "UID" => {
                cursor.space()?;
                Self::Messages(Messages::parse(cursor, Addressing::Uid)?)
            }
            _ => return Ok(None),
        };
        Ok(Some(key))
    }

    /// Whether any key of the tree satisfies a condition.
    pub fn any(&self, test: &impl Fn(&Self) -> bool) -> bool {
        test(self)
            || match self {
                Self::And(keys) | Self::Or(keys) => keys.iter().any(|key| key.any(test)),
                Self::Not(key) => key.any(test),
                _ => false,
            }
    }
}

/// ```abnf
/// objectid = 1*255(ALPHA / DIGIT / "_" / "-")
/// ```
fn object_id(cursor: &mut Cursor<'_>) -> Parsed<String> {
    cursor.space()?;
    let start = cursor.clone();
    let id = cursor.chars(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'), "An object identifier")?;
    if id.len() <= 255 { Ok(id.to_owned()) } else { start.wanted("An object identifier") }
}

fn text(cursor: &mut Cursor<'_>) -> Parsed<SearchText> {
    cursor.space()?;
    cursor.astring("A text to search for").map(SearchText)
}

fn number(cursor: &mut Cursor<'_>) -> Parsed<u64> {
    cursor.space()?;
    cursor.number64("A number of octets")
}

fn seconds(cursor: &mut Cursor<'_>) -> Parsed<u32> {
    cursor.space()?;
    cursor.nz_number::<std::num::NonZeroU32>("A number of seconds").map(std::num::NonZeroU32::get)
}

/// ```abnf
/// search-modsequence      = "MODSEQ" [search-modseq-ext] SP mod-sequence-valzer
/// search-modseq-ext       = SP entry-name SP entry-type-req
/// entry-name              = DQUOTE "/flags/" attr-flag DQUOTE
/// entry-type-req          = "priv" / "shared" / "all"
/// ```
/// We keep one modification sequence per message, so the entry makes no difference.
fn mod_seq(cursor: &mut Cursor<'_>) -> Parsed<SearchKey> {
    cursor.space()?;
    if cursor.peek() == Some(b'"') {
        let start = cursor.clone();
        if !cursor.string("An entry name")?.to_ascii_lowercase().starts_with(b"/flags/") {
            return start.wanted("An entry name that begins with /flags/");
        }
        cursor.space()?;
        if !["priv", "shared", "all"].iter().any(|word| cursor.eat_word(word)) {
            return cursor.wanted("priv, shared or all");
        }
        cursor.space()?;
    }
    cursor.mod_seq_or_zero().map(SearchKey::ModSeq)
}
