//! Totals of the directory.

use super::look_up::Directory;
use super::{Error, Usage};
use crate::foundations::settings::ByteSize;

/// The counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Domains, archived ones not counted.
    pub domains: u64,
    /// Users, archived ones not counted.
    pub users: u64,
    /// Those among them that are disabled.
    pub disabled: u64,
    /// Sources of aliases.
    pub aliases: u64,
    /// The usage of all mailboxes.
    pub usage: Usage,
}

/// A mailbox and its usage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fullness {
    /// The user's address, as the directory has it.
    pub address: String,
    /// Its usage.
    pub usage: Usage,
    /// Its quota; `None` for no limit.
    pub quota: Option<ByteSize>,
}

/// How mailboxes are ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fullest {
    /// By usage.
    BySize,
    /// By the used share of the quota.
    ByQuota,
}

impl Directory {
    /// Counts everything.
    pub async fn totals(&self) -> Result<Totals, Error> {
        let bytes = self.database().dialect().integer("SUM(bytes)");
        let messages = self.database().dialect().integer("SUM(messages)");
        let disabled = self.database().dialect().integer("SUM(CASE WHEN u.enabled <> 0 THEN 0 ELSE 1 END)");
        let mut totals = Totals::default();
        let counts: [(String, &mut [&mut u64]); 4] = [
            (
                "SELECT COUNT(*) FROM virtual_domains d LEFT JOIN domain_state s ON s.domain_id = d.id \
                 WHERE s.archived_at IS NULL"
                    .to_owned(),
                &mut [&mut totals.domains],
            ),
            (
                format!(
                    "SELECT COUNT(*), {disabled} FROM virtual_users u LEFT JOIN user_state s ON s.user_id = u.id \
                     WHERE s.archived_at IS NULL"
                ),
                &mut [&mut totals.users, &mut totals.disabled],
            ),
            ("SELECT COUNT(DISTINCT source) FROM virtual_aliases".to_owned(), &mut [&mut totals.aliases]),
            (
                format!("SELECT {bytes}, {messages} FROM mailbox_usage_exact"),
                &mut [&mut totals.usage.bytes, &mut totals.usage.messages],
            ),
        ];
        for (sql, places) in counts {
            let Some(row) = self.database().fetch_optional(crate::storage::database::Sql::assembled(sql), &[]).await?
            else {
                continue;
            };
            for (column, place) in places.iter_mut().enumerate() {
                **place = u64::try_from(row.opt_int(column)?.unwrap_or(0)).unwrap_or(0);
            }
        }
        Ok(totals)
    }

    /// The fullest mailboxes, by size or by share of the quota, at most `limit` (and 1,000).
    pub async fn fullest(&self, by: Fullest, limit: u32) -> Result<Vec<Fullness>, Error> {
        let order = match by {
            Fullest::BySize => "e.bytes DESC",
            Fullest::ByQuota => {
                "CASE WHEN u.quota_mb IS NULL OR u.quota_mb = 0 THEN 0.0 ELSE 1.0 * e.bytes / u.quota_mb END DESC, \
                 e.bytes DESC"
            }
        };
        let sql = crate::storage::database::Sql::assembled(format!(
            "SELECT u.email, e.bytes, e.messages, u.quota_mb FROM mailbox_usage_exact e \
             JOIN virtual_users u ON u.id = e.user_id ORDER BY {order}, u.email LIMIT ?"
        ));
        let mut fullest = Vec::new();
        for row in self.database().fetch_all(&sql, &[limit.min(1_000).into()]).await? {
            let unsigned = |n: i64| u64::try_from(n).unwrap_or(0);
            let quota = row.opt_int(3)?.map(unsigned).filter(|mebibytes| *mebibytes != 0);
            fullest.push(Fullness {
                address: row.text(0)?,
                usage: Usage { bytes: unsigned(row.int(1)?), messages: unsigned(row.int(2)?) },
                quota: quota.map(|mebibytes| ByteSize::bytes(mebibytes.saturating_mul(1 << 20))),
            });
        }
        Ok(fullest)
    }
}
