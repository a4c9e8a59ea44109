//! Values that go into statements and rows that come out.

use chrono::{DateTime, NaiveDateTime, Utc};
use sqlx::Row as _;
use sqlx::mysql::MySqlRow;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use super::Error;
use crate::foundations::clock::Timestamp;

/// A value for one `?`.
#[derive(Debug, Clone, PartialEq)]
pub enum Val {
    /// NULL. It carries the type of its column because PostgreSQL refuses an untyped one.
    Null(Absent),
    /// Any whole number, truth value (0, 1) or time (microseconds since 1970).
    Int(i64),
    /// A floating-point number.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// The type of a column that holds NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// A whole number.
    Int,
    /// A floating-point number.
    Real,
    /// Text.
    Text,
    /// Bytes.
    Blob,
}

macro_rules! val_from {
    ($($type:ty, $absent:ident, |$value:ident| $make:expr;)+) => {$(
        impl From<$type> for Val {
            fn from($value: $type) -> Self {
                $make
            }
        }
        impl From<Option<$type>> for Val {
            fn from(value: Option<$type>) -> Self {
                value.map_or(Self::Null(Absent::$absent), Self::from)
            }
        }
    )+};
}
val_from! {
    i64, Int, |n| Self::Int(n);
    i32, Int, |n| Self::Int(n.into());
    u32, Int, |n| Self::Int(n.into());
    u16, Int, |n| Self::Int(n.into());
    bool, Int, |b| Self::Int(b.into());
    Timestamp, Int, |t| Self::Int(t.unix_micros());
    f64, Real, |n| Self::Real(n);
    String, Text, |s| Self::Text(s);
    &str, Text, |s| Self::Text(s.to_owned());
    Vec<u8>, Blob, |b| Self::Blob(b);
    &[u8], Blob, |b| Self::Blob(b.to_owned());
}

impl From<&String> for Val {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

/// One row of an answer. Columns are asked for by their place in the SELECT, from 0.
///
/// Every getter fails with [`Error::Column`] when the column is missing, NULL where that is not expected, or of another
/// type.
#[derive(Debug)]
pub enum Row {
    /// From SQLite.
    Sqlite(SqliteRow),
    /// From MariaDB or MySQL.
    MySql(MySqlRow),
    /// From PostgreSQL.
    Postgres(PgRow),
}

macro_rules! get {
    ($row:expr, $n:expr, $type:ty) => {
        match $row {
            Row::Sqlite(row) => row.try_get::<$type, _>($n),
            Row::MySql(row) => row.try_get::<$type, _>($n),
            Row::Postgres(row) => row.try_get::<$type, _>($n),
        }
        .map_err(|error| Error::Column { column: $n, driver: Box::new(error) })
    };
}

impl Row {
    /// A whole number.
    pub fn int(&self, column: usize) -> Result<i64, Error> {
        self.opt_int(column)?.ok_or(Error::Null { column })
    }

    /// A whole number or NULL.
    pub fn opt_int(&self, column: usize) -> Result<Option<i64>, Error> {
        if let Self::MySql(row) = self {
            // MySQL's unsigned columns and results of functions are a type of their own.
            return row
                .try_get::<Option<i64>, _>(column)
                .or_else(|_| {
                    let unsigned = row.try_get::<Option<u64>, _>(column)?;
                    Ok(unsigned.map(|n| i64::try_from(n).unwrap_or(i64::MAX)))
                })
                .map_err(|error: sqlx::Error| Error::Column { column, driver: Box::new(error) });
        }
        get!(self, column, Option<i64>)
    }

    /// A whole number that is not 0.
    pub fn truth(&self, column: usize) -> Result<bool, Error> {
        Ok(self.int(column)? != 0)
    }

    /// A floating-point number.
    pub fn real(&self, column: usize) -> Result<f64, Error> {
        self.opt_real(column)?.ok_or(Error::Null { column })
    }

    /// A floating-point number or NULL.
    pub fn opt_real(&self, column: usize) -> Result<Option<f64>, Error> {
        get!(self, column, Option<f64>)
    }

    /// Text.
    pub fn text(&self, column: usize) -> Result<String, Error> {
        self.opt_text(column)?.ok_or(Error::Null { column })
    }

    /// Text or NULL.
    pub fn opt_text(&self, column: usize) -> Result<Option<String>, Error> {
        get!(self, column, Option<String>)
    }

    /// Bytes.
    pub fn blob(&self, column: usize) -> Result<Vec<u8>, Error> {
        self.opt_blob(column)?.ok_or(Error::Null { column })
    }

    /// Bytes or NULL.
    pub fn opt_blob(&self, column: usize) -> Result<Option<Vec<u8>>, Error> {
        get!(self, column, Option<Vec<u8>>)
    }

    /// A time of ours: microseconds since 1970.
    pub fn time(&self, column: usize) -> Result<Timestamp, Error> {
        Ok(Timestamp::from_unix_micros(self.int(column)?))
    }

    /// A time of ours, or NULL.
    pub fn opt_time(&self, column: usize) -> Result<Option<Timestamp>, Error> {
        Ok(self.opt_int(column)?.map(Timestamp::from_unix_micros))
    }

    /// A time of the engine's own type (`created_at` of the seed's tables), or NULL.
    pub fn opt_datetime(&self, column: usize) -> Result<Option<Timestamp>, Error> {
        let micros = match self {
            // SQLite's CURRENT_TIMESTAMP is text without a zone, in UTC.
            Self::Sqlite(_) => get!(self, column, Option<NaiveDateTime>)?.map(|t| t.and_utc().timestamp_micros()),
            _ => get!(self, column, Option<DateTime<Utc>>)?.map(|t| t.timestamp_micros()),
        };
        Ok(micros.map(Timestamp::from_unix_micros))
    }
}
