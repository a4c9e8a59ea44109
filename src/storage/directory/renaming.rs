//! Giving a user another address.

use super::belongings::{BY_ADDRESS, DELETE_USAGE};
use super::edit::{alike, can_be_a_user, fits, same_destination};
use super::look_up::find_account;
use super::usage::write_one;
use super::{Edit, Error, Owner, Source, Usage, listed};
use crate::foundations::address::Address;
use crate::storage::database::{Sql, Val};

/// What keeps leading to a user under the old address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OldAddress {
    /// An alias.
    Kept,
    /// Nothing.
    GivenUp,
}

/// What a user's new address is to be.
#[derive(Debug)]
pub struct Renaming<'a> {
    /// Who.
    pub from: &'a Address,
    /// The new address.
    pub to: &'a Address,
    /// What happens to the old one.
    pub old: OldAddress,
    /// The separator of tags, if any.
    pub tag_separator: Option<char>,
}

impl Renaming<'_> {
    /// A row of an alias with the new address in place of the old one; `None` if it does not contain that, and then the
    /// row stays as written. Databases kept by others may have several destinations in one row.
    fn row_led_on(&self, row: &str) -> Option<String> {
        let led_on = |one: &str| one.parse().ok().and_then(|address| self.led_on(&address));
        let new = |one: &str| led_on(one).map_or_else(|| one.to_owned(), |new| new.to_string());
        listed(row).any(|one| led_on(one).is_some()).then(|| listed(row).map(new).collect::<Vec<_>>().join(","))
    }

    /// The new form of an address that was the old one. Tags stay: `ann+shop` becomes `anna+shop`.
    fn led_on(&self, address: &Address) -> Option<Address> {
        if address.key() == self.from.key() {
            return Some(self.to.clone());
        }
        let separator = self.tag_separator?;
        let (base, tag) = address.split_tag(separator);
        let tagged = format!("{}{separator}{}@{}", self.to.local(), tag?, self.to.domain());
        if base.key() == self.from.key() { tagged.parse().ok() } else { None }
    }
}

impl Edit {
    /// Gives a user another address. Password, app passwords and everything that belongs to the account stay with it;
    /// aliases to the old address lead to the new one, and so does mail waiting in the queue or in quarantine. Browser
    /// logins end. The mail itself is not the directory's.
    pub async fn rename_user(&mut self, renaming: &Renaming<'_>) -> Result<(), Error> {
        let Renaming { from, to, old, .. } = *renaming;
        let account = self.user(from).await?;
        let (old_key, new_key) = (account.address.key(), to.key());
        can_be_a_user(to)?;
        let domain = self.domain(to.domain()).await?;
        if let Some(known) = find_account(&mut self.reader(), &new_key).await? {
            return Err(if known.archived_at.is_some() { Error::Archived(new_key) } else { Error::Exists(new_key) });
        }
        for (id, destination) in self.alias_rows(&new_key).await? {
            if !same_destination(&destination, &old_key) {
                return Err(Error::Exists(format!("the alias {to} to {destination}")));
            }
            self.transaction.execute("DELETE FROM virtual_aliases WHERE id = ?", &[id.into()]).await?;
        }
        // MariaDB does not let the address change while this row refers to it.
        self.transaction.execute(DELETE_USAGE, &[account.id.into()]).await?;
        let sql = "UPDATE virtual_users SET email = ?, domain_id = ? WHERE id = ?";
        let values: [Val; 3] = [new_key.as_str().into(), domain.id.into(), account.id.into()];
        let dialect = self.transaction.dialect();
        self.transaction.execute(sql, &values).await.map_err(alike(&new_key, dialect))?;
        let sql = "SELECT bytes, messages FROM mailbox_usage_exact WHERE user_id = ?";
        if let Some(row) = self.transaction.fetch_all(sql, &[account.id.into()]).await?.first() {
            let count = |n: i64| u64::try_from(n).unwrap_or(0);
            let usage = Usage { bytes: count(row.int(0)?), messages: count(row.int(1)?) };
            write_one(&mut self.transaction, account.id, usage, self.now).await?;
        }
        // Aliases of the address itself, such as forwarding, continue under the new one.
        for (id, _) in self.alias_rows(&old_key).await? {
            let sql = "UPDATE virtual_aliases SET source = ?, domain_id = ? WHERE id = ?";
            let values: [Val; 3] = [new_key.as_str().into(), domain.id.into(), id.into()];
            self.transaction.execute(sql, &values).await?;
        }
        self.take_belongings_along(&old_key, &new_key).await?;
        self.lead_aliases_on(renaming).await?;
        self.lead_queue_on(renaming).await?;
        if old == OldAddress::Kept {
            self.add_alias(&Source::Address(account.address), &to.to_string(), Owner::Admin).await?;
        }
        Ok(())
    }

