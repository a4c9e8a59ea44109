//! `editheader` (RFC 5293).

use super::index::Index;
use crate::foundations::mail::compose::{Charset, field};
use crate::foundations::mail::{Field, Fields};
use crate::foundations::said::said;
use crate::services::sieve::check::{Arguments, CommandWord, Wanted, is_field_name};
use crate::services::sieve::matching::{Matcher, Matching};
use crate::services::sieve::program::{Perform, Value};
use crate::services::sieve::run::{Flow, Halt, Run};

pub(super) const COMMANDS: &[CommandWord] = &[
    CommandWord { name: "addheader", extensions: &["editheader"], has_block: false, read: read_add },
    CommandWord { name: "deleteheader", extensions: &["editheader"], has_block: false, read: read_delete },
];

#[derive(Debug)]
struct AddHeader {
    last: bool,
    name: Value,
    value: Value,
}

fn read_add(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Perform>> {
    let last = arguments.tag("last", "").is_some();
    let [name, value] = arguments.positional([("field name", Wanted::Text), ("value", Wanted::Text)])?;
    let (name_at, value_at) = (name.at, value.at);
    let (name, value) = (arguments.value(&name), arguments.value(&value));
    check_name(arguments, name_at, &name);
    if value.constant().is_some_and(|value| !is_field_value(value)) {
        let said =
            said!("sieve-field-value", "invalid value of a header field: it must not contain control characters");
        arguments.wrong_at(value_at, said);
    }
    arguments.fine(Box::new(AddHeader { last, name, value }))
}

fn check_name(arguments: &mut Arguments<'_, '_>, at: crate::services::sieve::syntax::Position, name: &Value) {
    if let Some(text) = name.constant().filter(|text| !is_field_name(text)) {
        let said = said!(
            "sieve-field-name",
            "'{name}' is an invalid header field name: no blanks, no colon, no control characters",
            name = text.chars().take(40).collect::<String>().escape_debug()
        );
        arguments.wrong_at(at, said);
    } else if name.constant().is_some_and(|text| is_protected(text, arguments.checker.settings)) {
        let said = said!("sieve-protected", "this header field is protected; the command does nothing to it");
        arguments.checker.warn(at, said);
    }
}

/// RFC 5293 §4: no control characters. Line ends become blanks, and long fields are folded again.
fn is_field_value(value: &str) -> bool {
    !value.bytes().any(|octet| octet.is_ascii_control() && !matches!(octet, b'\r' | b'\n' | b'\t'))
}

/// Fields that scripts leave alone (RFC 5293 §6).
fn is_protected(name: &str, settings: &crate::services::sieve::SieveSettings) -> bool {
    settings.protected_fields.iter().any(|protected| protected.eq_ignore_ascii_case(name))
}

/// Besides, those by which mail is known that goes in a circle.
fn is_protected_from_deletion(name: &str, settings: &crate::services::sieve::SieveSettings) -> bool {
    let tells_of_circles =
        ["Received", "Delivered-To", "Auto-Submitted"].iter().any(|one| name.eq_ignore_ascii_case(one));
    tells_of_circles || is_protected(name, settings)
}

impl Perform for AddHeader {
    fn perform(&self, run: &mut Run<'_, '_>) -> Result<Flow, Halt> {
        let name = self.name.get(run)?.into_owned();
        let value = self.value.get(run)?.into_owned();
        if !is_field_name(&name) {
            return Err(Halt::new(format!("'{name}' is an invalid header field name")));
        }
        if !is_field_value(&value) {
            return Err(Halt::new(format!("the value for the header field '{name}' contains control characters")));
        }
        let most = run.settings.added_field_size.len();
        if name.len() + value.len() > most {
            return Err(Halt::new(format!("the header field '{name}' would be longer than {most} octets")));
        }
        if is_protected(&name, run.settings) {
            run.tell(format!("does not add the protected header field '{name}'"));
            return Ok(Flow::Next);
        }
        if run.content.added >= run.settings.added_fields {
            return Err(Halt::new(format!("the script adds more than {} header fields", run.settings.added_fields)));
        }
        run.content.added += 1;
        let line = field(&name, &value, Charset::Ascii);
        let lines = run.content.lines();
        let mut new = Vec::with_capacity(lines.len() + line.len() + 2);
        if self.last {
            new.extend_from_slice(lines);
            if !new.is_empty() && !new.ends_with(b"\n") {
                new.extend_from_slice(b"\r\n");
            }
            new.extend_from_slice(line.as_bytes());
        } else {
            new.extend_from_slice(line.as_bytes());
            new.extend_from_slice(lines);
        }
        run.spend(new.len())?;
        run.content.set_lines(new);
        run.tell(format!("adds the header field '{name}'"));
        Ok(Flow::Next)
    }
}

#[derive(Debug)]
struct DeleteHeader {
    index: Option<Index>,
    name: Value,
    /// Only those whose value matches.
    matcher: Option<Matcher>,
}

fn read_delete(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Perform>> {
    let index = Index::read_of(arguments, "");
    let matching = Matching::read(arguments);
    let given = arguments.positional_with([("field name", Wanted::Text), ("value patterns", Wanted::Texts)], 1)?;
    let mut given = given.into_iter();
    let name = given.next()?;
    let at = name.at;
    let name = arguments.value(&name);
    check_name(arguments, at, &name);
    let matcher = given.next().map(|patterns| {
        let keys = arguments.values(&patterns);
        matching.with(arguments, keys)
    });
    arguments.fine(Box::new(DeleteHeader { index, name, matcher }))
}

impl Perform for DeleteHeader {
    fn perform(&self, run: &mut Run<'_, '_>) -> Result<Flow, Halt> {
        let name = self.name.get(run)?.into_owned();
        if !is_field_name(&name) {
            return Err(Halt::new(format!("'{name}' is an invalid header field name")));
        }
        if is_protected_from_deletion(&name, run.settings) {
            run.tell(format!("does not delete the protected header field '{name}'"));
            return Ok(Flow::Next);
        }
        let lines = run.content.lines().clone();
        run.spend(lines.len())?;
        let mut named: Vec<Field<'_>> = Fields::new(&lines).filter(|field| field.is(&name)).collect();
        if let Some(index) = &self.index {
            named = index.pick(named);
        }
        let mut doomed = Vec::new();
        if let Some(matcher) = self.matcher.as_ref().filter(|matcher| matcher.counts()) {
            // The number of fields is what is compared; then all of them go.
            let values: Vec<String> = named.iter().map(Field::text).collect();
            if matcher.matches(run, &values)? {
                doomed = named;
            }
        } else {
            for field in named {
                let matches = match &self.matcher {
                    Some(matcher) => matcher.matches(run, &[field.text()])?,
                    None => true,
                };
                if matches {
                    doomed.push(field);
                }
            }
        }
        if doomed.is_empty() {
            return Ok(Flow::Next);
        }
        let mut kept = Vec::with_capacity(lines.len());
        let mut at = 0;
        for field in &doomed {
            kept.extend_from_slice(&lines[at..field.range.start]);
            at = field.range.end;
        }
        kept.extend_from_slice(&lines[at..]);
        let count = doomed.len();
        run.content.set_lines(kept);
        run.tell(format!("deletes {count} header field{} '{name}'", if count == 1 { "" } else { "s" }));
        Ok(Flow::Next)
    }
}
