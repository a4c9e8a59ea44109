//! Changing the directory.

use super::look_up::{Directory, Reader, find_account, find_domain};
use super::{Account, DomainEntry, Error, Everything, Owner, PasswordOwner, Source, Standing};
use crate::foundations::address::{Address, Domain, LocalPart};
use crate::foundations::clock::Timestamp;
use crate::foundations::secret::Secret;
use crate::foundations::settings::ByteSize;
use crate::storage::database::{self, Absent, Dialect, Sql, Transaction, Val};

/// Longest text of a column of the seed's tables, in characters.
const LONGEST: usize = 255;

/// Changes that happen together. Dropped without [`Edit::commit`] none of them happens. After an error of kind
/// `Temporary` or `Exists` it can only be dropped.
#[derive(Debug)]
pub struct Edit {
    pub(super) transaction: Transaction,
    directory: Directory,
    pub(super) now: Timestamp,
}

/// A user to be created.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Its address. The domain must exist.
    pub address: Address,
    /// The password's hash with its scheme; without one the user cannot log in yet.
    pub password: Option<Secret<String>>,
    /// Who has set the password.
    pub password_owner: PasswordOwner,
    /// The quota, rounded up to whole mebibytes; `None` for no limit.
    pub quota: Option<ByteSize>,
    /// The display name.
    pub display_name: Option<String>,
    /// The authority over the account.
    pub owner: Owner,
}

impl Directory {
    /// Begins a change.
    pub async fn edit(&self) -> Result<Edit, Error> {
        let transaction = self.0.database.begin().await?;
        Ok(Edit { transaction, directory: self.clone(), now: self.0.clock.now() })
    }
}

pub(super) fn fits(what: &'static str, text: &str) -> Result<(), Error> {
    let why = match text.chars().count() {
        length if length > LONGEST => format!("it has {length} characters; at most {LONGEST} are allowed"),
        _ if text.contains(char::is_control) => "it holds a control character".to_owned(),
        _ => return Ok(()),
    };
    Err(Error::Invalid { what, why })
}

/// Whether an address can be a user's.
pub(super) fn can_be_a_user(address: &Address) -> Result<(), Error> {
    if !address.is_taken_everywhere() {
        let why = format!("at most {} octets are allowed before the @", LocalPart::TAKEN_EVERYWHERE);
        return Err(Error::Invalid { what: "the address", why });
    }
    fits("the address", &address.key())
}

/// Whole mebibytes for `quota_mb`; 0 means no limit.
fn quota_column(quota: Option<ByteSize>) -> Result<Val, Error> {
    let mebibytes = quota.map_or(0, |size| size.get().div_ceil(1 << 20));
    match i32::try_from(mebibytes) {
        Ok(0) if quota.is_some() => {
            Err(Error::Invalid { what: "the quota", why: "0 would mean no limit; leave it out instead".to_owned() })
        }
        Ok(column) => Ok(column.into()),
        Err(_) => Err(Error::Invalid { what: "the quota", why: "at most 2047T is allowed".to_owned() }),
    }
}

pub(super) fn exists(what: &impl ToString) -> impl FnOnce(database::Error) -> Error {
    let what = what.to_string();
    move |error| match error {
        database::Error::Unique(_) => Error::Exists(what),
        other => Error::Database(other),
    }
}

/// When no such user was found: on MariaDB the collation then most likely matches a different one.
pub(super) fn alike(key: &str, dialect: Dialect) -> impl FnOnce(database::Error) -> Error {
    let key = key.to_owned();
    move |error| match (error, dialect) {
        (database::Error::Unique(_), Dialect::MySql) => Error::Alike(key),
        (error, _) => exists(&key)(error),
    }
}

impl Edit {
    /// Makes all the changes permanent; every remembered answer is forgotten.
    pub async fn commit(self) -> Result<(), Error> {
        let result = self.transaction.commit().await;
        // Even after an error: the commit may have taken effect.
        self.directory.forget();
        Ok(result?)
    }

    /// Everything as this transaction sees it.
    pub async fn everything(&mut self) -> Result<Everything, Error> {
        super::list::everything(&mut self.reader(), "").await
    }

    /// Adds a domain.
    pub async fn add_domain(&mut self, name: &Domain, owner: Owner) -> Result<i64, Error> {
        fits("the domain", name.as_str())?;
        if let Some(known) = find_domain(&mut self.reader(), name).await? {
            let name = name.to_string();
            return Err(if known.archived_at.is_some() { Error::Archived(name) } else { Error::Exists(name) });
        }
        let values = [name.as_str().into()];
        let id = self.transaction.insert("virtual_domains", &["name"], &values).await.map_err(exists(name))?;
        self.set_domain_state(id, "owner", owner.word().into()).await?;
        Ok(id)
    }

