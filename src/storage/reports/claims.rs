//! Which process sends which counts.

use std::time::Duration;

use super::{Kind, Reports};
use crate::foundations::clock::Timestamp;
use crate::storage::database::{Error, Sql, Val};

/// A process that has claimed a domain's counts has this long to send them; then another may.
const LEASE: Duration = Duration::from_secs(3600);
/// How long it is remembered that counts were sent, in days.
const REMEMBERED: i64 = 40;

impl Reports {
    /// Domains with unsent counts of days before `day` that nobody has claimed lately, at most `most`. Counts added to
    /// a domain's day after it was sent are not sent: they are deleted along with the claim.
    ///
    /// # Errors
    /// The database fails.
    pub async fn waiting(&self, day: i64, now: Timestamp, most: u32) -> Result<Vec<(Kind, i64, String)>, Error> {
        let sql = "SELECT DISTINCT t.kind, t.day, t.domain FROM report_tallies t LEFT JOIN report_claims c \
                   ON c.kind = t.kind AND c.day = t.day AND c.domain = t.domain \
                   WHERE t.day < ? AND c.sent_at IS NULL AND (c.claimed_at IS NULL OR c.claimed_at < ?) \
                   ORDER BY t.day, t.kind, t.domain LIMIT ?";
        let rows = self.0.database.fetch_all(sql, &[day.into(), (now - LEASE).into(), most.into()]).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            if let Some(kind) = Kind::from_word(&row.text(0)?) {
                found.push((kind, row.int(1)?, row.text(2)?));
            }
        }
        Ok(found)
    }

    /// Claims the counts of a domain for this process. `false` when somebody else has sent them or is about to.
    ///
    /// # Errors
    /// The database fails.
    pub async fn claim(&self, kind: Kind, day: i64, domain: &str, now: Timestamp) -> Result<bool, Error> {
        let database = &self.0.database;
        let key = || -> [Val; 3] { [kind.word().into(), day.into(), domain.into()] };
        let conflict = database.dialect().on_conflict(&["kind", "day", "domain"], &[]);
        let insert = "INSERT INTO report_claims (kind, day, domain, claimed_at) VALUES (?, ?, ?, 0)";
        database.execute(Sql::assembled(format!("{insert}{conflict}")), &key()).await?;
        let [kind_value, day_value, domain_value] = key();
        let sql = "UPDATE report_claims SET claimed_at = ? WHERE kind = ? AND day = ? AND domain = ? \
                   AND sent_at IS NULL AND claimed_at < ?";
        let values = [now.into(), kind_value, day_value, domain_value, (now - LEASE).into()];
        Ok(database.execute(sql, &values).await? == 1)
    }

    /// The counts of a domain under one of its policies have been sent: they are deleted, the others stay.
    ///
    /// # Errors
    /// The database fails.
    pub async fn settle_policy(&self, kind: Kind, day: i64, domain: &str, policy: &str) -> Result<(), Error> {
        let sql = "DELETE FROM report_tallies WHERE kind = ? AND day = ? AND domain = ? AND policy = ?";
        let values = [kind.word().into(), day.into(), domain.into(), policy.into()];
        self.0.database.execute(sql, &values).await.map(|_| ())
    }

    /// The counts of a domain have been sent, or nobody wants them: they are deleted.
    ///
    /// # Errors
    /// The database fails.
    pub async fn settle(&self, kind: Kind, day: i64, domain: &str, now: Timestamp) -> Result<(), Error> {
        let key = || -> [Val; 3] { [kind.word().into(), day.into(), domain.into()] };
        let mut transaction = self.0.database.begin().await?;
        let sql = "DELETE FROM report_tallies WHERE kind = ? AND day = ? AND domain = ?";
        transaction.execute(sql, &key()).await?;
        let sql = "UPDATE report_claims SET sent_at = ? WHERE kind = ? AND day = ? AND domain = ?";
        let [kind_value, day_value, domain_value] = key();
        transaction.execute(sql, &[now.into(), kind_value, day_value, domain_value]).await?;
        transaction.execute("DELETE FROM report_claims WHERE day < ?", &[(day - REMEMBERED).into()]).await?;
        transaction.commit().await
    }
}
