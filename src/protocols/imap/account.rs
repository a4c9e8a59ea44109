//! What belongs to a session once it has logged in.

use std::sync::Arc;

use tokio::time::Instant;

use super::attention::Attention;
use super::connections::Place;
use super::link::Link;
use super::outcome::Trouble;
use super::selected::Selected;
use crate::foundations::mail::Login;
use crate::foundations::wire::imap::encode::{Code, Condition};
use crate::foundations::wire::imap::{NameEncoding, RawName};
use crate::storage::mailbox::{FolderName, User};

/// A logged-in session.
pub struct Account {
    /// Who it is.
    pub login: Login,
    /// The mail.
    pub user: Arc<User>,
    /// What the client has switched on.
    pub enabled: Enabled,
    /// What it is notified of.
    pub attention: Attention,
    /// When the client last did something: sent octets, or was served.
    pub active: Instant,
    /// Its place among the account's connections, given back at the end.
    pub _place: Place,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("login", &self.login).field("enabled", &self.enabled).finish_non_exhaustive()
    }
}

/// Extensions that change what the server sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Enabled {
    /// CONDSTORE: modification sequences are reported (RFC 7162 §3.1).
    pub condstore: bool,
    /// QRESYNC: VANISHED instead of EXPUNGE (RFC 7162 §3.2).
    pub qresync: bool,
    /// IMAP4rev2 (RFC 9051 §6.3.1).
    pub rev2: bool,
    /// UTF8=ACCEPT (RFC 6855).
    pub utf8: bool,
}

impl Enabled {
    /// How mailbox names travel.
    pub const fn names(self) -> NameEncoding {
        if self.rev2 || self.utf8 { NameEncoding::Utf8 } else { NameEncoding::ModifiedUtf7 }
    }
}

impl Account {
    /// Switches CONDSTORE on because of a command that implies it. A client that has a mailbox selected then learns its
    /// highest modification sequence (RFC 7162 §3.1).
    pub fn enable_condstore(&mut self, selected: &Selected, link: &mut Link) {
        if !std::mem::replace(&mut self.enabled.condstore, true) {
            let code = Code::HighestModSeq(selected.told());
            link.out.untagged(Condition::Ok, Some(&code), "The highest mod-sequence");
        }
    }

    /// The folder a name means. A name that no folder can have is an error with CANNOT.
    pub fn folder(&self, name: &RawName) -> Result<FolderName, Trouble> {
        let decoded = name.decode(self.enabled.names())?;
        FolderName::parse(&decoded).map_err(|error| Trouble::coded("CANNOT", error.to_string()))
    }
}
