//! Making the directory agree with the declaration.

use std::collections::HashMap;
use std::sync::Arc;

use super::change::{Change, Plan};
use super::compare::difference;
use super::passwords::{self, Compared, Prepared};
use super::{Declaration, DeclaredUser};
use crate::foundations::address::{Address, Domain};
use crate::foundations::clock::SharedClock;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::settings::Live;
use crate::services::login::{LoginSettings, Unusable};
use crate::services::routing::RoutingSettings;
use crate::storage::database;
use crate::storage::directory::{self, Directory, Edit, Everything, NewUser, Owner, PasswordOwner, Source, Standing};
use crate::storage::journal::Journal;

/// How often everything is begun again when others change the directory at the same time.
const ATTEMPTS: usize = 5;

/// The declaration could not be compared or put into force. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory failed.
    #[error(transparent)]
    Directory(#[from] directory::Error),
    /// A declared password cannot be stored.
    #[error("the declared password of {address} cannot be used: {because}")]
    Password {
        /// Whose.
        address: Address,
        /// Why.
        because: Unusable,
    },
    /// Others kept changing the directory.
    #[error("the directory was changed by others again and again while the declaration was compared with it")]
    Busy,
}

impl Error {
    /// Whether a concurrent run may have caused it.
    const fn is_collision(&self) -> bool {
        matches!(
            self,
            Self::Directory(
                directory::Error::Exists(_)
                    | directory::Error::Alike(_)
                    | directory::Error::Archived(_)
                    | directory::Error::NoUser(_)
                    | directory::Error::NoAlias(_)
                    | directory::Error::Database(database::Error::Conflict(_) | database::Error::Unique(_))
            )
        )
    }
}

/// The room. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Accounts {
    directory: Directory,
    journal: Journal,
    login: Live<LoginSettings>,
    routing: Live<RoutingSettings>,
    clock: ClockHandle,
}

#[derive(Clone)]
struct ClockHandle(SharedClock);

impl std::fmt::Debug for ClockHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl Accounts {
    /// Declared accounts over a directory. New passwords get the cost of the settings of logins.
    pub const fn new(
        directory: Directory,
        journal: Journal,
        login: Live<LoginSettings>,
        routing: Live<RoutingSettings>,
        clock: SharedClock,
    ) -> Self {
        Self { directory, journal, login, routing, clock: ClockHandle(clock) }
    }

    /// What [`Accounts::reconcile`] would change now. Changes nothing.
    pub async fn plan(&self, declaration: &Arc<Declaration>) -> Result<Plan, Error> {
        Ok(plan(declaration, self.directory.everything().await?, &self.routing.get()).await)
    }

