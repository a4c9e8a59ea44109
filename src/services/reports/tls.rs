//! TLS reports (RFC 8460).

use std::collections::BTreeMap;

use flate2::Compression;
use flate2::write::GzEncoder;
use mail_auth::report::tlsrpt::{DateRange, FailureDetails, Policy, PolicyDetails, Summary, TlsReport};
use mail_parser::DateTime;

use super::dmarc::mailbox;
use super::send::{Letter, Sender};
use crate::foundations::dns::{self, Resolver};
use crate::storage::reports::Tally;

/// Most places one report goes to.
const MOST_PLACES: usize = 3;

/// A report, and where the domain wants it sent.
pub(super) struct Prepared {
    /// The mail for its addresses, if there are any.
    pub(super) letter: Option<Letter>,
    /// HTTPS URIs.
    pub(super) uris: Vec<String>,
    /// The report as gzip, for these.
    pub(super) packed: Vec<u8>,
}

/// The report for a day; `None` when the domain wants none.
///
/// # Errors
/// The DNS cannot say now whether it does.
pub(super) async fn prepare(
    resolver: &dyn Resolver,
    sender: &Sender,
    (day, domain): (i64, &str),
    tallies: &[Tally],
) -> Result<Option<Prepared>, dns::Error> {
    let records = match resolver.txt(&format!("_smtp._tls.{domain}")).await {
        Ok(answer) => answer.records,
        Err(error) if error.kind == dns::ErrorKind::Temporary => return Err(error),
        Err(_) => return Ok(None),
    };
    Ok(wanted(&records).and_then(|places| put_together(sender, report(sender, day, domain, tallies), domain, &places)))
}

/// A report in the forms its destinations need; `None` if it is empty.
fn put_together(sender: &Sender, report: TlsReport, domain: &str, places: &[String]) -> Option<Prepared> {
    if report.policies.is_empty() {
        return None;
    }
    let to: Vec<_> = places.iter().filter_map(|place| mailbox(place)).collect();
    let is_https = |place: &&String| place.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
    let uris = places.iter().filter(is_https).cloned().collect();
    let packed = gzip(report.to_json().as_bytes())?;
    // RFC 8460 §5.3.1: a report about a domain's TLS does not fail for its TLS (RFC 8689 §3).
    let mut octets = b"TLS-Required: No\r\n".to_vec();
    let addresses: Vec<String> = to.iter().map(ToString::to_string).collect();
    let (list, from) = (addresses.iter().map(String::as_str), sender.from.to_string());
    let hostname = sender.hostname.as_str();
    // Writing into memory does not fail.
    report.write_rfc5322_from_bytes(domain, hostname, from.as_str(), list, &packed, &mut octets).ok()?;
    let letter = (!to.is_empty()).then(|| Letter { to, octets, id: report.report_id.clone() });
    Some(Prepared { letter, uris, packed })
}

fn gzip(text: &[u8]) -> Option<Vec<u8>> {
    use std::io::Write as _;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).ok()?;
    encoder.finish().ok()
}

/// The URIs of the record (RFC 8460 §3); several records count as none.
fn wanted(records: &[String]) -> Option<Vec<String>> {
    let mut ours = records.iter().filter(|text| text.split(';').next().is_some_and(|tag| tag.trim() == "v=TLSRPTv1"));
    let (Some(record), None) = (ours.next(), ours.next()) else { return None };
    let list = record.split(';').skip(1).find_map(|tag| tag.trim().strip_prefix("rua="))?;
    Some(list.split(',').map(|uri| uri.trim().to_owned()).take(MOST_PLACES).collect())
}

/// Counts by policy: successes as a number, failures each with details.
fn report(sender: &Sender, day: i64, domain: &str, tallies: &[Tally]) -> TlsReport {
    let count = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    let mut policies: BTreeMap<&str, Policy> = BTreeMap::new();
    for tally in tallies {
        let Ok(details) = serde_json::from_str::<PolicyDetails>(&tally.policy) else { continue };
        let policy = policies.entry(&tally.policy).or_insert_with(|| Policy {
            policy: details,
            summary: Summary { total_success: 0, total_failure: 0 },
            failure_details: Vec::new(),
        });
        policy.summary.total_success = policy.summary.total_success.saturating_add(count(tally.good));
        policy.summary.total_failure = policy.summary.total_failure.saturating_add(count(tally.bad));
        if let Ok(failure) = serde_json::from_str::<FailureDetails>(&tally.detail) {
            policy.failure_details.push(FailureDetails { failed_session_count: count(tally.bad), ..failure });
        }
    }
    let begin = day * 86_400;
    TlsReport {
        organization_name: Some(sender.organization.clone()),
        date_range: DateRange {
            start_datetime: DateTime::from_timestamp(begin),
            end_datetime: DateTime::from_timestamp(begin + 86_399),
        },
        contact_info: Some(sender.from.to_string()),
        report_id: format!("{begin}.{domain}@{}", sender.hostname),
        policies: policies.into_values().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read() {
        for (records, found) in [
            (vec!["v=TLSRPTv1; rua=mailto:a@x.test"], Some(vec!["mailto:a@x.test"])),
            (
                vec!["v=spf1 -all", "v=TLSRPTv1;rua=mailto:a@x.test, https://x.test/r"],
                Some(vec!["mailto:a@x.test", "https://x.test/r"]),
            ),
            (vec!["v=TLSRPTv1; rua=mailto:a@x.test", "v=TLSRPTv1; rua=mailto:b@x.test"], None),
            (vec!["v=TLSRPTv2; rua=mailto:a@x.test"], None),
            (vec!["v=TLSRPTv1;"], None),
            (vec![], None),
        ] {
            let records: Vec<String> = records.into_iter().map(str::to_owned).collect();
            let found = found.map(|uris| uris.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(wanted(&records), found, "{records:?}");
        }
    }
}
