//! Final delivery into real Maildirs.

use std::sync::Arc;

use postrider::foundations::address::{Address, ReversePath};
use postrider::foundations::clock::{Clock as _, SharedClock, SystemClock};
use postrider::foundations::ids::{MailId, SessionId};
use postrider::foundations::mail::{Envelope, Mail, Message, Origin, Recipient};
use postrider::foundations::settings::{ByteSize, Live};
use postrider::foundations::tasks::Tasks;
use postrider::services::delivery::{Circles, Delivery, DeliverySettings, OverQuota, TagFolder};
use postrider::services::filter::{Decision, Verdict};
use postrider::services::handover::{LocalDelivery as _, Outcome};
use postrider::services::routing::LocalRecipient;
use postrider::storage::journal::Journal;
use postrider::storage::mailbox::{MailboxSettings, Mailboxes, Summarizer};

struct World {
    delivery: Delivery,
    settings: Live<DeliverySettings>,
    root: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let (root, settings) = (tempfile::tempdir().unwrap(), Live::new(DeliverySettings::default()));
        let clock: SharedClock = Arc::new(SystemClock);
        let summarizer = Summarizer { version: 1, summarize: |_| Vec::new(), fuller: None };
        let mailboxes = Live::new(MailboxSettings::default());
        let mailboxes = Mailboxes::open(root.path(), mailboxes, Arc::clone(&clock), Tasks::new(), summarizer).unwrap();
        let delivery = Delivery::new(mailboxes, settings.clone(), Journal::lines_only(), clock);
        Self { delivery, settings, root }
    }

    async fn deliver(&self, text: &str, verdict: &Verdict, recipients: &[LocalRecipient]) -> Vec<String> {
        let results = self.delivery.deliver(&mail(text), verdict, recipients).await;
        let word = |result| match result {
            Ok(Outcome::Stored { folder, .. }) => folder,
            Ok(other) => panic!("{other:?}"),
            Err(refusal) => postrider::foundations::wire::smtp::Reply::from(&refusal).to_string(),
        };
        results.into_iter().map(word).collect()
    }

    /// The messages in `new/` of a folder, in no particular order.
    fn stored(&self, folder: &str) -> Vec<String> {
        let new = self.root.path().join("example.test").join(folder).join("new");
        let Ok(entries) = std::fs::read_dir(new) else { return Vec::new() };
        entries.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
    }
}

fn mail(text: &str) -> Mail {
    let at = SystemClock.now();
    Mail {
        id: MailId::generate(at),
        origin: Origin::internal(SessionId::generate(at), at),
        envelope: Envelope::plain(ReversePath::Address("eve@elsewhere.test".parse().unwrap()), Vec::new()),
        message: Message::new(text.to_owned()),
    }
}

fn to(account: &str, address: &str) -> LocalRecipient {
    let (account, address): (Address, Address) = (account.parse().unwrap(), address.parse().unwrap());
    let (_, tag) = address.split_tag('+');
    LocalRecipient { account, quota: None, tag, recipient: Recipient::plain(address) }
}

#[tokio::test]
async fn each_recipient_gets_a_copy_with_the_fields_of_final_delivery() {
    let world = World::new();
    let recipients = [to("ann@example.test", "ann@example.test"), to("bob@example.test", "sales@example.test")];
    let text = "Return-Path: <old@x.test>\r\nSubject: x\r\n\r\nbody\r\n";
    assert_eq!(world.deliver(text, &Verdict::accept(), &recipients).await, ["INBOX", "INBOX"]);
    let path = "Return-Path: <eve@elsewhere.test>\r\n";
    let ann = format!("{path}Delivered-To: ann@example.test\r\nSubject: x\r\n\r\nbody\r\n");
    assert_eq!(world.stored("ann"), [ann]);
    let fields = "Delivered-To: bob@example.test\r\nX-Original-To: sales@example.test\r\n";
    assert_eq!(world.stored("bob"), [format!("{path}{fields}Subject: x\r\n\r\nbody\r\n")]);
}

#[tokio::test]
async fn unwanted_mail_goes_to_its_folder() {
    let world = World::new();
    let verdict = Verdict { decision: Decision::Junk, ..Verdict::accept() };
    let recipients = [to("ann@example.test", "ann@example.test")];
    assert_eq!(world.deliver("x", &verdict, &recipients).await, ["Junk"]);
    assert_eq!((world.stored("ann").len(), world.stored("ann/.Junk").len()), (0, 1));
}

#[tokio::test]
async fn tags_name_folders_when_they_may() {
    let world = World::new();
    let recipients = [to("ann@example.test", "ann+lists@example.test")];
    for (tag_folder, wanted) in [
        (TagFolder::Ignore, "INBOX"),
        (TagFolder::Existing, "INBOX"),
        (TagFolder::Create, "lists"),
        (TagFolder::Existing, "lists"),
    ] {
        world.settings.set(DeliverySettings { tag_folder, ..DeliverySettings::default() });
        assert_eq!(world.deliver("x", &Verdict::accept(), &recipients).await, [wanted], "{tag_folder:?}");
    }
    // A tag that is no name of a folder.
    let recipients = [to("ann@example.test", "ann+//@example.test")];
    assert_eq!(world.deliver("x", &Verdict::accept(), &recipients).await, ["INBOX"]);
}

#[tokio::test]
async fn a_full_mailbox_does_not_keep_the_others_from_their_copy() {
    let world = World::new();
    let mut full = to("ann@example.test", "ann@example.test");
    full.quota = Some(ByteSize::bytes(10));
    let recipients = [full, to("bob@example.test", "bob@example.test")];
    let results = world.deliver("Subject: x\r\n\r\nlong enough\r\n", &Verdict::accept(), &recipients).await;
    assert_eq!(results, ["452 4.2.2 The mailbox is full", "INBOX"]);
    world.settings.set(DeliverySettings { over_quota: OverQuota::Refuse, ..DeliverySettings::default() });
    let results = world.deliver("Subject: x\r\n\r\nlong enough\r\n", &Verdict::accept(), &recipients).await;
    assert_eq!(results, ["552 5.2.2 The mailbox is full", "INBOX"]);
    assert_eq!((world.stored("ann").len(), world.stored("bob").len()), (0, 2));
}

#[tokio::test]
async fn mail_that_runs_in_a_circle_is_refused() {
    let world = World::new();
    let recipients = [to("ann@example.test", "ann@example.test")];
    let text = "Delivered-To: Ann@Example.test\r\n\r\n";
    assert!(world.deliver(text, &Verdict::accept(), &recipients).await[0].starts_with("554 5.4.6"));
    world.settings.set(DeliverySettings { circles: Circles::Ignore, ..DeliverySettings::default() });
    assert_eq!(world.deliver(text, &Verdict::accept(), &recipients).await, ["INBOX"]);
}
