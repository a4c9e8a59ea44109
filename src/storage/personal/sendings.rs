//! Letters that were sent, so that several processes do not send one twice.

use super::Personal;
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::storage::database::{Error, Sql};

/// A request to send a letter, and the process asked to do it.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// Whose it is.
    pub account: &'a Address,
    /// The request's id, of 64 characters at the most.
    pub name: &'a str,
    /// The process's id, likewise.
    pub process: &'a str,
}

/// The state of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// It is for this process to send; an earlier attempt of it, if any, has sent nothing.
    Here,
    /// It was sent.
    Sent,
    /// Another process began at that time, and has not reported the result.
    Elsewhere(Timestamp),
}

impl Personal {
    /// Reserves a request for a process. Requests older than `forget` are forgotten.
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
        // Only a process whose clock is far ahead would forget it meanwhile.
        let Some(row) = row else { return Ok(Begun::Elsewhere(now)) };
        Ok(match (row.opt_time(2)?, row.text(0)? == wish.process) {
            (Some(_), _) => Begun::Sent,
            (None, true) => Begun::Here,
            (None, false) => Begun::Elsewhere(row.time(1)?),
        })
    }

    /// Records that a request was carried out.
    ///
    /// # Errors
    /// The database fails.
    pub async fn note_sent(&self, wish: Wish<'_>, now: Timestamp) -> Result<(), Error> {
        let sql = "UPDATE sendings SET sent_at = ? WHERE account = ? AND wish = ? AND process = ?";
        let values = [now.into(), wish.account.key().into(), wish.name.into(), wish.process.into()];
        self.database.execute(sql, &values).await?;
        Ok(())
    }

    /// Records that nothing was sent; any process may try again.
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
