//! Search conditions: those of IMAP's SEARCH, and further ones.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::Room;
use super::answer::Answer;
use super::list::search;
use super::paperclip::{file_names, has_attachment};
use crate::foundations::mail::{SequenceSet, Summary, Uid};
use crate::foundations::wire::imap::SearchKey;
use crate::storage::mailbox::{Unreadable, View};

/// A condition on a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sought {
    /// All of them hold.
    All(Vec<Self>),
    /// One of them holds.
    Any(Vec<Self>),
    /// It has files.
    Attachment,
    /// A file of it has a name with this in it, which is in small letters.
    FileName(String),
    /// It lies in the folder that people call so.
    In(String),
    /// What SEARCH asks.
    Key(SearchKey),
    /// It does not hold.
    Not(Box<Self>),
}

impl Sought {
    /// Whether it speaks of files in any way.
    pub(super) fn asks_for_attachments(&self) -> bool {
        match self {
            Self::All(some) | Self::Any(some) => some.iter().any(Self::asks_for_attachments),
            Self::Not(one) => one.asks_for_attachments(),
            one => *one == Self::Attachment,
        }
    }

    /// The folders that it names.
    pub(super) fn folders(&self) -> Vec<&str> {
        match self {
            Self::All(some) | Self::Any(some) => some.iter().flat_map(Self::folders).collect(),
            Self::Not(one) => one.folders(),
            Self::In(name) => vec![name],
            Self::Attachment | Self::FileName(_) | Self::Key(_) => Vec::new(),
        }
    }

    /// The condition reduced to one folder, for which `is_called` says whether a name means it; `None` if nothing there can match.
    pub(super) fn within(&self, is_called: &impl Fn(&str) -> bool) -> Option<Self> {
        Some(match self {
            Self::All(some) => Self::All(some.iter().map(|one| one.within(is_called)).collect::<Option<_>>()?),
            Self::Any(some) => {
                let left: Vec<Self> = some.iter().filter_map(|one| one.within(is_called)).collect();
                if left.is_empty() {
                    return None;
                }
                Self::Any(left)
            }
            Self::In(name) => is_called(name).then_some(Self::Key(SearchKey::All))?,
            Self::Not(one) => match one.within(is_called) {
                Some(Self::Key(SearchKey::All)) => return None,
                Some(left) => Self::Not(Box::new(left)),
                None => Self::Key(SearchKey::All),
            },
            one => one.clone(),
        })
    }

    /// The same as one condition of SEARCH, if that has it.
    fn key(&self) -> Option<SearchKey> {
        Some(match self {
            Self::All(some) => SearchKey::And(some.iter().map(Self::key).collect::<Option<_>>()?),
            Self::Any(some) => SearchKey::Or(some.iter().map(Self::key).collect::<Option<_>>()?),
            Self::Key(key) => key.clone(),
            Self::Not(one) => SearchKey::Not(Box::new(one.key()?)),
            Self::Attachment | Self::FileName(_) | Self::In(_) => return None,
        })
    }

    /// The messages of a folder for which it holds, ascending; of some of them, if there are some.
    pub(super) fn found<'a>(
        &'a self,
        room: &'a Room,
        view: &'a View,
        among: Option<Vec<Uid>>,
    ) -> BoxFuture<'a, Answer<Vec<Uid>>> {
        async move {
            if let Some(key) = self.key() {
                let hits = search(room, view, &key).await?;
                return Ok(match among {
                    Some(among) => common(among, &hits),
                    None => hits,
                });
            }
            let among = among.unwrap_or_else(|| view.rows(&SequenceSet::all()).map(|(_, row)| row.uid).collect());
            match self {
                // The index narrows the messages to be examined.
                Self::All(some) => {
                    let mut left = among;
                    let (quick, slow): (Vec<_>, Vec<_>) = some.iter().partition(|one| one.key().is_some());
                    for one in quick.into_iter().chain(slow) {
                        left = one.found(room, view, Some(left)).await?;
                    }
                    Ok(left)
                }
                Self::Any(some) => {
                    let mut all = Vec::new();
                    for one in some {
                        all.extend(one.found(room, view, Some(among.clone())).await?);
                    }
                    all.sort_unstable();
                    all.dedup();
                    Ok(all)
                }
                // Turned round as deep as it goes: a message that cannot be read is in neither half.
                Self::Not(one) => match &**one {
                    Self::All(some) => Self::Any(negated(some)).found(room, view, Some(among)).await,
                    Self::Any(some) => Self::All(negated(some)).found(room, view, Some(among)).await,
                    Self::Not(one) => one.found(room, view, Some(among)).await,
                    // Decided before.
                    Self::In(_) | Self::Key(_) => Ok(among),
                    leaf => with_structure(room, view, among, |structure| !leaf.is_in(structure)).await,
                },
                Self::In(_) | Self::Key(_) => Ok(Vec::new()),
                leaf => with_structure(room, view, among, |structure| leaf.is_in(structure)).await,
            }
        }
        .boxed()
    }

    /// Whether it holds for a message with this BODYSTRUCTURE, if that can tell.
    fn is_in(&self, structure: &[u8]) -> bool {
        match self {
            Self::Attachment => has_attachment(structure),
            Self::FileName(part) => file_names(structure).iter().any(|name| name.to_lowercase().contains(part)),
            // The others are looked at piece by piece, or were decided before.
            Self::All(_) | Self::Any(_) | Self::In(_) | Self::Key(_) | Self::Not(_) => false,
        }
    }
}

fn negated(some: &[Sought]) -> Vec<Sought> {
    some.iter().map(|one| Sought::Not(Box::new(one.clone()))).collect()
}

/// Those of the one that are in the other, both ascending.
fn common(some: Vec<Uid>, others: &[Uid]) -> Vec<Uid> {
    some.into_iter().filter(|uid| others.binary_search(uid).is_ok()).collect()
}

/// Those of the messages whose BODYSTRUCTURE is so. SEARCH has no condition for it.
async fn with_structure(room: &Room, view: &View, among: Vec<Uid>, is_so: impl Fn(&[u8]) -> bool) -> Answer<Vec<Uid>> {
    let _turn = room.searches.take(view.account()).await;
    let mut summaries = view.summaries(among.clone());
    let mut unreadable = Unreadable::default();
    let mut kept = Vec::new();
    for uid in among {
        let stored = unreadable.pass(summaries.next().await)?;
        let summary = stored.as_ref().and_then(|stored| Summary::read(stored));
        if summary.is_some_and(|it| is_so(&it.body_structure)) {
            kept.push(uid);
        }
    }
    unreadable.log(view);
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_decided_before_anything_is_read() {
        let place = |name: &str| Sought::In(name.to_owned());
        let not = |one: Sought| Sought::Not(Box::new(one));
        let sent = |sought: Sought| sought.within(&|name| name == "sent");
        let always = Some(Sought::Key(SearchKey::All));
        assert_eq!((sent(place("sent")), sent(place("x"))), (always.clone(), None));
        assert_eq!((sent(not(place("sent"))), sent(not(place("x")))), (None, always));
        let either = Sought::Any(vec![place("x"), Sought::Attachment]);
        assert_eq!(sent(either.clone()), Some(Sought::Any(vec![Sought::Attachment])));
        assert_eq!(sent(Sought::All(vec![place("x"), Sought::Attachment])), None);
        assert_eq!(either.folders(), ["x"]);
        assert!(either.asks_for_attachments() && !place("x").asks_for_attachments());
    }
}
