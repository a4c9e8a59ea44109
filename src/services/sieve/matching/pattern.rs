//! `:matches` (RFC 5228 §2.7.1): `*` for any characters, `?` for one, a backslash before a character that stands for itself.

use super::Comparator;

/// A pattern: what stands between asterisks.
pub(super) struct Glob {
    segments: Vec<Vec<Item>>,
}

#[derive(Clone, Copy)]
enum Item {
    Character(char),
    Any,
}

/// What one asterisk or question mark has matched, as a range.
type Span = (usize, usize);

impl Glob {
    pub(super) fn read(text: &str) -> Self {
        let mut segments = vec![Vec::new()];
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            let item = match character {
                '*' => {
                    segments.push(Vec::new());
                    continue;
                }
                '?' => Item::Any,
                '\\' => Item::Character(characters.next().unwrap_or('\\')),
                other => Item::Character(other),
            };
            if let Some(last) = segments.last_mut() {
                last.push(item);
            }
        }
        Self { segments }
    }

    /// How often each character of a text may be looked at.
    pub(super) fn cost(&self) -> usize {
        // Only what stands between two asterisks is looked for at every place, one segment after the other.
        let middle = self.segments.len().saturating_sub(1);
        1 + self.segments.iter().take(middle).skip(1).map(Vec::len).max().unwrap_or(0)
    }

    /// What the whole and each wildcard matched; asterisks as little as possible (RFC 5229 §3.2).
    pub(super) fn matches(&self, text: &str, comparator: Comparator, captures: bool) -> Option<Vec<String>> {
        let mut spans: Vec<Span> = Vec::new();
        let (first, rest) = self.segments.split_first()?;
        let mut at = fits(first, text, 0, comparator, &mut spans)?;
        if let Some((last, middle)) = rest.split_last() {
            for segment in middle {
                at = find(segment, text, at, comparator, &mut spans)?;
            }
            let start = start_of_last(last.len(), text, at)?;
            spans.push((at, start));
            at = fits(last, text, start, comparator, &mut spans)?;
        }
        if at != text.len() {
            return None;
        }
        if !captures {
            return Some(Vec::new());
        }
        let whole = std::iter::once((0, text.len()));
        Some(whole.chain(spans).take(super::MAX_CAPTURES).map(|(start, end)| text[start..end].to_owned()).collect())
    }
}

/// Where a segment that begins at `at` ends.
fn fits(segment: &[Item], text: &str, at: usize, comparator: Comparator, spans: &mut Vec<Span>) -> Option<usize> {
    let known = spans.len();
    let mut end = at;
    let mut characters = text[at..].chars();
    for item in segment {
        let next = characters.next();
        let fits = match (item, next) {
            (Item::Any, Some(character)) => {
                spans.push((end, end + character.len_utf8()));
                true
            }
            (Item::Character(wanted), Some(character)) => comparator.same(*wanted, character),
            (_, None) => false,
        };
        if !fits {
            spans.truncate(known);
            return None;
        }
        end += next.map_or(0, char::len_utf8);
    }
    Some(end)
}

/// The first place from `at` on where the segment fits; what the asterisk before it matched is noted first.
fn find(segment: &[Item], text: &str, at: usize, comparator: Comparator, spans: &mut Vec<Span>) -> Option<usize> {
    let known = spans.len();
    spans.push((at, at));
    let starts = text[at..].char_indices().map(|(offset, _)| at + offset).chain([text.len()]);
    for start in starts {
        if let Some(end) = fits(segment, text, start, comparator, spans) {
            spans[known].1 = start;
            return Some(end);
        }
    }
    spans.truncate(known);
    None
}

/// Where a last segment of so many characters begins, if that is not before `at`.
fn start_of_last(length: usize, text: &str, at: usize) -> Option<usize> {
    if length == 0 {
        return Some(text.len());
    }
    text[at..].char_indices().rev().nth(length - 1).map(|(offset, _)| at + offset)
}
