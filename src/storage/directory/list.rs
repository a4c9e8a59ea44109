//! Lists, page by page, and everything at once.

use super::look_up::{ACCOUNT_COLUMNS, DOMAIN_COLUMNS, Directory, Reader, account, domain_entry, owner};
use super::{Account, AliasEntry, DomainEntry, Error, Source, Standing};
use crate::foundations::address::{Address, Domain};
use crate::storage::database::{Row, Sql, Val};

/// Selects a piece of a list in the order of its keys.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Only entries of this domain.
    pub domain: Option<Domain>,
    /// Only entries whose key comes after this one; the last key of the page before.
    pub after: Option<String>,
    /// At most this many; 0 means [`Page::USUAL`].
    pub limit: u32,
}

impl Page {
    /// The usual number of entries.
    pub const USUAL: u32 = 500;

    fn limit(&self) -> i64 {
        if self.limit == 0 { Self::USUAL.into() } else { self.limit.into() }
    }
}

/// The whole directory at one moment, for comparison with a declaration.
#[derive(Debug, Default)]
pub struct Everything {
    /// Every domain, archived ones too.
    pub domains: Vec<DomainEntry>,
    /// Every user, archived ones too.
    pub accounts: Vec<Account>,
    /// Every row of every alias, with the number of its domain.
    pub aliases: Vec<(i64, AliasEntry)>,
}

const ALIAS_COLUMNS: &str = "SELECT a.id, a.source, a.destination, s.enabled, s.owner, a.domain_id \
     FROM virtual_aliases a LEFT JOIN alias_state s ON s.alias_id = a.id";

/// Our tables beside the seed's, each with what selects columns of the same names and types from the seed's.
const BESIDE_THE_SEED: [(&str, &str); 4] = [
    ("domain_state", "id AS domain_id, id AS enabled, name AS owner, id AS archived_at FROM virtual_domains"),
    (
        "user_state",
        "id AS user_id, email AS display_name, email AS owner, id AS archived_at, email AS password_owner, \
         id AS password_changed_at, email AS declared_password FROM virtual_users",
    ),
    ("alias_state", "id AS alias_id, id AS enabled, source AS owner FROM virtual_aliases"),
    ("two_factor", "id AS user_id, id AS confirmed_at FROM virtual_users"),
];

impl Directory {
    /// Domains in the order of their names.
    pub async fn domains(&self, page: &Page) -> Result<Vec<DomainEntry>, Error> {
        let name = self.0.database.dialect().folded("d.name");
        let sql = format!("{DOMAIN_COLUMNS} WHERE {name} > ? ORDER BY {name} LIMIT ?");
        let after = page.after.clone().unwrap_or_default();
        let rows = self.0.database.fetch_all(Sql::assembled(sql), &[after.into(), page.limit().into()]).await?;
        rows.iter().filter_map(|row| domain_entry(row).transpose()).collect()
    }

    /// Users in the order of their addresses.
    pub async fn accounts(&self, page: &Page) -> Result<Vec<Account>, Error> {
        let rows = self.page(ACCOUNT_COLUMNS, "u.email", "u.domain_id", page).await?;
        rows.iter().filter_map(|row| account(row).transpose()).collect()
    }

    /// The rows of aliases in the order of their sources. A page ends between two sources, never within one: it may
    /// exceed the limit by the remaining rows of the last source.
    pub async fn alias_entries(&self, page: &Page) -> Result<Vec<AliasEntry>, Error> {
        let rows = self.page(ALIAS_COLUMNS, "a.source", "a.domain_id", page).await?;
        let full = i64::try_from(rows.len()).unwrap_or(i64::MAX) >= page.limit();
        let mut entries: Vec<AliasEntry> = rows.iter().map(alias_entry).collect::<Result<_, _>>()?;
        if let Some(last) = entries.last().filter(|_| full).map(|entry| entry.source.clone()) {
            let sql =
                format!("{ALIAS_COLUMNS} WHERE {} = ? ORDER BY a.id", self.0.database.dialect().folded("a.source"));
            let rest = self.0.database.fetch_all(Sql::assembled(sql), &[last.as_str().into()]).await?;
            entries.retain(|entry| entry.source != last);
            for row in &rest {
                entries.push(alias_entry(row)?);
            }
        }
        Ok(entries)
    }

    /// The rows of one alias, disabled ones too.
    pub async fn alias(&self, key: &str) -> Result<Vec<AliasEntry>, Error> {
        let sql = format!("{ALIAS_COLUMNS} WHERE {} = ? ORDER BY a.id", self.0.database.dialect().folded("a.source"));
        let rows = self.0.database.fetch_all(Sql::assembled(sql), &[key.into()]).await?;
        let entries: Vec<AliasEntry> = rows.iter().map(alias_entry).collect::<Result<_, _>>()?;
        Ok(entries.into_iter().filter(|entry| entry.source == key).collect())
    }

