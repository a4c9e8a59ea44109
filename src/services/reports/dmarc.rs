//! DMARC aggregate reports (RFC 7489 §7.2, RFC 9990).

use std::time::Duration;

use futures_util::future::join_all;
use mail_auth::report::{DateRange, Record, Report, ReportMetadata};
use tokio::time::timeout;

use super::send::{Letter, Sender};
use crate::foundations::address::Address;
use crate::foundations::dns::{self, Resolver};
use crate::foundations::hexadecimal::hexadecimal;
use crate::services::filter::CountedPolicy;
use crate::services::filter::authentication::organization_of;
use crate::storage::reports::Tally;

/// Most addresses one report goes to.
const MOST_ADDRESSES: usize = 3;
/// How long to wait for the zones of a report's addresses.
const PATIENCE: Duration = Duration::from_secs(20);

/// The reports about a domain for one day.
pub(super) struct Letters {
    /// Each in its mail, with its recipients and the policy it was counted under.
    pub(super) ready: Vec<(String, Letter)>,
    /// Why the others cannot be sent now: it is not known whether an address agrees.
    pub(super) unanswered: Option<dns::Error>,
}

/// One report for each policy that was in force on the day.
pub(super) async fn letters(
    resolver: &dyn Resolver,
    sender: &Sender,
    (day, domain): (i64, &str),
    tallies: &[Tally],
) -> Letters {
    let mut policies: Vec<&str> = tallies.iter().map(|tally| tally.policy.as_str()).collect();
    policies.sort_unstable();
    policies.dedup();
    let (mut ready, mut unanswered) = (Vec::new(), None);
    for policy in policies {
        let Ok(counted) = serde_json::from_str::<CountedPolicy>(policy) else { continue };
        let to = match addressees(resolver, domain, &counted.to, MOST_ADDRESSES).await {
            Ok(to) => to,
            Err(error) => {
                unanswered = Some(error);
                continue;
            }
        };
        let report = report(sender, (day, domain, policy), &counted, tallies.iter().filter(|t| t.policy == policy));
        if to.is_empty() || report.record.is_empty() {
            continue;
        }
        let addresses: Vec<String> = to.iter().map(ToString::to_string).collect();
        let mut octets = Vec::new();
        let list = addresses.iter().map(String::as_str);
        let from = sender.from.to_string();
        // Writing into memory does not fail.
        if report.write_rfc5322(sender.hostname.as_str(), from.as_str(), list, &mut octets).is_ok() {
            ready.push((policy.to_owned(), Letter { to, octets, id: report.report_metadata.report_id.clone() }));
        }
    }
    Letters { ready, unanswered }
}

/// The addresses in URIs that may get reports about a domain, at most `most`. An address whose zone does not answer does not
/// keep reports from the others.
///
/// # Errors
/// There are none, and a zone did not answer.
pub(super) async fn addressees(
    resolver: &dyn Resolver,
    domain: &str,
    uris: &[String],
    most: usize,
) -> Result<Vec<Address>, dns::Error> {
    let addresses: Vec<Address> = uris.iter().take(most * 2).filter_map(|uri| mailbox(uri)).collect();
    let asked = addresses.iter().map(|address| {
        let asked = agrees(resolver, domain, address.domain().as_str());
        async { timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(silent(address.domain().as_str()))) }
    });
    let (mut to, mut unanswered) = (Vec::new(), None);
    for (address, agreed) in addresses.iter().zip(join_all(asked).await) {
        match agreed {
            Ok(true) => to.push(address.clone()),
            Ok(false) => {}
            Err(error) => unanswered = Some(error),
        }
    }
    to.truncate(most);
    match unanswered {
        Some(error) if to.is_empty() => Err(error),
        _ => Ok(to),
    }
}

fn silent(domain: &str) -> dns::Error {
    dns::Error::new(domain, dns::ErrorKind::Temporary)
}

fn report<'t>(
    sender: &Sender,
    (day, domain, policy): (i64, &str, &str),
    counted: &CountedPolicy,
    tallies: impl Iterator<Item = &'t Tally>,
) -> Report {
    let begin = u64::try_from(day).unwrap_or(0) * 86_400;
    let rows = tallies.filter_map(|tally| {
        let mut record: Record = serde_json::from_str(&tally.detail).ok()?;
        record.row.count = u32::try_from(tally.good + tally.bad).unwrap_or(u32::MAX);
        Some(record)
    });
    Report {
        version: 1.0,
        report_metadata: ReportMetadata {
            org_name: sender.organization.clone(),
            email: sender.from.to_string(),
            extra_contact_info: None,
            // The same report has the same id at every attempt, whichever others were sent before.
            report_id: format!("{begin}.{}.{domain}@{}", digest(policy), sender.hostname),
            date_range: DateRange { begin, end: begin + 86_399 },
            error: Vec::new(),
            generator: Some(concat!("postrider ", env!("CARGO_PKG_VERSION")).to_owned()),
        },
        policy_published: counted.published.clone(),
        record: rows.collect(),
        extensions: Vec::new(),
    }
}

