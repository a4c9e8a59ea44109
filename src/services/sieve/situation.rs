//! The facts that a script may ask about: passed in, never looked up.

use std::net::IpAddr;

use chrono::{DateTime, FixedOffset};

use super::Script;
use crate::foundations::address::{Address, Domain, ReversePath};
use crate::foundations::mail::Message;

/// Everything a script may ask.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The name of the script, if it is one of the account's own: it counts as included (RFC 6609 §3.2).
    pub script: Option<&'a str>,
    /// The message as it would be stored.
    pub message: &'a Message,
    /// The sender of the envelope.
    pub reverse_path: &'a ReversePath,
    /// The recipient of the envelope: the address the message was sent to.
    pub recipient: &'a Address,
    /// The account whose script this is.
    pub account: &'a Address,
    /// The account's address and its aliases, for `vacation` (RFC 5230 §4.5).
    pub own_addresses: &'a [Address],
    /// Who logged in to send the message, if anybody did: the `auth` part of the envelope (RFC 5228 §5.4).
    pub login: Option<&'a str>,
    /// The client that handed the message over to this server, where that is known.
    pub client: Option<Client<'a>>,
    /// What separates name and detail in local parts, such as `+` (RFC 5233); `None` when nothing does.
    pub tag_separator: Option<char>,
    /// The time now with the offset of the local time zone.
    pub now: DateTime<FixedOffset>,
    /// The name of this host.
    pub hostname: &'a Domain,
    /// What the spam filter found; `None` when it has not looked.
    pub spam: Option<Spam>,
    /// What a virus scanner found, as RFC 5235 §3.3 counts: 1 for clean to 5 for certainly infected; `None` when none has looked.
    pub virus: Option<u8>,
    /// Whether the message would be stored with the junk, were there no script: `keep` then means that folder.
    pub junk: bool,
    /// What lies outside the message.
    pub world: &'a dyn World,
}

/// The client that a message came from (RFC 5183 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client<'a> {
    /// Its address.
    pub address: IpAddr,
    /// Its name, if it is known.
    pub name: Option<&'a str>,
}

/// The verdict of the spam filter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spam {
    /// The score of the message.
    pub score: f32,
    /// The score from which on a message is unwanted.
    pub threshold: f32,
}

/// What a script may ask beyond the message. The script waits for the answers, so they come from memory or a quick look-up.
pub trait World: std::fmt::Debug + Sync {
    /// Whether the account has a folder of that name, in UTF-8 with `.` or `/` as the script has it (RFC 5490 §3.1).
    fn folder_exists(&self, name: &str) -> bool;

    /// The folder with a special use such as `\Junk`, in any case (RFC 8579 §2).
    fn special_use(&self, attribute: &str) -> Option<String>;

    /// Whether a script means this folder by a name.
    fn is_meant(&self, folder: &str, name: &str) -> bool {
        folder == name
    }

    /// The value of an annotation of a folder, or of the account (RFC 5490 §4, §5), by its name in small letters; `None` where
    /// there is none, or none that is text.
    fn metadata(&self, folder: Option<&str>, entry: &str) -> Option<String>;

    /// A script to include (RFC 6609 §3.2).
    fn included(&self, location: Location, name: &str) -> Included;

    /// Whether this key, which the `duplicate` test made, has been remembered and has not expired (RFC 7352 §3).
    fn seen_before(&self, key: &str) -> bool;
}

/// Where an included script is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Location {
    /// Among the account's own.
    Personal,
    /// Among those of the whole site.
    Global,
}

/// The answer to the wish for an included script.
#[derive(Debug, Clone)]
pub enum Included {
    /// Here it is.
    Script(Script),
    /// There is none of that name.
    Missing,
    /// There is one, but it does not compile; the text says why.
    Broken(String),
}
