//! Busy times of others (RFC 6638 §5).

use tokio::time::Instant;

use super::super::components::Whole;
use super::property::{Property, calendar_user};
use super::scheduler::{Actor, Bounds, Own, Scheduler, Unscheduled};
use super::settings::FreeBusyOf;
use super::{TRANSPARENCY_PROPERTY, message};
use crate::foundations::address::Address;
use crate::foundations::processor::in_turn;
use crate::services::dav::{CalendarObject, TimeRange, busy_times_of, zone_of, zone_text};
use crate::services::routing::Resolution;
use crate::storage::dav::{Collection, CollectionKind, Error, Property as DavProperty, Window};

/// Objects read from the database together.
const TOGETHER: u32 = 100;
/// Most times at which somebody is busy in an answer.
const MOST_TIMES: usize = 5_000;
/// Longest period, in seconds: a year and some days.
const LONGEST: i64 = 400 * 86_400;

/// What a program wants to know.
#[derive(Debug, Clone)]
pub struct Asked {
    range: TimeRange,
    organiser: String,
    /// The lines that name whom it asks about.
    attendees: Vec<Property>,
    /// Lines that the answers repeat.
    copied: String,
    /// An event that does not count, since it is to be moved.
    masked: Option<String>,
}

/// Why something is no such question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadRequest(&'static str);

/// The answer about one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// As the question names them.
    pub recipient: String,
    /// RFC 5546 §3.6.
    pub status: &'static str,
    /// The busy times, if they may be known.
    pub times: Option<String>,
}

const SUCCESS: &str = "2.0;Success";
const UNKNOWN: &str = "3.7;Invalid calendar user";
const FAILED: &str = "5.1;Service unavailable";

impl Asked {
    /// Reads a VFREEBUSY request (RFC 5546 §3.3.2).
    ///
    /// # Errors
    /// It is none.
    pub fn read(content: &str) -> Result<Self, BadRequest> {
        let whole = Whole::of(content);
        let asks =
            whole.purpose().is_some_and(|purpose| purpose.eq_ignore_ascii_case(message::Purpose::Request.word()));
        let mut parts = whole.components.iter().filter(|one| one.kind == "VFREEBUSY");
        let (Some(part), None, true) = (parts.next(), parts.next(), asks) else {
            return Err(BadRequest(
                "Only requests for busy times (`METHOD:REQUEST` with one VFREEBUSY) are answered here.",
            ));
        };
        // RFC 5545 §3.6.4: in UTC. Some programs leave out the letter for that.
        let moment = |name: &str| {
            let time = part.time(name)?;
            let at = chrono::NaiveDateTime::parse_from_str(time.trim_end_matches('Z'), "%Y%m%dT%H%M%S").ok()?;
            Some(at.and_utc().timestamp())
        };
        let range = moment("DTSTART").zip(moment("DTEND")).map(|(start, end)| TimeRange { start, end });
        let range = range.filter(|range| range.start < range.end && range.end - range.start <= LONGEST);
        let range =
            range.ok_or(BadRequest("DTSTART and DTEND must be times in UTC, at most 400 days from each other."))?;
        let organiser = part.value("ORGANIZER").ok_or(BadRequest("It does not say who asks (ORGANIZER)."))?;
        let lines = part.own().filter(|line| line.property() == "ATTENDEE");
        let copied = ["UID", "ORGANIZER"].iter().filter_map(|name| part.line(name));
        Ok(Self {
            range,
            organiser: calendar_user(organiser),
            attendees: lines.map(|line| Property::of(&line.whole).without(&message::SCHEDULE)).collect(),
            copied: copied.map(|line| super::super::particulars::folded(&line.whole)).collect(),
            masked: part.value("X-CALENDARSERVER-MASK-UID").map(str::to_owned),
        })
    }
}

impl Scheduler {
    /// Answers, until a time: whom that leaves out, the program asks about again.
    ///
    /// # Errors
    /// It is asked in another's name or about too many, or the directory fails.
    pub async fn busy(
        &self,
        actor: &Actor,
        asked: &Asked,
        of: FreeBusyOf,
        bounds: &Bounds,
        until: Instant,
    ) -> Result<Vec<Told>, Unscheduled> {
        let asking = &actor.account.address;
        let mut own = self.own(asking).await?;
        own.add_tagged(asking, [asked.organiser.clone()]).await?;
        if !own.has(&asked.organiser) {
            let why = "The ORGANIZER must be one of your own addresses.";
            return Err(Unscheduled::Rule("organizer-allowed", why.to_owned()));
        }
        if asked.attendees.len() > bounds.attendees {
            let why = format!("At most {} people can be asked about at once.", bounds.attendees);
            return Err(Unscheduled::Rule("max-attendees-per-instance", why));
        }
        let mut told = Vec::with_capacity(asked.attendees.len());
        for attendee in &asked.attendees {
            let known = match self.known(asking, &attendee.address(), of).await? {
                Some(account) => self.times(&account, asked, attendee, bounds, until).await,
                None => Err(UNKNOWN),
            };
            let (status, times) = match known {
                Ok(times) => (SUCCESS, Some(times)),
                Err(status) => (status, None),
            };
            told.push(Told { recipient: attendee.value().to_owned(), status, times });
        }
        Ok(told)
    }

