//! FETCH and STORE (RFC 9051 §6.4.5, §6.4.6; RFC 3516; RFC 7162).

use std::fmt;
use std::num::NonZeroU32;

use super::cursor::{Cursor, Parsed};
use super::flag::Flag;
use super::messages::{Addressing, Messages, PartialRange};
use crate::foundations::mail::{ModSeq, UnchangedSince};

/// Most items in one FETCH.
pub const MAX_ITEMS: usize = 256;

/// Most header fields in one section.
pub const MAX_FIELDS: usize = 512;

/// Most numbers in a part specifier. Deeper parts do not exist here.
pub const MAX_PART_NUMBERS: usize = 100;

/// FETCH or UID FETCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// The messages that are asked for.
    pub messages: Messages,
    /// The items; macros are expanded. UID FETCH does not add UID here.
    pub items: Vec<FetchItem>,
    /// CHANGEDSINCE (RFC 7162 §3.1.4.1): only messages changed after it.
    pub changed_since: Option<ModSeq>,
    /// VANISHED (RFC 7162 §3.2.6): also report which were expunged.
    pub vanished: bool,
    /// PARTIAL (RFC 9394 §3.3): only these of the messages.
    pub partial: Option<PartialRange>,
}

/// One item of a FETCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchItem {
    /// `BINARY[part]<partial>` (RFC 3516): a part without its transfer encoding.
    Binary {
        /// The part; empty means the whole message.
        part: PartPath,
        /// Only these octets of it.
        partial: Option<Partial>,
        /// Whether reading it sets `\Seen`.
        reading: Reading,
    },
    /// `BINARY.SIZE[part]`.
    BinarySize(PartPath),
    /// `BODY`: the structure without extension data.
    Body,
    /// `BODY[section]<partial>`.
    BodySection {
        /// The section.
        section: Section,
        /// Only these octets of it.
        partial: Option<Partial>,
        /// Whether reading it sets `\Seen`.
        reading: Reading,
    },
    /// `BODYSTRUCTURE`.
    BodyStructure,
    /// `EMAILID` (RFC 8474).
    EmailId,
    /// `ENVELOPE`.
    Envelope,
    /// `FLAGS`.
    Flags,
    /// `INTERNALDATE`.
    InternalDate,
    /// `MODSEQ` (RFC 7162).
    ModSeq,
    /// `PREVIEW` (RFC 8970); we never need `LAZY`.
    Preview,
    /// `RFC822` (RFC 3501 §6.4.5): as `BODY[]`.
    Rfc822,
    /// `RFC822.HEADER`: as `BODY.PEEK[HEADER]`.
    Rfc822Header,
    /// `RFC822.SIZE`.
    Rfc822Size,
    /// `RFC822.TEXT`: as `BODY[TEXT]`.
    Rfc822Text,
    /// `SAVEDATE` (RFC 8514).
    SaveDate,
    /// `THREADID` (RFC 8474).
    ThreadId,
    /// `UID`.
    Uid,
}

/// Whether fetching a body counts as reading the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// It does: `\Seen` is set.
    Marks,
    /// `.PEEK`: it does not.
    Peeks,
}

/// `<first.count>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partial {
    /// Octets to leave out.
    pub first: u64,
    /// Most octets to give; never zero.
    pub count: u64,
}

/// Numbers of nested parts, outermost first; empty for the message itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct PartPath(pub Vec<u32>);

/// A section of a message (RFC 9051 §6.4.5.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Section {
    /// The part it belongs to.
    pub part: PartPath,
    /// Which text of that part.
    pub text: SectionText,
}

/// Which text of a part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SectionText {
    /// Everything; of a part, its body.
    #[default]
    Whole,
    /// `HEADER`.
    Header,
    /// `HEADER.FIELDS (…)`.
    HeaderFields(Vec<String>),
    /// `HEADER.FIELDS.NOT (…)`.
    HeaderFieldsNot(Vec<String>),
    /// `MIME`: the header of the part itself.
    Mime,
    /// `TEXT`: the body behind the header.
    Text,
}

/// STORE or UID STORE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// In which messages.
    pub messages: Messages,
    /// UNCHANGEDSINCE (RFC 7162 §3.1.3).
    pub unchanged_since: Option<UnchangedSince>,
    /// What to do with the flags.
    pub action: StoreAction,
    /// Whether the new flags are returned.
    pub telling: Telling,
    /// The flags.
    pub flags: Vec<Flag>,
}

