//! Letters that were sent, so that none is sent twice by several processes.

use super::Personal;
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::storage::database::{Error, Sql};

/// A wish to send a letter, and the process that is asked to fulfil it.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// Whose it is.
    pub account: &'a Address,
    /// The wish's own name, of 64 characters at the most.
    pub name: &'a str,
    /// The process's own name, likewise.
    pub process: &'a str,
}

/// What has become of a wish so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// It is this process's to fulfil; an earlier attempt of it, if there was one, has sent nothing.
    Here,
    /// It was fulfilled.
    Sent,
    /// Another process has begun at that time, and has not told how it went.
    Elsewhere(Timestamp),
}

impl Personal {
    /// Reserves a wish for a process. What is older than `forget` is forgotten.
    ///
    /// # Errors
    /// The database fails.
    pub async fn begin_sending(&self, wish: Wish<'_>, now: Timestamp, forget: Timestamp) -> Result<Begun, Error> {
        self.database.execute("DELETE FROM sendings WHERE begun_at < ?", &[forget.into()]).await?;
        let insert = "INSERT INTO sendings (account, wish, process, begun_at) VALUES (?, ?, ?, ?)";
        let conflict = self.database.dialect().on_conflict(&["account", "wish"], &[]);
        let values = [wish.account.key().into(), wish.name.into(), wish.process.into(), now.into()];
        self.database.execute(Sql::assembled(format!("{insert}{conflict}")), &values).await?;
        let sql = "SELECT process, begun_at, sent_at FROM sendings WHERE account = ? AND wish = ?";
        let row = self.database.fetch_optional(sql, &[wish.account.key().into(), wish.name.into()]).await?;
        // Only somebody whose clock is far ahead forgets it meanwhile.
        let Some(row) = row else { return Ok(Begun::Elsewhere(now)) };
        Ok(match (row.opt_time(2)?, row.text(0)? == wish.process) {
            (Some(_), _) => Begun::Sent,
            (None, true) => Begun::Here,
            (None, false) => Begun::Elsewhere(row.time(1)?),
        })
    }

    /// A wish was fulfilled.
    ///
    /// # Errors
    /// The database fails.
    pub async fn note_sent(&self, wish: Wish<'_>, now: Timestamp) -> Result<(), Error> {
        let sql = "UPDATE sendings SET sent_at = ? WHERE account = ? AND wish = ? AND process = ?";
        let values = [now.into(), wish.account.key().into(), wish.name.into(), wish.process.into()];
        self.database.execute(sql, &values).await?;
        Ok(())
    }

    /// Nothing was sent, and any process may try again.
    ///
    /// # Errors
    /// The database fails.
    pub async fn take_sending_back(&self, wish: Wish<'_>) -> Result<(), Error> {
        let sql = "DELETE FROM sendings WHERE account = ? AND wish = ? AND process = ? AND sent_at IS NULL";
        let values = [wish.account.key().into(), wish.name.into(), wish.process.into()];
        self.database.execute(sql, &values).await?;
        Ok(())
    }
}
