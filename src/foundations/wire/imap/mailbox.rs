//! Commands about whole mailboxes: SELECT, STATUS, APPEND, quota (RFC 9051 §6.3; RFC 7162; RFC 9208; RFC 3502; RFC 4469).

use bytes::Bytes;

use super::cursor::{Cursor, Parsed};
use super::date::date_time;
use super::flag::Flag;
use super::list::SpecialUse;
use super::messages::{Addressing, Messages};
use super::name::RawName;
use super::url::MAX_URL;
use crate::foundations::clock::Timestamp;
use crate::foundations::mail::{ModSeq, SequenceNumber, SequenceSet, Uid, UidValidity};

/// Most messages in one APPEND (RFC 3502).
pub const MAX_APPENDED: usize = 100;

/// Most parts of one message (RFC 4469).
pub const MAX_PARTS: usize = 1_000;

/// ```abnf
/// mailbox = "INBOX" / astring
/// ```
pub(super) fn mailbox(cursor: &mut Cursor<'_>) -> Parsed<RawName> {
    cursor.astring_text("A mailbox name").map(RawName)
}

/// SELECT and EXAMINE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    /// Which mailbox.
    pub mailbox: RawName,
    /// CONDSTORE (RFC 7162 §3.1.8).
    pub condstore: bool,
    /// QRESYNC (RFC 7162 §3.2.5).
    pub qresync: Option<Resync>,
}

/// What a client still knows about a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resync {
    /// The epoch of its UIDs.
    pub uid_validity: UidValidity,
    /// The highest modification sequence it has seen.
    pub mod_seq: ModSeq,
    /// The UIDs it knows; `None` means all up to the highest.
    pub known_uids: Option<SequenceSet<Uid>>,
    /// Some of its sequence numbers and the UIDs that belong to them, in pairs.
    pub sequence_match: Option<(SequenceSet<SequenceNumber>, SequenceSet<Uid>)>,
}

impl Select {
    /// ```abnf
    /// select        = "SELECT" SP mailbox [select-params]
    /// select-params = SP "(" select-param *(SP select-param) ")"
    /// select-param  =/ condstore-param / "QRESYNC" SP "(" … ")"
    /// ```
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        cursor.space()?;
        let mut select = Self { mailbox: mailbox(cursor)?, condstore: false, qresync: None };
        if cursor.eat(b' ') {
            cursor.list1(2, |cursor| {
                if cursor.eat_word("CONDSTORE") {
                    select.condstore = true;
                    Ok(())
                } else if cursor.eat_word("QRESYNC") {
                    cursor.space()?;
                    select.qresync = Some(Resync::parse(cursor)?);
                    Ok(())
                } else {
                    cursor.wanted("CONDSTORE or QRESYNC")
                }
            })?;
        }
        Ok(select)
    }
}

impl Resync {
    /// ```abnf
    /// "(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")"
    /// seq-match-data = "(" known-sequence-set SP known-uid-set ")"
    /// ```
    fn parse(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        cursor.expect(b'(', "An opening parenthesis")?;
        let uid_validity = cursor.nz_number("A UIDVALIDITY")?;
        cursor.space()?;
        let mod_seq = cursor.mod_seq()?;
        let mut resync = Self { uid_validity, mod_seq, known_uids: None, sequence_match: None };
        let mut more = cursor.eat(b' ');
        if more && cursor.peek() != Some(b'(') {
            resync.known_uids = Some(cursor.known_set("A set of known UIDs")?);
            more = cursor.eat(b' ');
        }
        if more {
            cursor.expect(b'(', "An opening parenthesis")?;
            let start = cursor.clone();
            let sequence = cursor.known_set("A set of known sequence numbers")?;
            cursor.space()?;
            let uids = cursor.known_set("The set of UIDs that belong to them")?;
            let (last_number, last_uid) = (sequence.highest(), uids.highest());
            if sequence.count(last_number) != uids.count(last_uid) {
                return start.wanted("As many sequence numbers as UIDs");
            }
            cursor.expect(b')', "A closing parenthesis")?;
            resync.sequence_match = Some((sequence, uids));
        }
        cursor.expect(b')', "A closing parenthesis")?;
        Ok(resync)
    }
}

