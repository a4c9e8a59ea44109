//! Settings of the monitoring page.

use std::path::PathBuf;

use ipnet::IpNet;

use crate::foundations::address::Domain;
use crate::foundations::settings::Span;
use crate::services::guard::loopback;

crate::settings! {
    /// The monitoring page: how the server is doing, in a browser and as JSON for other programs. It is served by
    /// listeners of the protocol `dashboard`; without a password, to this machine only.
    pub struct DashboardSettings {
        /// File with the hash of the administrator's password, as `postrider user hash` prints it. Unset: nobody needs a
        /// password, and only clients on this machine are served, whichever of its users they run as.
        pub password_file: Option<PathBuf> = None,
        /// Whether a proxy on this machine decides who sees the page, so that all its clients count as being on this
        /// machine if no password is set.
        pub proxy_decides: bool = false,
        /// File with the secret of one-time codes (RFC 6238) in base32, of 16 octets at least, such as `head -c 20 /dev/urandom
        /// | base32` makes; the same goes into the administrator's authenticator. Set: a login needs a code as well as the
        /// password. A code works once. In the first minute of the process none works, since it may have been used before.
        pub one_time_secret_file: Option<PathBuf> = None,
        /// Age at which a login ends. Logins are kept in the database, so they survive a restart; another password in the file
        /// ends them all within `login.look_again`.
        pub session: Span = Span::hours(12),
        /// Most logins at the same time. Beyond it the oldest one ends.
        pub sessions: u32 = 100,
        /// Least delay of the answer to a wrong password. The guard delays longer and bans; clients it trusts (this machine)
        /// can only guess one password at a time.
        pub wrong_password_delay: Span = Span::seconds(1),
        /// Logins that may wait for their turn. Further ones are answered with 503.
        pub waiting: u32 = 10,
        /// Reverse proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
        pub proxies: Vec<IpNet> = loopback(),
        /// Names under which browsers reach the page, besides `hostname` and this machine's own. Without a password, requests
        /// for other names are refused: somebody else's page could have led the browser here.
        pub names: Vec<Domain> = vec![],
        /// Whether passwords are taken over connections without TLS from other machines.
        pub plain_http: bool = false,
        /// How old an answer shared by several viewers may be.
        pub fresh_for: Span = Span::seconds(5),
        /// How long a search among events may take. Then the results so far are shown, with how far back it has searched; it
        /// continues from there on request.
        pub search_within: Span = Span::seconds(2),
        /// How long a listener may take to answer a probe; then it counts as silent.
        pub probe_timeout: Span = Span::seconds(5),
    }
}
