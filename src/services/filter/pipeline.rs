//! From a message to a verdict.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::addressee::{Addressee, MAX_LOOKED_AT};
use super::authentication::{self, Authentication, Authenticator, Client, Iprev};
use super::autolearn::Autolearner;
use super::classifier::{Limits, Store, Table};
use super::compiled::Compiled;
use super::decide::{self, Evidence};
use super::dialogue::{Dialogue, Surroundings};
use super::glance::{Glance, forged};
use super::helpers::{self, Helpers};
use super::language::{Readers, Reading};
use super::renewal::Signatures;
use super::reputation::{Book, Claims, Standing};
use super::rules::{Facts, Points, RuleSet};
use super::score::{Assessment, assess};
use super::signing::Signing;
use super::verdict::without;
use super::view::View;
use super::{DkimKeySettings, FilterSettings, Signal, Verdict, dns_lists, headers, reporting};
use crate::foundations::address::{Domain, ReversePath};
use crate::foundations::clock::{SharedClock, Timestamp};
use crate::foundations::dns::SharedResolver;
use crate::foundations::failure::Refusal;
use crate::foundations::ids::MailId;
use crate::foundations::mail::{Mail, Message, Origin, Peer, Who};
use crate::foundations::settings::Live;
use crate::services::filter::rules::ClientName;
use crate::services::routing::Routing;
use crate::storage::database::Database;
use crate::storage::reports::{Failure, Reports};

/// Judges messages. Cheap to share; holds compiled rules, caches and learned data.
pub struct Filter {
    pub(super) settings: Live<FilterSettings>,
    clock: SharedClock,
    hostname: Option<Live<Domain>>,
    resolver: Option<SharedResolver>,
    pub(super) database: Option<Database>,
    pub(super) store: Option<Store>,
    pub(super) book: Option<Arc<Book>>,
    pub(super) autolearner: Autolearner,
    reports: Option<Reports>,
    /// Resolves recipients to accounts. Without it, only the tag is removed.
    routing: Option<Routing>,
    compiled: Compiled,
    signing: Signing,
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Filter").finish_non_exhaustive()
    }
}

/// Largest message that is read and weighed directly; a larger one goes to a thread that may block.
const QUICK: usize = 64 * 1024;

/// The input of rules and classifier, in a form that can be sent to another thread.
pub(super) struct Known {
    bytes: Bytes,
    settings: Arc<FilterSettings>,
    rules: Arc<RuleSet>,
    site: Option<Arc<Table>>,
    own: Vec<(String, Arc<Table>)>,
    signals: Vec<Signal>,
    pub(super) authentication: Option<Authentication>,
    pub(super) claims: Claims,
    pub(super) standing: Standing,
    /// Recipients for whom the sender's reputation differs, and by how much.
    shifts: Vec<(String, f64)>,
    pub(super) reverse_path: String,
    /// As the envelope names them.
    pub(super) recipients: Vec<String>,
    addressees: Vec<Addressee>,
    hello: String,
    pub(super) client: Option<IpAddr>,
    received_at: i64,
    network: bool,
    hostname: String,
}

impl Known {
    /// The author's address, or the closest thing to it.
    pub(super) fn author(&self) -> &str {
        if self.claims.author.is_empty() { &self.reverse_path } else { &self.claims.author }
    }
}

/// The result of weighing.
pub(super) struct Weighed {
    pub assessment: Assessment,
    /// The score without learned data.
    pub points: Points,
    /// The scores for recipients whose learned data or known senders differ.
    pub own: Vec<(String, f64)>,
}

impl Weighed {
    /// The score for a recipient.
    pub(super) fn score_for(&self, addressee: &Addressee) -> f64 {
        let own = self.own.iter().find(|(who, _)| *who == addressee.written);
        own.map_or(self.assessment.score, |(_, score)| *score)
    }
}

impl Filter {
    /// A filter that uses the message alone: no network and nothing learned.
    pub fn new(settings: Live<FilterSettings>, clock: SharedClock) -> Self {
        Self {
            settings,
            clock,
            hostname: None,
            resolver: None,
            database: None,
            store: None,
            book: None,
            autolearner: Autolearner::default(),
            reports: None,
            routing: None,
            compiled: Compiled::default(),
            signing: Signing::default(),
        }
    }

    /// With our own name, for Authentication-Results and milters.
    #[must_use]
    pub fn with_hostname(mut self, hostname: Live<Domain>) -> Self {
        self.hostname = Some(hostname);
        self
    }

    /// With routing, which resolves recipients to accounts.
    #[must_use]
    pub fn with_routing(mut self, routing: Routing) -> Self {
        self.routing = Some(routing);
        self
    }

