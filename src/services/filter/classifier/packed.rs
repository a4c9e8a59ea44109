//! The storage format of tables and their changes: fixed widths, little endian.

use std::collections::HashMap;

use super::table::Counts;
use super::{Class, Table, Token};

/// Pieces of a table.
const SHARDS: u64 = 64;
/// Octets of one token in a piece: token, ham, spam, day.
const ENTRY: usize = 8 + 3 + 3 + 2;
/// Largest count in a piece.
const MOST: u32 = (1 << 24) - 1;

/// A table in pieces.
pub(super) fn pack(table: &Table) -> Vec<Vec<u8>> {
    let mut pieces: Vec<Vec<u8>> = vec![Vec::new(); SHARDS as usize];
    for (token, counts) in &table.counts {
        let piece = &mut pieces[(token % SHARDS) as usize];
        piece.extend_from_slice(&token.to_le_bytes());
        piece.extend_from_slice(&counts.ham.min(MOST).to_le_bytes()[..3]);
        piece.extend_from_slice(&counts.spam.min(MOST).to_le_bytes()[..3]);
        piece.extend_from_slice(&counts.day.to_le_bytes());
    }
    pieces
}

/// Adds a piece to a table; `None` if it is invalid.
pub(super) fn unpack(piece: &[u8], table: &mut Table) -> Option<()> {
    let (entries, rest) = piece.as_chunks::<ENTRY>();
    if !rest.is_empty() {
        return None;
    }
    table.counts.reserve(entries.len());
    for e in entries {
        let token = u64::from_le_bytes([e[0], e[1], e[2], e[3], e[4], e[5], e[6], e[7]]);
        let counts = Counts {
            ham: u32::from_le_bytes([e[8], e[9], e[10], 0]),
            spam: u32::from_le_bytes([e[11], e[12], e[13], 0]),
            day: u16::from_le_bytes([e[14], e[15]]),
        };
        table.counts.insert(token, counts);
    }
    Some(())
}

/// What lessons add to a table, or take from it.
#[derive(Debug, Default)]
pub(super) struct Delta {
    /// Wanted messages.
    pub ham: i64,
    /// Unwanted messages.
    pub spam: i64,
    tokens: HashMap<Token, Shift>,
}

/// What is added to the counts of one token.
#[derive(Debug, Default)]
struct Shift {
    ham: i32,
    spam: i32,
}

impl Delta {
    /// Adds a message.
    pub(super) fn learn(&mut self, class: Class, tokens: &[Token]) {
        self.add(class, 1, tokens);
    }

    /// Takes back a message that was learned as this.
    pub(super) fn unlearn(&mut self, class: Class, tokens: &[Token]) {
        self.add(class, -1, tokens);
    }

    fn add(&mut self, class: Class, times: i32, tokens: &[Token]) {
        match class {
            Class::Ham => self.ham += i64::from(times),
            Class::Spam => self.spam += i64::from(times),
        }
        for token in tokens {
            let shift = self.tokens.entry(*token).or_default();
            match class {
                Class::Ham => shift.ham += times,
                Class::Spam => shift.spam += times,
            }
        }
    }

    /// Whether it changes nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.ham == 0 && self.spam == 0
    }

    /// The day, then each token with what is added to its two counts.
    pub(super) fn pack(&self, day: u16) -> Vec<u8> {
        let mut packed = Vec::with_capacity(2 + self.tokens.len() * 16);
        packed.extend_from_slice(&day.to_le_bytes());
        for (token, shift) in &self.tokens {
            packed.extend_from_slice(&token.to_le_bytes());
            packed.extend_from_slice(&shift.ham.to_le_bytes());
            packed.extend_from_slice(&shift.spam.to_le_bytes());
        }
        packed
    }
}

/// Applies a packed [`Delta`] to a table; `None` if it is invalid.
pub(super) fn apply(table: &mut Table, packed: &[u8]) -> Option<()> {
    let (day, rest) = packed.split_first_chunk::<2>()?;
    let day = u16::from_le_bytes(*day);
    let (entries, rest) = rest.as_chunks::<16>();
    if !rest.is_empty() {
        return None;
    }
    for e in entries {
        let token = u64::from_le_bytes([e[0], e[1], e[2], e[3], e[4], e[5], e[6], e[7]]);
        let ham = i32::from_le_bytes([e[8], e[9], e[10], e[11]]);
        let spam = i32::from_le_bytes([e[12], e[13], e[14], e[15]]);
        let counts = table.counts.entry(token).or_default();
        counts.ham = counts.ham.saturating_add_signed(ham);
        counts.spam = counts.spam.saturating_add_signed(spam);
        counts.day = counts.day.max(day);
        if counts.ham == 0 && counts.spam == 0 {
            table.counts.remove(&token);
        }
    }
    Some(())
}
