use crate::config::Config;
use crate::foundations::address::Domain;
use crate::foundations::dns::DnsSettings;
use crate::foundations::net::HttpSettings;
use crate::foundations::settings::Live;
use crate::protocols::imap::ImapSettings;
use crate::protocols::managesieve::ManageSieveSettings;
use crate::protocols::pop3::Pop3Settings;
use crate::protocols::smtp::SmtpSettings;
use crate::protocols::web::dashboard::DashboardSettings;
use crate::protocols::web::dav::DavSettings;
use crate::protocols::web::webmail::WebmailSettings;
use crate::services::acceptance::AcceptanceSettings;
use crate::services::autoconfig::AutoconfigSettings;
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
use crate::storage::directory::DirectorySettings;
use crate::storage::journal::JournalSettings;
use crate::storage::mailbox::MailboxSettings;
use crate::storage::scripts::ScriptSettings;

/// The settings that a reload may replace, each as its room holds it.
macro_rules! live_settings {
    ($($field:ident : $type:ty),+ $(,)?) => {
        /// Handles to all settings that can change while the server runs.
        #[derive(Debug, Clone)]
        pub struct LiveSettings {
            $(#[doc = concat!("`", stringify!($field), "` of the configuration.")] pub $field: Live<$type>,)+
        }

        impl LiveSettings {
            /// Starts with a configuration.
            pub fn new(config: &Config) -> Self {
                Self { $($field: Live::new(config.$field.clone()),)+ }
            }

            /// Applies another configuration to sessions and messages that begin from now on.
            pub fn set(&self, config: &Config) {
                $(self.$field.set(config.$field.clone());)+
            }
        }
    };
}

live_settings! {
    hostname: Domain,
    tls: TlsSettings,
    journal: JournalSettings,
    dns: DnsSettings,
    http: HttpSettings,
    smtp: SmtpSettings,
    imap: ImapSettings,
    pop3: Pop3Settings,
    managesieve: ManageSieveSettings,
    dashboard: DashboardSettings,
    webmail: WebmailSettings,
    dav: DavSettings,
    directory: DirectorySettings,
    mailbox: MailboxSettings,
    scripts: ScriptSettings,
    guard: GuardSettings,
    login: LoginSettings,
    set_up: SetUpSettings,
    routing: RoutingSettings,
    acceptance: AcceptanceSettings,
    submission: SubmissionSettings,
    intake: IntakeSettings,
    reports: ReportSettings,
    mta_sts: PublishedSettings,
    autoconfig: AutoconfigSettings,
    delivery: DeliverySettings,
    sieve: SieveSettings,
    outbound: OutboundSettings,
    queue: QueueSettings,
    summary: SummarySettings,
    spam: FilterSettings,
}
