//! Checks rules before they become a script, so that errors name the rule and not a line of a script nobody has seen.

use serde::Serialize;

use super::{Action, Comparison, Condition, Of, Rule, RuleSet, Vacation};
use crate::foundations::address::Address;

/// Something wrong with rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wrong {
    /// Which rule, from 0; `None` for the automatic answer.
    pub rule: Option<usize>,
    /// What is wrong, as a sentence.
    pub text: String,
}

/// Longest name of a rule, in characters.
const LONGEST_NAME: usize = 200;

/// Longest value, folder, field or subject, in octets.
const LONGEST_VALUE: usize = 2000;

/// Longest text of an answer or a refusal, in octets.
const LONGEST_TEXT: usize = 64 << 10;

impl RuleSet {
    /// All errors, in the order of the rules.
    #[must_use]
    pub fn wrongs(&self) -> Vec<Wrong> {
        let mut wrongs = Vec::new();
        for (n, rule) in self.rules.iter().enumerate() {
            wrongs.extend(of_rule(rule).into_iter().map(|text| Wrong { rule: Some(n), text }));
        }
        let of_vacation = self.vacation.iter().flat_map(of_vacation);
        wrongs.extend(of_vacation.map(|text| Wrong { rule: None, text }));
        wrongs
    }
}

fn of_rule(rule: &Rule) -> Vec<String> {
    let mut wrongs = Vec::new();
    if rule.name.chars().count() > LONGEST_NAME || rule.name.chars().any(char::is_control) {
        wrongs.push(format!("A name must be one line of at most {LONGEST_NAME} characters."));
    }
    if rule.actions.is_empty() {
        wrongs.push("Say what to do with the messages.".to_owned());
    }
    wrongs.extend(rule.conditions.iter().filter_map(of_condition));
    wrongs.extend(rule.actions.iter().filter_map(of_action));
    let stores = |action: &Action| matches!(action, Action::File { .. } | Action::Keep | Action::Redirect { .. });
    // RFC 5429 §2.3.
    if rule.refuses() && rule.actions.iter().any(stores) {
        wrongs.push("A message that is refused cannot also be kept, filed or forwarded.".to_owned());
    }
    if rule.actions.iter().filter(|action| matches!(action, Action::Reject { .. })).count() > 1 {
        wrongs.push("A message can only be refused once.".to_owned());
    }
    wrongs
}

fn of_condition(condition: &Condition) -> Option<String> {
    let Condition::Text { of, comparison, values, .. } = condition else { return None };
    if values.is_empty() || values.iter().any(String::is_empty) {
        return Some("Say what to look for.".to_owned());
    }
    if let Of::Header(name) | Of::Address(name) = of
        && !is_field_name(name)
    {
        return Some(format!("“{}” is not the name of a header field.", name.escape_debug()));
    }
    let wrong = values.iter().find_map(|value| line(value, "What is looked for"));
    let ends_open = |value: &String| value.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1;
    match comparison {
        Comparison::Matches if values.iter().any(ends_open) => {
            Some("A pattern cannot end with a single backslash.".to_owned())
        }
        _ => wrong,
    }
}

fn of_action(action: &Action) -> Option<String> {
    match action {
        Action::File { folder, .. } if folder.trim().is_empty() => Some("Choose a folder.".to_owned()),
        Action::File { folder, .. } => line(folder, "The name of a folder"),
        Action::Redirect { to, .. } => is_address(to),
        Action::Reject { text } => words(text, "Say why the message is refused."),
        Action::Mark { .. } | Action::Discard | Action::Keep | Action::Stop => None,
    }
}

fn of_vacation(vacation: &Vacation) -> Vec<String> {
    let mut wrongs = Vec::new();
    wrongs.extend(words(&vacation.text, "Write the text of the reply."));
    wrongs.extend(vacation.subject.iter().find_map(|subject| line(subject, "The subject")));
    wrongs.extend(vacation.addresses.iter().filter_map(|address| is_address(address)));
    if let (Some(from), Some(until)) = (vacation.from, vacation.until)
        && from > until
    {
        wrongs.push("The last day is before the first.".to_owned());
    }
    wrongs
}

fn is_address(text: &str) -> Option<String> {
    let read = text.parse::<Address>();
    read.err().map(|error| format!("“{}” is not an address: {error}.", text.escape_debug()))
}

fn line(text: &str, what: &str) -> Option<String> {
    let wrong = text.len() > LONGEST_VALUE || text.chars().any(char::is_control);
    wrong.then(|| format!("{what} must be one line of at most {LONGEST_VALUE} octets."))
}

fn words(text: &str, missing: &str) -> Option<String> {
    let wrong = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    match text {
        _ if text.trim().is_empty() => Some(missing.to_owned()),
        _ if text.len() > LONGEST_TEXT => Some(format!("A text can have at most {LONGEST_TEXT} octets.")),
        _ if text.contains(wrong) => Some("A text must not contain control characters.".to_owned()),
        _ => None,
    }
}

/// ```text
/// field-name = 1*ftext      ; RFC 5322 §3.6.8
/// ftext      = %d33-57 / %d59-126
/// ```
fn is_field_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 76 && name.bytes().all(|b| matches!(b, 33..=57 | 59..=126))
}
