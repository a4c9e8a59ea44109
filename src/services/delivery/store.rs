//! Storing messages in mailboxes.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};

use super::fields::Ready;
use super::invitations::{Invitations, Told};
use super::scripting::{Scripting, ScriptingParts};
use super::settings::{Circles, DeliverySettings, TagFolder};
use crate::foundations::address::{Address, Domain};
use crate::foundations::clock::SharedClock;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::mail::{Mail, Message, Uid};
use crate::foundations::settings::Live;
use crate::foundations::tasks::Tasks;
use crate::services::filter::{Folder, Verdict};
use crate::services::handover::{InvitationReading, LocalDelivery, Outcome};
use crate::services::routing::LocalRecipient;
use crate::storage::journal::Journal;
use crate::storage::mailbox::{
    AppendOptions, Appended, Error, Flags, FolderName, Keyword, Mailboxes, Missing, SpecialUse, Unless, User,
};

/// Delivery into the mailboxes of this process.
#[derive(Clone)]
pub struct Delivery {
    mailboxes: Mailboxes,
    settings: Live<DeliverySettings>,
    pub(super) scripting: Option<Arc<Scripting>>,
    invitations: Option<Invitations>,
    journal: Journal,
    pub(super) clock: SharedClock,
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Delivery")
    }
}

/// One message for one recipient.
#[derive(Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) mail: &'a Mail,
    /// As it is stored.
    pub(super) message: &'a Message,
    pub(super) verdict: &'a Verdict,
    pub(super) recipient: &'a LocalRecipient,
    pub(super) settings: &'a DeliverySettings,
    /// How often the message has been in this mailbox before, as it says.
    pub(super) visits: usize,
}

/// Where a message is to be stored, and with which marks.
pub(super) struct Target {
    pub(super) folder: FolderName,
    pub(super) missing: Missing,
    pub(super) flags: Flags,
    pub(super) keywords: Vec<Keyword>,
}

impl Target {
    /// The inbox, without marks.
    pub(super) fn inbox() -> Self {
        Self { folder: FolderName::inbox(), missing: Missing::Create, flags: Flags::NONE, keywords: Vec::new() }
    }

    fn options(&self, recipient: &LocalRecipient) -> AppendOptions {
        let (flags, keywords) = (self.flags, self.keywords.clone());
        AppendOptions { flags, keywords, missing: self.missing, ..AppendOptions::delivery(recipient.quota) }
    }

    /// Where to store a message after this one has failed; the error if there is no other place.
    fn after(mut self, error: Error) -> Result<Self, Error> {
        match error {
            // The folder of the tag or of the script does not exist or cannot be made. The inbox always can.
            Error::NoFolder(_) | Error::TooManyFolders(_) if !self.folder.is_inbox() => {
                (self.folder, self.missing) = (FolderName::inbox(), Missing::Create);
            }
            // Better without its keywords than not at all.
            Error::TooManyKeywords(_) if !self.keywords.is_empty() => self.keywords.clear(),
            error => return Err(error),
        }
        Ok(self)
    }
}

/// Who has chosen the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chosen {
    Here,
    ByScript,
    /// Nobody: this is not the message that came, but one about it.
    Letter,
}

/// Where a message is now, and its octets.
struct Stored<'a> {
    folder: &'a FolderName,
    uid: Uid,
    size: u64,
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
                .map(|recipient| self.store_and_read(mail, &ready, verdict, recipient, &settings).boxed())
                .collect();
            futures_util::stream::iter(stores).buffered(settings.at_once.max(1) as usize).collect().await
        }
        .boxed()
    }
}

impl Delivery {
    /// Delivery into these mailboxes, without scripts.
    pub const fn new(
        mailboxes: Mailboxes,
        settings: Live<DeliverySettings>,
        journal: Journal,
        clock: SharedClock,
    ) -> Self {
        Self { mailboxes, settings, scripting: None, invitations: None, journal, clock }
    }

