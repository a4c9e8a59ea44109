//! `vacation` (RFC 5230) and `vacation-seconds` (RFC 6131).

use std::collections::HashMap;
use std::time::Duration;

use super::READ_ADDRESS;
use super::fcc::Fcc;
use super::reply::{beginning, fingerprint, original, subject_line, threading, with_entity, with_text};
use crate::foundations::address::{Address, ReversePath};
use crate::foundations::mail::addresses::{Entry, read as read_addresses};
use crate::foundations::mail::compose::{Charset, addresses, field};
use crate::foundations::mail::encoded_words;
use crate::foundations::said::said;
use crate::services::sieve::SieveSettings;
use crate::services::sieve::check::{Arguments, CommandWord, Wanted, mailbox};
use crate::services::sieve::outcome::{Action, Vacation};
use crate::services::sieve::program::{Perform, Value, texts};
use crate::services::sieve::run::{Content, Flow, Halt, Run};

pub(super) const COMMANDS: &[CommandWord] =
    &[CommandWord { name: "vacation", extensions: &["vacation"], has_block: false, read }];

#[derive(Debug)]
struct Answer {
    period: Duration,
    subject: Option<Value>,
    from: Option<Value>,
    addresses: Vec<Value>,
    is_mime: bool,
    handle: Option<Value>,
    fcc: Option<Fcc>,
    reason: Value,
}

