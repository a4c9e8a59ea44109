//! What names what: sets of message ids that only ever grow together.

use std::collections::{HashMap, HashSet};

use super::subject::base_subject;
use crate::foundations::mail::{SearchFields, Uid};

/// Most ids of References that are looked at: the first, which began the conversation, and the last ones.
const MOST_REFERENCES: usize = 16;

/// What one message names, each as a hash.
#[derive(Debug, Default)]
pub(super) struct Names {
    own: Option<u64>,
    others: Vec<u64>,
    /// The base subject, unless it is empty.
    subject: Option<u64>,
    /// Whether the subject says that it is a reply.
    is_answer: bool,
}

impl Names {
    pub(super) fn of(fields: &SearchFields, hash: impl Fn(&str) -> u64) -> Self {
        let own = (!fields.message_id.is_empty()).then(|| hash(&fields.message_id));
        let references = &fields.references;
        let last = references.len().saturating_sub(MOST_REFERENCES - 1).max(1).min(references.len());
        let named = references.iter().take(1).chain(&references[last..]).chain(std::iter::once(&fields.in_reply_to));
        let others = named.filter(|id| !id.is_empty()).map(|id| hash(id)).collect();
        let (base, is_answer) = base_subject(&fields.subject);
        // Not the hash of an id of the same letters.
        let subject = (!base.is_empty()).then(|| hash(&format!(" {base}")));
        Self { own, others, subject, is_answer }
    }
}

/// A message id, by its place among those that are known. A message without one has a place all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Node(u32);

impl Node {
    const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What the messages of one conversation share, and no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Group(pub(super) u32);

/// Sets of message ids, and the messages they are of.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// For each id another one of its set; the same one for the root.
    parents: Vec<Node>,
    /// The hash of each id; 0 for messages without.
    hashes: Vec<u64>,
    by_hash: HashMap<u64, Node>,
    /// The latest message with a base subject.
    by_subject: HashMap<u64, Node>,
    /// UIDs and their ids, ascending.
    messages: Vec<(Uid, Node)>,
}

impl Links {
    /// How many ids there are.
    pub(super) fn len(&self) -> usize {
        self.parents.len()
    }

    /// How many messages have been added.
    pub(super) fn messages(&self) -> usize {
        self.messages.len()
    }

    /// Adds a message; UIDs ascend.
    pub(super) fn add(&mut self, uid: Uid, names: &Names) {
        let own = match names.own {
            Some(hash) => self.node(hash),
            None => self.fresh(0),
        };
        for other in &names.others {
            let other = self.node(*other);
            self.unite(own, other);
        }
        if let Some(subject) = names.subject {
            if names.others.is_empty()
                && names.is_answer
                && let Some(latest) = self.by_subject.get(&subject)
            {
                self.unite(own, *latest);
            }
            self.by_subject.insert(subject, own);
        }
        self.messages.push((uid, own));
    }

    /// The messages of these UIDs, ascending, each with its group. A message that is not known is a conversation of its own.
    pub(super) fn groups(&mut self, uids: &[Uid]) -> Vec<(Group, Uid)> {
        let mut messages = 0;
        let mut unknown = u32::MAX;
        let mut pairs = Vec::with_capacity(uids.len());
        for uid in uids {
            while self.messages.get(messages).is_some_and(|(known, _)| known < uid) {
                messages += 1;
            }
            let group = match self.messages.get(messages) {
                Some((known, node)) if known == uid => self.root(*node).0,
                _ => {
                    unknown -= 1;
                    unknown
                }
            };
            pairs.push((Group(group), *uid));
        }
        pairs
    }

    /// Takes over the sets of another folder, and tells in which set each of these messages of it is, whose UIDs ascend.
    pub(super) fn take_over(&mut self, other: &mut Self, uids: &[Uid]) -> Vec<Node> {
        let mut here: Vec<Option<Node>> = vec![None; other.parents.len()];
        for n in 0..other.parents.len() {
            let hash = other.hashes[n];
            // Further messages without an id come when they are asked about.
            if hash == 0 {
                continue;
            }
            // There are no more nodes than such numbers, as in `fresh`.
            let there = other.root(Node(u32::try_from(n).unwrap_or(u32::MAX)));
            let known = self.node(hash);
            match here[there.index()] {
                Some(node) => self.unite(node, known),
                None => here[there.index()] = Some(known),
            }
        }
        let mut nodes = Vec::with_capacity(uids.len());
        for (Group(there), _) in other.groups(uids) {
            nodes.push(match here.get_mut(there as usize) {
                Some(node) => *node.get_or_insert_with(|| self.fresh(0)),
                None => self.fresh(0),
            });
        }
        nodes
    }

    /// The set that something is in.
    pub(super) fn group(&mut self, node: Node) -> Group {
        Group(self.root(node).0)
    }

