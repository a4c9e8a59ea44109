//! The arguments of one command or test: tags are taken by name, and the rest must be the positional ones.

use super::{Checker, Tests, is_control};
use crate::foundations::address::{Address, InvalidDomain, LocalPart};
use crate::foundations::mail::encoded_words;
use crate::foundations::settings::nearest;
use crate::services::sieve::extensions;
use crate::services::sieve::program::{Test, Value};
use crate::services::sieve::syntax::{Argument, Call, Given, Position};

/// What a positional argument must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::services::sieve) enum Wanted {
    Number,
    Text,
    /// A string list, or one string (RFC 5228 §2.4.2.1).
    Texts,
}

impl Wanted {
    const fn noun(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Text => "a string",
            Self::Texts => "a string list",
        }
    }

    const fn fits(self, given: &Given) -> bool {
        matches!(
            (self, given),
            (Self::Number, Given::Number(_))
                | (Self::Text | Self::Texts, Given::Text(_))
                | (Self::Texts, Given::Texts(_))
        )
    }
}

/// The arguments of one call.
pub(in crate::services::sieve) struct Arguments<'k, 'c> {
    pub(in crate::services::sieve) checker: &'k mut Checker<'c>,
    pub(in crate::services::sieve) call: &'k Call,
    /// `command` or `test`.
    noun: &'static str,
    /// Which arguments have been taken.
    taken: Vec<bool>,
    /// The places of tags that were taken.
    tags: Vec<usize>,
    /// Every tag that was asked for, for suggestions.
    known: Vec<&'static str>,
    is_wrong: bool,
    /// How many of the tests inside have been read.
    tests_read: usize,
}

impl<'k, 'c> Arguments<'k, 'c> {
    pub(super) fn new(checker: &'k mut Checker<'c>, call: &'k Call, noun: &'static str) -> Self {
        let taken = vec![false; call.arguments.len()];
        Self { checker, call, noun, taken, tags: Vec::new(), known: Vec::new(), is_wrong: false, tests_read: 0 }
    }

    /// `the header test`.
    pub(in crate::services::sieve) fn subject(&self) -> String {
        let name = &self.call.name;
        if self.noun == "command" { format!("the {name} command") } else { format!("the {name} test") }
    }

    /// Notes a mistake at the call itself.
    pub(in crate::services::sieve) fn wrong(&mut self, text: impl Into<String>) {
        self.wrong_at(self.call.at, text);
    }

    /// Notes a mistake at one of its arguments.
    pub(in crate::services::sieve) fn wrong_at(&mut self, at: Position, text: impl Into<String>) {
        self.is_wrong = true;
        self.checker.mistake(at, text);
    }

    /// Checks that tests and block are as required.
    pub(in crate::services::sieve) fn structure(&mut self, tests: Tests, has_block: bool) -> bool {
        if tests == Tests::None
            && let Some(next) = self.next_command()
        {
            let text = match self.call.name.as_str() {
                "else" if next.name == "if" => "write 'elsif' instead of 'else if'".to_owned(),
                "else" => format!("expected '{{' before '{}'", next.name),
                _ => format!("expected ';' before '{}'", next.name),
            };
            self.wrong_at(next.at, text);
            return false;
        }
        let (given, subject) = (self.call.tests.len(), self.subject());
        let text = match tests {
            Tests::None if given > 0 || self.call.is_list => {
                Some(format!("{subject} accepts no sub-tests, but tests are specified"))
            }
            Tests::One if given != 1 || self.call.is_list => {
                Some(format!("{subject} requires one test, without parentheses"))
            }
            Tests::List if given == 0 => Some(format!("{subject} requires a list of tests in parentheses")),
            Tests::List if !self.call.is_list => {
                Some(format!("{subject} requires a list of tests in parentheses, not a single test"))
            }
            _ => None,
        };
        if let Some(text) = text {
            self.wrong(text);
        }
        match (has_block, self.call.block.is_some()) {
            (false, true) => self.wrong(format!("{subject} accepts no block; expected ';'")),
            (true, false) if self.noun == "command" => self.wrong(format!("{subject} requires a block in braces")),
            _ => {}
        }
        !self.is_wrong
    }

