//! `imap4flags` (RFC 5232): flags and keywords of what is stored.

use crate::foundations::said::said;
use crate::services::sieve::check::{Arguments, CommandWord, TestWord, Tests, Wanted};
use crate::services::sieve::matching::{Matcher, Matching};
use crate::services::sieve::program::{Judge, Perform, Piece, Value, texts};
use crate::services::sieve::run::{Flow, Halt, Run};

pub(super) const COMMANDS: &[CommandWord] = &[
    CommandWord { name: "addflag", extensions: &["imap4flags"], has_block: false, read: read_add },
    CommandWord { name: "removeflag", extensions: &["imap4flags"], has_block: false, read: read_remove },
    CommandWord { name: "setflag", extensions: &["imap4flags"], has_block: false, read: read_set },
];

pub(super) const TESTS: &[TestWord] =
    &[TestWord { name: "hasflag", extensions: &["imap4flags"], tests: Tests::None, read: read_test }];

/// Most flags of one message, and the longest in octets.
const MAX_FLAGS: usize = 64;
const MAX_FLAG: usize = 64;

/// Takes `:flags`.
pub(super) fn read_tag(arguments: &mut Arguments<'_, '_>) -> Option<Vec<Value>> {
    let values = arguments.tag_values("flags", "imap4flags")?;
    for (at, value) in &values {
        warn(arguments, *at, value);
    }
    Some(values.into_iter().map(|(_, value)| value).collect())
}

fn warn(arguments: &mut Arguments<'_, '_>, at: crate::services::sieve::syntax::Position, value: &Value) {
    if let Some(wrong) =
        value.constant().and_then(|text| text.split(' ').find(|flag| !flag.is_empty() && !is_flag(flag)))
    {
        let shown: String = wrong.chars().take(40).collect();
        let said = said!(
            "sieve-flag",
            "'{flag}' is not a flag and will be ignored; valid are \\Answered, \\Deleted, \\Draft, \\Flagged, \\Seen and keywords without a backslash",
            flag = shown.escape_debug()
        );
        arguments.checker.warn(at, said);
    }
}

/// The flags of an action: those of its tag, or the internal ones (RFC 5232 §2).
pub(super) fn flags(given: Option<&[Value]>, run: &mut Run<'_, '_>) -> Result<Vec<String>, Halt> {
    match given {
        Some(values) => {
            let given = texts(values, run)?;
            read_flags(&given, run)
        }
        None => Ok(run.flags.clone()),
    }
}

/// The cost of comparing one octet of a flag with all existing ones, in octets of work.
const COMPARED: usize = 32;

/// The flags in texts of the script or its variables.
fn read_flags<T: AsRef<str>>(texts: &[T], run: &mut Run<'_, '_>) -> Result<Vec<String>, Halt> {
    let octets: usize = texts.iter().map(|text| text.as_ref().len() + 1).sum();
    run.spend(octets.saturating_mul(COMPARED))?;
    Ok(split(texts))
}

/// RFC 5232 §2: one string may contain several flags separated by blanks. Invalid flags and duplicates are left out.
fn split<T: AsRef<str>>(texts: &[T]) -> Vec<String> {
    let mut flags: Vec<String> = Vec::new();
    for flag in texts.iter().flat_map(|text| text.as_ref().split_ascii_whitespace()) {
        if is_flag(flag) && flags.len() < MAX_FLAGS && !flags.iter().any(|known| known.eq_ignore_ascii_case(flag)) {
            flags.push(flag.to_owned());
        }
    }
    flags
}

