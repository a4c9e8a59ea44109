//! Message files found by the part of their names that stays the same when flags change.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};

use crate::storage::mailbox::FileName;

/// Something with the name of a message file.
pub trait Named {
    /// The file's name.
    fn name(&self) -> &[u8];
}

/// A file that equals any other with the same base name. The base is not stored separately: for a hundred thousand messages
/// that would be as many allocations.
#[derive(Debug, Clone)]
pub struct ByBaseName<T>(pub T);

/// A set of them, one for each base name.
pub type Set<T> = HashSet<ByBaseName<T>>;

/// Adds files to a set. They replace those with the same base name.
pub fn replace_all<T: Named>(set: &mut Set<T>, newer: impl IntoIterator<Item = T>) {
    for one in newer {
        set.replace(ByBaseName(one));
    }
}

impl<T: Named> ByBaseName<T> {
    /// The base name.
    pub fn base(&self) -> &[u8] {
        FileName::base_of(self.0.name())
    }
}

impl<T: Named> Borrow<[u8]> for ByBaseName<T> {
    fn borrow(&self) -> &[u8] {
        self.base()
    }
}

impl<T: Named> PartialEq for ByBaseName<T> {
    fn eq(&self, other: &Self) -> bool {
        self.base() == other.base()
    }
}

impl<T: Named> Eq for ByBaseName<T> {}

impl<T: Named> Hash for ByBaseName<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.base().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Named for &[u8] {
        fn name(&self) -> &[u8] {
            self
        }
    }

    #[test]
    fn the_newest_of_a_base_name_stays() {
        let mut set = Set::new();
        replace_all(&mut set, [&b"1.a,U=1:2,"[..], b"2.a,U=2"]);
        replace_all(&mut set, [&b"1.a,U=1:2,S"[..], b"1.a,U=1:3"]);
        assert_eq!(set.len(), 3);
        assert_eq!(set.get(&b"1.a,U=1"[..]).map(|found| found.0), Some(&b"1.a,U=1:2,S"[..]));
        assert_eq!(set.get(&b"2.a,U=2"[..]).map(|found| found.0), Some(&b"2.a,U=2"[..]));
    }
}
