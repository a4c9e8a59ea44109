//! What users keep beside their mail: preferences of the webmail, the people they have written to, the letters already
//! sent, and those to be sent in a moment.
//!
//! Promises: durable when a call returns; bounded for each account, the people not written to for longest go first.
//! Nothing here is looked up while mail is received or fetched. Called by the webmail,
//! and by `services::dav` for people and languages.

mod correspondents;
mod held;
mod sendings;

pub use correspondents::Correspondent;
pub use held::Held;
pub use sendings::{Begun, Wish};

use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::storage::database::{Database, Error};

/// The room. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Personal {
    database: Database,
}

impl Personal {
    /// The room over a migrated database.
    pub const fn new(database: Database) -> Self {
        Self { database }
    }

    /// An account's preferences as they were stored; `None` when it has none yet.
    ///
    /// # Errors
    /// The database fails.
    pub async fn preferences(&self, account: &Address) -> Result<Option<String>, Error> {
        let sql = "SELECT preferences FROM preferences WHERE account = ?";
        let row = self.database.fetch_optional(sql, &[account.key().into()]).await?;
        row.map(|row| row.text(0)).transpose()
    }

    /// Replaces an account's preferences.
    ///
    /// # Errors
    /// The database fails.
    pub async fn set_preferences(&self, account: &Address, preferences: &str, now: Timestamp) -> Result<(), Error> {
        let sql = self.database.dialect().upsert("preferences", &["account"], &["preferences", "changed_at"]);
        self.database.execute(sql, &[account.key().into(), preferences.into(), now.into()]).await?;
        Ok(())
    }
}
