//! The journal, the spool, the queue and outbound delivery, on every engine, against hosts that follow a script.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod claims;
mod commands;
mod dane;
mod giving_up;
mod hasty;
mod journal;
mod local;
mod next_hosts;
mod notifications;
mod peer;
mod policies;
mod postfix;
mod relay;
mod selections;
mod seven_bit;
mod spool;
mod stalling;
pub(crate) mod tls;
mod trace;
mod world;
