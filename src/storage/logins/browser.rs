//! The table of logins.

use std::time::Duration;

use crate::foundations::clock::Timestamp;
use crate::foundations::ids::SessionId;
use crate::storage::database::{Database, Error, Row, Transaction, Val};

crate::words! {
    /// The page that a login is for.
    pub enum Page {
        /// The user's own mail.
        Webmail = "webmail",
        /// The monitoring page.
        Dashboard = "dashboard",
    }
}

/// One login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrowserLogin {
    /// Its name in events, and for ending it from another browser.
    pub id: SessionId,
    /// The owner: the key of an address, or a fixed word where there is no account.
    pub account: String,
    /// A digest of the stored password it was made with: a new password ends it.
    pub password: String,
    /// When two-factor login had been turned on at the time the login passed it; if it was turned on later, a new login
    /// is needed.
    pub two_factor_since: Option<Timestamp>,
    /// When it began.
    pub begun: Timestamp,
    /// Last use, as far as recorded.
    pub used: Timestamp,
    /// Where from, at most 64 characters.
    pub client: String,
    /// The browser, as it calls itself, at most 255 characters.
    pub browser: String,
}

/// Limits of logins.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a login lasts without being used.
    pub idle: Duration,
    /// How long it lasts at most.
    pub whole: Duration,
    /// How many an account may have.
    pub per_account: u32,
    /// How many there may be.
    pub all: u32,
}

/// Which logins of an account to end.
#[derive(Debug, Clone, Copy)]
pub enum Ending {
    /// This one.
    One(SessionId),
    /// All but this one.
    AllBut(SessionId),
}

impl BrowserLogin {
    /// Whether it has expired.
    pub fn is_over(&self, now: Timestamp, limits: &Limits) -> bool {
        self.used + limits.idle <= now || self.begun + limits.whole <= now
    }
}

/// The logins to one page. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct BrowserLogins {
    database: Database,
    page: Page,
}

const COLUMNS: &str = "id, account, password, two_factor_since, begun_at, used_at, client, browser";

impl BrowserLogins {
    /// The room over a migrated database.
    pub const fn new(database: Database, page: Page) -> Self {
        Self { database, page }
    }

