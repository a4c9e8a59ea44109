//! Threads of messages (RFC 5256 §3): trees of who answers whom.
//!
//! [`Threader`] knows nothing about mailboxes: it is given the facts of one message after the other and returns a [`Forest`].
//! Its memory is bounded by the number of messages, however many others they refer to, and no shape of tree makes it
//! recurse.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::Hit;
use super::find::blocking;
use super::headings::{HeadingVisitor, sent, visit_headings};
use super::references;
use crate::foundations::mail::{BaseSubject, Heading, message_ids};
use crate::foundations::wire::imap::ThreadAlgorithm;
use crate::storage::mailbox::{self, Row, View};

/// Most message ids of one message's References that are used: the first one and the last ones.
const MOST_REFERENCES: usize = 100;

/// How many missing messages are remembered for each existing one. Further references to unknown messages
/// are ignored, as if the field had been cut.
const MISSING_PER_MESSAGE: usize = 4;

/// Steps up through trees, for each message, when checking for loops. Once they are used up, links that would need more are
/// no longer made. Real mail needs almost none.
const STEPS_PER_MESSAGE: u64 = 1_000;

/// Steps that even the smallest mailbox gets.
const AT_LEAST: usize = 1_000;

/// No node.
pub(super) const NONE: u32 = u32::MAX;

/// The facts about a message that threading needs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Letter<'a, R> {
    /// Its message id, as [`message_ids`] gives them.
    pub message_id: Option<&'a [u8]>,
    /// The messages it refers to, the oldest first: References, or the first of In-Reply-To if that is missing.
    pub references: R,
    /// Its subject, decoded.
    pub subject: &'a str,
    /// When it was sent, in seconds.
    pub sent: i64,
}

/// Arranges messages in trees.
#[derive(Debug)]
pub struct Threader {
    algorithm: ThreadAlgorithm,
    /// Keys of the hashes of message ids: nobody outside can make two ids collide.
    hashers: [RandomState; 2],
    by_id: HashMap<u128, u32>,
    missing_left: usize,
    steps_left: u64,
    subjects: HashMap<Box<str>, u32>,
    pub(super) nodes: Vec<Node>,
    pub(super) letters: Vec<Facts>,
}

/// A message, or one that others refer to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub parent: u32,
    /// Which message; [`NONE`] when it is missing.
    pub letter: u32,
    /// Whether any node has ever had it as its parent.
    has_children: bool,
}

/// What is kept of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub sent: i64,
    /// Number of the base subject; 0 for the empty one.
    pub subject: u32,
    pub is_reply_or_forward: bool,
    node: u32,
}

/// Trees of messages. Nodes are numbers; a node without a message stands for a missing one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Forest {
    /// The roots in order.
    pub roots: Vec<u32>,
    /// By node: which message, in the order in which they were added.
    pub(super) letters: Vec<u32>,
    /// By node: its children in order.
    pub(super) children: Vec<Vec<u32>>,
}

impl Forest {
    /// Which message a node is, counted from 0 in the order in which they were added; `None` when it is missing, which
    /// only happens with roots.
    pub fn message(&self, node: u32) -> Option<usize> {
        self.letters.get(node as usize).filter(|letter| **letter != NONE).map(|letter| *letter as usize)
    }

    /// The children of a node in order.
    pub fn children(&self, node: u32) -> &[u32] {
        self.children.get(node as usize).map_or(&[], Vec::as_slice)
    }
}

impl Threader {
    /// For about this many messages.
    pub fn new(algorithm: ThreadAlgorithm, messages: usize) -> Self {
        let allowance = messages.max(AT_LEAST);
        Self {
            algorithm,
            hashers: [RandomState::new(), RandomState::new()],
            by_id: HashMap::new(),
            missing_left: allowance * MISSING_PER_MESSAGE,
            steps_left: allowance as u64 * STEPS_PER_MESSAGE,
            subjects: HashMap::from([("".into(), 0)]),
            nodes: Vec::new(),
            letters: Vec::with_capacity(messages),
        }
    }

