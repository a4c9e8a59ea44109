//! What storing or removing an event has sent, and to whom (RFC 6638 §3.2).

use std::collections::HashSet;

use super::super::components::Component;
use super::super::particulars::Line;
use super::meeting::{Agent, Difference, Meeting, View, answer, invites};
use super::message::{self, Answered, Cancelled, Purpose};
use super::property::Property;
use crate::foundations::clock::Timestamp;

/// A message to one calendar user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) purpose: Purpose,
    /// The address, for comparison.
    pub(super) to: String,
    /// The address as it is written, for mail.
    pub(super) mailbox: String,
    /// The name, if it is known.
    pub(super) name: String,
    pub(super) text: String,
    /// Whether it is worth a letter: calendars of this server also learn who else is invited.
    pub(super) is_weighty: bool,
}

/// Status of a message that is on its way (RFC 6638 §7.3).
pub(super) const PENDING: &str = "1.0";
/// That of one that could not be sent.
pub(super) const FAILED: &str = "5.1";

/// What an organiser's guests are told of a change; without a new event, of its end.
pub(super) fn to_guests(
    before: Option<&Meeting<'_>>,
    after: Option<&Meeting<'_>>,
    forced: &HashSet<String>,
    is_own: &dyn Fn(&str) -> bool,
    now: Timestamp,
) -> Vec<Message> {
    let mut messages = Vec::new();
    let former = before.into_iter().flat_map(|before| &before.guests);
    let gone = former.filter(|guest| after.is_none_or(|after| after.guest(&guest.address).is_none()));
    let invited = after.into_iter().flat_map(|after| &after.guests);
    // Cancellations first: somebody may be invited by one address no more, and still by another.
    for guest in gone.chain(invited).filter(|guest| guest.agent == Agent::Server && !is_own(&guest.address)) {
        let message = |purpose, text, is_weighty| Message {
            purpose,
            to: guest.address.clone(),
            mailbox: guest.mailbox.clone(),
            name: guest.name.clone(),
            text,
            is_weighty,
        };
        let known = before.and_then(|before| before.guest(&guest.address));
        // What a client sent itself is the client's to take back.
        let old = before.filter(|_| known.is_some_and(|known| known.agent == Agent::Server));
        let old = old.and_then(|before| Some((before, before.view(&guest.address)?)));
        let new = after.and_then(|after| Some((after, after.view(&guest.address)?)));
        let cancel = |meeting: &Meeting<'_>, events: &[&Component<'_>], cancelled| {
            let sequence = next_version(before, after);
            let text = message::cancel(&meeting.whole, events, (guest.address.as_str(), cancelled), sequence, now);
            message(Purpose::Cancel, text, true)
        };
        match (old, new) {
            (None, None) => {}
            (Some((before, view)), None) => {
                let cancelled = if after.is_none() { Cancelled::ForAll } else { Cancelled::ForGuest };
                messages.push(cancel(before, &whole_or_parts(&view), cancelled));
            }
            (old, Some((meeting, view))) => {
                let difference = old.as_ref().map_or(Difference::Event, |(_, former)| view.differs(former));
                let is_open = known
                    .and_then(|known| known.status.as_deref())
                    .is_some_and(|status| [PENDING, FAILED].iter().any(|open| status.starts_with(open)));
                let is_due = is_open || forced.contains(&guest.address);
                if let Some((before, former)) = &old {
                    let lost = lost(former, &view);
                    if !lost.is_empty() {
                        messages.push(cancel(before, &lost, Cancelled::ForGuest));
                    }
                }
                if difference == Difference::Nothing && !is_due {
                    continue;
                }
                if let Some(master) = view.master.filter(|master| is_cancelled(master)) {
                    if old.is_some() {
                        messages.push(cancel(meeting, &[master], Cancelled::ForAll));
                    }
                    continue;
                }
                let text = message::request(&meeting.whole, &view, now);
                messages.push(message(Purpose::Request, text, is_due || difference == Difference::Event));
            }
        }
    }
    messages
}

/// The components that stand for all that concerns a guest.
fn whole_or_parts<'b, 'a>(view: &View<'b, 'a>) -> Vec<&'b Component<'a>> {
    view.master.map_or_else(|| view.exceptions.clone(), |master| vec![master])
}

/// What a guest was invited to and is not any more, as far as a new request does not say so.
fn lost<'b, 'a>(former: &View<'b, 'a>, view: &View<'_, '_>) -> Vec<&'b Component<'a>> {
    match (former.master, view.master) {
        // A request with the series replaces everything.
        (_, Some(_)) => Vec::new(),
        (Some(master), None) => vec![master],
        (None, None) => {
            let there: HashSet<String> = view.exceptions.iter().filter_map(|one| one.exception()).collect();
            let all = former.exceptions.iter();
            all.filter(|one| one.exception().is_some_and(|id| !there.contains(&id))).copied().collect()
        }
    }
}

