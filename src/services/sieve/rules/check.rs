//! Checks rules before they become a script, so that errors name the rule and not a line of a script nobody has seen.

use serde::Serialize;

use super::{Action, Comparison, Condition, Of, Rule, RuleSet, Vacation};
use crate::foundations::address::Address;

/// Something wrong with rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wrong {
    /// Which rule, from 0; `None` for the automatic answer.
    pub rule: Option<usize>,
    /// A fixed word for what is wrong, so that it can be translated.
    pub word: &'static str,
    /// What the sentence names.
    pub value: String,
    /// What is wrong, as a sentence.
    pub text: String,
}

/// What is wrong, without its place.
struct Fault {
    word: &'static str,
    value: String,
    text: String,
}

impl Fault {
    fn new(word: &'static str, text: impl Into<String>) -> Self {
        Self { word, value: String::new(), text: text.into() }
    }

    fn naming(self, value: &str) -> Self {
        Self { value: value.to_owned(), ..self }
    }

    fn at(self, rule: Option<usize>) -> Wrong {
        let Self { word, value, text } = self;
        Wrong { rule, word, value, text }
    }
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
            wrongs.extend(of_rule(rule).into_iter().map(|fault| fault.at(Some(n))));
        }
        let of_vacation = self.vacation.iter().flat_map(of_vacation);
        wrongs.extend(of_vacation.map(|fault| fault.at(None)));
        wrongs
    }
}

fn of_rule(rule: &Rule) -> Vec<Fault> {
    let mut wrongs = Vec::new();
    if rule.name.chars().count() > LONGEST_NAME || rule.name.chars().any(char::is_control) {
        let text = format!("A name must be one line of at most {LONGEST_NAME} characters.");
        wrongs.push(Fault::new("name", text));
    }
    if rule.actions.is_empty() {
        wrongs.push(Fault::new("no-action", "Say what to do with the messages."));
    }
    wrongs.extend(rule.conditions.iter().filter_map(of_condition));
    wrongs.extend(rule.actions.iter().filter_map(of_action));
    let stores = |action: &Action| matches!(action, Action::File { .. } | Action::Keep | Action::Redirect { .. });
    // RFC 5429 §2.3.
    if rule.refuses() && rule.actions.iter().any(stores) {
        let text = "A message that is refused cannot also be kept, filed or forwarded.";
        wrongs.push(Fault::new("refused-and-kept", text));
    }
    if rule.actions.iter().filter(|action| matches!(action, Action::Reject { .. })).count() > 1 {
        wrongs.push(Fault::new("refused-twice", "A message can only be refused once."));
    }
    wrongs
}

fn of_condition(condition: &Condition) -> Option<Fault> {
    let Condition::Text { of, comparison, values, .. } = condition else { return None };
    if values.is_empty() || values.iter().any(String::is_empty) {
        return Some(Fault::new("no-value", "Say what to look for."));
    }
    if let Of::Header(name) | Of::Address(name) = of
        && !is_field_name(name)
    {
        let text = format!("“{}” is not the name of a header field.", name.escape_debug());
        return Some(Fault::new("field-name", text).naming(name));
    }
    let wrong = values.iter().find_map(|value| line(value, "What is looked for"));
    let ends_open = |value: &String| value.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1;
    match comparison {
        Comparison::Matches if values.iter().any(ends_open) => {
            Some(Fault::new("pattern", "A pattern cannot end with a single backslash."))
        }
        _ => wrong,
    }
}

fn of_action(action: &Action) -> Option<Fault> {
    match action {
        Action::File { folder, .. } if folder.trim().is_empty() => Some(Fault::new("no-folder", "Choose a folder.")),
        Action::File { folder, .. } => line(folder, "The name of a folder"),
        Action::Redirect { to, .. } => is_address(to),
        Action::Reject { text } => words(text, Fault::new("no-reason", "Say why the message is refused.")),
        Action::Mark { .. } | Action::Discard | Action::Keep | Action::Stop => None,
    }
}

fn of_vacation(vacation: &Vacation) -> Vec<Fault> {
    let mut wrongs = Vec::new();
    wrongs.extend(words(&vacation.text, Fault::new("no-text", "Write the text of the reply.")));
    wrongs.extend(vacation.subject.iter().find_map(|subject| line(subject, "The subject")));
    wrongs.extend(vacation.addresses.iter().filter_map(|address| is_address(address)));
    if let (Some(from), Some(until)) = (vacation.from, vacation.until)
        && from > until
    {
        wrongs.push(Fault::new("days", "The last day is before the first."));
    }
    wrongs
}

fn is_address(text: &str) -> Option<Fault> {
    text.parse::<Address>().err().map(|error| {
        Fault::new("address", format!("“{}” is not an address: {error}.", text.escape_debug())).naming(text)
    })
}

fn line(text: &str, what: &str) -> Option<Fault> {
    let wrong = text.len() > LONGEST_VALUE || text.chars().any(char::is_control);
    wrong.then(|| Fault::new("line", format!("{what} must be one line of at most {LONGEST_VALUE} octets.")))
}

fn words(text: &str, missing: Fault) -> Option<Fault> {
    let wrong = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    match text {
        _ if text.trim().is_empty() => Some(missing),
        _ if text.len() > LONGEST_TEXT => {
            Some(Fault::new("long-text", format!("A text can have at most {LONGEST_TEXT} octets.")))
        }
        _ if text.contains(wrong) => {
            Some(Fault::new("control-characters", "A text must not contain control characters."))
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
