//! Messages about events that arrive by mail (iMIP, RFC 6047), entered without a click where that is safe.

use std::collections::BTreeSet;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::super::components::Whole;
use super::arrived::{Change, Left, answered, changed};
use super::delivery::{DELIVERED, PAUSE, TRIES, keep};
use super::scheduler::{Bounds, Own};
use super::settings::EnteredByMail;
use crate::foundations::address::Address;
use crate::foundations::clock::{SharedClock, Timestamp};
use crate::foundations::event::{Event, EventKind};
use crate::foundations::mail::{Kind, Mail, Message, Structure, transfer};
use crate::foundations::processor::{Parties, in_turn};
use crate::services::dav::{CalendarObject, Calendars, Invitation, Method, SCHEDULE_INBOX, with_schedule_tag_of};
use crate::services::handover::InvitationReading;
use crate::services::routing::{self, Routing};
use crate::storage::dav::{CollectionKind, Collections, Condition, Draft, Error, Object};
use crate::storage::journal::Journal;

/// A larger message, in multiples of the largest event, has more in it than an event: it waits for a click.
const LARGEST: usize = 4;

/// Guests' replies about single times of a series fill one of so many parts of the largest event.
const PARTS: usize = 4;

/// What entering needs from other rooms.
pub struct ByMailParts {
    /// Calendars, and the inboxes of messages.
    pub collections: Collections,
    /// Whose addresses are whose.
    pub routing: Routing,
    /// The limits and what is entered; `None` where scheduling is switched off.
    pub settings: Box<dyn Fn() -> Option<(Bounds, EnteredByMail)> + Send + Sync>,
    /// Takes events.
    pub journal: Journal,
    /// The time.
    pub clock: SharedClock,
}

/// Enters what arrives by mail.
pub struct ByMail {
    parts: ByMailParts,
    calendars: Calendars,
    /// Accounts, each of whose events takes one message at a time.
    entered: Parties,
}

/// A message as it was found in a mail.
struct Found {
    text: String,
    method: Method,
    uid: String,
}

