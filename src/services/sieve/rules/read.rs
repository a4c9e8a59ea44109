//! Reading a script as rules, if it says no more than rules can.

use chrono::NaiveDate;

use super::write::NAME;
use super::{Action, Bound, Comparison, Condition, Mark, Matching, Of, Rule, RuleSet, Vacation};
use crate::foundations::said::{Said, said};
use crate::services::sieve::lexer::Comment;
use crate::services::sieve::parser::{parse, parse_with_comments};
use crate::services::sieve::syntax::{Call, Given, Position};
use crate::services::sieve::{Mistake, SieveSettings};

/// What rules cannot say, and where the script says it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize)]
#[error("line {line}: {}", .said.text)]
pub struct Foreign {
    /// The line, from 1.
    pub line: u32,
    /// What is there, as a part of a sentence.
    #[serde(flatten)]
    pub said: Said,
}

impl Foreign {
    const fn at(at: Position, said: Said) -> Self {
        Self { line: at.line, said }
    }
}

fn a_comment() -> Said {
    said!("rules-comment", "a comment, which rules have no place for")
}

/// What scripts of rules may require: extensions that do not change the meaning of strings.
const KNOWN: &[&str] = &[
    "body",
    "comparator-i;ascii-casemap",
    "comparator-i;octet",
    "copy",
    "date",
    "envelope",
    "fileinto",
    "imap4flags",
    "index",
    "mailbox",
    "regex",
    "reject",
    "relational",
    "subaddress",
    "vacation",
    "vacation-seconds",
];

/// Reads a script that compiles.
///
/// # Errors
/// It says something that rules cannot say, or something that writing them would lose: the first such thing.
pub fn read(source: &str, settings: &SieveSettings) -> Result<RuleSet, Foreign> {
    let mut mistakes = Vec::new();
    let (calls, comments) = parse_with_comments(source, settings, &mut mistakes);
    if let Some(Mistake { line, said, .. }) = mistakes.into_iter().next() {
        return Err(Foreign { line, said });
    }
    let mut reader = Reader { comments: &comments, settings, set: RuleSet::default() };
    for (n, call) in calls.iter().enumerate() {
        reader.command(call, calls.get(n + 1))?;
    }
    reader.name_before(None)?;
    Ok(reader.set.arranged())
}

struct Reader<'a> {
    /// Those not yet looked at.
    comments: &'a [Comment<'a>],
    settings: &'a SieveSettings,
    set: RuleSet,
}

impl Reader<'_> {
    fn command(&mut self, call: &Call, next: Option<&Call>) -> Result<(), Foreign> {
        let name = self.name_before(Some(call.at))?;
        match call.name.as_str() {
            "require" => required(call),
            "if" => self.rule(name, call, next),
            "vacation" => self.vacation(vacation(call)?, call),
            "elsif" | "else" => Err(Foreign::at(
                call.at,
                said!("rules-else", "'{name}' does not fit into a single rule", name = &call.name),
            )),
            _ => {
                // Commands outside an `if` apply to every message.
                let action = action(call)?;
                match self.set.rules.last_mut().filter(|last| name.is_empty() && last.is_alone(&action)) {
                    Some(last) => last.actions.push(action),
                    None => {
                        let (matching, conditions, actions) = (Matching::All, Vec::new(), vec![action]);
                        self.set.rules.push(Rule { name, enabled: true, matching, conditions, actions });
                    }
                }
                Ok(())
            }
        }
    }

    /// The name in the comment before a place, or before the end.
    fn name_before(&mut self, at: Option<Position>) -> Result<String, Foreign> {
        let mut name = None;
        while let Some((comment, rest)) = self.comments.split_first()
            && at.is_none_or(|at| comment.at < at)
        {
            self.comments = rest;
            let given = comment.text.strip_prefix(NAME.0).and_then(|text| text.strip_suffix(NAME.1));
            match given {
                Some(given) if name.is_none() && at.is_some() => name = Some(given.trim().to_owned()),
                _ => return Err(Foreign::at(comment.at, a_comment())),
            }
        }
        Ok(name.unwrap_or_default())
    }

    fn rule(&mut self, name: String, call: &Call, next: Option<&Call>) -> Result<(), Foreign> {
        let [test] = call.tests.as_slice() else {
            return Err(Foreign::at(call.at, said!("rules-if", "an 'if' without a test")));
        };
        let block = call.block.as_deref().unwrap_or_default();
        if let [only] = block
            && only.name == "vacation"
        {
            let Period { enabled, from, until } = period(test)?;
            return self.vacation(Vacation { enabled, from, until, ..vacation(only)? }, call);
        }
        let commented = self.switched_off(test, next)?;
        let (enabled, test) = match (&commented, test.tests.as_slice()) {
            (Some(inner), _) => (false, inner),
            (None, [first, inner]) if test.name == "allof" && first.name == "false" => (false, inner),
            (None, _) => (true, test),
        };
        let (matching, conditions) = conditions(test)?;
        let actions: Vec<Action> = block.iter().map(action).collect::<Result<_, _>>()?;
        if !actions.is_sorted_by_key(Action::rank) {
            return Err(Foreign::at(call.at, said!("rules-order", "actions in an order that no rule has")));
        }
        self.set.rules.push(Rule { name, enabled, matching, conditions, actions });
        Ok(())
    }

    /// The test of a rule that Roundcube has switched off: `if false # the test`.
    fn switched_off(&mut self, test: &Call, next: Option<&Call>) -> Result<Option<Call>, Foreign> {
        let Some((comment, rest)) = self.comments.split_first() else { return Ok(None) };
        if test.name != "false" || comment.at.line != test.at.line || next.is_some_and(|next| next.at < comment.at) {
            return Ok(None);
        }
        self.comments = rest;
        let mut mistakes = Vec::new();
        let text = format!("if {} {{}}", comment.text.trim_start_matches('#'));
        let mut calls = parse(&text, self.settings, &mut mistakes);
        match (mistakes.is_empty(), calls.pop(), calls.is_empty()) {
            (true, Some(mut call), true) if call.tests.len() == 1 => Ok(call.tests.pop()),
            _ => Err(Foreign::at(comment.at, a_comment())),
        }
    }

    fn vacation(&mut self, vacation: Vacation, call: &Call) -> Result<(), Foreign> {
        if self.set.vacation.is_some() {
            return Err(Foreign::at(call.at, said!("rules-second-vacation", "a second 'vacation'")));
        }
        self.set.vacation = Some(Vacation { position: self.set.rules.len(), ..vacation });
        Ok(())
    }
}

