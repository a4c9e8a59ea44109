//! The present state of the accounts and passwords behind open sessions, many at a time.

use std::collections::{HashMap, HashSet};

use super::entry::Standing;
use super::{Directory, Error};
use crate::foundations::clock::Timestamp;
use crate::foundations::secret::Secret;
use crate::storage::database::{Row, Sql, Val};

/// The state of the requested accounts and passwords.
#[derive(Debug, Default)]
pub struct Standings {
    accounts: HashMap<i64, AccountStanding>,
    app_passwords: HashSet<i64>,
}

/// The state of an account.
#[derive(Debug, Clone)]
pub struct AccountStanding {
    /// Whether it and its domain are in use.
    pub is_open: bool,
    /// The hash of its password.
    pub password: Secret<String>,
    /// When the password was set, as far as known.
    pub password_changed_at: Option<Timestamp>,
    /// Since when its password needs a second factor.
    pub two_factor_since: Option<Timestamp>,
}

impl Standings {
    /// An account; `None` when it is gone.
    pub fn account(&self, id: i64) -> Option<&AccountStanding> {
        self.accounts.get(&id)
    }

    /// Whether an app password exists and has not expired.
    pub fn has_app_password(&self, id: i64) -> bool {
        self.app_passwords.contains(&id)
    }
}

/// Numbers per query: every engine allows this many.
const AT_ONCE: usize = 200;

impl Directory {
    /// The state of accounts and app passwords with these numbers, read from the database.
    pub async fn standings(&self, accounts: &[i64], app_passwords: &[i64]) -> Result<Standings, Error> {
        let mut found = Standings::default();
        for ids in accounts.chunks(AT_ONCE) {
            let sql = format!(
                "SELECT u.id, u.enabled, s.archived_at, u.password, s.password_changed_at, t.confirmed_at, d.enabled, \
                 d.archived_at FROM virtual_users u LEFT JOIN user_state s ON s.user_id = u.id \
                 LEFT JOIN two_factor t ON t.user_id = u.id LEFT JOIN domain_state d ON d.domain_id = u.domain_id \
                 WHERE u.id IN ({})",
                vec!["?"; ids.len()].join(", ")
            );
            let values: Vec<Val> = ids.iter().map(|id| (*id).into()).collect();
            for row in self.0.database.fetch_all(Sql::rare(sql), &values).await? {
                found.accounts.insert(row.int(0)?, standing(&row)?);
            }
        }
        for ids in app_passwords.chunks(AT_ONCE) {
            let sql = format!(
                "SELECT id FROM app_passwords WHERE (ends_at IS NULL OR ends_at > ?) AND id IN ({})",
                vec!["?"; ids.len()].join(", ")
            );
            let now = [self.0.clock.now().into()];
            let values: Vec<Val> = now.into_iter().chain(ids.iter().map(|id| (*id).into())).collect();
            for row in self.0.database.fetch_all(Sql::rare(sql), &values).await? {
                found.app_passwords.insert(row.int(0)?);
            }
        }
        Ok(found)
    }
}

fn standing(row: &Row) -> Result<AccountStanding, Error> {
    let is_enabled = |column| Ok::<_, Error>(Standing::of(row.opt_int(column)?.unwrap_or(1) != 0) == Standing::Enabled);
    Ok(AccountStanding {
        is_open: is_enabled(1)? && row.opt_time(2)?.is_none() && is_enabled(6)? && row.opt_time(7)?.is_none(),
        password: Secret::new(row.text(3)?),
        password_changed_at: row.opt_time(4)?,
        two_factor_since: row.opt_time(5)?,
    })
}
