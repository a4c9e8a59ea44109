use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use serde::Serialize;

use super::context::Context;
use super::exit::{Ended, Exit, Outcome};
use super::output::{Output, Shown, print};
use crate::config::{Config, Role};
use crate::daemon::control::{Request, RequestError, ask};
use crate::foundations::address::Domain;
use crate::foundations::clock::{Clock as _, SystemClock, Timestamp};
use crate::services::certificates::acme::Renewal;
use crate::services::certificates::{Standing, State};
use crate::services::served::{Check, Report};

/// The certificates of the running server.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Certificate {
    /// List certificates: those that are served, and those held back until their keys are published in the DNS.
    List,
    /// Connect to every listener with every name and check the certificate it serves. Fails if a listener serves a wrong or
    /// expired certificate or none, if a new one is held back or temporarily replaced, or if one cannot be read or obtained.
    Check {
        /// Check only this name.
        name: Option<Domain>,
    },
    /// Renew certificates that the server obtains itself (`tls.acme`) now, and wait for the result.
    Renew {
        /// Renew only certificates for this name.
        name: Option<Domain>,
    },
}

/// A certificate, and the role that has it.
#[derive(Debug, Serialize)]
struct Row {
    roles: String,
    days_left: i64,
    #[serde(flatten)]
    state: State,
}

impl Shown for Row {
    const COLUMNS: &'static [&'static str] =
        &["NAMES", "STANDING", "DAYS LEFT", "UNTIL", "TLSA 3 1 1", "ROLES", "FILE"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.state.names.join(" "),
            self.state.standing.to_string(),
            self.days_left.to_string(),
            self.state.not_after.to_string(),
            self.state.public_key.clone(),
            self.roles.clone(),
            self.state.file.clone(),
        ]
    }
}

impl Shown for Check {
    const COLUMNS: &'static [&'static str] = &["PROTOCOL", "ADDRESS", "NAME", "SERVED", "UNTIL", "FOUND"];

    fn cells(&self) -> Vec<String> {
        let found = match (&self.problem, &self.distrust) {
            (Some(problem), _) => problem.as_str(),
            (None, Some(_)) => "as intended, but not trusted",
            (None, None) => "as intended",
        };
        vec![
            self.protocol.clone(),
            self.address.clone(),
            self.name.clone(),
            self.fingerprint.as_deref().map_or("-", beginning).to_owned(),
            self.not_after.map_or_else(|| "-".to_owned(), |until| until.to_string()),
            found.to_owned(),
        ]
    }
}

/// Enough of a fingerprint to recognise it.
fn beginning(fingerprint: &str) -> &str {
    &fingerprint[..fingerprint.len().min(16)]
}

/// Why this machine does not trust certificates that are served as intended: each reason once, however many listeners serve them.
fn distrusts(checks: &[Check]) -> Vec<String> {
    let mut reasons: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for check in checks.iter().filter(|check| check.problem.is_none()) {
        if let Some(why) = &check.distrust {
            reasons.entry(why).or_default().extend(check.fingerprint.as_deref().map(beginning));
        }
    }
    let told = |(why, served): (&str, BTreeSet<&str>)| {
        format!("this machine does not trust {}: {why}", served.into_iter().collect::<Vec<_>>().join(", "))
    };
    reasons.into_iter().map(told).collect()
}

impl Shown for Renewal {
    const COLUMNS: &'static [&'static str] = &["NAMES", "UNTIL", "RESULT"];

    fn cells(&self) -> Vec<String> {
        let result = match &self.problem {
            Some(problem) => problem.clone(),
            None if self.held_back => {
                "obtained; held back until its key is in the DNS: see `certificate list`".to_owned()
            }
            None => "obtained and served".to_owned(),
        };
        vec![self.names.join(" "), self.until.map_or_else(|| "-".to_owned(), |until| until.to_string()), result]
    }
}

pub(super) async fn run(command: Certificate, context: &Context) -> Outcome {
    let config = context.config()?;
    match command {
        Certificate::List => {
            let now = SystemClock.now();
            let reports = reports(&config, &Request::Certificates).await?;
            let rows = reports.into_iter().flat_map(|report| {
                let roles = report.roles;
                report.certificates.into_iter().map(move |state| Row {
                    roles: roles.clone(),
                    days_left: days_left(state.not_after, now),
                    state,
                })
            });
            let rows: Vec<Row> = rows.collect();
            context.output.list_or(&rows, "no role has certificates");
            tell_held(context, rows.iter().map(|row| &row.state));
            tell_troubles(rows.iter().map(|row| &row.state));
            Ok(Exit::Done)
        }
        Certificate::Check { name } => check(&config, name, context).await,
        Certificate::Renew { name } => {
            let renewals: Vec<Renewal> = ask(&config.server, Role::Mta, &Request::CertificateRenew { name }).await?;
            context.output.list(&renewals);
            Ok(if renewals.iter().any(|renewal| renewal.problem.is_some()) { Exit::Failed } else { Exit::Done })
        }
    }
}