/// What STORE does with its flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreAction {
    /// `+FLAGS`.
    Add,
    /// `-FLAGS`.
    Remove,
    /// `FLAGS`.
    Replace,
}

/// Whether STORE answers with the new flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// It does.
    Flags,
    /// `.SILENT`: it does not.
    Silent,
}

impl Fetch {
    /// ```abnf
    /// fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")")
    ///         [fetch-modifiers]
    /// ```
    pub(super) fn parse(cursor: &mut Cursor<'_>, addressing: Addressing) -> Parsed<Self> {
        cursor.space()?;
        let messages = Messages::parse(cursor, addressing)?;
        cursor.space()?;
        let items = items(cursor)?;
        let mut fetch = Self { messages, items, changed_since: None, vanished: false, partial: None };
        if cursor.eat(b' ') {
            fetch.modifiers(cursor)?;
        }
        Ok(fetch)
    }

    /// ```abnf
    /// fetch-modifiers = SP "(" fetch-modifier *(SP fetch-modifier) ")"
    /// fetch-modifier  =/ chgsince-fetch-mod / rexpunges-fetch-mod / modifier-partial
    /// ```
    fn modifiers(&mut self, cursor: &mut Cursor<'_>) -> Parsed<()> {
        let start = cursor.clone();
        cursor.list1(3, |cursor| {
            if cursor.eat_word("CHANGEDSINCE") {
                cursor.space()?;
                // quirk_changed_since_zero: Thunderbird 153 writes 0 while it knows no HIGHESTMODSEQ (November 2026).
                // No message has the first modification sequence, since they start from the time.
                self.changed_since = Some(cursor.mod_seq_or_zero()?.unwrap_or(ModSeq::MIN));
                Ok(())
            } else if cursor.eat_word("VANISHED") {
                self.vanished = true;
                Ok(())
            } else if cursor.eat_word("PARTIAL") {
                cursor.space()?;
                self.partial = Some(PartialRange::parse(cursor)?);
                Ok(())
            } else {
                cursor.wanted("CHANGEDSINCE, VANISHED or PARTIAL")
            }
        })?;
        // RFC 9394 §3.3.
        if self.partial.is_some() && self.messages.addressing() == Addressing::Sequence {
            return start.wanted("UID FETCH beside PARTIAL");
        }
        // RFC 7162 §3.2.6: VANISHED needs UID FETCH and CHANGEDSINCE.
        if self.vanished && (self.changed_since.is_none() || self.messages.addressing() == Addressing::Sequence) {
            return start.wanted("UID FETCH with CHANGEDSINCE beside VANISHED");
        }
        Ok(())
    }
}

fn items(cursor: &mut Cursor<'_>) -> Parsed<Vec<FetchItem>> {
    const FAST: [FetchItem; 3] = [FetchItem::Flags, FetchItem::InternalDate, FetchItem::Rfc822Size];
    if cursor.peek() == Some(b'(') {
        return cursor.list1(MAX_ITEMS, FetchItem::parse);
    }
    if cursor.eat_word("FAST") {
        return Ok(FAST.to_vec());
    }
    if cursor.eat_word("ALL") {
        return Ok([&FAST[..], &[FetchItem::Envelope]].concat());
    }
    if cursor.eat_word("FULL") {
        return Ok([&FAST[..], &[FetchItem::Envelope, FetchItem::Body]].concat());
    }
    Ok(vec![FetchItem::parse(cursor)?])
}