    /// All ids in the set of a message.
    pub(super) fn ids_with(&mut self, uid: Uid) -> HashSet<u64> {
        let Some(node) = self.node_of(uid) else { return HashSet::new() };
        let root = self.root(node);
        let all = (0..u32::try_from(self.parents.len()).unwrap_or(u32::MAX)).map(Node);
        let same: Vec<Node> = all.filter(|node| self.root(*node) == root).collect();
        same.into_iter().filter_map(|node| self.hash(node)).collect()
    }

    /// The id of a message.
    pub(super) fn id_of(&self, uid: Uid) -> Option<u64> {
        self.hash(self.node_of(uid)?)
    }

    /// The messages that are in a set with one of these ids, each with its own id if it has one. Looks at single messages
    /// only where one of the ids is known.
    pub(super) fn named(&mut self, ids: &HashSet<u64>) -> Vec<(Uid, Option<u64>)> {
        let roots = self.roots(ids);
        if roots.is_empty() {
            return Vec::new();
        }
        let mut found = Vec::new();
        for at in 0..self.messages.len() {
            let (uid, node) = self.messages[at];
            if roots.contains(&self.root(node)) {
                found.push((uid, self.hash(node)));
            }
        }
        found
    }

    /// All ids in the sets with one of these.
    pub(super) fn ids_around(&mut self, ids: &HashSet<u64>) -> HashSet<u64> {
        let roots = self.roots(ids);
        let all = (0..u32::try_from(self.parents.len()).unwrap_or(u32::MAX)).map(Node);
        let same: Vec<Node> = all.filter(|node| roots.contains(&self.root(*node))).collect();
        same.into_iter().filter_map(|node| self.hash(node)).collect()
    }

    /// The sets with one of these ids.
    fn roots(&mut self, ids: &HashSet<u64>) -> HashSet<Node> {
        let nodes: Vec<Node> = ids.iter().filter_map(|id| self.by_hash.get(id).copied()).collect();
        nodes.into_iter().map(|node| self.root(node)).collect()
    }

    /// The hash of an id; `None` for messages without.
    fn hash(&self, node: Node) -> Option<u64> {
        Some(self.hashes[node.index()]).filter(|hash| *hash != 0)
    }

    fn node_of(&self, uid: Uid) -> Option<Node> {
        let at = self.messages.binary_search_by_key(&uid, |(known, _)| *known).ok()?;
        Some(self.messages[at].1)
    }

    fn node(&mut self, hash: u64) -> Node {
        if let Some(node) = self.by_hash.get(&hash) {
            return *node;
        }
        let node = self.fresh(hash);
        self.by_hash.insert(hash, node);
        node
    }

    fn fresh(&mut self, hash: u64) -> Node {
        // Four thousand million ids would need more memory than there is.
        let node = Node(u32::try_from(self.parents.len()).unwrap_or(u32::MAX));
        self.parents.push(node);
        self.hashes.push(hash);
        node
    }

    /// The root of a set; the path to it gets shorter each time it is followed.
    fn root(&mut self, mut node: Node) -> Node {
        while self.parents[node.index()] != node {
            let above = self.parents[self.parents[node.index()].index()];
            self.parents[node.index()] = above;
            node = above;
        }
        node
    }

    fn unite(&mut self, one: Node, other: Node) {
        let (one, other) = (self.root(one), self.root(other));
        // The older root stays, so that most ways are short.
        self.parents[one.max(other).index()] = one.min(other);
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher as _, RandomState};

    use super::*;

    fn uid(number: u32) -> Uid {
        Uid::new(number).unwrap()
    }

    /// The conversations of messages given as id, references and subject, as lists of their numbers from 1.
    fn groups(messages: &[(&str, &str, &str)]) -> Vec<Vec<u32>> {
        let hasher = RandomState::new();
        let mut links = Links::default();
        for (n, (id, references, subject)) in messages.iter().enumerate() {
            let fields = SearchFields {
                message_id: (*id).to_owned(),
                references: references.split_whitespace().map(str::to_owned).collect(),
                subject: (*subject).to_owned(),
                ..SearchFields::default()
            };
            links.add(uid(n as u32 + 1), &Names::of(&fields, |text| hasher.hash_one(text)));
        }
        let uids: Vec<Uid> = (1..=messages.len() as u32).map(uid).collect();
        let mut found: Vec<(Group, Vec<u32>)> = Vec::new();
        for (group, uid) in links.groups(&uids) {
            match found.iter_mut().find(|(known, _)| *known == group) {
                Some((_, numbers)) => numbers.push(uid.get()),
                None => found.push((group, vec![uid.get()])),
            }
        }
        found.into_iter().map(|(_, numbers)| numbers).collect()
    }

