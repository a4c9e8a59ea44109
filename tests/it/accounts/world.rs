//! The environment of the account tests: a directory over a fresh database, with a clock the test can move.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use postrider::foundations::address::{Address, Domain};
use postrider::foundations::clock::{Clock, SharedClock, Timestamp};
use postrider::foundations::settings::{ByteSize, Live};
use postrider::foundations::tasks::Tasks;
use postrider::storage::database::Database;
use postrider::storage::directory::{Directory, DirectorySettings, NewUser, Owner, Source};

use crate::harness;

/// A clock that stands still until it is moved. Sleepers wait for ever.
#[derive(Debug)]
pub(crate) struct Hand(AtomicI64);

impl Hand {
    pub(crate) fn advance(&self, span: Duration) {
        self.0.fetch_add(i64::try_from(span.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_micros(self.0.load(Ordering::SeqCst))
    }

    fn sleep_until(&self, _: Timestamp) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::pending())
    }
}

pub(crate) struct World {
    pub(crate) directory: Directory,
    pub(crate) clock: Arc<Hand>,
    pub(crate) tasks: Tasks,
}

impl World {
    pub(crate) fn new(database: Database) -> Self {
        let clock = Arc::new(Hand(AtomicI64::new(1_800_000_000_000_000)));
        let tasks = Tasks::new();
        let shared: SharedClock = clock.clone();
        let directory = Directory::open(database, Live::new(DirectorySettings::default()), shared, &tasks);
        Self { directory, clock, tasks }
    }

    pub(crate) fn shared_clock(&self) -> SharedClock {
        self.clock.clone()
    }

    /// Domains with users; every user's password is `{BLF-CRYPT}` of `pencil`, cost 4.
    pub(crate) async fn users(&self, addresses: &[&str]) {
        let mut edit = self.directory.edit().await.unwrap();
        for text in addresses {
            let user = user(text);
            match edit.add_domain(user.address.domain(), Owner::Admin).await {
                Ok(_) | Err(postrider::storage::directory::Error::Exists(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
            edit.add_user(&user).await.unwrap();
        }
        edit.commit().await.unwrap();
    }

    pub(crate) async fn aliases(&self, rows: &[(&str, &str)]) {
        let mut edit = self.directory.edit().await.unwrap();
        for (source, destination) in rows {
            edit.add_alias(&Source::parse(source).unwrap(), destination, Owner::Admin).await.unwrap();
        }
        edit.commit().await.unwrap();
    }
}

pub(crate) fn user(text: &str) -> NewUser {
    NewUser { quota: Some(ByteSize::mib(10)), ..harness::user(text) }
}

pub(crate) fn address(text: &str) -> Address {
    text.parse().unwrap()
}

pub(crate) fn domain(text: &str) -> Domain {
    text.parse().unwrap()
}
