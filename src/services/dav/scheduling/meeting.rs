//! Events with an organiser and guests: who they are, and what concerns whom.

use std::collections::{BTreeSet, HashMap};

use super::super::components::{Component, Places, Whole};
use super::property::Property;

/// Who sends the messages about an event to a guest or to the organiser (RFC 6638 §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Agent {
    Server,
    /// The client does, or nobody.
    Other,
}

impl Agent {
    fn of(property: &Property) -> Self {
        match property.parameter("SCHEDULE-AGENT") {
            None => Self::Server,
            Some(agent) if agent.eq_ignore_ascii_case("SERVER") => Self::Server,
            // What is not known is to be taken for NONE.
            Some(_) => Self::Other,
        }
    }
}

/// The organiser or a guest of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    /// For comparison.
    pub(super) address: String,
    /// As it is written, for mail.
    pub(super) mailbox: String,
    /// The common name; may be empty.
    pub(super) name: String,
    pub(super) agent: Agent,
    /// What a client wants sent even if nothing has changed (RFC 6638 §7.2).
    pub(super) forced: Option<String>,
    /// What became of the last message (RFC 6638 §7.3).
    pub(super) status: Option<String>,
}

impl Person {
    fn of(property: &Property) -> Self {
        let parameter = |name: &str| property.parameter(name).map(str::to_owned);
        Self {
            address: property.address(),
            mailbox: property.mailbox().to_owned(),
            name: parameter("CN").unwrap_or_default(),
            agent: Agent::of(property),
            forced: parameter("SCHEDULE-FORCE-SEND").map(|forced| forced.to_ascii_uppercase()),
            status: parameter("SCHEDULE-STATUS"),
        }
    }
}

/// An event with an organiser and at least one guest: a scheduling object (RFC 6638 §3.1).
pub(super) struct Meeting<'a> {
    pub(super) whole: Whole<'a>,
    places: Places,
    pub(super) organiser: Person,
    /// Each once, at the first component that invites them.
    pub(super) guests: Vec<Person>,
    /// Whether all components have the same organiser.
    pub(super) is_of_one: bool,
    /// Most guests of a single component.
    pub(super) most: usize,
}

/// The components that concern a guest.
pub(super) struct View<'b, 'a> {
    pub(super) master: Option<&'b Component<'a>>,
    pub(super) exceptions: Vec<&'b Component<'a>>,
    /// Exceptions of the series to which the guest is not invited.
    pub(super) left_out: Vec<&'b Component<'a>>,
}

impl<'a> Meeting<'a> {
    /// `None` for what is no event, or has no organiser or guests.
    pub(super) fn of(content: &'a str) -> Option<Self> {
        let whole = Whole::of(content);
        let organisers: Vec<Person> = whole.events().filter_map(|event| people(event, "ORGANIZER").next()).collect();
        let organiser = organisers.first()?.clone();
        let has_other = organisers.iter().any(|other| other.address != organiser.address);
        let is_of_one = !has_other && organisers.len() == whole.events().count();
        let (mut guests, mut most): (Vec<Person>, usize) = (Vec::new(), 0);
        // Where each is among them: somebody may be named tens of thousands of times.
        let mut known: HashMap<String, usize> = HashMap::new();
        for event in whole.events() {
            let mut count = 0;
            for guest in people(event, "ATTENDEE") {
                count += 1;
                match known.get(&guest.address).and_then(|at| guests.get_mut(*at)) {
                    Some(first) => first.forced = first.forced.take().or(guest.forced),
                    None => {
                        known.insert(guest.address.clone(), guests.len());
                        guests.push(guest);
                    }
                }
            }
            most = most.max(count);
        }
        let places = whole.places();
        (!guests.is_empty()).then_some(Self { whole, places, organiser, guests, is_of_one, most })
    }

    pub(super) fn guest(&self, address: &str) -> Option<&Person> {
        self.guests.iter().find(|guest| guest.address == address)
    }

