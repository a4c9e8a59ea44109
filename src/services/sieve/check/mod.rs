//! From the syntax tree to a program: what names mean, which arguments they take, and all mistakes.

mod arguments;
mod control;
mod strings;
mod words;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use arguments::{Arguments, Wanted, is_field_name, literals, mailbox};
pub(super) use words::{CommandWord, TestWord, Tests};

use super::extensions;
use super::host_commands::Vocabulary;
use super::parser::MAX_MISTAKES;
use super::program::{Command, Program, Test};
use super::situation::Location;
use super::syntax::{Call, Position};
use super::{EXTENSIONS, Mistake, SieveSettings};
use crate::foundations::said::{IntoValue as _, Said, Value, said};
use crate::foundations::settings::nearest;

/// Checks a script.
pub(super) fn check(
    calls: &[Call],
    settings: &SieveSettings,
    vocabulary: Option<&dyn Vocabulary>,
    mistakes: &mut Vec<Mistake>,
    warnings: &mut Vec<Mistake>,
) -> Program {
    let mut checker = Checker {
        settings,
        regular_room: settings.regex_total.get(),
        vocabulary,
        mistakes,
        warnings,
        required: BTreeSet::new(),
        variables: BTreeMap::new(),
        globals: BTreeSet::new(),
        includes: Vec::new(),
        loops: Vec::new(),
        is_beginning: true,
        is_top: true,
        ihave: Certainty::Unknown,
    };
    let commands = checker.commands(calls);
    let size = settings.regex_total.get() - checker.regular_room;
    let duplicates = checker.has("duplicate");
    Program { commands, variables: checker.variables.len(), includes: checker.includes, duplicates, size }
}

/// Characters of a name that are shown; no capability has as many.
const LONGEST_SHOWN: usize = 80;

/// What is known so far.
pub(super) struct Checker<'c> {
    pub(super) settings: &'c SieveSettings,
    /// What is left of `regex_total`.
    pub(super) regular_room: u64,
    vocabulary: Option<&'c dyn Vocabulary>,
    mistakes: &'c mut Vec<Mistake>,
    warnings: &'c mut Vec<Mistake>,
    required: BTreeSet<String>,
    /// The script's own variables and their slots.
    variables: BTreeMap<String, usize>,
    /// Those that `global` has declared.
    globals: BTreeSet<String>,
    includes: Vec<(Location, String)>,
    /// The loops that are open, with their names (RFC 5703 §3).
    loops: Vec<Option<String>>,
    /// No command except `require` has come yet.
    is_beginning: bool,
    /// Not inside a block.
    is_top: bool,
    /// What `ihave` has determined about the last test.
    ihave: Certainty,
}

/// Whether a test always has the same answer, because of `ihave` (RFC 5463 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Certainty {
    True,
    False,
    Unknown,
}