impl Rule {
    /// Whether it is done with every message and has no name, so that one more such action may belong to it.
    fn is_alone(&self, next: &Action) -> bool {
        let is_in_order = self.actions.last().is_none_or(|last| last.rank() <= next.rank());
        self.name.is_empty() && self.enabled && self.conditions.is_empty() && is_in_order
    }
}

fn required(call: &Call) -> Result<(), Foreign> {
    let names = call.arguments.iter().flat_map(|argument| texts(&argument.value));
    for name in names {
        if !KNOWN.contains(&name.as_str()) {
            let said = said!("rules-extension", "'{name}', which no rule needs", name);
            return Err(Foreign::at(call.at, said));
        }
    }
    Ok(())
}

fn conditions(test: &Call) -> Result<(Matching, Vec<Condition>), Foreign> {
    let matching = if test.name == "anyof" { Matching::Any } else { Matching::All };
    match test.name.as_str() {
        "true" => Ok((matching, Vec::new())),
        "allof" | "anyof" => Ok((matching, test.tests.iter().map(condition).collect::<Result<_, _>>()?)),
        _ => Ok((matching, vec![condition(test)?])),
    }
}

fn condition(test: &Call) -> Result<Condition, Foreign> {
    match (test.name.as_str(), test.tests.as_slice()) {
        ("not", [inner]) => match condition(inner)? {
            Condition::Text { of, comparison, negated: false, values } => {
                Ok(Condition::Text { of, comparison, negated: true, values })
            }
            _ => Err(Foreign::at(test.at, said!("rules-not", "a 'not' that no condition has"))),
        },
        ("header" | "address" | "body", _) => text(test),
        ("size", _) => {
            let arguments = Arguments::of(test, &[]);
            let (bound, octets) = match (arguments.tags.as_slice(), arguments.positional.as_slice()) {
                ([("over", _)], [Given::Number(octets)]) => (Bound::Over, *octets),
                ([("under", _)], [Given::Number(octets)]) => (Bound::Under, *octets),
                _ => return Err(Foreign::at(test.at, said!("rules-size", "a 'size' that no condition has"))),
            };
            Ok(Condition::Size { bound, octets })
        }
        _ => Err(foreign_test(test)),
    }
}

fn foreign_test(test: &Call) -> Foreign {
    Foreign::at(test.at, said!("rules-test", "the test '{name}'", name = &test.name))
}

