//! GETMETADATA and SETMETADATA (RFC 5464).

use super::cursor::{Cursor, Malformed, Parsed};
use super::mailbox::mailbox;
use super::name::RawName;

/// Most entries in one command.
pub const MAX_ENTRIES: usize = 256;

/// Longest name of an entry in octets.
pub const MAX_ENTRY: usize = 512;

/// The name of an entry: `/private/…` or `/shared/…` in small letters, levels separated by `/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryName(String);

/// The scope of an entry (RFC 5464 §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryScope {
    /// `/private`: the user's own.
    Private,
    /// `/shared`: common to everybody with access.
    Shared,
}

impl EntryName {
    /// The name in this text; `None` when it cannot be one (RFC 5464 §3.2: ASCII without control characters, `*` and `%`,
    /// no two slashes together and none at the end).
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.to_ascii_lowercase();
        let is_fit = |b: u8| matches!(b, 0x20..=0x7e) && !matches!(b, b'*' | b'%');
        let mut levels = name.strip_prefix('/')?.split('/');
        let valid = matches!(levels.next(), Some("private" | "shared"))
            && levels.all(|level| !level.is_empty())
            && name.len() <= MAX_ENTRY
            && name.bytes().all(is_fit);
        valid.then_some(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its scope.
    pub fn scope(&self) -> EntryScope {
        if self.0.starts_with("/private") { EntryScope::Private } else { EntryScope::Shared }
    }

    /// Whether it names a whole scope rather than an entry of it.
    fn is_scope(&self) -> bool {
        self.0[1..].split('/').count() < 2
    }

    fn read(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        const WANTED: &str = "The name of an entry such as /private/comment";
        let start = cursor.clone();
        match Self::parse(&cursor.astring_text(WANTED)?) {
            Some(name) => Ok(name),
            None => start.wanted(WANTED),
        }
    }
}

/// How far below the named entries others are returned as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Depth {
    /// Not at all.
    #[default]
    Zero,
    /// One level.
    One,
    /// Every level.
    Infinity,
}

impl Depth {
    /// Whether an entry is another one or lies at most this far below it.
    pub fn reaches(self, from: &EntryName, entry: &str) -> bool {
        match entry.strip_prefix(from.as_str()) {
            Some("") => true,
            Some(below) if below.starts_with('/') => match self {
                Self::Zero => false,
                Self::One => !below[1..].contains('/'),
                Self::Infinity => true,
            },
            _ => false,
        }
    }
}

/// GETMETADATA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetMetadata {
    /// Whose annotations: a mailbox, or the server when empty.
    pub mailbox: RawName,
    /// Values longer than this are not returned.
    pub max_size: Option<u64>,
    /// Which entries below are returned.
    pub depth: Depth,
    /// Which entries.
    pub entries: Vec<EntryName>,
}

impl GetMetadata {
    /// ```abnf
    /// getmetadata = "GETMETADATA" [SP getmetadata-options] SP mailbox SP entries
    /// entries     = entry / "(" entry *(SP entry) ")"
    /// ```
    /// The examples of RFC 5464 have the options behind the mailbox and several entries without parentheses; both forms
    /// are accepted.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        cursor.space()?;
        let mut get = Self { mailbox: RawName::from(""), max_size: None, depth: Depth::Zero, entries: Vec::new() };
        if cursor.peek() == Some(b'(') {
            get.options(cursor)?;
            cursor.space()?;
        }
        get.mailbox = mailbox(cursor)?;
        cursor.space()?;
        // Names of entries begin with a slash, whichever form of `astring` they have; options do not.
        if matches!(cursor.rest(), [b'(', first, ..] if !matches!(first, b'/' | b'"' | b'{')) {
            get.options(cursor)?;
            cursor.space()?;
        }
        if cursor.peek() == Some(b'(') {
            get.entries = cursor.list1(MAX_ENTRIES, EntryName::read)?;
            return Ok(get);
        }
        loop {
            if get.entries.len() >= MAX_ENTRIES {
                return cursor.wanted("Fewer entries");
            }
            get.entries.push(EntryName::read(cursor)?);
            if !cursor.eat(b' ') {
                return Ok(get);
            }
        }
    }

    /// ```abnf
    /// getmetadata-options = "(" getmetadata-option *(SP getmetadata-option) ")"
    /// maxsize-opt         = "MAXSIZE" SP number
    /// scope-opt           = "DEPTH" SP ("0" / "1" / "infinity")
    /// ```
    fn options(&mut self, cursor: &mut Cursor<'_>) -> Parsed<()> {
        cursor.list1(2, |cursor| {
            if cursor.eat_word("MAXSIZE") {
                cursor.space()?;
                self.max_size = Some(cursor.number64("A number of octets")?);
                return Ok(());
            }
            if !cursor.eat_word("DEPTH") {
                return cursor.wanted("MAXSIZE or DEPTH");
            }
            cursor.space()?;
            let depths = [("0", Depth::Zero), ("1", Depth::One), ("infinity", Depth::Infinity)];
            match depths.into_iter().find(|(word, _)| cursor.eat_word(word)) {
                Some((_, depth)) => self.depth = depth,
                None => return cursor.wanted("0, 1 or infinity"),
            }
            Ok(())
        })?;
        Ok(())
    }
}

/// SETMETADATA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetMetadata {
    /// Whose annotations: a mailbox, or the server when empty.
    pub mailbox: RawName,
    /// Entries with their new values; `None` removes one.
    pub entries: Vec<(EntryName, Option<Vec<u8>>)>,
}

impl SetMetadata {
    /// ```abnf
    /// setmetadata  = "SETMETADATA" SP mailbox SP entry-values
    /// entry-values = "(" entry-value *(SP entry-value) ")"
    /// entry-value  = entry SP value
    /// value        = nstring / literal8
    /// ```
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        cursor.space()?;
        let mailbox = mailbox(cursor)?;
        cursor.space()?;
        let entries = cursor.list1(MAX_ENTRIES, |cursor| {
            let at = cursor.clone();
            let entry = EntryName::read(cursor)?;
            if entry.is_scope() {
                return at.wanted("The name of an entry and not of all of them");
            }
            cursor.space()?;
            Ok((entry, value(cursor)?))
        })?;
        Ok(Self { mailbox, entries })
    }
}

fn value(cursor: &mut Cursor<'_>) -> Result<Option<Vec<u8>>, Malformed> {
    const WANTED: &str = "A value, or NIL";
    if cursor.eat_word("NIL") {
        return Ok(None);
    }
    if cursor.eat(b'~') {
        return cursor.literal(WANTED).map(|octets| Some(octets.to_vec()));
    }
    cursor.string(WANTED).map(Some)
}
