//! Settings of the filter.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ipnet::IpNet;

use super::authentication::dkim::Algorithm;
use super::endpoint::Endpoint;
use super::language::Language;
use super::reputation::ReputationSettings;
use crate::foundations::address::Domain;
use crate::foundations::settings::{ByteSize, Span};

crate::settings! {
    /// The spam filter: evidence for and against a message gives it a score. These settings say from which score on it is
    /// unwanted, kept in quarantine or refused.
    pub struct FilterSettings {
        /// Whether incoming mail is filtered at all. When false, everything is accepted unexamined.
        pub enabled: bool = true,
        /// Score from which a message goes into the folder for unwanted mail. A message with no evidence against it has 0, so
        /// this one and the next two must be greater.
        pub threshold: f64 = 5.0,
        /// Score from which a message is refused in the SMTP dialogue, unless a recipient wants it.
        pub refuse: f64 = 15.0,
        /// Score from which a message is kept in quarantine instead of the folder for unwanted mail; never when unset.
        pub quarantine: Option<f64> = None,
        /// Languages that are read here, by ISO 639-1 code (`["de", "en"]`). A text in another language gives the
        /// signal `UNWANTED_LANGUAGE_BODY`, unless a larger part of it, or anything it quotes, is in one of these. An
        /// empty list means every language. When unset, `ok_languages` of the rule files applies.
        pub languages: Option<Vec<Language>> = None,
        /// How the language of a message is recognised.
        pub recognition: LanguageSettings = LanguageSettings::default(),
        /// Other thresholds and languages for single recipients, by domain (`example.com`) or address (`ann@example.com`).
        /// Those of a user's address apply to its tags (`ann+shop@example.com`) and to aliases that lead to this user alone,
        /// unless these have their own.
        pub recipients: BTreeMap<String, ThresholdSettings> = BTreeMap::new(),
        /// Time for all look-ups and scanners together. What has not answered by then counts as not available.
        pub deadline: Span = Span::seconds(20),
        /// Networks whose mail is accepted unexamined.
        pub trusted: Vec<IpNet> = Vec::new(),
        /// How much of a message the filter looks at.
        pub limits: LimitSettings = LimitSettings::default(),
        /// Rules with scores.
        pub rules: RuleSettings = RuleSettings::default(),
        /// What is learned from people's judgements.
        pub classifier: ClassifierSettings = ClassifierSettings::default(),
        /// Who really sent a message.
        pub authentication: AuthenticationSettings = AuthenticationSettings::default(),
        /// DNS lists that are asked about clients and links.
        pub dns_lists: Vec<DnsListSettings> = Vec::new(),
        /// Making doubtful strangers try twice.
        pub greylist: GreylistSettings = GreylistSettings::default(),
        /// Making unknown senders try twice.
        pub first_contact: FirstContactSettings = FirstContactSettings::default(),
        /// What is remembered of senders.
        pub reputation: ReputationSettings = ReputationSettings::default(),
        /// What the classifier learns by itself.
        pub autolearn: AutolearnSettings = AutolearnSettings::default(),
        /// DKIM signatures on outgoing mail.
        pub dkim: DkimSettings = DkimSettings::default(),
        /// The virus scanner.
        pub clamav: ClamavSettings = ClamavSettings::default(),
        /// External mail filters, asked in this order.
        pub milters: Vec<MilterSettings> = Vec::new(),
    }
}

crate::settings! {
    /// What is different for some recipients.
    pub struct ThresholdSettings {
        /// Score from which a message is unwanted; that of the site when unset.
        pub threshold: Option<f64> = None,
        /// Score from which a message may be refused; that of the site when unset.
        pub refuse: Option<f64> = None,
        /// Score from which a message is kept in quarantine; that of the site when unset.
        pub quarantine: Option<f64> = None,
        /// Languages that they read; those of the site when unset. A message for several is unwanted for those who do not
        /// read it.
        pub languages: Option<Vec<Language>> = None,
    }
}

