//! Reading objects, and what has changed.

use super::{Change, Changes, Collection, Collections, Error, Known, Object, ObjectInfo, Window};
use crate::storage::database::{self, Row, Sql, Val};

/// The columns of an [`ObjectInfo`]; the content follows where it is wanted.
const INFO: &str = "name, component, etag, size, modified_at";

fn info(row: &Row) -> Result<ObjectInfo, database::Error> {
    Ok(ObjectInfo {
        name: row.text(0)?,
        component: row.text(1)?,
        etag: row.text(2)?,
        size: row.int(3)?.cast_unsigned(),
        modified_at: row.time(4)?,
    })
}

fn object(row: &Row) -> Result<Object, database::Error> {
    Ok(Object { info: info(row)?, content: row.blob(5)? })
}

impl Collections {
    /// All objects of a collection, by name. Their number is bounded by what may be stored.
    ///
    /// # Errors
    /// The database fails.
    pub async fn objects(&self, collection: &Collection) -> Result<Vec<ObjectInfo>, Error> {
        let sql = Sql::assembled(format!("SELECT {INFO} FROM dav_objects WHERE collection = ? ORDER BY name"));
        let rows = self.database.fetch_all(sql, &[collection.id.into()]).await?;
        Ok(rows.iter().map(info).collect::<Result<_, _>>()?)
    }

    /// A single object.
    ///
    /// # Errors
    /// The database fails.
    pub async fn object(&self, collection: &Collection, name: &str) -> Result<Option<Object>, Error> {
        let sql = Sql::assembled(format!("SELECT {INFO}, content FROM dav_objects WHERE collection = ? AND name = ?"));
        let row = self.database.fetch_optional(sql, &[collection.id.into(), name.into()]).await?;
        Ok(row.as_ref().map(object).transpose()?)
    }

    /// The object with a UID.
    ///
    /// # Errors
    /// The database fails.
    pub async fn about(&self, collection: &Collection, uid: &str) -> Result<Option<Object>, Error> {
        let sql = Sql::assembled(format!("SELECT {INFO}, content FROM dav_objects WHERE collection = ? AND uid = ?"));
        let row = self.database.fetch_optional(sql, &[collection.id.into(), uid.into()]).await?;
        Ok(row.as_ref().map(object).transpose()?)
    }

    /// At most `most` objects after the one of this name, by name: those of the component, if one is given, that may
    /// overlap the window.
    ///
    /// # Errors
    /// The database fails.
    pub async fn page(
        &self,
        collection: &Collection,
        after: &str,
        component: Option<&str>,
        window: Option<Window>,
        most: u32,
    ) -> Result<Vec<Object>, Error> {
        let mut sql = format!("SELECT {INFO}, content FROM dav_objects WHERE collection = ? AND name > ?");
        let mut values: Vec<Val> = vec![collection.id.into(), after.into()];
        if let Some(component) = component {
            sql.push_str(" AND component = ?");
            values.push(component.into());
        }
        if let Some(Window { from, to }) = window {
            sql.push_str(" AND (begins_at IS NULL OR begins_at < ?) AND (ends_at IS NULL OR ends_at > ?)");
            values.extend([Val::from(to), Val::from(from)]);
        }
        sql.push_str(" ORDER BY name LIMIT ?");
        values.push(most.into());
        let rows = self.database.fetch_all(Sql::assembled(sql), &values).await?;
        Ok(rows.iter().map(object).collect::<Result<_, _>>()?)
    }

    /// The changes since a known state; everything if nothing is known. At most `most` changes.
    ///
    /// # Errors
    /// The number was never given out or is too old, the collection is gone, or the database fails.
    pub async fn changes(&self, collection: &Collection, since: Option<Known>, most: u32) -> Result<Changes, Error> {
        let mut transaction = self.database.begin_reading().await?;
        let sql = "SELECT token, forgotten FROM dav_collections WHERE id = ?";
        let row = transaction.fetch_optional(sql, &[collection.id.into()]).await?.ok_or(Error::NoCollection)?;
        let (token, forgotten) = (row.int(0)?, row.int(1)?);
        let before = since.unwrap_or(Known { told: 0, begun: Some(token) });
        let Known { told, begun } = before;
        let since = begun.unwrap_or(told);
        if told > token || since > token || since < forgotten {
            return Err(Error::UnknownToken);
        }
        let limit: Val = most.saturating_add(1).into();
        let sql = format!(
            "SELECT {INFO}, changed FROM dav_objects WHERE collection = ? AND changed > ? ORDER BY changed LIMIT ?"
        );
        let rows =
            transaction.fetch_all(Sql::assembled(sql), &[collection.id.into(), told.into(), limit.clone()]).await?;
        let stored = |row: &Row| Ok::<_, database::Error>((row.int(5)?, Change::Stored(info(row)?)));
        let mut changes = rows.iter().map(stored).collect::<Result<Vec<_>, _>>()?;
        let sql = "SELECT name, changed FROM dav_removed WHERE collection = ? AND changed > ? ORDER BY changed LIMIT ?";
        let values = [collection.id.into(), told.max(since).into(), limit];
        let rows = transaction.fetch_all(sql, &values).await?;
        let removed = |row: &Row| Ok::<_, database::Error>((row.int(1)?, Change::Removed(row.text(0)?)));
        changes.extend(rows.iter().map(removed).collect::<Result<Vec<_>, _>>()?);
        changes.sort_by_key(|(changed, _)| *changed);
        transaction.rollback().await?;
        let more = changes.len() > most as usize;
        changes.truncate(most as usize);
        let known = match (more, changes.last()) {
            (true, Some((changed, _))) => before.told(*changed),
            (true, None) => before,
            (false, _) => Known::up_to(token),
        };
        Ok(Changes { changes, before, known, more })
    }
}