    pub(super) fn master(&self) -> Option<&Component<'a>> {
        self.whole.master(&self.places)
    }

    /// The component about the same time as another: the series itself, or the exception.
    pub(super) fn same(&self, event: &Component<'_>) -> Option<&Component<'a>> {
        self.whole.same(&self.places, event)
    }

    /// What concerns a guest (RFC 6638 §3.2.1.1); `None` for nobody's.
    pub(super) fn view(&self, address: &str) -> Option<View<'_, 'a>> {
        let invites = |event: &&Component<'a>| invites(event, address);
        let master = self.master().filter(invites);
        let (exceptions, others): (Vec<_>, Vec<_>) =
            self.whole.events().filter(|event| event.is_exception()).partition(invites);
        let left_out = if master.is_some() { others } else { Vec::new() };
        (master.is_some() || !exceptions.is_empty()).then_some(View { master, exceptions, left_out })
    }
}

impl<'b, 'a> View<'b, 'a> {
    pub(super) fn events(&self) -> impl Iterator<Item = &'b Component<'a>> + '_ {
        self.master.into_iter().chain(self.exceptions.iter().copied())
    }

    /// Whether two views say the same to a guest, as far as that is worth a message.
    pub(super) fn differs(&self, former: &View<'_, '_>) -> Difference {
        let (now, before) = (self.essence(), former.essence());
        if now.0 != before.0 {
            return Difference::Event;
        }
        if now.1 != before.1 { Difference::Guests } else { Difference::Nothing }
    }

    /// What a guest would want to know, and the other guests.
    fn essence(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let (mut event, mut guests) = (BTreeSet::new(), BTreeSet::new());
        for component in self.events() {
            let of = component.exception().unwrap_or_default();
            event.insert(of.clone());
            for name in TIMES.iter().chain(&["RDATE", "EXDATE"]) {
                event.extend(component.times(name).into_iter().map(|time| format!("{of} {name} {time}")));
            }
            for line in component.own() {
                let property = line.property();
                match property.as_str() {
                    "ATTENDEE" => {
                        guests.insert(format!("{of} {}", Property::of(&line.whole).address()));
                    }
                    name if SAID.contains(&name) && !line.value().trim().is_empty() => {
                        event.insert(format!("{of} {name} {}", line.value().trim()));
                    }
                    _ => {}
                }
            }
        }
        event.extend(self.left_out.iter().filter_map(|one| one.exception()).map(|id| format!(" EXDATE {id}")));
        (event, guests)
    }
}

/// How much a guest's event differs from what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Difference {
    Nothing,
    /// Others are invited.
    Guests,
    /// What it is, or when.
    Event,
}

/// The properties that say when an event is; a change of them asks guests again (RFC 5546 §2.1.4).
const TIMES: [&str; 3] = ["DTSTART", "DTEND", "DURATION"];
/// What else is worth a message.
const SAID: [&str; 12] = [
    "RRULE",
    "EXRULE",
    "SUMMARY",
    "LOCATION",
    "DESCRIPTION",
    "STATUS",
    "URL",
    "CONFERENCE",
    "ATTACH",
    "GEO",
    "PRIORITY",
    "COMMENT",
];

/// Whether an event takes place at other times than before.
pub(super) fn is_moved(event: &Component<'_>, former: &Component<'_>) -> bool {
    let times = |event: &Component<'_>, name: &str| event.times(name).into_iter().collect::<BTreeSet<_>>();
    let rule = |event: &Component<'_>| event.value("RRULE").map(str::to_ascii_uppercase);
    TIMES.iter().chain(&["RDATE"]).any(|name| times(event, name) != times(former, name)) || rule(event) != rule(former)
}

pub(super) fn invites(event: &Component<'_>, address: &str) -> bool {
    people(event, "ATTENDEE").any(|guest| guest.address == address)
}

/// How somebody has answered, in capitals; `NEEDS-ACTION` without an answer, `None` if they are not invited.
pub(super) fn answer(event: &Component<'_>, address: &str) -> Option<String> {
    let lines = event.own().filter(|line| line.property() == "ATTENDEE");
    let mine = lines.map(|line| Property::of(&line.whole)).find(|property| property.address() == address)?;
    Some(mine.parameter("PARTSTAT").unwrap_or("NEEDS-ACTION").to_ascii_uppercase())
}

fn people<'b>(event: &'b Component<'_>, name: &'b str) -> impl Iterator<Item = Person> + 'b {
    event.own().filter(move |line| line.property() == name).map(|line| Person::of(&Property::of(&line.whole)))
}
