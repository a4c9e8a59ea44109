//! The ground floor: types and tools that know nothing about this server's behaviour.
//!
//! May use: nothing of ours outside this floor.

pub mod address;
pub mod budget;
pub mod clock;
pub mod counted;
pub mod dns;
pub mod event;
pub mod failure;
pub mod files;
pub mod hexadecimal;
pub mod ids;
pub mod mail;
pub mod net;
pub mod processor;
pub mod random;
pub mod said;
pub mod secret;
pub mod settings;
pub mod system_users;
pub mod tasks;
pub mod wire;
