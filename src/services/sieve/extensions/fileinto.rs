//! `fileinto` (RFC 5228 §4.1), with what `copy`, `imap4flags`, `mailbox` and `special-use` add to it.

use super::{copy, imap4flags, mailbox, special_use};
use crate::services::sieve::check::{Arguments, CommandWord, Wanted};
use crate::services::sieve::outcome::{Action, FileInto};
use crate::services::sieve::program::{Perform, Value};
use crate::services::sieve::run::{Flow, Halt, Run};

pub(super) const COMMANDS: &[CommandWord] =
    &[CommandWord { name: "fileinto", extensions: &["fileinto"], has_block: false, read }];

#[derive(Debug)]
struct Store {
    folder: Value,
    copies: bool,
    flags: Option<Vec<Value>>,
    create: bool,
    special_use: Option<Value>,
}

fn read(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Perform>> {
    let copies = copy::read(arguments);
    let flags = imap4flags::read_tag(arguments);
    let create = mailbox::read_create(arguments);
    let special_use = special_use::read_tag(arguments);
    let [folder] = arguments.positional([("folder", Wanted::Text)])?;
    let at = folder.at;
    let folder = arguments.value(&folder);
    mailbox::check_name(arguments, at, &folder);
    arguments.fine(Box::new(Store { folder, copies, flags, create, special_use }))
}

impl Perform for Store {
    fn perform(&self, run: &mut Run<'_, '_>) -> Result<Flow, Halt> {
        let named = self.folder.get(run)?.into_owned();
        if let Err(why) = mailbox::valid(&named) {
            return Err(Halt::new(format!("cannot store in the folder '{named}': {}", why.text)));
        }
        let flags = imap4flags::flags(self.flags.as_deref(), run)?;
        let special_use = match &self.special_use {
            Some(attribute) => Some(attribute.get(run)?.into_owned()),
            None => None,
        };
        // RFC 8579 §4: a folder with the special use goes before the one that is named.
        let special = special_use.as_deref().and_then(|attribute| run.situation.world.special_use(attribute));
        let folder = special.unwrap_or(named);
        run.keeps &= self.copies;
        run.tell(format!("stores {} in the folder '{folder}'", if self.copies { "a copy" } else { "the message" }));
        let message = run.message()?;
        run.decide(Action::FileInto(FileInto { folder, flags, create: self.create, special_use, message }))?;
        Ok(Flow::Next)
    }
}
