use std::collections::BTreeSet;
use std::io::BufRead;

use super::inactive_accounts::{InactiveAccounts, Made, TABLES};
use super::{Error, dump};
use crate::foundations::address::{Address, Domain};
use crate::foundations::secret::Secret;
use crate::foundations::settings::ByteSize;
use crate::services::login::{Unusable, recognise};
use crate::storage::database::{Database, Row};
use crate::storage::directory::{self, Directory, NewUser, Owner, PasswordOwner, Source, Standing, listed};

/// The accounts of a Postfix and Dovecot stack with the tables `virtual_domains`, `virtual_users` and `virtual_aliases`.
#[derive(Debug)]
pub struct SeedAccounts {
    /// Its domains.
    pub domains: Vec<Domain>,
    /// Its users.
    pub users: Vec<SeedUser>,
    /// Its aliases.
    pub aliases: Vec<SeedAlias>,
    /// Which of them were removed or disabled, if that is recorded.
    pub inactive_accounts: InactiveAccounts,
}

/// A user there.
#[derive(Debug)]
pub struct SeedUser {
    /// The address.
    pub address: Address,
    /// The password's hash, with or without its scheme.
    pub password: Secret<String>,
    /// The quota; `None` without one.
    pub quota: Option<ByteSize>,
    /// Whether the user may log in.
    pub enabled: bool,
}

/// An alias there.
#[derive(Debug)]
pub struct SeedAlias {
    /// The address it stands for, or `@domain`.
    pub source: Source,
    /// Where it leads.
    pub destination: String,
}

/// What was imported.
#[derive(Debug, Default, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AccountsMoved {
    /// Domains created.
    pub domains: usize,
    /// Users created.
    pub users: usize,
    /// Aliases created.
    pub aliases: usize,
    /// What existed here already and was left as it is, except for passwords.
    pub present: usize,
    /// Users here who had no password, as after a declaration, and now have the one from there.
    pub passwords: usize,
    /// Each new one, with its message.
    #[serde(skip)]
    pub made: Vec<(String, String)>,
}

impl SeedAccounts {
    /// Reads all of them.
    ///
    /// # Errors
    /// The database does not answer or has no such tables, or an address in it is invalid.
    pub async fn read(database: &Database) -> Result<Self, Error> {
        let inactive_accounts = InactiveAccounts::default();
        let mut found = Self { domains: Vec::new(), users: Vec::new(), aliases: Vec::new(), inactive_accounts };
        let mut unusable = UnusableRows::default();
        for row in database.fetch_all("SELECT name FROM virtual_domains ORDER BY name", &[]).await? {
            found.domains.extend(unusable.sort_out(parsed::<Domain>(&row, 0, "domain"))?);
        }
        let integer = |expression| database.dialect().integer(expression);
        let sql = format!(
            "SELECT email, password, {}, {} FROM virtual_users ORDER BY email",
            integer("COALESCE(quota_mb, 0)"),
            integer("COALESCE(enabled, 1)")
        );
        for row in database.fetch_all(crate::storage::database::Sql::assembled(sql), &[]).await? {
            found.users.extend(unusable.sort_out(user(&row))?);
        }
        let sql = "SELECT source, destination FROM virtual_aliases ORDER BY source, destination";
        for row in database.fetch_all(sql, &[]).await? {
            if let Some(source) = unusable.sort_out(source(&row.text(0)?))? {
                found.aliases.extend(each_destination(&source, &row.text(1)?));
            }
        }
        unusable.none()?;
        found.inactive_accounts = InactiveAccounts::read(database).await?;
        Ok(found)
    }

    /// The accounts in a dump of that database, as `mysqldump` writes it.
    ///
    /// # Errors
    /// The dump is not understood or has no such tables, or an address in it is invalid.
    pub fn from_dump(dump: impl BufRead) -> Result<Self, Error> {
        let wanted = ["virtual_domains", "virtual_users", "virtual_aliases"].into_iter().chain(TABLES);
        let mut tables = dump::read(dump, &wanted.collect::<Vec<_>>())?;
        let inactive_accounts = InactiveAccounts::from_dump(&tables);
        let mut table = |name: &str| tables.remove(name).unwrap_or_default();
        let text = |row: &dump::Row, column: &str| row.get(column).cloned().flatten().unwrap_or_default();
        let number = |row: &dump::Row, column: &str| text(row, column).parse::<i64>().ok();
        let mut found = Self { domains: Vec::new(), users: Vec::new(), aliases: Vec::new(), inactive_accounts };
        let mut unusable = UnusableRows::default();
        for row in table("virtual_domains") {
            found.domains.extend(unusable.sort_out(address::<Domain>("domain", &text(&row, "name")))?);
        }
        for row in table("virtual_users") {
            let Some(address) = unusable.sort_out(address::<Address>("user", &text(&row, "email")))? else { continue };
            found.users.push(SeedUser {
                address,
                password: Secret::new(text(&row, "password")),
                quota: quota(number(&row, "quota_mb").unwrap_or(0)),
                enabled: number(&row, "enabled") != Some(0),
            });
        }
        for row in table("virtual_aliases") {
            if let Some(source) = unusable.sort_out(source(&text(&row, "source")))? {
                found.aliases.extend(each_destination(&source, &text(&row, "destination")));
            }
        }
        unusable.none()?;
        if found.domains.is_empty() && found.users.is_empty() {
            return Err(Error::Dump {
                line: 1,
                because: "it has no rows of `virtual_domains` or `virtual_users`".to_owned(),
            });
        }
        Ok(found)
    }

