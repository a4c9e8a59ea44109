//! Carries scheduling out: asks whose addresses are whose, and delivers messages to calendars here and by mail.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::meeting::Meeting;
use super::rules::{FAILED, Message, PENDING, check_attended, is_cancelled, to_guests, to_organiser};
use super::settled::{Answers, attended, is_same, organised, with_statuses};
use crate::foundations::address::{Address, Domain};
use crate::foundations::clock::{SharedClock, Timestamp};
use crate::foundations::ids::SessionId;
use crate::foundations::mail::{Peer, With};
use crate::foundations::processor::{Parties, Place, in_turn};
use crate::foundations::settings::Live;
use crate::services::dav::{CalendarObject, Calendars};
use crate::services::handover::Submitting;
use crate::services::routing::{self, ComesBack, Routing};
use crate::services::submission::Submission;
use crate::storage::dav::{Collections, Limits};
use crate::storage::directory::Account;
use crate::storage::journal::Journal;
use crate::storage::personal::Personal;

/// Most octets of an event times its guests: all messages of a change are written before the first is sent.
const MOST_TOLD: usize = 32 << 20;
/// Most aliases of an account that count as its addresses.
const MOST_ADDRESSES: u32 = 100;
/// Most addresses with tags in an event that are looked up.
const MOST_TAGGED: usize = 10;

/// What scheduling needs from other rooms.
pub struct SchedulerParts {
    /// Calendars, and the inboxes of messages.
    pub collections: Collections,
    /// The languages of accounts.
    pub personal: Personal,
    /// Where addresses lead.
    pub routing: Routing,
    /// How much an account may send.
    pub submission: Arc<Submission>,
    /// Takes mail.
    pub submitting: Arc<dyn Submitting>,
    /// Our name, for Message-IDs.
    pub hostname: Live<Domain>,
    /// Takes events.
    pub journal: Journal,
    /// The time.
    pub clock: SharedClock,
}

/// The room's part that reaches others. Cloning gives another handle.
#[derive(Clone)]
pub struct Scheduler {
    pub(super) parts: Arc<SchedulerParts>,
    pub(super) calendars: Calendars,
    /// Accounts, each of whose events are changed by one client at a time.
    changed: Arc<Parties>,
    /// Accounts, each of whose events takes one message at a time. Who has this place waits for no other.
    entered: Arc<Parties>,
}

/// Whose program has changed something.
#[derive(Debug, Clone)]
pub struct Actor {
    /// The account.
    pub account: Arc<Account>,
    /// The login.
    pub session: SessionId,
    /// The client.
    pub peer: Peer,
    /// How it has connected.
    pub with: With,
}

/// Limits of objects and calendars, and of scheduling.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// What accounts may keep.
    pub limits: Limits,
    /// Recurrences that are looked at.
    pub recurrences: usize,
    /// Octets of an object.
    pub object: usize,
    /// Guests of an event.
    pub attendees: usize,
    /// Messages in an inbox.
    pub inbox: usize,
}

/// How a client wants a change to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Whether it knows the event by its schedule tag only: answers that have come since stay (RFC 6638 §3.2.10).
    pub by_tag: bool,
    /// Whether the removal of an invitation declines it (RFC 6638 §8.1).
    pub answers: bool,
}

