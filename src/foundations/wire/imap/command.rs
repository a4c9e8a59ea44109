//! Whole commands (RFC 9051 §6).

use std::fmt;

use bytes::Bytes;

use super::cursor::{Cursor, Malformed, Parsed, is_astring};
use super::fetch::{Fetch, Store};
use super::list::{List, SpecialUse, pattern};
use super::mailbox::{Append, QuotaLimits, Replace, Select, StatusItem, create_uses, mailbox, quota_limits};
use super::messages::{Addressing, Messages};
use super::metadata::{GetMetadata, SetMetadata};
use super::name::RawName;
use super::notify::Notify;
use super::search::Search;
use super::sort::{Sort, Thread};
use crate::foundations::mail::Uid;
use crate::foundations::secret::Secret;

/// Longest tag in octets.
pub const MAX_TAG: usize = 128;

/// Most tags in one CANCELUPDATE.
pub const MAX_CANCELLED: usize = 64;

/// Most capabilities in one ENABLE.
pub const MAX_ENABLED: usize = 64;

/// The client's name for a command.
///
/// ```abnf
/// tag = 1*<any ASTRING-CHAR except "+">
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tag(String);

impl Tag {
    /// The tag in these octets; `None` when it is not one.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let valid = (1..=MAX_TAG).contains(&bytes.len()) && bytes.iter().all(|b| is_astring(*b) && *b != b'+');
        valid.then(|| std::str::from_utf8(bytes).ok()).flatten().map(|tag| Self(tag.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A command that cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// The tag, when it could be read; without one the answer is untagged.
    pub tag: Option<Tag>,
    /// What is wrong.
    pub cause: SyntaxCause,
}

/// Why a command cannot be parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxCause {
    /// There is no such command.
    #[error("Unknown command")]
    UnknownCommand,
    /// The command exists, its arguments are wrong.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The client's name for it.
    pub tag: Tag,
    /// What it asks for.
    pub body: CommandBody,
}

/// What a command asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandBody {
    /// Store messages.
    Append(Box<Append>),
    /// Log in by SASL.
    Authenticate {
        /// The mechanism, in capitals.
        mechanism: String,
        /// The initial response (RFC 4959): base 64, or `=` for an empty one.
        initial: Option<Secret<Vec<u8>>>,
    },
    /// Stop reporting changes in the results of these commands (RFC 5267 §4.3.5).
    CancelUpdate(Vec<String>),
    /// List what the server can do.
    Capability,
    /// Checkpoint (RFC 3501 §6.4.1).
    Check,
    /// Expunge and unselect.
    Close,
    /// Compress what follows, both ways (RFC 4978); the mechanism in capitals.
    Compress(String),
    /// Copy messages.
    Copy(Messages, RawName),
    /// Make a mailbox.
    Create(RawName, Vec<Option<SpecialUse>>),
    /// Remove a mailbox.
    Delete(RawName),
    /// Switch extensions on; names in capitals.
    Enable(Vec<String>),
    /// Select read-only.
    Examine(Select),
    /// Remove the messages with `\Deleted`; with UIDs, only among those (RFC 4315).
    Expunge(Option<UidSet>),
    /// Return data of messages.
    Fetch(Box<Fetch>),
    /// Annotations of a mailbox or the server (RFC 5464).
    GetMetadata(Box<GetMetadata>),
    /// A quota root's usage (RFC 9208).
    GetQuota(String),
    /// The quota roots of a mailbox.
    GetQuotaRoot(RawName),
    /// Exchange names and versions (RFC 2971).
    Id(Vec<(String, Option<String>)>),
    /// Wait for news (RFC 2177).
    Idle,
    /// List mailboxes.
    List(Box<List>),
    /// Log in with a password.
    Login {
        /// The name.
        username: Vec<u8>,
        /// The password.
        password: Secret<Vec<u8>>,
    },
    /// Say goodbye.
    Logout,
    /// List subscribed names (RFC 3501 §6.3.9): reference and pattern.
    Lsub(RawName, RawName),
    /// Move messages (RFC 6851).
    Move(Messages, RawName),
    /// The name spaces (RFC 2342).
    Namespace,
    /// Nothing.
    Noop,
    /// Be told of events (RFC 5465).
    Notify(Box<Notify>),
    /// Rename a mailbox.
    Rename(RawName, RawName),
    /// Put a message in the place of another (RFC 8508).
    Replace(Box<Replace>),
    /// Find messages.
    Search(Box<Search>),
    /// Open a mailbox.
    Select(Select),
    /// Set annotations (RFC 5464).
    SetMetadata(Box<SetMetadata>),
    /// Set a quota.
    SetQuota(String, QuotaLimits),
    /// Find messages and put them in order (RFC 5256).
    Sort(Box<Sort>),
    /// Begin TLS.
    StartTls,
    /// Return counts of a mailbox.
    Status(RawName, Vec<StatusItem>),
    /// Change flags.
    Store(Box<Store>),
    /// Add to the subscribed names.
    Subscribe(RawName),
    /// Find messages and put them into trees (RFC 5256).
    Thread(Box<Thread>),
    /// Go back to before the login (RFC 8437).
    Unauthenticate,
    /// Leave the mailbox without expunging (RFC 3691).
    Unselect,
    /// Remove from the subscribed names.
    Unsubscribe(RawName),
}

