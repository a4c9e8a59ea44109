//! LIST, LSUB and their options (RFC 9051 §6.3.9; RFC 5258; RFC 5819; RFC 6154).

use super::cursor::{Cursor, Parsed, is_atom, is_list};
use super::mailbox::StatusItem;
use super::name::RawName;

/// Most patterns in one LIST.
pub const MAX_PATTERNS: usize = 64;

/// LIST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// What the patterns are relative to.
    pub reference: RawName,
    /// The patterns, with `*` and `%`.
    pub patterns: Vec<RawName>,
    /// Which mailboxes qualify.
    pub select: ListSelect,
    /// What to return about them.
    pub returns: ListReturn,
    /// Whether the client used any syntax of RFC 5258; a plain LIST with an empty pattern asks for the delimiter.
    pub extended: bool,
}

/// Selection options (RFC 5258 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListSelect {
    /// Only subscribed names, even if no such mailbox exists.
    pub subscribed: bool,
    /// Also remote mailboxes; we have none.
    pub remote: bool,
    /// Also parents of what matches otherwise.
    pub recursive_match: bool,
    /// Only mailboxes with a special use (RFC 6154).
    pub special_use: bool,
}

/// Return options (RFC 5258 §3.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListReturn {
    /// `\Subscribed`.
    pub subscribed: bool,
    /// `\HasChildren` or `\HasNoChildren`.
    pub children: bool,
    /// Special-use attributes.
    pub special_use: bool,
    /// A STATUS response for each mailbox (RFC 5819).
    pub status: Option<Vec<StatusItem>>,
}

/// Special uses of mailboxes (RFC 6154 §2; RFC 8457 for `\Important`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpecialUse {
    /// All messages.
    All,
    /// Archived messages.
    Archive,
    /// Drafts.
    Drafts,
    /// Flagged messages.
    Flagged,
    /// Important messages.
    Important,
    /// Spam.
    Junk,
    /// Copies of sent messages.
    Sent,
    /// Deleted messages.
    Trash,
}

impl SpecialUse {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::All, Self::Archive, Self::Drafts, Self::Flagged, Self::Important, Self::Junk, Self::Sent, Self::Trash];

    /// The wire form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "\\All",
            Self::Archive => "\\Archive",
            Self::Drafts => "\\Drafts",
            Self::Flagged => "\\Flagged",
            Self::Important => "\\Important",
            Self::Junk => "\\Junk",
            Self::Sent => "\\Sent",
            Self::Trash => "\\Trash",
        }
    }

    /// ```abnf
    /// use-attr = "\All" / "\Archive" / "\Drafts" / "\Flagged" / "\Junk" / "\Sent" / "\Trash" / use-attr-ext
    /// ```
    ///
    /// `None` for an attribute of an extension unknown here (RFC 6154 §6: `"\" atom`).
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Parsed<Option<Self>> {
        const WANTED: &str = "A special-use attribute such as \\Sent";
        cursor.expect(b'\\', WANTED)?;
        let word = cursor.chars(is_atom, WANTED)?;
        Ok(Self::ALL.into_iter().find(|special| special.as_str()[1..].eq_ignore_ascii_case(word)))
    }
}

impl List {
    /// ```abnf
    /// list = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts]
    /// ```
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        cursor.space()?;
        let mut extended = false;
        let mut select = ListSelect::default();
        if cursor.peek() == Some(b'(') {
            extended = true;
            select = ListSelect::parse(cursor)?;
            cursor.space()?;
        }
        let reference = RawName(cursor.astring_text("A mailbox name as reference")?);
        cursor.space()?;
        let patterns = if cursor.peek() == Some(b'(') {
            extended = true;
            cursor.list1(MAX_PATTERNS, pattern)?
        } else {
            vec![pattern(cursor)?]
        };
        let mut returns = ListReturn::default();
        if cursor.eat(b' ') {
            extended = true;
            if !cursor.eat_word("RETURN") {
                return cursor.wanted("RETURN");
            }
            cursor.space()?;
            returns = ListReturn::parse(cursor)?;
        }
        Ok(Self { reference, patterns, select, returns, extended })
    }
}

/// ```abnf
/// list-mailbox = 1*list-char / string
/// ```
pub(super) fn pattern(cursor: &mut Cursor<'_>) -> Parsed<RawName> {
    const WANTED: &str = "A mailbox name or pattern";
    match cursor.peek() {
        Some(b'"' | b'{') => cursor.astring_text(WANTED).map(RawName),
        _ => Ok(RawName(cursor.chars(is_list, WANTED)?.to_owned())),
    }
}

impl ListSelect {
    /// ```abnf
    /// list-select-opts = "(" [list-select-opt *(SP list-select-opt)] ")"
    /// list-select-opt  = "SUBSCRIBED" / "REMOTE" / "RECURSIVEMATCH" / "SPECIAL-USE"
    /// ```
    fn parse(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        const WANTED: &str = "SUBSCRIBED, REMOTE, RECURSIVEMATCH or SPECIAL-USE";
        let start = cursor.clone();
        let mut select = Self::default();
        cursor.list(16, |cursor| {
            let start = cursor.clone();
            match cursor.atom(WANTED)?.to_ascii_uppercase().as_str() {
                "SUBSCRIBED" => select.subscribed = true,
                "REMOTE" => select.remote = true,
                "RECURSIVEMATCH" => select.recursive_match = true,
                "SPECIAL-USE" => select.special_use = true,
                _ => return start.wanted(WANTED),
            }
            Ok(())
        })?;
        // RFC 5258 §3.1: RECURSIVEMATCH needs a base option beside it.
        if select.recursive_match && !(select.subscribed || select.special_use) {
            return start.wanted("SUBSCRIBED beside RECURSIVEMATCH");
        }
        Ok(select)
    }
}

impl ListReturn {
    /// ```abnf
    /// list-return-opts = "RETURN" SP "(" [return-option *(SP return-option)] ")"
    /// return-option    = "SUBSCRIBED" / "CHILDREN" / "SPECIAL-USE" / status-option
    /// status-option    = "STATUS" SP "(" status-att *(SP status-att) ")"
    /// ```
    fn parse(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        const WANTED: &str = "SUBSCRIBED, CHILDREN, SPECIAL-USE or STATUS";
        let mut returns = Self::default();
        cursor.list(16, |cursor| {
            let start = cursor.clone();
            match cursor.atom(WANTED)?.to_ascii_uppercase().as_str() {
                "SUBSCRIBED" => returns.subscribed = true,
                "CHILDREN" => returns.children = true,
                "SPECIAL-USE" => returns.special_use = true,
                "STATUS" => {
                    cursor.space()?;
                    returns.status = Some(StatusItem::parse_list(cursor)?);
                }
                _ => return start.wanted(WANTED),
            }
            Ok(())
        })?;
        Ok(returns)
    }
}
