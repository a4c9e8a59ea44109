//! The actions of RFC 5228 §4 and `stop` (RFC 5228 §3.3).

use super::{READ_ADDRESS, copy, imap4flags};
use crate::foundations::said::said;
use crate::services::sieve::check::{Arguments, CommandWord, Wanted, mailbox};
use crate::services::sieve::outcome::Action;
use crate::services::sieve::program::{Perform, Value};
use crate::services::sieve::run::{Flow, Halt, Run};

pub(super) const COMMANDS: &[CommandWord] = &[
    CommandWord { name: "discard", extensions: &[], has_block: false, read: read_discard },
    CommandWord { name: "keep", extensions: &[], has_block: false, read: read_keep },
    CommandWord { name: "redirect", extensions: &[], has_block: false, read: read_redirect },
    CommandWord { name: "stop", extensions: &[], has_block: false, read: read_stop },
];

#[derive(Debug)]
struct Stop;

fn read_stop(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Perform>> {
    arguments.positional([])?;
    Some(Box::new(Stop))
}

impl Perform for Stop {
    fn perform(&self, run: &mut Run<'_, '_>) -> Result<Flow, Halt> {
        run.tell("the script stops");
        Ok(Flow::Stop)
    }
}

#[derive(Debug)]
struct Discard;

fn read_discard(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Perform>> {
    arguments.positional([])?;
    Some(Box::new(Discard))
}

impl Perform for Discard {
    fn perform(&self, run: &mut Run<'_, '_>) -> Result<Flow, Halt> {
        run.tell("discards the message, unless another command stores it");
        run.keeps = false;
        Ok(Flow::Next)
    }
}

#[derive(Debug)]
struct Keep {
    flags: Option<Vec<Value>>,
}

fn read_keep(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Perform>> {
    let flags = imap4flags::read_tag(arguments);
    arguments.positional([])?;
    Some(Box::new(Keep { flags }))
}

impl Perform for Keep {
    fn perform(&self, run: &mut Run<'_, '_>) -> Result<Flow, Halt> {
        let flags = imap4flags::flags(self.flags.as_deref(), run)?;
        run.keeps = false;
        run.tell("keeps the message");
        let message = run.message()?;
        run.decide(Action::Keep { flags, implicit: false, message })?;
        Ok(Flow::Next)
    }
}

#[derive(Debug)]
struct Redirect {
    to: Value,
    copies: bool,
}

fn read_redirect(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Perform>> {
    let copies = copy::read(arguments);
    let [to] = arguments.positional([("address", Wanted::Text)])?;
    let at = to.at;
    let to = arguments.value(&to);
    arguments.check_address(at, &to);
    if arguments.checker.settings.redirects == 0 {
        arguments.wrong(said!("sieve-no-redirect", "redirecting is not allowed on this server"));
    }
    arguments.fine(Box::new(Redirect { to, copies }))
}

impl Perform for Redirect {
    fn perform(&self, run: &mut Run<'_, '_>) -> Result<Flow, Halt> {
        let text = self.to.get(run)?;
        run.spend(text.len().saturating_mul(READ_ADDRESS))?;
        let (_, to) = mailbox(&text).map_err(|why| Halt::new(format!("cannot redirect to '{text}': {}", why.text)))?;
        run.keeps &= self.copies;
        run.tell(format!("redirects {}to {to}", if self.copies { "a copy " } else { "" }));
        let message = run.message()?;
        run.decide(Action::Redirect { to, message })?;
        Ok(Flow::Next)
    }
}