/// Tells the policies of a domain apart.
fn digest(policy: &str) -> String {
    hexadecimal(&aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, policy.as_bytes()).as_ref()[..8])
}

/// The address of a `mailto:` URI; a size limit after it (RFC 7489 §6.2) is ignored: our reports are small.
pub(super) fn mailbox(uri: &str) -> Option<Address> {
    let (scheme, rest) = uri.trim().split_once(':')?;
    if !scheme.eq_ignore_ascii_case("mailto") {
        return None;
    }
    let address = rest.split(['!', '?']).next().unwrap_or_default();
    address.trim().parse().ok()
}

/// RFC 7489 §7.1: an address of another organization gets reports only if its own zone asks for them.
async fn agrees(resolver: &dyn Resolver, domain: &str, destination: &str) -> Result<bool, dns::Error> {
    if domain == destination {
        return Ok(true);
    }
    let (ours, theirs) = (organization_of(resolver, domain).await, organization_of(resolver, destination).await);
    if ours.is_some() && ours == theirs {
        return Ok(true);
    }
    let name = format!("{domain}._report._dmarc.{destination}");
    let records = match resolver.txt(&name).await {
        Ok(answer) => answer.records,
        Err(error) if error.kind == dns::ErrorKind::Temporary => return Err(error),
        Err(_) => Vec::new(),
    };
    let says_so = |record: &String| record.split(';').next().is_some_and(|tag| tag.replace(' ', "") == "v=DMARC1");
    match records.iter().any(says_so) {
        false if ours.is_none() || theirs.is_none() => Err(silent(destination)),
        agrees => Ok(agrees),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::dns::ZoneResolver;

    #[test]
    fn uris_are_read() {
        for (uri, wanted) in [
            ("mailto:a@x.test", Some("a@x.test")),
            ("MAILTO:a@x.test!10m", Some("a@x.test")),
            (" mailto:a@x.test?subject=x", Some("a@x.test")),
            ("https://x.test/", None),
            ("mailto:", None),
            ("a@x.test", None),
        ] {
            assert_eq!(mailbox(uri).map(|address| address.to_string()).as_deref(), wanted, "{uri}");
        }
    }

    #[tokio::test]
    async fn strangers_must_agree() {
        let resolver = ZoneResolver::new();
        let zone = "_dmarc.x.test TXT v=DMARC1; p=none\nx.test._report._dmarc.third.test TXT v=DMARC1;\n\
                    x.test._report._dmarc.other.test TXT v=spf1 -all\n_dmarc.gone.test FAIL\n\
                    x.test._report._dmarc.mute.test FAIL\nx.test._report._dmarc.half.test TXT v=DMARC1\n\
                    _dmarc.half.test FAIL";
        resolver.add(zone).unwrap();
        for (domain, destination, wanted) in [
            ("x.test", "x.test", Some(true)),
            ("x.test", "reports.x.test", Some(true)),
            ("mail.x.test", "x.test", Some(true)),
            ("x.test", "third.test", Some(true)),
            ("y.test", "third.test", Some(false)),
            ("x.test", "other.test", Some(false)),
            ("x.test", "victim.test", Some(false)),
            ("x.test", "gone.test", None),
            ("x.test", "mute.test", None),
            ("x.test", "half.test", Some(true)),
        ] {
            assert_eq!(agrees(&resolver, domain, destination).await.ok(), wanted, "{domain} {destination}");
        }
    }

    #[tokio::test]
    async fn one_silent_zone_keeps_no_other_from_its_reports() {
        let resolver = ZoneResolver::new();
        resolver.add("x.test._report._dmarc.mute.test FAIL").unwrap();
        for (uris, wanted) in [
            (&["mailto:a@mute.test", "mailto:a@x.test"][..], Some(1)),
            (&["mailto:a@mute.test"], None),
            (&["mailto:a@victim.test"], Some(0)),
            (&["mailto:a@mute.test", "mailto:a@victim.test"], None),
        ] {
            let uris: Vec<String> = uris.iter().map(|uri| (*uri).to_owned()).collect();
            let found = addressees(&resolver, "x.test", &uris, 3).await.ok();
            assert_eq!(found.map(|found| found.len()), wanted, "{uris:?}");
        }
    }
}
