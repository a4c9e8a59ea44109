//! Prepares calendars so that calcard can expand their recurrences. It cannot handle local times that the clocks skip or show twice,
//! so rules are evaluated in local time, and results, exclusions and changes are compared here, as moments.

use std::collections::{HashMap, HashSet};

use calcard::common::PartialDateTime;
use calcard::common::timezone::Tz;
use calcard::icalendar::timezone::TzResolver;
use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarEntry, ICalendarParameterName, ICalendarPeriod, ICalendarProperty,
    ICalendarValue,
};
use chrono::{DateTime, Datelike as _, NaiveDateTime, NaiveTime, Offset as _, TimeDelta, TimeZone as _};

use super::expand::moment;

const DAY: i64 = 86_400;
/// The last year of iCalendar's dates (RFC 5545 §3.3.4).
const LAST_YEAR: i32 = 9_999;

/// A calendar whose recurrences are expanded in [`Tz::Floating`]: times without a zone are local times.
pub(super) struct Told {
    pub(super) calendar: ICalendar,
    /// For each component.
    ways: Vec<Way>,
    /// When a series does not take place, or differs from its rule.
    left_out: HashSet<i64>,
    /// Which time of its series a component changes.
    changed: HashMap<u32, i64>,
    /// When a component begins at times for which RDATE gives an end.
    ending: HashSet<(u32, i64)>,
}

/// How the times of a component are written.
struct Way {
    /// Their zone, unless they name another.
    written: Tz,
    /// The zone whose local time they are in.
    zone: Tz,
    /// Whether it has recurrences by a rule.
    follows: bool,
    /// Whether it has any recurrences.
    recurs: bool,
}

impl Told {
    /// Times that name no zone are in `zone`.
    pub(super) fn of(calendar: &ICalendar, zone: Tz) -> Self {
        let zones = calendar.build_owned_tz_resolver().with_default(zone);
        let ways: Vec<Way> = calendar.components.iter().map(|one| Way::of(one, &zones)).collect();
        let (left_out, changed) = named(calendar, &ways, &zones);
        let ending = ending(calendar, &ways, &zones);
        let mut calendar = calendar.clone();
        for (component, way) in calendar.components.iter_mut().zip(&ways) {
            if component.component_type.has_time_ranges() {
                way.tell(component, &zones);
            }
        }
        Self { calendar, ways, left_out, changed, ending }
    }

    /// Whether a component has recurrences by a rule.
    pub(super) fn follows(&self, component: u32) -> bool {
        self.way(component).is_some_and(|way| way.follows)
    }

    /// Whether a component has recurrences at all.
    pub(super) fn recurs(&self, component: u32) -> bool {
        self.way(component).is_some_and(|way| way.recurs)
    }

    /// Whether a recurrence does not take place, or is replaced by another component.
    pub(super) fn leaves_out(&self, component: u32, start: i64) -> bool {
        self.recurs(component) && self.left_out.contains(&start)
    }

    /// The moment of the time that a component changes.
    pub(super) fn changed(&self, component: u32) -> Option<i64> {
        self.changed.get(&component).copied()
    }

    /// The local time at a moment in the zone of a component.
    pub(super) fn local(&self, component: u32, moment: i64) -> Option<i64> {
        let zone = self.way(component).map_or(Tz::UTC, |way| way.zone);
        let at = DateTime::from_timestamp(moment, 0)?.with_timezone(&zone);
        Some(at.naive_local().and_utc().timestamp())
    }

    /// Whether what begins then has its own end.
    pub(super) fn ends(&self, component: u32, start: i64) -> bool {
        self.ending.contains(&(component, start))
    }

    /// The moment of a component's time, and the local time then, both in seconds.
    pub(super) fn when(&self, component: u32, at: &DateTime<Tz>) -> (i64, i64) {
        let zone = self.way(component).map_or(Tz::UTC, |way| way.zone);
        if at.timezone().is_floating() {
            let local = at.naive_local();
            let shown = local.and_utc().timestamp();
            return (moment_in(zone, local).unwrap_or(shown), shown);
        }
        (at.timestamp(), at.with_timezone(&zone).naive_local().and_utc().timestamp())
    }

    /// The moment of a local time in the zone of a component.
    pub(super) fn moment(&self, component: u32, local: i64) -> Option<i64> {
        let zone = self.way(component).map_or(Tz::UTC, |way| way.zone);
        let local = DateTime::from_timestamp(local, 0).filter(|local| local.year() <= LAST_YEAR)?;
        moment_in(zone, local.naive_utc())
    }

    fn way(&self, component: u32) -> Option<&Way> {
        self.ways.get(usize::try_from(component).ok()?)
    }
}

impl Way {
    fn of(component: &ICalendarComponent, zones: &TzResolver<String>) -> Self {
        let written = written_in(component, zones);
        let (follows, is_changed) = (has_rule(component), component.is_recurrence_override());
        Self { written, zone: written, follows, recurs: follows || component.is_recurrent() && !is_changed }
    }

    fn zone_of(&self, entry: &ICalendarEntry, zones: &TzResolver<String>) -> Tz {
        entry.tz_id().map_or(self.written, |id| zones.resolve_or_default(Some(id)))
    }

