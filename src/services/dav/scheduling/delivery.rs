//! Delivers messages: into calendars and inboxes of this server, and by mail.

use std::sync::Arc;
use std::time::Duration;

use super::super::components::Whole;
use super::apply::{Refused, cancelled, replied, requested};
use super::language::Language;
use super::letter::{Entering, Letter};
use super::meeting::{Meeting, answer};
use super::message::Purpose;
use super::rules::{FAILED, Message};
use super::scheduler::{Actor, Bounds, Prepared, Scheduler};
use crate::foundations::address::{Address, ReversePath};
use crate::foundations::clock::Timestamp;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::ids::MailId;
use crate::foundations::mail::{self, BodyKind, Envelope, Mail, Origin, Recipient, compose};
use crate::foundations::processor::in_turn;
use crate::foundations::random::distinction;
use crate::services::dav::{CalendarObject, Calendars, Invitation, SCHEDULE_INBOX, etag, with_schedule_tag_of};
use crate::services::routing::Resolution;
use crate::storage::dav::{Collection, CollectionKind, Collections, Condition, Draft, Error, Object};

/// Statuses of messages (RFC 6638 §7.3, RFC 5546 §3.6).
const SENT: &str = "1.1";
pub(super) const DELIVERED: &str = "1.2";
const UNKNOWN: &str = "3.7";
const NOT_ALLOWED: &str = "3.8";

/// How often an event is read again that somebody else changes at the same time.
pub(super) const TRIES: u32 = 5;
/// A pause before that.
pub(super) const PAUSE: Duration = Duration::from_millis(20);

/// The messages in an inbox take at most one of so many parts of what an account may keep: others write them.
const INBOX_PARTS: u64 = 8;

/// What has become of the messages of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// The status of each, by address.
    pub statuses: Vec<(String, &'static str)>,
    /// Whether some have failed because this server could not do its part, and may arrive later.
    pub is_to_be_repeated: bool,
}

/// What has become of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Is(&'static str),
    /// This server could not do its part.
    Later,
}

impl Fate {
    const fn status(self) -> &'static str {
        match self {
            Self::Is(status) => status,
            Self::Later => FAILED,
        }
    }
}

/// Why a message is not entered into a calendar.
enum Failure {
    Storage(Error),
    Refused(Refused),
    /// The organiser of an answered event does not have it in a calendar here.
    Absent,
    Work,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Storage(error)
    }
}