fn read(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Perform>> {
    let days = arguments.tag_number("days", "");
    let seconds = arguments.tag_number("seconds", "vacation-seconds");
    let subject = arguments.tag_value("subject", "").map(|(_, value)| value);
    let from = arguments.tag_value("from", "");
    let own = arguments.tag_values("addresses", "").unwrap_or_default();
    let is_mime = arguments.tag("mime", "").is_some();
    let handle = arguments.tag_value("handle", "").map(|(_, value)| value);
    let fcc = Fcc::read(arguments);
    if let (Some(_), Some((at, _))) = (days, seconds) {
        // RFC 6131 §2.
        arguments.wrong_at(at, said!("sieve-days-seconds", "':days' and ':seconds' exclude each other"));
    }
    let [reason] = arguments.positional([("reason", Wanted::Text)])?;
    let reason = arguments.value(&reason);
    if let Some((at, from)) = &from {
        arguments.check_address(*at, from);
    }
    for (at, address) in &own {
        arguments.check_address(*at, address);
    }
    let asked = match (days, seconds) {
        (Some((_, days)), _) => Some(Duration::from_secs(days.saturating_mul(86_400))),
        (None, Some((_, seconds))) => Some(Duration::from_secs(seconds)),
        (None, None) => None,
    };
    let period = period(asked, arguments.checker.settings);
    let own = own.into_iter().map(|(_, value)| value).collect();
    let from = from.map(|(_, value)| value);
    arguments.fine(Box::new(Answer { period, subject, from, addresses: own, is_mime, handle, fcc, reason }))
}

/// RFC 5230 §4.1: values outside the site's limits are silently adjusted.
fn period(asked: Option<Duration>, settings: &SieveSettings) -> Duration {
    let least = settings.vacation_least.duration();
    let most = settings.vacation_most.duration().max(least);
    asked.unwrap_or(settings.vacation_default.duration()).clamp(least, most)
}

impl Perform for Answer {
    fn perform(&self, run: &mut Run<'_, '_>) -> Result<Flow, Halt> {
        let own = self.own_addresses(run)?;
        run.spend(run.content.lines().len().saturating_mul(READ_HEADER))?;
        let (sender, found) = match may_answer(run, &own) {
            Ok(found) => found,
            Err(why) => {
                run.tell(format!("does not answer the message: {why}"));
                return Ok(Flow::Next);
            }
        };
        let from = match &self.from {
            Some(from) => {
                let from = from.get(run)?;
                mailbox(&from).map_err(|why| Halt::new(format!("cannot answer from '{from}': {}", why.text)))?
            }
            None => (String::new(), found),
        };
        let vacation = self.compose(run, sender, &from)?;
        run.tell(format!("answers {}", vacation.to));
        run.decide(Action::Vacation(Box::new(vacation)))?;
        Ok(Flow::Next)
    }
}

impl Answer {
    /// All addresses of the owner.
    fn own_addresses(&self, run: &mut Run<'_, '_>) -> Result<Vec<Address>, Halt> {
        let situation = run.situation;
        let mut own = vec![situation.recipient.clone(), situation.account.clone()];
        own.extend(situation.own_addresses.iter().cloned());
        for text in texts(&self.addresses, run)? {
            run.spend(text.len().saturating_mul(READ_ADDRESS))?;
            own.extend(mailbox(&text).ok().map(|(_, address)| address));
        }
        Ok(own)
    }

    fn compose(&self, run: &mut Run<'_, '_>, to: Address, from: &(String, Address)) -> Result<Vacation, Halt> {
        let reason = self.reason.get(run)?.into_owned();
        let subject = match &self.subject {
            Some(subject) => subject.get(run)?.into_owned(),
            None => match original(run, "Subject") {
                Some(subject) => format!("Auto: {subject}"),
                None => "Automated reply".to_owned(),
            },
        };
        // RFC 5230 §4.2: without a handle the arguments tell one reply from another, before variables are put in; subject and author
        // only if they were given.
        let handle = match &self.handle {
            Some(handle) => fingerprint(&[b"handle", handle.get(run)?.as_bytes()]),
            None => {
                let subject = self.subject.as_ref().map_or("", Value::written);
                let author = match &self.from {
                    Some(written) if written.constant().is_some() => from.1.key(),
                    Some(written) => written.written().to_owned(),
                    None => String::new(),
                };
                let reason = self.reason.written();
                fingerprint(&[reason.as_bytes(), subject.as_bytes(), author.as_bytes(), &[u8::from(self.is_mime)]])
            }
        };
        let copy = match &self.fcc {
            Some(fcc) => Some(fcc.get(run)?),
            None => None,
        };
        let mut fields = beginning(run, &handle);
        fields.push_str(&addresses("From", [(from.0.as_str(), &from.1)], Charset::Ascii));
        fields.push_str(&addresses("To", [(name_of(run, &to).as_str(), &to)], Charset::Ascii));
        fields.push_str(&field("Subject", &subject_line(&subject), Charset::Ascii));
        fields.push_str(&threading(run));
        // RFC 5230 §5.2, RFC 3834 §3.1.7.
        fields.push_str(
            "Auto-Submitted: auto-replied (vacation)\r\nPrecedence: bulk\r\nX-Auto-Response-Suppress: All\r\n",
        );
        let reply = if self.is_mime { with_entity(fields, &reason) } else { with_text(fields, &reason) };
        Ok(Vacation { handle, period: self.period, to, reply, copy })
    }
}

/// Whom to answer, and from which of the owner's addresses; or, as a part of a sentence, why not (RFC 5230 §4.5, §4.6;
/// RFC 3834 §2).
fn may_answer(run: &Run<'_, '_>, own: &[Address]) -> Result<(Address, Address), String> {
    let ReversePath::Address(sender) = run.situation.reverse_path else {
        return Err("it has no sender to reply to".to_owned());
    };
    if own.iter().any(|address| address.key() == sender.key()) {
        return Err("it comes from the owner".to_owned());
    }
    let lines = run.content.lines();
    if is_machine(sender.local().value()) || authors(lines).iter().any(|author| is_machine(author)) {
        return Err(format!("its sender {sender} or its author is a program, or reads no replies"));
    }
    for field in crate::foundations::mail::Fields::new(lines) {
        if field.name.len() > 5 && field.name[..5].eq_ignore_ascii_case(b"list-") {
            return Err(format!(
                "its {} field says that it comes from a mailing list",
                String::from_utf8_lossy(field.name)
            ));
        }
    }
    let value = |name: &str| original(run, name).map(|text| text.to_ascii_lowercase());
    if value("Auto-Submitted").is_some_and(|text| text.split([';', ' ', '(']).next() != Some("no")) {
        return Err("its Auto-Submitted field says that a program has sent it".to_owned());
    }
    if value("Precedence").is_some_and(|text| ["bulk", "junk", "list"].contains(&text.as_str())) {
        return Err("its Precedence field says that nobody expects a reply".to_owned());
    }
    if value("X-Auto-Response-Suppress")
        .is_some_and(|text| text.split(',').any(|word| ["all", "oof", "autoreply"].contains(&word.trim())))
    {
        return Err("its X-Auto-Response-Suppress field asks for no automatic reply".to_owned());
    }
    if run.situation.junk {
        return Err("it is considered junk".to_owned());
    }
    let found =
        addressed_to(lines, own).ok_or("no address of the owner is among its recipients in To, Cc and the like")?;
    Ok((sender.clone(), found.clone()))
}

/// The name that goes with the address of the sender in the header.
fn name_of(run: &Run<'_, '_>, sender: &Address) -> String {
    let named = ["Sender", "From", "Reply-To"].iter().find_map(|name| {
        let field = Content::fields(run.content.lines(), name).into_iter().next()?;
        read_addresses(&field.body).into_iter().find_map(|entry| match entry {
            Entry::Mailbox(mailbox) if mailbox.address().eq_ignore_ascii_case(&sender.key()) => mailbox.name,
            _ => None,
        })
    });
    named.map_or_else(String::new, |name| encoded_words::decode(&name))
}

/// The cost of finding a message's sender and recipients, in octets of work for each octet of its header.
const READ_HEADER: usize = 16;

/// RFC 5230 §4.5: the address of the owner that the message is addressed to. The owner may have many, and the message, too.
fn addressed_to<'a>(lines: &[u8], own: &'a [Address]) -> Option<&'a Address> {
    let mut known: HashMap<String, &Address> = HashMap::new();
    for address in own {
        for text in [address.key(), address.to_string()] {
            known.entry(text.to_ascii_lowercase()).or_insert(address);
        }
    }
    ["To", "Cc", "Bcc", "Resent-To", "Resent-Cc", "Resent-Bcc"].iter().find_map(|name| {
        Content::fields(lines, name).iter().find_map(|field| {
            read_addresses(&field.body).into_iter().find_map(|entry| match entry {
                Entry::Mailbox(mailbox) => known.get(&mailbox.address().to_ascii_lowercase()).copied(),
                _ => None,
            })
        })
    })
}

