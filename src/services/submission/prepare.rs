//! Turns what the client has sent into what is passed on.

use std::time::Duration;

use super::repair::{Inspection, without};
use super::settings::{HeaderFrom, SubmissionSettings};
use crate::foundations::address::{Address, Domain};
use crate::foundations::clock::SharedClock;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::ids::SessionId;
use crate::foundations::mail::{Login, Mail, Message, Peer, Who, compose};
use crate::foundations::random::distinction;
use crate::foundations::settings::Live;
use crate::services::acceptance::Acceptance;
use crate::services::guard::{Guard, RateShare, Rise, SendingWatch, Trust};
use crate::storage::journal::Journal;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// What submission needs.
pub struct SubmissionParts {
    /// Its settings.
    pub settings: Live<SubmissionSettings>,
    /// Our name, for Message-IDs.
    pub hostname: Live<Domain>,
    /// Whose addresses are whose.
    pub acceptance: Acceptance,
    /// Who has no limits.
    pub guard: Guard,
    /// Where a sudden rise is recorded.
    pub journal: Journal,
    /// The time.
    pub clock: SharedClock,
}

/// The room.
pub struct Submission {
    pub(super) parts: SubmissionParts,
    sending: SendingWatch,
}

impl Submission {
    /// Puts the parts together.
    pub fn new(parts: SubmissionParts) -> Self {
        Self { parts, sending: SendingWatch::new() }
    }

    /// The message as it may go on, or why it may not.
    pub async fn prepare(&self, mut mail: Mail, login: &Login) -> Result<Mail, Refusal> {
        let settings = self.parts.settings.get();
        let seen = Inspection::of(mail.message.original());
        let mut added = String::new();
        let mut cut = seen.private.clone();
        if let Some(sender) = self.check_authors(&seen, login, &settings).await? {
            added.push_str(&sender);
            cut.extend(seen.sender_at.iter().cloned());
        }
        if seen.begins_with_field {
            cut.extend(seen.malformed.iter().cloned());
        }
        cut.sort_unstable_by_key(|part| part.start);
        let count = u32::try_from(mail.envelope.recipients.len()).unwrap_or(u32::MAX);
        self.meter((&mail.origin.peer, mail.origin.session), count, login, &settings)?;
        let author = match (&login.who, mail.envelope.reverse_path.address()) {
            // One that MAIL gave has been found to be an address of the account.
            (Who::User | Who::Program, Some(sender)) => sender,
            _ => &login.address,
        };
        self.complete(&seen, author, &mut added);
        let original = without(mail.message.original(), &cut);
        mail.message = Message::new(original).with_prefix(added.as_bytes());
        Ok(mail)
    }

    /// Whether the account may bear these names. `Some` with the Sender field to be written where one is due.
    async fn check_authors(
        &self,
        seen: &Inspection,
        login: &Login,
        settings: &SubmissionSettings,
    ) -> Result<Option<String>, Refusal> {
        if let Some(fault) = seen.faults.first() {
            return Err(Refusal::new(Kind::Invalid, *fault).smtp(550, "5.6.0"));
        }
        let authors = seen.authors.as_deref().unwrap_or_default();
        let mut foreign = None;
        for author in authors {
            if self.is_machine_user(author, login) {
                continue;
            }
            if let Err(refusal) = self.parts.acceptance.identity(author, login).await {
                if refusal.is_temporary() {
                    return Err(refusal);
                }
                foreign = Some(author);
            }
        }
        // What a program writes there is often not its own affair. It goes to nobody elsewhere, and Sender tells whose it is.
        let policy = if login.who == Who::MachineUser { HeaderFrom::Any } else { settings.header_from };
        if let (Some(foreign), HeaderFrom::Own) = (foreign, policy) {
            let text = format!("From says {foreign}, which is not an address of {}", login.address);
            return Err(Refusal::new(Kind::NoPermission, text).smtp(550, "5.7.1"));
        }
        let own_sender = match seen.sender.as_deref() {
            Some([sender]) => self.parts.acceptance.identity(sender, login).await.is_ok(),
            _ => false,
        };
        // RFC 5322 §3.6.2: with several authors there is a Sender. RFC 6409 §8.1: ours is the one that can be trusted.
        let due = foreign.is_some() || authors.len() > 1 || seen.sender.is_some();
        Ok((due && !own_sender).then(|| address_field("Sender", &login.address)))
    }

    /// Counts what reaches somebody here in another way than as mail, such as an invitation, as a message to one recipient.
    pub fn count(&self, client: (&Peer, SessionId), login: &Login) -> Result<(), Refusal> {
        self.meter(client, 1, login, &self.parts.settings.get())
    }

    fn meter(
        &self,
        (peer, session): (&Peer, SessionId),
        count: u32,
        login: &Login,
        settings: &SubmissionSettings,
    ) -> Result<(), Refusal> {
        // Every program of the machine comes over a trusted way.
        if login.who == Who::User && self.parts.guard.trusts(peer) == Trust::Trusted {
            return Ok(());
        }
        let (now, account) = (self.parts.clock.now(), login.address.key());
        let part = |what, units, count, period| RateShare { what, units, count, period };
        let parts = [
            part("messages an hour", 1, settings.messages_per_hour, HOUR),
            part("messages a day", 1, settings.messages_per_day, DAY),
            part("copies an hour", count, settings.recipients_per_hour, HOUR),
            part("copies a day", count, settings.recipients_per_day, DAY),
        ];
        if let Some(RateShare { what, count, .. }) = parts.iter().find(|part| part.is_too_much()) {
            let text = format!("An account may send {count} {what}; send this to fewer recipients at a time");
            return Err(Refusal::new(Kind::TooLarge, text).smtp(550, "5.5.3"));
        }
        // What is put off, and tried again and again, takes nothing from what else the account sends.
        self.parts.guard.take(&account, &parts).map_err(|RateShare { what, count, .. }| {
            let text = format!("An account may send {count} {what}; try again later");
            Refusal::new(Kind::TooMany, text).smtp(450, "4.7.1")
        })?;
        let rise = self.sending.count(&account, count, (settings.rise_from, settings.rise_factor), now);
        if let Some(Rise { now: copies, usual }) = rise {
            let event = Event::new(now, EventKind::SendingRise).session(session).subject(account);
            let event = event.with("copies", copies).with("usual", usual);
            self.parts.journal.record(event.with("peer", peer.to_string()));
        }
        Ok(())
    }

    /// RFC 6409 §8.2, §8.3: what RFC 5322 demands and is missing, or is there in a form that it does not know.
    fn complete(&self, seen: &Inspection, author: &Address, added: &mut String) {
        let now = self.parts.clock.now();
        // Where the client sent no header, what looks like fields is text.
        let is_header = seen.begins_with_field;
        if !(is_header && seen.has_date) {
            added.push_str(&format!("Date: {}\r\n", compose::date(now)));
        }
        if !is_header || seen.authors.is_none() {
            added.push_str(&address_field("From", author));
        }
        if let Some(id) = seen.bare_message_id.as_ref().filter(|_| is_header && !seen.has_message_id) {
            added.push_str(&format!("Message-ID: <{id}>\r\n"));
        } else if !(is_header && seen.has_message_id) {
            let id = compose::message_id(now, distinction(), &self.parts.hostname.get());
            added.push_str(&format!("Message-ID: {id}\r\n"));
        }
        if !is_header {
            added.push_str("\r\n");
        }
    }
}

fn address_field(name: &str, address: &Address) -> String {
    format!("{name}: <{address}>\r\n")
}