    /// With scripts of users and of the site.
    #[must_use]
    pub fn with_scripts(mut self, parts: ScriptingParts) -> Self {
        self.scripting = Some(Arc::new(Scripting::new(parts, self.settings.clone())));
        self
    }

    /// What messages say about events is read by `reader`, if this host, by its name, has found out who has written them.
    #[must_use]
    pub fn with_invitations(
        mut self,
        reader: Arc<dyn InvitationReading>,
        hostname: Live<Domain>,
        tasks: Tasks,
    ) -> Self {
        let told = Told { journal: self.journal.clone(), clock: Arc::clone(&self.clock) };
        self.invitations = Some(Invitations::new(reader, hostname, tasks, told));
        self
    }

    /// Stores a message, and then has it read for what it says about events: whether that succeeds or not, it has been delivered.
    async fn store_and_read(
        &self,
        mail: &Mail,
        ready: &Ready,
        verdict: &Verdict,
        recipient: &LocalRecipient,
        settings: &DeliverySettings,
    ) -> Result<Outcome, Refusal> {
        let outcome = Box::pin(self.store(mail, ready, verdict, recipient, settings)).await?;
        let account = &recipient.account;
        if let (Some(invitations), Outcome::Stored { folder, .. }) = (&self.invitations, &outcome)
            && verdict.folder(account) == Folder::Inbox
            && Invitations::may_be_in(&mail.message)
            && !self.is_unwanted(account, folder).await
        {
            invitations.read(mail, account).await;
        }
        Ok(outcome)
    }

    /// Whether a folder is the one for junk or the trash, into which a script may have put a message, such as one from a sender whom
    /// the user has blocked.
    async fn is_unwanted(&self, account: &Address, folder: &str) -> bool {
        let user = self.mailboxes.user(account).await;
        let is_of = |user: &User, kind| user.special(kind).is_some_and(|name| name.to_string() == folder);
        user.is_ok_and(|user| [SpecialUse::Junk, SpecialUse::Trash].into_iter().any(|kind| is_of(&user, kind)))
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
        let visits = ready.visits(account);
        if settings.circles == Circles::Refuse && visits > 0 {
            let text = format!("The message has been delivered to {account} before: mail loop");
            return Err(Refusal::new(Kind::Invalid, text).smtp(554, "5.4.6"));
        }
        let message = ready.message_for(recipient);
        let item = Item { mail, message: &message, verdict, recipient, settings, visits };
        let user = self.user(&item).await?;
        let target = usual(&user, &item);
        let Some(scripts) = self.scripts_for(&item) else {
            return self.put(&user, &item, &message, target, Chosen::Here).await;
        };
        match user.append_unless(&target.folder, &message, target.options(recipient), scripts).await {
            Ok(Unless::Appended(appended)) => {
                let stored = Stored { folder: &target.folder, uid: appended.uid, size: message.len() as u64 };
                Ok(self.tell(&user, &item, stored, Chosen::Here).await)
            }
            Ok(Unless::Instead(Ok(planned))) => self.deliver_by(planned, &user, &item).await,
            Ok(Unless::Instead(Err(error))) => {
                log::warn!(mail:% = mail.id, user:% = account, error:% = error; "delivery to {account} waits for the user's scripts: {error}");
                Err(refusal(error.kind(), settings))
            }
            Err(error) => {
                let target = target.after(error).map_err(|error| self.failed(&item, &error))?;
                self.put(&user, &item, &message, target, Chosen::Here).await
            }
        }
    }

    /// The recipient's mailboxes.
    async fn user(&self, item: &Item<'_>) -> Result<Arc<User>, Refusal> {
        let opened = self.mailboxes.user(&item.recipient.account).await;
        opened.map_err(|error| self.failed(item, &error))
    }

