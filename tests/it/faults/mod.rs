//! Bad input and failing surroundings: the real program, its clients' tricks, full disks, a database that is away.
//!
//! Variables: `POSTRIDER_TEST_REQUIRE_ALL=1` makes tests fail that lack something they need on this machine.

mod attack;
mod database_down;
mod database_unwritable;
pub(crate) mod disk;
mod disk_fails;
mod disk_full;
pub(crate) mod fake_mx;
mod hostile_imap;
mod hostile_mail;
mod hostile_scripts;
mod hostile_smtp;
mod hostile_web;
pub(crate) mod imap;
pub(crate) mod pipe;
pub(crate) mod proxy;
pub(crate) mod random;
pub(crate) mod server;
pub(crate) mod smtp;
mod smuggling;

/// A variable of the environment, unless it is empty.
#[expect(clippy::disallowed_methods, reason = "tests are told by the environment how long they may take")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
