//! Whose recipients are claimed first when more are due than can be claimed.

use std::collections::HashMap;

use super::RecipientKey;
use crate::foundations::clock::Timestamp;

/// Where a recipient stands in the order in which they become due.
pub(super) type Place = (Timestamp, RecipientKey);

/// A recipient that is due, and whose message it is to get (see [`Entry::party`](super::Entry::party)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) key: RecipientKey,
    pub(super) due_at: Timestamp,
    pub(super) party: String,
}

impl Due {
    pub(super) const fn place(&self) -> Place {
        (self.due_at, self.key)
    }
}

/// Chooses among recipients, the longest due first: of each party one after the other, so that nobody waits until a large mailing of
/// somebody else is sent. What a node has in hand for a party already counts as its first turns.
pub(super) fn take_turns(due: &[Due], in_hand: &[(String, usize)], most: usize) -> Vec<RecipientKey> {
    let mut turns: HashMap<&str, usize> = in_hand.iter().map(|(party, count)| (party.as_str(), *count)).collect();
    let mut placed = Vec::with_capacity(due.len());
    for one in due {
        let turn = turns.entry(one.party.as_str()).or_default();
        *turn += 1;
        placed.push((*turn, one.key));
    }
    // Stable: those with the same turn stay in their order.
    placed.sort_by_key(|(turn, _)| *turn);
    placed.truncate(most);
    placed.into_iter().map(|(_, key)| key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parties_take_turns() {
        let due = |parties: &str| -> Vec<Due> {
            let one = |(n, party): (i64, char)| Due {
                key: RecipientKey(n),
                due_at: Timestamp::EPOCH,
                party: party.to_string(),
            };
            (0..).zip(parties.chars()).map(one).collect()
        };
        let hands = |party: &str, count| vec![(party.to_owned(), count)];
        for (parties, in_hand, most, wanted) in [
            ("aaaa", vec![], 2, &[0, 1][..]),
            ("aaaab", vec![], 2, &[0, 4]),
            ("aaaabbc", vec![], 4, &[0, 4, 6, 1]),
            ("aaaab", hands("a", 3), 1, &[4]),
            ("aaaabb", hands("a", 1), 3, &[4, 0, 5]),
            ("ab", hands("c", 9), 9, &[0, 1]),
            ("", vec![], 9, &[]),
        ] {
            let taken: Vec<i64> = take_turns(&due(parties), &in_hand, most).into_iter().map(|key| key.0).collect();
            assert_eq!(taken, wanted, "{parties} {in_hand:?}");
        }
    }
}
