//! `if`, `elsif` and `else` (RFC 5228 §3.1).

use super::{Arguments, Certainty, Checker, Tests};
use crate::foundations::said::said;
use crate::services::sieve::program::{Command, Perform, Test};
use crate::services::sieve::run::{Flow, Halt, Run};
use crate::services::sieve::syntax::Call;

/// The branches, of which the first whose test holds is taken. Without a test: the `else`.
#[derive(Debug)]
struct If(Vec<(Option<Test>, Vec<Command>)>);

impl Perform for If {
    fn perform(&self, run: &mut Run<'_, '_>) -> Result<Flow, Halt> {
        for (test, block) in &self.0 {
            let holds = match test {
                Some(test) => run.judge(test)?,
                None => true,
            };
            if holds {
                return run.commands(block);
            }
        }
        Ok(Flow::Next)
    }
}

impl Checker<'_> {
    pub(super) fn conditions(&mut self, first: &Call, others: &[Call]) -> Option<Command> {
        let mut branches = Vec::new();
        // RFC 5463 §4: what is never reached because of an extension that is not there is not looked at.
        let mut is_dead = false;
        let mut seen_else = false;
        for call in std::iter::once(first).chain(others) {
            if seen_else {
                let said = said!("sieve-after-else", "'{name}' must not follow an 'else'", name = &call.name);
                self.mistake(call.at, said);
                continue;
            }
            seen_else = call.name == "else";
            let tests = if seen_else { Tests::None } else { Tests::One };
            let mut arguments = Arguments::new(self, call, "command");
            if !arguments.structure(tests, true) || arguments.positional([]).is_none() || is_dead {
                continue;
            }
            let (test, certainty) = match call.tests.first() {
                Some(test) => {
                    let test = self.test(test);
                    (test, self.ihave)
                }
                None => (None, Certainty::True),
            };
            if certainty == Certainty::False {
                continue;
            }
            is_dead = certainty == Certainty::True;
            let block = self.block(call.block.as_deref().unwrap_or_default());
            if seen_else || test.is_some() {
                branches.push((test, block));
            }
        }
        Some(Command { line: first.at.line, code: Box::new(If(branches)) })
    }

    /// What `ihave` has made certain about the test that is being read.
    pub(in crate::services::sieve) const fn set_certainty(&mut self, certainty: Certainty) {
        self.ihave = certainty;
    }

    /// Opens a loop with its name.
    pub(in crate::services::sieve) fn open_loop(&mut self, name: Option<String>) {
        self.loops.push(name);
    }

    /// Closes the innermost loop.
    pub(in crate::services::sieve) fn close_loop(&mut self) {
        self.loops.pop();
    }

    /// The names of the open loops.
    pub(in crate::services::sieve) fn loops(&self) -> &[Option<String>] {
        &self.loops
    }

    /// Notes that a script is included.
    pub(in crate::services::sieve) fn includes(&mut self, location: crate::services::sieve::Location, name: &str) {
        self.includes.push((location, name.to_owned()));
    }
}