/// A system flag other than `\Recent`, or a keyword (RFC 9051 §9 `flag`).
fn is_flag(flag: &str) -> bool {
    const SYSTEM: &[&str] = &["answered", "deleted", "draft", "flagged", "seen"];
    match flag.strip_prefix('\\') {
        Some(name) => SYSTEM.iter().any(|known| known.eq_ignore_ascii_case(name)),
        None => {
            !flag.is_empty()
                && flag.len() <= MAX_FLAG
                && flag.bytes().all(|b| b.is_ascii_graphic() && !b"(){%*\"\\]".contains(&b))
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Add,
    Remove,
    Set,
}

#[derive(Debug)]
struct ChangeFlags {
    change: Change,
    /// The variable they are kept in; the internal one when there is none.
    variable: Option<Piece>,
    flags: Vec<Value>,
}

fn read_add(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Perform>> {
    read(arguments, Change::Add)
}

fn read_remove(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Perform>> {
    read(arguments, Change::Remove)
}

fn read_set(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Perform>> {
    read(arguments, Change::Set)
}

fn read(arguments: &mut Arguments<'_, '_>, change: Change) -> Option<Box<dyn Perform>> {
    let (variable, list) = if arguments.call.arguments.len() > 1 {
        let [variable, list] = arguments.positional([("variable", Wanted::Text), ("flags", Wanted::Texts)])?;
        if !arguments.checker.has("variables") {
            let said = said!(
                "sieve-flag-variable",
                "{subject} takes the name of a variable only with require \"variables\";",
                subject = arguments.subject()
            );
            arguments.wrong_at(variable.at, said);
            return None;
        }
        let (at, name) = crate::services::sieve::check::literals(&variable).next()?;
        (Some(arguments.checker.variable(at, &name)?), list)
    } else {
        let [list] = arguments.positional([("flags", Wanted::Texts)])?;
        (None, list)
    };
    let values = arguments.values(&list);
    for (at, value) in &values {
        warn(arguments, *at, value);
    }
    let flags = values.into_iter().map(|(_, value)| value).collect();
    arguments.fine(Box::new(ChangeFlags { change, variable, flags }))
}

impl Perform for ChangeFlags {
    fn perform(&self, run: &mut Run<'_, '_>) -> Result<Flow, Halt> {
        let given = texts(&self.flags, run)?;
        let given = read_flags(&given, run)?;
        let old = match &self.variable {
            Some(variable) => {
                let value = run.value_of(variable);
                read_flags(&[value], run)?
            }
            None => run.flags.clone(),
        };
        let same = |flag: &String, others: &[String]| others.iter().any(|other| other.eq_ignore_ascii_case(flag));
        let new = match self.change {
            Change::Set => given,
            Change::Add => {
                let all: Vec<String> = old.into_iter().chain(given).collect();
                split(&all)
            }
            Change::Remove => old.into_iter().filter(|flag| !same(flag, &given)).collect(),
        };
        match &self.variable {
            Some(variable) => run.assign(variable, new.join(" ")),
            None => run.flags = new,
        }
        Ok(Flow::Next)
    }
}

#[derive(Debug)]
struct HasFlag {
    variables: Vec<Piece>,
    matcher: Matcher,
}

fn read_test(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Judge>> {
    let matching = Matching::read(arguments);
    let mut given = arguments.positional_with([("variables", Wanted::Texts), ("flags", Wanted::Texts)], 1)?;
    let list = given.pop()?;
    let mut variables = Vec::new();
    if let Some(names) = given.pop() {
        if !arguments.checker.has("variables") {
            let said = said!(
                "sieve-hasflag-variables",
                "the hasflag test takes names of variables only with require \"variables\";"
            );
            arguments.wrong_at(names.at, said);
            return None;
        }
        for (at, name) in crate::services::sieve::check::literals(&names) {
            variables.extend(arguments.checker.variable(at, &name));
        }
    }
    let keys = if matching.counts() { arguments.values(&list) } else { flag_keys(arguments, &list) };
    let matcher = matching.with(arguments, keys).by_words();
    arguments.fine(Box::new(HasFlag { variables, matcher }))
}

/// The keys, one for each flag (RFC 5232 §4). Those of variables are known later.
fn flag_keys(
    arguments: &mut Arguments<'_, '_>,
    list: &crate::services::sieve::syntax::Argument,
) -> Vec<(crate::services::sieve::syntax::Position, Value)> {
    let mut keys = Vec::new();
    for (at, value) in arguments.values(list) {
        match value.constant() {
            Some(text) => keys.extend(text.split_ascii_whitespace().map(|flag| (at, Value::Plain(flag.into())))),
            None => keys.push((at, value)),
        }
    }
    keys
}

impl Judge for HasFlag {
    fn judge(&self, run: &mut Run<'_, '_>) -> Result<bool, Halt> {
        let flags = if self.variables.is_empty() {
            run.flags.clone()
        } else {
            let mut all = Vec::new();
            for variable in &self.variables {
                let value = run.value_of(variable);
                all.extend(read_flags(&[value], run)?);
            }
            if self.matcher.counts() { all } else { split(&all) }
        };
        self.matcher.matches(run, &flags)
    }
}
