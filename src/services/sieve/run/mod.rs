//! Running a program: its state, its limits, and its actions.

mod content;
mod decide;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) use content::{Content, HeaderField};

use super::extensions::shown;
use super::host_commands::Host;
use super::matching::{Comparator, Regular};
use super::outcome::{Action, Failure, Outcome, Remember, Step};
use super::program::{Command, Piece, Program, Test};
use super::situation::Location;
use super::{SieveSettings, Situation};
use crate::foundations::mail::Message;

/// Where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Flow {
    Next,
    /// The whole script is over (RFC 5228 §3.3).
    Stop,
    /// The included script is over (RFC 6609 §3.3).
    Return,
    /// The innermost loop, or the one of that name, is over (RFC 5703 §3.2).
    Break(Option<Arc<str>>),
    /// The innermost block of a foreign command is over.
    Leave,
}

/// Why a script cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Halt(pub(super) String);

impl Halt {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// One run about one message.
pub(super) struct Run<'r, 'a> {
    pub(super) situation: Situation<'a>,
    pub(super) settings: &'r SieveSettings,
    pub(super) host: Option<&'r mut dyn Host<'a>>,
    pub(super) content: Content,
    pub(super) actions: Vec<Action>,
    pub(super) remember: Vec<Remember>,
    /// No action has taken the implicit keep away yet (RFC 5228 §2.10.2).
    pub(super) keeps: bool,
    /// The internal variable of imap4flags (RFC 5232 §2).
    pub(super) flags: Vec<String>,
    /// What wildcards have matched last (RFC 5229 §3.2).
    pub(super) captures: Vec<String>,
    pub(super) globals: BTreeMap<String, String>,
    /// The scripts that are running, the innermost last.
    pub(super) frames: Vec<Frame>,
    /// How many scripts have been included, and which (RFC 6609 §3.2 `:once`).
    pub(super) included: u32,
    pub(super) included_names: std::collections::BTreeSet<String>,
    /// The part that the innermost `foreverypart` is at.
    pub(super) part: Option<usize>,
    /// Expressions made of variables that were compiled last.
    pub(super) regulars: Vec<(Comparator, String, Arc<Regular>)>,
    /// The reason why the last test was true, for the trace.
    pub(super) because: Option<String>,
    pub(super) trace: Vec<Step>,
    work: u64,
    line: u32,
}

/// One script that is running.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) name: Option<String>,
    variables: Vec<String>,
}

impl Frame {
    pub(super) fn of(name: Option<String>, program: &Program) -> Self {
        Self { name, variables: vec![String::new(); program.variables] }
    }
}

/// Runs a program.
pub(super) fn run<'r, 'a>(
    program: &Program,
    situation: &Situation<'a>,
    settings: &'r SieveSettings,
    host: Option<&'r mut dyn Host<'a>>,
) -> Outcome {
    let mut run = Run {
        situation: *situation,
        settings,
        host,
        content: Content::of(situation.message),
        actions: Vec::new(),
        remember: Vec::new(),
        keeps: true,
        flags: Vec::new(),
        captures: Vec::new(),
        globals: BTreeMap::new(),
        frames: vec![Frame::of(None, program)],
        included: 0,
        included_names: situation.script.map(|name| shown(Location::Personal, name)).into_iter().collect(),
        part: None,
        regulars: Vec::new(),
        because: None,
        trace: Vec::new(),
        work: settings.work,
        line: 0,
    };
    let result = run.commands(&program.commands);
    run.finish(result)
}

impl Run<'_, '_> {
    /// Runs commands up to the end, or until one of them transfers control.
    pub(super) fn commands(&mut self, commands: &[Command]) -> Result<Flow, Halt> {
        for command in commands {
            self.line = command.line;
            self.spend(COMMAND)?;
            match command.code.perform(self)? {
                Flow::Next => {}
                flow => return Ok(flow),
            }
        }
        Ok(Flow::Next)
    }

    /// Answers a test.
    pub(super) fn judge(&mut self, test: &Test) -> Result<bool, Halt> {
        self.line = test.line;
        self.spend(COMMAND)?;
        self.because = None;
        let holds = test.code.judge(self)?;
        if test.code.is_told() {
            let because = self.because.take().filter(|_| holds);
            let because = because.map_or_else(String::new, |because| format!(": {because}"));
            self.tell(format!("`{}` is {holds}{because}", test.shown));
        }
        Ok(holds)
    }

