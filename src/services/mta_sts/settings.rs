//! Settings of our own policies.

use crate::foundations::address::Domain;
use crate::foundations::settings::Span;

crate::settings! {
    /// Our own policies by which others insist on TLS when they send to us (MTA-STS, RFC 8461). They are served by a listener of
    /// the protocol `https`; `postrider dns` prints the records that announce them.
    pub struct PublishedSettings {
        /// One for each domain.
        pub policies: Vec<PolicySettings> = Vec::new(),
    }
}

crate::settings! {
    /// The policy of one domain. `mta-sts.` and the domain must lead to this server, and a certificate must hold that name.
    pub struct PolicySettings {
        /// The domain. It must be given.
        pub domain: Option<Domain> = None,
        /// How strict the policy is.
        pub mode: PolicyMode = PolicyMode::Testing,
        /// Hosts that take its mail, as its MX records name them; `*.example.com` stands for one label. Without any, our
        /// own name.
        pub mx: Vec<String> = Vec::new(),
        /// How long others keep it. RFC 8461 §3.2 recommends weeks once it is enforced, and allows a year at most.
        pub max_age: Span = Span::days(7),
    }
}

crate::words! {
    /// How serious a policy is.
    pub enum PolicyMode {
        /// Mail comes over TLS with a valid certificate or not at all.
        Enforce = "enforce",
        /// Failures are reported (TLS-RPT), mail comes all the same.
        Testing = "testing",
        /// There is none any more: others drop the one they remember.
        None = "none",
    }
}
