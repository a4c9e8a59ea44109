//! How often each token has been seen in wanted and unwanted mail.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::chi::combine;
use super::{Token, tokens::is_of_header};

/// A person's judgement of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Wanted.
    Ham,
    /// Unwanted.
    Spam,
}

impl Class {
    /// The word for it in the database and on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ham => "ham",
            Self::Spam => "spam",
        }
    }
}

/// Counts of one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Wanted messages that contain it.
    pub ham: u32,
    /// Unwanted messages that contain it.
    pub spam: u32,
    /// Day of the last message learned with it, since 1970.
    pub day: u16,
}

/// The hashes are well distributed already.
#[derive(Debug, Default, Clone, Copy)]
pub struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 << 8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// What has been learned for one owner.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Wanted messages learned.
    pub ham: u32,
    /// Unwanted messages learned.
    pub spam: u32,
    pub(super) counts: HashMap<Token, Counts, BuildHasherDefault<Spread>>,
    /// The data imported from SpamAssassin, used as long as this table has no opinion of its own.
    pub(super) imported: Option<Arc<Self>>,
}

/// Fewest messages of each class before the table has an opinion.
pub const LEAST_MESSAGES: u32 = 50;
/// How much weight a token seen only once gets: Robinson's `s`.
const STRENGTH: f64 = 0.3;
/// Tokens whose probability is closer to a half than this are ignored.
const LEAST_DEVIATION: f64 = 0.2;
/// Tokens of the header that are combined, the most significant ones. There are few because they are correlated (what a mailing
/// list adds always comes together), and many would outweigh the text.
const MOST_OF_HEADER: usize = 10;
/// Fewest significant tokens, of header and text together, for an opinion: a few words are no evidence.
const LEAST_TELLING: usize = 5;
/// Tokens of the text that are combined.
const MOST_OF_TEXT: usize = 40;

impl Table {
    /// Whether enough has been learned to have an opinion.
    pub const fn is_ready(&self) -> bool {
        self.ham >= LEAST_MESSAGES && self.spam >= LEAST_MESSAGES
    }

    /// The data imported from SpamAssassin, used as long as this table has no opinion of its own.
    pub fn imported(&self) -> Option<&Self> {
        self.imported.as_deref().filter(|imported| !self.is_ready() && imported.is_ready())
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether nothing has been learned.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Forgets the least significant and oldest tokens until at most `most` are left (and a tenth more, so that this does
    /// not happen at every message).
    pub fn expire(&mut self, most: usize) {
        if self.counts.len() <= most {
            return;
        }
        let mut worth: Vec<(u32, u16)> = self.counts.values().map(|c| (rank(c), c.day)).collect();
        let keep = most - most / 10;
        let at = worth.len() - keep;
        let (_, limit, _) = worth.select_nth_unstable(at);
        let limit = *limit;
        self.counts.retain(|_, c| (rank(c), c.day) >= limit);
        // Many may be worth exactly the limit.
        let surplus = self.counts.len().saturating_sub(most);
        let drop: Vec<Token> =
            self.counts.iter().filter(|(_, c)| (rank(c), c.day) == limit).map(|(t, _)| *t).take(surplus).collect();
        for token in drop {
            self.counts.remove(&token);
        }
    }

    /// The probability that a message with these tokens is unwanted; `None` if too little has been learned,
    /// or almost none of it occurs in the message.
    /// What `other` (the recipient's own table) knows counts several times.
    pub fn probability(&self, tokens: &[Token], other: Option<&Self>) -> Option<f64> {
        let (mut header, mut text) = self.telling(tokens, other)?;
        // Two opinions, which may contradict each other: unwanted words by a well-known route are neither.
        let header = combine(most_telling(&mut header, MOST_OF_HEADER));
        let text = combine(most_telling(&mut text, MOST_OF_TEXT));
        Some(f64::midpoint(header, text))
    }

    /// The same for a table that does not distinguish header and text.
    pub fn probability_of_text(&self, tokens: &[Token]) -> Option<f64> {
        let (_, mut text) = self.telling(tokens, None)?;
        Some(combine(most_telling(&mut text, MOST_OF_TEXT)))
    }

    /// The probabilities of significant tokens, those of the header and those of the text.
    fn telling(&self, tokens: &[Token], other: Option<&Self>) -> Option<(Vec<f64>, Vec<f64>)> {
        let other = other.filter(|o| o.is_ready());
        if !self.is_ready() && other.is_none() {
            return None;
        }
        let weight = f64::from(OWN_WEIGHT);
        let (own_ham, own_spam) = other.map_or((0.0, 0.0), |o| (f64::from(o.ham) * weight, f64::from(o.spam) * weight));
        let all_ham = (f64::from(self.ham) + own_ham).max(1.0);
        let all_spam = (f64::from(self.spam) + own_spam).max(1.0);
        let (mut header, mut text): (Vec<f64>, Vec<f64>) = (Vec::with_capacity(128), Vec::with_capacity(512));
        for token in tokens {
            let site = self.counts.get(token).copied().unwrap_or_default();
            let own = other.and_then(|o| o.counts.get(token)).copied().unwrap_or_default();
            let ham = f64::from(site.ham) + f64::from(own.ham) * weight;
            let spam = f64::from(site.spam) + f64::from(own.spam) * weight;
            let seen = ham + spam;
            if seen == 0.0 {
                continue;
            }
            let (ham_part, spam_part) = ((ham / all_ham).min(1.0), (spam / all_spam).min(1.0));
            let raw = spam_part / (ham_part + spam_part);
            let probability = (STRENGTH * 0.5 + seen * raw) / (STRENGTH + seen);
            if (probability - 0.5).abs() >= LEAST_DEVIATION {
                let list = if is_of_header(*token) { &mut header } else { &mut text };
                list.push(probability.clamp(1e-5, 1.0 - 1e-5));
            }
        }
        (header.len() + text.len() >= LEAST_TELLING).then_some((header, text))
    }
}

/// The probabilities furthest from a half.
fn most_telling(all: &mut [f64], most: usize) -> &[f64] {
    if all.len() <= most {
        return all;
    }
    let key = |p: &f64| 0.5 - (p - 0.5).abs();
    all.select_nth_unstable_by(most, |a, b| key(a).total_cmp(&key(b)));
    &all[..most]
}

/// How many messages of the site one message of the recipient's own outweighs.
const OWN_WEIGHT: u32 = 4;

/// The value of keeping a token: how often it was seen, where once is almost nothing.
fn rank(counts: &Counts) -> u32 {
    match counts.ham.saturating_add(counts.spam) {
        0 | 1 => 0,
        n => n.ilog2(),
    }
}
