//! `mailbox` (RFC 5490 §3): whether folders exist, and creating them.

use crate::foundations::said::{Said, said};
use crate::services::sieve::check::{Arguments, TestWord, Tests, Wanted};
use crate::services::sieve::program::{Judge, Value};
use crate::services::sieve::run::{Halt, Run};
use crate::services::sieve::syntax::Position;

pub(super) const TESTS: &[TestWord] =
    &[TestWord { name: "mailboxexists", extensions: &["mailbox"], tests: Tests::None, read }];

/// Takes `:create`.
pub(super) fn read_create(arguments: &mut Arguments<'_, '_>) -> bool {
    arguments.tag("create", "mailbox").is_some()
}

/// The cost of asking whether a folder exists, in octets of work.
const LOOK_UP: usize = 1_000;

/// Longest name of a folder in octets.
const MAX_NAME: usize = 255;

/// Whether it can be the name of a folder; the error is a part of a sentence.
pub(super) fn valid(name: &str) -> Result<(), Said> {
    if name.is_empty() {
        Err(said!("sieve-folder-empty", "the name is empty"))
    } else if name.len() > MAX_NAME {
        Err(said!("sieve-folder-long", "the name is longer than {most} octets", most = MAX_NAME))
    } else if name.chars().any(char::is_control) {
        Err(said!("sieve-folder-control", "the name contains control characters"))
    } else {
        Ok(())
    }
}

/// Checks a name that is known now.
pub(super) fn check_name(arguments: &mut Arguments<'_, '_>, at: Position, value: &Value) {
    if let Some(name) = value.constant()
        && let Err(why) = valid(name)
    {
        let shown: String = name.chars().take(40).collect();
        let said = said!("sieve-folder", "invalid folder name '{name}': {why}", name = shown.escape_debug(), why);
        arguments.wrong_at(at, said);
    }
}

#[derive(Debug)]
struct Exists(Vec<Value>);

fn read(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Judge>> {
    let [names] = arguments.positional([("folder names", Wanted::Texts)])?;
    let names = arguments.values(&names);
    for (at, name) in &names {
        if let Some(constant) = name.constant().filter(|name| valid(name).is_err()) {
            let said = said!("sieve-no-folder", "a folder '{name}' cannot exist", name = constant.escape_debug());
            arguments.checker.warn(*at, said);
        }
    }
    Some(Box::new(Exists(names.into_iter().map(|(_, name)| name).collect())))
}

impl Judge for Exists {
    /// RFC 5490 §3.1: true when all of them exist and can be written to.
    fn judge(&self, run: &mut Run<'_, '_>) -> Result<bool, Halt> {
        for name in &self.0 {
            let name = name.get(run)?;
            run.spend(LOOK_UP)?;
            if valid(&name).is_err() || !run.situation.world.folder_exists(&name) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