/// Why a change is refused.
#[derive(Debug, thiserror::Error)]
pub enum Unscheduled {
    /// It breaks a rule of RFC 6638 §3.2.4, by its name.
    #[error("{1}")]
    Rule(&'static str, String),
    /// The directory failed.
    #[error(transparent)]
    Routing(#[from] routing::Error),
    /// The work ended early.
    #[error("the rules of scheduling could not be applied: {0}")]
    Work(#[from] tokio::task::JoinError),
}

/// Whom an event's messages are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Organiser,
    Guest,
}

/// A change with what it sends.
#[derive(Debug)]
pub struct Prepared {
    /// What is stored, where that is not what the client has sent.
    pub content: Option<String>,
    messages: Vec<Message>,
    role: Option<Role>,
}

impl Prepared {
    pub(super) fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Whether anything is to be sent.
    pub fn is_silent(&self) -> bool {
        self.messages.is_empty()
    }

    /// The stored content once it is known what has become of the messages.
    pub fn settled(&self, content: &str, statuses: &[(String, &'static str)]) -> String {
        with_statuses(content, self.property(), statuses)
    }

    const fn property(&self) -> &'static str {
        match self.role {
            Some(Role::Guest) => "ORGANIZER",
            _ => "ATTENDEE",
        }
    }

    const fn nothing() -> Self {
        Self { content: None, messages: Vec::new(), role: None }
    }
}

/// Addresses that are the actor's.
pub(super) struct Own {
    keys: HashSet<String>,
    routing: Routing,
}

impl Own {
    /// Those by which an account is invited, but for its tags.
    pub(super) async fn of(routing: &Routing, account: &Address) -> Result<Self, routing::Error> {
        let addresses = routing.addresses_of(account, MOST_ADDRESSES).await?;
        let keys = addresses.iter().flat_map(|address| [address.key(), address.to_string().to_lowercase()]).collect();
        Ok(Self { keys, routing: routing.clone() })
    }

    /// Adds those of these addresses that are the account's, with tags.
    pub(super) async fn add_tagged(
        &mut self,
        account: &Address,
        named: impl IntoIterator<Item = String>,
    ) -> Result<(), routing::Error> {
        for address in named.into_iter().take(MOST_TAGGED) {
            let Ok(parsed) = address.parse::<Address>() else { continue };
            if self.routing.comes_back(account, &parsed).await? == ComesBack::Only {
                self.keys.insert(address);
            }
        }
        Ok(())
    }

    pub(super) fn has(&self, address: &str) -> bool {
        self.keys.contains(address)
    }

    /// Whether it is one, or reads as one with a tag: that may be somebody else's whole name.
    pub(super) fn may_have(&self, address: &str) -> bool {
        let untagged = || address.parse::<Address>().map(|address| self.routing.untagged(&address).key());
        self.has(address) || untagged().is_ok_and(|key| self.keys.contains(&key))
    }

    /// The people of an event whose addresses read as the actor's with tags.
    pub(super) fn tagged_in(&self, content: &str) -> Vec<String> {
        let meeting = Meeting::of(content);
        let people = meeting.iter().flat_map(|meeting| std::iter::once(&meeting.organiser).chain(&meeting.guests));
        let tagged = people.filter(|one| !self.has(&one.address) && self.may_have(&one.address));
        tagged.map(|one| one.address.clone()).collect()
    }
}

/// One change as the rules see it.
struct Case<'a> {
    own: &'a Own,
    before: Option<&'a str>,
    after: Option<&'a str>,
    wish: Wish,
    bounds: Bounds,
    now: Timestamp,
}

impl Scheduler {
    /// Scheduling with these parts.
    pub fn new(parts: SchedulerParts) -> Self {
        let calendars = Calendars::new(parts.collections.clone());
        Self { calendars, parts: Arc::new(parts), changed: Arc::default(), entered: Arc::default() }
    }

    /// The place of a client that changes an account's events, to be held until it is noted what has become of the messages:
    /// another change meanwhile would find them pending and send them again, or its own would arrive before them. All messages of a
    /// change are in memory at once, so an account makes one change at a time.
    pub async fn change(&self, account: &Address) -> Place {
        self.changed.place(&account.key()).await
    }

    /// The place of who enters something that is no change of an account's own into its events. With many guests who answer at
    /// once, each would find the event changed by another again and again.
    pub async fn enter_into(&self, account: &Address) -> Place {
        self.entered.place(&account.key()).await
    }

    /// The addresses by which an account is invited, its own first.
    ///
    /// # Errors
    /// The directory fails.
    pub async fn addresses(&self, account: &Address) -> Result<Vec<Address>, routing::Error> {
        self.parts.routing.addresses_of(account, MOST_ADDRESSES).await
    }

    pub(super) async fn own(&self, account: &Address) -> Result<Own, routing::Error> {
        Own::of(&self.parts.routing, account).await
    }

    /// What a change of an account's event is stored as, and sends. Without `after` the event is removed.
    ///
    /// # Errors
    /// It breaks a rule, or the directory fails.
    pub async fn prepare(
        &self,
        account: &Address,
        before: Option<String>,
        after: Option<String>,
        wish: Wish,
        bounds: Bounds,
    ) -> Result<Prepared, Unscheduled> {
        if ![&before, &after].into_iter().flatten().any(|content| may_be_meeting(content)) {
            return Ok(Prepared::nothing());
        }
        let (own, now) = (self.own(account).await?, self.parts.clock.now());
        let read = in_turn(move || {
            let contents = [&before, &after].into_iter().flatten();
            let tagged: BTreeSet<String> = contents.flat_map(|content| own.tagged_in(content)).collect();
            (own, tagged, before, after)
        });
        let (mut own, tagged, before, after) = read.await?;
        own.add_tagged(account, tagged).await?;
        let work = in_turn(move || {
            Case { own: &own, before: before.as_deref(), after: after.as_deref(), wish, bounds, now }.prepare()
        });
        work.await?
    }
}

/// Looks for two words, so that most events cost nothing.
fn may_be_meeting(content: &str) -> bool {
    let lines = || content.lines();
    let has =
        |name: &str| lines().any(|line| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)));
    has("ORGANIZER") && has("ATTENDEE")
}

