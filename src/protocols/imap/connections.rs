//! How many connections each account holds.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::foundations::address::Address;

/// Counts connections by account. As large as there are accounts connected.
#[derive(Debug, Clone, Default)]
pub struct Connections(Arc<Mutex<HashMap<String, u32>>>);

/// A place among an account's connections; dropping it gives it back.
#[derive(Debug)]
pub struct Place {
    connections: Connections,
    account: String,
}

impl Connections {
    /// Takes a place unless the account has `most` already.
    pub fn enter(&self, account: &Address, most: u32) -> Option<Place> {
        let account = account.key();
        let mut counts = self.0.lock();
        let count = counts.entry(account.clone()).or_default();
        if *count >= most {
            // An entry is never left at zero unless `most` is.
            if *count == 0 {
                counts.remove(&account);
            }
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Place { connections: self.clone(), account })
    }

    /// How many accounts are connected.
    pub fn accounts(&self) -> usize {
        self.0.lock().len()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.connections.0.lock();
        if let Some(count) = counts.get_mut(&self.account) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back() {
        let connections = Connections::default();
        let ann: Address = "Ann@example.test".parse().expect("an address");
        let first = connections.enter(&ann, 2);
        let second = connections.enter(&ann, 2);
        assert!(first.is_some() && second.is_some());
        assert!(connections.enter(&ann, 2).is_none());
        drop(first);
        assert!(connections.enter(&ann, 2).is_some());
        drop(second);
        assert_eq!(connections.accounts(), 0);
        assert!(connections.enter(&ann, 0).is_none());
        assert_eq!(connections.accounts(), 0);
    }
}
