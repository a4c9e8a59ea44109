//! Sending, once a day.

use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use super::failures::SentToday;
use super::tls::{self, Prepared};
use super::{ReportSettings, dmarc, failures};
use crate::foundations::address::{Address, Domain, ReversePath};
use crate::foundations::clock::{SharedClock, Timestamp};
use crate::foundations::dns::SharedResolver;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::failure::Refusal;
use crate::foundations::ids::{MailId, SessionId};
use crate::foundations::mail::{Envelope, Mail, Message, Notify, Origin, Recipient};
use crate::foundations::settings::Live;
use crate::foundations::tasks::Tasks;
use crate::services::filter::Filter;
use crate::services::handover::{Bound, Postponed, Queueing};
use crate::services::outbound::Outbound;
use crate::services::routing::{Resolution, Routing};
use crate::storage::database;
use crate::storage::journal::{Believed, Journal};
use crate::storage::reports::{Kind, Reports};

/// What a reporter needs.
pub struct ReporterParts {
    /// Its settings.
    pub settings: Live<ReportSettings>,
    /// Our name.
    pub hostname: Live<Domain>,
    /// What was counted.
    pub reports: Reports,
    /// The DNS.
    pub resolver: SharedResolver,
    /// Signs mail.
    pub filter: Arc<Filter>,
    /// Knows which addresses are ours.
    pub routing: Routing,
    /// Sends mail.
    pub queue: Arc<dyn Queueing>,
    /// Sends over HTTPS.
    pub outbound: Outbound,
    /// Where sent reports are recorded.
    pub journal: Journal,
    /// The time.
    pub clock: SharedClock,
}

/// Sends reports.
pub struct Reporter(ReporterParts, SentToday);

/// The organisation named in reports.
pub(super) struct Sender {
    pub(super) hostname: Domain,
    pub(super) from: Address,
    pub(super) organization: String,
}

/// A report as a mail, with its recipients.
pub(super) struct Letter {
    pub(super) to: Vec<Address>,
    pub(super) octets: Vec<u8>,
    /// The report's id.
    pub(super) id: String,
}

/// How often to check whether a report is due.
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// Domains handled in one go; the others follow at the next check.
const MOST_AT_ONCE: u32 = 10_000;
/// Days after which counts that could not be sent are dropped.
const TOO_OLD: i64 = 7;
/// Days after which to stop waiting for the DNS to say who wants a report.
const UNANSWERED: i64 = 2;

impl Reporter {
    /// Puts the parts together.
    pub fn new(parts: ReporterParts) -> Self {
        Self(parts, SentToday::default())
    }

    /// Regularly sends what is due, until `tasks` stop.
    pub async fn run(self: Arc<Self>, tasks: Tasks) {
        loop {
            self.send_failures().await;
            if let Err(error) = self.send_due().await {
                log::warn!(cause:% = error; "reports: due reports cannot be sent now; they will be tried again");
            }
            tokio::select! {
                () = tasks.stopping() => return,
                () = self.0.clock.sleep_until(self.0.clock.now() + LOOK_EVERY) => {}
            }
        }
    }

    /// Sends the reports of days that are over, each at its own time.
    ///
    /// # Errors
    /// The database fails; what was not sent is still there.
    async fn send_due(&self) -> Result<(), database::Error> {
        let settings = self.0.settings.get();
        let now = self.0.clock.now();
        self.0.reports.flush().await?;
        if let Ok(Believed::Yes) = self.0.journal.believes_the_clock().await {
            self.0.reports.forget_received(now - settings.keep_for.duration()).await?;
        }
        let today = Reports::day_of(now);
        for (kind, day, domain) in self.0.reports.waiting(today, now, MOST_AT_ONCE).await? {
            let wanted = match kind {
                Kind::Dmarc => settings.dmarc,
                Kind::Tls => settings.tls,
                // These are not counted.
                Kind::Failure => false,
            };
            if wanted && now < moment(day, &domain, settings.spread.duration()) {
                continue;
            }
            if !self.0.reports.claim(kind, day, &domain, now).await? {
                continue;
            }
            let sent = match wanted && today - day <= TOO_OLD {
                true => self.send(kind, day, &domain, &settings).await?,
                false => Ok(()),
            };
            if let Err(refusal) = sent {
                // The claim expires, and somebody tries again.
                let cause = refusal.cause.as_ref().map(ToString::to_string);
                log::info!(domain:% = domain, cause:? = cause; "reports: a report for {domain} cannot be sent now: {refusal}");
                continue;
            }
            self.0.reports.settle(kind, day, &domain, now).await?;
        }
        Ok(())
    }

    /// Reports messages that have failed DMARC since the last time.
    async fn send_failures(&self) {
        let settings = self.0.settings.get();
        let failures = self.0.reports.take_failures();
        let Some(sender) = self.sender(&settings).filter(|_| settings.failures) else { return };
        for failure in failures {
            let Some(letter) = failures::letter(&*self.0.resolver, &sender, &failure).await else { continue };
            if !self.1.take_place(&failure.domain, &settings, Reports::day_of(self.0.clock.now())) {
                continue;
            }
            if let Err(refusal) = self.post(Kind::Failure, &failure.domain, letter, &settings).await {
                log::warn!(domain:% = failure.domain; "reports: a report for {} cannot be queued and is left out: {refusal}", failure.domain);
            }
        }
    }