async fn check(config: &Config, name: Option<Domain>, context: &Context) -> Outcome {
    let reports = reports(config, &Request::CertificateCheck).await?;
    let states: Vec<State> = reports.iter().flat_map(|report| report.certificates.clone()).collect();
    let inspections = reports.into_iter().filter_map(|report| report.inspection);
    let mut checks: Vec<Check> = inspections.flat_map(|inspection| inspection.checks).collect();
    if let Some(name) = &name {
        checks.retain(|check| check.name == name.as_str());
        if checks.is_empty() {
            let text = format!("the running server has no certificate for `{name}`");
            return Err(Ended::with(Exit::NotFound, text));
        }
    }
    context.output.list(&checks);
    if matches!(context.output, Output::People) {
        distrusts(&checks).iter().for_each(|distrust| eprintln!("postrider: {distrust}"));
    }
    tell_held(context, states.iter());
    let concerned = || states.iter().filter(|state| concerns(state, name.as_ref()));
    tell_troubles(concerned());
    let is_amiss = |state: &State| state.standing == Standing::HeldBack || state.trouble().is_some();
    let amiss = checks.iter().any(|check| check.problem.is_some()) || concerned().any(is_amiss);
    Ok(if amiss { Exit::Failed } else { Exit::Done })
}

fn concerns(state: &State, name: Option<&Domain>) -> bool {
    name.is_none_or(|name| state.names.iter().any(|one| one == name.as_str()))
}

/// For people: the DNS records to publish so that certificates held back can be used.
fn tell_held<'a>(context: &Context, states: impl Iterator<Item = &'a State>) {
    if matches!(context.output, Output::Json) {
        return;
    }
    let mut told: Vec<&str> = Vec::new();
    for record in states.flat_map(|state| &state.publish) {
        if !told.contains(&record.as_str()) {
            print(&format!("publish  {record}\n"));
            told.push(record);
        }
    }
}

/// Reports problems of the certificates themselves, whatever the listeners serve. Two roles may have the same ones.
fn tell_troubles<'a>(states: impl Iterator<Item = &'a State>) {
    let troubles: BTreeSet<String> = states.filter_map(State::trouble).collect();
    troubles.iter().for_each(|trouble| eprintln!("postrider: {trouble}"));
}

fn days_left(until: Timestamp, now: Timestamp) -> i64 {
    (until.unix_seconds() - now.unix_seconds()) / 86_400
}

/// The certificates of the running server, as far as they can be found out: none while it is down, or if whoever asks may
/// not.
pub(super) async fn known(config: &Config) -> Vec<State> {
    let reports = reports(config, &Request::Certificates).await.unwrap_or_default();
    reports.into_iter().flat_map(|report| report.certificates).collect()
}

/// Asks every process that has certificates once.
async fn reports(config: &Config, request: &Request) -> anyhow::Result<Vec<Report>> {
    let mut reports: Vec<Report> = Vec::new();
    let mut missing = None;
    for role in [Role::Mta, Role::Access] {
        if reports.iter().any(|report| report.roles.split(',').any(|known| known == role.word())) {
            continue;
        }
        match ask::<Report>(&config.server, role, request).await {
            Ok(report) => reports.push(report),
            Err(error @ RequestError::NotRunning { .. }) => missing = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    match missing {
        Some(error) if reports.is_empty() => {
            Err(error).context("only the running server knows which certificates are served")
        }
        _ => Ok(reports),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_for_distrust_is_told_once() {
        let check = |protocol: &str, distrust: Option<&str>, problem: Option<&str>| Check {
            protocol: protocol.to_owned(),
            address: "127.0.0.1:1".to_owned(),
            name: "mail.example.test".to_owned(),
            fingerprint: Some("0123456789abcdef0123".to_owned()),
            not_after: None,
            distrust: distrust.map(str::to_owned),
            problem: problem.map(str::to_owned),
        };
        let why = Some("nobody vouches for it");
        let checks = [check("imaps", why, None), check("pop3s", why, None), check("https", why, Some("expired"))];
        assert_eq!(distrusts(&checks), ["this machine does not trust 0123456789abcdef: nobody vouches for it"]);
        let found: Vec<_> = checks.iter().filter_map(|check| check.cells().pop()).collect();
        assert_eq!(found, ["as intended, but not trusted", "as intended, but not trusted", "expired"]);
        assert!(distrusts(&[check("imaps", None, None)]).is_empty());
    }

    #[test]
    fn a_renewal_says_what_came_of_it() {
        let obtained = Renewal {
            names: vec!["mx.example.test".to_owned(), "www.example.test".to_owned()],
            until: Some(Timestamp::EPOCH),
            held_back: false,
            problem: None,
        };
        let held = Renewal { held_back: true, ..obtained.clone() };
        let problem = Some("the authority `https://ca.test/dir` did not finish in time".to_owned());
        let refused = Renewal { until: None, problem, ..obtained.clone() };
        let until = Timestamp::EPOCH.to_string();
        for (renewal, until, result) in [
            (obtained, until.as_str(), "obtained and served"),
            (held, until.as_str(), "obtained; held back until its key is in the DNS: see `certificate list`"),
            (refused, "-", "the authority `https://ca.test/dir` did not finish in time"),
        ] {
            assert_eq!(renewal.cells(), ["mx.example.test www.example.test", until, result]);
        }
    }
}
