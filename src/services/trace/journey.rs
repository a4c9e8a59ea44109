//! Putting events together.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde::Serialize;

use super::words::{ending, say};
use super::{Asked, expunged};
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::ids::MailId;
use crate::storage::journal::{Error, Journal, Order, Query, Search, Searched};

/// The room.
#[derive(Debug, Clone)]
pub struct Trace {
    journal: Journal,
    patience: Duration,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Traced {
    /// The journeys of messages, the newest first.
    pub journeys: Vec<Journey>,
    /// What happened to whoever was asked about without a message: refused recipients, connections, logins. The newest
    /// first.
    pub besides: Vec<Step>,
    /// Whether there may be more than is shown.
    pub cut: bool,
    /// Recipients refused to this sender, and messages that this account sent in another name, were looked for among
    /// younger events only; `None` when among all. Such events are about another address, so they are found by their
    /// words alone.
    pub mentions_back_to: Option<Timestamp>,
}

/// One message's way through this server.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Journey {
    /// Its name here.
    pub mail: MailId,
    /// What has become of it, in one sentence.
    pub ending: String,
    /// What happened, in order.
    pub steps: Vec<Step>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// In plain words.
    pub words: String,
    /// The event itself.
    #[serde(flatten)]
    pub event: Event,
}

/// A stretch of time; what is left empty does not restrict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Period {
    /// Not before this time.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
}

/// What a search among events looks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wording {
    /// Words that must all stand in the subject, an id or the details.
    pub words: Vec<String>,
    /// Kinds of events; none means all.
    pub kinds: Vec<EventKind>,
    /// When.
    pub period: Period,
    /// Most events.
    pub limit: u32,
    /// Where a search before this one has ended: see [`Found::next`].
    pub from: Option<i64>,
    /// How long it may take; without it, until everything was looked at.
    pub within: Option<Duration>,
}

/// Events found by their words, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// The events.
    pub events: Vec<Step>,
    /// Whether there may be more.
    pub more: bool,
    /// Where to go on, when there may be.
    pub next: Option<i64>,
    /// Everything younger has been looked at; `None` when nothing older is left.
    pub back_to: Option<Timestamp>,
}

/// Most messages in one answer.
const MOST_JOURNEYS: usize = 25;
/// Most events looked through to find them, and most of what has no message.
const MOST_FOUND: u32 = 1_000;
/// How long events that only mention an address are looked for.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most accounts whose removals are looked for.
const MOST_ACCOUNTS: usize = 25;
/// Most events of the journeys shown.
const MOST_STEPS: u32 = 10_000;

impl Trace {
    /// Reads this journal.
    pub const fn new(journal: Journal) -> Self {
        Self { journal, patience: PATIENCE }
    }

