//! Settings of the scripts' store.

use crate::foundations::settings::ByteSize;

crate::settings! {
    /// The store of users' Sieve scripts: how many a user may have, and how large. What scripts may do is set in
    /// `[sieve]`.
    pub struct ScriptSettings {
        /// Most scripts a user may keep. One more is refused with `NO (QUOTA/MAXSCRIPTS)`.
        pub scripts_per_user: u32 = 100,
        /// Largest script. A larger one is refused with `NO (QUOTA/MAXSIZE)`; one that lies there already is not run.
        pub script_size: ByteSize = ByteSize::mib(1),
        /// Most octets that all scripts of a user may take together. Beyond it a script is refused with `NO (QUOTA)`.
        pub quota: ByteSize = ByteSize::mib(8),
        /// Most things that the scripts of one user remember: senders that were answered, messages that were passed on or
        /// are not to be stored twice. Beyond it, what would be forgotten first is forgotten at once.
        pub remembered: u32 = 10_000,
    }
}
