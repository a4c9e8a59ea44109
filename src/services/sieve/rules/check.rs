//! Checks rules before they become a script, so that errors name the rule and not a line of a script nobody has seen.

use serde::Serialize;

use super::{Action, Comparison, Condition, Of, Rule, RuleSet, Vacation};
use crate::foundations::address::Address;
use crate::foundations::said::{Said, said};

/// Something wrong with rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wrong {
    /// Which rule, from 0; `None` for the automatic answer.
    pub rule: Option<usize>,
    /// What is wrong, as a sentence.
    #[serde(flatten)]
    pub said: Said,
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
            wrongs.extend(of_rule(rule).into_iter().map(|said| Wrong { rule: Some(n), said }));
        }
        let of_vacation = self.vacation.iter().flat_map(of_vacation);
        wrongs.extend(of_vacation.map(|said| Wrong { rule: None, said }));
        wrongs
    }
}

fn of_rule(rule: &Rule) -> Vec<Said> {
    let mut wrongs = Vec::new();
    if rule.name.chars().count() > LONGEST_NAME || rule.name.chars().any(char::is_control) {
        wrongs.push(said!("rule-name", "A name must be one line of at most {most} characters.", most = LONGEST_NAME));
    }
    if rule.actions.is_empty() {
        wrongs.push(said!("rule-no-action", "Say what to do with the messages."));
    }
    wrongs.extend(rule.conditions.iter().filter_map(of_condition));
    wrongs.extend(rule.actions.iter().filter_map(of_action));
    let stores = |action: &Action| matches!(action, Action::File { .. } | Action::Keep | Action::Redirect { .. });
    // RFC 5429 §2.3.
    if rule.refuses() && rule.actions.iter().any(stores) {
        wrongs
            .push(said!("rule-refused-and-kept", "A message that is refused cannot also be kept, filed or forwarded."));
    }
    if rule.actions.iter().filter(|action| matches!(action, Action::Reject { .. })).count() > 1 {
        wrongs.push(said!("rule-refused-twice", "A message can only be refused once."));
    }
    wrongs
}

fn of_condition(condition: &Condition) -> Option<Said> {
    let Condition::Text { of, comparison, values, .. } = condition else { return None };
    if values.is_empty() || values.iter().any(String::is_empty) {
        return Some(said!("rule-no-value", "Say what to look for."));
    }
    if let Of::Header(name) | Of::Address(name) = of
        && !is_field_name(name)
    {
        return Some(said!(
            "rule-field-name",
            "“{name}” is not the name of a header field.",
            name = name.escape_debug()
        ));
    }
    let wrong = values.iter().find_map(|value| line(value));
    let ends_open = |value: &String| value.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1;
    match comparison {
        Comparison::Matches if values.iter().any(ends_open) => {
            Some(said!("rule-pattern", "A pattern cannot end with a single backslash."))
        }
        _ => wrong,
    }
}

fn of_action(action: &Action) -> Option<Said> {
    match action {
        Action::File { folder, .. } if folder.trim().is_empty() => Some(said!("rule-no-folder", "Choose a folder.")),
        Action::File { folder, .. } => line(folder),
        Action::Redirect { to, .. } => is_address(to),
        Action::Reject { text } => words(text, said!("rule-no-reason", "Say why the message is refused.")),
        Action::Mark { .. } | Action::Discard | Action::Keep | Action::Stop => None,
    }
}

fn of_vacation(vacation: &Vacation) -> Vec<Said> {
    let mut wrongs = Vec::new();
    wrongs.extend(words(&vacation.text, said!("rule-no-text", "Write the text of the reply.")));
    wrongs.extend(vacation.subject.iter().find_map(|subject| line(subject)));
    wrongs.extend(vacation.addresses.iter().filter_map(|address| is_address(address)));
    if let (Some(from), Some(until)) = (vacation.from, vacation.until)
        && from > until
    {
        wrongs.push(said!("rule-days", "The last day is before the first."));
    }
    wrongs
}

fn is_address(text: &str) -> Option<Said> {
    text.parse::<Address>().err().map(|error| {
        said!("rule-address", "“{text}” is not an address: {why}.", text = text.escape_debug(), why = error.said())
    })
}

fn line(text: &str) -> Option<Said> {
    let wrong = text.len() > LONGEST_VALUE || text.chars().any(char::is_control);
    wrong.then(|| {
        said!(
            "rule-line",
            "A subject, the name of a folder or what is looked for must be one line of at most {most} octets.",
            most = LONGEST_VALUE
        )
    })
}

fn words(text: &str, missing: Said) -> Option<Said> {
    let wrong = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    match text {
        _ if text.trim().is_empty() => Some(missing),
        _ if text.len() > LONGEST_TEXT => {
            Some(said!("rule-long-text", "A text can have at most {most} octets.", most = LONGEST_TEXT))
        }
        _ if text.contains(wrong) => {
            Some(said!("rule-control-characters", "A text must not contain control characters."))
        }
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
