use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use instant_acme::CertificateIdentifier;
use rcgen::KeyPair;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, mpsc, oneshot};
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};

use super::http::RetryAfter;
use super::order::{Applicant, key};
use super::schedule::{ASK_EVERY, Issuer, Plan, due, rest};
use super::{AcmeCertificate, Error, account};
use crate::foundations::address::Domain;
use crate::foundations::clock::{SharedClock, Timestamp};
use crate::foundations::event::{Event, EventKind};
use crate::foundations::files;
use crate::foundations::settings::Live;
use crate::foundations::tasks::Tasks;
use crate::services::certificates::{CertificateFiles, Certificates, Loaded, TlsSettings, load};
use crate::services::outbound::Roots;
use crate::storage::cluster::Duties;
use crate::storage::journal::Journal;

/// An administrator's request to renew certificates at once, whether they are due or not.
#[derive(Debug)]
pub struct RenewalRequest {
    /// Only those for this name, if set.
    pub name: Option<Domain>,
    /// Who it is, for the events about what comes of it.
    pub administrator: Option<String>,
    /// Where the result goes.
    pub done: oneshot::Sender<Vec<Renewal>>,
}

/// The result for one certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    /// The names of the certificate.
    pub names: Vec<String>,
    /// When the new one expires.
    pub until: Option<Timestamp>,
    /// Whether it waits until its key is in the DNS.
    pub held_back: bool,
    /// Why there is no new one.
    pub problem: Option<String>,
}

/// Obtains and renews certificates.
#[derive(Clone)]
pub struct Acme {
    settings: Live<TlsSettings>,
    certificates: Arc<Certificates>,
    clock: SharedClock,
    journal: Journal,
    duties: Option<Duties>,
}

/// Ordering certificates.
const DUTY: &str = "acme";
/// Longer than an order takes, and longer than the interval between two checks.
const DUTY_LEASE: Duration = Duration::from_secs(1800);

impl Acme {
    /// A worker for these certificates.
    pub fn new(
        settings: Live<TlsSettings>,
        certificates: Arc<Certificates>,
        clock: SharedClock,
        journal: Journal,
    ) -> Self {
        Self { settings, certificates, clock, journal, duties: None }
    }

    /// As one of several nodes, which share `tls.acme_state`: one of them orders, the others read what it obtained.
    #[must_use]
    pub fn among(mut self, duties: Option<Duties>) -> Self {
        self.duties = duties;
        self
    }

    /// Whether this process orders certificates now.
    async fn is_on_duty(&self) -> bool {
        let Some(duties) = &self.duties else { return true };
        duties.take(DUTY, DUTY_LEASE).await.unwrap_or_else(|error| {
            log::warn!(error:% = error; "Cannot tell which node orders certificates; this one does not");
            false
        })
    }

    /// Works until `tasks` stop. Requests are handled one after the other.
    pub async fn run(self: Arc<Self>, requests: Arc<Mutex<mpsc::Receiver<RenewalRequest>>>, tasks: Tasks) {
        let mut requests = requests.lock().await;
        let mut plans = HashMap::new();
        loop {
            let settings = self.settings.get();
            for wanted in &settings.acme {
                let Some(file) = wanted.file(&settings.acme_state) else { continue };
                // Before each one: several slow ones take longer than the duty lasts.
                if !self.is_on_duty().await {
                    break;
                }
                tokio::select! {
                    () = self.attend(wanted, &file, &settings.acme_state, &mut plans) => {}
                    () = tasks.stopping() => return,
                }
            }
            tokio::select! {
                () = self.clock.sleep_until(self.clock.now() + LOOK) => {}
                Some(request) = requests.recv() => tokio::select! {
                    () = self.fulfil(request, &mut plans) => {}
                    () = tasks.stopping() => return,
                },
                () = tasks.stopping() => return,
            }
        }
    }