    fn tell(&self, component: &mut ICalendarComponent, zones: &TzResolver<String>) {
        use ICalendarProperty::{Dtend, Dtstart, Due, Exdate, Rdate, RecurrenceId, Rrule, Sequence};
        let (has_time, is_changed) = (has_time(component), component.is_recurrence_override());
        component.entries.retain(|entry| !matches!(entry.name, Sequence | Exdate));
        if is_changed && !self.follows {
            // So calcard does not let it replace another: it also compares the SEQUENCE.
            let values = vec![ICalendarValue::Integer(0)];
            component.entries.push(ICalendarEntry { name: Sequence, params: Vec::new(), values });
        }
        for entry in &mut component.entries {
            let zone = self.zone_of(entry, zones);
            match entry.name {
                Dtstart | Dtend | Due | RecurrenceId if self.follows => self.follow(entry, zone),
                Dtstart | Dtend | Due | RecurrenceId | Rdate => tell_unclear(entry, zone),
                // A day has no zone.
                Rrule if has_time => self.bound(entry),
                _ => {}
            }
        }
    }

    /// Turns a time into local time.
    fn follow(&self, entry: &mut ICalendarEntry, zone: Tz) {
        if let Some(ICalendarValue::PartialDateTime(at)) = entry.values.first_mut()
            && at.has_time()
            && (at.has_zone() || zone != self.zone)
            && let Some(moment) = moment_of(at, zone)
        {
            **at = shown(moment, self.zone);
        }
        entry.params.retain(|parameter| parameter.name != ICalendarParameterName::Tzid);
    }

    /// Turns UNTIL, which is in UTC with a local DTSTART (RFC 5545 §3.3.10), into local time.
    fn bound(&self, rule: &mut ICalendarEntry) {
        for value in &mut rule.values {
            if let ICalendarValue::RecurrenceRule(rule) = value
                && let Some(until) = rule.until.as_mut().filter(|until| until.has_zone())
                && let Some(last) = moment_of(until, self.zone)
            {
                *until = shown(last, self.zone);
            }
        }
    }
}

fn has_rule(component: &ICalendarComponent) -> bool {
    component.component_type.has_time_ranges() && component.has_property(&ICalendarProperty::Rrule)
}

/// Whether a component begins at a time of a day.
pub(super) fn has_time(component: &ICalendarComponent) -> bool {
    let start = component.property(&ICalendarProperty::Dtstart).and_then(|entry| entry.values.first());
    matches!(start, Some(ICalendarValue::PartialDateTime(at)) if at.has_time())
}

/// How many seconds of the duration of a component are whole days, which are as long as the clocks have them (RFC 5545 §3.3.6).
pub(super) fn nominal(component: &ICalendarComponent) -> i64 {
    if is_of_days(component) {
        return i64::MAX;
    }
    match component.property(&ICalendarProperty::Duration).and_then(|entry| entry.values.first()) {
        Some(ICalendarValue::Duration(length)) => (i64::from(length.weeks) * 7 + i64::from(length.days)) * DAY,
        _ => 0,
    }
}

/// Whether a component begins on a day rather than at a time.
fn is_of_days(component: &ICalendarComponent) -> bool {
    component.has_property(&ICalendarProperty::Dtstart) && !has_time(component)
}

/// The zone of a component's beginning.
fn written_in(component: &ICalendarComponent, zones: &TzResolver<String>) -> Tz {
    use ICalendarProperty::{Dtstart, Due, RecurrenceId};
    let start = [Dtstart, RecurrenceId, Due].iter().find_map(|name| component.property(name));
    let at = start.and_then(|entry| entry.values.first());
    match at {
        Some(ICalendarValue::PartialDateTime(at)) if at.has_zone() => Tz::UTC,
        _ => zones.resolve_or_default(start.and_then(ICalendarEntry::tz_id)),
    }
}

/// The moments that EXDATE and RECURRENCE-ID name (RFC 5545 §3.8.5.1, §3.8.4.4), and those of RECURRENCE-ID by component.
fn named(calendar: &ICalendar, ways: &[Way], zones: &TzResolver<String>) -> (HashSet<i64>, HashMap<u32, i64>) {
    let (mut moments, mut changed) = (HashSet::new(), HashMap::new());
    let numbered = || (0..).zip(calendar.components.iter().zip(ways));
    let components = || numbered().filter(|(_, (one, _))| one.component_type.has_time_ranges());
    let series = components().find(|(_, (one, _))| !one.has_property(&ICalendarProperty::RecurrenceId));
    let days = series.filter(|(_, (one, _))| is_of_days(one)).map(|(_, (_, way))| way.written);
    for (number, (component, way)) in components() {
        let names_others = component.entries.iter().filter(|entry| match entry.name {
            ICalendarProperty::Exdate => true,
            ICalendarProperty::RecurrenceId => !way.follows,
            _ => false,
        });
        for entry in names_others {
            let zone = way.zone_of(entry, zones);
            let named = entry.values.iter().filter_map(|value| match value {
                // Some programs name a day in a series of days by its midnight, in whatever zone.
                ICalendarValue::PartialDateTime(at) => match days.zip(midnight(at)) {
                    Some((zone, day)) => moment_in(zone, day),
                    None => moment_of(at, zone),
                },
                _ => None,
            });
            for moment in named {
                moments.insert(moment);
                if entry.name == ICalendarProperty::RecurrenceId {
                    changed.insert(number, moment);
                }
            }
        }
    }
    (moments, changed)
}

