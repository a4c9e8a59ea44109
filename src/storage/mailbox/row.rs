//! One message of a folder, as sessions see it.

use crate::foundations::clock::Timestamp;
use crate::foundations::mail::{ModSeq, Uid};

use super::{Flags, KeywordSet};

/// What is known about one message without opening its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// UID.
    pub uid: Uid,
    /// System flags.
    pub flags: Flags,
    /// Keywords, as slots of the folder's table ([`View::keywords`](super::View::keywords)).
    pub keywords: KeywordSet,
    /// MODSEQ.
    pub mod_seq: ModSeq,
    /// RFC822.SIZE in octets.
    pub size: u64,
    /// INTERNALDATE, in whole seconds.
    pub internal_date: Timestamp,
}