crate::settings! {
    /// How the language of a message is recognised. It is done only where languages are set, or a rule asks. Languages
    /// that cannot be distinguished from others with the same letters (among them `br`, `eu`, `ga`, `gl`, `is`, `ms`,
    /// `sq`) may be named; then no text in these letters counts as unread.
    pub struct LanguageSettings {
        /// Least letters of a text, without quotes, signature, addresses and numbers; a Chinese, Japanese or Korean one counts
        /// as three. The language of a shorter text is unknown.
        pub letters: usize = 150,
        /// Octets of text by which the language is recognised. Before a text counts as unread, eight times as much is searched
        /// for a part in a language that is read. Text beyond that does not count.
        pub text: ByteSize = ByteSize::kib(1),
        /// How certain the result must be, from 0 to 1. Below this, the language counts as unknown.
        pub confidence: f64 = 0.95,
    }
}

crate::settings! {
    /// How much of a message the filter looks at. Rules and classifier do not see anything beyond a limit, and reaching a limit
    /// is a signal of its own.
    pub struct LimitSettings {
        /// Octets of header. The rest of a longer header is not read.
        pub header: ByteSize = ByteSize::kib(256),
        /// Header fields. Further ones are not read.
        pub fields: usize = 1000,
        /// Depth of nested multiparts and messages. Deeper ones are taken as text.
        pub depth: usize = 20,
        /// MIME parts. Further ones are not opened.
        pub parts: usize = 500,
        /// Octets of decoded text of all parts together. Text beyond it is not read.
        pub decoded: ByteSize = ByteSize::kib(512),
        /// Octets of a message that rules about the whole message (`full`) and lessons read, from the beginning; also octets of
        /// attached messages that must be decoded. Texts and attachments are found wherever they are.
        pub message: ByteSize = ByteSize::mib(2),
    }
}

crate::settings! {
    /// Rules in the syntax of SpamAssassin's `local.cf`: those that come with this program, and files of your own.
    pub struct RuleSettings {
        /// Whether the rules that come with this server are in force.
        pub builtin: bool = true,
        /// Files with further rules, read in this order after the built-in ones; later ones override earlier ones. Lines that
        /// cannot be used are reported at start and by `postrider spam rules`.
        pub files: Vec<PathBuf> = Vec::new(),
    }
}

crate::settings! {
    /// What is learned from people's judgements: mail that users move into the folder for unwanted mail or out of it,
    /// and `postrider spam learn`, teach which words speak for and against a message.
    pub struct ClassifierSettings {
        /// Whether what was learned counts.
        pub enabled: bool = true,
        /// Tokens kept for everybody together; 16 octets each in the database. Beyond it the least significant ones are
        /// dropped.
        pub tokens: usize = 600_000,
        /// Tokens kept for each account. Beyond it the least significant ones are dropped.
        pub account_tokens: usize = 100_000,
        /// Accounts whose tables are kept in memory; beyond it the one not used for the longest time is dropped.
        pub accounts_in_memory: usize = 32,
        /// Whose classifier learns from messages that users move into or out of the folder for unwanted mail.
        pub moves: LearnFromMoves = LearnFromMoves::Everybody,
        /// Most moved messages that wait to be learned from, at most a quarter of them from one account. Further ones are not
        /// learned from, and this is logged.
        pub moves_waiting: usize = 10_000,
        /// How long a loaded table is used before changes by other processes are looked for.
        pub refresh: Span = Span::minutes(1),
    }
}

crate::words! {
    /// Whom moved messages teach.
    pub enum LearnFromMoves {
        /// Nobody.
        Off = "off",
        /// The table of the account alone. Where users do not know each other, so that none can spoil it for all.
        Account = "account",
        /// The table of the account and that of everybody.
        Everybody = "everybody",
    }
}

