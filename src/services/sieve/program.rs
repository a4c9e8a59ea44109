//! What a checked script consists of.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use super::run::{Flow, Halt, Run};
use super::situation::Location;

/// A checked script.
#[derive(Debug, Default)]
pub(super) struct Program {
    pub(super) commands: Vec<Command>,
    /// How many variables it has of its own.
    pub(super) variables: usize,
    /// The scripts that it includes and that must be there.
    pub(super) includes: Vec<(Location, String)>,
    /// Whether it may use `duplicate`.
    pub(super) duplicates: bool,
    /// Octets that it takes in memory, about.
    pub(super) size: u64,
}

/// A command where it stands.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) line: u32,
    pub(super) code: Box<dyn Perform>,
}

/// A test where it stands.
#[derive(Debug)]
pub(super) struct Test {
    pub(super) line: u32,
    /// Its text, for the trace.
    pub(super) shown: Arc<str>,
    pub(super) code: Box<dyn Judge>,
}

/// What a command does.
pub(super) trait Perform: Debug + Send + Sync {
    /// Does it.
    fn perform(&self, run: &mut Run<'_, '_>) -> Result<Flow, Halt>;
}

/// What a test finds out.
pub(super) trait Judge: Debug + Send + Sync {
    /// Finds it out.
    fn judge(&self, run: &mut Run<'_, '_>) -> Result<bool, Halt>;

    /// Whether the answer deserves a line in the trace; connectives leave that to the tests inside them.
    fn is_told(&self) -> bool {
        true
    }
}

/// A string of a script, in which variables may stand (RFC 5229 §3).
#[derive(Debug, Clone)]
pub(super) enum Value {
    Plain(Box<str>),
    Template {
        pieces: Box<[Piece]>,
        /// With the names of the variables.
        written: Box<str>,
    },
}

/// A piece of a string with variables.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    Text(Box<str>),
    /// A variable of the script.
    Own(usize),
    /// A variable that all included scripts share (RFC 6609 §3.4).
    Global(Box<str>),
    /// What a wildcard has matched (RFC 5229 §3.2).
    Match(usize),
}

impl Value {
    /// The text, unless it depends on variables.
    pub(super) fn constant(&self) -> Option<&str> {
        match self {
            Self::Plain(text) => Some(text),
            Self::Template { .. } => None,
        }
    }

    /// The text as the script has it, variables not put in.
    pub(super) fn written(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Template { written, .. } => written,
        }
    }

    /// The text now.
    pub(super) fn get(&self, run: &mut Run<'_, '_>) -> Result<Cow<'_, str>, Halt> {
        run.spend(TEXT)?;
        let pieces = match self {
            Self::Plain(text) => {
                run.spend(text.len())?;
                return Ok(Cow::Borrowed(text));
            }
            Self::Template { pieces, .. } => pieces,
        };
        let mut text = String::new();
        for piece in pieces {
            // Before it is copied: a script may name the same long value thousands of times.
            let length = run.piece(piece).len();
            run.spend(PIECE + length)?;
            if text.len() + length > LONGEST {
                return Err(Halt::new(format!("with its variables expanded, a text is longer than {LONGEST} octets")));
            }
            text.push_str(run.piece(piece));
        }
        Ok(Cow::Owned(text))
    }
}

/// The cost of a text, and of a piece of it, besides its length, in octets of work: loops process very long lists again
/// and again.
pub(super) const TEXT: usize = 16;
const PIECE: usize = 2;

/// Octets of a text with variables in it; those of `set` are cut shorter (RFC 5229 §3).
const LONGEST: usize = 1 << 20;

/// The texts of a list now.
pub(super) fn texts<'v>(values: &'v [Value], run: &mut Run<'_, '_>) -> Result<Vec<Cow<'v, str>>, Halt> {
    values.iter().map(|value| value.get(run)).collect()
}