impl Case<'_> {
    fn prepare(&self) -> Result<Prepared, Unscheduled> {
        let before = self.before.and_then(Meeting::of);
        let given = self.after.and_then(Meeting::of);
        let (old_role, new_role) = (self.role(before.as_ref()), self.role(given.as_ref()));
        self.check(before.as_ref().zip(old_role), given.as_ref().zip(new_role))?;
        let Some(role) = new_role.or(old_role) else { return Ok(Prepared::nothing()) };
        // What has another role now is another event to its guests.
        let before = before.filter(|_| old_role == Some(role));
        let is_own = |address: &str| self.own.has(address);
        let settled = given.as_ref().filter(|_| new_role == Some(role)).map(|given| match role {
            Role::Organiser => {
                let answers = if self.wish.by_tag { Answers::Stored } else { Answers::Given };
                organised(given, before.as_ref(), answers, &is_own)
            }
            Role::Guest => attended(given, before.as_ref()),
        });
        let after = settled.as_deref().and_then(Meeting::of);
        let messages = match (role, self.is_over()) {
            (_, true) => Vec::new(),
            (Role::Organiser, false) => {
                let forced = given.iter().flat_map(|given| &given.guests);
                let forced = forced.filter(|guest| guest.forced.as_deref() == Some("REQUEST"));
                let forced = forced.map(|guest| guest.address.clone()).collect();
                to_guests(before.as_ref(), after.as_ref(), &forced, &is_own, self.now)
            }
            (Role::Guest, false) => self.reply(before.as_ref(), after.as_ref(), given.as_ref()).into_iter().collect(),
        };
        let mut prepared = Prepared { content: None, messages, role: Some(role) };
        prepared.content = settled.map(|settled| {
            let due = prepared.messages.iter().filter(|message| message.is_weighty);
            let pending: Vec<(String, &'static str)> = due.map(|message| (message.to.clone(), PENDING)).collect();
            if pending.is_empty() { settled } else { prepared.settled(&settled, &pending) }
        });
        prepared.content.take_if(|content| self.after.is_some_and(|after| is_same(content, after)));
        Ok(prepared)
    }

    fn role(&self, meeting: Option<&Meeting<'_>>) -> Option<Role> {
        let meeting = meeting?;
        if self.own.has(&meeting.organiser.address) {
            return Some(Role::Organiser);
        }
        meeting.guests.iter().any(|guest| self.own.has(&guest.address)).then_some(Role::Guest)
    }

    /// RFC 6638 §3.2.4.
    fn check(
        &self,
        before: Option<(&Meeting<'_>, Role)>,
        after: Option<(&Meeting<'_>, Role)>,
    ) -> Result<(), Unscheduled> {
        let refused = |rule, why: &str| Err(Unscheduled::Rule(rule, why.to_owned()));
        let Some((after, role)) = after else { return Ok(()) };
        if !after.is_of_one {
            return refused("same-organizer-in-all-components", "All parts of an event must have the same organiser.");
        }
        if role == Role::Organiser && after.most > self.bounds.attendees {
            let why = format!("An event may have at most {} guests.", self.bounds.attendees);
            return refused("max-attendees-per-instance", &why);
        }
        let octets = self.after.map_or(0, str::len);
        if role == Role::Organiser && octets.saturating_mul(after.guests.len()) > MOST_TOLD {
            let why = "An event of this size cannot have so many guests: each of them gets all of it.";
            return refused("max-attendees-per-instance", why);
        }
        match before {
            Some((before, Role::Organiser)) if before.organiser.address != after.organiser.address => {
                let why = "The organiser of an event to which guests are invited cannot be changed.";
                refused("allowed-organizer-scheduling-object-change", why)
            }
            Some((before, Role::Guest)) => match check_attended(before, after) {
                Ok(()) => Ok(()),
                Err(why) => refused("allowed-attendee-scheduling-object-change", why),
            },
            _ => Ok(()),
        }
    }

    fn reply(
        &self,
        before: Option<&Meeting<'_>>,
        after: Option<&Meeting<'_>>,
        given: Option<&Meeting<'_>>,
    ) -> Option<Message> {
        let meeting = after.or(before)?;
        let is_cancelled = before.is_some_and(|before| before.master().is_some_and(is_cancelled));
        if after.is_none() && (!self.wish.answers || self.after.is_some() || is_cancelled) {
            return None;
        }
        let me = meeting.guests.iter().find(|guest| self.own.has(&guest.address))?;
        let is_forced = given.is_some_and(|given| given.organiser.forced.as_deref() == Some("REPLY"));
        let is_open = before
            .and_then(|before| before.organiser.status.as_deref())
            .is_some_and(|status| [PENDING, FAILED].iter().any(|open| status.starts_with(open)));
        to_organiser(before, after, (&me.address, is_forced || is_open), self.now)
    }

    /// Nobody is told of what is over: a calendar that is copied to this server must not write to everybody in it.
    fn is_over(&self) -> bool {
        let is_over = |content: &str| {
            let read = CalendarObject::read(content.as_bytes()).ok();
            let ends = read.and_then(|object| object.draft("", b"", self.bounds.recurrences).ends_at);
            ends.is_some_and(|ends| ends < self.now.unix_seconds())
        };
        [self.before, self.after].into_iter().flatten().all(is_over)
    }
}