    /// The command that was read as a test of this one, because there is no semicolon between them.
    fn next_command(&self) -> Option<&'k Call> {
        let call = self.call;
        let next = call.tests.first().filter(|_| self.noun == "command" && !call.is_list)?;
        let is_command = is_control(&next.name) || extensions::command(&next.name).is_some();
        (is_command && extensions::test(&next.name).is_none()).then_some(next)
    }

    /// Where an untaken tag of that name stands.
    fn find(&mut self, tag: &'static str) -> Option<usize> {
        self.known.push(tag);
        let at = (0..self.taken.len()).find(|at| {
            !self.taken[*at] && matches!(&self.call.arguments[*at].value, Given::Tag(given) if given == tag)
        })?;
        self.taken[at] = true;
        self.tags.push(at);
        Some(at)
    }

    /// Takes a tag, and returns where it is. The extension that defines it must have been required.
    pub(in crate::services::sieve) fn tag(&mut self, tag: &'static str, extension: &str) -> Option<Position> {
        self.find(tag).map(|at| self.may(at, tag, extension))
    }

    fn may(&mut self, at: usize, tag: &str, extension: &str) -> Position {
        let position = self.call.arguments[at].at;
        if !extension.is_empty() && !self.checker.has(extension) {
            self.wrong_at(position, format!("unknown tagged argument ':{tag}' for {} without its extension: write require \"{extension}\"; at the beginning", self.subject()));
        }
        position
    }

    /// Takes a tag and the argument after it.
    fn tag_with(&mut self, tag: &'static str, extension: &str, wanted: Wanted) -> Option<Argument> {
        let at = self.find(tag)?;
        let position = self.may(at, tag, extension);
        let call = self.call;
        let next = call.arguments.get(at + 1);
        match next {
            Some(argument) if wanted.fits(&argument.value) && !self.taken[at + 1] => {
                self.taken[at + 1] = true;
                return Some(argument.clone());
            }
            Some(argument) => {
                // Not a positional argument either, unless it is of the kind expected there.
                self.taken[at + 1] = true;
                let found = argument.value.noun();
                self.wrong_at(
                    argument.at,
                    format!("the :{tag} tag of {} expects {}, but {found} was found", self.subject(), wanted.noun()),
                );
            }
            None => self
                .wrong_at(position, format!("the :{tag} tag of {} expects {} after it", self.subject(), wanted.noun())),
        }
        None
    }

    pub(in crate::services::sieve) fn tag_number(
        &mut self,
        tag: &'static str,
        extension: &str,
    ) -> Option<(Position, u64)> {
        let argument = self.tag_with(tag, extension, Wanted::Number)?;
        match argument.value {
            Given::Number(number) => Some((argument.at, number)),
            _ => None,
        }
    }

    /// The text itself, which may not contain variables.
    pub(in crate::services::sieve) fn tag_literal(
        &mut self,
        tag: &'static str,
        extension: &str,
    ) -> Option<(Position, String)> {
        let argument = self.tag_with(tag, extension, Wanted::Text)?;
        match argument.value {
            Given::Text(text) => Some((argument.at, text)),
            _ => None,
        }
    }

    pub(in crate::services::sieve) fn tag_value(
        &mut self,
        tag: &'static str,
        extension: &str,
    ) -> Option<(Position, Value)> {
        let (at, text) = self.tag_literal(tag, extension)?;
        Some((at, self.checker.value(at, &text)))
    }

    pub(in crate::services::sieve) fn tag_values(
        &mut self,
        tag: &'static str,
        extension: &str,
    ) -> Option<Vec<(Position, Value)>> {
        let argument = self.tag_with(tag, extension, Wanted::Texts)?;
        Some(self.values(&argument))
    }

    /// Takes everything that is left as positional arguments. `None` when that cannot be, or a tag was wrong.
    pub(in crate::services::sieve) fn positional<const N: usize>(
        &mut self,
        wanted: [(&str, Wanted); N],
    ) -> Option<[Argument; N]> {
        self.positional_with(wanted, N).and_then(|given| given.try_into().ok())
    }

    /// The same with optional last ones.
    pub(in crate::services::sieve) fn positional_with<const N: usize>(
        &mut self,
        wanted: [(&str, Wanted); N],
        least: usize,
    ) -> Option<Vec<Argument>> {
        let call = self.call;
        let subject = self.subject();
        if !self.check_tags() {
            return None;
        }
        let left: Vec<&Argument> = call
            .arguments
            .iter()
            .zip(&self.taken)
            .filter(|(_, taken)| !**taken)
            .map(|(argument, _)| argument)
            .collect();
        for (number, (argument, (name, wanted))) in left.iter().zip(wanted).enumerate() {
            if !wanted.fits(&argument.value) {
                let found = argument.value.noun();
                self.wrong_at(
                    argument.at,
                    format!(
                        "{subject} expects {} as argument {} ({name}), but {found} was found",
                        wanted.noun(),
                        number + 1
                    ),
                );
            }
        }
        if left.len() < least {
            let (given, list) = (left.len(), names(&wanted));
            let verb = if given == 1 { "is" } else { "are" };
            let plural = if least == 1 { "" } else { "s" };
            self.wrong(format!(
                "{subject} requires {least} positional argument{plural} ({list}), but {given} {verb} specified"
            ));
        } else if let Some(extra) = left.get(N) {
            let text = if N == 0 {
                format!("{subject} accepts no positional arguments, but {} was found", extra.value.noun())
            } else {
                format!(
                    "{subject} accepts at most {N} positional argument{} ({}), but {} was found as well",
                    if N == 1 { "" } else { "s" },
                    names(&wanted),
                    extra.value.noun()
                )
            };
            self.wrong_at(extra.at, text);
        }
        if self.is_wrong { None } else { Some(left.into_iter().cloned().collect()) }
    }

    /// No tag may be left, and none may stand behind a positional argument (RFC 5228 §2.6.2).
    fn check_tags(&mut self) -> bool {
        let call = self.call;
        let subject = self.subject();
        let first = (0..self.taken.len())
            .find(|at| !self.taken[*at] && !matches!(call.arguments[*at].value, Given::Tag(_)))
            .unwrap_or(usize::MAX);
        let mut fine = true;
        for (at, argument) in call.arguments.iter().enumerate() {
            let Given::Tag(tag) = &argument.value else { continue };
            let is_taken = self.taken[at];
            if is_taken && !(self.tags.contains(&at) && at > first) {
                continue;
            }
            fine = false;
            let text = if is_taken {
                format!(
                    "unexpected tagged argument ':{tag}' after the positional arguments of {subject}; tags come first"
                )
            } else if self.known.iter().any(|known| known == tag) {
                format!(
                    "unexpected tagged argument ':{tag}' for {subject}: it is given twice, or together with one it excludes"
                )
            } else {
                let near = nearest(tag, self.known.iter().copied());
                let hint = near.map_or_else(
                    || match self.known.is_empty() {
                        true => "; it has none".to_owned(),
                        false => format!(" (there are :{})", self.known.join(", :")),
                    },
                    |near| format!("; did you mean ':{near}'?"),
                );
                format!("unknown tagged argument ':{tag}' for {subject}{hint}")
            };
            self.wrong_at(argument.at, text);
        }
        fine && !self.is_wrong
    }

    /// The strings of a positional argument, with variables.
    pub(in crate::services::sieve) fn values(&mut self, argument: &Argument) -> Vec<(Position, Value)> {
        literals(argument).map(|(at, text)| (at, self.checker.value(at, &text))).collect()
    }

    /// The string of a positional argument, with variables.
    pub(in crate::services::sieve) fn value(&mut self, argument: &Argument) -> Value {
        match &argument.value {
            Given::Text(text) => self.checker.value(argument.at, text),
            _ => Value::Plain("".into()),
        }
    }

    /// Names of header fields.
    pub(in crate::services::sieve) fn field_names(&mut self, argument: &Argument) -> Vec<Value> {
        let values = self.values(argument);
        for (at, value) in &values {
            self.check_field_name(*at, value);
        }
        values.into_iter().map(|(_, value)| value).collect()
    }

    /// The name of a header field in a test. One that cannot be a name matches nothing and is no mistake (RFC 5228 §2.4.2.2), but
    /// worth a warning.
    pub(in crate::services::sieve) fn check_field_name(&mut self, at: Position, value: &Value) {
        if let Some(name) = value.constant().filter(|name| !is_field_name(name)) {
            let text = format!(
                "'{}' is not the name of a header field, so nothing is found; write it without colon and blanks",
                name.escape_debug()
            );
            self.checker.warn(at, text);
        }
    }

    /// An address of a mailbox, if it is known now; a display name may stand before it.
    pub(in crate::services::sieve) fn check_address(&mut self, at: Position, value: &Value) {
        if let Some(text) = value.constant()
            && let Err(why) = mailbox(text)
        {
            self.wrong_at(at, format!("'{}' is not an address for {}: {why}", text.escape_debug(), self.subject()));
        }
    }

    /// The block of a command.
    pub(in crate::services::sieve) fn block(&mut self) -> Vec<crate::services::sieve::program::Command> {
        self.checker.block(self.call.block.as_deref().unwrap_or_default())
    }

    /// The next of the tests inside, with what `ihave` makes certain of it; a test is missing after a mistake.
    pub(in crate::services::sieve) fn next_test(&mut self) -> Option<(Option<Test>, super::Certainty)> {
        let call = self.call;
        let test = call.tests.get(self.tests_read)?;
        self.tests_read += 1;
        let test = self.checker.test(test);
        Some((test, self.checker.ihave))
    }

    /// `Some` when nothing was wrong.
    pub(in crate::services::sieve) fn fine<T>(&self, read: T) -> Option<T> {
        (!self.is_wrong).then_some(read)
    }
}