crate::settings! {
    /// Who really sent a message: SPF, DKIM, DMARC and ARC are checked. The results count in the score and are noted in the
    /// header (Authentication-Results).
    pub struct AuthenticationSettings {
        /// Whether SPF, DKIM, DMARC and ARC are checked at all.
        pub enabled: bool = true,
        /// What happens when mail fails DMARC, and the policy of the author's domain is to refuse it or treat it as
        /// unwanted.
        pub dmarc: DmarcAction = DmarcAction::Obey,
        /// Domains of forwarders and mailing lists whose ARC seals are believed when they say that the author was real.
        pub trusted_sealers: Vec<String> = Vec::new(),
        /// Domains of mailing lists whose mail is exempt from DMARC when SPF or a DKIM signature shows that it is theirs.
        pub mailing_lists: Vec<String> = Vec::new(),
    }
}

crate::words! {
    /// What a failed DMARC check leads to.
    pub enum DmarcAction {
        /// The domain's policy is followed: refuse, or treat as unwanted.
        Obey = "obey",
        /// Only a higher score.
        Score = "score",
    }
}

crate::settings! {
    /// DNS lists that are asked about clients and links, each with the weight that its answers have in the score.
    pub struct DnsListSettings {
        /// The list's zone, such as `zen.spamhaus.org`.
        pub zone: String = String::new(),
        /// What the list is about.
        pub about: ListSubject = ListSubject::Client,
        /// Weight of being listed; negative for lists of good senders.
        pub weight: f64 = 2.0,
        /// Other weights for particular answers, by address, such as `"127.0.0.4" = 3.0`. An answer of weight 0 is no hit.
        /// `127.0.0.1` means a refusal to answer, as from URIBL, unless it is among them.
        pub answers: BTreeMap<String, f64> = BTreeMap::new(),
    }
}

crate::words! {
    /// What a DNS list is about.
    pub enum ListSubject {
        /// The client's address.
        Client = "client",
        /// Domains: of the sender, of signatures, of links in the text.
        Domain = "domain",
    }
}

crate::settings! {
    /// Greylisting: a doubtful message from a stranger is refused for now; a real server comes back.
    pub struct GreylistSettings {
        /// Whether it is done.
        pub enabled: bool = false,
        /// Score from which a message is doubtful. Mail whose author is authenticated, or from senders of good reputation, is
        /// never made to wait.
        pub from: f64 = 2.5,
        /// How long a stranger must wait.
        pub delay: Span = Span::minutes(4),
        /// How long a stranger may take to come back before counting as new again.
        pub window: Span = Span::days(2),
        /// How long a sender that came back is remembered.
        pub remember: Span = Span::days(36),
    }
}

crate::settings! {
    /// First contact: a message that is not beyond doubt, from a sender with whom nobody here has exchanged mail, is
    /// refused for now; until it comes again, lists and scanners may have learned of it. Senders whose address or
    /// domain is verified need not wait if it has sent wanted mail or was written to. Needs `spam.reputation.enabled`.
    /// `spam.greylist` sets how long senders that came back are remembered.
    pub struct FirstContactSettings {
        /// Whether it is done.
        pub enabled: bool = false,
        /// Score from which a message is not beyond doubt.
        pub from: f64 = 1.0,
        /// Score from which there is no more doubt; `spam.threshold` when unset.
        pub to: Option<f64> = None,
        /// How long the sender must wait.
        pub delay: Span = Span::minutes(2),
    }
}

crate::settings! {
    /// What the classifier learns by itself, for everybody, from messages that leave no doubt without it. A lesson is taken back
    /// when a user moves its message the other way, whatever `classifier.moves` says, and never replaces a person's.
    pub struct AutolearnSettings {
        /// Whether it learns by itself.
        pub enabled: bool = true,
        /// Score, without classifier and reputation, up to which a message is learned as wanted, if its author is also verified
        /// as somebody our users have written to.
        pub wanted: f64 = 1.0,
        /// Score, without classifier and reputation, from which a message is learned as unwanted, if header and text also
        /// contribute `each_side` each.
        pub unwanted: f64 = 12.0,
        /// See `unwanted`.
        pub each_side: f64 = 3.0,
        /// Messages of one class learned in a day (UTC), by each process.
        pub per_day: u32 = 200,
        /// Messages of one class learned in a day from one author's domain, and from one network.
        pub per_sender: u32 = 3,
    }
}

