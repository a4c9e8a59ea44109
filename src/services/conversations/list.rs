//! The conversations of a folder or of several, in two flat tables.

use super::links::Group;
use crate::foundations::mail::Uid;

/// All conversations of a folder, whose messages are UIDs, or of several.
#[derive(Debug, PartialEq, Eq)]
pub struct Conversations<M = Uid> {
    /// The messages, ascending within each conversation.
    messages: Vec<M>,
    /// Where each conversation begins in `messages`, by its last message, ascending; one more for the end.
    begins: Vec<u32>,
    /// Each message and the place of its conversation, ascending.
    places: Vec<(M, u32)>,
}

impl<M> Default for Conversations<M> {
    fn default() -> Self {
        Self { messages: Vec::new(), begins: Vec::new(), places: Vec::new() }
    }
}

impl<M: Ord + Copy> Conversations<M> {
    /// From messages, each with its group.
    pub(super) fn new(mut pairs: Vec<(Group, M)>) -> Self {
        pairs.sort_unstable();
        let mut groups: Vec<&[(Group, M)]> = pairs.chunk_by(|(one, _), (other, _)| one == other).collect();
        groups.sort_unstable_by_key(|group| group.last().map(|(_, message)| *message));
        let mut list = Self { messages: Vec::with_capacity(pairs.len()), ..Self::default() };
        // A folder has fewer messages than there are UIDs.
        let short = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        for (n, group) in groups.iter().enumerate() {
            list.begins.push(short(list.messages.len()));
            list.messages.extend(group.iter().map(|(_, message)| *message));
            list.places.extend(group.iter().map(|(_, message)| (*message, short(n))));
        }
        list.begins.push(short(list.messages.len()));
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

    /// The messages of one of them, ascending. Those come last whose last message came last.
    pub fn at(&self, n: usize) -> &[M] {
        match (self.begins.get(n), self.begins.get(n + 1)) {
            (Some(begin), Some(end)) => &self.messages[*begin as usize..*end as usize],
            _ => &[],
        }
    }

    /// Which of them a message belongs to.
    pub fn place(&self, message: M) -> Option<usize> {
        let at = self.places.binary_search_by_key(&message, |(known, _)| *known).ok()?;
        Some(self.places[at].1 as usize)
    }

    /// The messages of the conversation of one.
    pub fn of(&self, message: M) -> &[M] {
        self.place(message).map_or(&[], |n| self.at(n))
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
        assert!(Conversations::<Uid>::default().is_empty());
    }
}
