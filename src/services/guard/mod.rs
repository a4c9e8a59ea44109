//! Rates, strikes and bans: may this peer go on?
//!
//! Promises: one view for all protocols; every answer takes constant time from memory that is bounded by the settings;
//! a refusal says what was too much and when to try again. A client turned away again and again is reported once a
//! minute ([`Guard::turned_away`]). Peers on Unix sockets, this process itself and the trusted networks are always let
//! through. Called by each protocol's driver ([`Guard::admit`], [`Pass::hold_back`]), by `services::login`
//! ([`Guard::may_log_in`], [`Guard::failed`], [`Guard::logged_in`]) and by the command line ([`Guard::bans`],
//! [`Guard::ban`], [`Guard::unban`]).
//!
//! It answers without the network or the disk: it takes one lock, for the length of a few look-ups. Bans are carried
//! beside it, by [`Sharing`], to a table of the database and back, so that they survive a restart and hold on every
//! machine, and into a set of the packet filter where one is configured. So are the networks that have logged in to an
//! account, which go on while others guess its password, and the failed logins of accounts, which are one account's
//! wherever somebody guesses. With `share_rates` the use of rates is carried too, so that a client has one allowance on
//! all machines together; otherwise each process has its own rates. Rates and failures of clients are lost with the
//! process. In the log: one line for each ban that begins.
//!
//! `admission` has the guard and what it is asked, `memory` what it remembers under the lock: `strikes` (failures, and the bans
//! they lead to), `rate_limits` (by an `allowance` each) and `known_networks`, all in `bounded` maps. `sending_rise` stands alone.

mod admission;
mod allowance;
mod bans;
mod bounded;
mod client;
mod known_networks;
mod memory;
mod nftables;
mod pass;
mod rate_limits;
mod refusals;
mod sending_rise;
mod settings;
mod sharing;
mod strikes;
mod traffic;

pub use admission::{Failure, Guard, Trust};
pub use bans::Ban;
pub use client::network;
pub use nftables::NftablesSettings;
pub use pass::{Pass, Patience, Penalty};
pub use sending_rise::{Rise, SendingWatch};
pub use settings::{GuardSettings, Service, ServiceRates, TrafficSettings, loopback};
pub use sharing::{Origin, Sharing, SharingParts};
pub use traffic::{RateShare, Traffic};