    async fn fulfil(&self, request: RenewalRequest, plans: &mut HashMap<PathBuf, Plan>) {
        let settings = self.settings.get();
        let journal = self.journal.on_behalf_of(request.administrator.as_deref());
        let asked = Self { journal, ..self.clone() };
        let mut renewals = Vec::new();
        for wanted in &settings.acme {
            let Some(file) = wanted.file(&settings.acme_state) else { continue };
            if request.name.as_ref().is_some_and(|name| !wanted.names.contains(name)) {
                continue;
            }
            let problem = if self.is_on_duty().await {
                let plan = plans.entry(file.clone()).or_default();
                let attempt = asked.attempt(wanted, &file, &settings.acme_state, plan).await;
                attempt.err().map(|problem| problem.to_string())
            } else {
                Some(OFF_DUTY.to_owned())
            };
            let problem = problem.or_else(|| self.unserved(&file).map(|_| UNSERVED.to_owned()));
            let now = self.certificates.newest(&file).filter(|newest| !newest.temporary && problem.is_none());
            let in_force = self.certificates.loaded();
            let is_served = |newest: &Loaded| in_force.iter().any(|one| one.leaf() == newest.leaf());
            renewals.push(Renewal {
                names: wanted.names.iter().map(ToString::to_string).collect(),
                until: now.as_ref().map(|newest| newest.not_after),
                held_back: now.as_ref().is_some_and(|newest| !is_served(newest)),
                problem,
            });
        }
        // The one who asked may have gone.
        let _ = request.done.send(renewals);
    }

    /// Obtains one certificate if it is due.
    async fn attend(&self, wanted: &AcmeCertificate, file: &Path, state: &Path, plans: &mut HashMap<PathBuf, Plan>) {
        let plan = plans.entry(file.to_owned()).or_default();
        let loaded = self.certificates.newest(file);
        let now = self.clock.now();
        plan.follow(now);
        if plan.rest_until > now {
            return;
        }
        if let Some(loaded) = loaded.as_ref().filter(|loaded| !loaded.temporary && plan.ask_at <= now) {
            self.ask_when(wanted, state, loaded, plan).await;
        }
        if due(wanted, loaded.as_ref(), plan, now) > now && !is_of_another(wanted, file) {
            return;
        }
        // Another would have to wait too, and authorities count what they issue (RFC 8555 §6.6). Its advice about renewal
        // concerns the certificate in force.
        if self.unserved(file).is_some_and(|kept| due(wanted, Some(&kept), &Plan::default(), now) > now) {
            return;
        }
        // Failures have been recorded already.
        let _ = self.attempt(wanted, file, state, plan).await;
    }

    /// A file's certificate that is neither served nor held back: one unusable certificate keeps all of them
    /// from being exchanged, so this one waits until somebody repairs the other.
    fn unserved(&self, file: &Path) -> Option<Loaded> {
        let kept = load(&CertificateFiles { cert: file.to_owned(), key: file.to_owned() }).ok()?;
        let newest = self.certificates.newest(file);
        newest.is_none_or(|newest| newest.leaf() != kept.leaf()).then_some(kept)
    }

    /// Obtains one certificate now.
    async fn attempt(&self, wanted: &AcmeCertificate, file: &Path, state: &Path, plan: &mut Plan) -> Result<(), Error> {
        let old = self.certificates.newest(file);
        let retry_after = RetryAfter::default();
        let obtaining = self.obtain(wanted, (file, state), old.as_ref(), *plan, &retry_after);
        let result = match tokio::time::timeout(LONGEST_ATTEMPT, obtaining).await {
            Ok(result) => result,
            Err(_) => Err(Error::Late(wanted.authority.clone())),
        };
        match &result {
            Ok(()) => {
                *plan = Plan::default();
                self.certificates.note_obtaining(file, None);
            }
            Err(error) => {
                if matches!(error, Error::Partial(_)) {
                    // The authority's advice was about the certificate before.
                    *plan = Plan { failures: plan.failures, ..Plan::default() };
                }
                plan.failed(self.clock.now(), retry_after.of_refusals());
                self.certificates.note_obtaining(file, Some(&error.to_string()));
                self.record_failure(wanted, error, plan.rest_until);
            }
        }
        result
    }

