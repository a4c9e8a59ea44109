//! What must be in the DNS for mail to work: every record of the host and of each domain.
//!
//! Pure: computed from the configuration, asks nobody. `modules/lib/dns-records.nix` computes the same for what is
//! declared there (all but keys and addresses, which it does not know); a test compares the two. Called by the command
//! line and by the self-test, which looks whether the records are there.

mod senders;
mod wanted;
mod zone;

pub use senders::Senders;
pub use wanted::{DkimRecord, KeyState, Record, Service, Wanted};
pub use zone::zone_lines;
