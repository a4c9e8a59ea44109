//! The messages of one session, numbered once and for all (RFC 1939 §4, §5).

use crate::foundations::mail::{Uid, UidValidity};
use crate::foundations::wire::pop3::Number;

use super::settings::UidlFormat;

/// The maildrop as it was when the session began, and what the session has marked.
#[derive(Debug, Clone)]
pub struct Maildrop {
    uid_validity: UidValidity,
    messages: Vec<Message>,
    left: Left,
    /// The highest number accessed, for LAST.
    last: u32,
}

/// What is not marked as deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// How many messages.
    pub messages: u32,
    /// Their size together.
    pub octets: u64,
}

#[derive(Debug, Clone, Copy)]
struct Message {
    uid: Uid,
    size: u64,
    mark: Mark,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    None,
    Retrieved,
    Deleted,
    /// Deleted after it was retrieved, so that RSET leaves it retrieved.
    Both,
}

impl Maildrop {
    /// A maildrop with these messages, UID and size in octets of each, in the order of their numbers. What is beyond
    /// 2³² - 1 messages has no number.
    pub fn new(uid_validity: UidValidity, messages: impl IntoIterator<Item = (Uid, u64)>) -> Self {
        let messages: Vec<Message> = messages
            .into_iter()
            .take(u32::MAX as usize)
            .map(|(uid, size)| Message { uid, size, mark: Mark::None })
            .collect();
        let left = Left {
            messages: u32::try_from(messages.len()).unwrap_or(u32::MAX),
            octets: messages.iter().map(|message| message.size).sum(),
        };
        Self { uid_validity, messages, left, last: 0 }
    }

    /// How much is there, without what is marked as deleted.
    pub const fn left(&self) -> Left {
        self.left
    }

    /// The highest number accessed since the session or the last RSET began.
    pub const fn last(&self) -> u32 {
        self.last
    }

    /// UID and size of a message; `None` when there is none of that number or it is marked as deleted.
    pub fn get(&self, number: Number) -> Option<(Uid, u64)> {
        let message = self.messages.get(index(number))?;
        (!message.is_deleted()).then_some((message.uid, message.size))
    }

    /// Marks a message as deleted; whether there was one to be marked.
    pub fn delete(&mut self, number: Number) -> bool {
        let Some(message) = self.messages.get_mut(index(number)).filter(|message| !message.is_deleted()) else {
            return false;
        };
        message.mark = if message.mark == Mark::Retrieved { Mark::Both } else { Mark::Deleted };
        self.left.messages -= 1;
        self.left.octets -= message.size;
        self.last = self.last.max(number.get());
        true
    }

    /// Notes that a message has been sent whole.
    pub fn retrieve(&mut self, number: Number) {
        if let Some(message) = self.messages.get_mut(index(number)).filter(|message| message.mark == Mark::None) {
            message.mark = Mark::Retrieved;
        }
        self.last = self.last.max(number.get());
    }

    /// Unmarks all messages.
    pub fn reset(&mut self) {
        for message in self.messages.iter_mut().filter(|message| message.is_deleted()) {
            message.mark = if message.mark == Mark::Both { Mark::Retrieved } else { Mark::None };
            self.left.messages += 1;
            self.left.octets += message.size;
        }
        self.last = 0;
    }

    /// The messages marked as deleted.
    pub fn deleted(&self) -> Vec<Uid> {
        self.messages.iter().filter(|message| message.is_deleted()).map(|message| message.uid).collect()
    }

    /// The messages sent whole, without those marked as deleted.
    pub fn retrieved(&self) -> Vec<Uid> {
        self.messages.iter().filter(|message| message.mark == Mark::Retrieved).map(|message| message.uid).collect()
    }

    /// The messages after this number, without those marked as deleted; at most `most`.
    pub fn following(&self, number: Number, most: usize) -> Vec<Uid> {
        let rest = self.messages.get(index(number).saturating_add(1)..).unwrap_or_default();
        rest.iter().filter(|message| !message.is_deleted()).map(|message| message.uid).take(most).collect()
    }

    /// The unique id of a message (RFC 1939 §7).
    pub fn unique_id(&self, uid: Uid, format: UidlFormat) -> String {
        let (validity, uid) = (self.uid_validity.get(), uid.get());
        match format {
            UidlFormat::Dovecot => format!("{uid:08x}{validity:08x}"),
            UidlFormat::UwImap => format!("{validity:08x}{uid:08x}"),
            UidlFormat::Courier => format!("{validity}-{uid}"),
            UidlFormat::Cyrus => format!("{validity}.{uid}"),
            UidlFormat::Uid => uid.to_string(),
        }
    }

