//! One-time links with which users choose their password.
//!
//! Only the digest of a link's token is stored: reading the table, or a backup of it, does not allow using a link. A
//! user has at most one. It is valid until it expires or somebody sets the password.

use std::time::Duration;

use super::look_up::{ACCOUNT_COLUMNS, Reader, account};
use super::{Directory, Edit, Error};
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::storage::database::Sql;

impl Directory {
    /// Whose password the link with this digest sets, if it is valid.
    pub async fn set_up_link(&self, digest: &str) -> Result<Option<Address>, Error> {
        find(&mut Reader::Database(&self.0.database), digest, self.0.clock.now()).await
    }
}

impl Edit {
    /// Gives a user a link; an earlier one becomes invalid. Returns when it expires.
    pub async fn give_set_up_link(
        &mut self,
        address: &Address,
        digest: &str,
        valid: Duration,
    ) -> Result<Timestamp, Error> {
        let (made_at, ends_at) = (self.now, self.now + valid);
        let id = self.user(address).await?.id;
        self.transaction.execute("DELETE FROM set_up_links WHERE ends_at <= ?", &[made_at.into()]).await?;
        let columns = ["digest", "made_at", "ends_at"];
        let sql = self.transaction.dialect().upsert("set_up_links", &["user_id"], &columns);
        self.transaction.execute(sql, &[id.into(), digest.into(), made_at.into(), ends_at.into()]).await?;
        Ok(ends_at)
    }

    /// Uses up a link and returns its user. `None` when it is invalid, or somebody else was faster.
    pub async fn use_set_up_link(&mut self, digest: &str) -> Result<Option<Address>, Error> {
        let now = self.now;
        let found = find(&mut Reader::Transaction(&mut self.transaction), digest, now).await?;
        let used = self.transaction.execute("DELETE FROM set_up_links WHERE digest = ?", &[digest.into()]).await?;
        Ok(found.filter(|_| used == 1))
    }
}

async fn find(reader: &mut Reader<'_>, digest: &str, now: Timestamp) -> Result<Option<Address>, Error> {
    let sql = format!(
        "{ACCOUNT_COLUMNS} JOIN set_up_links l ON l.user_id = u.id WHERE l.digest = ? AND l.ends_at > ? \
         AND COALESCE(s.password_changed_at, 0) <= l.made_at"
    );
    let rows = reader.fetch_all(Sql::assembled(sql), &[digest.into(), now.into()]).await?;
    let Some(account) = rows.first().map_or(Ok(None), account)? else { return Ok(None) };
    Ok(account.may_log_in().then_some(account.address))
}