    /// Adds a message; messages are added in the order of the mailbox.
    pub fn add<'r, R>(&mut self, letter: Letter<'_, R>)
    where
        R: IntoIterator<Item = &'r [u8]>,
    {
        let number = u32::try_from(self.letters.len()).unwrap_or(NONE - 1);
        let base = BaseSubject::of(letter.subject);
        let is_reply_or_forward = base.is_reply_or_forward;
        let subject = match self.algorithm {
            ThreadAlgorithm::Refs => 0,
            ThreadAlgorithm::OrderedSubject | ThreadAlgorithm::References => self.subject(base.key()),
        };
        let node = match self.algorithm {
            ThreadAlgorithm::OrderedSubject => self.push(number),
            ThreadAlgorithm::References | ThreadAlgorithm::Refs => {
                self.place(number, letter.message_id, letter.references)
            }
        };
        self.letters.push(Facts { sent: letter.sent, subject, is_reply_or_forward, node });
    }

    /// The trees.
    pub fn finish(self) -> Forest {
        match self.algorithm {
            ThreadAlgorithm::OrderedSubject => self.by_subject(),
            ThreadAlgorithm::References | ThreadAlgorithm::Refs => references::trees(self),
        }
    }

    /// Which algorithm it follows.
    pub(super) const fn algorithm(&self) -> ThreadAlgorithm {
        self.algorithm
    }

    fn subject(&mut self, key: String) -> u32 {
        let next = u32::try_from(self.subjects.len()).unwrap_or(0);
        *self.subjects.entry(key.into()).or_insert(next)
    }

    fn push(&mut self, letter: u32) -> u32 {
        let node = u32::try_from(self.nodes.len()).unwrap_or(NONE - 1);
        self.nodes.push(Node { parent: NONE, letter, has_children: false });
        node
    }

    fn hash(&self, id: &[u8]) -> u128 {
        let [high, low] = [0, 1].map(|n: usize| u128::from(self.hashers[n].hash_one(id)));
        high << 64 | low
    }

    /// RFC 5256 §3, REFERENCES, step 1.
    fn place<'r>(&mut self, letter: u32, id: Option<&[u8]>, references: impl IntoIterator<Item = &'r [u8]>) -> u32 {
        let node = match id.map(|id| self.hash(id)) {
            // A message without an id, or with the same id as another, gets its own node.
            None => self.push(letter),
            Some(hash) => match self.by_id.get(&hash).copied() {
                Some(known) if self.nodes[known as usize].letter == NONE => {
                    self.nodes[known as usize].letter = letter;
                    known
                }
                Some(_) => self.push(letter),
                None => {
                    let node = self.push(letter);
                    self.by_id.insert(hash, node);
                    node
                }
            },
        };
        // Step 1.A.
        let mut last = NONE;
        for reference in shortened(references) {
            let Some(next) = self.referred(reference) else { continue };
            if last != NONE {
                self.link(last, next);
            }
            last = next;
        }
        // Step 1.B: what the message itself says about its parent counts more than what others have said.
        if self.nodes[node as usize].parent != last {
            self.nodes[node as usize].parent = NONE;
            if last != NONE {
                self.link(last, node);
            }
        }
        node
    }

    /// The node of a referenced message.
    fn referred(&mut self, id: &[u8]) -> Option<u32> {
        let hash = self.hash(id);
        if let Some(known) = self.by_id.get(&hash) {
            return Some(*known);
        }
        self.missing_left = self.missing_left.checked_sub(1)?;
        let node = self.push(NONE);
        self.by_id.insert(hash, node);
        Some(node)
    }

    /// Makes a node the child of another, unless it has a parent or that would make a loop.
    fn link(&mut self, parent: u32, child: u32) {
        if self.nodes[child as usize].parent != NONE || parent == child {
            return;
        }
        // A node without children is no ancestor.
        if self.nodes[child as usize].has_children {
            let mut at = parent;
            while at != NONE {
                if at == child || self.steps_left == 0 {
                    return;
                }
                self.steps_left -= 1;
                at = self.nodes[at as usize].parent;
            }
        }
        self.nodes[child as usize].parent = parent;
        self.nodes[parent as usize].has_children = true;
    }

    /// RFC 5256 §3, ORDEREDSUBJECT: the first message of each subject, and all others below it.
    fn by_subject(self) -> Forest {
        let mut order: Vec<u32> = self.letters.iter().map(|letter| letter.node).collect();
        order.sort_by_key(|node| self.key(*node));
        let mut forest = Forest::of(&self.nodes);
        let mut first_of: HashMap<u32, u32> = HashMap::new();
        for node in order {
            let subject = self.letters[self.nodes[node as usize].letter as usize].subject;
            let first = *first_of.entry(subject).or_insert(node);
            match first == node {
                true => forest.roots.push(node),
                false => forest.children[first as usize].push(node),
            }
        }
        forest
    }

    /// The sort key of siblings: the date of sending, then the order of the mailbox (RFC 5256 §3).
    pub(super) fn key(&self, node: u32) -> (i64, u32) {
        let letter = self.nodes[node as usize].letter;
        (self.letters.get(letter as usize).map_or(i64::MAX, |facts| facts.sent), letter)
    }
}

impl Forest {
    /// Nodes without roots and children.
    pub(super) fn of(nodes: &[Node]) -> Self {
        let letters = nodes.iter().map(|node| node.letter).collect();
        Self { roots: Vec::new(), letters, children: vec![Vec::new(); nodes.len()] }
    }
}

/// At most [`MOST_REFERENCES`]: the first one and the last ones.
fn shortened<'r>(references: impl IntoIterator<Item = &'r [u8]>) -> Vec<&'r [u8]> {
    let mut all: Vec<&[u8]> = references.into_iter().collect();
    if all.len() > MOST_REFERENCES {
        all.drain(1..=all.len() - MOST_REFERENCES);
    }
    all
}

/// Arranges messages of a view in trees; [`Forest::message`] says which hit a node is.
///
/// # Errors
/// The store cannot read its summaries.
pub async fn thread(algorithm: ThreadAlgorithm, hits: &[Hit], view: &View) -> Result<Forest, mailbox::Error> {
    let threader = visit_headings(Threader::new(algorithm, hits.len()), hits, view).await?;
    blocking(move || threader.finish()).await
}

impl HeadingVisitor for Threader {
    fn visit(&mut self, row: &Row, heading: Option<&Heading<'_>>) {
        let sent = sent(row, heading);
        let Some(heading) = heading else {
            return self.add(Letter { message_id: None, references: [], subject: "", sent });
        };
        let own = heading.message_id();
        let own = own.as_deref().and_then(|value| message_ids(value).next());
        let mut references: Vec<_> = heading.references().collect();
        let answered = heading.in_reply_to();
        if references.is_empty() {
            // RFC 5256 §3: In-Reply-To if there are no References; of several ids the first.
            references.extend(answered.as_deref().and_then(|value| message_ids(value).next()));
        }
        self.add(Letter {
            message_id: own.as_deref(),
            references: references.iter().map(AsRef::as_ref),
            subject: heading.subject,
            sent,
        });
    }
}

#[cfg(test)]
#[path = "thread_tests.rs"]
mod tests;
