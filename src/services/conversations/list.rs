//! The conversations of a folder, in two flat tables.

use super::links::Group;
use crate::foundations::mail::Uid;

/// All conversations of a folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Conversations {
    /// The UIDs, ascending within each conversation.
    uids: Vec<Uid>,
    /// Where each conversation begins in `uids`, by its last message, ascending; one more for the end.
    begins: Vec<u32>,
    /// Each UID and the place of its conversation, ascending.
    places: Vec<(Uid, u32)>,
}

impl Conversations {
    /// From messages, each with its group.
    pub(super) fn new(mut pairs: Vec<(Group, Uid)>) -> Self {
        pairs.sort_unstable();
        let mut groups: Vec<&[(Group, Uid)]> = pairs.chunk_by(|(one, _), (other, _)| one == other).collect();
        groups.sort_unstable_by_key(|group| group.last().map(|(_, uid)| *uid));
        let mut list = Self { uids: Vec::with_capacity(pairs.len()), ..Self::default() };
        // A folder has fewer messages than there are UIDs.
        let short = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        for (n, group) in groups.iter().enumerate() {
            list.begins.push(short(list.uids.len()));
            list.uids.extend(group.iter().map(|(_, uid)| *uid));
            list.places.extend(group.iter().map(|(_, uid)| (*uid, short(n))));
        }
        list.begins.push(short(list.uids.len()));
        list.places.sort_unstable();
        list
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.begins.len().saturating_sub(1)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The UIDs of one of them, ascending. Those come last whose last message came last.
    pub fn at(&self, n: usize) -> &[Uid] {
        match (self.begins.get(n), self.begins.get(n + 1)) {
            (Some(begin), Some(end)) => &self.uids[*begin as usize..*end as usize],
            _ => &[],
        }
    }

    /// Which of them a message belongs to.
    pub fn place(&self, uid: Uid) -> Option<usize> {
        let at = self.places.binary_search_by_key(&uid, |(known, _)| *known).ok()?;
        Some(self.places[at].1 as usize)
    }

    /// The UIDs of the conversation of a message.
    pub fn of(&self, uid: Uid) -> &[Uid] {
        self.place(uid).map_or(&[], |n| self.at(n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(number: u32) -> Uid {
        Uid::new(number).unwrap()
    }

    #[test]
    fn conversations_stand_by_their_last_message() {
        let pairs = [(5, 1), (2, 2), (5, 3), (9, 4), (2, 8)];
        let list = Conversations::new(pairs.map(|(group, number)| (Group(group), uid(number))).to_vec());
        assert_eq!(list.len(), 3);
        for (n, wanted) in [&[1_u32, 3][..], &[4], &[2, 8], &[]].into_iter().enumerate() {
            assert!(list.at(n).iter().map(|uid| uid.get()).eq(wanted.iter().copied()), "{n}");
        }
        assert_eq!((list.place(uid(3)), list.place(uid(2)), list.place(uid(5))), (Some(0), Some(2), None));
        assert_eq!(list.of(uid(8)), [uid(2), uid(8)]);
        let none = Conversations::new(Vec::new());
        assert!(none.is_empty() && none.at(0).is_empty() && none.of(uid(1)).is_empty());
        assert!(Conversations::default().is_empty());
    }
}
