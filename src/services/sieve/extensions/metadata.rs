//! `mboxmetadata` and `servermetadata` (RFC 5490 §4, §5): annotations of folders and of the account, as IMAP has them.

use crate::foundations::said::said;
use crate::foundations::wire::imap::EntryName;
use crate::services::sieve::check::{Arguments, TestWord, Tests, Wanted};
use crate::services::sieve::matching::{Matcher, Matching};
use crate::services::sieve::program::{Judge, Value};
use crate::services::sieve::run::{Halt, Run};
use crate::services::sieve::syntax::Argument;

pub(super) const TESTS: &[TestWord] = &[
    TestWord { name: "metadata", extensions: &["mboxmetadata"], tests: Tests::None, read: read_metadata },
    TestWord { name: "metadataexists", extensions: &["mboxmetadata"], tests: Tests::None, read: read_exists },
    TestWord { name: "servermetadata", extensions: &["servermetadata"], tests: Tests::None, read: read_server },
    TestWord {
        name: "servermetadataexists",
        extensions: &["servermetadata"],
        tests: Tests::None,
        read: read_server_exists,
    },
];

/// Whether a value matches.
#[derive(Debug)]
struct Metadata {
    /// The account's when there is none.
    folder: Option<Value>,
    entry: Value,
    matcher: Matcher,
}

/// Whether all of some entries are there.
#[derive(Debug)]
struct Exists {
    folder: Option<Value>,
    entries: Vec<Value>,
}

fn read_metadata(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Judge>> {
    let matching = Matching::read(arguments);
    let [folder, entry, keys] = arguments.positional([
        ("folder name", Wanted::Text),
        ("annotation name", Wanted::Text),
        ("key list", Wanted::Texts),
    ])?;
    let (folder, entry) = (arguments.value(&folder), arguments.value(&entry));
    let keys = arguments.values(&keys);
    let matcher = matching.with(arguments, keys);
    arguments.fine(Box::new(Metadata { folder: Some(folder), entry, matcher }))
}

fn read_server(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Judge>> {
    let matching = Matching::read(arguments);
    let [entry, keys] = arguments.positional([("annotation name", Wanted::Text), ("key list", Wanted::Texts)])?;
    let entry = arguments.value(&entry);
    let keys = arguments.values(&keys);
    let matcher = matching.with(arguments, keys);
    arguments.fine(Box::new(Metadata { folder: None, entry, matcher }))
}

fn read_exists(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Judge>> {
    let [folder, entries] =
        arguments.positional([("folder name", Wanted::Text), ("annotation names", Wanted::Texts)])?;
    let folder = Some(arguments.value(&folder));
    let entries = entries_of(arguments, &entries);
    arguments.fine(Box::new(Exists { folder, entries }))
}

fn read_server_exists(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Judge>> {
    let [entries] = arguments.positional([("annotation names", Wanted::Texts)])?;
    let entries = entries_of(arguments, &entries);
    arguments.fine(Box::new(Exists { folder: None, entries }))
}

/// The names of annotations in an argument; one that cannot be a name is never there, which is worth a warning.
fn entries_of(arguments: &mut Arguments<'_, '_>, given: &Argument) -> Vec<Value> {
    let entries = arguments.values(given);
    for (at, entry) in &entries {
        if let Some(constant) = entry.constant().filter(|name| EntryName::parse(name).is_none()) {
            let said =
                said!("sieve-no-annotation", "an annotation '{name}' cannot exist", name = constant.escape_debug());
            arguments.checker.warn(*at, said);
        }
    }
    entries.into_iter().map(|(_, entry)| entry).collect()
}

/// The cost of asking for an annotation, in octets of work.
const LOOK_UP: usize = 5_000;

/// The value of an annotation, if there is one.
fn look_up(run: &mut Run<'_, '_>, folder: Option<&Value>, entry: &Value) -> Result<Option<String>, Halt> {
    let folder = folder.map(|folder| folder.get(run)).transpose()?;
    let entry = entry.get(run)?;
    let Some(entry) = EntryName::parse(&entry) else { return Ok(None) };
    run.spend(LOOK_UP)?;
    Ok(run.situation.world.metadata(folder.as_deref(), entry.as_str()))
}

impl Judge for Metadata {
    /// RFC 5490 §4.1: false where there is no such folder or annotation.
    fn judge(&self, run: &mut Run<'_, '_>) -> Result<bool, Halt> {
        match look_up(run, self.folder.as_ref(), &self.entry)? {
            Some(value) => self.matcher.matches(run, &[value]),
            None => Ok(false),
        }
    }
}

impl Judge for Exists {
    /// RFC 5490 §4.2: true when all of them exist.
    fn judge(&self, run: &mut Run<'_, '_>) -> Result<bool, Halt> {
        for entry in &self.entries {
            if look_up(run, self.folder.as_ref(), entry)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
