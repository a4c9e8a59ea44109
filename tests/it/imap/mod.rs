//! IMAP sessions over memory, with a real store, directory and login behind them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod limits;
mod resync;
mod talks;
mod unreadable;
mod world;
