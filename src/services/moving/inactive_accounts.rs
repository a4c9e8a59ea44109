//! Accounts that were removed or disabled where they come from: an import must not bring them back. Only this server records
//! that, in tables beside those of the accounts.

use std::collections::{BTreeSet, HashMap};

use super::{Error, dump};
use crate::foundations::address::{Address, Domain};
use crate::storage::database::Database;
use crate::storage::directory::{Edit, Source, Standing};

/// The tables beside those of the accounts, in a dump.
pub(super) const TABLES: [&str; 3] = ["domain_state", "user_state", "alias_state"];

/// Names in the directory's form.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct InactiveAccounts {
    removed_domains: BTreeSet<String>,
    disabled_domains: BTreeSet<String>,
    removed_users: BTreeSet<String>,
    disabled_aliases: BTreeSet<String>,
    /// Those with a destination in use.
    used_aliases: BTreeSet<String>,
}

/// What was just created here.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) domains: Vec<Domain>,
    pub(super) users: Vec<Address>,
    /// Without those that already led elsewhere here.
    pub(super) aliases: Vec<Source>,
}

impl InactiveAccounts {
    /// Of a database.
    ///
    /// # Errors
    /// The database does not answer.
    pub(super) async fn read(database: &Database) -> Result<Self, Error> {
        let mut found = Self::default();
        // The tables were created in this order, in separate migrations.
        if !database.has_table("alias_state").await? {
            return Ok(found);
        }
        let sql =
            "SELECT d.name, s.enabled, s.archived_at FROM virtual_domains d JOIN domain_state s ON s.domain_id = d.id";
        for row in database.fetch_all(sql, &[]).await? {
            found.note_domain(&row.text(0)?, row.int(1)? != 0, row.opt_int(2)?);
        }
        let sql = "SELECT u.email, s.archived_at, d.archived_at FROM virtual_users u \
             JOIN user_state s ON s.user_id = u.id LEFT JOIN domain_state d ON d.domain_id = u.domain_id \
             WHERE s.archived_at IS NOT NULL";
        for row in database.fetch_all(sql, &[]).await? {
            found.note_user(&row.text(0)?, row.opt_int(1)?, row.opt_int(2)?);
        }
        let sql = "SELECT a.source, s.enabled FROM virtual_aliases a LEFT JOIN alias_state s ON s.alias_id = a.id";
        for row in database.fetch_all(sql, &[]).await? {
            found.note_alias(&row.text(0)?, row.opt_int(1)? != Some(0));
        }
        Ok(found)
    }

    /// Of the tables of a dump.
    pub(super) fn from_dump(tables: &HashMap<String, Vec<dump::Row>>) -> Self {
        let (domains, users) = (states(tables, "domain_state", "domain_id"), states(tables, "user_state", "user_id"));
        let aliases = states(tables, "alias_state", "alias_id");
        let mut found = Self::default();
        for row in rows(tables, "virtual_domains") {
            let is_enabled = number(&domains, row, "id", "enabled") != Some(0);
            found.note_domain(text(row, "name"), is_enabled, number(&domains, row, "id", "archived_at"));
        }
        for row in rows(tables, "virtual_users") {
            let domain = number(&domains, row, "domain_id", "archived_at");
            found.note_user(text(row, "email"), number(&users, row, "id", "archived_at"), domain);
        }
        for row in rows(tables, "virtual_aliases") {
            found.note_alias(text(row, "source"), number(&aliases, row, "id", "enabled") != Some(0));
        }
        found
    }

    fn note_domain(&mut self, name: &str, is_enabled: bool, removed_at: Option<i64>) {
        let Ok(name) = name.parse::<Domain>() else { return };
        if removed_at.is_some() {
            self.removed_domains.insert(name.as_str().to_owned());
        }
        if !is_enabled {
            self.disabled_domains.insert(name.as_str().to_owned());
        }
    }

    fn note_user(&mut self, address: &str, removed_at: Option<i64>, domain_removed_at: Option<i64>) {
        let Ok(address) = address.parse::<Address>() else { return };
        // A user who was removed before the domain was does not come back with it, and is disabled like every removed user.
        if removed_at.is_some() && (domain_removed_at.is_none() || domain_removed_at == removed_at) {
            self.removed_users.insert(address.key());
        }
    }

    fn note_alias(&mut self, source: &str, is_enabled: bool) {
        let Some(source) = Source::parse(source) else { return };
        let noted = if is_enabled { &mut self.used_aliases } else { &mut self.disabled_aliases };
        noted.insert(source.key());
    }

