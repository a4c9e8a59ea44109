//! Queries for contacts (RFC 6352 §10.5).

use super::card::{Card, texts};
use super::filter::{ParameterFilter, TextMatch};

/// The conditions on a contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardFilter {
    /// Whether all conditions must hold, or any.
    pub all: bool,
    /// The conditions; none means everything.
    pub properties: Vec<CardPropertyFilter>,
}

/// The conditions on a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardPropertyFilter {
    /// Its name.
    pub name: String,
    /// Whether it must be absent.
    pub absent: bool,
    /// Whether all of the following must hold, or any.
    pub all: bool,
    /// The conditions on its value.
    pub texts: Vec<TextMatch>,
    /// The conditions on its parameters.
    pub parameters: Vec<ParameterFilter>,
}

impl CardFilter {
    /// Whether a contact matches.
    pub fn matches(&self, card: &Card) -> bool {
        let mut holds = self.properties.iter().map(|filter| filter.holds(card));
        self.properties.is_empty() || if self.all { holds.all(|it| it) } else { holds.any(|it| it) }
    }
}

impl CardPropertyFilter {
    fn holds(&self, card: &Card) -> bool {
        let (group, name) = self.name.split_once('.').map_or((None, &*self.name), |(group, name)| (Some(group), name));
        let is_it = |entry: &&calcard::vcard::VCardEntry| {
            entry.name.as_str().eq_ignore_ascii_case(name)
                && group.is_none_or(|wanted| entry.group.as_deref().is_some_and(|it| it.eq_ignore_ascii_case(wanted)))
        };
        let mut named = card.card.entries.iter().filter(is_it);
        if self.absent {
            return named.next().is_none();
        }
        named.any(|entry| {
            let values = texts(&entry.values);
            let text = |text: &TextMatch| match text.negate {
                // Not in any part of it.
                true => values.iter().all(|value| text.holds(value)),
                false => values.iter().any(|value| text.holds(value)),
            };
            let parameters = || {
                entry.params.iter().filter_map(|parameter| Some((parameter.name.as_str(), parameter.value.as_text()?)))
            };
            let mut all =
                self.texts.iter().map(text).chain(self.parameters.iter().map(|filter| filter.holds(parameters())));
            let none = self.texts.is_empty() && self.parameters.is_empty();
            none || if self.all { all.all(|it| it) } else { all.any(|it| it) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::filter::{Collation, MatchKind};
    use super::*;

    #[test]
    fn conditions() {
        let text = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:u1\r\nFN:Ann Example\r\nN:Example;Ann;;;\r\nNICKNAME:GRÜN\r\nEMAIL;TYPE=HOME:ann@example.test\r\nEND:VCARD\r\n";
        let card = Card::read(text.as_bytes()).unwrap();
        let find = |text: &str, kind, negate| TextMatch {
            text: text.into(),
            collation: Collation::UnicodeCasemap,
            kind,
            negate,
        };
        let property = |name: &str, texts| CardPropertyFilter {
            name: name.into(),
            absent: false,
            all: false,
            texts,
            parameters: vec![],
        };
        for (all, properties, wanted) in [
            (false, vec![], true),
            (false, vec![property("FN", vec![find("EXAMPLE", MatchKind::Contains, false)])], true),
            (false, vec![property("NICKNAME", vec![find("gru\u{308}N", MatchKind::Equals, false)])], true),
            (false, vec![property("N", vec![find("ann", MatchKind::Equals, false)])], true),
            (false, vec![property("FN", vec![find("ann", MatchKind::EndsWith, false)])], false),
            (false, vec![property("TEL", vec![]), property("EMAIL", vec![])], true),
            (true, vec![property("TEL", vec![]), property("EMAIL", vec![])], false),
            (false, vec![property("FN", vec![find("bob", MatchKind::Contains, true)])], true),
            (false, vec![CardPropertyFilter { absent: true, ..property("TEL", vec![]) }], true),
        ] {
            let filter = CardFilter { all, properties };
            assert_eq!(filter.matches(&card), wanted, "{filter:?}");
        }
    }
}
