//! Scheduling (RFC 6638): what a change of an event sends to its guests or its organiser, and what becomes of it there.
//!
//! The rules are pure: `meeting` reads, `rules` compares an event with what it was, `message` writes (iTIP, RFC 5546), `settled` is
//! what is stored, `apply` what a message makes of somebody's event. [`Scheduler`] asks who is who and delivers, to calendars here
//! and by mail (`letter`, RFC 6047). [`ByMail`] enters what arrives by mail from who is known to have written it, by the rules in
//! `arrived`; all else waits for a click in the webmail. Promises: nobody sends in another's name, since only addresses that lead to the account alone
//! make it an organiser or a guest; nothing is sent unless something changed that concerns a guest, or when the event is over; mail
//! and messages to calendars count towards the limits of submission. A change is stored before its messages are sent, with the
//! status 1.0; what a crash leaves so is sent with the next change. An event is removed after its messages are sent: nothing would
//! remember them.

mod apply;
mod arrived;
mod by_mail;
mod delivery;
mod free_busy;
mod language;
mod letter;
mod meeting;
mod message;
mod property;
mod rules;
mod scheduler;
mod settings;
mod settled;
#[cfg(test)]
mod tests;

pub use by_mail::{ByMail, ByMailParts};
pub use delivery::Delivered;
pub use free_busy::{Asked, BadRequest, Told};
pub(super) use property::calendar_user;
pub use scheduler::{Actor, Bounds, Prepared, Scheduler, SchedulerParts, Unscheduled, Wish};
pub use settings::{EnteredByMail, FreeBusyOf, SchedulingSettings};

/// The property of the inbox that names the calendar for new events (RFC 6638 §9.2).
pub const DEFAULT_CALENDAR_PROPERTY: &str = "schedule-default-calendar-URL";
/// The property of a calendar that says whether its events make anybody busy (RFC 6638 §9.1).
pub const TRANSPARENCY_PROPERTY: &str = "schedule-calendar-transp";
/// The last part of the path of the inbox.
pub const SCHEDULE_INBOX: &str = "inbox";