    /// Appends the next lines of a listing, some kilobytes of them, and in the end the line with a dot. `false` when
    /// there is nothing more to come.
    pub fn list(&self, listing: &mut Listing, out: &mut impl Extend<u8>) -> bool {
        let slice = self.messages.iter().enumerate().skip(listing.next).take(LINES);
        for (at, message) in slice.filter(|(_, message)| !message.is_deleted()) {
            let number = at + 1;
            let line = match listing.what {
                What::Sizes => format!("{number} {}\r\n", message.size),
                What::UniqueIds(format) => format!("{number} {}\r\n", self.unique_id(message.uid, format)),
            };
            out.extend(line.into_bytes());
        }
        listing.next += LINES;
        if listing.next < self.messages.len() {
            return true;
        }
        out.extend(*b".\r\n");
        false
    }
}

impl Message {
    const fn is_deleted(&self) -> bool {
        matches!(self.mark, Mark::Deleted | Mark::Both)
    }
}

/// Where a number is in the vector; beyond its end where `usize` is too small for it.
fn index(number: Number) -> usize {
    usize::try_from(number.get() - 1).unwrap_or(usize::MAX)
}

/// Lines written at once.
const LINES: usize = 1_000;

/// A listing of all messages on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listing {
    what: What,
    next: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Sizes,
    UniqueIds(UidlFormat),
}

impl Listing {
    /// LIST.
    pub const SIZES: Self = Self { what: What::Sizes, next: 0 };

    /// UIDL.
    pub const fn unique_ids(format: UidlFormat) -> Self {
        Self { what: What::UniqueIds(format), next: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maildrop(count: u32) -> Maildrop {
        let messages = (1..=count).map(|n| (Uid::new(n * 10).unwrap(), u64::from(n) * 100));
        Maildrop::new(UidValidity::new(0x4f2d_6b3c).unwrap(), messages)
    }

    fn n(number: u32) -> Number {
        Number::new(number).unwrap()
    }

    #[test]
    fn rset_takes_back_deletions_but_not_what_was_retrieved() {
        let mut drop = maildrop(3);
        assert_eq!(drop.left(), Left { messages: 3, octets: 600 });
        drop.retrieve(n(1));
        drop.retrieve(n(2));
        assert!(drop.delete(n(2)) && !drop.delete(n(2)) && !drop.delete(n(4)));
        assert_eq!(drop.left(), Left { messages: 2, octets: 400 });
        assert_eq!((drop.last(), drop.get(n(2))), (2, None));
        assert_eq!((drop.deleted().len(), drop.retrieved().len()), (1, 1));
        drop.reset();
        assert_eq!(drop.left(), Left { messages: 3, octets: 600 });
        assert_eq!((drop.last(), drop.retrieved().len()), (0, 2));
    }

    #[test]
    fn the_following_messages_are_those_not_deleted() {
        let mut drop = maildrop(4);
        drop.delete(n(3));
        let following = |number, most| drop.following(n(number), most).iter().map(|uid| uid.get()).collect::<Vec<_>>();
        assert_eq!(following(1, 9), [20, 40]);
        assert_eq!(following(1, 1), [20]);
        assert!(following(4, 9).is_empty() && following(u32::MAX, 9).is_empty());
    }

    #[test]
    fn listings_come_in_slices() {
        let mut drop = maildrop(2_500);
        drop.delete(n(2));
        let (mut listing, mut out, mut slices) = (Listing::SIZES, Vec::new(), 1);
        while drop.list(&mut listing, &mut out) {
            slices += 1;
        }
        let text = String::from_utf8(out).unwrap();
        assert_eq!((slices, text.lines().count()), (3, 2_500));
        assert!(text.starts_with("1 100\r\n3 300\r\n") && text.ends_with("2500 250000\r\n.\r\n"));
        let mut out = Vec::new();
        assert!(!maildrop(0).list(&mut Listing::SIZES.clone(), &mut out));
        assert_eq!(out, b".\r\n");
    }

    #[test]
    fn unique_ids_are_those_of_others() {
        let drop = maildrop(1);
        let id = |format| drop.unique_id(Uid::new(26).unwrap(), format);
        assert_eq!(id(UidlFormat::Dovecot), "0000001a4f2d6b3c");
        assert_eq!(id(UidlFormat::UwImap), "4f2d6b3c0000001a");
        assert_eq!(id(UidlFormat::Courier), "1328376636-26");
        assert_eq!(id(UidlFormat::Cyrus), "1328376636.26");
        assert_eq!(id(UidlFormat::Uid), "26");
    }
}
