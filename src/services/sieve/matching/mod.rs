//! Comparing values with keys: comparators (RFC 4790) and match types (RFC 5228 §2.7, RFC 5231, regex).

mod comparator;
mod pattern;
mod regular;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

pub(super) use comparator::Comparator;
pub(super) use regular::Regular;

use super::check::{Arguments, Checker};
use super::program::Value;
use super::run::{Halt, Run};
use super::syntax::Position;
use crate::foundations::said::said;

/// How values are compared.
#[derive(Debug, Clone)]
pub(super) struct Matching {
    comparator: Comparator,
    kind: Kind,
    /// Whether matches are remembered in variables (RFC 5229 §3.2).
    captures: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Is,
    Contains,
    Matches,
    Regex,
    Value(Relation),
    Count(Relation),
}

/// RFC 5231 §4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
}

impl Relation {
    fn read(word: &str) -> Option<Self> {
        Some(match word {
            "gt" => Self::Greater,
            "ge" => Self::GreaterOrEqual,
            "lt" => Self::Less,
            "le" => Self::LessOrEqual,
            "eq" => Self::Equal,
            "ne" => Self::NotEqual,
            _ => return None,
        })
    }

    const fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
        }
    }
}

/// Keys ready to be compared with.
#[derive(Debug)]
pub(super) struct Matcher {
    matching: Matching,
    keys: Vec<Key>,
    /// A key that depends on variables counts as one per word in its value.
    by_words: bool,
}

#[derive(Debug)]
struct Key {
    value: Value,
    /// The compiled expression, when it does not depend on variables.
    regex: Option<Arc<Regular>>,
}

impl Matching {
    /// Takes `:comparator` and the match type.
    pub(super) fn read(arguments: &mut Arguments<'_, '_>) -> Self {
        let comparator = Self::read_comparator(arguments);
        let mut kinds: Vec<(Position, Kind)> = Vec::new();
        for (tag, extension, kind) in [
            ("is", "", Kind::Is),
            ("contains", "", Kind::Contains),
            ("matches", "", Kind::Matches),
            ("regex", "regex", Kind::Regex),
        ] {
            kinds.extend(arguments.tag(tag, extension).map(|at| (at, kind)));
        }
        for (tag, kind) in [("value", Kind::Value as fn(Relation) -> Kind), ("count", Kind::Count)] {
            if let Some((at, word)) = arguments.tag_literal(tag, "relational") {
                match Relation::read(&word) {
                    Some(relation) => kinds.push((at, kind(relation))),
                    None => {
                        let said = said!(
                            "sieve-relation",
                            "'{text}' is not a relation; :{tag} must be followed by \"gt\", \"ge\", \"lt\", \"le\", \"eq\" or \"ne\"",
                            text = word.escape_debug(),
                            tag
                        );
                        arguments.wrong_at(at, said);
                    }
                }
            }
        }
        if let Some((at, _)) = kinds.get(1) {
            let said = said!(
                "sieve-match-types",
                "unexpected second match type for {subject}; use only one of :is, :contains, :matches",
                subject = arguments.subject()
            );
            arguments.wrong_at(*at, said);
        }
        let (at, kind) = kinds.first().copied().unwrap_or((arguments.call.at, Kind::Is));
        if comparator == Comparator::AsciiNumeric && matches!(kind, Kind::Contains | Kind::Matches | Kind::Regex) {
            let said = said!(
                "sieve-numeric-match",
                "the i;ascii-numeric comparator compares whole numbers: use it with :is, :value or :count, not with parts of a text"
            );
            arguments.wrong_at(at, said);
        }
        Self { comparator, kind, captures: arguments.checker.has("variables") }
    }

