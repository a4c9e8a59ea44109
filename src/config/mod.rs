//! The whole configuration: one TOML file, composed of the rooms' own settings.
//!
//! [`load`] reads it, collects every mistake with its line and what was expected, and then checks what no room can check
//! alone (ports used twice, certificates that do not match the host name, listeners without TLS). [`reference`] and
//! [`example`] are generated from the doc comments of the settings. Called by `cli` and `daemon`; no floor below can name
//! [`Config`]. Never writes anything.

mod check;
mod composition;
mod listener;
mod load;
mod mistake;
mod reference;
mod storage;
mod values;
mod warnings;

pub use composition::Config;
pub use listener::{ListenerSettings, Mode, Owner, Protocol, Role};
pub use load::{Checks, LoadError, declaration_mistakes, load, understand};
pub use mistake::Mistake;
pub use reference::{example, reference, short_example};
pub use storage::StorageSettings;
pub use warnings::warnings;
