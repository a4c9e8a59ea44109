//! Rules as a script.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chrono::NaiveDate;

use super::{Action, Bound, Comparison, Condition, Matching, Of, Rule, RuleSet, Vacation};

/// What the comment before a rule begins and ends with.
pub(super) const NAME: (&str, &str) = ("# rule:[", "]");
/// What the automatic answer is called in the script.
const VACATION: &str = "Vacation";

impl RuleSet {
    /// The script. Lines end in CRLF.
    #[must_use]
    pub fn script(&self) -> String {
        let mut writer = Writer::default();
        for (n, rule) in self.rules.iter().enumerate() {
            self.vacation
                .iter()
                .filter(|vacation| vacation.position == n)
                .for_each(|vacation| writer.vacation(vacation));
            writer.rule(rule);
        }
        self.vacation
            .iter()
            .filter(|vacation| vacation.position >= self.rules.len())
            .for_each(|vacation| writer.vacation(vacation));
        writer.finish()
    }
}

/// A script that grows.
#[derive(Default)]
struct Writer {
    extensions: BTreeSet<&'static str>,
    text: String,
}

impl Writer {
    fn finish(self) -> String {
        let names: Vec<String> = self.extensions.iter().map(|name| (*name).to_owned()).collect();
        let requires = if names.is_empty() { String::new() } else { format!("require {};\n\n", list(&names)) };
        format!("{requires}{}", self.text).replace('\n', "\r\n")
    }

    /// The line with the name, and an empty one between commands.
    fn name(&mut self, name: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        if !name.is_empty() {
            let _ = writeln!(self.text, "{}{name}{}", NAME.0, NAME.1);
        }
    }

    fn rule(&mut self, rule: &Rule) {
        self.name(&rule.name);
        let test = self.test(rule);
        let test = if rule.enabled { test } else { format!("allof (false, {test})") };
        let _ = writeln!(self.text, "if {test} {{");
        for action in &rule.actions {
            let action = self.action(action);
            let _ = writeln!(self.text, "    {action};");
        }
        self.text.push_str("}\n");
    }

    fn test(&mut self, rule: &Rule) -> String {
        let tests: Vec<String> = rule.conditions.iter().map(|condition| self.condition(condition)).collect();
        match (tests.as_slice(), rule.matching) {
            ([], _) => "true".to_owned(),
            ([only], Matching::All) => only.clone(),
            (_, matching) => {
                let name = if matching == Matching::All { "allof" } else { "anyof" };
                format!("{name} ({})", tests.join(",\n    "))
            }
        }
    }

    fn condition(&mut self, condition: &Condition) -> String {
        let (of, comparison, negated, values) = match condition {
            Condition::Size { bound, octets } => {
                let bound = if *bound == Bound::Over { "over" } else { "under" };
                return format!("size :{bound} {}", size(*octets));
            }
            Condition::Text { of, comparison, negated, values } => (of, *comparison, *negated, values),
        };
        let (tag, values) = match comparison {
            Comparison::Contains => ("contains", values.clone()),
            Comparison::Is => ("is", values.clone()),
            Comparison::Matches => ("matches", values.clone()),
            Comparison::Begins => ("matches", values.iter().map(|value| format!("{}*", literal(value))).collect()),
            Comparison::Ends => ("matches", values.iter().map(|value| format!("*{}", literal(value))).collect()),
        };
        // A search for a part may mean the name; a comparison of the whole means the address.
        let people = if comparison == Comparison::Contains { "header" } else { "address" };
        let (test, fields) = match of {
            Of::From => (people, quoted("from")),
            Of::Recipient => (people, list(&["to".to_owned(), "cc".to_owned()])),
            Of::Subject => ("header", quoted("subject")),
            Of::List => ("header", quoted("list-id")),
            Of::Header(name) => ("header", quoted(name)),
            Of::Address(name) => ("address", quoted(name)),
            Of::Body => {
                self.extensions.insert("body");
                ("body", String::new())
            }
        };
        let not = if negated { "not " } else { "" };
        let values = list(&values);
        match of {
            Of::Body => format!("{not}body :text :{tag} {values}"),
            _ => format!("{not}{test} :{tag} {fields} {values}"),
        }
    }

