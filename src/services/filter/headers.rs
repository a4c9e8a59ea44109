//! The header fields with the decision.

use std::ops::Range;

use serde::Serialize;

use super::dns_lists::PREFIXES;
use super::score::Assessment;
use crate::foundations::mail::HeaderSection;

/// Our fields; those in a message from elsewhere are removed, so that senders cannot vouch for themselves.
const OURS: &[&str] = &[
    "X-Spam-Status",
    "X-Spam-Score",
    "X-Spam-Level",
    "X-Spam-Flag",
    "X-Spam-Reason",
    "X-Spam-Report",
    "X-Postrider-Quarantine",
];
/// Most reasons that are given.
const MAX_REASONS: usize = 8;
/// Longest X-Spam-Level.
const MAX_STARS: usize = 50;

/// Complete header lines.
pub fn fields(assessment: &Assessment, threshold: f64) -> String {
    let unwanted = assessment.score >= threshold;
    let (answer, flag) = if unwanted { ("Yes", "YES") } else { ("No", "NO") };
    let tests: Vec<String> = assessment.signals.iter().map(|s| format!("{}={:.2}", clean(&s.name), s.weight)).collect();
    let tests = if tests.is_empty() { "none".to_owned() } else { tests.join(",\r\n\t") };
    let mut out = format!(
        "X-Spam-Status: {answer}, score={:.1} required={threshold:.1}\r\n\ttests=[{tests}]\r\n",
        assessment.score
    );
    out.push_str(&format!("X-Spam-Score: {:.1}\r\nX-Spam-Flag: {flag}\r\n", assessment.score));
    let stars = assessment.score.clamp(0.0, MAX_STARS as f64) as usize;
    if stars > 0 {
        out.push_str(&format!("X-Spam-Level: {}\r\n", "*".repeat(stars)));
    }
    if unwanted {
        let reasons: Vec<String> = assessment
            .signals
            .iter()
            .filter(|s| s.weight > 0.0)
            .take(MAX_REASONS)
            .map(|s| format!("{:+.1} {}: {}", s.weight, clean(&s.name), clean(&s.because).replace(';', ",")))
            .collect();
        out.push_str(&format!("X-Spam-Reason: {}\r\n", reasons.join(";\r\n\t")));
    }
    out
}

/// A reason of X-Spam-Reason, read back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SpamReason {
    /// What it adds to the score.
    pub points: f64,
    /// The name of the rule, or what the names of all signals of DNS lists begin with; earlier versions did not write names.
    #[serde(rename = "type")]
    pub name: Option<String>,
    /// What was found.
    pub values: Found,
    /// What the rule looks for, in English.
    pub text: String,
}

/// What a rule has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The same in every language: a name, an address, a number; empty if there is nothing to tell.
    pub found: String,
}

/// The reasons in the text of an X-Spam-Reason field, as [`fields`] writes it.
pub fn reasons(field: &str) -> Vec<SpamReason> {
    field.split(';').filter_map(reason).collect()
}

fn reason(one: &str) -> Option<SpamReason> {
    let (points, rest) = one.trim().split_once(' ')?;
    let (name, because) = match rest.split_once(": ").filter(|(name, _)| is_name(name)) {
        Some((name, because)) => (Some(name), because),
        None => (None, rest),
    };
    let name = name.map(|name| PREFIXES.into_iter().find(|prefix| name.starts_with(*prefix)).unwrap_or(name));
    // The descriptions of our own rules have no colon.
    let (text, found) = because.split_once(": ").unwrap_or((because, ""));
    let values = Found { found: found.to_owned() };
    Some(SpamReason { points: points.parse().ok()?, name: name.map(str::to_owned), values, text: text.to_owned() })
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// Lines of the message that claim to be ours, wherever in the header a reader could find them.
pub fn forged(header: &HeaderSection<'_>) -> Vec<Range<usize>> {
    header.fields().filter(|field| OURS.iter().any(|ours| field.is(ours))).map(|field| field.range).collect()
}

/// Text that cannot end a line: printable ASCII only, shortened.
fn clean(text: &str) -> String {
    text.chars().take(150).map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::filter::Signal;

    #[test]
    fn tells_score_and_reasons() {
        let signals =
            vec![Signal::new("A", 4.25, "because\r\nX; y"), Signal::new("B", -0.1, "nice"), Signal::new("C", 2.0, "ä")];
        let assessment = Assessment { score: 6.15, signals, probability: None };
        assert_eq!(
            fields(&assessment, 5.0),
            "X-Spam-Status: Yes, score=6.2 required=5.0\r\n\ttests=[A=4.25,\r\n\tB=-0.10,\r\n\tC=2.00]\r\nX-Spam-Score: 6.2\r\nX-Spam-Flag: YES\r\nX-Spam-Level: ******\r\nX-Spam-Reason: +4.2 A: because??X, y;\r\n\t+2.0 C: ?\r\n"
        );
    }

    #[test]
    fn reasons_are_read_back() {
        let listed = "On a DNS list: `192.0.2.1`, zen.test";
        let signals = vec![Signal::new("BAYES_80", 4.0, "Learned: 0.9"), Signal::new("RCVD_IN_ZEN_TEST", 2.0, listed)];
        let fields = fields(&Assessment { score: 6.0, signals, probability: None }, 5.0);
        let (_, field) = fields.split_once("X-Spam-Reason: ").unwrap();
        let reason = |points, name: Option<&str>, text: &str, found: &str| SpamReason {
            points,
            name: name.map(str::to_owned),
            values: Found { found: found.to_owned() },
            text: text.to_owned(),
        };
        let list = reason(2.0, Some("RCVD_IN_"), "On a DNS list", "`192.0.2.1`, zen.test");
        assert_eq!(reasons(field), [reason(4.0, Some("BAYES_80"), "Learned", "0.9"), list]);
        let earlier =
            "+4.2 HTML without a MIME-Version; +1.0 A link leads elsewhere than it shows: `a.test`; what else";
        let link = reason(1.0, None, "A link leads elsewhere than it shows", "`a.test`");
        assert_eq!(reasons(earlier), [reason(4.2, None, "HTML without a MIME-Version", ""), link]);
    }

    #[test]
    fn forged_ones_are_found() {
        let mail = "X-Spam-Flag: NO\r\nA: b\r\nx-spam-status: No,\r\n score=-5\r\n\r\n";
        let header = HeaderSection::of(mail.as_bytes());
        let found: Vec<&str> = forged(&header).into_iter().map(|r| &mail[r]).collect();
        assert_eq!(found, ["X-Spam-Flag: NO\r\n", "x-spam-status: No,\r\n score=-5\r\n"]);
    }
}
