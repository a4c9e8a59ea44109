//! `ihave` (RFC 5463): scripts that do with what there is.

use crate::services::sieve::check::{Arguments, Certainty, CommandWord, TestWord, Tests, Wanted};
use crate::services::sieve::program::{Judge, Perform, Value};
use crate::services::sieve::run::{Flow, Halt, Run};

pub(super) const COMMANDS: &[CommandWord] =
    &[CommandWord { name: "error", extensions: &["ihave"], has_block: false, read: read_error }];

pub(super) const TESTS: &[TestWord] =
    &[TestWord { name: "ihave", extensions: &["ihave"], tests: Tests::None, read: read_test }];

/// The answer is known when the script is checked.
#[derive(Debug)]
struct Have(bool);

fn read_test(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Judge>> {
    let [names] = arguments.positional([("capabilities", Wanted::Texts)])?;
    let names: Vec<_> = crate::services::sieve::check::literals(&names).collect();
    // RFC 5463 §4: these two change what strings mean, and must be required at the beginning.
    let has = |name: &str| match name {
        "variables" | "encoded-character" => arguments.checker.has(name),
        _ => arguments.checker.knows(name),
    };
    let has_all = names.iter().all(|(_, name)| has(name));
    if has_all {
        // RFC 5463 §4: from here on they can be used.
        for (_, name) in &names {
            arguments.checker.add(name);
        }
    }
    arguments.checker.set_certainty(if has_all { Certainty::True } else { Certainty::False });
    Some(Box::new(Have(has_all)))
}

impl Judge for Have {
    fn judge(&self, _: &mut Run<'_, '_>) -> Result<bool, Halt> {
        Ok(self.0)
    }
}

#[derive(Debug)]
struct Error(Value);

fn read_error(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Perform>> {
    let [text] = arguments.positional([("message", Wanted::Text)])?;
    Some(Box::new(Error(arguments.value(&text))))
}

impl Perform for Error {
    fn perform(&self, run: &mut Run<'_, '_>) -> Result<Flow, Halt> {
        let text = self.0.get(run)?;
        Err(Halt::new(format!("the script says: {text}")))
    }
}