/// The local parts of a message's authors.
fn authors(lines: &[u8]) -> Vec<String> {
    let of_entry = |entry: Entry| match entry {
        Entry::Mailbox(mailbox) => Some(String::from_utf8_lossy(&mailbox.local).into_owned()),
        Entry::GroupStart(_) | Entry::GroupEnd => None,
    };
    let entries = Content::fields(lines, "From").into_iter().flat_map(|field| read_addresses(&field.body));
    entries.filter_map(of_entry).collect()
}

/// RFC 3834 §2, RFC 5230 §4.6: whether a local part is that of a program, of the administrators of a mailing list, or of nobody who
/// reads what is sent there.
fn is_machine(local: &str) -> bool {
    let local = local.to_ascii_lowercase();
    // After a plus, lists and mass mailers say which message it was.
    let name = local.split('+').next().unwrap_or_default();
    let words = format!("-{}-", name.replace(['.', '_'], "-"));
    ["listserv", "majordomo", "bounce", "bounces"].contains(&name)
        || ["-mailer-daemon-", "-noreply-", "-no-reply-", "-donotreply-", "-do-not-reply-"]
            .iter()
            .any(|called| words.contains(called))
        || ["owner-", "bounce-", "bounces-"].iter().any(|begin| name.starts_with(begin))
        || ["-owner", "-request", "-bounce", "-bounces"].iter().any(|end| name.ends_with(end))
}