    /// Addresses whose aliases name this one as their destination, at most `most`. Routing decides where they finally
    /// lead: this only says where to look.
    pub async fn sources_to(&self, destination: &Address, most: u32) -> Result<Vec<Address>, Error> {
        let folded = self.0.database.dialect().folded("a.destination");
        let sql =
            format!("SELECT DISTINCT a.source FROM virtual_aliases a WHERE {folded} LIKE ? ORDER BY a.source LIMIT ?");
        let pattern = format!("%{}%", destination.key());
        let rows = self.0.database.fetch_all(Sql::assembled(sql), &[pattern.into(), most.into()]).await?;
        let mut sources = Vec::with_capacity(rows.len());
        for row in &rows {
            if let Some(Source::Address(address)) = Source::parse(&row.text(0)?) {
                sources.push(address);
            }
        }
        Ok(sources)
    }

    /// The active account created first: of a domain, or of all.
    pub async fn oldest_account(&self, domain_id: Option<i64>) -> Result<Option<Account>, Error> {
        let mut sql = format!("{ACCOUNT_COLUMNS} WHERE u.enabled <> 0 AND s.archived_at IS NULL");
        let mut values: Vec<Val> = Vec::new();
        if let Some(id) = domain_id {
            sql.push_str(" AND u.domain_id = ?");
            values.push(id.into());
        }
        let row = self.0.database.fetch_optional(Sql::assembled(sql + " ORDER BY u.id LIMIT 1"), &values).await?;
        row.map_or(Ok(None), |row| account(&row))
    }

    /// Everything, for comparison with a declaration.
    pub async fn everything(&self) -> Result<Everything, Error> {
        everything(&mut Reader::Database(&self.0.database), "").await
    }

    /// The same in a database that [`Database::migrate`](crate::storage::database::Database::migrate) has not brought up
    /// to date, such as one with the seed's tables only.
    pub async fn everything_before_migration(&self) -> Result<Everything, Error> {
        let mut empty = Vec::new();
        for (table, columns) in BESIDE_THE_SEED {
            if !self.0.database.has_table(table).await? {
                empty.push(format!("{table} AS (SELECT {columns} WHERE 1 = 0)"));
            }
        }
        let with = if empty.is_empty() { String::new() } else { format!("WITH {} ", empty.join(", ")) };
        everything(&mut Reader::Database(&self.0.database), &with).await
    }

    async fn page(&self, columns: &str, key: &str, domain_id: &str, page: &Page) -> Result<Vec<Row>, Error> {
        let key = self.0.database.dialect().folded(key);
        let mut sql = format!("{columns} WHERE {key} > ?");
        let mut values: Vec<Val> = vec![page.after.clone().unwrap_or_default().into()];
        if let Some(domain) = &page.domain {
            let entry = self.domain(domain).await?.ok_or_else(|| Error::NoDomain(domain.clone()))?;
            sql = format!("{sql} AND {domain_id} = ?");
            values.push(entry.id.into());
        }
        values.push(page.limit().into());
        Ok(self.0.database.fetch_all(Sql::assembled(format!("{sql} ORDER BY {key} LIMIT ?")), &values).await?)
    }
}

/// `with` is put before each SELECT.
pub(super) async fn everything(reader: &mut Reader<'_>, with: &str) -> Result<Everything, Error> {
    let domains = reader.fetch_all(Sql::assembled(format!("{with}{DOMAIN_COLUMNS}")), &[]).await?;
    let accounts = reader.fetch_all(Sql::assembled(format!("{with}{ACCOUNT_COLUMNS}")), &[]).await?;
    let aliases = reader.fetch_all(Sql::assembled(format!("{with}{ALIAS_COLUMNS} ORDER BY a.id")), &[]).await?;
    Ok(Everything {
        domains: domains.iter().filter_map(|row| domain_entry(row).transpose()).collect::<Result<_, _>>()?,
        accounts: accounts.iter().filter_map(|row| account(row).transpose()).collect::<Result<_, _>>()?,
        aliases: aliases.iter().map(|row| Ok((row.int(5)?, alias_entry(row)?))).collect::<Result<_, Error>>()?,
    })
}

fn alias_entry(row: &Row) -> Result<AliasEntry, Error> {
    let stored = row.text(1)?;
    Ok(AliasEntry {
        id: row.int(0)?,
        // A source that is not an address matches nothing; it is shown unchanged.
        source: super::entry::key_of(&stored).unwrap_or(stored),
        destination: row.text(2)?,
        standing: Standing::of(row.opt_int(3)?.unwrap_or(1) != 0),
        owner: owner(row, 4)?,
    })
}