/// UIDs of UID EXPUNGE.
pub type UidSet = super::messages::Numbers<Uid>;

impl Command {
    /// Parses one complete command without its line end, as [`Framer`](super::Framer) gives it.
    ///
    /// ```abnf
    /// command = tag SP (command-any / command-auth / command-nonauth / command-select) CRLF
    /// ```
    pub fn parse(bytes: &Bytes) -> Result<Self, SyntaxError> {
        let mut cursor = Cursor::new(bytes);
        let word = cursor.take_while(|b| b != b' ');
        let Some(tag) = Tag::parse(word) else {
            let cause = Malformed { wanted: "A tag", at: 0 };
            return Err(SyntaxError { tag: None, cause: cause.into() });
        };
        let body = cursor.space().map_err(SyntaxCause::from).and_then(|()| CommandBody::parse(&mut cursor));
        match body.and_then(|body| cursor.end().map(|()| body).map_err(SyntaxCause::from)) {
            Ok(body) => Ok(Self { tag, body }),
            Err(cause) => Err(SyntaxError { tag: Some(tag), cause }),
        }
    }
}

impl CommandBody {
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, SyntaxCause> {
        let word = cursor.take_while(|b| !matches!(b, b' '));
        let verb = word.to_ascii_uppercase();
        if verb == b"UID" {
            cursor.space()?;
            let verb = cursor.take_while(|b| b != b' ').to_ascii_uppercase();
            return Self::numbered(&verb, Addressing::Uid, cursor)?.ok_or(SyntaxCause::UnknownCommand);
        }
        let found = match Self::bare(&verb) {
            Some(body) => Some(body),
            None => match Self::about_mailboxes(&verb, cursor)? {
                Some(body) => Some(body),
                None => match Self::about_the_session(&verb, cursor)? {
                    Some(body) => Some(body),
                    None => Self::numbered(&verb, Addressing::Sequence, cursor)?,
                },
            },
        };
        found.ok_or(SyntaxCause::UnknownCommand)
    }

    fn bare(verb: &[u8]) -> Option<Self> {
        Some(match verb {
            b"CAPABILITY" => Self::Capability,
            b"CHECK" => Self::Check,
            b"CLOSE" => Self::Close,
            b"EXPUNGE" => Self::Expunge(None),
            b"IDLE" => Self::Idle,
            b"LOGOUT" => Self::Logout,
            b"NAMESPACE" => Self::Namespace,
            b"NOOP" => Self::Noop,
            b"STARTTLS" => Self::StartTls,
            b"UNAUTHENTICATE" => Self::Unauthenticate,
            b"UNSELECT" => Self::Unselect,
            _ => return None,
        })
    }