    fn read_comparator(arguments: &mut Arguments<'_, '_>) -> Comparator {
        let Some((at, name)) = arguments.tag_literal("comparator", "") else { return Comparator::AsciiCasemap };
        let Some(comparator) = Comparator::read(&name) else {
            let said = said!(
                "sieve-comparator",
                "unknown comparator '{name}'; there are {names}",
                name = name.escape_debug(),
                names = Comparator::NAMES.join(", ")
            );
            arguments.wrong_at(at, said);
            return Comparator::AsciiCasemap;
        };
        if comparator == Comparator::AsciiNumeric && !arguments.checker.has("comparator-i;ascii-numeric") {
            let said = said!(
                "sieve-numeric-extension",
                "unknown comparator 'i;ascii-numeric' without its extension: write require \"comparator-i;ascii-numeric\"; at the beginning"
            );
            arguments.wrong_at(at, said);
        }
        comparator
    }

    /// The same, but nothing is kept in variables.
    pub(super) const fn without_captures(mut self) -> Self {
        self.captures = false;
        self
    }

    /// Whether only the number of values counts.
    pub(super) const fn counts(&self) -> bool {
        matches!(self.kind, Kind::Count(_))
    }

    /// With the keys to compare with.
    pub(super) fn with(self, arguments: &mut Arguments<'_, '_>, keys: Vec<(Position, Value)>) -> Matcher {
        let keys = keys.into_iter().map(|(at, value)| {
            let constant = value.constant().filter(|_| self.kind == Kind::Regex);
            let regex = constant.map(|text| Self::regular(self.comparator, arguments.checker, text));
            let regex = match regex {
                Some(Err(why)) => {
                    arguments.wrong_at(at, said!("sieve-regex", "invalid regular expression: {why}", why));
                    None
                }
                Some(Ok(regex)) => Some(Arc::new(regex)),
                None => None,
            };
            Key { value, regex }
        });
        let keys = keys.collect();
        Matcher { matching: self, keys, by_words: false }
    }

    /// A constant expression in the script, as long as there is room for it.
    fn regular(comparator: Comparator, checker: &mut Checker<'_>, text: &str) -> Result<Regular, String> {
        let settings = checker.settings;
        let full = || {
            let most = settings.regex_total.get();
            format!("together with those before it, it would take more than {most} octets when compiled; write fewer")
        };
        if checker.regular_room == 0 {
            return Err(full());
        }
        let compiled = regular::compile(text, comparator, settings);
        // A rejected one has been as much work.
        let size = compiled.as_ref().map_or(settings.regex_size.get(), Regular::size);
        match checker.regular_room.checked_sub(size) {
            Some(left) => checker.regular_room = left,
            None => {
                checker.regular_room = 0;
                return compiled.and_then(|_| Err(full()));
            }
        }
        compiled
    }
}

impl Matcher {
    /// The same, with each word of an expanded key as a separate key.
    pub(super) fn by_words(mut self) -> Self {
        self.by_words = true;
        self
    }

    pub(super) const fn counts(&self) -> bool {
        self.matching.counts()
    }

