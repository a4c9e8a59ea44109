//! The arguments of one command or test: tags are taken by name, and the rest must be the positional ones.

use super::{Checker, Tests, is_control};
use crate::foundations::address::{Address, InvalidDomain, LocalPart};
use crate::foundations::mail::encoded_words;
use crate::foundations::said::{Said, said};
use crate::foundations::settings::nearest;
use crate::services::sieve::extensions;
use crate::services::sieve::program::{Test, Value};
use crate::services::sieve::syntax::{Argument, Call, Given, Position, a_number, a_string, a_string_list};

/// What a positional argument must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::services::sieve) enum Wanted {
    Number,
    Text,
    /// A string list, or one string (RFC 5228 §2.4.2.1).
    Texts,
}

impl Wanted {
    fn noun(self) -> Said {
        match self {
            Self::Number => a_number(),
            Self::Text => a_string(),
            Self::Texts => a_string_list(),
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
    pub(in crate::services::sieve) fn subject(&self) -> Said {
        let name = &self.call.name;
        if self.noun == "command" {
            said!("sieve-the-command", "the {name} command", name)
        } else {
            said!("sieve-the-test", "the {name} test", name)
        }
    }

    /// Notes a mistake at the call itself.
    pub(in crate::services::sieve) fn wrong(&mut self, said: Said) {
        self.wrong_at(self.call.at, said);
    }

    /// Notes a mistake at one of its arguments.
    pub(in crate::services::sieve) fn wrong_at(&mut self, at: Position, said: Said) {
        self.is_wrong = true;
        self.checker.mistake(at, said);
    }

    /// Checks that tests and block are as required.
    pub(in crate::services::sieve) fn structure(&mut self, tests: Tests, has_block: bool) -> bool {
        if tests == Tests::None
            && let Some(next) = self.next_command()
        {
            let name = &next.name;
            let said = match self.call.name.as_str() {
                "else" if name == "if" => said!("sieve-else-if", "write 'elsif' instead of 'else if'"),
                "else" => said!("sieve-brace-missing", "expected '{' before '{name}'", name),
                _ => said!("sieve-semicolon-missing", "expected ';' before '{name}'", name),
            };
            self.wrong_at(next.at, said);
            return false;
        }
        let (given, subject) = (self.call.tests.len(), self.subject());
        let said = match tests {
            Tests::None if given > 0 || self.call.is_list => {
                Some(said!("sieve-no-tests", "{subject} accepts no sub-tests, but tests are specified", subject))
            }
            Tests::One if given != 1 || self.call.is_list => {
                Some(said!("sieve-one-test", "{subject} requires one test, without parentheses", subject))
            }
            Tests::List if given == 0 => {
                Some(said!("sieve-test-list", "{subject} requires a list of tests in parentheses", subject))
            }
            Tests::List if !self.call.is_list => Some(said!(
                "sieve-test-list-not-one",
                "{subject} requires a list of tests in parentheses, not a single test",
                subject
            )),
            _ => None,
        };
        if let Some(said) = said {
            self.wrong(said);
        }
        match (has_block, self.call.block.is_some()) {
            (false, true) => self.wrong(said!(
                "sieve-no-block",
                "{subject} accepts no block; expected ';'",
                subject = self.subject()
            )),
            (true, false) if self.noun == "command" => {
                self.wrong(said!(
                    "sieve-block-wanted",
                    "{subject} requires a block in braces",
                    subject = self.subject()
                ));
            }
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
            let said = said!(
                "sieve-tag-needs-extension",
                "unknown tagged argument ':{tag}' for {subject} without its extension: write require \"{extension}\"; at the beginning",
                tag,
                subject = self.subject(),
                extension
            );
            self.wrong_at(position, said);
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
                let said = said!(
                    "sieve-tag-expects",
                    "the :{tag} tag of {subject} expects {wanted}, but {found} was found",
                    tag,
                    subject = self.subject(),
                    wanted = wanted.noun(),
                    found = argument.value.noun()
                );
                self.wrong_at(argument.at, said);
            }
            None => {
                let said = said!(
                    "sieve-tag-expects-more",
                    "the :{tag} tag of {subject} expects {wanted} after it",
                    tag,
                    subject = self.subject(),
                    wanted = wanted.noun()
                );
                self.wrong_at(position, said);
            }
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
                let said = said!(
                    "sieve-argument-kind",
                    "{subject} expects {wanted} as argument {number} ({name}), but {found} was found",
                    subject = self.subject(),
                    wanted = wanted.noun(),
                    number = number + 1,
                    name,
                    found = argument.value.noun()
                );
                self.wrong_at(argument.at, said);
            }
        }
        if left.len() < least {
            let given = left.len();
            self.wrong(said!(
                "sieve-few-arguments",
                "{subject} requires {least} positional argument{plural} ({names}), but {given} {verb} specified",
                subject = self.subject(),
                least,
                plural = if least == 1 { "" } else { "s" },
                names = names(&wanted),
                given,
                verb = if given == 1 { "is" } else { "are" }
            ));
        } else if let Some(extra) = left.get(N) {
            let (subject, found) = (self.subject(), extra.value.noun());
            let said = if N == 0 {
                said!(
                    "sieve-no-arguments",
                    "{subject} accepts no positional arguments, but {found} was found",
                    subject,
                    found
                )
            } else {
                said!(
                    "sieve-too-many-arguments",
                    "{subject} accepts at most {most} positional argument{plural} ({names}), but {found} was found as well",
                    subject,
                    most = N,
                    plural = if N == 1 { "" } else { "s" },
                    names = names(&wanted),
                    found
                )
            };
            self.wrong_at(extra.at, said);
        }
        if self.is_wrong { None } else { Some(left.into_iter().cloned().collect()) }
    }

