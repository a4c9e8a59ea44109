//! `fcc` (RFC 8580): a copy of what is sent goes into a folder.

use super::{imap4flags, mailbox, special_use};
use crate::services::sieve::check::Arguments;
use crate::services::sieve::outcome::FileCopy;
use crate::services::sieve::program::Value;
use crate::services::sieve::run::{Halt, Run};

/// Where to.
#[derive(Debug)]
pub(super) struct Fcc {
    folder: Value,
    flags: Option<Vec<Value>>,
    create: bool,
    special_use: Option<Value>,
}

impl Fcc {
    /// Takes `:fcc` and the tags that go with it (RFC 8580 §3).
    pub(super) fn read(arguments: &mut Arguments<'_, '_>) -> Option<Self> {
        let (at, folder) = arguments.tag_value("fcc", "fcc")?;
        mailbox::check_name(arguments, at, &folder);
        let flags = imap4flags::read_tag(arguments);
        let create = mailbox::read_create(arguments);
        let special_use = special_use::read_tag(arguments);
        Some(Self { folder, flags, create, special_use })
    }

    pub(super) fn get(&self, run: &mut Run<'_, '_>) -> Result<FileCopy, Halt> {
        let named = self.folder.get(run)?.into_owned();
        if let Err(why) = mailbox::valid(&named) {
            return Err(Halt::new(format!("cannot store a copy in the folder '{named}': {}", why.text)));
        }
        // RFC 8580 §3.1: the internal flags are not for the copy.
        let flags = match &self.flags {
            Some(flags) => imap4flags::flags(Some(flags), run)?,
            None => Vec::new(),
        };
        let special_use = match &self.special_use {
            Some(attribute) => Some(attribute.get(run)?.into_owned()),
            None => None,
        };
        let special = special_use.as_deref().and_then(|attribute| run.situation.world.special_use(attribute));
        Ok(FileCopy { folder: special.unwrap_or(named), flags, create: self.create, special_use })
    }
}
