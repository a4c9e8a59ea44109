//! What can go wrong with a database.

use std::time::Duration;

use super::DatabaseUrl;
use crate::foundations::failure::Kind;

/// A failure of the database. Its text includes the driver's message, so that one field of a log line is enough.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A row with this key exists already. For the caller to handle.
    #[error("the database already has a row with this key: {0}")]
    Unique(Box<sqlx::Error>),
    /// The row refers to one that does not exist, or is still referred to. For the caller to handle.
    #[error("a row that this one needs is missing, or still needed by others: {0}")]
    ForeignKey(Box<sqlx::Error>),
    /// The server does not answer, or has closed the connection. Passes by itself or with the administrator's help.
    #[error("the database cannot be reached: {0}")]
    Unavailable(Box<sqlx::Error>),
    /// The server could not be reached a moment ago, and it is too early to try again.
    #[error("the database could not be reached a moment ago")]
    Resting,
    /// The server is there, but each of our connections was in use for this long. Passes by itself.
    #[error(
        "every connection to the database was in use for {0:?} (`database.max_connections` says how many there are)"
    )]
    Busy(Duration),
    /// The statement was given up after this long.
    #[error("the database did not answer within {0:?}")]
    Timeout(Duration),
    /// Another transaction was in the way (deadlock, serialisation, lock wait); trying the whole transaction again may
    /// help.
    #[error("another transaction was in the way: {0}")]
    Conflict(Box<sqlx::Error>),
    /// The database, or the file system under it, can only be read.
    #[error("the database can only be read: {0}")]
    ReadOnly(Box<sqlx::Error>),
    /// No space left.
    #[error("the disk of the database is full: {0}")]
    Full(Box<sqlx::Error>),
    /// A column of the answer does not have the expected type.
    #[error("column {column} of the answer is of another type: {driver}")]
    Column {
        /// Its place, from 0.
        column: usize,
        /// The driver's words.
        driver: Box<sqlx::Error>,
    },
    /// A column that must hold a value is NULL.
    #[error("column {column} of the answer is NULL")]
    Null {
        /// Its place, from 0.
        column: usize,
    },
    /// The tables found are neither this program's nor the seed's.
    #[error("the table {table} exists, but lacks what this program needs: {because}")]
    ForeignSchema {
        /// The table.
        table: &'static str,
        /// The error when asking for its columns.
        because: Box<Error>,
    },
    /// Bringing the tables up to date failed.
    #[error("the tables cannot be brought up to date: {0}")]
    Migration(Box<sqlx::migrate::MigrateError>),
    /// The file of SQLite's database, or its directory, cannot be used.
    #[error("`{path}` of `storage.database` cannot be opened: {because}{}", remedy(because))]
    File {
        /// The file, or its directory.
        path: String,
        /// Why.
        because: std::io::Error,
    },
    /// The file with the password cannot be read.
    #[error(
        "`{path}` of `database.password_file` cannot be read: {because}. It must hold the password on one line and be readable for \
         the user that the server runs as"
    )]
    Password {
        /// The file.
        path: String,
        /// Why.
        because: std::io::Error,
    },
    /// The server does not know the database or user, the password is wrong, or the file is not a database. For the
    /// administrator to fix; until then it counts as a database that is away.
    #[error(
        "the database cannot be used as configured: {0}. Create the database and grant its user access, or correct \
         `storage.database` and `database.password_file`"
    )]
    SetUp(Box<sqlx::Error>),
    /// The result of the first contact with a database.
    #[error("{database}: {because}")]
    At {
        /// Its address, without the password.
        database: String,
        /// The error.
        because: Box<Error>,
    },
    /// Anything else: a mistake in a statement, in the set-up or in the server.
    #[error("the database refuses the statement: {0}")]
    Other(Box<sqlx::Error>),
}

