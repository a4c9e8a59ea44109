//! Copies that are safe although their message had to be refused.
//!
//! If some recipients have their copy and those of the others cannot even be queued, the client is told to send the message again,
//! so that it is not lost for them. When it does, those who have a copy are left out.

use std::collections::VecDeque;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use parking_lot::Mutex;

use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::foundations::mail::Mail;
use crate::services::handover::Outcome;
use crate::services::routing::{LocalRecipient, Routes};

/// How long a copy is remembered. Clients try again within hours. Later, the same message may be a new one: some devices always send
/// the same text.
const REMEMBERED: Duration = Duration::from_secs(6 * 60 * 60);

/// What is known of such copies. There are few: the queue must fail at the same time as a mailbox.
#[derive(Debug, Default)]
pub(super) struct SafeCopies(Mutex<VecDeque<Known>>);

#[derive(Debug)]
struct Known {
    fingerprint: Fingerprint,
    copy: SafeCopy,
    until: Timestamp,
}

/// What identifies a message when it comes again: a digest of its sender and of every octet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fingerprint([u8; 32]);

/// One recipient's copy.
#[derive(Debug)]
pub(super) struct SafeCopy {
    list: RouteList,
    key: String,
    /// The recipient as receipts have it.
    pub(super) address: Address,
    pub(super) outcome: Outcome,
}

/// In which list of the routes the recipient is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RouteList {
    Local,
    Remote,
    Forward,
    PassedOn,
}

impl SafeCopies {
    /// Removes from the routes those who have the message from an earlier attempt. Returns their copies.
    pub(super) fn recall(&self, mail: &Mail, routes: &mut Routes, now: Timestamp) -> Vec<SafeCopy> {
        if self.0.lock().is_empty() {
            return Vec::new();
        }
        let fingerprint = Fingerprint::of(mail);
        let mut known = self.0.lock();
        known.retain(|one| one.until > now);
        let mut safe = Vec::new();
        let mut lacks = |list: RouteList, key: String| {
            let is_this = |one: &Known| one.fingerprint == fingerprint && one.copy.list == list && one.copy.key == key;
            let found = known.iter().position(is_this).and_then(|at| known.remove(at));
            let lacks = found.is_none();
            safe.extend(found.map(|one| one.copy));
            lacks
        };
        routes.local.retain(|one| lacks(RouteList::Local, one.account.key()));
        routes.remote.retain(|one| lacks(RouteList::Remote, one.address.to_string()));
        routes.forwards.retain(|one| lacks(RouteList::Forward, one.address.to_string()));
        routes.passed_on.retain(|(one, _)| lacks(RouteList::PassedOn, one.address.to_string()));
        safe
    }

    /// Remembers copies of a message that is refused. Beyond `most` the oldest are forgotten.
    pub(super) fn remember(&self, mail: &Mail, safe: Vec<SafeCopy>, now: Timestamp, most: u32) {
        if safe.is_empty() {
            return;
        }
        let (fingerprint, until) = (Fingerprint::of(mail), now + REMEMBERED);
        let mut known = self.0.lock();
        known.extend(safe.into_iter().map(|copy| Known { fingerprint, copy, until }));
        let surplus = known.len().saturating_sub(most as usize);
        known.drain(..surplus);
    }
}

impl Fingerprint {
    fn of(mail: &Mail) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(mail.envelope.reverse_path.to_string().as_bytes());
        context.update(b"\r\n");
        context.update(mail.message.original());
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(context.finish().as_ref());
        Self(fingerprint)
    }
}

