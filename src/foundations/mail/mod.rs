//! A message, its envelope and where it came from; the structure of its content.
//!
//! Promises: a [`Message`] never changes and is cheap to clone; what is computed from its bytes never fails, however
//! broken they are. Nothing here reads files, sockets or the clock.

pub mod addresses;
pub mod charset;
pub mod compose;
pub mod content;
pub mod date;
mod digest;
mod encoded_text;
pub mod encoded_words;
mod envelope;
mod header;
pub mod html;
mod line_ends;
mod lzfu;
pub mod mbox;
mod message;
mod numbers;
mod object_id;
mod origin;
mod results;
mod section;
mod sequence_set;
mod seven_bit;
pub mod structure;
mod subject;
mod summary;
pub mod text;
pub mod tnef;
pub mod transfer;
pub mod unseen;
mod visits;
mod with;

pub use date::HeaderDate;
pub use digest::ContentDigest;
pub use encoded_text::encoded_text;
pub use envelope::{BodyKind, DsnReturn, DsnWish, Envelope, Notify, OriginalRecipient, Recipient};
pub use header::{Field, Fields, HeaderSection};
pub use line_ends::{CutInLines, crlf, crlf_len, crlf_onto, cut_in_lines};
pub use message::Message;
pub use numbers::{InvalidNumber, ModSeq, Numbered, SequenceNumber, Uid, UidValidity, UnchangedSince};
pub use object_id::{EmailId, InvalidEmailId, InvalidThreadId, MailboxId, ThreadId};
pub use origin::{Login, Mail, Origin, Peer, TlsFacts, Who};
pub use results::{author_of_results, own_results, results_in, results_of};
pub use section::{Kind, Piece, Sections};
pub use sequence_set::{InvalidSequenceSet, SequenceSet};
pub use seven_bit::{SevenBit, Unconvertible};
pub use structure::Structure;
pub use subject::BaseSubject;
pub use summary::{
    AddressField, FirstAddress, Heading, Kept, KeptFields, ListedFields, ListedNames, SearchFields, StoredSummary,
    Summary, message_ids,
};
pub use visits::Visits;
pub use with::{Extras, With};
