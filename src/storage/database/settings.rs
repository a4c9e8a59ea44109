//! Settings of the database pools.

use std::path::PathBuf;

use crate::foundations::settings::Span;

crate::settings! {
    /// How the database is used: connections, deadlines, and the file with its password. `storage.database` says which one.
    pub struct DatabaseSettings {
        /// File with the password for MariaDB, MySQL or PostgreSQL; one line, its end is ignored. Without it the
        /// password of the URL is used, if it has one.
        pub password_file: Option<PathBuf> = None,
        /// Most connections to MariaDB, MySQL or PostgreSQL, and most readers of SQLite (which has one writer besides).
        /// When all are busy a call waits `acquire_timeout`.
        pub max_connections: u32 = 8,
        /// Longest wait for a connection. After it the call fails as "try again later" (SMTP 451, IMAP UNAVAILABLE).
        pub acquire_timeout: Span = Span::seconds(3),
        /// Longest wait for the answer to one statement. After it the connection is dropped and the call fails as "try
        /// again later".
        pub statement_timeout: Span = Span::seconds(20),
        /// For this long after a server could not be reached, calls fail at once instead of waiting again; then one of
        /// them tries. Not used with SQLite.
        pub retry_after_failure: Span = Span::seconds(1),
        /// Longest wait for another process that is writing to the same SQLite file.
        pub busy_timeout: Span = Span::seconds(10),
    }
}