/// The copies that were made on these routes: for all recipients with an outcome, except those whose mailbox has failed.
pub(super) fn made(routes: &Routes, failed: &[Address], outcomes: &[(Address, Outcome)]) -> Vec<SafeCopy> {
    let outcome =
        |address: &Address| outcomes.iter().find(|(one, _)| one == address).map(|(_, outcome)| outcome.clone());
    let safe = |list, key: String, address: Address| {
        let outcome = outcome(&address)?;
        Some(SafeCopy { list, key, address, outcome })
    };
    let local = |one: &LocalRecipient| {
        let key = one.account.key();
        safe(RouteList::Local, key.clone(), one.account.clone())
            .or_else(|| safe(RouteList::Local, key, one.at_home().address))
    };
    let other = |list, address: &Address| safe(list, address.to_string(), address.clone());
    let kept = routes.local.iter().filter(|one| !failed.contains(&one.account));
    let mut made: Vec<SafeCopy> = kept.filter_map(local).collect();
    made.extend(routes.remote.iter().filter_map(|one| other(RouteList::Remote, &one.address)));
    made.extend(routes.forwards.iter().filter_map(|one| other(RouteList::Forward, &one.address)));
    made.extend(routes.passed_on.iter().filter_map(|(one, _)| other(RouteList::PassedOn, &one.address)));
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::address::ReversePath;
    use crate::foundations::ids::{MailId, QueueId, SessionId};
    use crate::foundations::mail::{Envelope, Message, Origin, Recipient};
    use crate::storage::spool::Action;

    const AT: Timestamp = Timestamp::from_unix_seconds(1_700_000_000);

    fn mail(text: &str) -> Mail {
        Mail {
            id: MailId::generate(AT),
            origin: Origin::internal(SessionId::generate(AT), AT),
            envelope: Envelope::plain(ReversePath::Null, vec![]),
            message: Message::new(text.to_owned()),
        }
    }

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    /// `sales`, which stands for a mailbox here and an address elsewhere, another mailbox, and another address elsewhere.
    fn routes() -> Routes {
        let plain = |text: &str| Recipient::plain(address(text));
        let local = |account: &str, named: &str| LocalRecipient {
            account: address(account),
            quota: None,
            tag: None,
            recipient: plain(named),
        };
        Routes {
            local: vec![local("ann@example.test", "sales@example.test"), local("bob@example.test", "bob@example.test")],
            remote: vec![plain("one@elsewhere.test")],
            forwards: vec![plain("two@elsewhere.test")],
            passed_on: vec![(plain("sales@example.test"), Action::Expanded)],
            ..Routes::default()
        }
    }

    fn left(routes: &Routes) -> (usize, usize, usize, usize) {
        (routes.local.len(), routes.remote.len(), routes.forwards.len(), routes.passed_on.len())
    }

    #[test]
    fn who_has_a_copy_is_left_out_once() {
        let copies = SafeCopies::default();
        let queued = Outcome::Queued(QueueId::generate(AT));
        let outcomes = ["ann@example.test", "one@elsewhere.test", "two@elsewhere.test", "sales@example.test"]
            .map(|one| (address(one), queued.clone()));
        let safe = made(&routes(), &[address("bob@example.test")], &outcomes);
        assert_eq!(safe.len(), 4);
        copies.remember(&mail("x"), safe, AT, 10);
        for (text, wanted, had) in [("y", (2, 1, 1, 1), 0), ("x", (1, 0, 0, 0), 4), ("x", (2, 1, 1, 1), 0)] {
            let mut routes = routes();
            let safe = copies.recall(&mail(text), &mut routes, AT);
            assert_eq!((left(&routes), safe.len()), (wanted, had), "{text}");
        }
    }

    #[test]
    fn a_copy_whose_mailbox_failed_is_none_although_its_address_was_told_of() {
        let outcomes = [(address("ann@example.test"), Outcome::Queued(QueueId::generate(AT)))];
        assert!(made(&routes(), &[address("ann@example.test")], &outcomes).is_empty());
    }

    #[test]
    fn little_is_remembered_and_not_for_long() {
        let copies = SafeCopies::default();
        let outcomes = ["ann@example.test", "bob@example.test"]
            .map(|one| (address(one), Outcome::Stored { folder: "INBOX".to_owned(), uid: 1 }));
        for (most, at, wanted) in [(2, AT, 0), (1, AT, 1), (0, AT, 2), (2, AT + REMEMBERED, 2)] {
            copies.remember(&mail("x"), made(&routes(), &[], &outcomes), AT, most);
            let mut routes = routes();
            copies.recall(&mail("x"), &mut routes, at);
            assert_eq!(routes.local.len(), wanted, "{most}");
        }
    }
}
