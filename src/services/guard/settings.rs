//! Settings of the guard.

use ipnet::IpNet;

use super::nftables::NftablesSettings;
use crate::foundations::settings::Span;

crate::words! {
    /// What a client connects for; each has its own rates.
    pub enum Service {
        /// Mail from other hosts.
        Smtp = "smtp",
        /// Mail from our users.
        Submission = "submission",
        /// Mail from a front end of ours.
        Lmtp = "lmtp",
        /// IMAP.
        Imap = "imap",
        /// POP3.
        Pop3 = "pop3",
        /// ManageSieve.
        ManageSieve = "managesieve",
        /// Web pages and interfaces.
        Web = "web",
    }
}

crate::settings! {
    /// How often one client may connect.
    pub struct ServiceRates {
        /// Connections a client may open in a minute. Further ones are told to try again later (SMTP: 421 4.7.0). 0 is
        /// no limit.
        pub per_minute: u32 = 60,
        /// Connections a client may hold at the same time. Further ones are told to close one (SMTP: 421 4.7.0). 0 is no limit.
        pub at_once: u32 = 20,
    }
}

crate::settings! {
    /// How much mail clients that are not our users may send, and mailboxes may get from them.
    pub struct TrafficSettings {
        /// Messages a client may send in a minute. Further ones are deferred at MAIL with 450 4.7.1. 0 is no limit.
        pub messages_per_minute: u32 = 300,
        /// Recipients a client may name in a minute. Further ones are deferred with 450 4.7.1. 0 is no limit.
        pub recipients_per_minute: u32 = 1_000,
        /// Nonexistent recipients a client may name in an hour, over all its sessions. Each further one is a failure (see
        /// `failures`). 0 is no limit.
        pub unknown_recipients_per_hour: u32 = 100,
        /// Messages that one mailbox may get in an hour; only accepted ones count. Further ones are deferred at RCPT with 450
        /// 4.2.1. 0 is no limit.
        pub messages_per_mailbox_per_hour: u32 = 2_000,
    }
}

crate::settings! {
    /// Who may connect, how often, and the consequences of misbehaviour. A client is one IPv4 address or one IPv6 /64.
    pub struct GuardSettings {
        /// Networks that are never slowed down, counted or banned.
        pub trusted: Vec<IpNet> = loopback(),
        /// Connections of all clients and services together. Further ones are closed with a short apology.
        pub connections: u32 = 20_000,
        /// A whole network (IPv4 /24, IPv6 /56) may have this many times what one client may, and an IPv6 /48 as many times the
        /// failures of a /56. 0 is no limit.
        pub network_factor: u32 = 8,
        /// Mail from other hosts.
        pub smtp: ServiceRates = ServiceRates { per_minute: 30, at_once: 10 },
        /// Mail from our users.
        pub submission: ServiceRates = ServiceRates { per_minute: 60, at_once: 20 },
        /// Mail from a front end of ours, over TCP.
        pub lmtp: ServiceRates = ServiceRates { per_minute: 0, at_once: 0 },
        /// IMAP: clients hold one connection for each folder they watch.
        pub imap: ServiceRates = ServiceRates { per_minute: 240, at_once: 100 },
        /// POP3.
        pub pop3: ServiceRates = ServiceRates { per_minute: 60, at_once: 20 },
        /// ManageSieve.
        pub managesieve: ServiceRates = ServiceRates { per_minute: 60, at_once: 20 },
        /// Web pages and interfaces.
        pub web: ServiceRates = ServiceRates { per_minute: 600, at_once: 100 },
        /// How much mail clients that are not our users may send.
        pub traffic: TrafficSettings = TrafficSettings::default(),
        /// Errors in one session, since its last message, before every further answer is delayed.
        pub patient_errors: u32 = 5,
        /// The delay for the first of these errors; it grows by the same amount with each further one.
        pub error_delay: Span = Span::seconds(1),
        /// The longest delay of one answer, after an error or a failed login.
        pub longest_delay: Span = Span::seconds(15),
        /// Errors in one session, since its last message, after which it is closed (SMTP: 421 4.7.0).
        pub most_errors: u32 = 20,
        /// How long a failed login or a session closed for errors is remembered against the client. Each further one restarts
        /// this time for all of them.
        pub memory: Span = Span::minutes(10),
        /// Failures within `memory` after which a client is banned. 0 never bans. Where somebody has logged in to an account before,
        /// a wrong password for it counts once, however often it is repeated.
        pub failures: u32 = 10,
        /// Failed logins of one account within `memory` after which only networks that have logged in to it before may try
        /// again. Failures from such networks do not count, and app passwords keep working everywhere. 0 is no limit.
        pub account_failures: u32 = 20,
        /// Length of a client's first ban. Each one that follows within a day lasts twice as long.
        pub ban: Span = Span::minutes(10),
        /// Length of the longest ban.
        pub longest_ban: Span = Span::days(1),
        /// How often bans of other processes and machines are looked for in the database. Bans of this process are written at
        /// once.
        pub share_every: Span = Span::seconds(10),
        /// Whether rate counts (connections, messages, recipients, what accounts send) are shared with other machines
        /// through the database every `share_every`, so that rates apply to all of them together.
        pub share_rates: bool = false,
        /// Bans in the kernel's packet filter.
        pub nftables: NftablesSettings = NftablesSettings::default(),
        /// How many clients, accounts and networks are remembered. Beyond it, those not seen for longest are forgotten.
        pub remembered: usize = 100_000,
    }
}

/// 127.0.0.0/8 and ::1.
pub fn loopback() -> Vec<IpNet> {
    let v4 = ipnet::Ipv4Net::new_assert(std::net::Ipv4Addr::new(127, 0, 0, 0), 8);
    let v6 = ipnet::Ipv6Net::new_assert(std::net::Ipv6Addr::LOCALHOST, 128);
    vec![IpNet::V4(v4), IpNet::V6(v6)]
}

impl GuardSettings {
    /// The rates of a service.
    pub const fn rates(&self, service: Service) -> &ServiceRates {
        match service {
            Service::Smtp => &self.smtp,
            Service::Submission => &self.submission,
            Service::Lmtp => &self.lmtp,
            Service::Imap => &self.imap,
            Service::Pop3 => &self.pop3,
            Service::ManageSieve => &self.managesieve,
            Service::Web => &self.web,
        }
    }
}