    /// Whether one of the values matches one of the keys.
    pub(super) fn matches<V: AsRef<str>>(&self, run: &mut Run<'_, '_>, values: &[V]) -> Result<bool, Halt> {
        if let Kind::Count(relation) = self.matching.kind {
            return self.matches_count(run, values.len(), relation);
        }
        let mut keys = Vec::with_capacity(self.keys.len());
        for key in &self.keys {
            if self.by_words && key.value.constant().is_none() {
                self.prepare_words(run, key, &mut keys)?;
            } else {
                keys.push(self.prepare(run, key)?);
            }
        }
        for value in values {
            let value = value.as_ref();
            for key in &keys {
                run.spend((value.len() + key.text.len() + 1).saturating_mul(self.matching.comparator.cost()))?;
                if let Some(captures) = self.compare(run, value, key)? {
                    run.spend(captures.iter().map(String::len).sum())?;
                    if self.matching.captures && !captures.is_empty() {
                        run.captures = captures;
                    }
                    run.because = Some(format!("“{}” is there", short(value)));
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// RFC 5231 §4.2: the number of values takes the place of a value. As it is a number, it is compared as one, even if the script
    /// does not name the comparator for that: compared as texts, 10 would be less than 9.
    fn matches_count(&self, run: &mut Run<'_, '_>, count: usize, relation: Relation) -> Result<bool, Halt> {
        let count = count.to_string();
        for key in &self.keys {
            let key = key.value.get(run)?;
            run.spend(key.len().saturating_mul(self.matching.comparator.cost()))?;
            if relation.holds(Comparator::AsciiNumeric.order(&count, &key)) {
                run.because = Some(format!("there are {count}"));
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn prepare<'k>(&self, run: &mut Run<'_, '_>, key: &'k Key) -> Result<Prepared<'k>, Halt> {
        let text = key.value.get(run)?;
        let regex = match (&key.regex, self.matching.kind) {
            (Some(regex), _) => Some(Arc::clone(regex)),
            (None, Kind::Regex) => self.regular(run, &text)?,
            _ => None,
        };
        Ok(Prepared { text, regex })
    }

    fn prepare_words<'k>(&self, run: &mut Run<'_, '_>, key: &'k Key, keys: &mut Vec<Prepared<'k>>) -> Result<(), Halt> {
        let text = key.value.get(run)?;
        for word in text.split_ascii_whitespace() {
            run.spend(WORD + word.len())?;
            let regex = if self.matching.kind == Kind::Regex { self.regular(run, word)? } else { None };
            keys.push(Prepared { text: Cow::Owned(word.to_owned()), regex });
        }
        Ok(())
    }

    /// An expression that depends on variables, compiled again unless it was among the last ones.
    fn regular(&self, run: &mut Run<'_, '_>, text: &str) -> Result<Option<Arc<Regular>>, Halt> {
        let comparator = self.matching.comparator;
        let known = run.regulars.iter().find(|known| known.0 == comparator && known.1 == text);
        if let Some((_, _, regular)) = known {
            return Ok(Some(Arc::clone(regular)));
        }
        let length = text.len().saturating_mul(COMPILED_OCTET);
        run.spend(run.settings.regex_size.len().saturating_mul(4).saturating_add(length))?;
        match regular::compile(text, comparator, run.settings) {
            Ok(regular) => {
                let regular = Arc::new(regular);
                if run.regulars.len() >= KNOWN_REGULARS {
                    run.regulars.remove(0);
                }
                run.regulars.push((comparator, text.to_owned(), Arc::clone(&regular)));
                Ok(Some(regular))
            }
            // It may come from the message: then nothing matches, and the script continues.
            Err(why) => {
                let text = short(text);
                run.tell(format!("“{text}” matches nothing, because it is an invalid regular expression: {why}"));
                Ok(None)
            }
        }
    }

    /// What the wildcards matched, the whole first; `None` when the key does not match.
    fn compare(&self, run: &mut Run<'_, '_>, value: &str, key: &Prepared<'_>) -> Result<Option<Vec<String>>, Halt> {
        let comparator = self.matching.comparator;
        let plain = |holds: bool| holds.then(Vec::new);
        Ok(match self.matching.kind {
            Kind::Is => plain(comparator.order(value, &key.text).is_eq()),
            Kind::Contains => plain(comparator.contains(value, &key.text)),
            Kind::Value(relation) => plain(relation.holds(comparator.order(value, &key.text))),
            Kind::Matches => {
                let glob = pattern::Glob::read(&key.text);
                run.spend(value.len().saturating_mul(glob.cost()).saturating_mul(comparator.cost_of_character()))?;
                glob.matches(value, comparator, self.matching.captures)
            }
            Kind::Regex => {
                let Some(regex) = &key.regex else { return Ok(None) };
                run.spend(value.len().saturating_mul(regex.cost()))?;
                regex.captures(value, MAX_CAPTURES)
            }
            Kind::Count(_) => None,
        })
    }
}

struct Prepared<'k> {
    text: Cow<'k, str>,
    regex: Option<Arc<Regular>>,
}

/// The cost of a word that becomes a key, besides its length, in octets of work: the memory it may take.
const WORD: usize = 128;

/// The whole match and 32 groups.
const MAX_CAPTURES: usize = 33;

/// The cost of compiling one octet of an expression, in octets of work.
const COMPILED_OCTET: usize = 2048;

/// How many expressions made of variables are kept for the next time.
const KNOWN_REGULARS: usize = 8;

/// A value as it is shown in a trace.
pub(super) fn short(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut short: String = text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}
