//! Settings of declared accounts, and the form of their file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::foundations::settings::ByteSize;

crate::settings! {
    /// Accounts that are declared rather than made by hand: a file names domains, users and aliases, and each start and
    /// reload makes the database agree with it (`docs/accounts.md`).
    pub struct AccountsSettings {
        /// File with the declared domains, users and aliases, in TOML or (when its name ends in `.json`) JSON. Read at
        /// start and on reload; `docs/accounts.md` describes it. Without it every account is made by hand.
        pub declared: Option<PathBuf> = None,
    }
}

crate::settings! {
    /// The file of declared accounts.
    pub struct DeclaredFile {
        /// Our domains, by their names.
        pub domains: BTreeMap<String, DeclaredDomain> = BTreeMap::new(),
    }
}

crate::settings! {
    /// One domain.
    pub struct DeclaredDomain {
        /// Whether mail for it is taken.
        pub enabled: bool = true,
        /// Its users, by the part of their addresses before the `@`.
        pub users: BTreeMap<String, UserEntry> = BTreeMap::new(),
        /// Its aliases, by the part before the `@`: the addresses each leads to, here or elsewhere. A name without `@`
        /// is one of this domain.
        pub aliases: BTreeMap<String, Vec<String>> = BTreeMap::new(),
        /// Where mail for names that are neither users nor aliases goes: an address, or `@other.example` for the same
        /// name there. Without it such mail is refused.
        pub catch_all: Option<String> = None,
    }
}

crate::settings! {
    /// One user.
    pub struct UserEntry {
        /// File with the first password, in one line. It is hashed again on each start to see whether it has changed:
        /// for more than a few users `hashed_password_file` is better.
        pub password_file: Option<PathBuf> = None,
        /// File with the hash of the first password, in one line, as `postrider user hash` or `doveadm pw` make it.
        pub hashed_password_file: Option<PathBuf> = None,
        /// The most the user's mail may take; without it there is no limit.
        pub quota: Option<ByteSize> = None,
        /// Further names of the same domain whose mail goes to this user.
        pub aliases: Vec<String> = vec![],
        /// Whether the user may log in.
        pub enabled: bool = true,
        /// The name for people. Without it, what the user has set stays.
        pub display_name: Option<String> = None,
    }
}
