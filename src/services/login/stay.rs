//! How long a session may stay: as long as its account and the password that opened it are valid.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::verify::Inner;
use super::{LoggedIn, Login, LoginSettings, Need, PasswordReach, Rehash};
use crate::foundations::address::{Address, InvalidAddress};
use crate::foundations::clock::Timestamp;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::ids::SessionId;
use crate::foundations::secret::Secret;
use crate::foundations::tasks::Tasks;
use crate::services::guard::Service;
use crate::storage::directory::{self, Account, Standings};

/// What a session was opened with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Credential {
    /// The account's password.
    Password {
        /// A digest of its hash.
        fingerprint: [u8; 32],
        /// When it was set.
        changed_at: Option<Timestamp>,
    },
    /// The password of a device, by its number.
    AppPassword(i64),
}

impl Credential {
    pub(super) fn password(account: &Account) -> Self {
        let (fingerprint, changed_at) = (fingerprint(&account.password), account.password_changed_at);
        Self::Password { fingerprint, changed_at }
    }
}

fn fingerprint(hash: &Secret<String>) -> [u8; 32] {
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(digest(&SHA256, hash.expose().as_bytes()).as_ref());
    fingerprint
}

/// The sessions of this process. There are no more than connections.
#[derive(Debug, Default)]
pub(super) struct Stays {
    numbers: AtomicU64,
    open: Mutex<HashMap<u64, Open>>,
}

#[derive(Debug, Clone)]
struct Open {
    user_id: i64,
    address: Address,
    credential: Credential,
    session: SessionId,
    service: Service,
    over: CancellationToken,
    until: Option<CancellationToken>,
}

/// A login on its way to another process of ours, which can check again whether it is still valid, as this one could.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Carried {
    user_id: i64,
    address: String,
    credential: Credential,
}

impl Carried {
    /// The account's address.
    ///
    /// # Errors
    /// It is none.
    pub fn address(&self) -> Result<Address, InvalidAddress> {
        self.address.parse()
    }
}

/// A session's right to be there.
#[derive(Debug)]
pub struct Stay {
    stays: Arc<Stays>,
    number: u64,
    over: CancellationToken,
}

impl Stay {
    /// A token that is cancelled when the session has to end: with `stop`, or because [`Stay::is_over`]. To be asked for
    /// once; of several, only the last is told of the latter.
    #[must_use]
    pub fn until(&self, stop: &CancellationToken) -> CancellationToken {
        let until = stop.child_token();
        match self.stays.open.lock().entry(self.number) {
            Entry::Occupied(mut open) => open.get_mut().until = Some(until.clone()),
            Entry::Vacant(_) => until.cancel(),
        }
        until
    }

    /// The login, for a process that goes on with the session; `None` when it is over.
    pub fn carry(&self) -> Option<Carried> {
        let open = self.stays.open.lock();
        let open = open.get(&self.number)?;
        let (user_id, address) = (open.user_id, open.address.to_string());
        Some(Carried { user_id, address, credential: open.credential.clone() })
    }

    /// Whether the session must end because its account or password is no longer valid.
    pub fn is_over(&self) -> bool {
        self.over.is_cancelled()
    }

    /// What the client of such a session is told.
    pub const FAREWELL: &str = "This login is no longer valid; log in again";
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.stays.open.lock().remove(&self.number);
    }
}

impl Stays {
    pub(super) fn enter(
        self: &Arc<Self>,
        account: &Account,
        credential: Credential,
        session: SessionId,
        service: Service,
    ) -> Stay {
        let (number, over) = (self.numbers.fetch_add(1, Ordering::Relaxed), CancellationToken::new());
        let (user_id, address) = (account.id, account.address.clone());
        let open = Open { user_id, address, credential, session, service, over: over.clone(), until: None };
        self.open.lock().insert(number, open);
        Stay { stays: Arc::clone(self), number, over }
    }

