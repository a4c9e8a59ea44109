//! Settings of routing.

use std::path::PathBuf;

use crate::foundations::address::{Address, Domain};
use crate::foundations::settings::Span;

crate::words! {
    /// What happens to mail for users who may not log in.
    pub enum DisabledUsers {
        /// It is delivered, and waits for the user.
        Deliver = "deliver",
        /// It is refused: 550 5.2.1.
        Refuse = "refuse",
    }
}

crate::settings! {
    /// How addresses are turned into mailboxes: tags (`ann+shop@example.com`), aliases, and the addresses that a server
    /// must have, such as `postmaster`.
    pub struct RoutingSettings {
        /// What separates a user's name from a tag, as in `ann+lists@example.com` (RFC 5233). Its first character
        /// counts; empty for none.
        pub tag_separator: String = "+".to_owned(),
        /// Recipient of mail for `postmaster` and `abuse` at our domains and this host, if no user or alias has that name.
        /// Unset: the domain's catch-all or, without one, the domain's first user (for the host: the first of all), because RFC
        /// 5321 §4.5.1 requires such mail to be accepted.
        pub postmaster: Option<Address> = None,
        /// Recipient of mail that programs of this machine send to its system users, such as `root@` and the name of this host.
        /// Only they, our users and our own notifications may write to these addresses, and only if no user, alias or catch-all
        /// of ours has them. Unset: such mail is refused.
        pub machine_users: Option<Address> = None,
        /// What happens to mail for users who may not log in.
        pub disabled_users: DisabledUsers = DisabledUsers::Deliver,
        /// How many aliases may lead to each other in a row. An address that needs more is answered with 451 4.3.5, so
        /// that mail waits at its sender until the aliases are fixed.
        pub alias_depth: u32 = 10,
        /// How many destinations one address may expand to, including intermediate ones. An address that needs more is answered
        /// with 451 4.3.5.
        pub alias_expansion: u32 = 1000,
        /// Senders of mail that aliases pass on to other servers.
        pub srs: SrsSettings = SrsSettings::default(),
    }
}

impl RoutingSettings {
    /// What separates a user's name from a tag; `None` where addresses have no tags.
    pub fn separator(&self) -> Option<char> {
        self.tag_separator.chars().next()
    }

    /// An address of ours without its tag, and the tag.
    pub fn untagged(&self, address: &Address) -> (Address, Option<String>) {
        match self.separator() {
            Some(separator) => address.split_tag(separator),
            None => (address.clone(), None),
        }
    }
}

crate::settings! {
    /// The Sender Rewriting Scheme: mail that an alias passes on to another server gets a sender address of ours, so
    /// that SPF does not fail there and bounces find their way back. Rewritten senders may have more than the 64 octets
    /// before the `@` of RFC 5321 §4.5.3.1.1, up to the maximum length of a path, because most bulk senders already
    /// have long names; few servers object. Only a sender too long for any path is left as it is, and logged.
    pub struct SrsSettings {
        /// File with secrets, one of at least 16 octets in each line. The first is for new senders, all are believed. Read
        /// at start. Without a file senders are not rewritten.
        pub secret_file: Option<PathBuf> = None,
        /// Domain of the rewritten senders, whose mail must come here. Without one, the name of this host.
        pub domain: Option<Domain> = None,
        /// How long notifications for a rewritten sender are taken. After it they are refused: 550 5.1.1.
        pub lifetime: Span = Span::days(21),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_what_the_settings_say() {
        for (separator, address, name) in [
            ("+", "ann+x@a.test", "ann@a.test"),
            ("-", "ann-x@a.test", "ann@a.test"),
            ("-", "ann+x@a.test", "ann+x@a.test"),
            ("", "ann+x@a.test", "ann+x@a.test"),
        ] {
            let settings = RoutingSettings { tag_separator: separator.to_owned(), ..RoutingSettings::default() };
            assert_eq!(settings.untagged(&address.parse().unwrap()).0.to_string(), name);
        }
    }
}