impl FetchItem {
    /// ```abnf
    /// fetch-att = "ENVELOPE" / "FLAGS" / "INTERNALDATE" / "RFC822" [".HEADER" / ".SIZE" / ".TEXT"] /
    ///             "BODY" ["STRUCTURE"] / "UID" / "BODY" [".PEEK"] section [partial] / "MODSEQ" / "PREVIEW" /
    ///             "EMAILID" / "THREADID" / "SAVEDATE" /
    ///             "BINARY" [".PEEK"] section-binary [partial] / "BINARY.SIZE" section-binary
    /// ```
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        const WANTED: &str = "A fetch item";
        let start = cursor.clone();
        let word = cursor.chars(|b| b.is_ascii_alphanumeric() || b == b'.', WANTED)?;
        let bracket = cursor.peek() == Some(b'[');
        let item = match (word.to_ascii_uppercase().as_str(), bracket) {
            ("BODY", true) => Self::section(cursor, Reading::Marks)?,
            ("BODY.PEEK", true) => Self::section(cursor, Reading::Peeks)?,
            ("BINARY", true) => Self::binary(cursor, Reading::Marks)?,
            ("BINARY.PEEK", true) => Self::binary(cursor, Reading::Peeks)?,
            ("BINARY.SIZE", true) => Self::BinarySize(PartPath::parse_binary(cursor)?),
            ("BODY", false) => Self::Body,
            ("BODYSTRUCTURE", false) => Self::BodyStructure,
            ("EMAILID", false) => Self::EmailId,
            ("ENVELOPE", false) => Self::Envelope,
            ("FLAGS", false) => Self::Flags,
            ("INTERNALDATE", false) => Self::InternalDate,
            ("MODSEQ", false) => Self::ModSeq,
            ("PREVIEW", false) => Self::preview(cursor)?,
            ("RFC822", false) => Self::Rfc822,
            ("RFC822.HEADER", false) => Self::Rfc822Header,
            ("RFC822.SIZE", false) => Self::Rfc822Size,
            ("RFC822.TEXT", false) => Self::Rfc822Text,
            ("SAVEDATE", false) => Self::SaveDate,
            ("THREADID", false) => Self::ThreadId,
            ("UID", false) => Self::Uid,
            _ => return start.wanted(WANTED),
        };
        Ok(item)
    }

    /// ```abnf
    /// fetch-att =/ "PREVIEW" [SP "(" preview-mod *(SP preview-mod) ")"] ; preview-mod = "LAZY"
    /// ```
    fn preview(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        if cursor.rest().starts_with(b" (") && is_preview_modifier(cursor.rest()) {
            cursor.space()?;
            cursor.list1(1, |cursor| if cursor.eat_word("LAZY") { Ok(()) } else { cursor.wanted("LAZY") })?;
        }
        Ok(Self::Preview)
    }

    fn section(cursor: &mut Cursor<'_>, reading: Reading) -> Parsed<Self> {
        Ok(Self::BodySection { section: Section::parse(cursor)?, partial: Partial::parse(cursor)?, reading })
    }

    fn binary(cursor: &mut Cursor<'_>, reading: Reading) -> Parsed<Self> {
        Ok(Self::Binary { part: PartPath::parse_binary(cursor)?, partial: Partial::parse(cursor)?, reading })
    }
}

/// Whether a list belongs to PREVIEW rather than to the FETCH whose only item it is.
fn is_preview_modifier(rest: &[u8]) -> bool {
    let modifiers = [&b" (CHANGEDSINCE"[..], b" (PARTIAL", b" (VANISHED"];
    !modifiers.iter().any(|word| rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)))
}

impl Partial {
    /// ```abnf
    /// partial = "<" number64 "." nz-number64 ">"
    /// ```
    fn parse(cursor: &mut Cursor<'_>) -> Parsed<Option<Self>> {
        if !cursor.eat(b'<') {
            return Ok(None);
        }
        let first = cursor.number64("The first octet")?;
        cursor.expect(b'.', "A full stop")?;
        let start = cursor.clone();
        let count = cursor.number64("A number of octets")?;
        if count == 0 {
            return start.wanted("A number of octets other than 0");
        }
        cursor.expect(b'>', "The closing angle bracket")?;
        Ok(Some(Self { first, count }))
    }
}

impl PartPath {
    /// ```abnf
    /// section-part = nz-number *("." nz-number)
    /// ```
    /// Stops before a full stop that is not followed by a number.
    fn parse(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        let mut numbers = Vec::new();
        while cursor.peek().is_some_and(|b| b.is_ascii_digit()) {
            if numbers.len() >= MAX_PART_NUMBERS {
                return cursor.wanted("A part that is not nested so deeply");
            }
            numbers.push(cursor.nz_number::<NonZeroU32>("A part number")?.get());
            if !cursor.rest().get(1).is_some_and(u8::is_ascii_digit) || !cursor.eat(b'.') {
                break;
            }
        }
        Ok(Self(numbers))
    }

    /// ```abnf
    /// section-binary = "[" [section-part] "]"
    /// ```
    fn parse_binary(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        cursor.expect(b'[', "An opening bracket")?;
        let part = Self::parse(cursor)?;
        cursor.expect(b']', "The closing bracket of the section")?;
        Ok(part)
    }
}

impl fmt::Display for PartPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, number) in self.0.iter().enumerate() {
            write!(f, "{}{number}", if n == 0 { "" } else { "." })?;
        }
        Ok(())
    }
}