    fn failed(&self, item: &Item<'_>, error: &Error) -> Refusal {
        let account = &item.recipient.account;
        log::warn!(mail:% = item.mail.id, user:% = account, error:% = error; "delivery to {account} failed: {error}");
        refusal(error.kind(), item.settings)
    }

    /// Stores a message, on disk when it returns, and tells of it.
    pub(super) async fn put(
        &self,
        user: &Arc<User>,
        item: &Item<'_>,
        message: &Message,
        target: Target,
        chosen: Chosen,
    ) -> Result<Outcome, Refusal> {
        let stored = append(user, message, target, item.recipient).await;
        let (folder, appended) = stored.map_err(|error| self.failed(item, &error))?;
        let stored = Stored { folder: &folder, uid: appended.uid, size: message.len() as u64 };
        Ok(self.tell(user, item, stored, chosen).await)
    }

    /// Tells of a message that has been stored.
    async fn tell(&self, user: &Arc<User>, item: &Item<'_>, stored: Stored<'_>, chosen: Chosen) -> Outcome {
        let (folder, uid) = (stored.folder.to_string(), u32::from(stored.uid));
        let event = self.event(EventKind::Delivered, item).with("folder", folder.as_str()).with("uid", uid);
        let event = event.with("size", stored.size);
        match chosen {
            Chosen::Here => self.journal.record(event),
            Chosen::ByScript => self.journal.record(event.with("by", "sieve")),
            Chosen::Letter => return Outcome::Stored { folder, uid },
        }
        self.tell_nearly_full(user, item).await;
        Outcome::Stored { folder, uid }
    }

    /// An event about this message and its recipient.
    pub(super) fn event(&self, kind: EventKind, item: &Item<'_>) -> Event {
        Event::new(self.clock.now(), kind)
            .session(item.mail.origin.session)
            .mail(item.mail.id)
            .subject(item.recipient.account.to_string())
            .with("recipient", item.recipient.recipient.address.to_string())
    }

    pub(super) fn record(&self, event: Event) {
        self.journal.record(event);
    }
}

pub(super) async fn append(
    user: &Arc<User>,
    message: &Message,
    mut target: Target,
    recipient: &LocalRecipient,
) -> Result<(FolderName, Appended), Error> {
    loop {
        match user.append(&target.folder, message, target.options(recipient)).await {
            Ok(appended) => return Ok((target.folder, appended)),
            Err(error) => target = target.after(error)?,
        }
    }
}

/// Where a message goes if no script says otherwise.
pub(super) fn usual(user: &User, item: &Item<'_>) -> Target {
    let Item { recipient, settings, .. } = *item;
    let junk = || user.special(SpecialUse::Junk);
    let (folder, missing) = match item.verdict.folder(&recipient.account) {
        Folder::Quarantine => (settings.quarantine_folder.parse::<FolderName>().ok().or_else(junk), Missing::Create),
        Folder::Junk => (junk(), Missing::Create),
        Folder::Inbox => {
            let tag = || recipient.tag.as_ref().and_then(|tag| tag.parse::<FolderName>().ok());
            match settings.tag_folder {
                TagFolder::Ignore => (None, Missing::Create),
                TagFolder::Existing => (tag(), Missing::Fail),
                TagFolder::Create => (tag(), Missing::Create),
            }
        }
    };
    folder.map_or_else(Target::inbox, |folder| Target { folder, missing, ..Target::inbox() })
}

/// The answer to a failure whose cause has been logged already.
fn refusal(kind: Kind, settings: &DeliverySettings) -> Refusal {
    match kind {
        Kind::OverQuota => settings.over_quota.refusal(),
        Kind::NoSpace => Refusal::new(kind, "This server has no room left; try again later").smtp(452, "4.3.1"),
        Kind::Invalid => Refusal::new(kind, "The mailbox cannot take mail").smtp(550, "5.2.0"),
        _ => Refusal::new(Kind::Temporary, "The mailbox cannot be used now; try again later").smtp(451, "4.3.0"),
    }
}