/// What STATUS can tell (RFC 9051 §6.3.11; RFC 7162; RFC 7889; RFC 8438; RFC 9208).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusItem {
    /// Largest message that can be appended.
    AppendLimit,
    /// Messages with `\Deleted`.
    Deleted,
    /// Octets of the messages with `\Deleted`.
    DeletedStorage,
    /// The highest modification sequence.
    HighestModSeq,
    /// The identifier that outlives the name (RFC 8474).
    MailboxId,
    /// Messages.
    Messages,
    /// Messages with `\Recent` (RFC 3501).
    Recent,
    /// Octets of all messages.
    Size,
    /// The next UID.
    UidNext,
    /// The epoch of the UIDs.
    UidValidity,
    /// Messages without `\Seen`.
    Unseen,
}

impl StatusItem {
    const ALL: [(Self, &'static str); 11] = [
        (Self::AppendLimit, "APPENDLIMIT"),
        (Self::Deleted, "DELETED"),
        (Self::DeletedStorage, "DELETED-STORAGE"),
        (Self::HighestModSeq, "HIGHESTMODSEQ"),
        (Self::MailboxId, "MAILBOXID"),
        (Self::Messages, "MESSAGES"),
        (Self::Recent, "RECENT"),
        (Self::Size, "SIZE"),
        (Self::UidNext, "UIDNEXT"),
        (Self::UidValidity, "UIDVALIDITY"),
        (Self::Unseen, "UNSEEN"),
    ];

    /// The wire form.
    pub const fn as_str(self) -> &'static str {
        // The table lists the variants in their order.
        Self::ALL[self as usize].1
    }

    /// ```abnf
    /// "(" status-att *(SP status-att) ")"
    /// ```
    pub(super) fn parse_list(cursor: &mut Cursor<'_>) -> Parsed<Vec<Self>> {
        cursor.list1(Self::ALL.len() * 2, |cursor| {
            let start = cursor.clone();
            let word = cursor.atom("A status item")?;
            match Self::ALL.into_iter().find(|(_, name)| name.eq_ignore_ascii_case(word)) {
                Some((item, _)) => Ok(item),
                None => start.wanted("A status item"),
            }
        })
    }
}

/// APPEND.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// To which mailbox.
    pub mailbox: RawName,
    /// The messages, at least one.
    pub messages: Vec<Appended>,
}

/// One message of an APPEND.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Its flags.
    pub flags: Vec<Flag>,
    /// Its internal date; without it, now.
    pub date: Option<Timestamp>,
    /// What it is made of.
    pub data: MessageData,
}

/// Where the octets of a message come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageData {
    /// The client has sent them; they share the command's memory.
    Literal(Bytes),
    /// They are put together from these (RFC 4469), at least one.
    Catenate(Vec<CatenatePart>),
}

impl MessageData {
    /// Octets that came with the command.
    pub fn sent(&self) -> usize {
        match self {
            Self::Literal(bytes) => bytes.len(),
            Self::Catenate(parts) => {
                let sent = |part: &CatenatePart| match part {
                    CatenatePart::Text(bytes) => bytes.len(),
                    CatenatePart::Url(_) => 0,
                };
                parts.iter().map(sent).sum()
            }
        }
    }
}

/// A piece of a message that is put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatenatePart {
    /// Octets that the client has sent, sharing the command's memory.
    Text(Bytes),
    /// An existing message or part: its URL as written.
    Url(String),
}

impl Append {
    /// ```abnf
    /// append         = "APPEND" SP mailbox 1*append-message
    /// append-message = [SP flag-list] [SP date-time] SP append-data
    /// append-data    = literal / literal8 / utf8-literal / catenate
    /// utf8-literal   = "UTF8" SP "(" literal8 ")" ; RFC 6855 §4
    /// catenate       = "CATENATE" SP "(" cat-part *(SP cat-part) ")"
    /// ```
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        cursor.space()?;
        let mailbox = mailbox(cursor)?;
        let mut messages = Vec::new();
        loop {
            cursor.space()?;
            if messages.len() >= MAX_APPENDED {
                return cursor.wanted("Fewer messages in one APPEND");
            }
            messages.push(Appended::parse(cursor)?);
            if cursor.at_end() {
                return Ok(Self { mailbox, messages });
            }
        }
    }
}

