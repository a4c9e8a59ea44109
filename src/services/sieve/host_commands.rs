//! Commands and tests of an embedding program, such as a suite of tests: the engine reads their arguments and asks the
//! program what they mean.

use std::fmt;

use super::check::Arguments;
use super::outcome::Action;
use super::program::{Command, Judge, Perform, Value, texts};
use super::run::{Content, Flow, Halt, Run};
use super::situation::Situation;
use super::syntax::Given;
use crate::foundations::mail::Message;

/// The words an embedding program adds.
pub trait Vocabulary {
    /// What `require` may name for them; they are known whether it does or not.
    fn extensions(&self) -> &[&'static str];

    /// The command of that name.
    fn command(&self, name: &str) -> Option<HostCommand>;

    /// Whether there is a test of that name.
    fn test(&self, name: &str) -> bool;
}

/// A command of an embedding program. It may have a block.
#[derive(Debug, Clone, Copy)]
pub struct HostCommand {
    /// Its name.
    pub name: &'static str,
}

/// An argument of a command or test of the embedding program, variables put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostArgument {
    /// A number.
    Number(u64),
    /// A tag, without the colon.
    Tag(String),
    /// A string, or a list of them.
    Texts(Vec<String>),
}

/// What a command or test of the embedding program leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The test holds; the command is done, and its block is run.
    Yes,
    /// The test does not hold; the block of the command is left out.
    No,
    /// The innermost block of such a command is over.
    Leave,
    /// The script cannot go on, for this reason.
    Fail(String),
}

/// What an embedding program may look at and change when it is asked.
#[derive(Debug)]
pub struct Stage<'s, 'a> {
    /// The facts. Another message in it is the message from now on.
    pub situation: &'s mut Situation<'a>,
    /// What has been decided so far; after clearing it the implicit keep is in force again.
    pub actions: &'s mut Vec<Action>,
    /// The message as it is now, edited fields and all.
    pub message: Message,
    /// Whether the implicit keep is in force.
    pub keeps: &'s mut bool,
    /// The flags that the implicit keep would set.
    pub flags: &'s mut Vec<String>,
}

/// The embedding program, which knows what its words mean.
pub trait Host<'a> {
    /// Performs a command or answers a test.
    fn call(&mut self, name: &str, arguments: &[HostArgument], stage: Stage<'_, 'a>) -> Answer;
}

struct HostCall {
    name: String,
    arguments: Vec<Argument>,
    block: Vec<Command>,
}

impl fmt::Debug for HostCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

enum Argument {
    Number(u64),
    Tag(String),
    Texts(Vec<Value>),
}

pub(super) fn read_command(arguments: &mut Arguments<'_, '_>, name: &'static str) -> Option<Box<dyn Perform>> {
    let mut call = read(arguments, name);
    call.block = arguments.block();
    Some(Box::new(call))
}

pub(super) fn read_test(arguments: &mut Arguments<'_, '_>, name: &str) -> Option<Box<dyn Judge>> {
    Some(Box::new(read(arguments, name)))
}

fn read(arguments: &mut Arguments<'_, '_>, name: &str) -> HostCall {
    let call = arguments.call;
    let read = call.arguments.iter().map(|argument| match &argument.value {
        Given::Number(number) => Argument::Number(*number),
        Given::Tag(tag) => Argument::Tag(tag.clone()),
        Given::Text(_) | Given::Texts(_) => {
            Argument::Texts(arguments.values(argument).into_iter().map(|(_, value)| value).collect())
        }
    });
    HostCall { name: name.to_owned(), arguments: read.collect(), block: Vec::new() }
}

impl HostCall {
    fn ask(&self, run: &mut Run<'_, '_>) -> Result<Answer, Halt> {
        let mut given = Vec::with_capacity(self.arguments.len());
        for argument in &self.arguments {
            given.push(match argument {
                Argument::Number(number) => HostArgument::Number(*number),
                Argument::Tag(tag) => HostArgument::Tag(tag.clone()),
                Argument::Texts(values) => {
                    HostArgument::Texts(texts(values, run)?.into_iter().map(|text| text.into_owned()).collect())
                }
            });
        }
        let before = run.situation.message;
        let message = run.message()?;
        let Some(host) = run.host.as_mut() else {
            return Err(Halt::new(format!("'{}' has no meaning here", self.name)));
        };
        let stage = Stage {
            situation: &mut run.situation,
            actions: &mut run.actions,
            message,
            keeps: &mut run.keeps,
            flags: &mut run.flags,
        };
        let answer = host.call(&self.name, &given, stage);
        if !std::ptr::eq(before, run.situation.message) {
            run.content = Content::of(run.situation.message);
        }
        match answer {
            Answer::Fail(text) => Err(Halt(text)),
            answer => Ok(answer),
        }
    }
}

impl Perform for HostCall {
    fn perform(&self, run: &mut Run<'_, '_>) -> Result<Flow, Halt> {
        Ok(match self.ask(run)? {
            Answer::Yes => match run.commands(&self.block)? {
                Flow::Leave => Flow::Next,
                flow => flow,
            },
            Answer::Leave => Flow::Leave,
            Answer::No | Answer::Fail(_) => Flow::Next,
        })
    }
}

impl Judge for HostCall {
    fn judge(&self, run: &mut Run<'_, '_>) -> Result<bool, Halt> {
        Ok(self.ask(run)? == Answer::Yes)
    }
}
