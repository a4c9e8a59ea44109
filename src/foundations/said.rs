//! Sentences for users, each with a fixed word and its values, so that a program can say the same in another language.

use serde::{Serialize, Serializer};

/// A sentence or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Said {
    /// The word for it, which stays the same whatever the values and the English text are.
    #[serde(rename = "type")]
    pub word: &'static str,
    /// What the sentence names.
    #[serde(serialize_with = "by_name")]
    pub values: Vec<(&'static str, Value)>,
    /// In English.
    pub text: String,
}

impl Said {
    /// A sentence in which each `{name}` stands for the value of that name. All other braces stand for themselves.
    pub fn new(word: &'static str, sentence: &str, values: Vec<(&'static str, Value)>) -> Self {
        let known = |name: &str| values.iter().find(|(of, _)| *of == name).map(|(_, value)| value.text());
        let (mut text, mut rest) = (String::with_capacity(sentence.len()), sentence);
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(before);
            let named = after.split_once('}').and_then(|(name, behind)| Some((known(name)?, behind)));
            let (meant, behind) = named.unwrap_or(("{", after));
            text.push_str(meant);
            rest = behind;
        }
        text.push_str(rest);
        Self { word, values, text }
    }
}

/// What a sentence names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Something that is the same in every language.
    Text(String),
    /// Another sentence or a part of one.
    Said(Said),
}

impl Value {
    /// In English.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Said(said) => &said.text,
        }
    }
}

fn by_name<S: Serializer>(values: &[(&'static str, Value)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(values.iter().map(|(name, value)| (name, value)))
}

/// What can be a value. [`Said`] and [`Value`] have no `Display`, so that what can be translated never becomes a mere text.
pub trait IntoValue {
    /// As a value.
    fn into_value(self) -> Value;
}

impl<T: std::fmt::Display> IntoValue for T {
    fn into_value(self) -> Value {
        Value::Text(self.to_string())
    }
}

impl IntoValue for Said {
    fn into_value(self) -> Value {
        Value::Said(self)
    }
}

impl IntoValue for Value {
    fn into_value(self) -> Value {
        self
    }
}

/// A [`Said`]: its word, the sentence, and the values that `{name}` in the sentence stands for, each as `name = value`, or as `name` where
/// a variable has it. `tests/it/sentences.rs` finds all words by this macro, and checks that sentences and values fit together.
macro_rules! said {
    (@value $name:ident = $value:expr) => { $value };
    (@value $name:ident) => { $name };
    ($word:literal, $english:literal $(, $name:ident $(= $value:expr)?)* $(,)?) => {
        $crate::foundations::said::Said::new($word, $english, vec![$((
            stringify!($name),
            $crate::foundations::said::IntoValue::into_value(
                $crate::foundations::said::said!(@value $name $(= $value)?)
            ),
        )),*])
    };
}

pub(crate) use said;

#[cfg(test)]
mod tests {
    #[test]
    fn a_sentence_carries_its_word_and_values() {
        let why = said!("it-is-empty", "it is empty");
        // What is in a value is left as it is.
        let said = said!("cannot-read", "'{name}' with ${hex:} { cannot be read: {why}}", name = "{why}", why);
        let json = serde_json::to_value(&said).unwrap();
        let inner = serde_json::json!({ "type": "it-is-empty", "values": {}, "text": "it is empty" });
        let wanted = serde_json::json!({
            "type": "cannot-read",
            "values": { "name": "{why}", "why": inner },
            "text": "'{why}' with ${hex:} { cannot be read: it is empty}",
        });
        assert_eq!(json, wanted);
    }
}
