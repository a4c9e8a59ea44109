//! What survives a restart. May use foundations.

pub mod cluster;
pub mod database;
pub mod dav;
pub mod directory;
pub mod journal;
pub mod logins;
pub mod mailbox;
pub mod personal;
pub mod quarantine;
pub mod reports;
pub mod scripts;
pub mod spool;