    /// Enables or disables a domain. Enabling brings a removed one back, but not its users: see
    /// [`Edit::restore_domain`].
    pub async fn set_domain(&mut self, name: &Domain, standing: Standing) -> Result<(), Error> {
        let id = self.domain(name).await?.id;
        if standing == Standing::Enabled {
            self.set_domain_state(id, "archived_at", Val::Null(Absent::Int)).await?;
        }
        self.set_domain_state(id, "enabled", standing.stored().into()).await
    }

    /// Sets the authority over a domain.
    pub async fn set_domain_owner(&mut self, name: &Domain, owner: Owner) -> Result<(), Error> {
        let id = self.domain(name).await?.id;
        self.set_domain_state(id, "owner", owner.word().into()).await
    }

    /// Removes a domain: it and its users are archived, nothing is deleted. Returns the addresses of these users.
    /// Disabled users only stay disabled, so that they do not come back with the domain.
    pub async fn archive_domain(&mut self, name: &Domain) -> Result<Vec<String>, Error> {
        let domain = self.domain(name).await?;
        let sql = "SELECT u.id, u.email FROM virtual_users u LEFT JOIN user_state s ON s.user_id = u.id \
             WHERE u.domain_id = ? AND s.archived_at IS NULL AND COALESCE(u.enabled, ?) = ?";
        let enabled = Val::from(Standing::Enabled.stored());
        let users = self.transaction.fetch_all(sql, &[domain.id.into(), enabled.clone(), enabled]).await?;
        let mut archived = Vec::with_capacity(users.len());
        for user in &users {
            self.archive(user.int(0)?).await?;
            archived.push(user.text(1)?);
        }
        self.set_domain_state(domain.id, "archived_at", self.now.into()).await?;
        Ok(archived)
    }

    /// Enables a domain; a removed one comes back with the users who were archived with it. Returns the addresses of
    /// these users.
    pub async fn restore_domain(&mut self, name: &Domain) -> Result<Vec<String>, Error> {
        let domain = self.domain(name).await?;
        let sql = "SELECT u.id, u.email FROM virtual_users u JOIN user_state s ON s.user_id = u.id \
             WHERE u.domain_id = ? AND s.archived_at = ?";
        let users = match domain.archived_at {
            Some(at) => self.transaction.fetch_all(sql, &[domain.id.into(), at.into()]).await?,
            None => Vec::new(),
        };
        let mut restored = Vec::with_capacity(users.len());
        for user in &users {
            self.enable(user.int(0)?).await?;
            restored.push(user.text(1)?);
        }
        self.set_domain(name, Standing::Enabled).await?;
        Ok(restored)
    }

    /// Adds a user.
    pub async fn add_user(&mut self, user: &NewUser) -> Result<i64, Error> {
        let key = user.address.key();
        can_be_a_user(&user.address)?;
        let domain = self.domain(user.address.domain()).await?;
        if let Some(known) = find_account(&mut self.reader(), &key).await? {
            return Err(if known.archived_at.is_some() { Error::Archived(key) } else { Error::Exists(key) });
        }
        let password = user.password.as_ref().map_or(Account::NO_PASSWORD, |hash| hash.expose());
        fits("the password's hash", password)?;
        let columns = ["domain_id", "email", "password", "quota_mb", "enabled"];
        let values = [domain.id.into(), key.as_str().into(), password.into(), quota_column(user.quota)?, Val::Int(1)];
        let dialect = self.transaction.dialect();
        let id = self.transaction.insert("virtual_users", &columns, &values).await.map_err(alike(&key, dialect))?;
        let state = self.transaction.dialect().upsert(
            "user_state",
            &["user_id"],
            &["owner", "display_name", "password_owner", "password_changed_at"],
        );
        let set = user.password.as_ref();
        let values = [
            id.into(),
            user.owner.word().into(),
            user.display_name.clone().into(),
            set.map(|_| user.password_owner.word()).into(),
            set.map(|_| self.now).into(),
        ];
        self.transaction.execute(state, &values).await?;
        Ok(id)
    }

    /// Enables or disables a user. Enabling brings a removed one back, with its mail.
    pub async fn set_user(&mut self, address: &Address, standing: Standing) -> Result<(), Error> {
        let id = self.user(address).await?.id;
        match standing {
            Standing::Enabled => self.enable(id).await,
            Standing::Disabled => self.set_user_enabled(id, standing).await,
        }
    }

