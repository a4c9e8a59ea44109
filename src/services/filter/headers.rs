//! The header fields with the decision.

use std::ops::Range;

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
            .map(|s| format!("{:+.1} {}", s.weight, clean(&s.because)))
            .collect();
        out.push_str(&format!("X-Spam-Reason: {}\r\n", reasons.join(";\r\n\t")));
    }
    out
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
            vec![Signal::new("A", 4.25, "because\r\nX: y"), Signal::new("B", -0.1, "nice"), Signal::new("C", 2.0, "ä")];
        let assessment = Assessment { score: 6.15, signals, probability: None };
        assert_eq!(
            fields(&assessment, 5.0),
            "X-Spam-Status: Yes, score=6.2 required=5.0\r\n\ttests=[A=4.25,\r\n\tB=-0.10,\r\n\tC=2.00]\r\nX-Spam-Score: 6.2\r\nX-Spam-Flag: YES\r\nX-Spam-Level: ******\r\nX-Spam-Reason: +4.2 because??X: y;\r\n\t+2.0 ?\r\n"
        );
    }

    #[test]
    fn forged_ones_are_found() {
        let mail = "X-Spam-Flag: NO\r\nA: b\r\nx-spam-status: No,\r\n score=-5\r\n\r\n";
        let header = HeaderSection::of(mail.as_bytes());
        let found: Vec<&str> = forged(&header).into_iter().map(|r| &mail[r]).collect();
        assert_eq!(found, ["X-Spam-Flag: NO\r\n", "x-spam-status: No,\r\n score=-5\r\n"]);
    }
}