    /// Ends those for which `why` gives a reason.
    fn end(&self, why: impl Fn(&Open) -> Option<&'static str>) -> Vec<(Open, &'static str)> {
        let mut open = self.open.lock();
        let ended: Vec<(u64, &'static str)> =
            open.iter().filter_map(|(number, open)| why(open).map(|why| (*number, why))).collect();
        let ended: Vec<_> = ended.into_iter().filter_map(|(n, why)| open.remove(&n).map(|open| (open, why))).collect();
        drop(open);
        for (open, _) in &ended {
            // In this order: whoever wakes up asks whether it is over.
            open.over.cancel();
            if let Some(until) = &open.until {
                until.cancel();
            }
        }
        ended
    }

    /// The accounts and passwords of devices that sessions were opened with.
    fn numbers(&self) -> (Vec<i64>, Vec<i64>) {
        let open = self.open.lock();
        let mut accounts: Vec<i64> = open.values().map(|open| open.user_id).collect();
        let app_password = |open: &Open| match open.credential {
            Credential::AppPassword(id) => Some(id),
            Credential::Password { .. } => None,
        };
        let mut app_passwords: Vec<i64> = open.values().filter_map(app_password).collect();
        for ids in [&mut accounts, &mut app_passwords] {
            ids.sort_unstable();
            ids.dedup();
        }
        (accounts, app_passwords)
    }
}

impl Open {
    /// Why it has to end.
    fn is_out(&self, standings: &Standings, settings: &LoginSettings) -> Option<&'static str> {
        let Some(account) = standings.account(self.user_id) else { return Some("account removed") };
        if !account.is_open {
            return Some("account or domain disabled");
        }
        match self.credential {
            Credential::AppPassword(id) => (!standings.has_app_password(id)).then_some("app password revoked"),
            Credential::Password { fingerprint: known, changed_at } => {
                // A login may have replaced the hash by a stronger one of the same password, which sets no time.
                let is_strengthened = settings.rehash == Rehash::Weaker && changed_at == account.password_changed_at;
                if fingerprint(&account.password) != known && !is_strengthened {
                    return Some("password changed");
                }
                let need = Need::of(account.two_factor_since, self.address.domain(), settings);
                let is_enough = need == Need::Nothing || settings.password_with_two_factor == PasswordReach::Everything;
                (!is_enough).then_some("two-factor login turned on")
            }
        }
    }
}

/// Shortest time between two looks.
const BREATH: Duration = Duration::from_millis(100);

impl Login {
    /// Goes on with a session that another process has let in, if its login is still valid.
    ///
    /// # Errors
    /// It is not, or that cannot be known now.
    pub async fn resume(&self, carried: &Carried, session: SessionId, service: Service) -> Result<LoggedIn, Refusal> {
        let inner = &self.0;
        let over = |why: &'static str| Refusal::new(Kind::AuthenticationFailed, Stay::FAREWELL).because(why);
        let address = carried.address().map_err(|_| over("not an address"))?;
        let account = inner.directory.account_now(&address).await.map_err(Refusal::temporary)?;
        let account = account.filter(|account| account.id == carried.user_id);
        let account = account.ok_or_else(|| over("account removed"))?;
        let app_passwords: Vec<i64> = match carried.credential {
            Credential::AppPassword(id) => vec![id],
            Credential::Password { .. } => vec![],
        };
        // Counted before it is asked about, so that no change in between goes unnoticed.
        let stay = inner.stays.enter(&account, carried.credential.clone(), session, service);
        let standings = inner.directory.standings(&[account.id], &app_passwords).await.map_err(Refusal::temporary)?;
        let open = inner.stays.open.lock().get(&stay.number).cloned();
        let settings = inner.settings.get();
        match open.map(|open| open.is_out(&standings, &settings)) {
            Some(None) => Ok(LoggedIn { address: account.address, stay }),
            Some(Some(why)) => Err(over(why)),
            None => Err(over("ended meanwhile")),
        }
    }

    /// Keeps checking whether open sessions may stay, and ends those that may not.
    pub async fn watch_over(self, tasks: Tasks) {
        loop {
            let rest = self.0.settings.get().look_again.duration().max(BREATH);
            tokio::select! {
                () = tasks.stopping() => return,
                _ = tokio::time::timeout(rest, self.0.directory.changed()) => {}
            }
            if let Err(error) = self.0.look_again().await {
                log::warn!(cause:% = error; "Cannot check whether the accounts of open sessions are still valid");
            }
            tokio::select! {
                () = tasks.stopping() => return,
                () = tokio::time::sleep(BREATH) => {}
            }
        }
    }
}

impl Inner {
    async fn look_again(&self) -> Result<(), directory::Error> {
        let (accounts, app_passwords) = self.stays.numbers();
        if accounts.is_empty() {
            return Ok(());
        }
        let standings = self.directory.standings(&accounts, &app_passwords).await?;
        let settings = self.settings.get();
        // One that began while the database was asked was not asked for; it was looked up a moment ago itself.
        let ended = self.stays.end(|open| {
            let asked = accounts.binary_search(&open.user_id).is_ok()
                && match open.credential {
                    Credential::AppPassword(id) => app_passwords.binary_search(&id).is_ok(),
                    Credential::Password { .. } => true,
                };
            asked.then(|| open.is_out(&standings, &settings)).flatten()
        });
        for (open, why) in ended {
            let event = Event::new(self.clock.now(), EventKind::LoginEnded).session(open.session);
            let event = event.subject(open.address.to_string()).with("service", open.service.word());
            self.journal.record(event.with("reason", why));
        }
        Ok(())
    }
}