    /// Users whose password cannot be checked here, and why: they cannot log in until they get another one.
    pub fn unusable(&self) -> impl Iterator<Item = (&Address, Unusable)> {
        let why = |user: &SeedUser| recognise(user.password.expose()).err().filter(|why| *why != Unusable::Missing);
        self.users.iter().filter_map(move |user| Some((&user.address, why(user)?)))
    }

    /// Creates those that are missing here, all or none, and gives users here who have no password the one from there. Passwords
    /// count as the users' own, so that a declaration does not change them. What was removed or disabled there is so here, too.
    ///
    /// # Errors
    /// The database here fails, or refuses one of them.
    pub async fn take_over(&self, directory: &Directory) -> Result<AccountsMoved, Error> {
        let mut edit = directory.edit().await?;
        let (mut moved, mut made) = (AccountsMoved::default(), Made::default());
        let known = edit.everything().await?.aliases;
        let known: BTreeSet<String> = known.into_iter().map(|(_, alias)| alias.source).collect();
        for domain in &self.domains {
            if count(edit.add_domain(domain, Owner::Admin).await, &mut moved.domains, &mut moved.present)? {
                made.domains.push(domain.clone());
                moved.made.push((domain.to_string(), format!("domain {domain} imported")));
            }
        }
        for user in &self.users {
            let new = NewUser {
                address: user.address.clone(),
                password: Some(user.password.clone()),
                password_owner: PasswordOwner::User,
                quota: user.quota,
                display_name: None,
                owner: Owner::Admin,
            };
            let address = &user.address;
            if count(edit.add_user(&new).await, &mut moved.users, &mut moved.present)? {
                made.users.push(address.clone());
                moved.made.push((address.to_string(), format!("user {address} imported")));
                if !user.enabled {
                    edit.set_user(address, Standing::Disabled).await?;
                }
            } else if recognise(user.password.expose()).is_ok()
                && edit.set_missing_password(address, &user.password, PasswordOwner::User).await?
            {
                moved.passwords += 1;
                moved.made.push((address.to_string(), format!("password of {address} imported")));
            }
        }
        for alias in &self.aliases {
            let added = edit.add_alias(&alias.source, &alias.destination, Owner::Admin).await;
            if count(added, &mut moved.aliases, &mut moved.present)? {
                let (source, destination) = (&alias.source, &alias.destination);
                if !known.contains(&source.key()) {
                    made.aliases.push(source.clone());
                }
                moved.made.push((source.to_string(), format!("alias {source} to {destination} imported")));
            }
        }
        self.inactive_accounts.apply(&mut edit, &made).await?;
        edit.commit().await?;
        Ok(moved)
    }
}

/// Rows that cannot be imported, each with the reason: an administrator corrects them all at once.
#[derive(Default)]
struct UnusableRows {
    rows: Vec<String>,
    /// Those for which there was no room.
    more: usize,
}

/// Most rows that are told: in the table of another program all may be wrong.
const MOST_TOLD: usize = 100;

impl UnusableRows {
    /// What was read of a row; `None`, and noted, if that makes no sense.
    fn sort_out<T>(&mut self, row: Result<T, Error>) -> Result<Option<T>, Error> {
        match row {
            Err(Error::BadAccounts(rows)) => {
                let room = MOST_TOLD - self.rows.len();
                self.more += rows.len().saturating_sub(room);
                self.rows.extend(rows.into_iter().take(room));
                Ok(None)
            }
            row => row.map(Some),
        }
    }

    fn none(mut self) -> Result<(), Error> {
        if self.rows.is_empty() {
            return Ok(());
        }
        if self.more > 0 {
            self.rows.push(format!("and {} more", self.more));
        }
        Err(Error::BadAccounts(self.rows))
    }
}