    /// Makes the directory agree, in one transaction, and says what has changed. Each change is an event.
    pub async fn reconcile(&self, declaration: &Arc<Declaration>) -> Result<Plan, Error> {
        for _ in 0..ATTEMPTS {
            let now = Arc::new(self.directory.everything().await?);
            let compared = compare(declaration, &now).await;
            let plan = difference(declaration, &now, &compared, &self.routing.get());
            if plan.changes.is_empty() {
                return Ok(plan);
            }
            // Hashing is slow and must not happen inside the transaction.
            let prepared = self.prepare(declaration, &plan).await?;
            match self.apply(declaration, &plan, &compared, &prepared).await {
                Ok(Applied::Yes) => {
                    self.record(&plan);
                    return Ok(plan);
                }
                Ok(Applied::Changed) => {}
                Err(error) if error.is_collision() => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Busy)
    }

    async fn prepare(&self, declaration: &Arc<Declaration>, plan: &Plan) -> Result<HashMap<String, Prepared>, Error> {
        let cost = self.login.get().cost;
        let wanted: Vec<String> = plan
            .changes
            .iter()
            .filter(|change| {
                matches!(change, Change::AddUser { .. } | Change::SetPassword { .. } | Change::KeepPassword { .. })
            })
            .filter_map(|change| change.subject().parse::<Address>().ok())
            .map(|address| address.key())
            .collect();
        let declaration = Arc::clone(declaration);
        blocking(move || {
            let mut prepared = HashMap::new();
            for key in wanted {
                let Some(user) = declaration.users.get(&key) else { continue };
                let Some(password) = &user.password else { continue };
                let hash = passwords::prepare(password, cost)
                    .map_err(|because| Error::Password { address: user.address.clone(), because })?;
                prepared.insert(key, hash);
            }
            Ok(prepared)
        })
        .await
    }

    async fn apply(
        &self,
        declaration: &Declaration,
        plan: &Plan,
        compared: &Compared,
        prepared: &HashMap<String, Prepared>,
    ) -> Result<Applied, Error> {
        let mut edit = self.directory.edit().await?;
        let now = edit.everything().await?;
        if difference(declaration, &now, compared, &self.routing.get()) != *plan {
            return Ok(Applied::Changed);
        }
        for change in &plan.changes {
            step(&mut edit, change, declaration, prepared).await?;
        }
        edit.commit().await?;
        Ok(Applied::Yes)
    }

    fn record(&self, plan: &Plan) {
        for change in &plan.changes {
            let event = Event::new(self.clock.0.now(), EventKind::AccountChanged)
                .subject(change.subject())
                .with("by", "declaration")
                .with("change", change.words());
            self.journal.record(event);
        }
    }
}

/// What a declaration would change of what there is.
pub async fn plan(declaration: &Arc<Declaration>, now: Everything, routing: &RoutingSettings) -> Plan {
    let now = Arc::new(now);
    let compared = compare(declaration, &now).await;
    difference(declaration, &now, &compared, routing)
}

enum Applied {
    Yes,
    /// The directory has changed since the plan was made.
    Changed,
}

/// Runs something slow off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

async fn compare(declaration: &Arc<Declaration>, now: &Arc<Everything>) -> Compared {
    let (declaration, now) = (Arc::clone(declaration), Arc::clone(now));
    blocking(move || passwords::compare(&declaration, &now)).await
}

fn domain(text: &str) -> Result<Domain, directory::Error> {
    text.parse().map_err(|_| directory::Error::Invalid { what: "the domain", why: text.to_owned() })
}

fn source(text: &str) -> Result<Source, directory::Error> {
    Source::parse(text).ok_or_else(|| directory::Error::Invalid { what: "the alias", why: text.to_owned() })
}

async fn step(
    edit: &mut Edit,
    change: &Change,
    declaration: &Declaration,
    prepared: &HashMap<String, Prepared>,
) -> Result<(), Error> {
    match change {
        Change::AddDomain { domain: name } => {
            edit.add_domain(&domain(name)?, Owner::Declared).await?;
        }
        Change::TakeDomain { domain: name } => edit.set_domain_owner(&domain(name)?, Owner::Declared).await?,
        Change::ReleaseDomain { domain: name } => edit.set_domain_owner(&domain(name)?, Owner::Admin).await?,
        Change::RestoreDomain { domain: name } | Change::EnableDomain { domain: name } => {
            edit.set_domain(&domain(name)?, Standing::Enabled).await?;
        }
        Change::DisableDomain { domain: name } => edit.set_domain(&domain(name)?, Standing::Disabled).await?,
        Change::ArchiveDomain { domain: name } => {
            edit.archive_domain(&domain(name)?).await?;
        }
        Change::AddAlias { source: from, destination } => {
            edit.add_alias(&source(from)?, destination, Owner::Declared).await?;
        }
        Change::TakeAlias { id, .. } => edit.set_alias_owner(*id, Owner::Declared).await?,
        Change::EnableAlias { source: from, .. } => edit.set_alias(&source(from)?, Standing::Enabled).await?,
        Change::RemoveAlias { source: from, destination } => {
            edit.remove_alias(&source(from)?, Some(destination)).await?;
        }
        change => {
            let address: Address = change
                .subject()
                .parse()
                .map_err(|_| directory::Error::Invalid { what: "the address", why: change.subject().to_owned() })?;
            let user = declaration.users.get(&address.key());
            user_step(edit, change, &address, user, prepared.get(&address.key())).await?;
        }
    }
    Ok(())
}

async fn user_step(
    edit: &mut Edit,
    change: &Change,
    address: &Address,
    user: Option<&DeclaredUser>,
    prepared: Option<&Prepared>,
) -> Result<(), directory::Error> {
    let fingerprint = prepared.map(|prepared| prepared.fingerprint.as_str());
    match (change, user) {
        (Change::AddUser { .. }, Some(user)) => {
            let new = NewUser {
                address: address.clone(),
                password: prepared.map(|prepared| prepared.hash.clone()),
                password_owner: PasswordOwner::Declared,
                quota: user.quota,
                display_name: user.display_name.clone(),
                owner: Owner::Declared,
            };
            edit.add_user(&new).await?;
            edit.set_declared_password(address, fingerprint).await
        }
        (Change::SetPassword { .. }, Some(_)) => {
            if let Some(prepared) = prepared {
                edit.set_password(address, &prepared.hash, PasswordOwner::Declared).await?;
            }
            edit.set_declared_password(address, fingerprint).await
        }
        (Change::KeepPassword { .. }, Some(_)) => edit.set_declared_password(address, fingerprint).await,
        (Change::SetQuota { .. }, Some(user)) => edit.set_quota(address, user.quota).await,
        (Change::SetDisplayName { .. }, Some(user)) => {
            edit.set_display_name(address, user.display_name.as_deref()).await
        }
        (Change::TakeUser { .. }, _) => edit.set_user_owner(address, Owner::Declared).await,
        (Change::RestoreUser { .. } | Change::EnableUser { .. }, _) => edit.set_user(address, Standing::Enabled).await,
        (Change::DisableUser { .. }, _) => edit.set_user(address, Standing::Disabled).await,
        (Change::ArchiveUser { .. }, _) => edit.archive_user(address).await,
        _ => Ok(()),
    }
}
