//! The envelope of a message: what SMTP says about it, as opposed to what its header says.

use serde::{Deserialize, Serialize};

use crate::foundations::address::{Address, ReversePath};

/// Who sends a message to whom, and how it must be treated (RFC 5321 §2.3.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// MAIL FROM.
    pub reverse_path: ReversePath,
    /// RCPT TO, at least one once the envelope is complete, in the client's order.
    pub recipients: Vec<Recipient>,
    /// The BODY parameter (RFC 6152, RFC 3030).
    pub body: BodyKind,
    /// The SMTPUTF8 parameter (RFC 6531): addresses or header may hold UTF-8.
    pub smtputf8: bool,
    /// The REQUIRETLS parameter (RFC 8689): pass on over verified TLS or not at all.
    pub require_tls: bool,
    /// RET and ENVID (RFC 3461).
    pub dsn: DsnWish,
}

impl Envelope {
    /// An envelope without parameters.
    pub fn plain(reverse_path: ReversePath, recipients: Vec<Recipient>) -> Self {
        let (body, dsn) = (BodyKind::default(), DsnWish::default());
        Self { reverse_path, recipients, body, smtputf8: false, require_tls: false, dsn }
    }
}

/// One recipient of an envelope, with the notifications the sender asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// The address; `<Postmaster>` has been completed with our own host name.
    pub address: Address,
    /// When to notify the sender (RFC 3461 §4.1).
    pub notify: Notify,
    /// The address the sender first used (RFC 3461 §4.2).
    pub original: Option<OriginalRecipient>,
}

impl Recipient {
    /// A recipient without DSN parameters.
    pub const fn plain(address: Address) -> Self {
        Self { address, notify: Notify::DEFAULT, original: None }
    }
}

/// The BODY parameter of MAIL FROM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum BodyKind {
    /// Only ASCII (RFC 5321), the default.
    #[default]
    SevenBit,
    /// Any octet in lines (RFC 6152).
    EightBitMime,
    /// Any octet, no lines (RFC 3030); only with BDAT.
    BinaryMime,
}

impl BodyKind {
    /// What to declare for a text in lines.
    pub const fn of(text: &[u8]) -> Self {
        if text.is_ascii() { Self::SevenBit } else { Self::EightBitMime }
    }
}

/// RET and ENVID of MAIL FROM (RFC 3461 §4.3, §4.4).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DsnWish {
    /// What a failure notice should hold.
    pub ret: Option<DsnReturn>,
    /// The sender's own name for this envelope, decoded from xtext.
    pub envelope_id: Option<String>,
}

/// RET (RFC 3461 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DsnReturn {
    /// The whole message.
    Full,
    /// Its header.
    Headers,
}

/// NOTIFY (RFC 3461 §4.1). All `false` is `NOTIFY=NEVER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// Tell when it was delivered.
    pub success: bool,
    /// Tell when it failed.
    pub failure: bool,
    /// Tell when it takes long.
    pub delay: bool,
    /// Whether the client said so itself; without the parameter the default is not passed on to the next host.
    pub explicit: bool,
}

impl Notify {
    /// What holds without the parameter: failures and delays.
    pub const DEFAULT: Self = Self { success: false, failure: true, delay: true, explicit: false };
    /// `NOTIFY=NEVER`.
    pub const NEVER: Self = Self { success: false, failure: false, delay: false, explicit: true };
}

/// ORCPT (RFC 3461 §4.2): address type and address, decoded from xtext.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginalRecipient {
    /// Usually `rfc822` or `utf-8`.
    pub address_type: String,
    /// The address as the sender wrote it.
    pub address: String,
}
