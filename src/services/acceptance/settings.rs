//! Settings of acceptance.

use ipnet::IpNet;

crate::words! {
    /// Whether users may submit mail with the null reverse-path.
    pub enum NullSender {
        /// No: 550 5.7.1.
        Refuse = "refuse",
        /// Yes, for clients that send receipts and notifications themselves (RFC 3834, RFC 8098).
        Allow = "allow",
    }
}

crate::settings! {
    /// Which senders and recipients are accepted. Strangers may send only to users and aliases of this server, and users who
    /// have logged in may send anywhere; these settings are the exceptions.
    pub struct AcceptanceSettings {
        /// Networks whose hosts may send mail to anywhere without a login. Everybody else gets 550 5.7.1.
        pub relay_networks: Vec<IpNet> = vec![],
        /// Whether users may submit mail with the null reverse-path.
        pub null_sender: NullSender = NullSender::Allow,
    }
}
