//! Backups, taken from a living server by the built program and proven by restoring them.

mod accounts;
mod buckets;
mod calendars;
mod drills;
mod engines;
mod exports;
mod faults;
mod live;
mod retention;
mod ssh;
mod stack;
mod whole;
mod world;
