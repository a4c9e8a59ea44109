//! Which maildrops are taken.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::foundations::address::Address;

/// The maildrops that sessions of this process have. As many as there are sessions.
#[derive(Debug, Clone, Default)]
pub struct Maildrops(Arc<Mutex<HashSet<String>>>);

/// The exclusive right to a maildrop (RFC 1939 §4); dropping it gives it back.
#[derive(Debug)]
pub struct MaildropLock {
    maildrops: Maildrops,
    account: String,
}

impl Maildrops {
    /// Takes an account's maildrop unless another session has it.
    pub fn lock(&self, account: &Address) -> Option<MaildropLock> {
        let account = account.key();
        let free = self.0.lock().insert(account.clone());
        free.then(|| MaildropLock { maildrops: self.clone(), account })
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.0.lock().len()
    }
}

impl Drop for MaildropLock {
    fn drop(&mut self) {
        self.maildrops.0.lock().remove(&self.account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_session_at_a_time() {
        let maildrops = Maildrops::default();
        let ann: Address = "Ann@example.test".parse().unwrap();
        let lock = maildrops.lock(&ann).unwrap();
        assert!(maildrops.lock(&"ann@example.test".parse().unwrap()).is_none());
        assert!(maildrops.lock(&"bob@example.test".parse().unwrap()).is_some());
        drop(lock);
        assert!(maildrops.lock(&ann).is_some());
        assert_eq!(maildrops.taken(), 0);
    }
}
