//! The Delivered-To fields, by which a message says where it has been.

use super::{Field, Fields, HeaderSection, Message};
use crate::foundations::address::Address;

/// The mailboxes in which a message has been, as it says.
#[derive(Debug, Clone, Default)]
pub struct Visits(Vec<String>);

/// Most mailboxes on the way that are remembered. Beyond that, the limit of hops ends a loop.
const MOST: usize = 100;

impl Visits {
    /// Those of a message.
    pub fn of(message: &Message) -> Self {
        let [added, original] = message.pieces();
        let mut visits = Self::default();
        for field in Fields::new(added).chain(HeaderSection::of(original).fields()) {
            visits.note(&field);
        }
        visits
    }

    /// Notes a field of the header, if it tells of a visit.
    pub fn note(&mut self, field: &Field<'_>) {
        if field.is("Delivered-To") && self.0.len() < MOST {
            self.0.push(String::from_utf8_lossy(&field.value()).into_owned());
        }
    }

    /// How often it has been in this account's mailbox.
    pub fn count(&self, account: &Address) -> usize {
        let key = account.key();
        let is_here = |visited: &&String| match visited.parse::<Address>() {
            Ok(address) => address.key() == key,
            Err(_) => visited.eq_ignore_ascii_case(&key),
        };
        self.0.iter().filter(is_here).count()
    }
}
