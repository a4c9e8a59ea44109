//! Turns the facts about a message into its score. Pure: the same facts give the same score.

use super::Signal;
use super::classifier::{Table, spamassassin_tokens, tokens};
use super::rules::{Facts, RuleSet};

/// A message's score and what it is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    /// Sum of the weights, rounded to a thousandth.
    pub score: f64,
    /// What was noticed, the heaviest first.
    pub signals: Vec<Signal>,
    /// What the classifier thinks, when it has an opinion.
    pub probability: Option<f64>,
}

/// Weighs a message. `site` and `own` are what has been learned by everybody and by the recipient.
pub fn assess(rules: &RuleSet, facts: &Facts<'_>, site: Option<&Table>, own: Option<&Table>) -> Assessment {
    let ready = |t: Option<&Table>| t.is_some_and(Table::is_ready);
    let probability = if rules.options().without_classifier {
        None
    } else if ready(site) || ready(own) {
        let empty = Table::default();
        site.unwrap_or(&empty).probability(&tokens(facts.view), own)
    } else {
        let imported = site.and_then(Table::imported);
        imported.and_then(|table| table.probability_of_text(&spamassassin_tokens(facts.view)))
    };
    let facts = Facts { probability, ..*facts };
    let mut signals = rules.evaluate(&facts);
    signals.sort_by(|a, b| b.weight.abs().total_cmp(&a.weight.abs()).then_with(|| a.name.cmp(&b.name)));
    let sum: f64 = signals.iter().map(|s| s.weight).sum();
    Assessment {
        // Adding nothing turns a negative zero into a plain one.
        score: (sum * 1000.0).round() / 1000.0 + 0.0,
        signals,
        probability,
    }
}