    /// Asks the authority when it would like the certificate to be renewed. If it does not support that or
    /// does not answer, that is no failure: a third of the lifetime is always good.
    async fn ask_when(&self, wanted: &AcmeCertificate, state: &Path, loaded: &Loaded, plan: &mut Plan) {
        let now = self.clock.now();
        plan.ask_at = now + ASK_EVERY;
        plan.window = None;
        let Some(id) = identifier(loaded) else { return };
        let asked = async {
            let account = account::open(wanted, state, &RetryAfter::default()).await.ok()?;
            account.renewal_info(&id).await.ok()
        };
        if let Ok(Some((info, again))) = tokio::time::timeout(LONGEST_QUESTION, asked).await {
            let at = |point: i64| Timestamp::from_unix_seconds(point);
            let window = &info.suggested_window;
            let (start, end) = (at(window.start.unix_timestamp()), at(window.end.unix_timestamp()));
            // An empty window, or one that reaches beyond the expiry, is no advice (RFC 9773 §4.2).
            plan.window = (start < end && end <= loaded.not_after).then_some((start, end));
            plan.ask_at = now + again.clamp(SHORTEST_QUESTION_PAUSE, ASK_EVERY);
        }
    }

    async fn obtain(
        &self,
        wanted: &AcmeCertificate,
        (file, state): (&Path, &Path),
        old: Option<&Loaded>,
        plan: Plan,
        retry_after: &RetryAfter,
    ) -> Result<(), Error> {
        files::create_directory(state, 0o750)?;
        let account = account::open(wanted, state, retry_after).await?;
        let challenges = self.certificates.challenges();
        let applicant = Applicant { wanted, account: &account, retry_after, challenges };
        let key = key(wanted, file)?;
        // An authority that says when to renew also understands what an order replaces.
        let replaced = old.filter(|old| plan.window.is_some() && !old.temporary);
        let (chain, names, lacking) = match ask(&applicant, &wanted.names, &key, replaced, state).await {
            Ok(chain) => (chain, wanted.names.clone(), None),
            Err(error) => {
                let Some(rest) = self.rest(wanted, file, &error, &plan) else { return Err(error) };
                (ask(&applicant, &rest, &key, replaced, state).await?, rest, Some(error))
            }
        };
        // RFC 7468 §5.2: text before the first boundary is not part of it.
        let (chain, key) = (chain.trim_end(), key.serialize_pem());
        let text = format!("{AUTHORITY}{}\n{chain}\n{key}", wanted.authority);
        let until = self.keep(&names, file, &text)?;
        // Possible problems have been checked already, and would be logged.
        let _ = self.certificates.reload().await;
        let names = names.iter().map(ToString::to_string).collect::<Vec<_>>();
        log::info!(names = names.join(" "), until:% = until, authority = wanted.authority; "A certificate was obtained");
        let event = Event::new(self.clock.now(), EventKind::Certificate).with("result", "obtained");
        self.journal.record(event.with("names", names).with("until", until.to_string()));
        match lacking {
            Some(error) => Err(Error::Partial(Box::new(error))),
            None => Ok(()),
        }
    }

    /// The names to order a certificate for if the authority does not accept all of them, and that is better than none.
    fn rest(&self, wanted: &AcmeCertificate, file: &Path, error: &Error, plan: &Plan) -> Option<Vec<Domain>> {
        let Error::NotOurs { refused, .. } = error else { return None };
        // Also one that waits for others, or for the DNS: another for the same names would have to wait too.
        let present = load(&CertificateFiles { cert: file.to_owned(), key: file.to_owned() }).ok();
        let issuer = if is_of_another(wanted, file) { Issuer::Another } else { Issuer::Wanted };
        let now = self.clock.now();
        // That of a staging authority is worth nothing.
        let present = present.filter(|present| issuer == Issuer::Wanted || is_trusted(wanted, present, now));
        let present = present.as_ref().map(|present| (present, issuer));
        rest(wanted, (refused, &self.certificates.hostname()), present, plan, now)
    }

