//! The people an account has written to.

use super::Personal;
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::storage::database::{Error, Row, Sql, Val};

/// Longest name that is kept, in characters.
const LONGEST_NAME: usize = 200;
/// Most people that one statement forgets.
const SLICE: usize = 500;

/// Somebody an account has written to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Correspondent {
    /// The name, empty when none is known.
    pub name: String,
    /// The address.
    pub address: String,
}

impl Personal {
    /// The people an account has written to, most often and most recently first, at most `most`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn correspondents(&self, account: &Address, most: u32) -> Result<Vec<Correspondent>, Error> {
        let sql = "SELECT address, name FROM correspondents WHERE account = ? \
                   ORDER BY times DESC, written_at DESC, address LIMIT ?";
        let rows = self.database.fetch_all(sql, &[account.key().into(), most.into()]).await?;
        let read = |row: &Row| Ok(Correspondent { address: row.text(0)?, name: row.text(1)? });
        rows.iter().map(read).collect()
    }

    /// Records that an account has written to these people. Beyond `most`, those not written to for longest are
    /// forgotten. An empty name keeps a known one.
    ///
    /// The database fails; then nothing is recorded.
    /// The database fails; nothing is remembered then.
    pub async fn wrote_to(
        &self,
        account: &Address,
        people: &[(String, Address)],
        most: u32,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut transaction = self.database.begin().await?;
        let owner = account.key();
        for (name, address) in people {
            let name: String = name.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
            let key = address.key();
            let sql = "SELECT name FROM correspondents WHERE account = ? AND address = ?";
            let known = transaction.fetch_optional(sql, &[owner.as_str().into(), key.as_str().into()]).await?;
            if let Some(row) = known {
                let name = if name.is_empty() { row.text(0)? } else { name };
                let sql = "UPDATE correspondents SET name = ?, times = times + 1, written_at = ? \
                           WHERE account = ? AND address = ?";
                let values = [name.into(), now.into(), owner.as_str().into(), key.into()];
                transaction.execute(sql, &values).await?;
            } else {
                let sql =
                    "INSERT INTO correspondents (account, address, name, times, written_at) VALUES (?, ?, ?, 1, ?)";
                let values = [owner.as_str().into(), key.into(), name.into(), now.into()];
                transaction.execute(sql, &values).await?;
            }
        }
        let sql = "SELECT written_at FROM correspondents WHERE account = ? ORDER BY written_at DESC LIMIT 1 OFFSET ?";
        let last = transaction.fetch_optional(sql, &[owner.as_str().into(), most.into()]).await?;
        if let Some(row) = last {
            let sql = "DELETE FROM correspondents WHERE account = ? AND written_at <= ?";
            transaction.execute(sql, &[owner.into(), row.time(0)?.into()]).await?;
        }
        transaction.commit().await
    }

    /// Forgets some of them.
    ///
    /// # Errors
    /// The database fails.
    pub async fn forget_correspondents(&self, account: &Address, addresses: &[Address]) -> Result<(), Error> {
        for slice in addresses.chunks(SLICE) {
            let marks = vec!["?"; slice.len()].join(", ");
            let sql = Sql::rare(format!("DELETE FROM correspondents WHERE account = ? AND address IN ({marks})"));
            let mut values = vec![Val::from(account.key())];
            values.extend(slice.iter().map(|address| Val::from(address.key())));
            self.database.execute(sql, &values).await?;
        }
        Ok(())
    }
}