impl Checker<'_> {
    pub(super) fn mistake(&mut self, at: Position, said: Said) {
        if !self.is_full() {
            self.mistakes.push(Mistake::at(at, said));
        }
    }

    pub(super) fn warn(&mut self, at: Position, said: Said) {
        if self.warnings.len() < MAX_MISTAKES {
            self.warnings.push(Mistake::at(at, said));
        }
    }

    /// Whether there are so many mistakes that checking can stop.
    fn is_full(&self) -> bool {
        self.mistakes.len() >= MAX_MISTAKES
    }

    /// Whether the script may use an extension.
    pub(super) fn has(&self, extension: &str) -> bool {
        self.required.contains(extension)
    }

    fn commands(&mut self, calls: &[Call]) -> Vec<Command> {
        let mut commands = Vec::with_capacity(calls.len());
        let mut rest = calls;
        let mut ended = None;
        while let Some((call, others)) = rest.split_first().filter(|_| !self.is_full()) {
            rest = others;
            if let Some(by) = ended.take() {
                let said = said!(
                    "sieve-unreached",
                    "nothing from here to the end of the block is reached, because of the '{by}' before it",
                    by
                );
                self.warn(call.at, said);
            }
            match call.name.as_str() {
                "require" => self.require(call),
                "if" => {
                    // RFC 5228 §3.1: what follows belongs to it.
                    let length =
                        others.iter().take_while(|call| matches!(call.name.as_str(), "elsif" | "else")).count();
                    self.is_beginning = false;
                    commands.extend(self.conditions(call, &others[..length]));
                    rest = &others[length..];
                }
                "elsif" | "else" => {
                    self.is_beginning = false;
                    let said = said!(
                        "sieve-else-alone",
                        "'{name}' must follow the block of an 'if' or 'elsif'",
                        name = &call.name
                    );
                    self.mistake(call.at, said);
                    // Only one mistake for all that belongs to it.
                    let length =
                        others.iter().take_while(|call| matches!(call.name.as_str(), "elsif" | "else")).count();
                    rest = &others[length..];
                }
                name => {
                    self.is_beginning = false;
                    let name = matches!(name, "stop" | "return" | "break").then(|| name.to_owned());
                    commands.extend(self.command(call));
                    ended = name;
                }
            }
        }
        commands
    }

    /// RFC 5228 §3.2.
    fn require(&mut self, call: &Call) {
        if !self.is_beginning || !self.is_top {
            self.mistake(call.at, said!("sieve-require-late", "'require' must come before all other commands"));
        }
        let mut arguments = Arguments::new(self, call, "command");
        if !arguments.structure(Tests::None, false) {
            return;
        }
        let Some([list]) = arguments.positional([("extensions", Wanted::Texts)]) else { return };
        for (at, name) in arguments::literals(&list) {
            if self.is_full() {
                return;
            }
            self.require_one(at, &name);
        }
    }

    fn require_one(&mut self, at: Position, name: &str) {
        if self.knows(name) {
            self.add(name);
            return;
        }
        let hint = did_you_mean(nearest(name, EXTENSIONS.iter().copied()));
        let shown: String = name.chars().take(LONGEST_SHOWN).collect();
        let said = said!("sieve-unknown-extension", "unknown Sieve capability '{shown}'{hint}", shown, hint);
        self.mistake(at, said);
    }

    /// Whether an extension is known here.
    pub(super) fn knows(&self, name: &str) -> bool {
        EXTENSIONS.contains(&name)
            || CORE_COMPARATORS.contains(&name)
            || self.vocabulary.is_some_and(|vocabulary| vocabulary.extensions().contains(&name))
    }

    /// Makes an extension, and what it implies, usable.
    pub(super) fn add(&mut self, name: &str) {
        self.required.insert(name.to_owned());
        match name {
            // RFC 6131 §3, RFC 5235 §3.1.
            "vacation-seconds" => self.add("vacation"),
            "spamtestplus" => self.add("spamtest"),
            _ => {}
        }
    }

    pub(super) fn block(&mut self, calls: &[Call]) -> Vec<Command> {
        let was_top = std::mem::replace(&mut self.is_top, false);
        let commands = self.commands(calls);
        self.is_top = was_top;
        commands
    }

    fn command(&mut self, call: &Call) -> Option<Command> {
        if let Some(word) = self.vocabulary.and_then(|vocabulary| vocabulary.command(&call.name)) {
            let code = super::host_commands::read_command(&mut Arguments::new(self, call, "command"), word.name)?;
            return Some(Command { line: call.at.line, code });
        }
        let Some(word) = extensions::command(&call.name) else {
            self.unknown(call, "command");
            return None;
        };
        if !self.allowed(call, "command", word.extensions) {
            return None;
        }
        let mut arguments = Arguments::new(self, call, "command");
        if !arguments.structure(Tests::None, word.has_block) {
            return None;
        }
        let code = (word.read)(&mut arguments)?;
        Some(Command { line: call.at.line, code })
    }

    pub(super) fn test(&mut self, call: &Call) -> Option<Test> {
        self.ihave = Certainty::Unknown;
        let shown = std::sync::Arc::from(call.shown.as_str());
        if self.vocabulary.is_some_and(|vocabulary| vocabulary.test(&call.name)) {
            let code = super::host_commands::read_test(&mut Arguments::new(self, call, "test"), &call.name)?;
            return Some(Test { line: call.at.line, shown, code });
        }
        let Some(word) = extensions::test(&call.name) else {
            self.unknown(call, "test");
            return None;
        };
        if !self.allowed(call, "test", word.extensions) {
            return None;
        }
        let mut arguments = Arguments::new(self, call, "test");
        if !arguments.structure(word.tests, false) {
            return None;
        }
        let code = (word.read)(&mut arguments)?;
        Some(Test { line: call.at.line, shown, code })
    }

    /// Whether one of the extensions that bring a word has been required.
    fn allowed(&mut self, call: &Call, noun: &str, extensions: &[&str]) -> bool {
        let is_allowed = extensions.is_empty() || extensions.iter().any(|extension| self.has(extension));
        // Any of them does; the first brings the word itself.
        if let Some(wanted) = extensions.first().filter(|_| !is_allowed) {
            let said = said!(
                "sieve-word-needs-extension",
                "unknown {noun} '{name}' without its extension: write require \"{wanted}\"; at the beginning",
                noun,
                name = &call.name,
                wanted
            );
            self.mistake(call.at, said);
        }
        is_allowed
    }

    fn unknown(&mut self, call: &Call, noun: &str) {
        let (is_test, is_command) = (extensions::test(&call.name).is_some(), extensions::command(&call.name).is_some());
        let name = &call.name;
        let said = match noun {
            "command" if is_test => said!(
                "sieve-test-as-command",
                "cannot use test '{name}' as command; tests are written after 'if'",
                name
            ),
            "test" if is_command || is_control(name) => {
                said!("sieve-command-as-test", "cannot use command '{name}' as test", name)
            }
            _ => {
                let names: Vec<&str> = if noun == "test" {
                    extensions::all_tests().map(|word| word.name).collect()
                } else {
                    extensions::all_commands().map(|word| word.name).chain(CONTROLS.iter().copied()).collect()
                };
                let hint = did_you_mean(nearest(name, names.into_iter()));
                said!("sieve-unknown-word", "unknown {noun} '{name}'{hint}", noun, name, hint)
            }
        };
        self.mistake(call.at, said);
    }
}

/// A hint at the end of a mistake, if there is one to give.
fn did_you_mean(near: Option<&str>) -> Value {
    match near {
        Some(near) => said!("sieve-near-word", "; did you mean '{near}'?", near).into_value(),
        None => Value::Text(String::new()),
    }
}

/// Commands that the checker reads itself.
const CONTROLS: &[&str] = &["if", "elsif", "else", "require"];

fn is_control(name: &str) -> bool {
    CONTROLS.contains(&name)
}

/// Comparators that need no extension but may be required (RFC 5228 §2.7.3).
const CORE_COMPARATORS: &[&str] = &["comparator-i;octet", "comparator-i;ascii-casemap", "comparator-i;unicode-casemap"];
