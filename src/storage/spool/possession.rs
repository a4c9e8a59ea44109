use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::Error;

/// Marks the one process that passes on the messages of a spool, for as long as it lives. A second one would take
/// messages in flight for the remains of a crash, and send them again. Commands that view or change the queue need
/// none.
#[derive(Debug)]
pub struct Possession {
    _all: File,
    _node: Option<File>,
}

impl Possession {
    /// Takes possession of the spool in a directory, which must exist: alone, or as one of the nodes that share it.
    ///
    /// # Errors
    /// Another process has it ([`Error::Busy`]), or the file for the lock cannot be made.
    pub fn take(directory: &Path, node: Option<&str>) -> Result<Self, Error> {
        let lock = |name: &str, of_many: bool| {
            let path = directory.join(name);
            let failed = |source| Error::Body { path: path.clone(), source };
            // NFS gives a shared lock only to who may read, and an exclusive one only to who may write (flock(2)).
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
            let file = file.map_err(failed)?;
            match if of_many { file.try_lock_shared() } else { file.try_lock() } {
                Ok(()) => Ok(file),
                Err(TryLockError::WouldBlock) => Err(Error::Busy(directory.to_owned())),
                Err(TryLockError::Error(error)) => Err(failed(error)),
            }
        };
        Ok(Self {
            _all: lock(".postrider.lock", node.is_some())?,
            _node: node.map(|node| lock(&format!(".postrider-{node}.lock"), false)).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_or_one_for_each_node() {
        let place = tempfile::tempdir().unwrap();
        let take = |node| Possession::take(place.path(), node);
        let alone = take(None).unwrap();
        assert!(matches!(take(None), Err(Error::Busy(_))));
        assert!(matches!(take(Some("a")), Err(Error::Busy(_))));
        drop(alone);
        let (a, _b) = (take(Some("a")).unwrap(), take(Some("b")).unwrap());
        assert!(matches!(take(Some("a")), Err(Error::Busy(_))));
        assert!(matches!(take(None), Err(Error::Busy(_))));
        for lock in [&a._all, a._node.as_ref().unwrap()] {
            assert!(rustix::fs::fcntl_getfl(lock).unwrap().contains(rustix::fs::OFlags::RDWR), "as NFS wants it");
        }
        drop(a);
        assert!(take(Some("a")).is_ok());
    }
}
