use super::{ListenerSettings, StorageSettings};
use crate::daemon::ServerSettings;
use crate::foundations::address::Domain;
use crate::foundations::dns::DnsSettings;
use crate::foundations::net::HttpSettings;
use crate::protocols::imap::ImapSettings;
use crate::protocols::managesieve::ManageSieveSettings;
use crate::protocols::pop3::Pop3Settings;
use crate::protocols::smtp::SmtpSettings;
use crate::protocols::web::dashboard::DashboardSettings;
use crate::protocols::web::dav::DavSettings;
use crate::protocols::web::webmail::WebmailSettings;
use crate::services::acceptance::AcceptanceSettings;
use crate::services::accounts::AccountsSettings;
use crate::services::autoconfig::AutoconfigSettings;
use crate::services::backup::BackupSettings;
use crate::services::certificates::TlsSettings;
use crate::services::delivery::DeliverySettings;
use crate::services::filter::FilterSettings;
use crate::services::guard::GuardSettings;
use crate::services::intake::IntakeSettings;
use crate::services::login::LoginSettings;
use crate::services::mta_sts::PublishedSettings;
use crate::services::outbound::OutboundSettings;
use crate::services::queue::QueueSettings;
use crate::services::reports::ReportSettings;
use crate::services::routing::RoutingSettings;
use crate::services::set_up::SetUpSettings;
use crate::services::sieve::SieveSettings;
use crate::services::submission::SubmissionSettings;
use crate::services::summary::SummarySettings;
use crate::storage::cluster::ClusterSettings;
use crate::storage::database::DatabaseSettings;
use crate::storage::directory::DirectorySettings;
use crate::storage::journal::JournalSettings;
use crate::storage::mailbox::MailboxSettings;
use crate::storage::scripts::ScriptSettings;
use crate::storage::spool::SpoolSettings;

crate::settings! {
    /// The configuration of the whole server. Every key has a default except `hostname` and the listeners. A path may be
    /// written `credential:NAME` for a file that systemd passes with `LoadCredential=`.
    pub struct Config {
        /// The name this server greets with. Its addresses must lead here, their PTR records back to it, and the
        /// certificate must hold it. It must be given.
        pub hostname: Domain = unnamed(),
        /// The process as a whole.
        pub server: ServerSettings = ServerSettings::default(),
        /// Where the server listens, one table for each protocol.
        pub listener: Vec<ListenerSettings> = vec![],
        /// Where mail and accounts are kept.
        pub storage: StorageSettings = StorageSettings::default(),
        /// One of several machines over the same mailboxes.
        pub cluster: ClusterSettings = ClusterSettings::default(),
        /// TLS and certificates.
        pub tls: TlsSettings = TlsSettings::default(),
        /// How the database is used.
        pub database: DatabaseSettings = DatabaseSettings::default(),
        /// The journal of events.
        pub journal: JournalSettings = JournalSettings::default(),
        /// Where queued messages are kept.
        pub spool: SpoolSettings = SpoolSettings::default(),
        /// The conversation with SMTP and LMTP clients.
        pub smtp: SmtpSettings = SmtpSettings::default(),
        /// Limits and times of IMAP sessions.
        pub imap: ImapSettings = ImapSettings::default(),
        /// Limits and times of POP3 sessions.
        pub pop3: Pop3Settings = Pop3Settings::default(),
        /// Limits and times of ManageSieve sessions.
        pub managesieve: ManageSieveSettings = ManageSieveSettings::default(),
        /// HTTP, as all pages and the figures speak it.
        pub http: HttpSettings = HttpSettings::default(),
        /// The monitoring page.
        pub dashboard: DashboardSettings = DashboardSettings::default(),
        /// The webmail.
        pub webmail: WebmailSettings = WebmailSettings::default(),
        /// Calendars and contacts.
        pub dav: DavSettings = DavSettings::default(),
        /// Accounts that are declared rather than made by hand.
        pub accounts: AccountsSettings = AccountsSettings::default(),
        /// How domains, users and aliases are looked up.
        pub directory: DirectorySettings = DirectorySettings::default(),
        /// The Maildir store.
        pub mailbox: MailboxSettings = MailboxSettings::default(),
        /// The store of users' Sieve scripts.
        pub scripts: ScriptSettings = ScriptSettings::default(),
        /// How users prove who they are.
        pub login: LoginSettings = LoginSettings::default(),
        /// Links by which users choose their password.
        pub set_up: SetUpSettings = SetUpSettings::default(),
        /// How addresses are turned into mailboxes.
        pub routing: RoutingSettings = RoutingSettings::default(),
        /// Which senders and recipients are accepted.
        pub acceptance: AcceptanceSettings = AcceptanceSettings::default(),
        /// What our users may send.
        pub submission: SubmissionSettings = SubmissionSettings::default(),
        /// Receiving messages.
        pub intake: IntakeSettings = IntakeSettings::default(),
        /// How messages are put into mailboxes.
        pub delivery: DeliverySettings = DeliverySettings::default(),
        /// Scripts of users about their mail.
        pub sieve: SieveSettings = SieveSettings::default(),
        /// How messages are passed on to other hosts.
        pub outbound: OutboundSettings = OutboundSettings::default(),
        /// The queue: attempts, rests, notifications.
        pub queue: QueueSettings = QueueSettings::default(),
        /// Reports between mail servers.
        pub reports: ReportSettings = ReportSettings::default(),
        /// Our own policies by which others insist on TLS.
        pub mta_sts: PublishedSettings = PublishedSettings::default(),
        /// The settings given to mail programs that look for them.
        pub autoconfig: AutoconfigSettings = AutoconfigSettings::default(),
        /// The summary for the postmaster.
        pub summary: SummarySettings = SummarySettings::default(),
        /// How names are looked up in the DNS.
        pub dns: DnsSettings = DnsSettings::default(),
        /// Limits on clients: connections, rates, failures, bans.
        pub guard: GuardSettings = GuardSettings::default(),
        /// The spam filter.
        pub spam: FilterSettings = FilterSettings::default(),
        /// Backups.
        pub backup: BackupSettings = BackupSettings::default(),
    }
}

/// A placeholder until a host name is given; the loader refuses a file without one.
fn unnamed() -> Domain {
    "localhost".parse().expect("`localhost` is a domain")
}