    async fn take_belongings_along(&mut self, old: &str, new: &str) -> Result<(), Error> {
        // A browser shows the address it logged in with.
        self.transaction.execute("DELETE FROM browser_logins WHERE account = ?", &[old.into()]).await?;
        for (table, column) in BY_ADDRESS {
            // Remains of a former user of that address, deleted by another program.
            let sql = format!("DELETE FROM {table} WHERE {column} = ?");
            self.transaction.execute(Sql::assembled(sql), &[new.into()]).await?;
            let sql = format!("UPDATE {table} SET {column} = ? WHERE {column} = ?");
            self.transaction.execute(Sql::assembled(sql), &[new.into(), old.into()]).await?;
        }
        Ok(())
    }

    async fn lead_aliases_on(&mut self, renaming: &Renaming<'_>) -> Result<(), Error> {
        for row in self.transaction.fetch_all("SELECT id, destination FROM virtual_aliases", &[]).await? {
            let destinations = row.text(1)?;
            if let Some(changed) = renaming.row_led_on(&destinations) {
                fits("the destination", &changed)?;
                let sql = "UPDATE virtual_aliases SET destination = ? WHERE id = ?";
                self.transaction.execute(sql, &[changed.into(), row.int(0)?.into()]).await?;
            }
        }
        Ok(())
    }

    async fn lead_queue_on(&mut self, renaming: &Renaming<'_>) -> Result<(), Error> {
        let sql = "SELECT id, address, recipient FROM queue_recipients WHERE destination = 'local'";
        for row in self.transaction.fetch_all(sql, &[]).await? {
            let Ok(address) = row.text(1)?.parse::<Address>() else { continue };
            let Some(led_on) = renaming.led_on(&address) else { continue };
            let Ok(mut recipient) = serde_json::from_str::<serde_json::Value>(&row.text(2)?) else { continue };
            recipient["address"] = led_on.to_string().into();
            let sql = "UPDATE queue_recipients SET address = ?, recipient = ? WHERE id = ?";
            let values: [Val; 3] = [led_on.to_string().into(), recipient.to_string().into(), row.int(0)?.into()];
            self.transaction.execute(sql, &values).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_quotes_do_not_end_a_destination() {
        let (from, to) = ("ann@example.test".parse().unwrap(), "anna@new.test".parse().unwrap());
        let renaming = Renaming { from: &from, to: &to, old: OldAddress::GivenUp, tag_separator: Some('+') };
        for (row, wanted) in [
            ("bob@example.test, Ann@Example.test", Some("bob@example.test,anna@new.test")),
            (
                r#""x, ann@example.test, y"@b.test,ann+shop@example.test"#,
                Some(r#""x, ann@example.test, y"@b.test,anna+shop@new.test"#),
            ),
            (r#""x,ann@example.test,y"@b.test"#, None),
            ("bob@example.test ,, carol@example.test", None),
        ] {
            assert_eq!(renaming.row_led_on(row).as_deref(), wanted, "{row}");
        }
    }
}