    /// With a resolver: sender authentication and DNS lists.
    #[must_use]
    pub fn with_resolver(mut self, resolver: SharedResolver) -> Self {
        self.resolver = Some(resolver);
        self
    }

    /// With a database: learned data, sender reputation and greylisting.
    #[must_use]
    pub fn with_database(mut self, database: Database) -> Self {
        let classifier = &self.settings.get().classifier;
        let limits = Limits {
            site: classifier.tokens,
            account: classifier.account_tokens,
            accounts: classifier.accounts_in_memory,
            fresh: classifier.refresh.duration(),
        };
        self.store = Some(Store::new(database.clone(), self.clock.clone(), limits));
        self.book = Some(Arc::new(Book::new(database.clone(), self.clock.clone())));
        self.database = Some(database);
        self
    }

    /// With a store that counts results for the reports that domains ask for.
    #[must_use]
    pub fn with_reports(mut self, reports: Reports) -> Self {
        self.reports = Some(reports);
        self
    }

    /// The DKIM-Signature fields for a message that this server itself has written; empty when there is no key for its
    /// author's domain.
    pub fn sign(&self, message: &Message) -> String {
        self.signing.fields(&self.settings.get(), message)
    }

    /// Also signs with these keys, replacing those given in this way before.
    pub(super) fn sign_with(&self, keys: Vec<DkimKeySettings>) {
        self.signing.sign_with(keys);
    }

    /// Reads the configured rule files, so that mistakes are reported before the first message comes. Our own rules
    /// have none, and take memory that a server without mail does not need.
    pub async fn read_rules(&self) {
        let settings = self.settings.get();
        if settings.enabled && !settings.rules.files.is_empty() {
            self.compiled.of(&settings).await;
        }
    }

    /// Starts a dialogue with the milters about a message that has only a sender so far; `None` without milters. The refusal is for
    /// the client, its greeting or the sender.
    pub async fn dialogue(
        &self,
        id: MailId,
        origin: Origin,
        reverse_path: ReversePath,
    ) -> Result<Option<Box<Dialogue>>, Refusal> {
        let settings = self.settings.get();
        if settings.milters.is_empty() || !settings.enabled || is_ours(&settings, &origin) {
            return Ok(None);
        }
        let hostname = self.hostname();
        let surroundings = Surroundings { hostname: &hostname, resolver: self.resolver.as_ref() };
        let dialogue = Dialogue::begin(settings, surroundings, id, origin, reverse_path).await;
        match dialogue.refusal() {
            Some(refusal) => {
                dialogue.abandon().await;
                Err(refusal)
            }
            None => Ok(Some(Box::new(dialogue))),
        }
    }

    /// Decides what to do with the message. Never fails, and takes no longer than the deadlines of the settings.
    pub async fn judge(&self, mail: &Mail) -> Verdict {
        self.judge_after(mail, None).await
    }

    /// The same for a message whose sender and recipients the milters already know from a dialogue.
    pub async fn judge_after(&self, mail: &Mail, dialogue: Option<Box<Dialogue>>) -> Verdict {
        let settings = self.settings.get();
        let trusted = is_ours(&settings, &mail.origin);
        if trusted && mail.origin.login.is_none() {
            return Verdict::accept();
        }
        let (original, hostname) = (mail.message.original(), self.hostname());
        let strip = forged(original, &hostname);
        if !settings.enabled || trusted {
            return Verdict { strip, ..Verdict::accept() };
        }
        // Milters see the message without forged fields, and what they add themselves stays.
        let shown = match settings.milters.is_empty() && dialogue.is_none() {
            true => original.clone(),
            false => without(original, &strip),
        };
        let surroundings = Surroundings { hostname: &hostname, resolver: self.resolver.as_ref() };
        let helpers = helpers::ask(&settings, mail, &shown, surroundings, dialogue);
        match &mail.origin.login {
            Some(login) => {
                let verdict = decide::outgoing(helpers.await, strip);
                self.signed(verdict, &settings, mail, login.who)
            }
            None => self.judge_incoming(&settings, mail, helpers, strip).await,
        }
    }

    /// The verdict on mail from our own users, with signatures. Such mail is scanned and shown to milters, but not weighed.
    fn signed(&self, mut verdict: Verdict, settings: &Arc<FilterSettings>, mail: &Mail, who: Who) -> Verdict {
        // A program without an account can write any name into From, and an alias may pass that on.
        if who != Who::MachineUser {
            // Signed last, so that no milter changes what is signed.
            verdict.headers = self.signing.fields(settings, &verdict.apply(&mail.message)).into_bytes();
        }
        verdict
    }

