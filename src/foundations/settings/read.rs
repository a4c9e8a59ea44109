//! Reading settings from a TOML document whose values know their position.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{ByteSize, Span};
use crate::foundations::address::{Address, Domain};
use crate::foundations::net::parse_network;

/// One mistake in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Dotted name of the key, such as `smtp.limits.line`.
    pub key: String,
    /// Where in the text it stands, in octets from the start.
    pub at: std::ops::Range<usize>,
    /// The value found, shortened.
    pub found: String,
    /// What is expected instead.
    pub wanted: String,
}

/// All mistakes found so far.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds one.
    pub fn add(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// The mistakes in the order in which they stand in the text.
    pub fn into_sorted(mut self) -> Vec<Problem> {
        self.0.sort_by_key(|p| p.at.start);
        self.0
    }

    /// Whether a problem with this key is recorded, so that its value needs no further message.
    pub fn are_about(&self, key: &str) -> bool {
        self.0.iter().any(|problem| problem.key == key)
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A value in the document, with its key and place.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// Dotted name of the key.
    pub key: String,
    /// Where the value stands.
    pub at: std::ops::Range<usize>,
    /// The value.
    pub value: &'a DeValue<'a>,
}

impl<'a> Place<'a> {
    /// The whole document.
    pub fn root(value: &'a DeValue<'a>, at: std::ops::Range<usize>) -> Self {
        Self { key: String::new(), at, value }
    }

    /// Records that the value is not what was wanted.
    pub fn wrong<T>(&self, wanted: impl Into<String>, problems: &mut Problems) -> Option<T> {
        problems.add(Problem {
            key: self.key.clone(),
            at: self.at.clone(),
            found: shown(self.value),
            wanted: wanted.into(),
        });
        None
    }

    /// The value as a text.
    pub fn text(&self, wanted: &str, problems: &mut Problems) -> Option<&'a str> {
        match self.value {
            DeValue::String(text) => Some(text),
            _ => self.wrong(wanted, problems),
        }
    }

    /// The value as one of the given words.
    pub fn word(&self, words: &[&str], problems: &mut Problems) -> Option<String> {
        let wanted = || format!("one of {}", words.iter().map(|w| format!("\"{w}\"")).collect::<Vec<_>>().join(", "));
        let text = self.text(&wanted(), problems)?;
        if words.contains(&text) {
            return Some(text.to_owned());
        }
        let hint = nearest(text, words.iter().copied()).map(|w| format!("; did you mean \"{w}\"?")).unwrap_or_default();
        self.wrong(wanted() + &hint, problems)
    }

    fn child(&self, name: &str, value: &'a Spanned<DeValue<'a>>) -> Self {
        let key = if self.key.is_empty() { name.to_owned() } else { format!("{}.{name}", self.key) };
        Self { key, at: value.span(), value: value.get_ref() }
    }
}

fn shown(value: &DeValue<'_>) -> String {
    let text = match value {
        DeValue::String(text) => format!("\"{text}\""),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(when) => when.to_string(),
        DeValue::Array(items) => format!("a list of {}", items.len()),
        DeValue::Table(_) => "a table".to_owned(),
    };
    text.chars().take(60).collect()
}

/// The entries of a table, each of which can be taken once.
#[derive(Debug)]
pub struct Table<'a> {
    place: Place<'a>,
    table: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    /// The value of a key, when it is there.
    pub fn take(&mut self, name: &str) -> Option<Place<'a>> {
        let (_, value) = self.table.iter().find(|(key, _)| key.get_ref().as_ref() == name)?;
        Some(self.place.child(name, value))
    }
}

/// Describes a key that its table does not know.
pub const UNKNOWN_KEY: &str = "an unknown key";
/// Introduces the list of all keys of a table, when none resembles the unknown one.
pub const ALL_KEYS: &str = "one that exists: ";

/// Opens a table and reports every key in it that is not `known`, with the nearest one that is.
pub fn read_table<'a>(place: &Place<'a>, known: &[&str], problems: &mut Problems) -> Option<Table<'a>> {
    let DeValue::Table(table) = place.value else {
        return place.wrong("a table of settings", problems);
    };
    for (key, _) in table.iter() {
        let name = key.get_ref().as_ref();
        if !known.contains(&name) {
            let wanted = match nearest(name, known.iter().copied()) {
                Some(near) => format!("one that exists; did you mean `{near}`?"),
                None => format!("{ALL_KEYS}{}", known.join(", ")),
            };
            let full = if place.key.is_empty() { name.to_owned() } else { format!("{}.{name}", place.key) };
            problems.add(Problem { key: full, at: key.span(), found: UNKNOWN_KEY.to_owned(), wanted });
        }
    }
    Some(Table { place: place.clone(), table })
}

/// The candidate most like `word`, when one is like it at all (at most a third of its letters differ).
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|c| (distance(word, c), c))
        .min_by_key(|(d, _)| *d)
        .filter(|(d, c)| *d <= (c.len().max(word.len()) / 3).max(1))
        .map(|(_, c)| c)
}

