//! `reject` and `ereject` (RFC 5429).

use crate::services::sieve::check::{Arguments, CommandWord, Wanted};
use crate::services::sieve::outcome::Action;
use crate::services::sieve::program::{Perform, Value};
use crate::services::sieve::run::{Flow, Halt, Run};

pub(super) const COMMANDS: &[CommandWord] = &[
    CommandWord { name: "ereject", extensions: &["ereject"], has_block: false, read },
    CommandWord { name: "reject", extensions: &["reject"], has_block: false, read },
];

#[derive(Debug)]
struct Reject {
    reason: Value,
    extended: bool,
}

fn read(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Perform>> {
    let extended = arguments.call.name == "ereject";
    let [reason] = arguments.positional([("reason", Wanted::Text)])?;
    let reason = arguments.value(&reason);
    Some(Box::new(Reject { reason, extended }))
}

impl Perform for Reject {
    fn perform(&self, run: &mut Run<'_, '_>) -> Result<Flow, Halt> {
        let reason = self.reason.get(run)?.into_owned();
        run.keeps = false;
        run.tell(format!("rejects the message: {}", crate::services::sieve::matching::short(&reason)));
        run.decide(Action::Reject { reason, extended: self.extended })?;
        Ok(Flow::Next)
    }
}
