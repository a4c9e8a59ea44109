//! Settings of logins.

use std::path::PathBuf;

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

crate::words! {
    /// Whether a login to the webmail needs a one-time code besides the password.
    pub enum TwoFactorPolicy {
        /// Users who want it turn it on themselves.
        Offered = "offered",
        /// Everybody must turn it on: until then a login to the webmail leads to the page for that and nowhere else, and
        /// mail programs get in by app passwords only (see `password_with_two_factor`).
        Required = "required",
    }
}

crate::words! {
    /// What the password of an account with two-factor login opens.
    pub enum PasswordReach {
        /// The webmail, together with a code. Mail programs, which cannot ask for one, need app passwords.
        Webmail = "webmail",
        /// Mail programs too, without a code: whoever knows the password reads the mail.
        Everything = "everything",
    }
}

crate::settings! {
    /// How users prove who they are: passwords, app passwords and two-factor login. The consequences of wrong passwords are set
    /// in `[guard]`.
    pub struct LoginSettings {
        /// Cost of bcrypt for new passwords: each step up doubles the time. From 4 to 16. A wrong password takes as long for every
        /// name, whatever hash there is; where accounts have hashes that are dearer, up to four times as long.
        pub cost: u32 = 12,
        /// For how long a successful login is remembered, so that the same password need not be hashed again. `0s` never.
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
        /// App passwords (one for each device) that a user may have. A further one is refused until another is revoked.
        pub app_passwords: u32 = 25,
        /// Shortest time between two records that an app password or a browser's login was used.
        pub note_use_every: Span = Span::minutes(10),
        /// Who must have two-factor login.
        pub two_factor: TwoFactorPolicy = TwoFactorPolicy::Offered,
        /// Domains whose users must have it even if others need not.
        pub two_factor_domains: Vec<Domain> = vec![],
        /// What the password alone gives access to if an account has two-factor login, or must have it.
        pub password_with_two_factor: PasswordReach = PasswordReach::Webmail,
        /// File with a key of at least 32 octets, such as `openssl rand -base64 32` makes, under which the secrets of
        /// two-factor login are sealed in the database (AES-256-GCM). Unset: they are stored as they are. When the key is
        /// lost, sealed secrets are too, and an administrator has to turn two-factor login off for their users.
        pub two_factor_key_file: Option<PathBuf> = None,
        /// Wrong codes that may be tried for an account in a row. Further ones are refused for `two_factor_rest`, wherever they
        /// come from.
        pub two_factor_tries: u32 = 10,
        /// See `two_factor_tries`. The least is a minute.
        pub two_factor_rest: Span = Span::minutes(15),
        /// For how long a browser that has entered a code is not asked for another, if its user chooses so. The password is
        /// asked for each time; changing it, or turning two-factor login off, ends this. `0s` asks for a code at every login.
        pub two_factor_remember: Span = Span::days(30),
        /// Browsers of one account that are remembered. Beyond it the one used longest ago is asked for a code again.
        pub two_factor_browsers: u32 = 20,
        /// How often the accounts and passwords of open sessions are checked again. Changes by the command line or the webmail
        /// are noticed at once; this finds changes made by other programs. A browser's login that was ended elsewhere lasts at
        /// most this much longer.
        pub look_again: Span = Span::seconds(10),
    }
}