crate::words! {
    /// What happens to a message when a helper does not answer.
    pub enum OnFailure {
        /// It is processed as if there were no such helper.
        Accept = "accept",
        /// The client is told to try later.
        Later = "later",
        /// It is refused.
        Refuse = "refuse",
    }
}

crate::settings! {
    /// DKIM signatures on outgoing mail, by which others see that it comes from our domains. Keys are named in `keys`, or the
    /// server makes and rotates them itself (`rotation`).
    pub struct DkimSettings {
        /// Keys. A message is signed with every key of its author's domain, or of the nearest domain above it that has one:
        /// an RSA and an Ed25519 key side by side, or the old and the new one while keys are exchanged.
        pub keys: Vec<DkimKeySettings> = Vec::new(),
        /// Whether mail that aliases pass on to other servers is sealed (ARC, RFC 8617), with the first RSA key of the
        /// alias's domain or of the nearest domain above it that has one.
        pub seal: bool = true,
        /// DKIM keys that are exchanged on a schedule.
        pub rotation: DkimRotationSettings = DkimRotationSettings::default(),
    }
}

crate::settings! {
    /// DKIM keys that are exchanged on a schedule, by the server itself: a new pair is announced ahead (`postrider dkim list`
    /// prints its records), signs once it is in the DNS and the old pair's time is over, and retires with overlap.
    pub struct DkimRotationSettings {
        /// Directory for the keys, which only the server may read. Nothing is exchanged when unset.
        pub directory: Option<PathBuf> = None,
        /// Domains whose keys are exchanged. Keys in `spam.dkim.keys` for the same domain sign beside them.
        pub domains: Vec<Domain> = Vec::new(),
        /// Kinds of keys that are made.
        pub algorithms: Vec<Algorithm> = vec![Algorithm::Rsa, Algorithm::Ed25519],
        /// How long a pair signs.
        pub every: Span = Span::days(90),
        /// How long before its turn a new pair is made, so that its records can be published.
        pub ahead: Span = Span::days(7),
        /// How long the records of a retired pair must stay in the DNS; after that its files are deleted.
        pub overlap: Span = Span::days(7),
    }
}

crate::settings! {
    /// One DKIM key, as `postrider dkim generate` makes it.
    pub struct DkimKeySettings {
        /// The domain it signs for.
        pub domain: Option<Domain> = None,
        /// Its selector: the record is at `selector._domainkey.domain`.
        pub selector: String = String::new(),
        /// The file with the private key in PEM.
        pub file: PathBuf = PathBuf::new(),
    }
}

crate::settings! {
    /// The virus scanner ClamAV, to whose daemon `clamd` messages are shown.
    pub struct ClamavSettings {
        /// Where clamd listens: `unix:/run/clamav/clamd.ctl` or `127.0.0.1:3310`. Nothing is scanned when unset.
        pub address: Option<Endpoint> = None,
        /// How long an answer may take.
        pub timeout: Span = Span::seconds(30),
        /// Largest message that is scanned; a larger one is accepted unscanned. No more than clamd's `StreamMaxLength`.
        pub largest: ByteSize = ByteSize::mib(25),
        /// What happens when clamd does not answer.
        pub on_failure: OnFailure = OnFailure::Later,
    }
}

