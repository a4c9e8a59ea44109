//! `index`: one of several fields of the same name (RFC 5260 §6).

use crate::foundations::said::said;
use crate::services::sieve::check::Arguments;

/// Which one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Index {
    /// From 1.
    number: u64,
    from_last: bool,
}

impl Index {
    /// Takes `:index` and `:last`.
    pub(super) fn read(arguments: &mut Arguments<'_, '_>) -> Option<Self> {
        Self::read_of(arguments, "index")
    }

    /// The same for commands that bring these tags themselves.
    pub(super) fn read_of(arguments: &mut Arguments<'_, '_>, extension: &str) -> Option<Self> {
        let number = arguments.tag_number("index", extension);
        let last = arguments.tag("last", extension);
        match (number, last) {
            (None, Some(at)) => {
                let said = said!("sieve-last", "':last' counts from the end and is only used with ':index'");
                arguments.wrong_at(at, said);
                None
            }
            (Some((at, 0)), _) => {
                arguments.wrong_at(at, said!("sieve-index", "':index' counts from 1"));
                None
            }
            (number, last) => number.map(|(_, number)| Self { number, from_last: last.is_some() }),
        }
    }

    /// The element, if there are so many.
    pub(super) fn pick<T>(self, mut all: Vec<T>) -> Vec<T> {
        match self.place(all.len()) {
            Some(at) => vec![all.swap_remove(at)],
            None => Vec::new(),
        }
    }

    /// Its place from 0 among so many.
    pub(super) fn place(self, count: usize) -> Option<usize> {
        let number = usize::try_from(self.number).ok()?;
        if self.from_last { count.checked_sub(number) } else { number.checked_sub(1).filter(|at| *at < count) }
    }
}
