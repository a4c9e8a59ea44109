//! The database's rows as objects: one JSON array per line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::Error;
use super::repository::{Block, DatabaseRecord, Kind, ObjectId, Repository, TableRecord};
use crate::storage::database::{ColumnKind, Database, Table, Transaction, Val};

/// Octets of lines at which an object is full.
const FULL: usize = 1 << 20;
/// Rows that are inserted at once.
const TOGETHER: usize = 500;

/// Reads all tables in an open transaction.
pub async fn save(
    repository: &Repository,
    database: &Database,
    transaction: &mut Transaction,
) -> Result<(DatabaseRecord, u64), Error> {
    let mut record = DatabaseRecord { engine: database.dialect().word().to_owned(), tables: Vec::new() };
    let mut block = Block::new(repository, Kind::Content)?;
    for table in database.tables_described().await? {
        let (mut objects, mut rows, mut lines) = (Vec::new(), 0, Vec::new());
        let mut each = |values: Vec<Val>| {
            rows += 1;
            write_line(&values, &mut lines);
            if lines.len() >= FULL {
                objects.push(block.add(&lines)?);
                lines.clear();
            }
            Ok::<_, Error>(())
        };
        transaction.read_table(&table, &mut each).await?;
        if !lines.is_empty() {
            objects.push(block.add(&lines)?);
        }
        record.tables.push(TableRecord { table, rows, objects });
    }
    block.flush()?;
    Ok((record, block.added))
}

/// Inserts all rows of all tables that `keep` accepts, in one transaction. The tables must exist and match.
pub async fn restore(
    repository: &Repository,
    record: &DatabaseRecord,
    database: &Database,
    mut keep: impl FnMut(&Table, &mut Vec<Val>) -> bool,
) -> Result<u64, Error> {
    let there = database.tables_described().await?;
    let mut transaction = database.begin().await?;
    let mut restored = 0;
    for saved in &record.tables {
        let target = fitting(&saved.table, &there)?;
        let mut rows = Vec::with_capacity(TOGETHER);
        for object in &saved.objects {
            let content = repository.read(object)?;
            for line in content.split(|octet| *octet == b'\n').filter(|line| !line.is_empty()) {
                let mut row = read_line(line, &target).ok_or_else(|| Error::Table {
                    table: target.name.clone(),
                    because: "a row does not match the columns".to_owned(),
                })?;
                if keep(&target, &mut row) {
                    rows.push(row);
                }
                if rows.len() >= TOGETHER {
                    restored += rows.len() as u64;
                    transaction.write_table(&target, &rows).await?;
                    rows.clear();
                }
            }
        }
        restored += rows.len() as u64;
        transaction.write_table(&target, &rows).await?;
        transaction.continue_numbers(&target).await?;
    }
    transaction.commit().await?;
    Ok(restored)
}

/// Calls back with each row of an object.
pub fn each_row(content: &[u8], table: &Table, each: &mut dyn FnMut(&[Val])) -> Result<(), Error> {
    for line in content.split(|octet| *octet == b'\n').filter(|line| !line.is_empty()) {
        let row = read_line(line, table).ok_or_else(|| Error::Table {
            table: table.name.clone(),
            because: "a row does not match the columns".to_owned(),
        })?;
        each(&row);
    }
    Ok(())
}

/// The saved table with the kinds of columns that the target has.
fn fitting(saved: &Table, there: &[Table]) -> Result<Table, Error> {
    let refused = |because: String| Error::Table { table: saved.name.clone(), because };
    let target = there.iter().find(|table| table.name == saved.name);
    let target =
        target.ok_or_else(|| refused("there is no such table: the backup is from a later version".to_owned()))?;
    let mut columns = Vec::new();
    for column in &saved.columns {
        let found = target.columns.iter().find(|other| other.name == column.name);
        columns.push(found.cloned().ok_or_else(|| refused(format!("it has no column `{}`", column.name)))?);
    }
    Ok(Table { name: saved.name.clone(), columns })
}

fn write_line(values: &[Val], line: &mut Vec<u8>) {
    let values: Vec<Value> = values
        .iter()
        .map(|value| match value {
            Val::Null(_) => Value::Null,
            Val::Int(number) => (*number).into(),
            Val::Real(number) => (*number).into(),
            Val::Text(text) => text.as_str().into(),
            Val::Blob(octets) => STANDARD.encode(octets).into(),
        })
        .collect();
    // A vector of values can always be written as JSON.
    line.extend_from_slice(Value::from(values).to_string().as_bytes());
    line.push(b'\n');
}

fn read_line(line: &[u8], table: &Table) -> Option<Vec<Val>> {
    let values: Vec<Value> = serde_json::from_slice(line).ok()?;
    if values.len() != table.columns.len() {
        return None;
    }
    let value = |(value, kind): (Value, ColumnKind)| match (value, kind) {
        (Value::Null, kind) => Some(kind.absent()),
        (Value::Number(number), ColumnKind::Int) => number.as_i64().map(Val::Int),
        (Value::Number(number), ColumnKind::Real) => number.as_f64().map(Val::Real),
        (Value::String(text), ColumnKind::Text | ColumnKind::Time) => Some(Val::Text(text)),
        (Value::String(text), ColumnKind::Blob) => STANDARD.decode(text).ok().map(Val::Blob),
        _ => None,
    };
    values.into_iter().zip(table.columns.iter().map(|column| column.kind)).map(value).collect()
}

/// The ids of the queue's entries as the transaction sees them.
pub async fn queue_ids(transaction: &mut Transaction) -> Result<Vec<String>, Error> {
    let rows = transaction.fetch_all("SELECT id FROM queue_entries ORDER BY id", &[]).await?;
    rows.iter().map(|row| row.text(0).map_err(Error::from)).collect()
}

/// The objects of the database.
pub fn objects(record: &DatabaseRecord) -> impl Iterator<Item = &ObjectId> {
    record.tables.iter().flat_map(|table| &table.objects)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::database::Column;

    #[test]
    fn values_survive() {
        let kinds = [ColumnKind::Int, ColumnKind::Real, ColumnKind::Text, ColumnKind::Blob, ColumnKind::Time];
        let columns = kinds.iter().map(|kind| Column { name: format!("{kind:?}"), kind: *kind }).collect();
        let table = Table { name: "t".to_owned(), columns };
        let full = vec![
            Val::Int(i64::MIN),
            Val::Real(1.25),
            Val::Text("a\n\"\u{1F98A}".to_owned()),
            Val::Blob(vec![0, 255, 10]),
            Val::Text("2026-01-31 02:00:00".to_owned()),
        ];
        let empty: Vec<Val> = kinds.iter().map(|kind| kind.absent()).collect();
        for values in [full, empty] {
            let mut line = Vec::new();
            write_line(&values, &mut line);
            assert_eq!(line.iter().filter(|octet| **octet == b'\n').count(), 1);
            assert_eq!(read_line(line.trim_ascii_end(), &table), Some(values));
        }
        assert_eq!(read_line(b"[1]", &table), None);
        assert_eq!(read_line(b"[\"x\",1,\"\",\"\",\"\"]", &table), None);
    }
}
