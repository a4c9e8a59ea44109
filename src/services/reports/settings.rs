//! Settings of reports.

use crate::foundations::address::Address;
use crate::foundations::settings::{ByteSize, Span};

crate::settings! {
    /// Reports between mail servers: sent to domains that ask for them, and received about our own.
    pub struct ReportSettings {
        /// Whether domains that ask for it (`rua=` of their DMARC record) get a daily report on mail in their name.
        pub dmarc: bool = true,
        /// Whether domains that ask for it (`ruf=`) get a report within minutes on each message that has failed DMARC:
        /// where it came from and the header fields that name its sender, but neither recipients nor text. Few ask for
        /// these, and fewer read them.
        pub failures: bool = false,
        /// Most such reports to one domain in a day (UTC). Further failures are not reported.
        pub failures_per_domain: u32 = 20,
        /// Most such reports in a day. Further failures are not reported.
        pub failures_per_day: u32 = 500,
        /// Whether domains that ask for it (`_smtp._tls` in their zone, RFC 8460) get a daily report on our TLS sessions
        /// with their hosts.
        pub tls: bool = true,
        /// Sender of reports, who gets questions about them. Without one, `postmaster` at the host name. A key in
        /// `spam.dkim.keys` for its domain, or for one above it, signs them; receivers of TLS reports insist on that.
        pub from: Option<Address> = None,
        /// Reverse-path of reports, which is notified when one cannot be delivered. Without one, the null reverse-path.
        pub reverse_path: Option<Address> = None,
        /// Organisation named in the report. Without one, the host name.
        pub organization: Option<String> = None,
        /// Period after midnight (UTC) over which the reports of the day before are sent: each domain's at its own time, so
        /// that not all servers send at once.
        pub spread: Span = Span::hours(4),
        /// Most rows of one report. Beyond it the least frequent are left out.
        pub rows: u32 = 10_000,
        /// Addresses of ours that are named in our own `rua=` records. Reports in mail to them are kept for
        /// `postrider report`; the mail itself is delivered as any other, so each must be a user or an alias.
        pub addresses: Vec<Address> = Vec::new(),
        /// Largest message that is searched for a report.
        pub largest: ByteSize = ByteSize::mib(4),
        /// Largest report, unpacked. A larger one is left where it is.
        pub unpacked: ByteSize = ByteSize::mib(16),
        /// How long received reports are kept.
        pub keep_for: Span = Span::days(400),
    }
}
