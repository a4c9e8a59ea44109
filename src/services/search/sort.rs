//! Sorting messages for SORT (RFC 5256 §2.2, RFC 5957).

use std::cmp::Ordering;

use super::Hit;
use super::find::blocking;
use super::headings::{HeadingVisitor, sent, visit_headings};
use crate::foundations::mail::text::casemap;
use crate::foundations::mail::{AddressField, BaseSubject, Heading};
use crate::foundations::wire::imap::{Direction, SortCriterion, SortKey};
use crate::storage::mailbox::{self, Row, View};

/// Octets of a text that are compared. Texts that begin with this many equal octets stay in the order of the
/// mailbox.
const MOST: usize = 256;

/// Sorts messages of a view. Equal messages keep their order.
///
/// # Errors
/// The store cannot read its summaries.
pub async fn sort(criteria: &[SortCriterion], hits: Vec<Hit>, view: &View) -> Result<Vec<Hit>, mailbox::Error> {
    let mut sorter = Sorter::new(criteria, hits.len());
    if sorter.asks_headings() {
        sorter = visit_headings(sorter, &hits, view).await?;
    } else {
        for row in hits.iter().filter_map(|hit| view.row(hit.sequence)) {
            sorter.visit(&row, None);
        }
    }
    blocking(move || sorter.order().into_iter().filter_map(|at| hits.get(at).copied()).collect()).await
}

/// The values of messages to compare, one after the other.
struct Sorter {
    criteria: Vec<SortCriterion>,
    /// For each message, one per criterion.
    values: Vec<Value>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Number(i64),
    Text(Box<str>),
}

impl Sorter {
    fn new(wanted: &[SortCriterion], messages: usize) -> Self {
        let mut criteria: Vec<SortCriterion> = Vec::new();
        for criterion in wanted {
            // A repeated key decides nothing.
            if criteria.iter().all(|known| known.key != criterion.key) {
                criteria.push(*criterion);
            }
        }
        let values = Vec::with_capacity(messages * criteria.len());
        Self { criteria, values }
    }

    /// Whether rows alone are not enough.
    fn asks_headings(&self) -> bool {
        self.criteria.iter().any(|criterion| !matches!(criterion.key, SortKey::Arrival | SortKey::Size))
    }

    /// The messages' indexes in the requested order.
    fn order(&self) -> Vec<usize> {
        let width = self.criteria.len().max(1);
        let mut order: Vec<usize> = (0..self.values.len() / width).collect();
        let of = |at: usize| &self.values[at * width..(at + 1) * width];
        order.sort_by(|a, b| self.compare(of(*a), of(*b)));
        order
    }

    fn compare(&self, a: &[Value], b: &[Value]) -> Ordering {
        let pairs = a.iter().zip(b).zip(&self.criteria);
        let mut compared = pairs.map(|((a, b), criterion)| match criterion.direction {
            Direction::Ascending => a.cmp(b),
            Direction::Descending => b.cmp(a),
        });
        compared.find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
    }
}

impl HeadingVisitor for Sorter {
    fn visit(&mut self, row: &Row, heading: Option<&Heading<'_>>) {
        for criterion in &self.criteria {
            self.values.push(value(criterion.key, row, heading));
        }
    }
}

fn value(key: SortKey, row: &Row, heading: Option<&Heading<'_>>) -> Value {
    let text = |text: &str| {
        let mapped = casemap(&text[..text.floor_char_boundary(MOST)]);
        Value::Text(mapped[..mapped.floor_char_boundary(MOST)].into())
    };
    let first = |field| heading.and_then(|heading| heading.first(field));
    let mailbox = |field| text(&first(field).as_ref().map(|first| first.mailbox()).unwrap_or_default());
    let display = |field| text(&first(field).map(|first| first.display()).unwrap_or_default());
    match key {
        SortKey::Arrival => Value::Number(row.internal_date.unix_seconds()),
        SortKey::Cc => mailbox(AddressField::Cc),
        SortKey::Date => Value::Number(sent(row, heading)),
        SortKey::DisplayFrom => display(AddressField::From),
        SortKey::DisplayTo => display(AddressField::To),
        SortKey::From => mailbox(AddressField::From),
        SortKey::Size => Value::Number(i64::try_from(row.size).unwrap_or(i64::MAX)),
        SortKey::Subject => {
            let key = BaseSubject::of(heading.map_or("", |heading| heading.subject)).key();
            Value::Text(key[..key.floor_char_boundary(MOST)].into())
        }
        SortKey::To => mailbox(AddressField::To),
    }
}