    /// Stores a certificate in its place if it can be used, and returns when it expires.
    fn keep(&self, names: &[Domain], file: &Path, text: &str) -> Result<Timestamp, Error> {
        let candidate = file.with_extension("new");
        files::write_durable(&candidate, text.as_bytes(), 0o640)?;
        let kept = self.judge(names, &candidate);
        if kept.is_err() {
            let _ = std::fs::remove_file(&candidate);
        } else {
            files::rename_durable(&candidate, file)?;
        }
        kept
    }

    fn judge(&self, names: &[Domain], candidate: &Path) -> Result<Timestamp, Error> {
        let pair = CertificateFiles { cert: candidate.to_owned(), key: candidate.to_owned() };
        let loaded = load(&pair).map_err(Error::Unusable)?;
        if let Some(name) = names.iter().find(|name| !loaded.covers(name.as_str())) {
            return Err(Error::Unfit(format!("is not for `{name}`")));
        }
        if loaded.not_after <= self.clock.now() {
            return Err(Error::Unfit(format!("expired on {}", loaded.not_after)));
        }
        Ok(loaded.not_after)
    }

    fn record_failure(&self, wanted: &AcmeCertificate, error: &Error, again: Timestamp) {
        let names = wanted.names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let result = if matches!(error, Error::Partial(_)) { "obtained-in-part" } else { "not-obtained" };
        let event = Event::new(self.clock.now(), EventKind::Certificate).with("result", result);
        self.journal
            .record(event.with("names", names).with("problem", error.to_string()).with("again", again.to_string()));
    }
}

/// Whether a file's certificate is from another authority than the configured one. If the file does not say where it comes
/// from, this is not known.
fn is_of_another(wanted: &AcmeCertificate, file: &Path) -> bool {
    let Ok(octets) = files::read_bounded(file, LARGEST_FILE) else { return false };
    let text = String::from_utf8_lossy(&octets);
    let noted = text.lines().next().and_then(|line| line.strip_prefix(AUTHORITY));
    noted.is_some_and(|authority| authority != wanted.authority)
}

/// Whether the authorities that this system trusts vouch for a certificate.
fn is_trusted(wanted: &AcmeCertificate, present: &Loaded, now: Timestamp) -> bool {
    let Ok(roots) = Roots::load(None) else { return false };
    wanted.names.iter().any(|name| roots.vouch_for(&present.key.cert, name.as_str(), now))
}

/// How a file says where its certificate comes from, in its first line.
const AUTHORITY: &str = "Authority: ";
const LARGEST_FILE: u64 = 1 << 20;

/// Orders a certificate for some of the names.
async fn ask(
    applicant: &Applicant<'_>,
    names: &[Domain],
    key: &KeyPair,
    replaced: Option<&Loaded>,
    state: &Path,
) -> Result<String, Error> {
    let obtained = applicant.obtain(names, replaced.and_then(identifier), key).await;
    obtained.map_err(|error| account::judged(error, applicant.wanted, state))
}

/// What an authority calls a certificate it gave (RFC 9773 §4.1).
fn identifier(loaded: &Loaded) -> Option<CertificateIdentifier<'static>> {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let (_, certificate) = X509Certificate::from_der(loaded.leaf()).ok()?;
    let authority = certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(authority) => authority.key_identifier.as_ref(),
        _ => None,
    })?;
    Some(CertificateIdentifier {
        authority_key_identifier: URL_SAFE_NO_PAD.encode(authority.0).into(),
        serial: URL_SAFE_NO_PAD.encode(certificate.raw_serial()).into(),
    })
}

/// How often certificates are checked for being due. Also how soon a new configuration takes effect.
const LOOK: Duration = Duration::from_secs(30);
const LONGEST_ATTEMPT: Duration = Duration::from_mins(10);
const LONGEST_QUESTION: Duration = Duration::from_secs(30);
const SHORTEST_QUESTION_PAUSE: Duration = Duration::from_mins(10);
/// The answer to an administrator who asks a node that is not ordering certificates at the moment.
const OFF_DUTY: &str =
    "another node orders certificates, or the database does not say which one does; ask for it there";
/// The answer to an administrator about a certificate that was obtained but is not served.
const UNSERVED: &str = "it was obtained, and is served as soon as all certificates can be used; `postrider certificate \
                        list` says which one cannot";

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
