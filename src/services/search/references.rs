//! From links to trees: RFC 5256 §3, REFERENCES, steps 2 to 6.

use std::collections::HashMap;

use super::thread::{Facts, Forest, NONE, Threader};
use crate::foundations::wire::imap::ThreadAlgorithm;

/// The trees of all messages that the threader knows.
pub(super) fn trees(threader: Threader) -> Forest {
    let mut work = Work { forest: without_missing(&threader), threader };
    match work.threader.algorithm() {
        ThreadAlgorithm::Refs => {
            work.promote_only_children();
            work.sort_by_latest();
        }
        ThreadAlgorithm::References | ThreadAlgorithm::OrderedSubject => {
            work.sort_below_missing();
            work.promote_only_children();
            work.sort_roots();
            work.gather_subjects();
            work.sort_below_missing();
            work.sort_roots();
        }
    }
    work.sort_children();
    work.forest
}

/// Steps 2 and 3: missing messages are removed, and their children take their places; but at the root a missing one stays
/// if it has several children.
fn without_missing(threader: &Threader) -> Forest {
    let nodes = &threader.nodes;
    let mut forest = Forest::of(nodes);
    // The new parent for the children of a missing node; found once for each.
    let mut anchors: Vec<u32> = vec![NONE; nodes.len()];
    let mut path = Vec::new();
    for (node, at) in (0_u32..).zip(nodes) {
        if at.letter == NONE {
            continue;
        }
        let mut above = at.parent;
        while above != NONE {
            let parent = &nodes[above as usize];
            if parent.letter != NONE || parent.parent == NONE {
                break;
            }
            if anchors[above as usize] != NONE {
                above = anchors[above as usize];
                break;
            }
            path.push(above);
            above = parent.parent;
        }
        for missing in path.drain(..) {
            anchors[missing as usize] = above;
        }
        match above {
            NONE => forest.roots.push(node),
            above => forest.children[above as usize].push(node),
        }
    }
    let is_missing_root = |node: &u32| {
        let at = &nodes[*node as usize];
        at.letter == NONE && at.parent == NONE && !forest.children[*node as usize].is_empty()
    };
    let missing: Vec<u32> = (0..u32::try_from(nodes.len()).unwrap_or(NONE)).filter(is_missing_root).collect();
    forest.roots.extend(missing);
    forest
}

struct Work {
    threader: Threader,
    forest: Forest,
}

impl Work {
    fn is_missing(&self, node: u32) -> bool {
        self.forest.message(node).is_none()
    }

    /// The message that represents a root: itself, or its first child if it is missing.
    fn head(&self, root: u32) -> Option<&Facts> {
        let message = self.forest.message(root);
        let message = message.or_else(|| self.forest.message(*self.forest.children(root).first()?))?;
        self.threader.letters.get(message)
    }

    fn key(&self, node: u32) -> (i64, u32) {
        match self.forest.children(node).first() {
            Some(first) if self.is_missing(node) => self.threader.key(*first),
            // Nodes that were added here are missing ones with children.
            _ => self.threader.key(node),
        }
    }

    fn sort(&self, mut nodes: Vec<u32>) -> Vec<u32> {
        if nodes.len() > 1 {
            nodes.sort_by_cached_key(|node| self.key(*node));
        }
        nodes
    }

    fn sort_below(&mut self, node: u32) {
        let children = std::mem::take(&mut self.forest.children[node as usize]);
        self.forest.children[node as usize] = self.sort(children);
    }

    /// A missing root is represented by its first child, which must be determined first.
    fn sort_below_missing(&mut self) {
        for at in 0..self.forest.roots.len() {
            let root = self.forest.roots[at];
            if self.is_missing(root) {
                self.sort_below(root);
            }
        }
    }

    /// Step 3.B: the only child of a missing root takes its place.
    fn promote_only_children(&mut self) {
        for at in 0..self.forest.roots.len() {
            let root = self.forest.roots[at];
            if let (true, [only]) = (self.is_missing(root), self.forest.children(root)) {
                self.forest.roots[at] = *only;
            }
        }
    }

    /// Step 4.
    fn sort_roots(&mut self) {
        let roots = std::mem::take(&mut self.forest.roots);
        self.forest.roots = self.sort(roots);
    }

    /// Step 6. Siblings are messages, except for roots, so that the order in which sets are sorted makes no difference.
    fn sort_children(&mut self) {
        for node in 0..u32::try_from(self.forest.children.len()).unwrap_or(NONE) {
            self.sort_below(node);
        }
    }

    /// Threads in the order of their latest messages.
    fn sort_by_latest(&mut self) {
        let mut roots = std::mem::take(&mut self.forest.roots);
        roots.sort_by_cached_key(|root| {
            let mut latest = i64::MIN;
            let mut open = vec![*root];
            while let Some(node) = open.pop() {
                if let Some(facts) = self.forest.message(node).and_then(|message| self.threader.letters.get(message)) {
                    latest = latest.max(facts.sent);
                }
                open.extend(self.forest.children(node));
            }
            (latest, self.key(*root).1)
        });
        self.forest.roots = roots;
    }

    /// Step 5: threads of one subject become one.
    fn gather_subjects(&mut self) {
        let table = self.subject_table();
        self.merge(table);
    }

    /// Steps 5.A and 5.B: which root stands for each subject.
    fn subject_table(&self) -> HashMap<u32, u32> {
        let mut table: HashMap<u32, u32> = HashMap::new();
        for root in self.forest.roots.iter().copied() {
            let Some(facts) = self.head(root).filter(|facts| facts.subject != 0) else { continue };
            let known = table.entry(facts.subject).or_insert(root);
            let prefers_new = !self.is_missing(*known)
                && (self.is_missing(root) || self.is_reply(*known) && !facts.is_reply_or_forward);
            if prefers_new {
                *known = root;
            }
        }
        table
    }

    fn is_reply(&self, root: u32) -> bool {
        self.head(root).is_some_and(|facts| facts.is_reply_or_forward)
    }

    /// Step 5.C.
    fn merge(&mut self, mut table: HashMap<u32, u32>) {
        let roots = std::mem::take(&mut self.forest.roots);
        // Those that are no longer roots.
        let mut gone = vec![false; self.forest.letters.len()];
        let mut added = Vec::new();
        for root in roots.iter().copied() {
            let Some(subject) = self.head(root).map(|facts| facts.subject).filter(|subject| *subject != 0) else {
                continue;
            };
            let Some(known) = table.get(&subject).copied().filter(|known| *known != root) else { continue };
            if gone[root as usize] {
                continue;
            }
            gone[root as usize] = true;
            match (self.is_missing(known), self.is_missing(root)) {
                (true, true) => {
                    let children = std::mem::take(&mut self.forest.children[root as usize]);
                    self.forest.children[known as usize].extend(children);
                }
                (true, false) => self.forest.children[known as usize].push(root),
                (false, _) if self.is_reply(root) && !self.is_reply(known) => {
                    self.forest.children[known as usize].push(root);
                }
                (false, _) => {
                    gone[known as usize] = true;
                    let both = self.add_missing(vec![known, root]);
                    added.push(both);
                    table.insert(subject, both);
                }
            }
        }
        let left = roots.into_iter().filter(|root| !gone[*root as usize]);
        self.forest.roots = left.chain(added).collect();
    }

    /// A root whose message is missing.
    fn add_missing(&mut self, children: Vec<u32>) -> u32 {
        let node = u32::try_from(self.forest.letters.len()).unwrap_or(NONE - 1);
        self.forest.letters.push(NONE);
        self.forest.children.push(children);
        node
    }
}
