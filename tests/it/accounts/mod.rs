//! Accounts on every engine: database, directory, routing, logins, declared accounts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod autocommit;
mod collections;
mod credentials;
mod database;
mod declared;
mod directory;
mod door;
pub(crate) mod engines;
mod letters;
mod login;
mod logins;
mod migrations;
mod outage;
mod read_only_connection;
mod routing;
mod set_up;
mod takeover;
mod upgrade;
pub(crate) mod world;