/// Why nothing is entered.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Left(#[from] Left),
    #[error(transparent)]
    Storage(#[from] Error),
    #[error(transparent)]
    Routing(#[from] routing::Error),
    #[error(transparent)]
    Work(#[from] tokio::task::JoinError),
}

/// What entering has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entered {
    Yes,
    /// The calendar says so already, or does not have the event.
    Nothing,
}

impl InvitationReading for ByMail {
    fn read<'a>(&'a self, mail: &'a Mail, author: &'a Address, account: &'a Address) -> BoxFuture<'a, ()> {
        async move {
            let Some((bounds, entered)) = (self.parts.settings)() else { return };
            let message = mail.message.clone();
            if !entered.has_answers() || message.len() > bounds.object.saturating_mul(LARGEST) {
                return;
            }
            let Ok(found) = in_turn(move || found(&message, bounds.object)).await else { return };
            let (method, result) = match found {
                Ok(None) => return,
                Ok(Some(found)) => {
                    let is_wanted = match found.method {
                        Method::Reply => true,
                        Method::Request | Method::Cancel => entered.has_changes(),
                        Method::Publish | Method::Other => false,
                    };
                    if !is_wanted {
                        return;
                    }
                    let author = author.to_string().to_lowercase();
                    (Some(found.method), self.enter(account, &author, &found, &bounds).await)
                }
                Err(left) => (None, Err(left.into())),
            };
            self.tell(mail, (author, account), method, &result);
        }
        .boxed()
    }
}

impl ByMail {
    /// Entering with these parts.
    pub fn new(parts: ByMailParts) -> Self {
        Self { calendars: Calendars::new(parts.collections.clone()), parts, entered: Parties::default() }
    }

    /// Enters a message, into the event as it is then if somebody else changes that at the same time.
    async fn enter(&self, account: &Address, author: &str, found: &Found, bounds: &Bounds) -> Result<Entered, Failure> {
        let _place = self.entered.place(&account.key()).await;
        let mut tries = 0;
        loop {
            match self.try_to_enter(account, author, found, bounds).await {
                Err(Failure::Storage(Error::Condition | Error::NoObject)) if tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                result => return result,
            }
        }
    }

    async fn try_to_enter(
        &self,
        account: &Address,
        author: &str,
        found: &Found,
        bounds: &Bounds,
    ) -> Result<Entered, Failure> {
        let (collections, now) = (&self.parts.collections, self.parts.clock.now());
        let all = collections.all(account, CollectionKind::Calendar).await?;
        let Some((calendar, kept)) = self.calendars.about(&all, &found.uid).await? else { return Ok(Entered::Nothing) };
        let own = Own::of(&self.parts.routing, account).await?;
        let read = in_turn(move || {
            let tagged: BTreeSet<String> = own.tagged_in(&String::from_utf8_lossy(&kept.content)).into_iter().collect();
            (own, kept, tagged)
        });
        let (mut own, kept, tagged) = read.await?;
        own.add_tagged(account, tagged).await?;
        let (condition, name) = (Condition::unchanged(&kept.info.etag), kept.info.name.clone());
        let (text, method, author) = (found.text.clone(), found.method, author.to_owned());
        let bounds = *bounds;
        let work = in_turn(move || drafted((method, &text, &author), &kept, &name, &own, &bounds, now));
        let Some(draft) = work.await?? else { return Ok(Entered::Nothing) };
        self.calendars.store(account, &calendar, &draft, &condition, &bounds.limits, now).await?;
        match collections.find(account, CollectionKind::ScheduleInbox, SCHEDULE_INBOX).await {
            Ok(Some(inbox)) => keep(collections, (account, &inbox), &found.text, &bounds, now).await,
            Ok(None) => {}
            // It is in the calendar, whatever comes of this.
            Err(error) => {
                log::info!(user:% = account, error:% = error; "A calendar message was entered, but not kept in the inbox");
            }
        }
        Ok(Entered::Yes)
    }

    fn tell(
        &self,
        mail: &Mail,
        (author, account): (&Address, &Address),
        of: Option<Method>,
        result: &Result<Entered, Failure>,
    ) {
        let event = Event::new(self.parts.clock.now(), EventKind::CalendarMessage).session(mail.origin.session);
        let event = event.mail(mail.id).subject(account.to_string()).with("from", author.to_string());
        let event = event.with_known("method", of.map(method));
        match result {
            Ok(Entered::Yes) => self.parts.journal.record(event.with("status", DELIVERED)),
            Ok(Entered::Nothing) => {}
            Err(Failure::Left(left)) => self.parts.journal.record(event.with("reason", left.to_string())),
            Err(error) => {
                log::warn!(mail:% = mail.id, user:% = account, error:% = error; "A calendar message that came by mail was not entered");
            }
        }
    }
}

const fn method(method: Method) -> &'static str {
    match method {
        Method::Request => "REQUEST",
        Method::Cancel => "CANCEL",
        Method::Reply => "REPLY",
        Method::Publish => "PUBLISH",
        Method::Other => "other",
    }
}

/// The first message about an event in a mail, but not in another mail that is attached.
fn found(mail: &Message, most: usize) -> Result<Option<Found>, Left> {
    let bytes = mail.bytes();
    let structure = Structure::of(&bytes);
    let mut at = 0;
    let part = loop {
        let Some(part) = structure.parts().get(at) else { return Ok(None) };
        match part.kind {
            Kind::Leaf if part.content.is_exactly("text", "calendar") => break part,
            Kind::Message => at = part.next,
            Kind::Leaf | Kind::Multipart => at += 1,
        }
    };
    let octets = transfer::decode(part.fields.encoding, structure.body(part), most.saturating_add(1));
    // RFC 6047 §2.4: other charsets than UTF-8 are hardly ever used.
    let charset = part.content.parameters.text("charset").unwrap_or_default().to_ascii_lowercase();
    let is_like_ascii = || ["iso-8859-", "windows-125"].iter().any(|kind| charset.starts_with(kind));
    let is_readable = ["", "utf-8", "us-ascii"].contains(&charset.as_str()) || (octets.is_ascii() && is_like_ascii());
    if !is_readable {
        return Ok(None);
    }
    if octets.len() > most {
        return Err(Left::TooLarge);
    }
    let Ok(text) = std::str::from_utf8(&octets) else { return Ok(None) };
    // RFC 6047 §2.4: both say the same, so that what readers of either take it for is what it is.
    let purpose = Whole::of(text).purpose().unwrap_or_default().to_owned();
    if part.content.parameters.text("method").is_some_and(|method| !method.eq_ignore_ascii_case(&purpose)) {
        return Ok(None);
    }
    let read = Invitation::read(text).ok();
    Ok(read.map(|invitation| Found {
        text: text.to_owned(),
        method: invitation.shown().method,
        uid: invitation.uid().to_owned(),
    }))
}

