//! `special-use` (RFC 8579): folders by what they are for.

use crate::foundations::said::said;
use crate::services::sieve::check::{Arguments, TestWord, Tests, Wanted};
use crate::services::sieve::program::{Judge, Value};
use crate::services::sieve::run::{Halt, Run};
use crate::services::sieve::syntax::Position;

pub(super) const TESTS: &[TestWord] =
    &[TestWord { name: "specialuse_exists", extensions: &["special-use"], tests: Tests::None, read }];

/// Takes `:specialuse` with its attribute.
pub(super) fn read_tag(arguments: &mut Arguments<'_, '_>) -> Option<Value> {
    let (at, value) = arguments.tag_value("specialuse", "special-use")?;
    check(arguments, at, &value);
    Some(value)
}

fn check(arguments: &mut Arguments<'_, '_>, at: Position, value: &Value) {
    if let Some(text) = value.constant().filter(|text| !is_attribute(text)) {
        let said = said!(
            "sieve-special-use",
            "'{text}' is not a special use; write it with a backslash, as in \"\\\\Junk\"",
            text = text.escape_debug()
        );
        arguments.wrong_at(at, said);
    }
}

/// ```text
/// use-attr-ext = "\" atom      ; RFC 6154 §6
/// ```
fn is_attribute(text: &str) -> bool {
    text.strip_prefix('\\').is_some_and(|atom| {
        !atom.is_empty() && atom.bytes().all(|b| b.is_ascii_graphic() && !b"(){%*\"\\]".contains(&b))
    })
}

#[derive(Debug)]
struct Exists {
    folder: Option<Value>,
    attributes: Vec<Value>,
}

fn read(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Judge>> {
    let (folder, attributes) = if arguments.call.arguments.len() > 1 {
        let [folder, attributes] =
            arguments.positional([("folder", Wanted::Text), ("special-use attributes", Wanted::Texts)])?;
        (Some((folder.at, arguments.value(&folder))), attributes)
    } else {
        let [attributes] = arguments.positional([("special-use attributes", Wanted::Texts)])?;
        (None, attributes)
    };
    if let Some((at, folder)) = &folder {
        super::mailbox::check_name(arguments, *at, folder);
    }
    let attributes = arguments.values(&attributes);
    for (at, value) in &attributes {
        check(arguments, *at, value);
    }
    let attributes = attributes.into_iter().map(|(_, value)| value).collect();
    arguments.fine(Box::new(Exists { folder: folder.map(|(_, folder)| folder), attributes }))
}

impl Judge for Exists {
    /// RFC 8579 §3: true when each of them belongs to the folder, or to any folder when none is named.
    fn judge(&self, run: &mut Run<'_, '_>) -> Result<bool, Halt> {
        let folder = match &self.folder {
            Some(folder) => Some(folder.get(run)?),
            None => None,
        };
        for attribute in &self.attributes {
            let found = run.situation.world.special_use(&attribute.get(run)?);
            let fits = match (&found, &folder) {
                (None, _) => false,
                (Some(_), None) => true,
                (Some(found), Some(folder)) => run.situation.world.is_meant(found, folder),
            };
            if !fits {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