    /// No tag may be left, and none may stand behind a positional argument (RFC 5228 §2.6.2).
    fn check_tags(&mut self) -> bool {
        let call = self.call;
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
            let subject = self.subject();
            let said = if is_taken {
                said!(
                    "sieve-tag-late",
                    "unexpected tagged argument ':{tag}' after the positional arguments of {subject}; tags come first",
                    tag,
                    subject
                )
            } else if self.known.iter().any(|known| known == tag) {
                said!(
                    "sieve-tag-twice",
                    "unexpected tagged argument ':{tag}' for {subject}: it is given twice, or together with one it excludes",
                    tag,
                    subject
                )
            } else {
                let hint = match nearest(tag, self.known.iter().copied()) {
                    Some(near) => said!("sieve-near-tag", "; did you mean ':{near}'?", near),
                    None if self.known.is_empty() => said!("sieve-has-no-tags", "; it has none"),
                    None => said!("sieve-has-tags", " (there are :{names})", names = self.known.join(", :")),
                };
                said!("sieve-unknown-tag", "unknown tagged argument ':{tag}' for {subject}{hint}", tag, subject, hint)
            };
            self.wrong_at(argument.at, said);
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
            let said = said!(
                "sieve-no-field",
                "'{name}' is not the name of a header field, so nothing is found; write it without colon and blanks",
                name = name.escape_debug()
            );
            self.checker.warn(at, said);
        }
    }

    /// An address of a mailbox, if it is known now; a display name may stand before it.
    pub(in crate::services::sieve) fn check_address(&mut self, at: Position, value: &Value) {
        if let Some(text) = value.constant()
            && let Err(why) = mailbox(text)
        {
            let said = said!(
                "sieve-no-address",
                "'{text}' is not an address for {subject}: {why}",
                text = text.escape_debug(),
                subject = self.subject(),
                why
            );
            self.wrong_at(at, said);
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
pub(in crate::services::sieve) fn mailbox(text: &str) -> Result<(String, Address), Said> {
    use crate::foundations::mail::addresses::{Entry, read};
    let mut entries = read(text.as_bytes()).into_iter();
    let (Some(Entry::Mailbox(mailbox)), None) = (entries.next(), entries.next()) else {
        return Err(said!("mailbox-one", "expected exactly one address, such as name@example.com"));
    };
    if text.contains('<') != text.contains('>') {
        return Err(said!("mailbox-bracket", "an angle bracket is not closed"));
    }
    let local = String::from_utf8_lossy(&mailbox.local).into_owned();
    let escaped = local.replace('\\', "\\\\").replace('"', "\\\"");
    let quoted = local.parse::<LocalPart>().or_else(|_| format!("\"{escaped}\"").parse());
    let domain = String::from_utf8_lossy(&mailbox.domain).parse().map_err(|error: InvalidDomain| error.said())?;
    // A name before an address without angle brackets would otherwise become a part of it.
    if !text.contains('<') && local.contains(char::is_whitespace) && !text.trim_start().starts_with('"') {
        return Err(said!("mailbox-blanks", "it contains blanks; write an address with a name in angle brackets"));
    }
    let local = quoted.map_err(|error| error.said())?;
    let address = Address::new(local, domain).map_err(|error| error.said())?;
    let name = mailbox.name.filter(|_| text.contains('<')).unwrap_or_default();
    Ok((encoded_words::decode(&name), address))
}