    /// Weighs mail from elsewhere. `strip` are the fields in it that claim to be ours.
    async fn judge_incoming(
        &self,
        settings: &Arc<FilterSettings>,
        mail: &Mail,
        helpers: impl Future<Output = Helpers>,
        strip: Vec<Range<usize>>,
    ) -> Verdict {
        let hostname = self.hostname();
        let reverse_path = mail.envelope.reverse_path.address().map(|a| a.to_string()).unwrap_or_default();
        let glance = glance_where_it_fits(mail.message.original(), &reverse_path, settings).await;
        let (helpers, known) = tokio::join!(helpers, self.gather(settings, mail, &glance, &hostname));
        let weighed = weigh_where_it_fits(&known).await;
        let wait = self.must_wait(settings, &known, &weighed, &helpers).await;
        if let (Some(reports), Some(found)) = (&self.reports, &known.authentication) {
            reporting::count(reports, settings, mail, found);
        }
        let results = results(&known, mail);
        let failure = known.authentication.as_ref().and_then(|found| reporting::failure(mail, found, &results));
        let findings = known.authentication.as_ref().and_then(|a| authentication::findings(a, &results));
        let header = results + &headers::fields(&weighed.assessment, settings.threshold);
        let found = (weighed.points, weighed.assessment.probability);
        let mut verdict = decide::incoming(
            settings,
            Evidence {
                helpers,
                weighed,
                authentication: known.authentication.as_ref(),
                addressees: &known.addressees,
                header,
                findings,
                strip,
                wait,
            },
        );
        self.remember(settings, mail, &known, found, &mut verdict);
        if let (Some(reports), Some(failure)) = (&self.reports, failure) {
            reports.note_failure(Failure { decision: verdict.decision.word(), ..failure });
        }
        verdict
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn hostname(&self) -> String {
        self.hostname.as_ref().map_or_else(|| "localhost".to_owned(), |h| h.get().as_str().to_owned())
    }

    pub(super) async fn pause(&self, length: Duration) {
        self.clock.sleep_until(self.clock.now() + length).await;
    }

    /// The fields of a seal for a message that an alias of this domain passes on (ARC), to be put in front of it; empty
    /// when it cannot be sealed.
    pub fn seal(&self, message: &Message, verdict: &Verdict, domain: &Domain) -> String {
        let settings = self.settings.get();
        match &verdict.findings {
            Some(findings) if settings.dkim.seal => {
                self.signing.seal(&settings, message, findings, domain, self.clock.now())
            }
            _ => String::new(),
        }
    }

    /// The signatures of a message that must be changed on its way. Reads all of it.
    pub async fn signatures(&self, message: &[u8]) -> Signatures {
        Signatures::of(&self.signing, &self.settings.get(), message, self.clock.now()).await
    }

    /// All external look-ups, at the same time.
    async fn gather(&self, settings: &Arc<FilterSettings>, mail: &Mail, glance: &Glance, hostname: &str) -> Arc<Known> {
        let bytes = mail.message.original().clone();
        let client = mail.origin.peer.ip();
        let reverse_path = mail.envelope.reverse_path.address().map(|a| a.to_string()).unwrap_or_default();
        let Glance { authors, author_address, domains } = glance;
        let patience = settings.deadline.duration();
        let network = self.resolver.is_some() && client.is_some_and(|c| !c.is_loopback());
        let checks = async {
            let resolver = self.resolver.clone().filter(|_| network && settings.authentication.enabled)?;
            let client = Client {
                address: client,
                hello: &mail.origin.hello,
                reverse_path: &reverse_path,
                authors,
                at: mail.origin.at,
            };
            let trusted = &settings.authentication.trusted_sealers;
            Some(Authenticator::new(resolver, hostname.to_owned()).check(&bytes, client, trusted, patience).await)
        };
        let lists = async {
            let Some(resolver) = self.resolver.as_ref().filter(|_| network && !settings.dns_lists.is_empty()) else {
                return Vec::new();
            };
            dns_lists::ask(&**resolver, &settings.dns_lists, client, domains, patience).await
        };
        let recipients: Vec<String> = mail.envelope.recipients.iter().map(|r| r.address.key()).collect();
        let addressees = Addressee::all(self.routing.as_ref(), &mail.envelope.recipients, patience).await;
        let tables = self.tables(settings, &addressees, patience);
        let (authentication, mut signals, (site, own)) = tokio::join!(checks, lists, tables);
        signals.extend(authentication.iter().flat_map(Authentication::signals));
        let claims = Claims::of(author_address, authentication.as_ref(), client);
        let (standing, shifts) = self.standings(settings, &addressees, &claims, patience).await;
        signals.extend(standing.signals.iter().cloned());
        Arc::new(Known {
            bytes: bytes.clone(),
            rules: self.compiled.of(settings).await,
            settings: Arc::clone(settings),
            site,
            own,
            signals,
            authentication,
            claims,
            standing,
            shifts,
            reverse_path: reverse_path.to_lowercase(),
            recipients,
            addressees,
            hello: mail.origin.hello.clone(),
            client,
            received_at: mail.origin.at.unix_seconds(),
            network,
            hostname: hostname.to_owned(),
        })
    }
}

/// Whether a message comes from a source that is not judged.
fn is_ours(settings: &FilterSettings, origin: &Origin) -> bool {
    origin.peer.is_in(&settings.trusted) || matches!(origin.peer, Peer::Internal)
}

/// Our Authentication-Results field; empty when nothing was checked.
fn results(known: &Known, mail: &Mail) -> String {
    let Some(authentication) = &known.authentication else { return String::new() };
    let client = Client {
        address: known.client,
        hello: &known.hello,
        reverse_path: &known.reverse_path,
        authors: &[],
        at: mail.origin.at,
    };
    authentication::header(authentication, &client, &known.hostname)
}

async fn glance_where_it_fits(bytes: &Bytes, reverse_path: &str, settings: &Arc<FilterSettings>) -> Glance {
    if bytes.len() <= QUICK {
        return Glance::of(bytes, reverse_path, settings);
    }
    let (moved, path, shared) = (bytes.clone(), reverse_path.to_owned(), Arc::clone(settings));
    match tokio::task::spawn_blocking(move || Glance::of(&moved, &path, &shared)).await {
        Ok(glance) => glance,
        Err(error) => {
            log::error!("filter: reading a message failed; DNS lists are not asked about its domains: {error}");
            // Whoever is in From far down must not escape DMARC.
            Glance::of_header(bytes)
        }
    }
}

async fn weigh_where_it_fits(known: &Arc<Known>) -> Weighed {
    if known.bytes.len() <= QUICK {
        return weigh(known);
    }
    let moved = Arc::clone(known);
    match tokio::task::spawn_blocking(move || weigh(&moved)).await {
        Ok(weighed) => weighed,
        Err(error) => {
            log::error!("filter: weighing a message failed; it continues without a score: {error}");
            let assessment = Assessment { score: 0.0, signals: Vec::new(), probability: None };
            Weighed { assessment, points: Points::default(), own: Vec::new() }
        }
    }
}

fn weigh(known: &Known) -> Weighed {
    let view = View::new(&known.bytes, &known.settings.limits);
    let iprev = known.authentication.as_ref().and_then(|a| a.iprev.as_ref());
    let reading = Reading::new(&view, &known.settings.recognition);
    let looked_at = &known.addressees[..known.addressees.len().min(MAX_LOOKED_AT)];
    let readers = Readers::of(&known.settings, &known.rules, looked_at);
    let facts = Facts {
        view: &view,
        reverse_path: &known.reverse_path,
        recipients: &known.recipients,
        hello: &known.hello,
        client: known.client,
        client_name: match iprev {
            Some(Iprev::Pass(name)) => ClientName::Verified(name),
            Some(Iprev::Fail) => ClientName::Missing,
            Some(Iprev::TempError) | None => ClientName::NotAsked,
        },
        authenticated: known.authentication.as_ref().is_some_and(Authentication::is_authentic),
        shown: known.authentication.as_ref().map(|_| known.claims.shown.as_slice()),
        is_stranger: known.standing.is_stranger,
        probability: None,
        network: known.network,
        received_at: Some(known.received_at),
        others: &known.signals,
        reading: Some(&reading),
        languages: &readers.together,
        locales: &[],
    };
    let assessment = assess(&known.rules, &facts, known.site.as_deref(), None);
    let shift = |who: &str| known.shifts.iter().find(|(other, _)| other == who).map_or(0.0, |(_, shift)| *shift);
    let mut own: Vec<(String, f64)> = Vec::new();
    for &(who, languages) in &readers.each {
        let table = known.own.iter().find(|(other, _)| other == who).map(|(_, table)| &**table);
        let differs = languages != facts.languages && reading.unread(languages) != reading.unread(facts.languages);
        if table.is_some() || differs {
            let facts = Facts { languages, ..facts };
            own.push((who.to_owned(), assess(&known.rules, &facts, known.site.as_deref(), table).score + shift(who)));
        }
    }
    for (who, shift) in &known.shifts {
        if !own.iter().any(|(other, _)| other == who) {
            own.push((who.clone(), assessment.score + shift));
        }
    }
    Weighed { points: known.rules.points(&assessment.signals), assessment, own }
}
