//! A message that has been filtered, and which of its copies must wait.

use std::borrow::Cow;
use std::sync::Arc;

use super::settings::{IntakeSettings, LmtpVerdict, Quarantine};
use crate::foundations::address::Address;
use crate::foundations::mail::{Mail, Recipient};
use crate::services::filter::{Folder, Verdict, carried};
use crate::services::handover::Bound;
use crate::services::routing::LocalRecipient;

/// A message that will be taken if it can be stored.
pub(super) struct Judged {
    pub(super) mail: Mail,
    /// The settings in force when it came. If they changed half-way, it could be held by neither queue nor mailbox, or by both.
    pub(super) settings: Arc<IntakeSettings>,
    pub(super) verdict: Verdict,
    /// Recipients that the client has named and a milter has taken off.
    pub(super) removed: Vec<Address>,
    pub(super) message_id: Option<String>,
}

impl Judged {
    /// Whether the front end that filtered the message has chosen the folder too.
    pub(super) fn is_final(&self) -> bool {
        is_lmtp(&self.mail) && self.settings.lmtp == LmtpVerdict::Trust
    }

    /// Whether a recipient's copy waits in the queue for an administrator.
    pub(super) fn is_held(&self, recipient: &LocalRecipient) -> bool {
        let in_queue = self.settings.quarantine == Quarantine::Queue && !self.is_final();
        in_queue && self.verdict.folder(&recipient.account) == Folder::Quarantine
    }

    /// A sender who wants to hear of success hears it from the queue, which writes all notifications (RFC 3461 §5.2.3).
    /// An LMTP client writes its own.
    pub(super) fn must_wait(&self, recipient: &LocalRecipient) -> bool {
        recipient.recipient.notify.success && !is_lmtp(&self.mail) && !self.is_held(recipient)
    }

    /// Divides an entry by the folders that its recipients want. The queue keeps no verdict: the folder is said by a field of the
    /// message.
    pub(super) fn by_folder<'a>(&self, waiting: Waiting<'a>) -> Vec<Waiting<'a>> {
        let Waiting { mail, mut recipients, hold } = waiting;
        let common = self.verdict.common_folder();
        let mut entries = Vec::with_capacity(1);
        for folder in [Folder::Inbox, Folder::Junk, Folder::Quarantine] {
            let otherwise = |(recipient, bound): &mut (Recipient, Bound)| {
                folder != common && *bound == Bound::Here && self.verdict.folder(&recipient.address) == folder
            };
            let others: Vec<_> = recipients.extract_if(.., otherwise).collect();
            if !others.is_empty() {
                // Once it is released, it goes where unwanted mail arrives.
                let carried = if hold.is_some() && folder == Folder::Quarantine { Folder::Junk } else { folder };
                let message = mail.message.with_prefix(carried::fields(carried, common).as_bytes());
                let mail = Cow::Owned(Mail { message, ..mail.clone().into_owned() });
                entries.push(Waiting { mail, recipients: others, hold: hold.clone() });
            }
        }
        entries.push(Waiting { mail, recipients, hold });
        entries
    }
}

/// What one entry of the queue is to be.
pub(super) struct Waiting<'a> {
    pub(super) mail: Cow<'a, Mail>,
    /// Who is to get it.
    pub(super) recipients: Vec<(Recipient, Bound)>,
    /// Why it is held, if it is.
    pub(super) hold: Option<String>,
}

impl Waiting<'_> {
    /// With the field that says which user of ours has sent the message, if all of it stays here: the queue does not keep how somebody has
    /// logged in, and calendars take from users what they take from nobody else.
    pub(super) fn with_login(mut self, field: &str) -> Self {
        let stays = self.recipients.iter().all(|(_, bound)| *bound != Bound::Elsewhere);
        if stays && !self.recipients.is_empty() && !field.is_empty() {
            let message = self.mail.message.with_prefix(field.as_bytes());
            self.mail = Cow::Owned(Mail { message, ..self.mail.into_owned() });
        }
        self
    }
}

pub(super) fn is_lmtp(mail: &Mail) -> bool {
    mail.origin.with.is_lmtp()
}