/// Levenshtein distance with a transposition counted as one (Damerau, optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let substitution = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = substitution.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

/// What a setting looks like, for the reference.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A plain value, described in words ("a number", "a span of time such as \"30s\"").
    Value(&'static str),
    /// One of these words, each with its meaning.
    Words(Vec<(&'static str, &'static str)>),
    /// A list.
    List(Box<Shape>),
    /// A table whose keys the administrator chooses.
    Map(Box<Shape>),
    /// A table with these keys.
    Table {
        /// What the table is about.
        doc: &'static str,
        /// Its keys.
        entries: Vec<Entry>,
    },
}

/// One key of a table of settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub name: &'static str,
    /// Its documentation.
    pub doc: &'static str,
    /// What its value looks like.
    pub shape: Shape,
    /// The default in its written form; `None` for tables and for settings that are unset.
    pub default: Option<String>,
}

/// Something that can be read from the configuration.
pub trait Setting: Sized {
    /// Reads the value; `None` after having recorded at least one problem.
    fn read(value: &Place<'_>, problems: &mut Problems) -> Option<Self>;
    /// Reads the value, with `unset` as its default: a table that sets only some of its keys leaves the others as they
    /// are there, which need not be the defaults of its type.
    fn read_over(_unset: &Self, value: &Place<'_>, problems: &mut Problems) -> Option<Self> {
        Self::read(value, problems)
    }
    /// What it looks like.
    fn shape() -> Shape;
    /// The shape when `self` is the default.
    fn shape_unset(&self) -> Shape {
        Self::shape()
    }
    /// The value as TOML, when it fits on a line.
    fn write(&self) -> Option<String>;
}

macro_rules! integer {
    ($($type:ty),+) => {$(
        impl Setting for $type {
            fn read(place: &Place<'_>, problems: &mut Problems) -> Option<Self> {
                let wanted = concat!("a whole number (", stringify!($type), ")");
                match place.value {
                    DeValue::Integer(number) => match <$type>::from_str_radix(&number.as_str().replace('_', ""), number.radix()) {
                        Ok(number) => Some(number),
                        Err(_) => place.wrong(format!("a whole number from {} to {}", <$type>::MIN, <$type>::MAX), problems),
                    },
                    _ => place.wrong(wanted, problems),
                }
            }
            fn shape() -> Shape {
                Shape::Value("number")
            }
            fn write(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )+};
}
integer!(u8, u16, u32, u64, usize, i32, i64);

macro_rules! parsed {
    ($($type:ty, $kind:literal, $wanted:literal, $parse:expr;)+) => {$(
        impl Setting for $type {
            fn read(place: &Place<'_>, problems: &mut Problems) -> Option<Self> {
                let text = place.text($wanted, problems)?;
                let parse: fn(&str) -> Option<$type> = $parse;
                parse(text).or_else(|| place.wrong($wanted, problems))
            }
            fn shape() -> Shape {
                Shape::Value($kind)
            }
            fn write(&self) -> Option<String> {
                Some(toml::Value::String(self.to_string()).to_string())
            }
        }
    )+};
}
parsed! {
    String, "text", "a text in quotes", |t| Some(t.to_owned());
    Span, "span of time", "a span of time such as \"30s\", \"5m\", \"4h\" or \"5d\"", Span::parse;
    Address, "mail address", "a mail address such as \"postmaster@example.com\"", |t| t.parse().ok();
    Domain, "domain", "a domain such as \"example.com\"", |t| t.parse().ok();
    SocketAddr, "address and port", "an address and a port such as \"127.0.0.1:25\" or \"[::]:25\"", |t| t.parse().ok();
    IpAddr, "IP address", "an IP address such as \"192.0.2.1\" or \"2001:db8::1\"", |t| t.parse().ok();
    ipnet::IpNet, "network", "a network such as \"192.0.2.0/24\" or \"2001:db8::/32\"", parse_network;
}

impl Setting for ByteSize {
    fn read(place: &Place<'_>, problems: &mut Problems) -> Option<Self> {
        let wanted = "a size such as \"50M\" or \"5G\", or a number of octets";
        match place.value {
            DeValue::Integer(_) => u64::read(place, problems).map(Self::bytes),
            _ => {
                let text = place.text(wanted, problems)?;
                Self::parse(text).or_else(|| place.wrong(wanted, problems))
            }
        }
    }
    fn shape() -> Shape {
        Shape::Value("size")
    }
    fn write(&self) -> Option<String> {
        Some(format!("\"{self}\""))
    }
}

impl Setting for PathBuf {
    fn read(place: &Place<'_>, problems: &mut Problems) -> Option<Self> {
        place.text("a path in quotes", problems).map(Self::from)
    }
    fn shape() -> Shape {
        Shape::Value("path")
    }
    fn write(&self) -> Option<String> {
        Some(toml::Value::String(self.display().to_string()).to_string())
    }
}

impl Setting for bool {
    fn read(place: &Place<'_>, problems: &mut Problems) -> Option<Self> {
        match place.value {
            DeValue::Boolean(value) => Some(*value),
            _ => place.wrong("true or false", problems),
        }
    }
    fn shape() -> Shape {
        Shape::Value("true or false")
    }
    fn write(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Setting for f64 {
    fn read(place: &Place<'_>, problems: &mut Problems) -> Option<Self> {
        let text = match place.value {
            DeValue::Float(number) => number.as_str().replace('_', ""),
            DeValue::Integer(number) => number.as_str().replace('_', ""),
            _ => return place.wrong("a number", problems),
        };
        text.parse().ok().filter(|n: &Self| n.is_finite()).or_else(|| place.wrong("a finite number", problems))
    }
    fn shape() -> Shape {
        Shape::Value("number")
    }
    fn write(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

impl<T: Setting> Setting for Option<T> {
    fn read(place: &Place<'_>, problems: &mut Problems) -> Option<Self> {
        T::read(place, problems).map(Some)
    }
    fn shape() -> Shape {
        T::shape()
    }
    fn write(&self) -> Option<String> {
        self.as_ref().and_then(T::write)
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn read(place: &Place<'_>, problems: &mut Problems) -> Option<Self> {
        let DeValue::Array(items) = place.value else {
            let wanted = match place.value {
                DeValue::Table(_) => format!("a list: each table of it begins with `[[{}]]`", place.key),
                _ => "a list in square brackets".to_owned(),
            };
            return place.wrong(wanted, problems);
        };
        let read: Vec<Option<T>> = items
            .iter()
            .enumerate()
            .map(|(n, item)| T::read(&place.child(&(n + 1).to_string(), item), problems))
            .collect();
        read.into_iter().collect()
    }
    fn shape() -> Shape {
        Shape::List(Box::new(T::shape()))
    }
    fn write(&self) -> Option<String> {
        let items: Option<Vec<String>> = self.iter().map(T::write).collect();
        items.map(|items| format!("[{}]", items.join(", ")))
    }
}

impl<T: Setting> Setting for BTreeMap<String, T> {
    fn read(place: &Place<'_>, problems: &mut Problems) -> Option<Self> {
        let DeValue::Table(table) = place.value else {
            return place.wrong("a table", problems);
        };
        let read: Vec<Option<(String, T)>> = table
            .iter()
            .map(|(key, value)| {
                let name = key.get_ref().as_ref();
                T::read(&place.child(name, value), problems).map(|value| (name.to_owned(), value))
            })
            .collect();
        read.into_iter().collect()
    }
    fn shape() -> Shape {
        Shape::Map(Box::new(T::shape()))
    }
    fn write(&self) -> Option<String> {
        self.is_empty().then(|| "{}".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::words! {
        /// What to do.
        pub enum Action {
            /// Let it pass.
            Accept = "accept",
            /// Send it back.
            Reject = "reject",
        }
    }

    crate::settings! {
        /// A test.
        pub struct Inner {
            /// A number.
            pub count: u16 = 7,
            /// An action.
            pub action: Action = Action::Accept,
        }
    }

    crate::settings! {
        /// A test.
        pub struct Outer {
            /// A span.
            pub idle: Span = Span::minutes(5),
            /// Nested.
            pub inner: Inner = Inner::default(),
            /// A list.
            pub sizes: Vec<ByteSize> = vec![],
        }
    }

    fn read(text: &str) -> (Option<Outer>, Vec<Problem>) {
        let document = DeTable::parse(text).unwrap();
        let span = document.span();
        let value = DeValue::Table(document.into_inner());
        let mut problems = Problems::default();
        let outer = Outer::read(&Place::root(&value, span), &mut problems);
        (outer, problems.into_sorted())
    }

    #[test]
    fn reads_what_is_right() {
        let (outer, problems) =
            read("idle = \"30s\"\nsizes = [\"5M\", 100]\n[inner]\ncount = 0x10\naction = \"reject\"");
        assert!(problems.is_empty());
        let wanted = Outer {
            idle: Span::seconds(30),
            inner: Inner { count: 16, action: Action::Reject },
            sizes: vec![ByteSize::mib(5), ByteSize::bytes(100)],
        };
        assert_eq!(outer, Some(wanted));
    }

    #[test]
    fn collects_every_mistake() {
        let (_, problems) = read("idel = 3\nsizes = [\"5X\", true]\n[inner]\ncount = 70000\naction = \"regect\"");
        let keys: Vec<&str> = problems.iter().map(|p| p.key.as_str()).collect();
        assert_eq!(keys, ["idel", "sizes.1", "sizes.2", "inner.count", "inner.action"]);
        assert!(problems[0].wanted.contains("`idle`"));
        assert!(problems[3].wanted.contains("from 0 to 65535"));
        assert!(problems[4].wanted.contains("did you mean \"reject\""));
        assert!(Action::ALL.iter().all(|action| problems[4].wanted.contains(action.word())));
    }
}
