//! Settings of outbound delivery.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::foundations::address::Domain;
use crate::foundations::settings::Span;

crate::settings! {
    /// How messages are passed on to other hosts: from which addresses, with which TLS, and by which routes. When they
    /// are tried is set in `[queue]`.
    pub struct OutboundSettings {
        /// Port of mail exchangers.
        pub port: u16 = 25,
        /// Local IPv4 address to connect from. Without one the system chooses.
        pub source_ipv4: Option<IpAddr> = None,
        /// Local IPv6 address to connect from. Without one the system chooses.
        pub source_ipv6: Option<IpAddr> = None,
        /// Which kinds of addresses are used.
        pub families: Families = Families::Both,
        /// Most addresses tried in one attempt. After that the attempt has failed for now. One of them is left for each of the next
        /// mail exchangers. As many more are passed over to which this machine has no route, such as IPv6 addresses without an
        /// IPv6 network.
        pub addresses_tried: u32 = 5,
        /// Most answering hosts tried in one attempt. After that the attempt has failed for now. One of them is left for each of the
        /// next mail exchangers, and several addresses of one exchanger count as several hosts.
        pub sessions_tried: u32 = 2,
        /// Most messages over one connection. After that, or after five minutes, it is closed and a new one is opened.
        pub messages_per_connection: u32 = 100,
        /// What TLS is required where no route says otherwise.
        pub tls: TlsLevel = TlsLevel::May,
        /// Whether certificates are checked against signed TLSA records (DANE, RFC 7672). It needs `dns.dnssec`.
        pub dane: bool = true,
        /// Policies by which domains insist on TLS (MTA-STS, RFC 8461).
        pub mta_sts: MtaStsSettings = MtaStsSettings::default(),
        /// File with certificates of authorities to trust, in PEM. Without one, those of the system.
        pub authorities: Option<PathBuf> = None,
        /// Domains to whose mail exchangers `postrider doctor` connects, to test whether mail can leave. If a route
        /// applies to such a domain, the host of the route is tested instead.
        pub doctor_domains: Vec<Domain> = well_known(),
        /// Limits on waiting for the other end.
        pub timeouts: Timeouts = Timeouts::default(),
        /// Routes for particular domains; the first match is used.
        pub routes: Vec<RouteSettings> = Vec::new(),
    }
}

/// Domains whose exchangers can be reached from everywhere.
fn well_known() -> Vec<Domain> {
    ["gmail.com", "outlook.com", "yahoo.com"].iter().filter_map(|name| name.parse().ok()).collect()
}

crate::settings! {
    /// Policies by which domains insist on TLS (MTA-STS, RFC 8461), which are looked up before mail is sent to them. Those of
    /// our own domains are in `[mta_sts]`.
    pub struct MtaStsSettings {
        /// Whether they are asked for and obeyed.
        pub enabled: bool = true,
        /// Time for fetching one (RFC 8461 §3.3: 1 minute). After it the previous one applies, if any.
        pub timeout: Span = Span::minutes(1),
        /// Domains whose policies are kept in memory. Beyond it the one that ends first is forgotten.
        pub domains: u32 = 10_000,
    }
}

crate::settings! {
    /// The route for some domains: through which host, with which login and protection. A provider's relay for all mail has
    /// `domains = ["*"]`.
    pub struct RouteSettings {
        /// Domains it is for: `"example.com"`, `"*.example.com"` for those below it, or `"*"` for all.
        pub domains: Vec<String> = Vec::new(),
        /// Host that takes their mail: a name, or an address in brackets (`"[192.0.2.1]"`). Without one, their mail exchangers. Routes to
        /// the same host and port must have the same `protection`, `tls` and login.
        pub host: Option<Domain> = None,
        /// Its port.
        pub port: u16 = 25,
        /// How the connection is protected.
        pub protection: Protection = Protection::StartTls,
        /// What TLS is required.
        pub tls: TlsLevel = TlsLevel::May,
        /// The SPF mechanisms for the host (RFC 7208 §5), as its operator publishes them: `"include:_spf.relay.example"`.
        /// `postrider dns` adds them to the records it prints. Without them, those of a host for all domains end in `?all`.
        pub spf: Option<String> = None,
        /// User name for logging in there.
        pub username: Option<String> = None,
        /// File with the password, whose first line counts. The password is sent over TLS only.
        pub password_file: Option<PathBuf> = None,
    }
}

crate::settings! {
    /// Limits on waiting for the other end. After one of them the attempt has failed for now.
    pub struct Timeouts {
        /// For the connection.
        pub connect: Span = Span::seconds(30),
        /// For the greeting (RFC 5321 §4.5.3.2.1: 5 minutes).
        pub greeting: Span = Span::minutes(5),
        /// For the replies to EHLO, STARTTLS, AUTH and RSET, and for the TLS handshake.
        pub hello: Span = Span::minutes(5),
        /// For the reply to MAIL (RFC 5321 §4.5.3.2.2: 5 minutes).
        pub mail: Span = Span::minutes(5),
        /// For the reply to RCPT (RFC 5321 §4.5.3.2.3: 5 minutes).
        pub recipient: Span = Span::minutes(5),
        /// For the reply to DATA (RFC 5321 §4.5.3.2.4: 2 minutes).
        pub data: Span = Span::minutes(2),
        /// For the other end to take a block of the message (RFC 5321 §4.5.3.2.5: 3 minutes).
        pub block: Span = Span::minutes(3),
        /// For the reply to the end of the message (RFC 5321 §4.5.3.2.6: 10 minutes).
        pub end: Span = Span::minutes(10),
        /// For the reply to QUIT.
        pub quit: Span = Span::seconds(5),
        /// For one whole attempt to pass a message on, over all its hosts: a host that is slow in each step cannot occupy a
        /// connection for longer.
        pub attempt: Span = Span::hours(1),
    }
}

crate::words! {
    /// What TLS is required.
    pub enum TlsLevel {
        /// Used when offered, with any certificate; otherwise plain text.
        May = "may",
        /// Required, with any certificate.
        Encrypt = "encrypt",
        /// Required, with a certificate of a trusted authority for the host's name.
        Verify = "verify",
    }
}

crate::words! {
    /// How a connection becomes encrypted.
    pub enum Protection {
        /// By the command STARTTLS (RFC 3207).
        StartTls = "starttls",
        /// From the first octet (RFC 8314 §3.3), as on port 465.
        Implicit = "implicit",
    }
}

crate::words! {
    /// Kinds of IP addresses.
    pub enum Families {
        /// IPv6 and IPv4 in turn.
        Both = "both",
        /// IPv4 only.
        Ipv4 = "ipv4",
        /// IPv6 only.
        Ipv6 = "ipv6",
    }
}
