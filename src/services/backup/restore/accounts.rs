//! Accounts that no longer exist when their mail is restored.

use std::collections::HashSet;

use super::Selection;
use super::saved_rows::{Row, number, table, text};
use crate::foundations::address::{Address, Domain};
use crate::foundations::clock::Timestamp;
use crate::foundations::secret::Secret;
use crate::foundations::settings::ByteSize;
use crate::services::backup::Error;
use crate::services::backup::repository::{Repository, Snapshot, UserEntry};
use crate::storage::directory::{
    self, Account, Directory, Edit, NewAppPassword, NewUser, Owner, PasswordOwner, Scopes, Source, Standing, listed,
};

/// An account that was created again.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AccountRestored {
    /// Its address.
    pub address: Address,
    /// Whether its domain had been missing, too.
    pub domain: bool,
    /// Whether it has its old password.
    pub password: bool,
    /// The most its mail may take.
    #[serde(serialize_with = "shown")]
    pub quota: Option<ByteSize>,
    /// Whether it may log in.
    pub enabled: bool,
    /// Aliases that lead to it or from it, as `source -> destination`.
    pub aliases: Vec<String>,
}

fn shown<S: serde::Serializer>(quota: &Option<ByteSize>, s: S) -> Result<S::Ok, S::Error> {
    match quota {
        Some(quota) => s.collect_str(quota),
        None => s.serialize_none(),
    }
}

/// The selected users who had an account, with or without mail. An archived one is included only when it is
/// named or had mail.
///
/// # Errors
/// An object is missing or damaged.
pub fn saved_accounts(
    repository: &Repository,
    snapshot: &Snapshot,
    selection: &Selection,
) -> Result<Vec<Address>, Error> {
    let states = table(repository, snapshot, "user_state")?;
    let archived: HashSet<i64> = states
        .iter()
        .filter(|state| number(state, "archived_at").is_some())
        .filter_map(|state| number(state, "user_id"))
        .collect();
    let with_mail: HashSet<String> = snapshot.users.iter().map(UserEntry::address).collect();
    let mut found = Vec::new();
    for row in table(repository, snapshot, "virtual_users")? {
        let Some(address) = text(&row, "email").and_then(|email| email.parse::<Address>().ok()) else { continue };
        let is_archived = number(&row, "id").is_some_and(|id| archived.contains(&id));
        let is_meant = !is_archived || selection.user.is_some() || with_mail.contains(&address.key());
        if is_meant && selection.takes_account(&address) {
            found.push(address);
        }
    }
    Ok(found)
}

/// Those among the accounts of [`saved_accounts`] that no longer exist here.
///
/// # Errors
/// An object is missing or damaged, or the database fails.
pub async fn missing_accounts(
    repository: &Repository,
    snapshot: &Snapshot,
    selection: &Selection,
    directory: &Directory,
) -> Result<Vec<Address>, Error> {
    let mut missing = Vec::new();
    for address in saved_accounts(repository, snapshot, selection)? {
        if directory.account_now(&address).await?.is_none() {
            missing.push(address);
        }
    }
    Ok(missing)
}

