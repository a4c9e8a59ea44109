//! Limits of scripts.

use crate::foundations::settings::{ByteSize, Span};

crate::settings! {
    /// What scripts may do, and how much of it. If the text of a script exceeds a limit, storing it fails with an error
    /// that gives line and column. If a limit is exceeded while the script runs, the script ends: its earlier decisions
    /// are discarded, the message goes to the inbox, and the owner is notified.
    pub struct SieveSettings {
        /// Largest script. A larger one is not stored.
        pub script_size: ByteSize = ByteSize::mib(1),
        /// How deep blocks, tests and lists of tests may be nested. Deeper nesting is an error.
        pub nesting: u32 = 32,
        /// Most commands and tests in one script. More are a mistake.
        pub commands: u32 = 10_000,
        /// How many actions (keep, fileinto, redirect, reject, vacation, notify) one message may cause. One more ends the
        /// script.
        pub actions: u32 = 32,
        /// How many addresses one message may be redirected to. One more ends the script. 0 forbids it altogether.
        pub redirects: u32 = 4,
        /// How many notifications one message may cause. One more ends the script. 0 forbids them.
        pub notifications: u32 = 8,
        /// How many variables one script may have. More are a mistake.
        pub variables: u32 = 128,
        /// Longest value of a variable in octets. A longer one is cut there, at the end of a character (RFC 5229 §3).
        pub variable_size: u32 = 4000,
        /// Longest name of a variable in characters. A longer one is a mistake.
        pub variable_name: u32 = 64,
        /// How deep scripts may include each other. Deeper ends the script.
        pub include_depth: u32 = 10,
        /// How many scripts may be included for one message, each counted as often as it runs. One more ends the script.
        pub includes: u32 = 255,
        /// Largest compiled regular expression. One that would be larger is a mistake, or, when it comes from a variable, ends
        /// the script.
        pub regex_size: ByteSize = ByteSize::kib(256),
        /// How large the compiled regular expressions of one script may be together, each counted as 4, 16 or 64 KiB or as
        /// `regex_size`. More are a mistake. Those made of variables are counted as work.
        pub regex_total: ByteSize = ByteSize::mib(8),
        /// How much work one script may do for one message, in octets looked at; each command counts as a hundred. More ends
        /// the script.
        pub work: u64 = 200_000_000,
        /// How many decoded octets of a message the `body` test and `extracttext` read. Further ones are not looked at.
        pub body: ByteSize = ByteSize::mib(4),
        /// Most header fields that `addheader` may add to one message. One more ends the script.
        pub added_fields: u32 = 32,
        /// Longest field that `addheader` may add, in octets. A longer one ends the script.
        pub added_field_size: ByteSize = ByteSize::kib(2),
        /// Fields that scripts may neither add nor delete, besides `Received` and `Auto-Submitted`, which nobody may delete
        /// (RFC 5293 §6). The command does nothing then.
        pub protected_fields: Vec<String> = Vec::new(),
        /// Shortest time after which the same sender gets an automatic reply again. A shorter time in a script is raised to it
        /// (RFC 5230 §4.1, RFC 6131 §2).
        pub vacation_least: Span = Span::days(1),
        /// Longest such time. A longer time in a script is lowered to it.
        pub vacation_most: Span = Span::days(365),
        /// That time when a script does not say.
        pub vacation_default: Span = Span::days(7),
        /// Longest time for which `duplicate` remembers a message. A longer one is lowered to it (RFC 7352 §3.3).
        pub duplicate_most: Span = Span::days(30),
        /// That time when a script does not say.
        pub duplicate_default: Span = Span::days(7),
    }
}