    /// Whether a domain was removed.
    pub fn has_domain(&self, domain: &Domain) -> bool {
        self.removed_domains.contains(domain.as_str())
    }

    /// Whether a user was removed.
    pub fn has_user(&self, address: &Address) -> bool {
        self.removed_users.contains(&address.key()) || self.has_domain(address.domain())
    }

    /// Whether an alias was disabled, with all its destinations.
    pub fn has_alias(&self, source: &Source) -> bool {
        self.disabled_aliases.contains(&source.key()) && !self.used_aliases.contains(&source.key())
    }

    /// Removes or disables what was created here, as it was there.
    ///
    /// # Errors
    /// The database here fails.
    pub(super) async fn apply(&self, edit: &mut Edit, made: &Made) -> Result<(), Error> {
        for domain in &made.domains {
            if self.disabled_domains.contains(domain.as_str()) {
                edit.set_domain(domain, Standing::Disabled).await?;
            }
            if self.has_domain(domain) {
                edit.archive_domain(domain).await?;
            }
        }
        for user in made.users.iter().filter(|user| self.removed_users.contains(&user.key())) {
            edit.archive_user(user).await?;
        }
        for source in made.aliases.iter().filter(|source| self.has_alias(source)) {
            edit.set_alias(source, Standing::Disabled).await?;
        }
        Ok(())
    }
}

fn rows<'a>(tables: &'a HashMap<String, Vec<dump::Row>>, table: &str) -> &'a [dump::Row] {
    tables.get(table).map(Vec::as_slice).unwrap_or_default()
}

/// The rows of a table by the id of what they are about.
fn states<'a>(
    tables: &'a HashMap<String, Vec<dump::Row>>,
    table: &str,
    column: &str,
) -> HashMap<&'a str, &'a dump::Row> {
    rows(tables, table).iter().filter_map(|row| Some((value(row, column)?, row))).collect()
}

/// A number in the state of whatever a row's column refers to.
fn number(states: &HashMap<&str, &dump::Row>, row: &dump::Row, column: &str, wanted: &str) -> Option<i64> {
    value(states.get(value(row, column)?)?, wanted)?.parse().ok()
}

fn text<'a>(row: &'a dump::Row, column: &str) -> &'a str {
    value(row, column).unwrap_or_default()
}

fn value<'a>(row: &'a dump::Row, column: &str) -> Option<&'a str> {
    row.get(column)?.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_says_what_was_removed() {
        let dump = "INSERT INTO `virtual_domains` (`id`, `name`) VALUES (1, 'a.test'), (2, 'b.test'), (3, 'c.test');\n\
            INSERT INTO `domain_state` (`domain_id`, `enabled`, `archived_at`) VALUES (1, 1, NULL), (2, 1, 9), (3, 0, NULL);\n\
            INSERT INTO `virtual_users` (`id`, `domain_id`, `email`) VALUES (1, 1, 'here@a.test'), (2, 1, 'gone@a.test'), \
            (3, 2, 'with@b.test'), (4, 2, 'before@b.test');\n\
            INSERT INTO `user_state` (`user_id`, `archived_at`) VALUES (1, NULL), (2, 5), (3, 9), (4, 5);\n\
            INSERT INTO `virtual_aliases` (`id`, `source`) VALUES (1, 'off@a.test'), (2, 'half@a.test'), (3, 'half@a.test'), \
            (4, '@a.test');\n\
            INSERT INTO `alias_state` (`alias_id`, `enabled`) VALUES (1, 0), (2, 0), (3, 1);\n";
        let wanted = ["virtual_domains", "virtual_users", "virtual_aliases"].into_iter().chain(TABLES);
        let tables = dump::read(dump.as_bytes(), &wanted.collect::<Vec<_>>()).unwrap();
        let found = InactiveAccounts::from_dump(&tables);
        let domain = |name: &str| name.parse().unwrap();
        assert!(!found.has_domain(&domain("a.test")) && found.has_domain(&domain("b.test")));
        assert_eq!(found.disabled_domains, BTreeSet::from(["c.test".to_owned()]));
        assert_eq!(found.removed_users, ["gone@a.test", "with@b.test"].map(str::to_owned).into());
        assert!(found.has_user(&"before@b.test".parse().unwrap()) && !found.has_user(&"here@a.test".parse().unwrap()));
        let is_off = |source: &str| found.has_alias(&Source::parse(source).unwrap());
        assert!(is_off("off@a.test") && !is_off("half@a.test") && !is_off("@a.test"));
        assert_eq!(InactiveAccounts::from_dump(&HashMap::new()), InactiveAccounts::default());
    }
}
