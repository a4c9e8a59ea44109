//! Backups of a running server, made by the built program and proven by restoring them.

mod accounts;
mod append_only;
mod buckets;
mod calendars;
mod cut;
mod drills;
mod engines;
mod exports;
mod faults;
mod live;
mod progress;
mod retention;
mod ssh;
mod stack;
mod storage;
mod unreadable;
mod unreliable;
mod whole;
mod world;