impl Error {
    /// The kind, for code that answers a client.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Unique(_) => Kind::Exists,
            Self::ForeignKey(_) => Kind::NotFound,
            Self::Full(_) => Kind::NoSpace,
            Self::Column { .. } | Self::Null { .. } | Self::ForeignSchema { .. } => Kind::Corrupt,
            // A broken set-up is fixed by the administrator; until then a client should come back later.
            Self::Unavailable(_)
            | Self::Resting
            | Self::Busy(_)
            | Self::Timeout(_)
            | Self::Conflict(_)
            | Self::ReadOnly(_)
            | Self::Migration(_)
            | Self::File { .. }
            | Self::Password { .. }
            | Self::SetUp(_)
            | Self::At { .. }
            | Self::Other(_) => Kind::Temporary,
        }
    }

    /// Whether it persists until somebody changes the configuration or the database.
    pub fn is_set_up(&self) -> bool {
        use std::io::ErrorKind;
        match self {
            Self::SetUp(_) => true,
            Self::At { because, .. } => because.is_set_up(),
            Self::File { because, .. } | Self::Password { because, .. } => matches!(
                because.kind(),
                ErrorKind::NotFound
                    | ErrorKind::PermissionDenied
                    | ErrorKind::NotADirectory
                    | ErrorKind::IsADirectory
                    | ErrorKind::ReadOnlyFilesystem
            ),
            _ => false,
        }
    }

    /// The same, prefixed with the database's address where that helps.
    pub(super) fn at(self, url: &DatabaseUrl) -> Self {
        match self {
            Self::Unavailable(_) | Self::Resting | Self::Timeout(_) | Self::SetUp(_) => {
                Self::At { database: url.to_string(), because: Box::new(self) }
            }
            other => other,
        }
    }

    /// Whether the connection that reported it should be replaced. A file that SQLite briefly could not open for
    /// writing stays open read-only, and data the disk returned wrongly is read again.
    pub(super) const fn condemns(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::ReadOnly(_))
    }

    /// Whether the server was away, as opposed to having refused.
    pub(super) const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Timeout(_))
    }
}

/// Advice for a file that SQLite cannot open.
fn remedy(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            ". The file is created when it is missing, but not its directory: create that, owned by the user that the \
             server runs as, or name another path"
        }
        ErrorKind::PermissionDenied => {
            ". The file and its directory must belong to the user that the server runs as; commands are run as that user or \
             as root"
        }
        ErrorKind::IsADirectory => ". Name a file inside it",
        ErrorKind::ReadOnlyFilesystem => {
            ". The file system is read-only: mount it for writing, and let `ReadWritePaths=` or `StateDirectory=` of the \
             unit name the directory"
        }
        _ => "",
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::error::ErrorKind;
        let class = match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable,
            sqlx::Error::Database(database) => match database.kind() {
                ErrorKind::UniqueViolation => Self::Unique,
                ErrorKind::ForeignKeyViolation => Self::ForeignKey,
                _ => classify(database.as_ref()),
            },
            _ => Self::Other,
        };
        class(Box::new(error))
    }
}

/// Classifies the engines' own codes. SQLite's are its extended result codes, MySQL's its error numbers, PostgreSQL's
/// SQLSTATE.
fn classify(error: &dyn sqlx::error::DatabaseError) -> fn(Box<sqlx::Error>) -> Error {
    if let Some(mysql) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return match mysql.number() {
            // Too many connections, shutdown, access to the host, connection killed, server gone.
            1040 | 1043 | 1053 | 1129 | 1203 | 1226 | 1927 | 2006 | 2013 => Error::Unavailable,
            1205 | 1213 | 1020 | 1969 | 3024 => Error::Conflict,
            1290 | 1792 | 1836 => Error::ReadOnly,
            1021 | 1114 => Error::Full,
            // No access to the database, wrong password, no such database, no right to the table, no password at all.
            1044 | 1045 | 1049 | 1142 | 1698 => Error::SetUp,
            _ => Error::Other,
        };
    }
    let code = error.code().unwrap_or_default();
    if error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() {
        return match &*code {
            "53100" => Error::Full,
            "25006" => Error::ReadOnly,
            "57014" | "40001" | "40P01" | "55P03" => Error::Conflict,
            // Connection failures, shutdown or start-up of the server, too many connections.
            "57P01" | "57P02" | "57P03" | "53300" | "57P05" => Error::Unavailable,
            code if code.starts_with("08") => Error::Unavailable,
            // Wrong login or password, no such database, no right to the table.
            "28000" | "28P01" | "3D000" | "42501" => Error::SetUp,
            _ => Error::Other,
        };
    }
    // The low octet of SQLite's extended code is the primary one.
    match code.parse::<u32>().unwrap_or(0) & 0xff {
        5 | 6 => Error::Conflict,
        8 => Error::ReadOnly,
        13 => Error::Full,
        // The disk fails or returns nonsense: a retry may succeed, and the data to be written is not at fault.
        10 | 11 | 14 => Error::Unavailable,
        // The file is not a database.
        26 => Error::SetUp,
        _ => Error::Other,
    }
}