/// Whether it was created.
fn count<T>(result: Result<T, directory::Error>, made: &mut usize, present: &mut usize) -> Result<bool, Error> {
    match result {
        Ok(_) => *made += 1,
        // Users who were removed here stay removed.
        Err(directory::Error::Exists(_) | directory::Error::Archived(_)) => {
            *present += 1;
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    }
    Ok(true)
}

fn user(row: &Row) -> Result<SeedUser, Error> {
    Ok(SeedUser {
        address: parsed(row, 0, "user")?,
        password: Secret::new(row.text(1)?),
        quota: quota(row.int(2)?),
        enabled: row.int(3)? != 0,
    })
}

fn quota(mebibytes: i64) -> Option<ByteSize> {
    u64::try_from(mebibytes).ok().filter(|mebibytes| *mebibytes > 0).map(ByteSize::mib)
}

fn source(text: &str) -> Result<Source, Error> {
    Source::parse(text)
        .ok_or_else(|| Error::BadAccounts(vec![format!("alias `{text}`: expected an address, or @ and a domain")]))
}

/// The seed allows several destinations in one row.
fn each_destination(source: &Source, all: &str) -> Vec<SeedAlias> {
    listed(all).map(|one| SeedAlias { source: source.clone(), destination: one.to_owned() }).collect()
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(row: &Row, column: usize, what: &str) -> Result<T, Error> {
    address(what, &row.text(column)?)
}

fn address<T: std::str::FromStr<Err: std::fmt::Display>>(what: &str, text: &str) -> Result<T, Error> {
    text.parse().map_err(|error: T::Err| Error::BadAccounts(vec![format!("{what} `{text}`: {error}")]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_that_cannot_be_checked_are_known() {
        let user = |address: &str, password: &str| SeedUser {
            address: address.parse().unwrap(),
            password: Secret::new(password.to_owned()),
            quota: None,
            enabled: true,
        };
        let users = vec![
            user("md5@example.test", "{MD5-CRYPT}$1$abcdefgh$0123456789012345678901"),
            user("plain@example.test", "{PLAIN}secret"),
            user("none@example.test", "!"),
            user("good@example.test", "{BLF-CRYPT}$2y$05$fY0HNyaK43SdohacMjrmoOINBSfVqBVEAFkltBS5ZYKVjQaCqRr7G"),
        ];
        let found =
            SeedAccounts { domains: vec![], users, aliases: vec![], inactive_accounts: InactiveAccounts::default() };
        let unusable: Vec<String> = found.unusable().map(|(address, why)| format!("{address}: {why}")).collect();
        assert_eq!(unusable.len(), 2, "{unusable:?}");
        assert!(unusable[0].starts_with("md5@example.test: the scheme {MD5-CRYPT}"), "{unusable:?}");
        assert!(unusable[1].starts_with("plain@example.test: the scheme {PLAIN}"), "{unusable:?}");
    }

    /// An administrator had to try again after each of them.
    #[test]
    fn all_rows_that_make_no_sense_are_told_at_once() {
        let dump = "CREATE TABLE `virtual_domains` (\n  `name` varchar(255)\n);\n\
            INSERT INTO `virtual_domains` VALUES ('x.test'),('a b');\n\
            CREATE TABLE `virtual_users` (\n  `email` varchar(255)\n);\n\
            INSERT INTO `virtual_users` VALUES ('ann@x.test'),('bob');\n\
            CREATE TABLE `virtual_aliases` (\n  `source` varchar(255),\n  `destination` varchar(255)\n);\n\
            INSERT INTO `virtual_aliases` VALUES ('info@x.test','ann@x.test'),('bad alias','ann@x.test');\n";
        let error = SeedAccounts::from_dump(dump.as_bytes()).unwrap_err().to_string();
        for row in ["domain `a b`", "user `bob`", "alias `bad alias`"] {
            assert!(error.contains(row), "{error}");
        }
        assert!(!error.contains("info@x.test"), "{error}");
    }

    #[test]
    fn of_many_rows_that_make_no_sense_some_are_told() {
        let mut unusable = UnusableRows::default();
        for _ in 0..MOST_TOLD + 3 {
            assert!(unusable.sort_out(address::<Domain>("domain", "a b")).unwrap().is_none());
        }
        let error = unusable.none().unwrap_err().to_string();
        assert_eq!(
            (error.matches("; domain").count(), error.ends_with("; and 3 more")),
            (MOST_TOLD - 1, true),
            "{error}"
        );
    }
}
