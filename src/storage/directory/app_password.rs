//! App passwords: passwords of single devices.
//!
//! Only the digest of a password is stored. Their number per user is limited; an expired one makes room.

use std::fmt;

use super::look_up::{Directory, Reader};
use super::{Edit, Error};
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::storage::database::{self, Durability, Row};

crate::words! {
    /// What an app password gives access to.
    pub enum Scope {
        /// Reading mail by IMAP and POP3.
        Mail = "mail",
        /// Sending mail by submission.
        Sending = "sending",
        /// Scripts by ManageSieve.
        Scripts = "scripts",
        /// Calendars and address books.
        Dav = "dav",
    }
}

/// A set of scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Everything an app password can give access to.
    pub fn all() -> Self {
        Self(Scope::ALL.to_vec())
    }

    /// From words separated by commas; `all` stands for all of them. `None` for unknown words, or none at all.
    pub fn parse(text: &str) -> Option<Self> {
        if text.trim() == "all" {
            return Some(Self::all());
        }
        Self::of(text.split(',').map(str::trim))
    }

    /// From words. `None` for unknown ones, or none at all.
    pub fn of<'w>(words: impl IntoIterator<Item = &'w str>) -> Option<Self> {
        let named: Vec<Scope> = words.into_iter().map(Scope::from_word).collect::<Option<_>>()?;
        let known: Vec<Scope> = Scope::ALL.iter().copied().filter(|scope| named.contains(scope)).collect();
        (!known.is_empty()).then_some(Self(known))
    }

    /// Whether one of them is this one.
    pub fn includes(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// Their words.
    pub fn words(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.iter().map(|scope| scope.word())
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().collect::<Vec<_>>().join(","))
    }
}

/// An app password, without the password itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppPassword {
    /// Its number.
    pub id: i64,
    /// Number of the account.
    pub user_id: i64,
    /// The name its owner gave it.
    pub name: String,
    /// Its scopes.
    pub scopes: Scopes,
    /// When it was made.
    pub made_at: Timestamp,
    /// When it expires.
    pub ends_at: Option<Timestamp>,
    /// Last use, as far as recorded.
    pub used_at: Option<Timestamp>,
    /// The address of the last use, as far as recorded.
    pub used_from: Option<String>,
}

impl AppPassword {
    /// Whether it has expired.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.ends_at.is_some_and(|ends_at| ends_at <= now)
    }
}

/// A new app password.
#[derive(Debug, Clone)]
pub struct NewAppPassword {
    /// The name its owner gave it, unique for the user.
    pub name: String,
    /// The digest of the password, in hexadecimal.
    pub digest: String,
    /// Its scopes.
    pub scopes: Scopes,
    /// When it expires.
    pub ends_at: Option<Timestamp>,
}

impl NewAppPassword {
    /// Longest name, in characters.
    pub const LONGEST_NAME: usize = 60;
}

const COLUMNS: &str = "SELECT id, user_id, name, scopes, made_at, ends_at, used_at, used_from FROM app_passwords";

impl Directory {
    /// A user's app passwords, the newest first.
    pub async fn app_passwords(&self, user_id: i64) -> Result<Vec<AppPassword>, Error> {
        of(&mut Reader::Database(&self.0.database), user_id).await
    }

    /// This user's app password with this digest, expired or not.
    pub async fn app_password(&self, user_id: i64, digest: &str) -> Result<Option<AppPassword>, Error> {
        let sql = "SELECT id, user_id, name, scopes, made_at, ends_at, used_at, used_from FROM app_passwords \
             WHERE digest = ? AND user_id = ?";
        let row = self.0.database.fetch_optional(sql, &[digest.into(), user_id.into()]).await?;
        row.map_or(Ok(None), |row| app_password(&row).map(Some))
    }

    /// Records a use, unless one after `known` is recorded; returns whether it did. It may be lost in a power failure:
    /// it is only information for people.
    pub async fn note_app_password(
        &self,
        password: &AppPassword,
        from: &str,
        now: Timestamp,
        known: Timestamp,
    ) -> Result<bool, Error> {
        let mut transaction = self.0.database.begin_with(Durability::Relaxed).await?;
        let sql = "UPDATE app_passwords SET used_at = ?, used_from = ? WHERE id = ? AND COALESCE(used_at, 0) <= ?";
        let from: String = from.chars().take(LONGEST_PLACE).collect();
        let values = [now.into(), from.into(), password.id.into(), known.into()];
        let changed = transaction.execute(sql, &values).await?;
        transaction.commit().await?;
        Ok(changed == 1)
    }
}