impl Appended {
    fn parse(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        let mut flags = Vec::new();
        if cursor.peek() == Some(b'(') {
            flags = Flag::parse_list(cursor)?;
            cursor.space()?;
        }
        let mut date = None;
        if cursor.peek() == Some(b'"') {
            date = Some(date_time(cursor)?);
            cursor.space()?;
        }
        if cursor.eat_word("CATENATE") {
            cursor.space()?;
            let parts = cursor.list1(MAX_PARTS, CatenatePart::parse)?;
            return Ok(Self { flags, date, data: MessageData::Catenate(parts) });
        }
        let bytes = if cursor.eat_word("UTF8") { utf8_literal(cursor)? } else { message_literal(cursor)? };
        Ok(Self { flags, date, data: MessageData::Literal(bytes) })
    }
}

impl CatenatePart {
    /// ```abnf
    /// cat-part     = text-literal / url / utf8-literal
    /// text-literal = "TEXT" SP literal
    /// url          = "URL" SP astring
    /// ```
    /// With BINARY, any literal that may be appended may be a part, including a `literal8`.
    fn parse(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        if cursor.eat_word("URL") {
            cursor.space()?;
            let start = cursor.clone();
            let url = cursor.astring_text("A URL")?;
            return if url.len() <= MAX_URL { Ok(Self::Url(url)) } else { start.wanted("A shorter URL") };
        }
        if cursor.eat_word("UTF8") {
            return utf8_literal(cursor).map(Self::Text);
        }
        if !cursor.eat_word("TEXT") {
            return cursor.wanted("TEXT or URL");
        }
        cursor.space()?;
        message_literal(cursor).map(Self::Text)
    }
}

fn utf8_literal(cursor: &mut Cursor<'_>) -> Parsed<Bytes> {
    cursor.space()?;
    cursor.expect(b'(', "An opening parenthesis")?;
    let bytes = message_literal(cursor)?;
    cursor.expect(b')', "A closing parenthesis")?;
    Ok(bytes)
}

fn message_literal(cursor: &mut Cursor<'_>) -> Parsed<Bytes> {
    cursor.eat(b'~');
    cursor.literal("The message as a literal")
}

/// REPLACE or UID REPLACE (RFC 8508).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replace {
    /// The message to replace: exactly one.
    pub messages: Messages,
    /// The mailbox for the new one.
    pub mailbox: RawName,
    /// The new one.
    pub message: Appended,
}

impl Replace {
    /// ```abnf
    /// replace = ["UID" SP] "REPLACE" SP seq-number SP mailbox append-message
    /// ```
    pub(super) fn parse(cursor: &mut Cursor<'_>, addressing: Addressing) -> Parsed<Self> {
        cursor.space()?;
        let messages = Messages::parse(cursor, addressing)?;
        cursor.space()?;
        let mailbox = mailbox(cursor)?;
        cursor.space()?;
        Ok(Self { messages, mailbox, message: Appended::parse(cursor)? })
    }
}

/// A quota's limits as SETQUOTA gives them (RFC 9208 §4.1.3): resource and number.
pub type QuotaLimits = Vec<(String, u64)>;

/// ```abnf
/// setquota-list = "(" [setquota-resource *(SP setquota-resource)] ")"
/// ```
pub(super) fn quota_limits(cursor: &mut Cursor<'_>) -> Parsed<QuotaLimits> {
    cursor.list(16, |cursor| {
        let resource = cursor.atom("A quota resource")?.to_owned();
        cursor.space()?;
        Ok((resource, cursor.number64("A quota limit")?))
    })
}

/// ```abnf
/// create       = "CREATE" SP mailbox [create-params]
/// create-params = SP "(" "USE" SP "(" [use-attr *(SP use-attr)] ")" ")" ; RFC 6154
/// ```
pub(super) fn create_uses(cursor: &mut Cursor<'_>) -> Parsed<Vec<Option<SpecialUse>>> {
    if !cursor.eat(b' ') {
        return Ok(Vec::new());
    }
    cursor.expect(b'(', "An opening parenthesis")?;
    if !cursor.eat_word("USE") {
        return cursor.wanted("USE");
    }
    cursor.space()?;
    let uses = cursor.list(SpecialUse::ALL.len(), SpecialUse::parse)?;
    cursor.expect(b')', "A closing parenthesis")?;
    Ok(uses)
}
