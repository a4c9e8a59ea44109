//! The meaning of calendars and contacts: whether an object is valid, when an event happens, and what a query matches.
//!
//! Promises: objects from programs are never modified; when a user changes a contact in the webmail ([`Particulars`]), only the changed lines
//! are rewritten; work is bounded by the caller's number of recurrences. Nothing
//! here uses the network or a clock. [`Contacts`] keeps the webmail's list of people and the default address book in sync: people
//! written to become contacts there, the webmail offers contacts of every address book, and people removed in one
//! place are not offered by the other. [`Invitation`] is what arrives by mail (iTIP, RFC 5546): shown, answered, entered into
//! [`Calendars`]. Called by `protocols/web/dav` and the webmail. Reading an object may take some milliseconds,
//! so callers read many objects on a blocking thread.

mod address_books;
mod alarms;
mod calendar;
mod calendars;
mod card;
mod card_filter;
mod components;
mod contacts;
mod expand;
mod filter;
mod group;
mod invitation;
mod limited;
mod occurrences;
mod onward;
mod particulars;
mod replies;
pub mod scheduling;
mod tasks;
mod told;
mod zones;

pub use calendar::{CalendarObject, is_zone, is_zone_name, zone_of, zone_text};
pub use calendars::{CALENDAR_COMPONENTS, Calendars};
pub use card::{Card, collected_card};
pub use card_filter::{CardFilter, CardPropertyFilter};
pub use contacts::{Contacts, DEFAULT_ADDRESS_BOOK, DEFAULT_CALENDAR, Forgotten};
pub use expand::{busy_times, busy_times_of, expanded};
pub use filter::{Collation, ComponentFilter, MatchKind, ParameterFilter, PropertyFilter, TextMatch};
pub use group::{Member, Membership};
pub use invitation::{Invitation, Method, Participant, Participation, Recorded, Shown, Standing};
pub use limited::limited;
pub use occurrences::TimeRange;
pub use particulars::Particulars;
pub use scheduling::SCHEDULE_INBOX;

use crate::foundations::said::{Said, said};

/// Why something cannot be stored in a calendar or address book.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.said().text)]
pub enum Unfit {
    /// It cannot be parsed.
    Malformed(Said),
    /// It can be parsed, but breaks a rule for stored objects (RFC 4791 §4.1, RFC 6352 §5.1).
    Rule(Said),
    /// It is in a format that is not stored here.
    Version(Said),
}

impl Unfit {
    /// As a part of a sentence.
    pub fn said(&self) -> Said {
        match self {
            Self::Malformed(why) => said!("dav-malformed", "this cannot be read: {why}", why = why.clone()),
            Self::Rule(said) | Self::Version(said) => said.clone(),
        }
    }
}

/// The text of an object. Control characters are not allowed in calendars and cards, and XML could not carry them to a client.
fn text(content: &[u8]) -> Result<&str, Unfit> {
    let text = std::str::from_utf8(content).map_err(|_| Unfit::Malformed(said!("dav-not-utf-8", "it is not UTF-8")))?;
    if text.chars().any(|c| c < ' ' && !matches!(c, '\t' | '\r' | '\n') || matches!(c, '\u{fffe}' | '\u{ffff}')) {
        return Err(Unfit::Malformed(said!("dav-control-characters", "it has control characters")));
    }
    Ok(text)
}

/// The validator (`ETag`) of a content: its SHA-256.
pub fn etag(content: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, content);
    crate::foundations::hexadecimal::hexadecimal(&digest.as_ref()[..16])
}

/// The validator of an event with guests. It also contains the schedule tag (RFC 6638 §3.2.10), which stays the same when only
/// guests' answers have changed.
fn scheduled_etag(content: &[u8]) -> String {
    let etag = etag(content);
    format!("{etag}-{}", &etag[..16])
}

/// The schedule tag in a validator, if it is that of an event with guests.
pub fn schedule_tag(etag: &str) -> Option<&str> {
    etag.split_once('-').map(|(_, tag)| tag)
}

/// A validator with the schedule tag of another.
pub fn with_schedule_tag_of(etag: &str, other: &str) -> String {
    match (etag.split_once('-'), schedule_tag(other)) {
        (Some((own, _)), Some(tag)) => format!("{own}-{tag}"),
        _ => etag.to_owned(),
    }
}
