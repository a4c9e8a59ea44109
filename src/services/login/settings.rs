//! Settings of logins.

use crate::foundations::address::Domain;
use crate::foundations::settings::Span;

crate::words! {
    /// What happens to a password whose hash is weaker than today's, when its user logs in.
    pub enum Rehash {
        /// It stays as it is: other programs may share the database.
        Never = "never",
        /// bcrypt of a lower cost than `cost`, and SHA-crypt, are replaced by bcrypt of that cost.
        Weaker = "weaker",
    }
}

crate::settings! {
    /// How users prove who they are.
    pub struct LoginSettings {
        /// Cost of bcrypt for new passwords: each step up doubles the time. From 4 to 16.
        pub cost: u32 = 12,
        /// For how long a successful login is remembered, so that the same password costs nothing again. `0s` never.
        pub remember: Span = Span::minutes(5),
        /// Most logins remembered. Beyond it the least used are forgotten.
        pub remembered: u32 = 10_000,
        /// Passwords that may be hashed at the same time; 0 is one for each core.
        pub workers: u32 = 0,
        /// Logins that may wait for a worker. Further ones are refused for now (SMTP 454 4.7.0, IMAP UNAVAILABLE).
        pub waiting: u32 = 200,
        /// Longest wait for a worker. After it the login is refused for now.
        pub patience: Span = Span::seconds(20),
        /// Domain of user names given without one. Unset: such names are unknown.
        pub default_domain: Option<Domain> = None,
        /// What happens to hashes weaker than those of today when their user logs in.
        pub rehash: Rehash = Rehash::Never,
    }
}