    /// Records a login. Expired ones are removed; beyond the limits, those unused for longest end, and their digests
    /// are returned.
    ///
    /// The database fails; then the login has not begun.
    /// The database fails; nothing has begun then.
    pub async fn begin(&self, digest: &str, login: &BrowserLogin, limits: &Limits) -> Result<Vec<String>, Error> {
        let (page, now) = (Val::from(self.page.word()), login.used);
        let mut transaction = self.database.begin().await?;
        let over = "DELETE FROM browser_logins WHERE page = ? AND (used_at <= ? OR begun_at <= ?)";
        let values = [page.clone(), (now - limits.idle).into(), (now - limits.whole).into()];
        transaction.execute(over, &values).await?;
        let own = "SELECT digest FROM browser_logins WHERE page = ? AND account = ? \
                   ORDER BY used_at DESC, begun_at DESC, digest LIMIT 1000 OFFSET ?";
        let kept = limits.per_account.max(1) - 1;
        let values = [page.clone(), login.account.as_str().into(), kept.into()];
        let surplus = transaction.fetch_all(own, &values).await?;
        let mut ended = remove(&mut transaction, &surplus).await?;
        let all = "SELECT digest FROM browser_logins WHERE page = ? \
                   ORDER BY used_at DESC, digest LIMIT 1000 OFFSET ?";
        let surplus = transaction.fetch_all(all, &[page.clone(), (limits.all.max(1) - 1).into()]).await?;
        ended.extend(remove(&mut transaction, &surplus).await?);
        let insert = "INSERT INTO browser_logins (digest, page, id, account, password, two_factor_since, begun_at, \
                      used_at, client, browser) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let values = [
            digest.into(),
            page,
            login.id.to_string().into(),
            login.account.as_str().into(),
            login.password.as_str().into(),
            login.two_factor_since.into(),
            login.begun.into(),
            login.used.into(),
            login.client.as_str().into(),
            login.browser.as_str().into(),
        ];
        transaction.execute(insert, &values).await?;
        transaction.commit().await?;
        Ok(ended)
    }

    /// The login for a token with this digest; it may have expired.
    ///
    /// # Errors
    /// The database fails.
    pub async fn find(&self, digest: &str) -> Result<Option<BrowserLogin>, Error> {
        let sql = "SELECT id, account, password, two_factor_since, begun_at, used_at, client, browser \
                   FROM browser_logins WHERE digest = ? AND page = ?";
        let row = self.database.fetch_optional(sql, &[digest.into(), self.page.word().into()]).await?;
        Ok(row.as_ref().map(read).transpose()?.flatten())
    }

    /// The logins of an account with their digests, the one used last first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn of(&self, account: &str) -> Result<Vec<(String, BrowserLogin)>, Error> {
        let sql = format!(
            "SELECT {COLUMNS}, digest FROM browser_logins WHERE page = ? AND account = ? ORDER BY used_at DESC, digest"
        );
        let sql = crate::storage::database::Sql::assembled(sql);
        let rows = self.database.fetch_all(sql, &[self.page.word().into(), account.into()]).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            if let Some(login) = read(row)? {
                found.push((row.text(8)?, login));
            }
        }
        Ok(found)
    }

    /// Records that a login was used; a later use already recorded is kept.
    ///
    /// # Errors
    /// The database fails.
    pub async fn note_use(&self, digest: &str, used: Timestamp) -> Result<(), Error> {
        let sql = "UPDATE browser_logins SET used_at = ? WHERE digest = ? AND used_at < ?";
        self.database.execute(sql, &[used.into(), digest.into(), used.into()]).await?;
        Ok(())
    }

    /// Records that a login has passed two-factor login as turned on at that time.
    ///
    /// # Errors
    /// The database fails.
    pub async fn passed(&self, digest: &str, since: Option<Timestamp>) -> Result<(), Error> {
        let sql = "UPDATE browser_logins SET two_factor_since = ? WHERE digest = ?";
        self.database.execute(sql, &[since.into(), digest.into()]).await?;
        Ok(())
    }

    /// Records that this login has changed the account's password; it stays valid.
    ///
    /// # Errors
    /// The database fails.
    pub async fn keep_with(&self, digest: &str, password: &str) -> Result<(), Error> {
        let sql = "UPDATE browser_logins SET password = ? WHERE digest = ?";
        self.database.execute(sql, &[password.into(), digest.into()]).await?;
        Ok(())
    }

    /// Ends logins of an account; returns how many.
    ///
    /// # Errors
    /// The database fails.
    pub async fn end(&self, account: &str, which: Ending) -> Result<u64, Error> {
        let (sql, id) = match which {
            Ending::One(id) => ("DELETE FROM browser_logins WHERE page = ? AND account = ? AND id = ?", id),
            Ending::AllBut(id) => ("DELETE FROM browser_logins WHERE page = ? AND account = ? AND id <> ?", id),
        };
        self.database.execute(sql, &[self.page.word().into(), account.into(), id.to_string().into()]).await
    }
}

async fn remove(transaction: &mut Transaction, rows: &[Row]) -> Result<Vec<String>, Error> {
    let mut ended = Vec::with_capacity(rows.len());
    for row in rows {
        let digest = row.text(0)?;
        transaction.execute("DELETE FROM browser_logins WHERE digest = ?", &[digest.as_str().into()]).await?;
        ended.push(digest);
    }
    Ok(ended)
}

/// `None` for a row that this program did not write.
fn read(row: &Row) -> Result<Option<BrowserLogin>, Error> {
    let Ok(id) = row.text(0)?.parse() else { return Ok(None) };
    Ok(Some(BrowserLogin {
        id,
        account: row.text(1)?,
        password: row.text(2)?,
        two_factor_since: row.opt_time(3)?,
        begun: row.time(4)?,
        used: row.time(5)?,
        client: row.text(6)?,
        browser: row.text(7)?,
    }))
}