impl Edit {
    /// Stores an app password. Expired ones are removed; `most` is the limit.
    pub async fn add_app_password(
        &mut self,
        address: &Address,
        new: &NewAppPassword,
        most: u32,
    ) -> Result<AppPassword, Error> {
        let name = new.name.trim();
        let why = match name.chars().count() {
            0 => Some("it is empty".to_owned()),
            length if length > NewAppPassword::LONGEST_NAME => {
                Some(format!("at most {} characters are allowed", NewAppPassword::LONGEST_NAME))
            }
            _ if name.contains(char::is_control) => Some("it holds a control character".to_owned()),
            _ => None,
        };
        if let Some(why) = why {
            return Err(Error::Invalid { what: "the name of the app password", why });
        }
        let user_id = self.user(address).await?.id;
        // Anyone adding one for the same user at the same time waits here, so that both together stay within the limit.
        let lock = format!("SELECT id FROM virtual_users WHERE id = ?{}", self.transaction.dialect().for_update());
        self.transaction.fetch_optional(database::Sql::assembled(lock), &[user_id.into()]).await?;
        let sql = "DELETE FROM app_passwords WHERE user_id = ? AND ends_at <= ?";
        self.transaction.execute(sql, &[user_id.into(), self.now.into()]).await?;
        let there = of(&mut Reader::Transaction(&mut self.transaction), user_id).await?;
        if there.iter().any(|known| known.name == name) {
            return Err(Error::Exists(format!("an app password named `{name}`")));
        }
        if there.len() >= most as usize {
            return Err(Error::TooMany { what: "app passwords", most });
        }
        let id = self.put_app_password_back(user_id, &NewAppPassword { name: name.to_owned(), ..new.clone() }).await?;
        Ok(AppPassword {
            id,
            user_id,
            name: name.to_owned(),
            scopes: new.scopes.clone(),
            made_at: self.now,
            ends_at: new.ends_at,
            used_at: None,
            used_from: None,
        })
    }

    /// Restores an app password that an account had; returns its number.
    pub async fn put_app_password_back(&mut self, user_id: i64, new: &NewAppPassword) -> Result<i64, Error> {
        let columns = ["user_id", "name", "digest", "scopes", "made_at", "ends_at"];
        let values = [
            user_id.into(),
            new.name.as_str().into(),
            new.digest.as_str().into(),
            new.scopes.to_string().into(),
            self.now.into(),
            new.ends_at.into(),
        ];
        Ok(self.transaction.insert("app_passwords", &columns, &values).await?)
    }

    /// Removes the app password with this name, or else with this number.
    pub async fn revoke_app_password(&mut self, address: &Address, which: &str) -> Result<AppPassword, Error> {
        let user_id = self.user(address).await?.id;
        let there = of(&mut Reader::Transaction(&mut self.transaction), user_id).await?;
        let named = there.iter().find(|known| known.name == which);
        let found = named.or_else(|| there.iter().find(|known| known.id.to_string() == which));
        let Some(found) = found.cloned() else { return Err(Error::NoAppPassword(which.to_owned())) };
        let sql = "DELETE FROM app_passwords WHERE id = ? AND user_id = ?";
        self.transaction.execute(sql, &[found.id.into(), user_id.into()]).await?;
        Ok(found)
    }
}

async fn of(reader: &mut Reader<'_>, user_id: i64) -> Result<Vec<AppPassword>, Error> {
    let sql = format!("{COLUMNS} WHERE user_id = ? ORDER BY made_at DESC, id DESC");
    let rows = reader.fetch_all(database::Sql::assembled(sql), &[user_id.into()]).await?;
    rows.iter().map(app_password).collect()
}

fn app_password(row: &Row) -> Result<AppPassword, Error> {
    let words = row.text(3)?;
    // Scopes of a later release are skipped: it cannot open more than this one knows.
    let known = words.split(',').filter_map(Scope::from_word).collect();
    Ok(AppPassword {
        id: row.int(0)?,
        user_id: row.int(1)?,
        name: row.text(2)?,
        scopes: Scopes(known),
        made_at: row.time(4)?,
        ends_at: row.opt_time(5)?,
        used_at: row.opt_time(6)?,
        used_from: row.opt_text(7)?,
    })
}

/// Longest text of an address, in characters.
const LONGEST_PLACE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_words() {
        for (text, shown) in [
            ("all", Some("mail,sending,scripts,dav")),
            ("sending, mail", Some("mail,sending")),
            ("dav,dav", Some("dav")),
            ("", None),
            ("mail,everything", None),
        ] {
            assert_eq!(Scopes::parse(text).map(|scopes| scopes.to_string()).as_deref(), shown, "{text}");
        }
        assert!(
            Scopes::parse("mail").is_some_and(|scopes| scopes.includes(Scope::Mail) && !scopes.includes(Scope::Dav))
        );
    }
}