    /// The account of an address whose busy times somebody may know. Whether others exist is not told.
    async fn known(&self, asking: &Address, address: &str, of: FreeBusyOf) -> Result<Option<Address>, Unscheduled> {
        let Ok(address) = address.parse::<Address>() else { return Ok(None) };
        let account = match self.parts.routing.resolve(&address).await? {
            Resolution::Local { accounts, forwards, .. } if forwards.is_empty() && accounts.len() == 1 => {
                accounts.first().map(|reached| reached.account.address.clone())
            }
            _ => None,
        };
        let may = |account: &Address| match of {
            FreeBusyOf::Everybody => true,
            FreeBusyOf::Domain => account.domain() == asking.domain(),
            FreeBusyOf::Themselves => account.key() == asking.key(),
        };
        Ok(account.filter(may))
    }

    async fn times(
        &self,
        account: &Address,
        asked: &Asked,
        attendee: &Property,
        bounds: &Bounds,
        until: Instant,
    ) -> Result<String, &'static str> {
        let failed = |error: &dyn std::fmt::Display| {
            log::warn!(user:% = account; "Busy times could not be found: {error}");
            FAILED
        };
        let own = std::sync::Arc::new(self.own(account).await.map_err(|error| failed(&error))?);
        let kind = CollectionKind::Calendar;
        let calendars = self.parts.collections.all(account, kind).await.map_err(|error| failed(&error))?;
        let properties = self.parts.collections.properties(&calendars).await.map_err(|error| failed(&error))?;
        let mut busy = Vec::new();
        for calendar in &calendars {
            let of_it = |name: &str| value(&properties, calendar, name);
            if of_it(TRANSPARENCY_PROPERTY).is_some_and(|value| value.contains("<transparent")) {
                continue;
            }
            let zone = of_it("calendar-timezone").or_else(|| of_it("calendar-timezone-id")).map(zone_text);
            let found = self.busy_in(calendar, (zone, &own), asked, bounds, until).await;
            busy.extend(found.map_err(|error| failed(&error))?.ok_or(FAILED)?);
            if busy.len() > MOST_TIMES {
                return Err(FAILED);
            }
        }
        let answer = asked.range.free_busy(busy, self.parts.clock.now().unix_seconds());
        let names = format!("BEGIN:VFREEBUSY\r\n{}{}\r\n", asked.copied, attendee.line());
        let answer = answer.replacen("BEGIN:VFREEBUSY\r\n", &names, 1);
        Ok(answer.replacen("VERSION:2.0\r\n", "VERSION:2.0\r\nMETHOD:REPLY\r\n", 1))
    }

    /// `None` when the time is up, or there are too many.
    async fn busy_in(
        &self,
        calendar: &Collection,
        (zone, own): (Option<String>, &std::sync::Arc<Own>),
        asked: &Asked,
        bounds: &Bounds,
        until: Instant,
    ) -> Result<Option<Vec<(TimeRange, bool)>>, Error> {
        let (range, most) = (asked.range, bounds.recurrences);
        let window = Some(Window { from: range.start, to: range.end });
        let (mut after, mut busy) = (String::new(), Vec::new());
        loop {
            if Instant::now() >= until {
                return Ok(None);
            }
            let page = self.parts.collections.page(calendar, &after, Some("VEVENT"), window, TOGETHER).await?;
            let Some(last) = page.last() else { return Ok(Some(busy)) };
            after.clone_from(&last.info.name);
            let (zone, own, masked) = (zone.clone(), std::sync::Arc::clone(own), asked.masked.clone());
            let found = in_turn(move || {
                let zone = zone_of(zone.as_deref());
                let in_time = page.iter().take_while(|_| Instant::now() < until);
                let read = in_time.filter_map(|object| CalendarObject::read(&object.content).ok());
                let counts = read.filter(|object| masked.as_deref() != Some(object.uid()));
                counts
                    .flat_map(|object| busy_times_of(&object, &range, zone, most, &|address| own.may_have(address)))
                    .collect::<Vec<_>>()
            });
            let Ok(found) = found.await else { return Ok(None) };
            busy.extend(found);
            if busy.len() > MOST_TIMES {
                return Ok(None);
            }
        }
    }
}

fn value<'a>(properties: &'a [(i64, DavProperty)], calendar: &Collection, name: &str) -> Option<&'a str> {
    let own = properties.iter().filter(|(id, property)| *id == calendar.id && property.name.local == name);
    own.map(|(_, property)| property.value.as_str()).next()
}
