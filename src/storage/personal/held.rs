//! Letters waiting to be sent, which can be taken back until then.

use super::Personal;
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::storage::database::{Error, Row};

/// A letter that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The account, as [`Address::key`] writes it.
    pub account: String,
    /// The id of the request to send it, of 64 characters at the most.
    pub wish: String,
    /// The letter, in the caller's format.
    pub content: String,
    /// When it is to be sent.
    pub due: Timestamp,
}

impl Personal {
    /// Holds a letter until it is due, replacing the one held for the same request.
    ///
    /// # Errors
    /// The database fails.
    pub async fn hold(&self, account: &Address, wish: &str, content: &str, due: Timestamp) -> Result<(), Error> {
        let sql = self.database.dialect().upsert("held_letters", &["account", "wish"], &["content", "due_at"]);
        self.database.execute(sql, &[account.key().into(), wish.into(), content.into(), due.into()]).await?;
        Ok(())
    }

    /// Holds a letter for longer, if it is still held.
    ///
    /// # Errors
    /// The database fails.
    pub async fn put_off(&self, account: &Address, wish: &str, due: Timestamp) -> Result<(), Error> {
        let sql = "UPDATE held_letters SET due_at = ? WHERE account = ? AND wish = ?";
        self.database.execute(sql, &[due.into(), account.key().into(), wish.into()]).await?;
        Ok(())
    }

    /// How many letters of an account wait.
    ///
    /// # Errors
    /// The database fails.
    pub async fn held(&self, account: &Address) -> Result<i64, Error> {
        let sql = "SELECT COUNT(*) FROM held_letters WHERE account = ?";
        let row = self.database.fetch_optional(sql, &[account.key().into()]).await?;
        row.map_or(Ok(0), |row| row.int(0))
    }

    /// Stops holding a letter; returns whether it was held.
    ///
    /// # Errors
    /// The database fails.
    pub async fn let_go(&self, account: &Address, wish: &str) -> Result<bool, Error> {
        let sql = "DELETE FROM held_letters WHERE account = ? AND wish = ?";
        Ok(self.database.execute(sql, &[account.key().into(), wish.into()]).await? > 0)
    }

    /// Whether a letter is held.
    ///
    /// # Errors
    /// The database fails.
    pub async fn is_held(&self, account: &Address, wish: &str) -> Result<bool, Error> {
        let sql = "SELECT due_at FROM held_letters WHERE account = ? AND wish = ?";
        Ok(self.database.fetch_optional(sql, &[account.key().into(), wish.into()]).await?.is_some())
    }

    /// The letters due before a moment, the earliest first, at most `most`; also those due after `latest`, a time that
    /// can only come from a clock that was ahead.
    ///
    /// # Errors
    /// The database fails.
    pub async fn due_before(&self, moment: Timestamp, latest: Timestamp, most: u32) -> Result<Vec<Held>, Error> {
        let sql = "SELECT account, wish, content, due_at FROM held_letters WHERE due_at < ? OR due_at > ? \
                   ORDER BY due_at, wish LIMIT ?";
        let rows = self.database.fetch_all(sql, &[moment.into(), latest.into(), most.into()]).await?;
        let read = |row: &Row| {
            Ok(Held { account: row.text(0)?, wish: row.text(1)?, content: row.text(2)?, due: row.time(3)? })
        };
        rows.iter().map(read).collect()
    }
}