    /// Adds a line to the trace.
    pub(super) fn tell(&mut self, text: impl Into<String>) {
        if self.trace.len() < Outcome::MAX_TRACE {
            let script = self.frames.last().and_then(|frame| frame.name.clone());
            self.trace.push(Step { script, line: self.line, text: text.into() });
        }
    }

    /// Uses up this much of the allowed work.
    pub(super) fn spend(&mut self, octets: usize) -> Result<(), Halt> {
        match self.work.checked_sub(octets as u64) {
            Some(left) => {
                self.work = left;
                Ok(())
            }
            None => {
                self.work = 0;
                Err(Halt::new(
                    "the script needs too much work for this message; look for long patterns and repeated tests of the body",
                ))
            }
        }
    }

    pub(super) fn variable(&self, slot: usize) -> &str {
        self.frames.last().and_then(|frame| frame.variables.get(slot)).map_or("", String::as_str)
    }

    /// What a piece of a text stands for.
    pub(super) fn piece<'p>(&'p self, piece: &'p Piece) -> &'p str {
        match piece {
            Piece::Text(text) => text,
            Piece::Own(slot) => self.variable(*slot),
            Piece::Global(name) => self.globals.get(&**name).map_or("", String::as_str),
            Piece::Match(number) => self.captures.get(*number).map_or("", String::as_str),
        }
    }

    /// The message as it is now, for an action that is done later. If the header was edited since the last action, the whole
    /// message is copied again.
    pub(super) fn message(&mut self) -> Result<Message, Halt> {
        if self.content.is_to_be_joined() {
            self.spend(self.content.len())?;
        }
        Ok(self.content.message())
    }

    /// What a variable holds.
    pub(super) fn value_of(&self, variable: &Piece) -> String {
        match variable {
            Piece::Own(slot) => self.variable(*slot).to_owned(),
            Piece::Global(name) => self.globals.get(&**name).cloned().unwrap_or_default(),
            Piece::Text(_) | Piece::Match(_) => String::new(),
        }
    }

    /// Sets a variable.
    pub(super) fn assign(&mut self, variable: &Piece, value: String) {
        match variable {
            Piece::Own(slot) => self.set_variable(*slot, value),
            Piece::Global(name) => self.set_global(name, value),
            Piece::Text(_) | Piece::Match(_) => {}
        }
    }

    /// Sets a variable of the running script, cut to the maximum length.
    fn set_variable(&mut self, slot: usize, mut value: String) {
        self.cut(&mut value);
        if let Some(variable) = self.frames.last_mut().and_then(|frame| frame.variables.get_mut(slot)) {
            *variable = value;
        }
    }

    fn set_global(&mut self, name: &str, mut value: String) {
        self.cut(&mut value);
        if self.globals.len() < self.settings.variables as usize || self.globals.contains_key(name) {
            self.globals.insert(name.to_owned(), value);
        }
    }

    fn cut(&self, value: &mut String) {
        let most = self.settings.variable_size as usize;
        if value.len() > most {
            value.truncate(value.floor_char_boundary(most));
        }
    }

    fn finish(mut self, result: Result<Flow, Halt>) -> Outcome {
        let failure = match result.and_then(|_| self.implicit_keep()) {
            Ok(()) => None,
            Err(Halt(text)) => {
                self.tell(format!("the script ended here: {text}"));
                // RFC 5228 §2.10.6: earlier decisions are discarded, so that nothing is done by halves, and the message is kept.
                self.actions.clear();
                self.remember.clear();
                self.content = Content::of(self.situation.message);
                let message = self.content.message();
                self.actions.push(Action::Keep { flags: Vec::new(), implicit: true, message });
                Some(Failure { line: self.line, text })
            }
        };
        // Answers and notifications leave nothing of it behind.
        if self.actions.iter().all(|action| matches!(action, Action::Notify(_) | Action::Vacation(_))) {
            self.actions.push(Action::Discard);
        }
        let message = self.content.message();
        Outcome { actions: self.actions, message, remember: self.remember, failure, trace: self.trace }
    }

    /// RFC 5228 §2.10.2.
    fn implicit_keep(&mut self) -> Result<(), Halt> {
        if !self.keeps {
            return Ok(());
        }
        let has_keep = self.actions.iter().any(|action| matches!(action, Action::Keep { .. }));
        if !has_keep {
            self.tell("no command said what happens to the message, so it is kept");
            let (flags, message) = (self.flags.clone(), self.content.message());
            self.actions.push(Action::Keep { flags, implicit: true, message });
        }
        Ok(())
    }
}

/// The minimum cost of a command or test, in octets of work.
const COMMAND: usize = 100;
