//! Backups, taken from a living server by the built program and proven by restoring them.

mod drills;
mod engines;
mod exports;
mod faults;
mod live;
mod retention;
mod whole;
mod world;