    /// Removes a user: it is disabled and archived, its rows and mail are kept.
    pub async fn archive_user(&mut self, address: &Address) -> Result<(), Error> {
        let account = self.user(address).await?;
        self.archive(account.id).await
    }

    /// Gives a user a new password (its hash, with the scheme).
    pub async fn set_password(
        &mut self,
        address: &Address,
        hash: &Secret<String>,
        owner: PasswordOwner,
    ) -> Result<(), Error> {
        fits("the password's hash", hash.expose())?;
        let id = self.user(address).await?.id;
        let values = [hash.expose().into(), id.into()];
        self.transaction.execute("UPDATE virtual_users SET password = ? WHERE id = ?", &values).await?;
        self.transaction.execute("DELETE FROM remembered_browsers WHERE user_id = ?", &[id.into()]).await?;
        self.set_user_state(id, "password_owner", owner.word().into()).await?;
        self.set_user_state(id, "password_changed_at", self.now.into()).await
    }

    /// Gives a password to a user who has none and is not archived; returns whether it did.
    pub async fn set_missing_password(
        &mut self,
        address: &Address,
        hash: &Secret<String>,
        owner: PasswordOwner,
    ) -> Result<bool, Error> {
        let account = self.user(address).await?;
        let is_missing = !account.has_password() && account.archived_at.is_none();
        if is_missing {
            self.set_password(address, hash, owner).await?;
        }
        Ok(is_missing)
    }

    /// Replaces a hash by a stronger one of the same password, unless the password has been changed in between.
    pub async fn strengthen_password(&mut self, account: &Account, hash: &Secret<String>) -> Result<bool, Error> {
        fits("the password's hash", hash.expose())?;
        let values = [hash.expose().into(), account.id.into(), account.password.expose().into()];
        let sql = "UPDATE virtual_users SET password = ? WHERE id = ? AND password = ?";
        Ok(self.transaction.execute(sql, &values).await? == 1)
    }

    /// Records which declared password has been applied.
    pub async fn set_declared_password(&mut self, address: &Address, fingerprint: Option<&str>) -> Result<(), Error> {
        let id = self.user(address).await?.id;
        self.set_user_state(id, "declared_password", fingerprint.into()).await
    }

    /// Sets a user's quota, rounded up to whole mebibytes; `None` for no limit.
    pub async fn set_quota(&mut self, address: &Address, quota: Option<ByteSize>) -> Result<(), Error> {
        let id = self.user(address).await?.id;
        let values = [quota_column(quota)?, id.into()];
        self.transaction.execute("UPDATE virtual_users SET quota_mb = ? WHERE id = ?", &values).await?;
        Ok(())
    }

    /// Sets a user's display name.
    pub async fn set_display_name(&mut self, address: &Address, name: Option<&str>) -> Result<(), Error> {
        fits("the name", name.unwrap_or_default())?;
        let id = self.user(address).await?.id;
        self.set_user_state(id, "display_name", name.into()).await
    }

    /// Sets the authority over a user.
    pub async fn set_user_owner(&mut self, address: &Address, owner: Owner) -> Result<(), Error> {
        let id = self.user(address).await?.id;
        self.set_user_state(id, "owner", owner.word().into()).await
    }

    /// Adds one destination to an alias: an address here or elsewhere, or `@domain`. The source's domain must exist.
    pub async fn add_alias(&mut self, source: &Source, destination: &str, owner: Owner) -> Result<i64, Error> {
        let key = source.key();
        fits("the alias", &key)?;
        let destination = match Source::parse(destination) {
            Some(Source::Address(address)) => address.to_string(),
            Some(domain @ Source::CatchAll(_)) => domain.key(),
            None => {
                let why = format!("`{destination}` is neither name@domain nor @domain");
                return Err(Error::Invalid { what: "the destination", why });
            }
        };
        fits("the destination", &destination)?;
        let domain = self.domain(source.domain()).await?;
        if self.alias_rows(&key).await?.iter().any(|(_, known)| same_destination(known, &destination)) {
            return Err(Error::Exists(format!("{source} -> {destination}")));
        }
        let values = [domain.id.into(), key.into(), destination.into()];
        let id = self.transaction.insert("virtual_aliases", &["domain_id", "source", "destination"], &values).await?;
        self.set_alias_state(id, "owner", owner.word().into()).await?;
        Ok(id)
    }

