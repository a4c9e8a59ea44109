//! The server process: building everything, and starting, reloading and stopping.
//!
//! [`Daemon::build`] is the only place where rooms are put together, bottom up; rooms get what they need here and nowhere
//! else. [`run`] is the life of the process: ready, reload on SIGHUP, stop on SIGTERM, with systemd notified of each.
//! [`control`] answers the command line over one Unix socket per role.
//!
//! `build` is the order of a start: `listeners` binds the sockets, `parts_builder` and `parts` make what the roles share, `rooms`
//! gives it to the protocols, and `background` starts the periodic duties. `figures` are the metrics; `other_roles` asks the
//! processes of other roles.
//!
//! Promises: anything acknowledged before a stop is durable; a stop takes at most `server.stop_within`; a reload with a
//! broken configuration changes nothing; a reload never drops a connection. Called by `cli` and by the tests' harness.

pub mod administration;
mod administrator;
mod background;
mod build;
pub mod control;
mod declared;
mod error;
mod figures;
mod lifecycle;
mod listeners;
mod live_settings;
pub mod log;
mod no_queue;
mod other_roles;
mod parts;
mod parts_builder;
mod posting;
mod probes;
mod roles;
mod rooms;
mod runtime;
mod settings;
mod world;

pub use administrator::administrator;
pub use build::{Daemon, database_url};
pub use error::Error;
pub use lifecycle::{Source, run};
pub use listeners::{Listening, Unopened};
pub use live_settings::LiveSettings;
pub use parts::{Parts, rename_user, tend_mailboxes, watched};
pub use probes::probes;
pub use roles::Roles;
pub use runtime::{raise_file_limit, runtime};
pub use settings::{LogFormat, LogLevel, ServerSettings};
pub use world::World;
