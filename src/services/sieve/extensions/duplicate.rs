//! `duplicate` (RFC 7352): whether the same message has come before.

use std::time::Duration;

use super::reply::{fingerprint, original};
use crate::foundations::said::said;
use crate::services::sieve::check::{Arguments, TestWord, Tests};
use crate::services::sieve::outcome::Remember;
use crate::services::sieve::program::{Judge, Value};
use crate::services::sieve::run::{Halt, Run};

pub(super) const TESTS: &[TestWord] =
    &[TestWord { name: "duplicate", extensions: &["duplicate"], tests: Tests::None, read }];

/// What makes a message the same as another.
#[derive(Debug)]
enum Identity {
    /// A header field.
    Header(Value),
    /// A text of the script.
    Unique(Value),
}

#[derive(Debug)]
struct Duplicate {
    handle: Option<Value>,
    identity: Identity,
    span: Duration,
    /// The time runs from the last one of them, not from the first.
    last: bool,
}

fn read(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Judge>> {
    let handle = arguments.tag_value("handle", "").map(|(_, value)| value);
    let header = arguments.tag_value("header", "");
    let unique = arguments.tag_value("uniqueid", "");
    let seconds = arguments.tag_number("seconds", "");
    let last = arguments.tag("last", "").is_some();
    arguments.positional([])?;
    let identity = match (header, unique) {
        (Some((at, _)), Some(_)) => {
            let said = said!(
                "sieve-duplicate-tags",
                "':header' and ':uniqueid' exclude each other: conflicting tags for the duplicate test"
            );
            arguments.wrong_at(at, said);
            return None;
        }
        (Some((at, name)), None) => {
            // RFC 7352 §3.1: then the message is no duplicate.
            arguments.check_field_name(at, &name);
            Identity::Header(name)
        }
        (None, Some((_, unique))) => Identity::Unique(unique),
        (None, None) => Identity::Header(Value::Plain("Message-ID".into())),
    };
    let settings = arguments.checker.settings;
    let most = settings.duplicate_most.duration();
    let span =
        seconds.map_or(settings.duplicate_default.duration(), |(_, seconds)| Duration::from_secs(seconds)).min(most);
    arguments.fine(Box::new(Duplicate { handle, identity, span, last }))
}

impl Judge for Duplicate {
    fn judge(&self, run: &mut Run<'_, '_>) -> Result<bool, Halt> {
        // RFC 7352 §3.3.
        if self.span.is_zero() {
            return Ok(false);
        }
        let identity = match &self.identity {
            Identity::Unique(text) => text.get(run)?.into_owned(),
            Identity::Header(name) => {
                let name = name.get(run)?;
                run.spend(run.content.lines().len())?;
                // RFC 7352 §3.1: without the field it is no duplicate.
                let Some(text) = original(run, &name) else { return Ok(false) };
                text
            }
        };
        let handle = match &self.handle {
            Some(handle) => handle.get(run)?.into_owned(),
            None => String::new(),
        };
        let key = fingerprint(&[b"duplicate", handle.as_bytes(), identity.as_bytes()]);
        let seen = run.situation.world.seen_before(&key);
        if (!seen || self.last) && !run.remember.iter().any(|remember| remember.key == key) {
            let most = run.settings.actions as usize;
            if run.remember.len() >= most {
                return Err(Halt::new(format!(
                    "the script looks for more than {most} kinds of duplicates of one message"
                )));
            }
            run.remember.push(Remember { key, span: self.span });
        }
        Ok(seen)
    }
}