fn next_version(before: Option<&Meeting<'_>>, after: Option<&Meeting<'_>>) -> u32 {
    let highest = |meeting: Option<&Meeting<'_>>| {
        meeting.and_then(|meeting| meeting.whole.events().map(Component::sequence).max()).unwrap_or_default()
    };
    let former = highest(before).saturating_add(1);
    if after.is_some() { former.max(highest(after)) } else { former }
}

pub(super) fn is_cancelled(event: &Component<'_>) -> bool {
    event.value("STATUS").is_some_and(|status| status.eq_ignore_ascii_case("CANCELLED"))
}

/// Why a guest may not store an event (RFC 6638 §3.2.4.4).
pub(super) fn check_attended(before: &Meeting<'_>, after: &Meeting<'_>) -> Result<(), &'static str> {
    if before.organiser.address != after.organiser.address {
        return Err("A guest cannot change who organises the event.");
    }
    let start = |meeting: &Meeting<'_>| meeting.master().and_then(|master| master.time("DTSTART"));
    match (start(before), start(after)) {
        (Some(before), Some(after)) if before != after => Err("Only the organiser can move the event."),
        _ => Ok(()),
    }
}

/// What a guest answers to the organiser by a change; removing the event declines it.
pub(super) fn to_organiser(
    before: Option<&Meeting<'_>>,
    after: Option<&Meeting<'_>>,
    (me, is_forced): (&str, bool),
    now: Timestamp,
) -> Option<Message> {
    let meeting = after.or(before)?;
    if meeting.organiser.agent == Agent::Other {
        return None;
    }
    let answers = match (before, after) {
        (Some(before), None) => declined(before, me),
        (before, Some(after)) => changed(before, after, me, is_forced),
        (None, None) => Vec::new(),
    };
    (!answers.is_empty()).then(|| Message {
        purpose: Purpose::Reply,
        to: meeting.organiser.address.clone(),
        mailbox: meeting.organiser.mailbox.clone(),
        name: meeting.organiser.name.clone(),
        text: message::reply(&meeting.whole, &answers, (me, &said_before(before, is_forced)), now),
        is_weighty: true,
    })
}

/// The comments that an event had before: the organiser's own, and what the guest has said already. They are said again if it is not
/// known whether the organiser has got them.
fn said_before<'b>(before: Option<&'b Meeting<'_>>, is_forced: bool) -> HashSet<&'b str> {
    let events = before.filter(|_| !is_forced).into_iter().flat_map(|before| before.whole.events());
    events.flat_map(Component::own).filter(|line| line.property() == "COMMENT").map(Line::value).collect()
}

/// The answers of a guest who has removed an event: to all that is not declined or cancelled already.
fn declined<'b, 'a>(before: &'b Meeting<'a>, me: &str) -> Vec<Answered<'b, 'a>> {
    let Some(view) = before.view(me) else { return Vec::new() };
    let is_open =
        |event: &Component<'_>| !is_cancelled(event) && answer(event, me).is_some_and(|answer| answer != "DECLINED");
    let all = whole_or_parts(&view);
    let is_any_open = view.events().any(is_open);
    let open = all.into_iter().filter(|event| is_open(event) || event.exception().is_none() && is_any_open);
    open.map(|event| Answered { event, of: None, answer: "DECLINED".to_owned() }).collect()
}

/// The answers that a guest has changed, and times of a series that the guest has left out, which declines them.
fn changed<'b, 'a>(
    before: Option<&Meeting<'_>>,
    after: &'b Meeting<'a>,
    me: &str,
    is_forced: bool,
) -> Vec<Answered<'b, 'a>> {
    let mut answers = Vec::new();
    for event in after.whole.events().filter(|event| invites(event, me)) {
        let former = before.and_then(|before| before.same(event).or_else(|| before.master()));
        let former = former.and_then(|former| answer(former, me)).unwrap_or_else(|| "NEEDS-ACTION".to_owned());
        let Some(now) = answer(event, me) else { continue };
        if (now != former || is_forced) && ["ACCEPTED", "TENTATIVE", "DECLINED"].contains(&now.as_str()) {
            answers.push(Answered { event, of: None, answer: now });
        }
    }
    let (Some(master), Some(former)) = (after.master(), before.and_then(Meeting::master)) else { return answers };
    if !invites(master, me) {
        return answers;
    }
    let known: HashSet<String> = former.times("EXDATE").into_iter().collect();
    for line in master.own().filter(|line| line.property() == "EXDATE") {
        let property = Property::of(&line.whole);
        for time in property.value().split(',') {
            let one = property.clone().valued(time.trim());
            if !known.contains(&one.comparable()) {
                answers.push(Answered { event: master, of: Some(one), answer: "DECLINED".to_owned() });
            }
        }
    }
    answers
}
