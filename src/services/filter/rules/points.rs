//! What a score is made of, apart from what was learned.

use super::compile::{RuleSet, Test};
use super::natives::{Native, Side};
use crate::services::filter::Signal;

/// A score without the classifier, without reputation and without what an administrator has said about single senders.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Points {
    /// All of it.
    pub total: f64,
    /// What header, client and envelope add.
    pub header: f64,
    /// What text, links and attachments add.
    pub body: f64,
}

/// Signals that are experience or an administrator's word, by how their names begin.
const NOT_OF_THE_MESSAGE: &[&str] = &["BAYES_", "KNOWN_CORRESPONDENT", "REPUTATION_", "USER_IN_"];

impl RuleSet {
    /// The points of signals that [`RuleSet::evaluate`] has given.
    pub fn points(&self, signals: &[Signal]) -> Points {
        let mut points = Points::default();
        for signal in signals {
            if NOT_OF_THE_MESSAGE.iter().any(|start| signal.name.starts_with(start)) {
                continue;
            }
            let Some(at) = self.by_name.get(signal.name.as_ref()) else {
                // DNS lists, milters and scanners.
                points.total += signal.weight;
                points.header += signal.weight;
                continue;
            };
            if self.is_experience(*at) {
                continue;
            }
            points.total += signal.weight;
            match self.side(*at) {
                Side::Header => points.header += signal.weight,
                Side::Body => points.body += signal.weight,
                Side::Neither => {}
            }
        }
        points
    }

    fn is_experience(&self, at: u32) -> bool {
        let rule = &self.rules[at as usize];
        if rule.flags.learned || rule.flags.no_learn {
            return true;
        }
        match &rule.test {
            Test::Native(Native::Probability(..)) => true,
            Test::Meta(expression) => {
                let mut found = false;
                expression.rules(&mut |name, _| {
                    let other = self.by_name.get(name).map(|at| &self.rules[*at as usize].test);
                    found |= matches!(other, Some(Test::Native(Native::Probability(..))));
                });
                found
            }
            _ => false,
        }
    }

    fn side(&self, at: u32) -> Side {
        match &self.rules[at as usize].test {
            Test::Header { .. } | Test::Exists(_) | Test::Native(Native::Signal(_)) => Side::Header,
            Test::Body(_) | Test::RawBody(_) | Test::Uri { .. } | Test::MimeHeader { .. } => Side::Body,
            Test::Native(Native::Call(_, _, side)) => *side,
            Test::Full(_) | Test::Meta(_) | Test::Native(Native::Probability(..)) => Side::Neither,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BUILTIN, Facts};
    use super::*;
    use crate::services::filter::LimitSettings;
    use crate::services::filter::view::View;

    #[test]
    fn the_classifier_does_not_count() {
        let rules = "body LOCAL_TEXT /cheap/\nscore LOCAL_TEXT 3\nheader LOCAL_HEAD Subject =~ /Hi/\nscore LOCAL_HEAD 2\n\
                     meta LOCAL_BOTH LOCAL_TEXT && BAYES_99\nscore LOCAL_BOTH 7\nbody LOCAL_NOT /cheap/\nscore LOCAL_NOT 9\n\
                     tflags LOCAL_NOT noautolearn\n";
        let rules = RuleSet::compile([("builtin.cf", BUILTIN), ("local.cf", rules)]);
        let mail = "From: a@b.test\r\nTo: c@d.test\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@b.test>\r\n\
                    Subject: Hi\r\n\r\ncheap\r\n";
        let view = View::new(mail.as_bytes(), &LimitSettings::default());
        let others = [Signal::new("REPUTATION_WANTED", -2.0, ""), Signal::new("RCVD_IN_X", 1.0, "")];
        let facts = Facts { probability: Some(0.995), others: &others, ..Facts::of(&view) };
        let signals = rules.evaluate(&facts);
        for name in ["BAYES_99", "LOCAL_BOTH", "LOCAL_NOT", "REPUTATION_WANTED"] {
            assert!(signals.iter().any(|s| s.name == name), "{name}: {signals:#?}");
        }
        let points = rules.points(&signals);
        assert!(points.header >= 3.0 && points.body >= 3.0 && points.total < 9.0, "{points:?} {signals:#?}");
        assert_eq!(rules.points(&[]), Points::default());
    }
}
