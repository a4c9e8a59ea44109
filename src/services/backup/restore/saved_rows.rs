//! The database's rows in a backup, by the names of their columns.

use std::collections::HashMap;

use crate::services::backup::repository::{ObjectId, Repository, Snapshot, TableRecord};
use crate::services::backup::{Error, rows};
use crate::storage::database::Val;

/// A row by the names of its columns.
pub(super) type Row = HashMap<String, Val>;

/// A table of the backup; none when the backup is older than the table.
pub(super) fn record<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a TableRecord> {
    snapshot.database.tables.iter().find(|saved| saved.table.name == name)
}

/// One piece of a table, about a mebibyte.
pub(super) fn piece(repository: &Repository, record: &TableRecord, object: &ObjectId) -> Result<Vec<Row>, Error> {
    let mut found = Vec::new();
    rows::each_row(&repository.read(object)?, &record.table, &mut |values| {
        let names = record.table.columns.iter().map(|column| column.name.clone());
        found.push(names.zip(values.iter().cloned()).collect());
    })?;
    Ok(found)
}

/// All rows of a table of the backup.
pub(super) fn table(repository: &Repository, snapshot: &Snapshot, name: &str) -> Result<Vec<Row>, Error> {
    let mut found = Vec::new();
    let Some(record) = record(snapshot, name) else { return Ok(found) };
    for object in &record.objects {
        found.extend(piece(repository, record, object)?);
    }
    Ok(found)
}

pub(super) fn text<'a>(row: &'a Row, column: &str) -> Option<&'a str> {
    match row.get(column) {
        Some(Val::Text(text)) => Some(text),
        _ => None,
    }
}

pub(super) fn number(row: &Row, column: &str) -> Option<i64> {
    match row.get(column) {
        Some(Val::Int(number)) => Some(*number),
        _ => None,
    }
}
