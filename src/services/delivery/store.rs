//! Storing.

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};

use super::fields::Ready;
use super::settings::{Circles, DeliverySettings, OverQuota, TagFolder};
use crate::foundations::clock::SharedClock;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::mail::{Mail, Message};
use crate::foundations::settings::Live;
use crate::services::filter::{Folder, Verdict};
use crate::services::handover::{LocalDelivery, Outcome};
use crate::services::routing::LocalRecipient;
use crate::storage::journal::Journal;
use crate::storage::mailbox::{AppendOptions, Appended, Error, FolderName, Mailboxes, Missing, SpecialUse, User};

/// Delivery into the mailboxes of this process.
#[derive(Clone)]
pub struct Delivery {
    mailboxes: Mailboxes,
    settings: Live<DeliverySettings>,
    journal: Journal,
    clock: SharedClock,
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Delivery")
    }
}

impl LocalDelivery for Delivery {
    fn deliver<'a>(
        &'a self,
        mail: &'a Mail,
        verdict: &'a Verdict,
        recipients: &'a [LocalRecipient],
    ) -> BoxFuture<'a, Vec<Result<Outcome, Refusal>>> {
        async move {
            let settings = self.settings.get();
            let ready = Ready::new(&mail.message, &mail.envelope.reverse_path);
            let stores: Vec<BoxFuture<'_, _>> = recipients
                .iter()
                .map(|recipient| self.store(mail, &ready, verdict, recipient, &settings).boxed())
                .collect();
            futures_util::stream::iter(stores).buffered(settings.at_once.max(1) as usize).collect().await
        }
        .boxed()
    }
}

impl Delivery {
    /// Delivery into these mailboxes.
    pub const fn new(
        mailboxes: Mailboxes,
        settings: Live<DeliverySettings>,
        journal: Journal,
        clock: SharedClock,
    ) -> Self {
        Self { mailboxes, settings, journal, clock }
    }

    async fn store(
        &self,
        mail: &Mail,
        ready: &Ready,
        verdict: &Verdict,
        recipient: &LocalRecipient,
        settings: &DeliverySettings,
    ) -> Result<Outcome, Refusal> {
        let account = &recipient.account;
        if settings.circles == Circles::Refuse && ready.has_visited(account) {
            let text = format!("The message has been delivered to {account} before: mail runs in a circle");
            return Err(Refusal::new(Kind::Invalid, text).smtp(554, "5.4.6"));
        }
        let message = ready.message_for(recipient);
        let stored = self.append(&message, verdict, recipient, settings).await;
        let (folder, appended) = stored.map_err(|error| {
            log::warn!(mail:% = mail.id, user:% = account, error:% = error; "delivery to {account} failed: {error}");
            refusal(error.kind(), settings)
        })?;
        let (folder, uid) = (folder.to_string(), u32::from(appended.uid));
        self.journal.record(
            Event::new(self.clock.now(), EventKind::Delivered)
                .session(mail.origin.session)
                .mail(mail.id)
                .subject(account.to_string())
                .with("recipient", recipient.recipient.address.to_string())
                .with("folder", folder.as_str())
                .with("uid", uid)
                .with("size", message.len() as u64),
        );
        Ok(Outcome::Stored { folder, uid })
    }

    async fn append(
        &self,
        message: &Message,
        verdict: &Verdict,
        recipient: &LocalRecipient,
        settings: &DeliverySettings,
    ) -> Result<(FolderName, Appended), Error> {
        let user = self.mailboxes.user(&recipient.account).await?;
        let options = AppendOptions::delivery(recipient.quota);
        let (folder, missing) = folder(&user, verdict, recipient, settings);
        match user.append(&folder, message, AppendOptions { missing, ..options.clone() }).await {
            Ok(appended) => Ok((folder, appended)),
            // The folder of the tag does not exist, or cannot be made: the inbox always can.
            Err(Error::NoFolder(_) | Error::TooManyFolders(_)) if folder != FolderName::inbox() => {
                let inbox = FolderName::inbox();
                let appended = user.append(&inbox, message, options).await?;
                Ok((inbox, appended))
            }
            Err(error) => Err(error),
        }
    }
}

/// Where a message belongs in the recipient's mailbox.
fn folder(
    user: &User,
    verdict: &Verdict,
    recipient: &LocalRecipient,
    settings: &DeliverySettings,
) -> (FolderName, Missing) {
    let inbox = (FolderName::inbox(), Missing::Create);
    match verdict.folder(&recipient.account) {
        // A message that an administrator has released from quarantine is still not one for the inbox.
        kind @ (Folder::Quarantine | Folder::Junk) => {
            let own = settings.quarantine_folder.parse::<FolderName>().ok().filter(|_| kind == Folder::Quarantine);
            let folder = own.or_else(|| user.special(SpecialUse::Junk));
            folder.map_or(inbox, |folder| (folder, Missing::Create))
        }
        Folder::Inbox => {
            let missing = match settings.tag_folder {
                TagFolder::Ignore => return inbox,
                TagFolder::Existing => Missing::Fail,
                TagFolder::Create => Missing::Create,
            };
            let folder = recipient.tag.as_ref().and_then(|tag| tag.parse::<FolderName>().ok());
            folder.map_or(inbox, |folder| (folder, missing))
        }
    }
}

/// The answer to a failure whose cause has been logged already.
fn refusal(kind: Kind, settings: &DeliverySettings) -> Refusal {
    match (kind, settings.over_quota) {
        (Kind::OverQuota, OverQuota::Defer) => Refusal::new(kind, "The mailbox is full").smtp(452, "4.2.2"),
        (Kind::OverQuota, OverQuota::Refuse) => Refusal::new(kind, "The mailbox is full").smtp(552, "5.2.2"),
        (Kind::NoSpace, _) => Refusal::new(kind, "This server has no room left; try again later").smtp(452, "4.3.1"),
        (Kind::Invalid, _) => Refusal::new(kind, "The mailbox cannot take mail").smtp(550, "5.2.0"),
        _ => Refusal::new(Kind::Temporary, "The mailbox cannot be used now; try again later").smtp(451, "4.3.0"),
    }
}
