//! Continuing when single messages cannot be read.

use super::{Error, View};
use crate::foundations::mail::Uid;

/// Collects messages that exist but cannot be read (a bad sector, a file of another user), for callers that can do
/// without them.
#[derive(Debug, Default)]
pub struct Unreadable {
    /// Why the first of them cannot be read.
    first: Option<Error>,
}

impl Unreadable {
    /// Takes a result of [`Summaries`](super::Summaries) or [`Bodies`](super::Bodies) for one of the requested
    /// messages; returns `None` for one that is gone or cannot be read.
    ///
    /// # Errors
    /// The error concerns more than one message.
    pub fn pass<T>(&mut self, next: Option<(Uid, Result<T, Error>)>) -> Result<Option<T>, Error> {
        match next {
            Some((_, Ok(item))) => Ok(Some(item)),
            Some((_, Err(Error::NoMessage(_)))) => Ok(None),
            Some((_, Err(error @ Error::Io { .. }))) => {
                _ = self.first.get_or_insert(error);
                Ok(None)
            }
            Some((_, Err(error))) => Err(error),
            // It ended early: its last error was about all the remaining messages.
            None => Err(self.first.take().unwrap_or(Error::Closing)),
        }
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Logs once for all of them that there are some in the folder.
    pub fn log(&self, view: &View) {
        if let Some(error) = &self.first {
            log::warn!(user:% = view.account(), folder:% = view.folder(), error:% = error;
                "Messages that cannot be read are skipped");
        }
    }

    /// For callers that cannot do without them.
    ///
    /// # Errors
    /// There are some.
    pub fn refuse(self) -> Result<(), Error> {
        self.first.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_all_is_not_taken_for_one_message() {
        let io = || Error::io("cannot read", std::io::Error::other("a bad sector"));
        let of = |result: Result<u8, Error>| Some((Uid::MIN, result));
        let mut unreadable = Unreadable::default();
        assert_eq!(unreadable.pass(of(Ok(1))).unwrap(), Some(1));
        assert_eq!(unreadable.pass(of(Err(Error::NoMessage(Uid::MIN)))).unwrap(), None);
        assert!(unreadable.is_empty());
        assert_eq!(unreadable.pass(of(Err(io()))).unwrap(), None);
        assert_eq!(unreadable.pass(of(Ok(2))).unwrap(), Some(2));
        assert!(!unreadable.is_empty());
        assert!(matches!(unreadable.pass::<u8>(None), Err(Error::Io { .. })));
        assert!(matches!(Unreadable::default().pass(of(Err(Error::Closing))), Err(Error::Closing)));
        let mut unreadable = Unreadable::default();
        assert_eq!(unreadable.pass(of(Err(io()))).unwrap(), None);
        assert!(unreadable.refuse().is_err() && Unreadable::default().refuse().is_ok());
    }
}