    async fn send(
        &self,
        kind: Kind,
        day: i64,
        domain: &str,
        settings: &ReportSettings,
    ) -> Result<Result<(), Refusal>, database::Error> {
        let tallies = self.0.reports.tallies(kind, day, domain, settings.rows).await?;
        let Some(sender) = self.sender(settings) else { return Ok(Ok(())) };
        let resolver = &*self.0.resolver;
        let is_given_up = Reports::day_of(self.0.clock.now()) - day > UNANSWERED;
        match kind {
            Kind::Dmarc => {
                let letters = dmarc::letters(resolver, &sender, (day, domain), &tallies).await;
                let unanswered = letters.unanswered.filter(|_| !is_given_up);
                let mut posted = unanswered.map_or(Ok(()), |error| Err(Refusal::temporary(error)));
                for (policy, letter) in letters.ready {
                    match self.post(kind, domain, letter, settings).await {
                        // Reports that are in the queue already are not sent again with those that are not.
                        Ok(()) => self.0.reports.settle_policy(kind, day, domain, &policy).await?,
                        Err(refusal) => posted = Err(refusal),
                    }
                }
                Ok(posted)
            }
            Kind::Tls => match tls::prepare(resolver, &sender, (day, domain), &tallies).await {
                Err(_) if is_given_up => Ok(Ok(())),
                Err(error) => Ok(Err(Refusal::temporary(error))),
                Ok(Some(prepared)) => Ok(self.send_tls(domain, prepared, settings).await),
                Ok(None) => Ok(Ok(())),
            },
            Kind::Failure => Ok(Ok(())),
        }
    }

    /// By mail first: if that fails, everything is tried again, and HTTPS is not waited for twice.
    async fn send_tls(&self, domain: &str, prepared: Prepared, settings: &ReportSettings) -> Result<(), Refusal> {
        let Prepared { letter, uris, packed } = prepared;
        if let Some(letter) = letter {
            self.post(Kind::Tls, domain, letter, settings).await?;
        }
        for uri in &uris {
            let posted = self.0.outbound.post(uri, "application/tlsrpt+gzip", packed.clone()).await;
            self.record(Kind::Tls, domain, uri, posted.err());
        }
        Ok(())
    }

    fn sender(&self, settings: &ReportSettings) -> Option<Sender> {
        let hostname = (*self.0.hostname.get()).clone();
        // A host name is a domain, so this is an address.
        let from = settings.from.clone().or_else(|| format!("postmaster@{hostname}").parse().ok())?;
        let organization = settings.organization.clone().unwrap_or_else(|| hostname.to_string());
        Some(Sender { hostname, from, organization })
    }

    /// Signs a mail and puts it into the queue.
    async fn post(&self, kind: Kind, domain: &str, letter: Letter, settings: &ReportSettings) -> Result<(), Refusal> {
        let Letter { to, octets, id } = letter;
        let now = self.0.clock.now();
        let message = Message::new(octets);
        let signature = self.0.filter.sign(&message);
        let message = message.with_prefix(signature.as_bytes());
        let reverse_path = settings.reverse_path.clone().map_or(ReversePath::Null, ReversePath::Address);
        let mut recipients = Vec::with_capacity(to.len());
        for address in &to {
            let bound = match self.0.routing.resolve(address).await.map_err(Refusal::temporary)? {
                Resolution::Remote => Bound::Elsewhere,
                Resolution::Unknown | Resolution::Local { .. } | Resolution::Refused(_) => Bound::Here,
            };
            let notify = if reverse_path == ReversePath::Null { Notify::NEVER } else { Notify::DEFAULT };
            recipients.push((Recipient { address: address.clone(), notify, original: None }, bound));
        }
        let envelope = Envelope::plain(reverse_path, Vec::new());
        let origin = Origin::internal(SessionId::generate(now), now);
        let mail = Mail { id: MailId::generate(now), origin, envelope, message };
        self.0.queue.postpone(Postponed { mail: &mail, message_id: None, recipients, hold: None }).await?;
        for address in &to {
            self.record_mail(kind, domain, &format!("mailto:{address}"), Some((mail.id, &id)), None);
        }
        Ok(())
    }

    fn record(&self, kind: Kind, domain: &str, place: &str, failure: Option<String>) {
        self.record_mail(kind, domain, place, None, failure);
    }

    fn record_mail(
        &self,
        kind: Kind,
        domain: &str,
        place: &str,
        mail: Option<(MailId, &String)>,
        failure: Option<String>,
    ) {
        let mut event = Event::new(self.0.clock.now(), EventKind::ReportSent).subject(domain);
        event = event.with("report", kind.word()).with("to", place);
        if let Some((mail, id)) = mail {
            event = event.mail(mail).with("id", id.clone());
        }
        self.0.journal.record(event.with_known("failed", failure));
    }
}

/// When a day's report for a domain goes out.
fn moment(day: i64, domain: &str, spread: Duration) -> Timestamp {
    let mut hasher = std::hash::DefaultHasher::new();
    (day, domain).hash(&mut hasher);
    let part = Duration::from_secs(hasher.finish() % spread.as_secs().max(1));
    Timestamp::from_unix_seconds((day + 1) * 86_400) + part
}
