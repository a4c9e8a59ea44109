//! Settings of set-up links.

use crate::foundations::settings::Span;

crate::settings! {
    /// Links by which users choose their password themselves (`postrider user invite`). The page is served by listeners
    /// of the protocol `https`.
    pub struct SetUpSettings {
        /// Where browsers reach this server, such as `"https://mail.example.com"`, when a proxy stands in front of it.
        /// Unset: `hostname`, and the port of the first `https` listener.
        pub address: Option<String> = None,
        /// For how long a link is valid, unless the command says otherwise.
        pub valid: Span = Span::days(7),
        /// Fewest characters of a password. The page rejects a shorter one, and one of more than 71 octets, which bcrypt would
        /// cut off.
        pub shortest_password: u32 = 10,
    }
}