fn names<const N: usize>(wanted: &[(&str, Wanted); N]) -> String {
    wanted.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// The strings of an argument as written.
pub(in crate::services::sieve) fn literals(argument: &Argument) -> impl Iterator<Item = (Position, String)> + use<> {
    match &argument.value {
        Given::Text(text) => vec![(argument.at, text.clone())],
        Given::Texts(texts) => texts.clone(),
        _ => Vec::new(),
    }
    .into_iter()
}

/// RFC 5322 §2.2.
pub(in crate::services::sieve) fn is_field_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':')
}

/// Reads `Name <address>` or an address alone: its name and the address. The error is a part of a sentence.
pub(in crate::services::sieve) fn mailbox(text: &str) -> Result<(String, Address), String> {
    use crate::foundations::mail::addresses::{Entry, read};
    let mut entries = read(text.as_bytes()).into_iter();
    let (Some(Entry::Mailbox(mailbox)), None) = (entries.next(), entries.next()) else {
        return Err("expected exactly one address, such as name@example.com".to_owned());
    };
    if text.contains('<') != text.contains('>') {
        return Err("an angle bracket is not closed".to_owned());
    }
    let local = String::from_utf8_lossy(&mailbox.local).into_owned();
    let escaped = local.replace('\\', "\\\\").replace('"', "\\\"");
    let quoted = local.parse::<LocalPart>().or_else(|_| format!("\"{escaped}\"").parse());
    let domain = String::from_utf8_lossy(&mailbox.domain).parse().map_err(|error: InvalidDomain| error.to_string())?;
    // A name before an address without angle brackets would otherwise become a part of it.
    if !text.contains('<') && local.contains(char::is_whitespace) && !text.trim_start().starts_with('"') {
        return Err("it contains blanks; write an address with a name in angle brackets".to_owned());
    }
    let local = quoted.map_err(|error| error.to_string())?;
    let address = Address::new(local, domain).map_err(|error| error.to_string())?;
    let name = mailbox.name.filter(|_| text.contains('<')).unwrap_or_default();
    Ok((encoded_words::decode(&name), address))
}
