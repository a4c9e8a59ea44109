//! Browsers that need no one-time code for some time.
//!
//! Only the digest of a browser's token is stored: reading the table, or a backup of it, does not allow posing as one.
//! A browser is remembered for the password and the second factor that the account had then; changing either, whoever
//! does it, ends that. Use does not extend the time: a code must be shown now and then.

use std::time::Duration;

use super::{Directory, Edit, Error};
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::storage::database::{Durability, Row, Sql, Val};

/// A remembered browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RememberedBrowser {
    /// The digest of its token.
    pub digest: String,
    /// The login that showed a code.
    pub id: String,
    /// When it did.
    pub made_at: Timestamp,
    /// When the browser was last let in without a code, or showed one.
    pub used_at: Timestamp,
    /// From where, at most 64 characters.
    pub client: String,
    /// The browser, as it calls itself, at most 255 characters.
    pub browser: String,
}

/// What an account's browsers are remembered for.
#[derive(Debug, Clone)]
pub struct RememberedFor {
    /// Number of the account.
    pub user_id: i64,
    /// A digest of its stored password.
    pub password: String,
    /// Since when its second factor has been in force.
    pub two_factor_since: Timestamp,
    /// For how long.
    pub time: Duration,
}

const WHICH: &str = "user_id = ? AND password = ? AND two_factor_since = ? AND made_at > ?";

impl Directory {
    /// The remembered browsers, the one used last first.
    pub async fn remembered_browsers(&self, of: &RememberedFor) -> Result<Vec<RememberedBrowser>, Error> {
        let sql = format!(
            "SELECT digest, id, made_at, used_at, client, browser FROM remembered_browsers WHERE {WHICH} \
             ORDER BY used_at DESC, digest"
        );
        let values = of.values(self.0.clock.now());
        let rows = self.0.database.fetch_all(Sql::assembled(sql), &values).await?;
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// Whether a browser with this digest is remembered; records its use. That record may be lost in a power failure:
    /// it is only information for people.
    pub async fn use_remembered_browser(&self, of: &RememberedFor, digest: &str, client: &str) -> Result<bool, Error> {
        let now = self.0.clock.now();
        let sql = format!("UPDATE remembered_browsers SET used_at = ?, client = ? WHERE digest = ? AND {WHICH}");
        let client: String = client.chars().take(LONGEST_CLIENT).collect();
        let mut values = vec![now.into(), client.into(), digest.into()];
        values.extend(of.values(now));
        let mut transaction = self.0.database.begin_with(Durability::Relaxed).await?;
        let is_known = transaction.execute(Sql::assembled(sql), &values).await? == 1;
        transaction.commit().await?;
        Ok(is_known)
    }
}

impl Edit {
    /// Remembers a browser. Invalid ones are removed, and beyond `most` those used longest ago.
    pub async fn remember_browser(
        &mut self,
        of: &RememberedFor,
        browser: &RememberedBrowser,
        most: u32,
    ) -> Result<(), Error> {
        // Anyone adding one for the same user at the same time waits here, so that both together stay within the limit.
        let lock = format!("SELECT id FROM virtual_users WHERE id = ?{}", self.transaction.dialect().for_update());
        self.transaction.fetch_optional(Sql::assembled(lock), &[of.user_id.into()]).await?;
        let over = format!("DELETE FROM remembered_browsers WHERE user_id = ? AND NOT ({WHICH})");
        let mut values = vec![of.user_id.into()];
        values.extend(of.values(self.now));
        self.transaction.execute(Sql::assembled(over), &values).await?;
        let surplus = "SELECT digest FROM remembered_browsers WHERE user_id = ? \
                       ORDER BY used_at DESC, digest LIMIT 1000 OFFSET ?";
        let kept = most.max(1) - 1;
        for row in self.transaction.fetch_all(surplus, &[of.user_id.into(), kept.into()]).await? {
            let sql = "DELETE FROM remembered_browsers WHERE digest = ?";
            self.transaction.execute(sql, &[row.text(0)?.into()]).await?;
        }
        let sql = "INSERT INTO remembered_browsers (digest, user_id, id, password, two_factor_since, made_at, used_at, \
                   client, browser) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let short = |text: &str, most| text.chars().take(most).collect::<String>();
        let values = [
            browser.digest.as_str().into(),
            of.user_id.into(),
            browser.id.as_str().into(),
            of.password.as_str().into(),
            of.two_factor_since.into(),
            browser.made_at.into(),
            browser.used_at.into(),
            short(&browser.client, LONGEST_CLIENT).into(),
            short(&browser.browser, LONGEST_BROWSER).into(),
        ];
        self.transaction.execute(sql, &values).await?;
        Ok(())
    }

    /// Forgets the browsers of an account, or the one remembered for this login; returns how many there were.
    pub async fn forget_browsers(&mut self, address: &Address, id: Option<&str>) -> Result<u64, Error> {
        let user_id = self.user(address).await?.id;
        Ok(match id {
            None => {
                let sql = "DELETE FROM remembered_browsers WHERE user_id = ?";
                self.transaction.execute(sql, &[user_id.into()]).await?
            }
            Some(id) => {
                let sql = "DELETE FROM remembered_browsers WHERE user_id = ? AND id = ?";
                self.transaction.execute(sql, &[user_id.into(), id.into()]).await?
            }
        })
    }
}

impl RememberedFor {
    /// The values of [`WHICH`].
    fn values(&self, now: Timestamp) -> Vec<Val> {
        let since = now - self.time;
        vec![self.user_id.into(), self.password.as_str().into(), self.two_factor_since.into(), since.into()]
    }
}

fn read(row: &Row) -> Result<RememberedBrowser, crate::storage::database::Error> {
    Ok(RememberedBrowser {
        digest: row.text(0)?,
        id: row.text(1)?,
        made_at: row.time(2)?,
        used_at: row.time(3)?,
        client: row.text(4)?,
        browser: row.text(5)?,
    })
}

/// In characters.
const LONGEST_CLIENT: usize = 64;
/// In characters.
const LONGEST_BROWSER: usize = 255;