    #[test]
    fn messages_belong_together_by_what_they_name() {
        for (messages, wanted) in [
            (vec![("a", "", "x"), ("b", "a", "Re: x"), ("c", "", "x")], vec![vec![1, 2], vec![3]]),
            // By way of one that is not there, and in any order.
            (vec![("c", "a b", "Re: x"), ("d", "a", "other words")], vec![vec![1, 2]]),
            (vec![("b", "a", ""), ("c", "", ""), ("a", "", "")], vec![vec![1, 3], vec![2]]),
            (vec![("a", "", ""), ("b", "", ""), ("c", "a b", "")], vec![vec![1, 2, 3]]),
            // Answers that name nothing.
            (vec![("a", "", "Plan"), ("b", "", "plan"), ("c", "", "RE: [l] Plan (fwd)")], vec![vec![1], vec![2, 3]]),
            (vec![("c", "", "Re: Plan"), ("a", "", "Plan")], vec![vec![1], vec![2]]),
            (vec![("a", "", "Re:"), ("b", "", "Re: ")], vec![vec![1], vec![2]]),
            // Without an id, and with the same one twice.
            (vec![("", "", ""), ("", "", ""), ("", "a", ""), ("a", "", "")], vec![vec![1], vec![2], vec![3, 4]]),
            (vec![("a", "", "x"), ("a", "", "x")], vec![vec![1, 2]]),
        ] {
            assert_eq!(groups(&messages), wanted, "{messages:?}");
        }
    }

    #[test]
    fn long_lists_of_references_are_cut_in_the_middle() {
        let many: Vec<String> = (0..100).map(|n| format!("r{n}")).collect();
        let fields = SearchFields { references: many, ..SearchFields::default() };
        let named = std::cell::RefCell::new(Vec::new());
        let names = Names::of(&fields, |text| {
            named.borrow_mut().push(text.to_owned());
            named.borrow().len() as u64
        });
        assert_eq!(names.others.len(), MOST_REFERENCES);
        let named = named.into_inner();
        assert_eq!((named[0].as_str(), named[1].as_str(), named[15].as_str()), ("r0", "r85", "r99"));
        for few in 0..4 {
            let fields = SearchFields { references: vec!["x".to_owned(); few], ..SearchFields::default() };
            assert_eq!(Names::of(&fields, |_| 1).others.len(), few);
        }
    }

    #[test]
    fn unknown_messages_stand_alone_and_ids_are_found_again() {
        let hasher = RandomState::new();
        let names = |id: &str, other: &str| {
            let references = other.split_whitespace().map(str::to_owned).collect();
            let fields = SearchFields { message_id: id.to_owned(), references, ..SearchFields::default() };
            Names::of(&fields, |text| hasher.hash_one(text))
        };
        let (mut inbox, mut sent) = (Links::default(), Links::default());
        inbox.add(uid(3), &names("a", ""));
        inbox.add(uid(7), &names("c", "b"));
        sent.add(uid(1), &names("b", "a"));
        sent.add(uid(2), &names("z", ""));
        let groups = inbox.groups(&[1, 3, 5, 7].map(uid));
        let distinct: HashSet<Group> = groups.iter().map(|(group, _)| *group).collect();
        assert_eq!((distinct.len(), groups[1].1), (4, uid(3)));
        assert_eq!(sent.named(&inbox.ids_with(uid(7))), [(uid(1), sent.id_of(uid(1)))]);
        assert_eq!(sent.named(&inbox.ids_with(uid(3))), [(uid(1), Some(hasher.hash_one("b")))]);
        assert!(sent.named(&inbox.ids_with(uid(4))).is_empty());
        assert_ne!(inbox.id_of(uid(3)), inbox.id_of(uid(7)));
        // Two sets of the other folder belong to one of this.
        sent.add(uid(4), &names("d", "c"));
        let around = sent.ids_around(&inbox.ids_with(uid(3)).union(&inbox.ids_with(uid(7))).copied().collect());
        assert_eq!(around, HashSet::from(["a", "b", "c", "d"].map(|id| hasher.hash_one(id))));
    }

    #[test]
    fn sets_of_several_folders_are_joined() {
        let hasher = RandomState::new();
        let names = |id: &str, other: &str| {
            let references = other.split_whitespace().map(str::to_owned).collect();
            let fields = SearchFields { message_id: id.to_owned(), references, ..SearchFields::default() };
            Names::of(&fields, |text| hasher.hash_one(text))
        };
        let (mut inbox, mut sent, mut all) = (Links::default(), Links::default(), Links::default());
        for (number, id, other) in [(3, "a", ""), (5, "", ""), (7, "c", "b"), (8, "", "c"), (9, "x", "")] {
            inbox.add(uid(number), &names(id, other));
        }
        sent.add(uid(1), &names("b", "a"));
        sent.add(uid(2), &names("z", ""));
        let mut nodes = all.take_over(&mut inbox, &[3, 5, 6, 7, 8, 9].map(uid));
        nodes.extend(all.take_over(&mut sent, &[1, 2].map(uid)));
        let groups: Vec<Group> = nodes.into_iter().map(|node| all.group(node)).collect();
        let together: Vec<usize> = (0..groups.len()).filter(|n| groups[*n] == groups[0]).collect();
        // By way of the answer in the other folder; one without an id is with the one that it names.
        assert_eq!(together, [0, 3, 4, 6]);
        let others: HashSet<Group> = groups.iter().copied().filter(|group| *group != groups[0]).collect();
        assert_eq!(others.len(), 4);
    }
}