crate::settings! {
    /// A milter: a mail filter that speaks Sendmail's protocol, version 6. It learns of the sender at MAIL, with the
    /// client and its greeting, of each recipient at RCPT, and of the rest when the whole message is there; the client
    /// gets its reply to the same command. It does not learn of recipients that this server refuses itself. For mail
    /// from the webmail and LMTP, it is asked once the message is complete; over LMTP each recipient gets a separate
    /// answer. What it asks to discard (`SMFIR_DISCARD`) is kept in quarantine, where an administrator can find it. It
    /// may change header, body, recipients and sender; who the client's sender is has been checked before. Macros
    /// passed to it: `j`, `v`, `_`, `i`, `{daemon_name}`, `{daemon_addr}`, `{daemon_port}`, `{client_name}`,
    /// `{client_ptr}`, `{client_addr}`, `{client_port}`, `{tls_version}`, `{cipher}`, `{cipher_bits}`, `{auth_type}`,
    /// `{auth_authen}`, `{mail_addr}`, `{mail_host}`, `{rcpt_addr}`, `{rcpt_host}`.
    pub struct MilterSettings {
        /// Its name in signals and logs.
        pub name: String = "milter".to_owned(),
        /// Where it listens: `unix:/run/milter.sock` or `127.0.0.1:8891`.
        pub address: Option<Endpoint> = None,
        /// How long one answer may take.
        pub timeout: Span = Span::seconds(30),
        /// How long it may take for a whole message. Beyond it `on_failure` applies.
        pub message_timeout: Span = Span::minutes(5),
        /// Octets of header fields and recipients that it may change in one message. Beyond it `on_failure` applies.
        pub changes: ByteSize = ByteSize::kib(512),
        /// What happens when it does not answer, or sends nonsense.
        pub on_failure: OnFailure = OnFailure::Accept,
    }
}

/// The thresholds that hold for one recipient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// From here a message is unwanted.
    pub threshold: f64,
    /// From here it may be refused.
    pub refuse: f64,
    /// From here it is kept in quarantine.
    pub quarantine: Option<f64>,
}

impl FilterSettings {
    /// The thresholds for a recipient, given by the names under which it is known, the nearest first, each as
    /// [`crate::foundations::address::Address::key`] has it: each threshold is that of a name, else of a name's domain, else of the site.
    pub fn thresholds(&self, names: &[&str]) -> Thresholds {
        let first = |pick: fn(&ThresholdSettings) -> Option<f64>| self.own(names).find_map(pick);
        Thresholds {
            threshold: first(|t| t.threshold).unwrap_or(self.threshold),
            refuse: first(|t| t.refuse).unwrap_or(self.refuse),
            quarantine: first(|t| t.quarantine).or(self.quarantine),
        }
    }

    /// The languages that a recipient reads, or the site without a name; `None` when the settings do not say.
    pub fn languages(&self, names: &[&str]) -> Option<&[Language]> {
        self.own(names).find_map(|own| own.languages.as_deref()).or(self.languages.as_deref())
    }

    /// What is set for the names, then for their domains.
    fn own<'s>(&'s self, names: &[&str]) -> impl Iterator<Item = &'s ThresholdSettings> {
        let domains = names.iter().filter_map(|name| name.rsplit_once('@')).map(|(_, domain)| domain);
        let keys = names.iter().copied().chain(domains);
        keys.filter_map(|key| self.recipients.get(key)).collect::<Vec<_>>().into_iter()
    }

    /// The thresholds of the site.
    pub fn site_thresholds(&self) -> Thresholds {
        Thresholds { threshold: self.threshold, refuse: self.refuse, quarantine: self.quarantine }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_threshold_is_that_of_the_nearest_who_has_one() {
        let mut settings = FilterSettings { quarantine: Some(9.0), ..FilterSettings::default() };
        let domain = ThresholdSettings { threshold: Some(4.0), quarantine: Some(7.0), ..ThresholdSettings::default() };
        settings.recipients.insert("example.test".to_owned(), domain);
        let ann = ThresholdSettings { refuse: Some(30.0), ..ThresholdSettings::default() };
        settings.recipients.insert("ann@example.test".to_owned(), ann);
        for (recipient, threshold, refuse, quarantine) in [
            ("ann@example.test", 4.0, 30.0, 7.0),
            ("bob@example.test", 4.0, 15.0, 7.0),
            ("eve@other.test", 5.0, 15.0, 9.0),
        ] {
            let wanted = Thresholds { threshold, refuse, quarantine: Some(quarantine) };
            assert_eq!(settings.thresholds(&[recipient]), wanted, "{recipient}");
        }
    }
}