/// A time of day that is the day's beginning.
fn midnight(at: &PartialDateTime) -> Option<NaiveDateTime> {
    let time = at.to_date_time().filter(|_| at.has_time())?.date_time;
    (time.time() == NaiveTime::MIN).then_some(time)
}

/// When components begin according to an RDATE with a period (RFC 5545 §3.8.5.2), with their numbers.
fn ending(calendar: &ICalendar, ways: &[Way], zones: &TzResolver<String>) -> HashSet<(u32, i64)> {
    let mut moments = HashSet::new();
    for (number, (component, way)) in (0..).zip(calendar.components.iter().zip(ways)) {
        for entry in component.properties(&ICalendarProperty::Rdate) {
            let zone = way.zone_of(entry, zones);
            moments.extend(entry.values.iter().filter_map(|value| match value {
                ICalendarValue::Period(
                    ICalendarPeriod::Range { start, .. } | ICalendarPeriod::Duration { start, .. },
                ) => Some((number, moment_of(start, zone)?)),
                _ => None,
            }));
        }
    }
    moments
}

/// Turns times that the clocks of their zone skip or show twice into UTC.
fn tell_unclear(entry: &mut ICalendarEntry, zone: Tz) {
    let names_zone = entry.tz_id().is_some();
    for at in entry.values.iter_mut().flat_map(times) {
        let local = at.to_date_time().filter(|read| read.offset.is_none() && (at.has_time() || names_zone));
        let unclear = local.filter(|read| zone.offset_from_local_datetime(&read.date_time).single().is_none());
        if let Some(moment_at) = unclear.and_then(|read| moment_in(zone, read.date_time)) {
            *at = moment(moment_at, false);
        }
    }
}

/// Turns times with a zone into UTC.
pub(super) fn in_utc(entry: &mut ICalendarEntry, zones: &TzResolver<String>) {
    let Some(zone) = entry.tz_id().map(|id| zones.resolve_or_default(Some(id))) else { return };
    for at in entry.values.iter_mut().flat_map(times).filter(|at| at.has_time()) {
        if let Some(moment_at) = moment_of(at, zone) {
            *at = moment(moment_at, false);
        }
    }
    entry.params.retain(|parameter| parameter.name != ICalendarParameterName::Tzid);
}

/// The ranges of a property's times. A day lasts until the next one; as an end it is excluded
/// (RFC 5545 §3.8.2.2).
pub(super) fn lasting(
    component: &ICalendarComponent,
    entry: &ICalendarEntry,
    zones: &TzResolver<String>,
) -> impl Iterator<Item = (i64, i64)> {
    let zone = entry.tz_id().map_or_else(|| written_in(component, zones), |id| zones.resolve_or_default(Some(id)));
    entry.values.iter().filter_map(move |value| {
        let ICalendarValue::PartialDateTime(at) = value else { return None };
        let start = moment_of(at, zone)?;
        if at.has_time() || entry.name == ICalendarProperty::Dtend {
            return Some((start, start));
        }
        let next = at.to_date_time()?.date_time + TimeDelta::days(1);
        Some((start, moment_in(zone, next)?))
    })
}

fn times(value: &mut ICalendarValue) -> impl Iterator<Item = &mut PartialDateTime> {
    let (first, second) = match value {
        ICalendarValue::PartialDateTime(at) => (Some(&mut **at), None),
        ICalendarValue::Period(ICalendarPeriod::Range { start, end }) => (Some(start), Some(end)),
        ICalendarValue::Period(ICalendarPeriod::Duration { start, .. }) => (Some(start), None),
        _ => (None, None),
    };
    first.into_iter().chain(second)
}

fn moment_of(at: &PartialDateTime, zone: Tz) -> Option<i64> {
    let read = at.to_date_time()?;
    match read.offset {
        Some(offset) => Some((read.date_time - offset).and_utc().timestamp()),
        None => moment_in(zone, read.date_time),
    }
}

/// A local time that does not exist exactly once is read with the offset before the clock change (RFC 5545 §3.3.5).
fn moment_in(zone: Tz, local: NaiveDateTime) -> Option<i64> {
    let offset = zone.offset_from_local_datetime(&local).single();
    let before = || zone.offset_from_local_datetime(&(local - TimeDelta::days(1))).earliest();
    let offset = offset.or_else(before)?;
    Some((local - offset.fix()).and_utc().timestamp())
}

/// The local time of a zone at a moment.
fn shown(at: i64, zone: Tz) -> PartialDateTime {
    let local = DateTime::from_timestamp(at, 0).unwrap_or_default().with_timezone(&zone).naive_local();
    PartialDateTime { tz_hour: None, tz_minute: None, ..moment(local.and_utc().timestamp(), false) }
}
