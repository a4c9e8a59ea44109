//! JSON as TOML's values, each with its place in the text, so that one reader with one kind of mistakes serves both.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::foundations::settings::{Problem, Problems};

/// Objects and lists within each other; the file needs five.
const DEEPEST: usize = 16;

/// An object's members as they stand in the text.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Collect).map(Members)
    }
}

/// Reads a whole document. `null` is taken for "not there".
pub(super) fn parse<'a>(text: &'a str, problems: &mut Problems) -> DeValue<'a> {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(raw) => Reader { text, problems }.value(raw, DEEPEST).unwrap_or_else(|| DeValue::Table(DeTable::new())),
        Err(error) => {
            let line_start =
                text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
            let at = (line_start + error.column().saturating_sub(1)).min(text.len());
            let wanted = format!("JSON: {error}");
            problems.add(Problem { key: String::new(), at: at..at, found: String::new(), wanted });
            DeValue::Table(DeTable::new())
        }
    }
}

struct Reader<'a, 'p> {
    text: &'a str,
    problems: &'p mut Problems,
}

impl<'a> Reader<'a, '_> {
    fn span(&self, raw: &RawValue) -> Range<usize> {
        // A raw value is a piece of the text it was read from.
        let start = (raw.get().as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        start..start.saturating_add(raw.get().len())
    }

    fn wrong<T>(&mut self, raw: &RawValue, wanted: &str) -> Option<T> {
        let (at, found) = (self.span(raw), raw.get().chars().take(60).collect());
        self.problems.add(Problem { key: String::new(), at, found, wanted: wanted.to_owned() });
        None
    }

    fn value(&mut self, raw: &'a RawValue, depth: usize) -> Option<DeValue<'a>> {
        let text = raw.get();
        if depth == 0 {
            return self.wrong(raw, "fewer objects and lists within each other");
        }
        match text.as_bytes().first() {
            Some(b'{') => {
                let Ok(Members(members)) = serde_json::from_str(text) else { return self.wrong(raw, "an object") };
                let mut table = DeTable::new();
                for (name, member) in members {
                    let Some(value) = self.value(member, depth - 1) else { continue };
                    let at = self.span(member);
                    let key = Spanned::new(at.clone(), Cow::Owned(name));
                    if table.insert(key, Spanned::new(at, value)).is_some() {
                        self.wrong::<()>(member, "each name once in an object");
                    }
                }
                Some(DeValue::Table(table))
            }
            Some(b'[') => {
                let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(text) else { return self.wrong(raw, "a list") };
                let mut array = DeArray::new();
                for item in items {
                    let at = self.span(item);
                    if let Some(value) = self.value(item, depth - 1) {
                        array.push(Spanned::new(at, value));
                    }
                }
                Some(DeValue::Array(array))
            }
            Some(b'"') => match serde_json::from_str(text) {
                Ok(string) => Some(DeValue::String(Cow::Owned(string))),
                Err(_) => self.wrong(raw, "a text"),
            },
            Some(b't') => Some(DeValue::Boolean(true)),
            Some(b'f') => Some(DeValue::Boolean(false)),
            Some(b'n') => None,
            // TOML writes numbers as JSON does.
            _ => match DeValue::parse(text) {
                Ok(number) => Some(number.into_inner()),
                Err(_) => self.wrong(raw, "a number"),
            },
        }
    }
}