/// The event as it is stored with the message; `None` if it says so already.
fn drafted(
    (method, text, author): (Method, &str, &str),
    kept: &Object,
    name: &str,
    own: &Own,
    bounds: &Bounds,
    now: Timestamp,
) -> Result<Option<Draft>, Left> {
    let stored = std::str::from_utf8(&kept.content).map_err(|_| Left::Unfit)?;
    let is_own = |address: &str| own.has(address);
    let content = match method {
        Method::Reply => {
            Some(answered(stored, text, author, &is_own, (bounds.recurrences, bounds.object / PARTS, now))?)
        }
        Method::Request => changed(stored, text, author, &is_own, (Change::Request, bounds.recurrences))?,
        Method::Cancel => changed(stored, text, author, &is_own, (Change::Cancel, bounds.recurrences))?,
        Method::Publish | Method::Other => None,
    };
    let Some(content) = content else { return Ok(None) };
    if content.len() > bounds.object {
        return Err(Left::TooLarge);
    }
    let object = CalendarObject::read(content.as_bytes()).map_err(|_| Left::Unfit)?;
    let mut draft = object.draft(name, content.as_bytes(), bounds.recurrences);
    if method == Method::Reply {
        // RFC 6638 §3.2.10: what guests answer is no change that an organiser's program must know of.
        draft.etag = with_schedule_tag_of(&draft.etag, &kept.info.etag);
    }
    Ok(Some(draft))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_author_has_written_counts() {
        let reply = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\nMETHOD:REPLY\r\nBEGIN:VEVENT\r\nUID:u\r\n\
            DTSTAMP:20260101T000000Z\r\nDTSTART:20270105T090000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
        let part = format!("Content-Type: text/calendar; method=REPLY\r\n\r\n{reply}");
        let mixed = |part: &str| {
            let head =
                "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b\r\n";
            Message::new(format!("{head}{part}\r\n--b--\r\n"))
        };
        let found_in = |message: &Message| found(message, 10_000).unwrap().map(|found| (found.method, found.uid));
        let wanted = Some((Method::Reply, "u".to_owned()));
        assert_eq!(found_in(&Message::new(part.clone())), wanted);
        assert_eq!(found_in(&mixed(&part)), wanted);
        assert_eq!(found_in(&mixed(&format!("Content-Type: message/rfc822\r\n\r\n{part}"))), None);
        assert_eq!(found_in(&mixed("Content-Type: text/calendar\r\n\r\nhello")), None);
        assert_eq!(found(&mixed(&part), 100).err(), Some(Left::TooLarge));
        for (head, is_found) in [
            ("; method=reply; charset=\"UTF-8\"", true),
            ("", true),
            ("; method=REQUEST", false),
            ("; method=REPLY; charset=ISO-8859-1", true),
            ("; method=REPLY; charset=utf-16", false),
            ("; method=REPLY; charset=iso-2022-jp", false),
        ] {
            let part = format!("Content-Type: text/calendar{head}\r\n\r\n{reply}");
            assert_eq!(found_in(&mixed(&part)).is_some(), is_found, "{head}");
        }
    }
}
