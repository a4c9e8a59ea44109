//! What the server can do, by state of the session (RFC 9051 §6.1.1, §7.2.2).

use super::command_table::Phase;
use super::serve::Conversation;
use super::state::ClientLink;

/// Whether passwords may be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passwords {
    /// TLS is there, or not needed for this client.
    Accepted,
    /// First STARTTLS.
    NeedTls,
}

/// Whether STARTTLS can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartTls {
    /// The stream is plain and there is a certificate.
    Possible,
    /// It is encrypted already, or there is no certificate.
    Impossible,
}

/// Known in every state. LITERAL+ allows non-synchronizing literals of any size up to our limits (RFC 7888).
const ALWAYS: &str = "IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ENABLE ID";

/// Known after login.
const AFTER_LOGIN: &str = "IDLE NAMESPACE UIDPLUS MOVE UNSELECT CHILDREN SPECIAL-USE CREATE-SPECIAL-USE LIST-EXTENDED \
     LIST-STATUS STATUS=SIZE CONDSTORE QRESYNC ESEARCH SEARCHRES WITHIN PREVIEW BINARY MULTIAPPEND UTF8=ACCEPT QUOTA \
     QUOTA=RES-STORAGE QUOTA=RES-MESSAGE SORT SORT=DISPLAY ESORT THREAD=ORDEREDSUBJECT THREAD=REFERENCES THREAD=REFS \
     I18NLEVEL=1 REPLACE STATUS=DELETED UNAUTHENTICATE OBJECTID SAVEDATE PARTIAL METADATA NOTIFY CATENATE \
     URL-PARTIAL CONTEXT=SEARCH CONTEXT=SORT";

/// Whether COMPRESS can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// It is allowed and not in force yet.
    Possible,
    /// It is switched off, or in force already.
    Impossible,
}

/// The list before login.
fn before_login(passwords: Passwords, start_tls: StartTls) -> String {
    let mut list = ALWAYS.to_owned();
    if start_tls == StartTls::Possible {
        list.push_str(" STARTTLS");
    }
    list.push_str(match passwords {
        Passwords::Accepted => " AUTH=PLAIN AUTH=LOGIN",
        Passwords::NeedTls => " LOGINDISABLED",
    });
    list
}

/// The list after login.
fn after_login(append_limit: u64, compression: Compression) -> String {
    let compress = match compression {
        Compression::Possible => " COMPRESS=DEFLATE",
        Compression::Impossible => "",
    };
    format!("{ALWAYS} {AFTER_LOGIN} APPENDLIMIT={append_limit}{compress}")
}

impl Conversation {
    /// What the server can do in this state.
    pub fn capabilities(&self) -> String {
        match self.phase() {
            Phase::NotAuthenticated => before_login(self.passwords(), self.start_tls()),
            Phase::Authenticated | Phase::Selected => after_login(self.settings.append_limit.get(), self.compression()),
        }
    }

    /// Whether passwords may be sent now (RFC 9051 §11.1).
    pub fn passwords(&self) -> Passwords {
        let trusted = self.peer.is_local_or_in(&self.settings.allow_plaintext);
        if trusted || self.is_encrypted() { Passwords::Accepted } else { Passwords::NeedTls }
    }

    /// Whether nobody on the way can read what the client sends.
    pub fn is_encrypted(&self) -> bool {
        self.link.is_encrypted() && self.handed != Some(ClientLink::Plain)
    }

    /// Whether STARTTLS is possible now.
    pub fn start_tls(&self) -> StartTls {
        // Once compression is in force, there is no place for a handshake.
        if self.link.is_encrypted() || self.link.is_compressed() || self.room.needs.tls.is_none() {
            StartTls::Impossible
        } else {
            StartTls::Possible
        }
    }

    /// Whether COMPRESS is possible now.
    pub fn compression(&self) -> Compression {
        if self.settings.compress && !self.link.is_compressed() {
            Compression::Possible
        } else {
            Compression::Impossible
        }
    }
}