    /// The same, with another time for events that only mention an address: more for somebody who would rather wait
    /// than miss one, less for others.
    #[must_use]
    pub fn within(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Events by their words, in the whole text of what was recorded. Fails when the database does.
    pub async fn search(&self, wording: &Wording) -> Result<Found, Error> {
        let query = Query {
            words: wording.words.clone(),
            kinds: wording.kinds.clone(),
            since: wording.period.since,
            until: wording.period.until,
            limit: wording.limit.max(1),
            ..Query::default()
        };
        let within = wording.within.unwrap_or(Duration::MAX);
        let Searched { events, next, back_to } = self.journal.search(&query, wording.from, within).await?;
        Ok(Found { events: events.into_iter().map(Step::from).collect(), more: next.is_some(), next, back_to })
    }

    /// Everything known about what was asked, where something of it happened in the period. Nothing found is an empty
    /// answer; fails when the database does.
    pub async fn find(&self, asked: &Asked, period: Period) -> Result<Traced, Error> {
        let mut found = Vec::new();
        for search in searches(asked) {
            let query = Query {
                search: Some(search),
                since: period.since,
                until: period.until,
                order: Order::NewestFirst,
                limit: MOST_FOUND,
                ..Query::default()
            };
            found.extend(self.journal.query(&query).await?);
        }
        let mut mentions_back_to = None;
        if let Asked::Address(address) = asked {
            let (mut mentions, back_to) = self.mentions(address, period).await?;
            mentions.retain(|event| !found.contains(event));
            found.extend(mentions);
            mentions_back_to = back_to;
        }
        found.sort_by_key(|event| std::cmp::Reverse(event.at));
        let mut cut = found.len() >= MOST_FOUND as usize;
        let mut seen = HashSet::new();
        let mut mails: Vec<MailId> =
            found.iter().filter_map(|event| event.mail).filter(|id| seen.insert(*id)).collect();
        cut |= mails.len() > MOST_JOURNEYS;
        mails.truncate(MOST_JOURNEYS);
        let besides = found.into_iter().filter(|event| event.mail.is_none()).map(Step::from).collect();
        Ok(Traced { journeys: self.journeys(mails).await?, besides, cut, mentions_back_to })
    }

    /// Recipients that a sender was refused and what an account has sent, the newest first, and back to when they were
    /// looked for, where older events are left.
    async fn mentions(&self, address: &Address, period: Period) -> Result<(Vec<Event>, Option<Timestamp>), Error> {
        let query = Query {
            words: vec![address.to_string()],
            kinds: vec![EventKind::RecipientRefused, EventKind::MessageReceived, EventKind::MessageRefused],
            since: period.since,
            until: period.until,
            limit: MOST_FOUND,
            ..Query::default()
        };
        let Searched { mut events, back_to, .. } = self.journal.search(&query, None, self.patience).await?;
        let who = |event: &Event| {
            let name = if event.kind == EventKind::RecipientRefused { "from" } else { "login" };
            event.details.get(name)?.as_str()?.parse::<Address>().ok()
        };
        events.retain(|event| who(event).is_some_and(|who| who.key() == address.key()));
        Ok((events, back_to))
    }

    /// What clients have removed since these deliveries, of the accounts that they went to.
    async fn removed(&self, events: impl Iterator<Item = &Event>) -> Result<Vec<Event>, Error> {
        let mut since: BTreeMap<&str, Timestamp> = BTreeMap::new();
        for event in events.filter(|event| event.kind == EventKind::Delivered) {
            let account = event.subject.as_deref().unwrap_or_default();
            let first = since.entry(account).or_insert(event.at);
            *first = event.at.min(*first);
        }
        let mut removed = Vec::new();
        for (account, since) in since.into_iter().take(MOST_ACCOUNTS) {
            let Ok(address) = account.parse::<Address>() else { continue };
            let query = Query {
                search: Some(Search::Address(address)),
                kinds: vec![EventKind::Expunged],
                since: Some(since),
                limit: MOST_FOUND,
                ..Query::default()
            };
            removed.extend(self.journal.query(&query).await?);
        }
        Ok(removed)
    }

    async fn journeys(&self, mails: Vec<MailId>) -> Result<Vec<Journey>, Error> {
        let query = Query { search: Some(Search::Mails(mails.clone())), limit: MOST_STEPS, ..Query::default() };
        let mut by_mail: BTreeMap<MailId, Vec<Event>> = BTreeMap::new();
        for event in self.journal.query(&query).await? {
            if let Some(mail) = event.mail {
                by_mail.entry(mail).or_default().push(event);
            }
        }
        let removed = self.removed(by_mail.values().flatten()).await?;
        let journey = |mail| {
            let mut events = by_mail.remove(&mail).unwrap_or_default();
            expunged::add_to(&mut events, &removed);
            let ending = ending(&events);
            Journey { mail, ending, steps: events.into_iter().map(Step::from).collect() }
        };
        Ok(mails.into_iter().map(journey).collect())
    }
}

fn searches(asked: &Asked) -> Vec<Search> {
    match asked {
        Asked::MessageId(id) => vec![Search::MessageId(id.clone())],
        Asked::Address(address) => {
            vec![Search::Address(address.clone()), Search::MessageId(address.to_string())]
        }
        Asked::Id(id) => {
            let ids = (id.parse(), id.parse(), id.parse());
            let mut searches = Vec::new();
            searches.extend(ids.0.ok().map(Search::Queue));
            searches.extend(ids.1.ok().map(|mail| Search::Mails(vec![mail])));
            searches.extend(ids.2.ok().map(Search::Session));
            searches
        }
    }
}

impl From<Event> for Step {
    fn from(event: Event) -> Self {
        Self { words: say(&event), event }
    }
}

impl std::fmt::Display for Traced {
    /// For people: one paragraph for each message.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.journeys.is_empty() && self.besides.is_empty() {
            return writeln!(
                f,
                "Nothing is known about it; events are kept only for a limited time (journal.keep_for)."
            );
        }
        for journey in &self.journeys {
            writeln!(f, "Message {}: {}", journey.mail, journey.ending)?;
            for step in &journey.steps {
                writeln!(f, "  {}  {}", time(step.event.at), step.words)?;
            }
            writeln!(f)?;
        }
        if !self.besides.is_empty() {
            writeln!(f, "Without a message:")?;
            for step in &self.besides {
                writeln!(f, "  {}  {}", time(step.event.at), step.words)?;
            }
        }
        if self.cut {
            writeln!(f, "There may be more; only the newest is shown.")?;
        }
        Ok(())
    }
}

fn time(at: Timestamp) -> impl std::fmt::Display {
    at.local().format("%Y-%m-%d %H:%M:%S%.3f")
}