/// Creates the selected users' accounts again if they no longer exist here: with password, second factor, app passwords, quota, name
/// and aliases, and with their domain if that is missing, too. Existing accounts stay as they are, even if disabled or archived.
///
/// # Errors
/// An object is missing or damaged, or the database fails or refuses; then no account was made.
pub async fn restore_missing_accounts(
    repository: &Repository,
    snapshot: &Snapshot,
    selection: &Selection,
    directory: &Directory,
) -> Result<Vec<AccountRestored>, Error> {
    let missing = missing_accounts(repository, snapshot, selection, directory).await?;
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let saved = Saved {
        users: table(repository, snapshot, "virtual_users")?,
        user_states: table(repository, snapshot, "user_state")?,
        aliases: table(repository, snapshot, "virtual_aliases")?,
        alias_states: table(repository, snapshot, "alias_state")?,
        two_factor: table(repository, snapshot, "two_factor")?,
        recovery_codes: table(repository, snapshot, "recovery_codes")?,
        app_passwords: table(repository, snapshot, "app_passwords")?,
    };
    let mut edit = directory.edit().await?;
    let mut domains: Vec<Domain> = edit.everything().await?.domains.into_iter().map(|domain| domain.name).collect();
    let mut restored = Vec::new();
    for address in missing {
        let Some(SavedUser { user, id, is_enabled }) = saved.user(&address) else { continue };
        let is_new_domain = !domains.contains(address.domain());
        if is_new_domain {
            edit.add_domain(address.domain(), Owner::Admin).await?;
            domains.push(address.domain().clone());
        }
        let user_id = edit.add_user(&user).await?;
        saved.put_credentials_back(&mut edit, id, user_id).await?;
        if !is_enabled {
            edit.set_user(&address, Standing::Disabled).await?;
        }
        let mut aliases = Vec::new();
        for (source, destination) in saved.aliases_of(&address) {
            if !domains.contains(source.domain()) {
                continue;
            }
            match edit.add_alias(&source, destination, Owner::Admin).await {
                Ok(_) => aliases.push(format!("{source} -> {destination}")),
                Err(directory::Error::Exists(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let (password, quota) = (user.password.is_some(), user.quota);
        restored.push(AccountRestored {
            address,
            domain: is_new_domain,
            password,
            quota,
            enabled: is_enabled,
            aliases,
        });
    }
    edit.commit().await?;
    Ok(restored)
}

/// The tables of accounts in a backup.
struct Saved {
    users: Vec<Row>,
    user_states: Vec<Row>,
    aliases: Vec<Row>,
    alias_states: Vec<Row>,
    two_factor: Vec<Row>,
    recovery_codes: Vec<Row>,
    app_passwords: Vec<Row>,
}

/// A user in a backup.
struct SavedUser {
    /// In the form to be added.
    user: NewUser,
    /// Its number in the backup.
    id: i64,
    /// Whether it could log in.
    is_enabled: bool,
}

impl Saved {
    /// The second factor and the app passwords of a user: a restored account is protected as it was.
    async fn put_credentials_back(&self, edit: &mut Edit, id: i64, user_id: i64) -> Result<(), Error> {
        let own = |row: &&Row| number(row, "user_id") == Some(id);
        for row in self.two_factor.iter().filter(own) {
            let (Some(secret), Some(since)) = (text(row, "secret"), number(row, "confirmed_at")) else { continue };
            let used = number(row, "last_step").unwrap_or_default();
            let secret = Secret::new(secret.to_owned());
            edit.put_two_factor_back(user_id, &secret, Timestamp::from_unix_micros(since), used).await?;
            let codes = self.recovery_codes.iter().filter(own).filter_map(|row| text(row, "digest").map(str::to_owned));
            edit.set_recovery_codes(user_id, &codes.collect::<Vec<_>>()).await?;
        }
        for row in self.app_passwords.iter().filter(own) {
            let (Some(name), Some(digest)) = (text(row, "name"), text(row, "digest")) else { continue };
            let Some(scopes) = text(row, "scopes").and_then(Scopes::parse) else { continue };
            let ends_at = number(row, "ends_at").map(Timestamp::from_unix_micros);
            let new = NewAppPassword { name: name.to_owned(), digest: digest.to_owned(), scopes, ends_at };
            edit.put_app_password_back(user_id, &new).await?;
        }
        Ok(())
    }

    /// A user; `None` when it had no account.
    fn user(&self, address: &Address) -> Option<SavedUser> {
        let key = address.key();
        let is_it = |row: &&Row| text(row, "email").is_some_and(|email| email.eq_ignore_ascii_case(&key));
        let row = self.users.iter().find(is_it)?;
        let state = self.user_states.iter().find(|state| number(state, "user_id") == number(row, "id"));
        let word = |name| state.and_then(|state| text(state, name));
        let password = text(row, "password").filter(|hash| !hash.is_empty() && *hash != Account::NO_PASSWORD);
        let mebibytes = number(row, "quota_mb").and_then(|mebibytes| u64::try_from(mebibytes).ok());
        let was_removed = state.is_some_and(|state| number(state, "archived_at").is_some());
        let user = NewUser {
            address: address.clone(),
            password: password.map(|hash| Secret::new(hash.to_owned())),
            password_owner: word("password_owner").and_then(PasswordOwner::from_word).unwrap_or(PasswordOwner::User),
            quota: mebibytes.filter(|mebibytes| *mebibytes > 0).map(ByteSize::mib),
            display_name: word("display_name").map(str::to_owned),
            owner: Owner::Admin,
        };
        let is_enabled = number(row, "enabled") != Some(0) && !was_removed;
        Some(SavedUser { user, id: number(row, "id")?, is_enabled })
    }

    /// The aliases in use that lead to a user or from it.
    fn aliases_of<'a>(&'a self, address: &Address) -> Vec<(Source, &'a str)> {
        let key = address.key();
        let mut found = Vec::new();
        for row in &self.aliases {
            let (Some(from), Some(destinations)) = (text(row, "source"), text(row, "destination")) else { continue };
            let Some(source) = Source::parse(from) else { continue };
            let state = self.alias_states.iter().find(|state| number(state, "alias_id") == number(row, "id"));
            if state.is_some_and(|state| number(state, "enabled") == Some(0)) {
                continue;
            }
            for destination in listed(destinations) {
                let leads_here = destination.parse::<Address>().is_ok_and(|to| to.key() == key);
                if leads_here || source.key() == key {
                    found.push((source.clone(), destination));
                }
            }
        }
        found
    }
}