/// `header`, `address` and `body`.
fn text(test: &Call) -> Result<Condition, Foreign> {
    let arguments = Arguments::of(test, &["comparator"]);
    let mut comparison = Comparison::Is;
    for (tag, value) in &arguments.tags {
        comparison = match (*tag, value) {
            ("contains", _) => Comparison::Contains,
            ("is", _) => Comparison::Is,
            ("matches", _) => Comparison::Matches,
            // What holds without these tags.
            ("all", _) if test.name == "address" => comparison,
            ("text", _) if test.name == "body" => comparison,
            ("comparator", Some(Given::Text(name))) if name == "i;ascii-casemap" => comparison,
            (tag, _) => {
                let said = said!("rules-tag", "'{name}' with ':{tag}'", name = &test.name, tag);
                return Err(Foreign::at(test.at, said));
            }
        };
    }
    let (of, keys) = match (test.name.as_str(), arguments.positional.as_slice()) {
        ("body", [keys]) => (Of::Body, *keys),
        (name, [fields, keys]) => (field(test, name == "address", comparison, &texts(fields))?, *keys),
        _ => return Err(foreign_test(test)),
    };
    let (comparison, values) = shape(comparison, texts(keys));
    Ok(Condition::Text { of, comparison, negated: false, values })
}

/// Which text a test looks at.
fn field(test: &Call, is_address: bool, comparison: Comparison, fields: &[String]) -> Result<Of, Foreign> {
    let lower: Vec<String> = fields.iter().map(|name| name.to_ascii_lowercase()).collect();
    let names: Vec<&str> = lower.iter().map(String::as_str).collect();
    match (names.as_slice(), is_address) {
        (["to", "cc"] | ["cc", "to"], _) if is_address != (comparison == Comparison::Contains) => Ok(Of::Recipient),
        ([_], false) => Ok(usual(Of::Header(fields.concat()), comparison)),
        ([_], true) => Ok(usual(Of::Address(fields.concat()), comparison)),
        _ => Err(Foreign::at(test.at, said!("rules-fields", "'{name}' of several fields", name = &test.name))),
    }
}

/// The simpler word for a field, if there is one.
pub(super) fn usual(of: Of, comparison: Comparison) -> Of {
    let looks_for_part = comparison == Comparison::Contains;
    match &of {
        Of::Header(name) => match name.to_ascii_lowercase().as_str() {
            "from" if looks_for_part => Of::From,
            "subject" => Of::Subject,
            "list-id" => Of::List,
            _ => of,
        },
        Of::Address(name) if name.eq_ignore_ascii_case("from") && !looks_for_part => Of::From,
        _ => of,
    }
}

/// A pattern that begins or ends with its only wildcard says so more simply.
pub(super) fn shape(comparison: Comparison, values: Vec<String>) -> (Comparison, Vec<String>) {
    if comparison != Comparison::Matches || values.is_empty() {
        return (comparison, values);
    }
    let begins: Option<Vec<String>> = values.iter().map(|value| plain(value.strip_suffix('*')?)).collect();
    let ends: Option<Vec<String>> = values.iter().map(|value| plain(value.strip_prefix('*')?)).collect();
    match (begins, ends) {
        (Some(begins), _) => (Comparison::Begins, begins),
        (None, Some(ends)) => (Comparison::Ends, ends),
        (None, None) => (comparison, values),
    }
}

/// The text that a pattern without wildcards stands for; `None` when it has some, is empty, or is no whole pattern.
fn plain(pattern: &str) -> Option<String> {
    let mut text = String::new();
    let mut characters = pattern.chars();
    while let Some(c) = characters.next() {
        match c {
            '*' | '?' => return None,
            // Only what must be escaped is, so that writing it again gives the same.
            '\\' => text.push(characters.next().filter(|next| matches!(next, '*' | '?' | '\\'))?),
            other => text.push(other),
        }
    }
    Some(text).filter(|text| !text.is_empty())
}

fn action(call: &Call) -> Result<Action, Foreign> {
    let arguments = Arguments::of(call, &[]);
    let only = match arguments.positional.as_slice() {
        [Given::Text(text)] => Some(text.clone()),
        [Given::Texts(texts)] if texts.len() == 1 => Some(texts[0].1.clone()),
        _ => None,
    };
    let has = |tag: &str| arguments.tags.iter().any(|(name, _)| *name == tag);
    let knows = |known: &[&str]| arguments.tags.iter().all(|(name, _)| known.contains(name));
    let is_plain = arguments.tags.is_empty();
    match (call.name.as_str(), only) {
        ("fileinto", Some(folder)) if knows(&["copy", "create"]) => {
            Ok(Action::File { folder, copy: has("copy"), create: has("create") })
        }
        ("redirect", Some(to)) if knows(&["copy"]) => Ok(Action::Redirect { to, copy: has("copy") }),
        ("reject", Some(text)) if is_plain => Ok(Action::Reject { text }),
        ("addflag", Some(flag)) if is_plain => {
            let known = Mark::ALL.into_iter().find(|known| known.flag().eq_ignore_ascii_case(&flag));
            known
                .map(|flag| Action::Mark { flag })
                .ok_or_else(|| Foreign::at(call.at, said!("rules-flag", "the flag '{flag}'", flag)))
        }
        ("discard", None) if call.arguments.is_empty() => Ok(Action::Discard),
        ("keep", None) if call.arguments.is_empty() => Ok(Action::Keep),
        ("stop", None) if call.arguments.is_empty() => Ok(Action::Stop),
        (name, _) => {
            let tags: String = arguments.tags.iter().map(|(tag, _)| format!(" ':{tag}'")).collect();
            Err(Foreign::at(
                call.at,
                said!("rules-command", "the command '{name}'{tags} as no rule has it", name, tags),
            ))
        }
    }
}

