//! Messages about events (iMIP, RFC 6047), shown to who enters them into calendars.

use std::sync::Arc;
use std::time::Duration;

use memchr::memmem;
use tokio::sync::Semaphore;

use super::identity::known_author;
use crate::foundations::address::{Address, Domain};
use crate::foundations::clock::SharedClock;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::mail::{Mail, Message};
use crate::foundations::settings::Live;
use crate::foundations::tasks::Tasks;
use crate::services::handover::InvitationReading;
use crate::storage::journal::Journal;

/// How long the answer to whoever has sent a message waits for that, so that calendars usually say what the mail in the inbox says. A
/// client that waited for many recipients, one after the other, would send all of them the message again.
const COURTESY: Duration = Duration::from_secs(1);
/// How long that may take. What takes longer is left to a click.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most kibibytes of messages that are read at the same time: they stay in memory as long.
const ROOM: usize = 64 << 10;

/// Who reads them.
#[derive(Clone)]
pub(super) struct Invitations {
    reader: Arc<dyn InvitationReading>,
    hostname: Live<Domain>,
    tasks: Tasks,
    room: Arc<Semaphore>,
    told: Told,
}

/// Where it is told what is left to a click.
#[derive(Clone)]
pub(super) struct Told {
    pub(super) journal: Journal,
    pub(super) clock: SharedClock,
}

impl Told {
    fn left(&self, mail: &Mail, (author, account): (&Address, &Address), reason: &str) {
        let event = Event::new(self.clock.now(), EventKind::CalendarMessage).session(mail.origin.session);
        let event = event.mail(mail.id).subject(account.to_string()).with("from", author.to_string());
        self.journal.record(event.with("reason", reason));
    }
}

impl Invitations {
    pub(super) fn new(reader: Arc<dyn InvitationReading>, hostname: Live<Domain>, tasks: Tasks, told: Told) -> Self {
        Self { reader, hostname, tasks, room: Arc::new(Semaphore::new(ROOM)), told }
    }

    /// Whether a message may have a part of the type text/calendar, as programs write that. Few have the word in it.
    pub(super) fn may_be_in(message: &Message) -> bool {
        let has = |text: &[u8]| {
            ["/calendar", "/CALENDAR", "/Calendar"].iter().any(|word| memmem::find(text, word.as_bytes()).is_some())
        };
        let [added, original] = message.pieces();
        has(original) || has(added)
    }

    /// Has a message read that its author is known to have written. What takes long goes on by itself.
    pub(super) async fn read(&self, mail: &Mail, account: &Address) {
        let Some(author) = known_author(mail, &self.hostname.get()) else { return };
        let kibibytes = u32::try_from((mail.message.len() / 1024 + 1).min(ROOM)).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(kibibytes) else {
            self.told.left(mail, (&author, account), "too many others are entered at the moment");
            return;
        };
        let (reader, mail, account) = (Arc::clone(&self.reader), mail.clone(), account.clone());
        let (tasks, told) = (self.tasks.clone(), self.told.clone());
        let reading = self.tasks.spawn(async move {
            let end = async {
                tasks.stopping().await;
                tokio::time::sleep(COURTESY).await;
            };
            tokio::select! {
                () = reader.read(&mail, &author, &account) => {}
                () = tokio::time::sleep(PATIENCE) => told.left(&mail, (&author, &account), "it took too long"),
                () = end => told.left(&mail, (&author, &account), "the server was stopping"),
            }
            drop(room);
        });
        if tokio::time::timeout(COURTESY, reading).await.is_err() {
            log::debug!("a calendar message that came by mail is entered later");
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use futures_util::future::BoxFuture;

    use super::*;
    use crate::foundations::address::ReversePath;
    use crate::foundations::clock::{SystemClock, Timestamp};
    use crate::foundations::ids::{MailId, SessionId};
    use crate::foundations::mail::{Envelope, Login, Origin};

    #[test]
    fn types_are_written_in_several_ways() {
        for (name, may_be) in
            [("text/calendar", true), ("TEXT/CALENDAR", true), ("Text/Calendar", true), ("text/x", false)]
        {
            let message = Message::new(format!("Content-Type: {name}\r\n\r\ncalendar\r\n"));
            assert_eq!(Invitations::may_be_in(&message), may_be, "{name}");
            assert_eq!(Invitations::may_be_in(&Message::new("x").with_prefix(message.original())), may_be, "{name}");
        }
    }

    struct Slow {
        begun: Semaphore,
        gate: Semaphore,
        ended: Semaphore,
    }

    impl InvitationReading for Slow {
        fn read<'a>(&'a self, _: &'a Mail, _: &'a Address, _: &'a Address) -> BoxFuture<'a, ()> {
            async move {
                self.begun.add_permits(1);
                self.gate.acquire().await.unwrap().forget();
                self.ended.add_permits(1);
            }
            .boxed()
        }
    }

    /// The client waited for each recipient's calendar, up to ten seconds.
    #[tokio::test]
    async fn who_sends_a_message_does_not_wait_for_calendars() {
        let at = Timestamp::from_unix_seconds(1);
        let author: Address = "bob@example.test".parse().unwrap();
        let mut mail = Mail {
            id: MailId::generate(at),
            origin: Origin::internal(SessionId::generate(at), at),
            envelope: Envelope::plain(ReversePath::Address(author.clone()), vec![]),
            message: Message::new("From: bob@example.test\r\n\r\nx\r\n"),
        };
        mail.origin.login = Some(Login::user(author.clone()));
        let none = || Semaphore::new(0);
        let slow = Arc::new(Slow { begun: none(), gate: none(), ended: none() });
        let hostname = Live::new("mail.example.test".parse().unwrap());
        let tasks = Tasks::new();
        let told = Told { journal: Journal::lines_only(), clock: Arc::new(SystemClock) };
        let journal = told.journal.clone();
        let mut invitations = Invitations::new(Arc::clone(&slow) as _, hostname, tasks.clone(), told);
        invitations.room = Arc::new(Semaphore::new(1));
        let soon = tokio::time::timeout(PATIENCE / 2, invitations.read(&mail, &author)).await;
        assert!(soon.is_ok() && slow.begun.available_permits() == 1 && slow.ended.available_permits() == 0);
        // There is room for so many. Others wait for a click, and it is told.
        assert_eq!(journal.counts().recorded, 0);
        invitations.read(&mail, &author).await;
        assert_eq!(journal.counts().recorded, 1);
        slow.gate.add_permits(1);
        let ended = tokio::time::timeout(PATIENCE / 2, slow.ended.acquire()).await;
        assert!(ended.is_ok() && slow.begun.available_permits() == 1);
        // No calendar keeps the server from stopping.
        invitations.room = Arc::new(Semaphore::new(1));
        invitations.read(&mail, &author).await;
        assert!(tasks.stop(PATIENCE / 2).await && slow.begun.available_permits() == 2);
        assert_eq!(journal.counts().recorded, 2);
    }
}
