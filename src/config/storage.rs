use std::path::{Path, PathBuf};

use crate::storage::database::DatabaseUrl;

crate::settings! {
    /// Where mail and accounts are kept: the directory of the mailboxes, and the database of accounts, queue and
    /// events.
    pub struct StorageSettings {
        /// Directory of all mailboxes, as `<domain>/<local part>/` in Maildir++ layout.
        pub mail_root: PathBuf = PathBuf::from("/var/mail/vhosts"),
        /// Where accounts, queue and events are: `sqlite:PATH`, `mysql://…` or `postgres://…`. Passwords do not belong
        /// here: see `database.password_file` and `database_file`.
        pub database: DatabaseUrl = DatabaseUrl::sqlite(Path::new("/var/lib/postrider/postrider.sqlite")),
        /// File that holds the address of the database, with its password, in place of `database`.
        pub database_file: Option<PathBuf> = None,
    }
}