fn vacation(call: &Call) -> Result<Vacation, Foreign> {
    let arguments = Arguments::of(call, &["days", "subject", "addresses"]);
    let (mut days, mut subject, mut addresses) = (None, None, Vec::new());
    for (tag, value) in &arguments.tags {
        match (*tag, value) {
            ("days", Some(Given::Number(number))) => days = Some(u32::try_from(*number).unwrap_or(u32::MAX)),
            ("subject", Some(Given::Text(text))) => subject = Some(text.clone()),
            ("addresses", Some(value)) => addresses = texts(value),
            (tag, _) => {
                let said = said!("rules-tag", "'{name}' with ':{tag}'", name = "vacation", tag);
                return Err(Foreign::at(call.at, said));
            }
        }
    }
    let [Given::Text(text)] = arguments.positional.as_slice() else {
        return Err(Foreign::at(call.at, said!("rules-no-text", "a 'vacation' without a text")));
    };
    let text = text.clone();
    Ok(Vacation { position: 0, enabled: true, subject, text, from: None, until: None, days, addresses })
}

/// When an automatic answer is in force.
struct Period {
    enabled: bool,
    from: Option<NaiveDate>,
    until: Option<NaiveDate>,
}

fn period(test: &Call) -> Result<Period, Foreign> {
    let (mut enabled, mut from, mut until) = (true, None, None);
    let tests = if test.name == "allof" { test.tests.as_slice() } else { std::slice::from_ref(test) };
    for test in tests {
        let arguments = Arguments::of(test, &["value"]);
        match (test.name.as_str(), arguments.tags.as_slice(), arguments.positional.as_slice()) {
            ("true", [], []) => {}
            ("false", [], []) => enabled = false,
            ("currentdate", [("value", Some(Given::Text(relation)))], [Given::Text(part), date])
                if part.eq_ignore_ascii_case("date") =>
            {
                let date = match texts(date).as_slice() {
                    [only] => NaiveDate::parse_from_str(only, "%Y-%m-%d").ok(),
                    _ => None,
                };
                match (relation.to_ascii_lowercase().as_str(), date) {
                    ("ge", Some(date)) if from.is_none() => from = Some(date),
                    ("le", Some(date)) if until.is_none() => until = Some(date),
                    _ => {
                        let said = said!("rules-currentdate", "a 'currentdate' that is no first or last day");
                        return Err(Foreign::at(test.at, said));
                    }
                }
            }
            (name, _, _) => {
                let said = said!("rules-vacation-test", "'{name}' as a condition of 'vacation'", name);
                return Err(Foreign::at(test.at, said));
            }
        }
    }
    Ok(Period { enabled, from, until })
}

/// The arguments of a command or test, tags apart.
struct Arguments<'a> {
    tags: Vec<(&'a str, Option<&'a Given>)>,
    positional: Vec<&'a Given>,
}

impl<'a> Arguments<'a> {
    /// `valued` are the tags that have a value behind them.
    fn of(call: &'a Call, valued: &[&str]) -> Self {
        let (mut tags, mut positional) = (Vec::new(), Vec::new());
        let mut arguments = call.arguments.iter().map(|argument| &argument.value);
        while let Some(argument) = arguments.next() {
            match argument {
                Given::Tag(tag) if valued.contains(&tag.as_str()) => tags.push((tag.as_str(), arguments.next())),
                Given::Tag(tag) => tags.push((tag.as_str(), None)),
                other => positional.push(other),
            }
        }
        Self { tags, positional }
    }
}

fn texts(given: &Given) -> Vec<String> {
    match given {
        Given::Text(text) => vec![text.clone()],
        Given::Texts(texts) => texts.iter().map(|(_, text)| text.clone()).collect(),
        Given::Number(_) | Given::Tag(_) => Vec::new(),
    }
}