    fn action(&mut self, action: &Action) -> String {
        match action {
            Action::Mark { flag } => {
                self.extensions.insert("imap4flags");
                format!("addflag {}", quoted(flag.flag()))
            }
            Action::File { folder, copy, create } => {
                self.extensions.insert("fileinto");
                let copy = self.copy(*copy);
                let create = if *create {
                    self.extensions.insert("mailbox");
                    " :create"
                } else {
                    ""
                };
                format!("fileinto{copy}{create} {}", quoted(folder))
            }
            Action::Redirect { to, copy } => {
                let copy = self.copy(*copy);
                format!("redirect{copy} {}", quoted(to))
            }
            Action::Reject { text } => {
                self.extensions.insert("reject");
                format!("reject {}", text_of(text))
            }
            Action::Discard => "discard".to_owned(),
            Action::Keep => "keep".to_owned(),
            Action::Stop => "stop".to_owned(),
        }
    }

    fn copy(&mut self, copy: bool) -> &'static str {
        if copy {
            self.extensions.insert("copy");
            " :copy"
        } else {
            ""
        }
    }

    fn vacation(&mut self, vacation: &Vacation) {
        self.extensions.insert("vacation");
        self.name(VACATION);
        let mut tests: Vec<String> = if vacation.enabled { Vec::new() } else { vec!["false".to_owned()] };
        let bounds = [("ge", vacation.from), ("le", vacation.until)];
        tests.extend(bounds.into_iter().filter_map(|(relation, date)| Some(self.day(relation, date?))));
        let mut command = "vacation".to_owned();
        if let Some(days) = vacation.days {
            let _ = write!(command, " :days {days}");
        }
        if let Some(subject) = &vacation.subject {
            let _ = write!(command, " :subject {}", quoted(subject));
        }
        if !vacation.addresses.is_empty() {
            let _ = write!(command, " :addresses {}", list(&vacation.addresses));
        }
        let _ = write!(command, " {};", text_of(&vacation.text));
        let _ = match tests.as_slice() {
            [] => writeln!(self.text, "{command}"),
            [only] => writeln!(self.text, "if {only} {{\n    {command}\n}}"),
            _ => writeln!(self.text, "if allof ({}) {{\n    {command}\n}}", tests.join(",\n    ")),
        };
    }

    fn day(&mut self, relation: &str, date: NaiveDate) -> String {
        self.extensions.extend(["date", "relational"]);
        format!("currentdate :value \"{relation}\" \"date\" \"{}\"", date.format("%Y-%m-%d"))
    }
}

/// RFC 5228 §2.4.2.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// One string, or several in brackets.
fn list(texts: &[String]) -> String {
    match texts {
        [only] => quoted(only),
        texts => format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")),
    }
}

/// A text of one line in quotation marks, one of several after `text:`.
fn text_of(text: &str) -> String {
    if !text.contains('\n') {
        return quoted(text);
    }
    let mut out = "text:\n".to_owned();
    for line in text.split('\n') {
        // RFC 5228 §2.4.2: a dot at the beginning of a line is doubled.
        let dot = if line.starts_with('.') { "." } else { "" };
        let _ = writeln!(out, "{dot}{line}");
    }
    out.push_str(".\n");
    out
}

/// RFC 5228 §2.7.1: a text as a pattern for itself.
fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// RFC 5228 §2.4.1: with a quantifier when nothing is lost.
fn size(octets: u64) -> String {
    for (unit, shift) in [("G", 30), ("M", 20), ("K", 10)] {
        if octets > 0 && octets.is_multiple_of(1 << shift) {
            return format!("{}{unit}", octets >> shift);
        }
    }
    octets.to_string()
}