impl Scheduler {
    /// Delivers the messages of a change; returns what has become of each.
    pub async fn deliver(&self, actor: &Actor, prepared: &Prepared, bounds: &Bounds) -> Delivered {
        let (mut statuses, mut is_to_be_repeated): (Vec<(String, &'static str)>, bool) = (Vec::new(), false);
        for message in prepared.messages() {
            let Some(fate) = self.deliver_one(actor, message, bounds).await else { continue };
            let status = fate.status();
            is_to_be_repeated |= fate == Fate::Later;
            let event = Event::new(self.parts.clock.now(), EventKind::CalendarMessage).session(actor.session);
            let event = event.subject(message.to.clone()).with("from", actor.account.address.to_string());
            self.parts.journal.record(event.with("method", message.purpose.word()).with("status", status));
            statuses.retain(|(known, _)| *known != message.to);
            statuses.push((message.to.clone(), status));
        }
        Delivered { statuses, is_to_be_repeated }
    }

    /// `None` for what is not worth a letter and can be told in no other way.
    async fn deliver_one(&self, actor: &Actor, message: &Message, bounds: &Bounds) -> Option<Fate> {
        let Ok(address) = message.mailbox.parse::<Address>() else { return Some(Fate::Is(UNKNOWN)) };
        match self.parts.routing.resolve(&address).await {
            Err(error) => {
                log::warn!(address:% = address, error:% = error; "A calendar message could not be delivered");
                Some(Fate::Later)
            }
            Ok(Resolution::Unknown) => Some(Fate::Is(UNKNOWN)),
            Ok(Resolution::Refused(_)) => Some(Fate::Is(FAILED)),
            Ok(Resolution::Local { accounts, forwards, .. }) if forwards.is_empty() && accounts.len() == 1 => {
                let account = accounts.first().map(|reached| reached.account.address.clone())?;
                // By a catch-all, for example. Whoever sends it has the event, and a cancellation would cancel it there.
                if account.key() == actor.account.address.key() {
                    return Some(Fate::Is(DELIVERED));
                }
                let inbox = self.parts.collections.find(&account, CollectionKind::ScheduleInbox, SCHEDULE_INBOX).await;
                match inbox {
                    Ok(Some(inbox)) => match self.enter_here(actor, (&account, &inbox), message, bounds).await {
                        Some(fate) => {
                            if fate == Fate::Is(DELIVERED) && is_commented(message) {
                                self.write(actor, &address, message, Entering::Done).await;
                            }
                            Some(fate)
                        }
                        None => self.write(actor, &address, message, Entering::Needed).await,
                    },
                    // Nobody would see it in a calendar that no program has ever asked for.
                    Ok(None) => self.write(actor, &address, message, Entering::Needed).await,
                    Err(error) => {
                        log::warn!(user:% = account, error:% = error; "A calendar message could not be delivered");
                        Some(Fate::Later)
                    }
                }
            }
            Ok(Resolution::Local { .. } | Resolution::Remote) => {
                self.write(actor, &address, message, Entering::Needed).await
            }
        }
    }

    /// `None` if it has to be told by mail.
    async fn enter_here(
        &self,
        actor: &Actor,
        (account, inbox): (&Address, &Collection),
        message: &Message,
        bounds: &Bounds,
    ) -> Option<Fate> {
        let login = mail::Login::user(actor.account.address.clone());
        if self.parts.submission.count((&actor.peer, actor.session), &login).is_err() {
            return Some(Fate::Is(FAILED));
        }
        let _place = self.enter_into(account).await;
        for _ in 0..TRIES {
            match self.enter(account, inbox, message, bounds).await {
                Ok(()) => {
                    let now = self.parts.clock.now();
                    keep(&self.parts.collections, (account, inbox), &message.text, bounds, now).await;
                    return Some(Fate::Is(DELIVERED));
                }
                Err(Failure::Storage(Error::Condition | Error::NoObject | Error::UidTaken(_))) => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(Failure::Refused(Refused::Foreign)) => return Some(Fate::Is(NOT_ALLOWED)),
                Err(Failure::Refused(Refused::Unfit) | Failure::Work) => return Some(Fate::Is(FAILED)),
                Err(Failure::Storage(error)) => {
                    log::info!(user:% = account, error:% = error; "A calendar message was not entered");
                    return if has_no_room(&error) { None } else { Some(Fate::Later) };
                }
                Err(Failure::Absent) => return None,
            }
        }
        Some(Fate::Later)
    }

    /// Enters a message into the event that it is about.
    async fn enter(
        &self,
        account: &Address,
        inbox: &Collection,
        message: &Message,
        bounds: &Bounds,
    ) -> Result<(), Failure> {
        let now = self.parts.clock.now();
        let calendars = self.calendars.all(account, &bounds.limits, now).await?;
        let text = message.text.clone();
        let read = in_turn(move || Invitation::read(&text).map(|invitation| invitation.uid().to_owned())).await;
        let uid = read.map_err(|_| Failure::Work)?.map_err(|_| Failure::Refused(Refused::Unfit))?;
        let kept = self.calendars.about(&calendars, &uid).await?;
        let (calendar, name, condition) = match &kept {
            Some((calendar, object)) => {
                (calendar.clone(), object.info.name.clone(), Condition::unchanged(&object.info.etag))
            }
            // Who has declined an event and removed it does not get it back with every change.
            None if message.purpose == Purpose::Request && is_declined(message) => return Ok(()),
            None if message.purpose == Purpose::Request => {
                let calendar = self.default_calendar(inbox, &calendars).await?.ok_or(Error::NoCollection)?;
                (calendar, format!("{}.ics", etag(uid.as_bytes())), Condition::absent())
            }
            // Whoever has removed the event already need not be told that it is cancelled.
            None if message.purpose == Purpose::Cancel => return Ok(()),
            None => return Err(Failure::Absent),
        };
        let (purpose, text, called) = (message.purpose, message.text.clone(), name.clone());
        let (object, bounds) = (kept.map(|(_, object)| object), *bounds);
        let drafted = in_turn(move || drafted((purpose, &text), object.as_ref(), &called, &bounds, now)).await;
        let draft = drafted.map_err(|_| Failure::Work)?.map_err(Failure::Refused)?;
        match draft {
            Some(draft) => {
                self.calendars.store(account, &calendar, &draft, &condition, &bounds.limits, now).await?;
            }
            None => self.calendars.remove(account, &calendar, &name, &condition, &bounds.limits).await?,
        }
        Ok(())
    }

    /// Where new events go (RFC 6638 §9.2).
    pub(super) async fn default_calendar(
        &self,
        inbox: &Collection,
        calendars: &[Collection],
    ) -> Result<Option<Collection>, Error> {
        let properties = self.parts.collections.properties(std::slice::from_ref(inbox)).await?;
        let chosen = properties.iter().map(|(_, property)| property);
        let chosen = chosen.filter(|property| property.name.local == super::DEFAULT_CALENDAR_PROPERTY);
        let mut names = chosen.filter_map(|property| last_part(&property.value));
        let chosen = names.next().and_then(|name| calendars.iter().find(|one| one.name == name));
        Ok(chosen.or_else(|| Calendars::for_events(calendars)).cloned())
    }

    /// The language in which an account writes.
    async fn language(&self, account: &Address) -> Language {
        let preferences = self.parts.personal.preferences(account).await.unwrap_or_else(|error| {
            log::info!(user:% = account, error:% = error; "The language of a letter about an event is not known");
            None
        });
        Language::preferred(preferences.as_deref().unwrap_or_default())
    }

    /// Sends a message by mail.
    async fn write(&self, actor: &Actor, to: &Address, message: &Message, entering: Entering) -> Option<Fate> {
        if !message.is_weighty {
            return None;
        }
        let (now, random) = (self.parts.clock.now(), distinction());
        let message_id = compose::message_id(now, random, &self.parts.hostname.get());
        let boundary = format!("{:x}{:016x}", now.unix_micros(), distinction());
        let language = self.language(&actor.account.address).await;
        let (account, guest, written) = (Arc::clone(&actor.account), to.clone(), message.clone());
        // An event may be large, and each of its guests gets a letter.
        let built = in_turn(move || {
            let from = sender(&written, &account.address)?;
            let letter = Letter {
                from: (account.display_name.as_deref().unwrap_or_default(), &from),
                to: (&written.name, &guest),
                purpose: written.purpose,
                language,
                calendar: &written.text,
                entering,
                at: now,
                message_id: &message_id,
                boundary: &boundary,
            };
            let octets = letter.build();
            Some((from, octets))
        });
        let (from, octets) = match built.await {
            Ok(built) => built?,
            Err(error) => {
                log::warn!(user:% = actor.account.address, error:% = error; "A calendar message was not written");
                return Some(Fate::Later);
            }
        };
        let login = mail::Login::user(actor.account.address.clone());
        let envelope = Envelope {
            body: BodyKind::of(&octets),
            smtputf8: from.needs_smtputf8() || to.needs_smtputf8(),
            ..Envelope::plain(ReversePath::Address(from), vec![Recipient::plain(to.clone())])
        };
        let origin = Origin {
            session: actor.session,
            peer: actor.peer,
            local: None,
            hello: String::new(),
            with: actor.with,
            tls: None,
            login: Some(login.clone()),
            at: now,
        };
        let mail = Mail { id: MailId::generate(now), origin, envelope, message: mail::Message::new(octets) };
        match self.parts.submitting.submit(mail, &login).await {
            Ok(()) => Some(Fate::Is(SENT)),
            Err(refusal) => {
                log::info!(user:% = actor.account.address, refusal:% = refusal; "A calendar message was not sent");
                Some(if is_ours(&refusal) { Fate::Later } else { Fate::Is(FAILED) })
            }
        }
    }
}

/// Keeps a message in the inbox, where programs find out what has happened. Without room there nothing is lost.
pub(super) async fn keep(
    collections: &Collections,
    (account, inbox): (&Address, &Collection),
    text: &str,
    bounds: &Bounds,
    now: Timestamp,
) {
    let name = format!("{:x}-{:016x}.ics", now.unix_micros(), distinction());
    let draft = Draft {
        uid: name.clone(),
        name,
        component: "VEVENT".to_owned(),
        content: text.as_bytes().to_vec(),
        etag: etag(text.as_bytes()),
        begins_at: None,
        ends_at: None,
        people: Vec::new(),
    };
    let (drafts, room) = (std::slice::from_ref(&draft), bounds.limits.octets / INBOX_PARTS);
    let kept = async {
        if text.len() as u64 > room {
            return Err(Error::Full(room));
        }
        let mut known = collections.objects(inbox).await?;
        known.sort_by_key(|info| (info.modified_at, info.name.clone()));
        let mut count = known.len() + 1;
        let mut octets = known.iter().map(|info| info.size).sum::<u64>().saturating_add(text.len() as u64);
        for info in &known {
            if count <= bounds.inbox.max(1) && octets <= room {
                break;
            }
            collections.remove_object(account, inbox, &info.name, &Condition::default(), &bounds.limits).await?;
            (count, octets) = (count - 1, octets.saturating_sub(info.size));
        }
        collections.put(account, inbox, drafts, &Condition::absent(), &bounds.limits, now).await
    };
    if let Err(error) = kept.await {
        log::info!(user:% = account, error:% = error; "A calendar message was entered, but not kept in the inbox");
    }
}

/// Whether mail is refused because this server cannot take it now. An event must not stay until a guest has cleared their mailbox
/// (RFC 3463 §3.3), or because it has more guests than the organiser may write to (§3.8).
fn is_ours(refusal: &Refusal) -> bool {
    let is_of_others = |status: &str| status.starts_with("4.2.") || status.starts_with("4.7.");
    refusal.is_temporary()
        && matches!(refusal.kind, Kind::Temporary | Kind::NoSpace)
        && refusal.smtp.as_ref().is_none_or(|(_, status)| !is_of_others(status))
}

/// Whether a calendar takes nothing until its owner makes room, of which only a letter tells them.
const fn has_no_room(error: &Error) -> bool {
    matches!(error, Error::NoCollection | Error::TooManyCollections(_) | Error::TooManyObjects(_) | Error::Full(_))
}

/// Whether a guest has declined all of an event.
fn is_declined(message: &Message) -> bool {
    let whole = Whole::of(&message.text);
    whole.events().all(|event| answer(event, &message.to).as_deref() == Some("DECLINED"))
}

/// Whether a guest says something with an answer. An event has no place where its organiser's programs would show it.
fn is_commented(message: &Message) -> bool {
    message.purpose == Purpose::Reply && Whole::of(&message.text).events().any(|event| event.line("COMMENT").is_some())
}

/// The name of a collection, from the element with its path (RFC 3986 §2.1).
fn last_part(href: &str) -> Option<String> {
    let path = href.split_once('>')?.1.split('<').next()?.trim();
    let (mut octets, mut rest) = (Vec::new(), path.trim_end_matches('/').rsplit('/').next()?.bytes());
    while let Some(octet) = rest.next() {
        let mut digit = || char::from(rest.next()?).to_digit(16);
        octets.push(match octet {
            b'%' => u8::try_from(digit()? * 16 + digit()?).ok()?,
            octet => octet,
        });
    }
    String::from_utf8(octets).ok()
}

/// The address of an account that a message is from.
fn sender(message: &Message, account: &Address) -> Option<Address> {
    let meeting = Meeting::of(&message.text)?;
    let from = match message.purpose {
        Purpose::Request | Purpose::Cancel => meeting.organiser.mailbox,
        Purpose::Reply => meeting.guests.into_iter().next()?.mailbox,
    };
    Some(from.parse().unwrap_or_else(|_| account.clone()))
}

/// The event as it is stored after a message; `None` if it is to be removed.
fn drafted(
    (purpose, text): (Purpose, &str),
    kept: Option<&Object>,
    name: &str,
    bounds: &Bounds,
    now: Timestamp,
) -> Result<Option<Draft>, Refused> {
    let stored = kept.map(|object| String::from_utf8_lossy(&object.content));
    let content = match (purpose, stored.as_deref()) {
        (Purpose::Request, stored) => Some(requested(stored, text)?),
        (Purpose::Cancel, Some(stored)) => cancelled(stored, text)?,
        (Purpose::Reply, Some(stored)) => Some(replied(stored, text, now)?),
        (_, None) => return Err(Refused::Unfit),
    };
    let Some(content) = content else { return Ok(None) };
    if content.len() > bounds.object {
        return Err(Refused::Unfit);
    }
    let object = CalendarObject::read(content.as_bytes()).map_err(|_| Refused::Unfit)?;
    let mut draft = object.draft(name, content.as_bytes(), bounds.recurrences);
    if let (Purpose::Reply, Some(kept)) = (purpose, kept) {
        // RFC 6638 §3.2.10: what guests answer is no change that an organiser's program must know of.
        draft.etag = with_schedule_tag_of(&draft.etag, &kept.info.etag);
    }
    Ok(Some(draft))
}