    /// Removes one destination of an alias, or all of them. Returns the number of rows.
    pub async fn remove_alias(&mut self, source: &Source, destination: Option<&str>) -> Result<usize, Error> {
        let mut removed = 0;
        for (id, known) in self.alias_rows(&source.key()).await? {
            if destination.is_none_or(|wanted| same_destination(&known, wanted)) {
                self.transaction.execute("DELETE FROM virtual_aliases WHERE id = ?", &[id.into()]).await?;
                removed += 1;
            }
        }
        match destination {
            _ if removed > 0 => Ok(removed),
            Some(destination) => Err(Error::NoAlias(format!("{source} to {destination}"))),
            None => Err(Error::NoAlias(source.to_string())),
        }
    }

    /// Enables or disables an alias with all its destinations.
    pub async fn set_alias(&mut self, source: &Source, standing: Standing) -> Result<(), Error> {
        let rows = self.alias_rows(&source.key()).await?;
        if rows.is_empty() {
            return Err(Error::NoAlias(source.to_string()));
        }
        for (id, _) in rows {
            self.set_alias_state(id, "enabled", standing.stored().into()).await?;
        }
        Ok(())
    }

    /// Sets the authority over one row of an alias.
    pub async fn set_alias_owner(&mut self, id: i64, owner: Owner) -> Result<(), Error> {
        self.set_alias_state(id, "owner", owner.word().into()).await
    }

    pub(super) fn reader(&mut self) -> Reader<'_> {
        Reader::Transaction(&mut self.transaction)
    }

    pub(super) async fn domain(&mut self, name: &Domain) -> Result<DomainEntry, Error> {
        find_domain(&mut self.reader(), name).await?.ok_or_else(|| Error::NoDomain(name.clone()))
    }

    pub(super) async fn user(&mut self, address: &Address) -> Result<Account, Error> {
        find_account(&mut self.reader(), &address.key()).await?.ok_or_else(|| Error::NoUser(address.clone()))
    }

    pub(super) async fn alias_rows(&mut self, key: &str) -> Result<Vec<(i64, String)>, Error> {
        let column = self.transaction.dialect().folded("source");
        let sql = format!("SELECT id, source, destination FROM virtual_aliases WHERE {column} = ? ORDER BY id");
        let rows = self.transaction.fetch_all(Sql::assembled(sql), &[key.into()]).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            if super::entry::key_of(&row.text(1)?).is_some_and(|source| source == key) {
                found.push((row.int(0)?, row.text(2)?));
            }
        }
        Ok(found)
    }

    async fn archive(&mut self, id: i64) -> Result<(), Error> {
        self.set_user_enabled(id, Standing::Disabled).await?;
        self.set_user_state(id, "archived_at", self.now.into()).await
    }

    async fn enable(&mut self, id: i64) -> Result<(), Error> {
        self.set_user_state(id, "archived_at", Val::Null(Absent::Int)).await?;
        self.set_user_enabled(id, Standing::Enabled).await
    }

    async fn set_user_enabled(&mut self, id: i64, standing: Standing) -> Result<(), Error> {
        let values = [standing.stored().into(), id.into()];
        self.transaction.execute("UPDATE virtual_users SET enabled = ? WHERE id = ?", &values).await?;
        Ok(())
    }

    async fn set_domain_state(&mut self, id: i64, column: &str, value: Val) -> Result<(), Error> {
        self.set_state("domain_state", "domain_id", id, column, value).await
    }

    async fn set_user_state(&mut self, id: i64, column: &str, value: Val) -> Result<(), Error> {
        self.set_state("user_state", "user_id", id, column, value).await
    }

    async fn set_alias_state(&mut self, id: i64, column: &str, value: Val) -> Result<(), Error> {
        self.set_state("alias_state", "alias_id", id, column, value).await
    }

    /// Sets one column of our row beside a row of the seed's; the row is made when it is missing.
    async fn set_state(&mut self, table: &str, key: &str, id: i64, column: &str, value: Val) -> Result<(), Error> {
        let sql = self.transaction.dialect().upsert(table, &[key], &[column]);
        self.transaction.execute(sql, &[id.into(), value]).await?;
        Ok(())
    }
}

/// Two destinations are equal when they differ only in case (an external host may distinguish case, but nobody who
/// writes both into one alias means two mailboxes).
pub fn same_destination(a: &str, b: &str) -> bool {
    match (Source::parse(a), Source::parse(b)) {
        (Some(a), Some(b)) => a.key() == b.key(),
        _ => a == b,
    }
}
