//! The second factor of an account: the secret for its one-time codes, and recovery codes for a lost device.
//!
//! The secret is stored as given, sealed or not: `services::login` decides that. Only digests of recovery codes are
//! stored. The use of a code is committed before anybody is let in by it.

use std::time::Duration;

use super::{Directory, Edit, Error};
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::foundations::secret::Secret;
use crate::storage::database::{Absent, Val};

/// The second factor of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TwoFactor {
    /// The secret, as it was stored.
    pub secret: Secret<String>,
    /// When it was made.
    pub made_at: Timestamp,
    /// When a first code proved that the user has it; before that it is not in force.
    pub confirmed_at: Option<Timestamp>,
    /// Number of remaining recovery codes.
    pub recovery_codes: u32,
}

/// Limits on trying codes.
#[derive(Debug, Clone, Copy)]
pub struct Tries {
    /// Wrong codes in a row.
    pub most: u32,
    /// After this time without a try, tries are allowed again.
    pub rest: Duration,
}

impl Directory {
    /// The second factor of an account, confirmed or not.
    pub async fn two_factor(&self, user_id: i64) -> Result<Option<TwoFactor>, Error> {
        let database = &self.0.database;
        let sql = "SELECT secret, made_at, confirmed_at FROM two_factor WHERE user_id = ?";
        let Some(row) = database.fetch_optional(sql, &[user_id.into()]).await? else { return Ok(None) };
        let sql = "SELECT COUNT(*) FROM recovery_codes WHERE user_id = ?";
        let left = database.fetch_optional(sql, &[user_id.into()]).await?;
        let left = left.map_or(Ok(0), |row| row.int(0))?;
        Ok(Some(TwoFactor {
            secret: Secret::new(row.text(0)?),
            made_at: row.time(1)?,
            confirmed_at: row.opt_time(2)?,
            recovery_codes: u32::try_from(left).unwrap_or(u32::MAX),
        }))
    }

    /// Counts an attempt; returns whether it is allowed. Committed before the code is checked, so that concurrent
    /// attempts are all counted.
    pub async fn try_second_factor(&self, user_id: i64, tries: Tries) -> Result<bool, Error> {
        let now = self.0.clock.now();
        // A try from further ahead was made while the clock was wrong, which makes every code wrong.
        let (rested, ahead) = (now - tries.rest, now + tries.rest);
        let mut transaction = self.0.database.begin().await?;
        // MariaDB assigns from left to right: the count uses the time before it is set.
        let sql = "UPDATE two_factor SET tries = CASE WHEN tried_at <= ? OR tried_at > ? THEN 1 ELSE tries + 1 END, \
             tried_at = ? WHERE user_id = ? AND (tries < ? OR tried_at <= ? OR tried_at > ?)";
        let values =
            [rested.into(), ahead.into(), now.into(), user_id.into(), tries.most.into(), rested.into(), ahead.into()];
        let may = transaction.execute(sql, &values).await? == 1;
        transaction.commit().await?;
        Ok(may)
    }
}

impl Edit {
    /// Gives an account a secret that a first code must confirm. A confirmed one stays.
    pub async fn begin_two_factor(&mut self, address: &Address, secret: &Secret<String>) -> Result<(), Error> {
        let account = self.user(address).await?;
        if account.two_factor_since.is_some() {
            return Err(Error::Exists(format!("two-factor login of {address}")));
        }
        let columns = ["secret", "made_at", "confirmed_at", "last_step", "tries", "tried_at"];
        let sql = self.transaction.dialect().upsert("two_factor", &["user_id"], &columns);
        let values = [
            account.id.into(),
            secret.expose().into(),
            self.now.into(),
            Val::Null(Absent::Int),
            0_i64.into(),
            0_i64.into(),
            0_i64.into(),
        ];
        self.transaction.execute(sql, &values).await?;
        Ok(())
    }