    fn about_mailboxes(verb: &[u8], cursor: &mut Cursor<'_>) -> Parsed<Option<Self>> {
        let name = |cursor: &mut Cursor<'_>| {
            cursor.space()?;
            mailbox(cursor)
        };
        Ok(Some(match verb {
            b"APPEND" => Self::Append(Box::new(Append::parse(cursor)?)),
            b"CREATE" => Self::Create(name(cursor)?, create_uses(cursor)?),
            b"DELETE" => Self::Delete(name(cursor)?),
            b"EXAMINE" => Self::Examine(Select::parse(cursor)?),
            b"GETMETADATA" => Self::GetMetadata(Box::new(GetMetadata::parse(cursor)?)),
            b"GETQUOTAROOT" => Self::GetQuotaRoot(name(cursor)?),
            b"LIST" => Self::List(Box::new(List::parse(cursor)?)),
            b"LSUB" => {
                let reference = name(cursor)?;
                cursor.space()?;
                Self::Lsub(reference, pattern(cursor)?)
            }
            b"NOTIFY" => Self::Notify(Box::new(Notify::parse(cursor)?)),
            b"RENAME" => Self::Rename(name(cursor)?, name(cursor)?),
            b"SELECT" => Self::Select(Select::parse(cursor)?),
            b"SETMETADATA" => Self::SetMetadata(Box::new(SetMetadata::parse(cursor)?)),
            b"STATUS" => {
                let name = name(cursor)?;
                cursor.space()?;
                Self::Status(name, StatusItem::parse_list(cursor)?)
            }
            b"SUBSCRIBE" => Self::Subscribe(name(cursor)?),
            b"UNSUBSCRIBE" => Self::Unsubscribe(name(cursor)?),
            _ => return Ok(None),
        }))
    }

    fn about_the_session(verb: &[u8], cursor: &mut Cursor<'_>) -> Parsed<Option<Self>> {
        Ok(Some(match verb {
            b"AUTHENTICATE" => authenticate(cursor)?,
            b"CANCELUPDATE" => cancel_update(cursor)?,
            b"COMPRESS" => {
                cursor.space()?;
                Self::Compress(cursor.atom("A compression mechanism")?.to_ascii_uppercase())
            }
            b"ENABLE" => enable(cursor)?,
            b"GETQUOTA" => {
                cursor.space()?;
                Self::GetQuota(cursor.astring_text("A quota root")?)
            }
            b"ID" => {
                cursor.space()?;
                Self::Id(id(cursor)?)
            }
            b"LOGIN" => {
                cursor.space()?;
                let username = cursor.astring("A user name")?;
                cursor.space()?;
                Self::Login { username, password: Secret::new(cursor.astring("A password")?) }
            }
            b"SETQUOTA" => {
                cursor.space()?;
                let root = cursor.astring_text("A quota root")?;
                cursor.space()?;
                Self::SetQuota(root, quota_limits(cursor)?)
            }
            _ => return Ok(None),
        }))
    }

    /// ```abnf
    /// uid         = "UID" SP (copy / move / fetch / replace / search / sort / store / thread / uid-expunge)
    /// uid-expunge = "EXPUNGE" SP sequence-set
    /// ```
    fn numbered(verb: &[u8], addressing: Addressing, cursor: &mut Cursor<'_>) -> Parsed<Option<Self>> {
        let to_mailbox = |cursor: &mut Cursor<'_>| {
            cursor.space()?;
            let messages = Messages::parse(cursor, addressing)?;
            cursor.space()?;
            Ok((messages, mailbox(cursor)?))
        };
        Ok(Some(match (verb, addressing) {
            (b"COPY", _) => to_mailbox(cursor).map(|(messages, name)| Self::Copy(messages, name))?,
            (b"MOVE", _) => to_mailbox(cursor).map(|(messages, name)| Self::Move(messages, name))?,
            (b"FETCH", _) => Self::Fetch(Box::new(Fetch::parse(cursor, addressing)?)),
            (b"REPLACE", _) => Self::Replace(Box::new(Replace::parse(cursor, addressing)?)),
            (b"SEARCH", _) => Self::Search(Box::new(Search::parse(cursor, addressing)?)),
            (b"SORT", _) => Self::Sort(Box::new(Sort::parse(cursor, addressing)?)),
            (b"THREAD", _) => Self::Thread(Box::new(Thread::parse(cursor, addressing)?)),
            (b"STORE", _) => Self::Store(Box::new(Store::parse(cursor, addressing)?)),
            (b"EXPUNGE", Addressing::Uid) => {
                cursor.space()?;
                match Messages::parse(cursor, addressing)? {
                    Messages::Uid(uids) => Self::Expunge(Some(uids)),
                    Messages::Sequence(_) => return cursor.wanted("A set of UIDs"),
                }
            }
            _ => return Ok(None),
        }))
    }
}

/// ```abnf
/// authenticate     = "AUTHENTICATE" SP auth-type [SP initial-resp]
/// initial-resp     = base64 / "="
/// ```
fn authenticate(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    cursor.space()?;
    let mechanism = cursor.atom("An authentication mechanism")?.to_ascii_uppercase();
    let mut initial = None;
    if cursor.eat(b' ') {
        initial = Some(Secret::new(cursor.take_while(|b| b != b' ').to_vec()));
    }
    Ok(CommandBody::Authenticate { mechanism, initial })
}

/// ```abnf
/// cancelupdate = "CANCELUPDATE" 1*(SP quoted)
/// ```
fn cancel_update(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    let mut tags = Vec::new();
    while tags.is_empty() || !cursor.at_end() {
        cursor.space()?;
        if tags.len() >= MAX_CANCELLED {
            return cursor.wanted("Fewer tags");
        }
        tags.push(cursor.astring_text("A tag")?);
    }
    Ok(CommandBody::CancelUpdate(tags))
}

/// ```abnf
/// enable = "ENABLE" 1*(SP capability)
/// ```
fn enable(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    let mut names = Vec::new();
    while names.is_empty() || !cursor.at_end() {
        cursor.space()?;
        if names.len() >= MAX_ENABLED {
            return cursor.wanted("Fewer capabilities");
        }
        names.push(cursor.atom("A capability")?.to_ascii_uppercase());
    }
    Ok(CommandBody::Enable(names))
}

/// ```abnf
/// id-params-list = "(" *(string SP nstring SP) ")" / nil ; at most 30 pairs
/// ```
fn id(cursor: &mut Cursor<'_>) -> Parsed<Vec<(String, Option<String>)>> {
    if cursor.eat_word("NIL") {
        return Ok(Vec::new());
    }
    cursor.expect(b'(', "An opening parenthesis")?;
    let mut fields = Vec::new();
    loop {
        // The grammar has a space before the closing parenthesis, the RFC's examples have none; some clients also put
        // one after the opening one.
        while cursor.eat(b' ') {}
        if cursor.eat(b')') {
            return Ok(fields);
        }
        // RFC 2971 §3.3
        if fields.len() >= 30 {
            return cursor.wanted("A shorter list");
        }
        let name = cursor.astring_text("The name of a field")?;
        cursor.space()?;
        let value = if cursor.eat_word("NIL") { None } else { Some(cursor.astring_text("The value of a field")?) };
        fields.push((name, value));
    }
}
