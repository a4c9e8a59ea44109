//! Mail for our own mailboxes, handed to the process that owns them.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::attempt::{Carried, Group, Outcome as Came, Trouble};
use super::lmtp::OverLmtp;
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::ids::QueueId;
use crate::foundations::mail::{Mail, Recipient};
use crate::services::filter::{Folder, Verdict, carried};
use crate::services::handover::{LocalDelivery, Outcome};
use crate::services::routing::LocalRecipient;

impl LocalDelivery for OverLmtp {
    /// The verdict travels in the fields that it has put in front of the message, and so does the login of a user of ours. Recipients
    /// for whom the message belongs in another folder get it in a transaction of their own, with fields that say so.
    fn deliver<'a>(
        &'a self,
        mail: &'a Mail,
        verdict: &'a Verdict,
        recipients: &'a [LocalRecipient],
    ) -> BoxFuture<'a, Vec<Result<Outcome, Refusal>>> {
        async move {
            let mut results: Vec<Option<_>> = recipients.iter().map(|_| None).collect();
            for folder in [Folder::Inbox, Folder::Junk, Folder::Quarantine] {
                let places = 0..recipients.len();
                let places: Vec<usize> =
                    places.filter(|place| verdict.folder(&recipients[*place].account) == folder).collect();
                if places.is_empty() {
                    continue;
                }
                let fields = carried::fields(folder, verdict.common_folder());
                let mailboxes = places.iter().map(|place| mailbox(&recipients[*place])).collect();
                let came = self.hand_over(mail, fields, mailboxes).await;
                for (place, result) in places.into_iter().zip(came) {
                    results[place] = Some(result);
                }
            }
            let nothing = || Err(Refusal::temporary("the process that owns the mailboxes gave no answer".to_owned()));
            results.into_iter().map(|result| result.unwrap_or_else(nothing)).collect()
        }
        .boxed()
    }
}

impl OverLmtp {
    async fn hand_over(&self, mail: &Mail, fields: &str, recipients: Vec<Recipient>) -> Vec<Result<Outcome, Refusal>> {
        let fields = carried::login(mail, self.hostname()) + fields;
        let message = Carried::new(mail.message.with_prefix(fields.as_bytes()), ());
        let group = Group {
            id: QueueId::generate(mail.origin.at),
            envelope: &mail.envelope,
            recipients: &recipients,
            message: &message,
            before_end: &|_| Box::pin(std::future::ready(Ok(()))),
        };
        let attempts = self.attempt(group).await.into_iter();
        let results = attempts.map(|attempt| match attempt.outcome {
            Came::Relayed { reply, .. } => Ok(Outcome::HandedOver { reply }),
            Came::Trouble(trouble) => Err(refusal(&trouble)),
        });
        results.collect()
    }
}

/// The mailbox itself in place of the address that led there, so that no alias is followed twice; with its tag.
fn mailbox(recipient: &LocalRecipient) -> Recipient {
    let address = &recipient.recipient.address;
    let is_tagged = recipient.tag.is_some() && recipient.is_own(address);
    let address = if is_tagged { address } else { &recipient.account };
    Recipient { address: address.clone(), ..recipient.recipient.clone() }
}

/// What the owner of the mailboxes has said, in the words of a refusal.
pub(super) fn refusal(trouble: &Trouble) -> Refusal {
    let status = trouble.status.to_string();
    let known = KNOWN.iter().find(|(known, ..)| *known == status);
    let (kind, smtp) = match known {
        Some((status, kind, code)) => (*kind, Some((*code, *status))),
        None if trouble.is_permanent() => (Kind::Invalid, None),
        None => (Kind::Temporary, None),
    };
    let refusal = Refusal::new(kind, trouble.reply.clone());
    match smtp {
        Some((code, status)) => refusal.smtp(code, status),
        None => refusal,
    }
}

/// Statuses whose meaning is kept.
const KNOWN: &[(&str, Kind, u16)] = &[
    ("4.2.2", Kind::OverQuota, 452),
    ("4.3.1", Kind::NoSpace, 452),
    ("5.1.1", Kind::NotFound, 550),
    ("5.2.1", Kind::NoPermission, 550),
    ("5.2.2", Kind::OverQuota, 552),
    ("5.2.3", Kind::TooLarge, 552),
    ("5.4.6", Kind::Invalid, 554),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_that_begins_like_the_account_is_not_passed_on() {
        for (address, tag, handed_over) in [
            ("ann@example.test", None, "ann@example.test"),
            ("Ann+lists@example.test", Some("lists"), "Ann+lists@example.test"),
            ("sales+x@example.test", Some("x"), "ann@example.test"),
            ("annette+x@example.test", Some("x"), "ann@example.test"),
            ("ann+x@other.test", Some("x"), "ann@example.test"),
        ] {
            let recipient = Recipient::plain(address.parse().unwrap());
            let account = "ann@example.test".parse().unwrap();
            let local = LocalRecipient { account, quota: None, tag: tag.map(str::to_owned), recipient };
            assert_eq!(mailbox(&local).address.to_string(), handed_over, "{address}");
        }
    }
}