    /// Puts a secret into force, with new recovery codes. False when it is already in force, or missing.
    pub async fn confirm_two_factor(&mut self, user_id: i64, digests: &[String]) -> Result<bool, Error> {
        let sql = "UPDATE two_factor SET confirmed_at = ? WHERE user_id = ? AND confirmed_at IS NULL";
        if self.transaction.execute(sql, &[self.now.into(), user_id.into()]).await? != 1 {
            return Ok(false);
        }
        self.set_recovery_codes(user_id, digests).await?;
        Ok(true)
    }

    /// The stored secret of an account, confirmed or not.
    pub async fn two_factor_secret(&mut self, address: &Address) -> Result<Option<Secret<String>>, Error> {
        let account = self.user(address).await?;
        let sql = "SELECT secret FROM two_factor WHERE user_id = ?";
        let row = self.transaction.fetch_optional(sql, &[account.id.into()]).await?;
        Ok(row.map(|row| row.text(0)).transpose()?.map(Secret::new))
    }

    /// Stores the same secret of an account in another form.
    pub async fn store_two_factor_secret(&mut self, address: &Address, secret: &Secret<String>) -> Result<(), Error> {
        let account = self.user(address).await?;
        let sql = "UPDATE two_factor SET secret = ? WHERE user_id = ?";
        self.transaction.execute(sql, &[secret.expose().into(), account.id.into()]).await?;
        Ok(())
    }

    /// Restores the second factor of an account, in which used codes stay used.
    pub async fn put_two_factor_back(
        &mut self,
        user_id: i64,
        secret: &Secret<String>,
        since: Timestamp,
        last_step: i64,
    ) -> Result<(), Error> {
        let columns = ["secret", "made_at", "confirmed_at", "last_step"];
        let sql = self.transaction.dialect().upsert("two_factor", &["user_id"], &columns);
        let values = [user_id.into(), secret.expose().into(), since.into(), since.into(), last_step.into()];
        self.transaction.execute(sql, &values).await?;
        Ok(())
    }

    /// Replaces the recovery codes.
    pub async fn set_recovery_codes(&mut self, user_id: i64, digests: &[String]) -> Result<(), Error> {
        self.transaction.execute("DELETE FROM recovery_codes WHERE user_id = ?", &[user_id.into()]).await?;
        for digest in digests {
            let sql = "INSERT INTO recovery_codes (user_id, digest) VALUES (?, ?)";
            self.transaction.execute(sql, &[user_id.into(), digest.into()]).await?;
        }
        Ok(())
    }

    /// Uses up the code of a time step, and with it those of all earlier steps; false when it was used before.
    pub async fn use_step(&mut self, user_id: i64, step: i64) -> Result<bool, Error> {
        let sql = "UPDATE two_factor SET last_step = ?, tries = 0 WHERE user_id = ? AND last_step < ?";
        Ok(self.transaction.execute(sql, &[step.into(), user_id.into(), step.into()]).await? == 1)
    }

    /// Uses up a recovery code; false when there is none with this digest.
    pub async fn use_recovery_code(&mut self, user_id: i64, digest: &str) -> Result<bool, Error> {
        let sql = "DELETE FROM recovery_codes WHERE user_id = ? AND digest = ?";
        if self.transaction.execute(sql, &[user_id.into(), digest.into()]).await? != 1 {
            return Ok(false);
        }
        self.transaction.execute("UPDATE two_factor SET tries = 0 WHERE user_id = ?", &[user_id.into()]).await?;
        Ok(true)
    }

    /// Removes the second factor, with its recovery codes and remembered browsers; returns whether one was in force.
    pub async fn remove_two_factor(&mut self, address: &Address) -> Result<bool, Error> {
        let account = self.user(address).await?;
        for rows in [
            "DELETE FROM recovery_codes WHERE user_id = ?",
            "DELETE FROM remembered_browsers WHERE user_id = ?",
            "DELETE FROM two_factor WHERE user_id = ?",
        ] {
            self.transaction.execute(rows, &[account.id.into()]).await?;
        }
        Ok(account.two_factor_since.is_some())
    }
}
