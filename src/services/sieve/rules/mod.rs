//! Rules: filters that people can put together without writing Sieve.
//!
//! [`RuleSet::script`] writes rules as an ordinary script that every client of ManageSieve can read and edit; [`read`] makes
//! rules of a script again, from its syntax tree, so that nothing beside the script can disagree with it. Only the names of
//! rules stand in comments, as Roundcube writes them: `# rule:[name]`. A script that says more than rules can say is not
//! read, and [`Foreign`] says why: editing rules must not lose what somebody has written.
//!
//! Pure, as the rest of this room.

mod check;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use check::Wrong;
pub use read::{Foreign, read};

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// What somebody wants done with new mail.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSet {
    /// The rules in their order.
    pub rules: Vec<Rule>,
    /// The automatic answer.
    #[serde(default)]
    pub vacation: Option<Vacation>,
}

/// One rule: what it does with which messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What its owner calls it; may be empty.
    #[serde(default)]
    pub name: String,
    /// Whether it is in force.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// How many of the conditions must hold.
    #[serde(default)]
    pub matching: Matching,
    /// The conditions; none means every message.
    pub conditions: Vec<Condition>,
    /// What is done.
    pub actions: Vec<Action>,
}

const fn yes() -> bool {
    true
}

/// How many conditions of a rule must hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Matching {
    /// All of them.
    #[default]
    All,
    /// At least one.
    Any,
}

/// What must be true of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Condition {
    /// Some text of the message compares with at least one of the values.
    Text {
        /// Which text.
        of: Of,
        /// How it is compared; upper and lower case of ASCII are the same.
        comparison: Comparison,
        /// Whether no value may compare.
        #[serde(default)]
        negated: bool,
        /// The values.
        values: Vec<String>,
    },
    /// The size of the message.
    Size {
        /// Which side of the bound.
        bound: Bound,
        /// The bound, in octets.
        octets: u64,
    },
}

/// Which text of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Of {
    /// The sender: name and address when a part is looked for, else the address.
    From,
    /// The recipients in To and Cc, likewise.
    Recipient,
    /// Subject.
    Subject,
    /// The mailing list, List-Id.
    List,
    /// Any field.
    Header(String),
    /// The addresses in any field.
    Address(String),
    /// The text of the message.
    Body,
}

/// How two texts are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Comparison {
    /// The value is somewhere in the text.
    Contains,
    /// The value is the text.
    Is,
    /// The text begins with the value.
    Begins,
    /// The text ends with the value.
    Ends,
    /// The value is a pattern with `*` and `?` (RFC 5228 §2.7.1).
    Matches,
}

/// Which side of a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// More than that.
    Over,
    /// Less than that.
    Under,
}

/// What is done with a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Action {
    /// Gives it a flag, wherever it is stored.
    Mark {
        /// Which.
        flag: Mark,
    },
    /// Stores it in a folder.
    File {
        /// The folder.
        folder: String,
        /// Whether it also goes where it would go without this.
        #[serde(default)]
        copy: bool,
        /// Whether the folder is made when it is missing.
        #[serde(default = "yes")]
        create: bool,
    },
    /// Sends it on.
    Redirect {
        /// To whom.
        to: String,
        /// Whether it also goes where it would go without this.
        #[serde(default)]
        copy: bool,
    },
    /// Refuses it.
    Reject {
        /// What the sender reads.
        text: String,
    },
    /// Throws it away.
    Discard,
    /// Keeps it in the inbox.
    Keep,
    /// Leaves the rules after this one alone.
    Stop,
}

impl Action {
    /// Where it stands among the actions of its rule.
    const fn rank(&self) -> u8 {
        match self {
            Self::Mark { .. } => 0,
            Self::Stop => 2,
            _ => 1,
        }
    }
}

/// A flag that a rule may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// Read.
    Seen,
    /// Flagged.
    Flagged,
}

impl Mark {
    const ALL: [Self; 2] = [Self::Seen, Self::Flagged];

    /// The flag (RFC 9051 §2.3.2).
    const fn flag(self) -> &'static str {
        match self {
            Self::Seen => "\\Seen",
            Self::Flagged => "\\Flagged",
        }
    }
}

/// An automatic answer (RFC 5230).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vacation {
    /// How many rules come before it. Those that refuse a message must, for nobody refuses and answers at once
    /// (RFC 5429 §2.3).
    #[serde(default)]
    pub position: usize,
    /// Whether it is in force.
    pub enabled: bool,
    /// The subject of answers; the server's own when unset.
    #[serde(default)]
    pub subject: Option<String>,
    /// The text of answers.
    pub text: String,
    /// The first day of answering.
    #[serde(default)]
    pub from: Option<NaiveDate>,
    /// The last day of answering.
    #[serde(default)]
    pub until: Option<NaiveDate>,
    /// After how many days the same sender is answered again; the server's own number when unset.
    #[serde(default)]
    pub days: Option<u32>,
    /// Addresses of the owner that the server does not know of.
    #[serde(default)]
    pub addresses: Vec<String>,
}

impl Rule {
    /// Whether it refuses messages.
    fn refuses(&self) -> bool {
        self.actions.iter().any(|action| matches!(action, Action::Reject { .. }))
    }
}

impl RuleSet {
    /// The same rules in the one form that reading them back gives: line ends are LF, texts end in none, flags are set before
    /// messages are stored, what refuses a message stops, and an automatic answer stands behind what refuses.
    #[must_use]
    pub fn arranged(mut self) -> Self {
        self.rules.iter_mut().for_each(arrange);
        if let Some(vacation) = &mut self.vacation {
            vacation.text = plain(&vacation.text);
            vacation.subject = vacation.subject.take().filter(|subject| !subject.is_empty());
            let behind = self.rules.iter().rposition(Rule::refuses).map_or(0, |last| last + 1);
            vacation.position = vacation.position.clamp(behind, self.rules.len());
        }
        self
    }
}

fn arrange(rule: &mut Rule) {
    rule.name = rule.name.trim().to_owned();
    if rule.conditions.is_empty() {
        rule.matching = Matching::All;
    }
    for condition in &mut rule.conditions {
        if let Condition::Text { of, comparison, values, .. } = condition {
            *of = read::usual(of.clone(), *comparison);
            (*comparison, *values) = read::shape(*comparison, std::mem::take(values));
        }
    }
    for action in &mut rule.actions {
        if let Action::Reject { text } = action {
            *text = plain(text);
        }
    }
    if rule.refuses() {
        rule.actions.push(Action::Stop);
    }
    // Flags count for what is stored after them (RFC 5232 §3), and what comes after a stop is never done.
    rule.actions.sort_by_key(Action::rank);
    rule.actions.dedup();
}

/// A text with LF for line ends, and none at its end.
fn plain(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").trim_end_matches('\n').to_owned()
}