impl Section {
    /// ```abnf
    /// section      = "[" [section-spec] "]"
    /// section-spec = section-msgtext / (section-part ["." section-text])
    /// section-text = section-msgtext / "MIME"
    /// ```
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        cursor.expect(b'[', "An opening bracket")?;
        let part = PartPath::parse(cursor)?;
        if cursor.eat(b']') {
            return Ok(Self { part, text: SectionText::Whole });
        }
        if !part.0.is_empty() {
            cursor.expect(b'.', "A full stop or the closing bracket of the section")?;
        }
        let start = cursor.clone();
        let text = SectionText::parse(cursor)?;
        if part.0.is_empty() && text == SectionText::Mime {
            return start.wanted("HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT or a part number");
        }
        cursor.expect(b']', "The closing bracket of the section")?;
        Ok(Self { part, text })
    }
}

impl SectionText {
    /// ```abnf
    /// section-msgtext = "HEADER" / "HEADER.FIELDS" [".NOT"] SP header-list / "TEXT"
    /// ```
    fn parse(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        const WANTED: &str = "HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT or MIME";
        let start = cursor.clone();
        let word = cursor.chars(|b| b.is_ascii_alphabetic() || b == b'.', WANTED)?;
        match word.to_ascii_uppercase().as_str() {
            "HEADER" => Ok(Self::Header),
            "HEADER.FIELDS" => header_list(cursor).map(Self::HeaderFields),
            "HEADER.FIELDS.NOT" => header_list(cursor).map(Self::HeaderFieldsNot),
            "MIME" => Ok(Self::Mime),
            "TEXT" => Ok(Self::Text),
            _ => start.wanted(WANTED),
        }
    }
}

/// ```abnf
/// header-list     = "(" header-fld-name *(SP header-fld-name) ")"
/// header-fld-name = astring
/// ```
fn header_list(cursor: &mut Cursor<'_>) -> Parsed<Vec<String>> {
    cursor.space()?;
    cursor.list1(MAX_FIELDS, |cursor| {
        let start = cursor.clone();
        let name = cursor.astring_text("The name of a header field")?;
        // RFC 5322 §2.2. Anything else is no field name and would have to be quoted in the response.
        let valid = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
        if valid { Ok(name) } else { start.wanted("The name of a header field") }
    })
}

impl Store {
    /// ```abnf
    /// store           = "STORE" SP sequence-set [store-modifiers] SP store-att-flags
    /// store-modifiers = SP "(" "UNCHANGEDSINCE" SP mod-sequence-valzer ")"
    /// store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list / (flag *(SP flag)))
    /// ```
    pub(super) fn parse(cursor: &mut Cursor<'_>, addressing: Addressing) -> Parsed<Self> {
        cursor.space()?;
        let messages = Messages::parse(cursor, addressing)?;
        cursor.space()?;
        let mut unchanged_since = None;
        if cursor.eat(b'(') {
            if !cursor.eat_word("UNCHANGEDSINCE") {
                return cursor.wanted("UNCHANGEDSINCE");
            }
            cursor.space()?;
            unchanged_since = Some(cursor.mod_seq_or_zero()?.map_or(UnchangedSince::Zero, UnchangedSince::ModSeq));
            cursor.expect(b')', "A closing parenthesis")?;
            cursor.space()?;
        }
        let action = match cursor.peek() {
            Some(b'+') => StoreAction::Add,
            Some(b'-') => StoreAction::Remove,
            _ => StoreAction::Replace,
        };
        if action != StoreAction::Replace {
            let _ = cursor.eat(b'+') || cursor.eat(b'-');
        }
        let telling = if cursor.eat_word("FLAGS.SILENT") {
            Telling::Silent
        } else if cursor.eat_word("FLAGS") {
            Telling::Flags
        } else {
            return cursor.wanted("FLAGS or FLAGS.SILENT");
        };
        cursor.space()?;
        let flags = match cursor.peek() {
            Some(b'(') => Flag::parse_list(cursor)?,
            _ => bare_flags(cursor)?,
        };
        Ok(Self { messages, unchanged_since, action, telling, flags })
    }
}

fn bare_flags(cursor: &mut Cursor<'_>) -> Parsed<Vec<Flag>> {
    let mut flags = vec![Flag::parse(cursor)?];
    while cursor.eat(b' ') {
        if flags.len() >= super::flag::MAX_FLAGS {
            return cursor.wanted("A shorter list");
        }
        flags.push(Flag::parse(cursor)?);
    }
    Ok(flags)
}
