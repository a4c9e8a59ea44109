//! The names a user has subscribed to.

use std::collections::BTreeSet;
use std::os::fd::AsFd as _;
use std::sync::Arc;

use super::User;
use crate::foundations::files::is_there;
use crate::storage::mailbox::maildir::{directory, subscriptions};
use crate::storage::mailbox::{Error, FolderName, News, Subscription};

impl User {
    /// Subscribes or unsubscribes a name; the folder need not exist (RFC 9051 §6.3.7).
    pub async fn subscribe(self: &Arc<Self>, folder: &FolderName, subscription: Subscription) -> Result<(), Error> {
        let (user, folder) = (Arc::clone(self), folder.clone());
        self.job(move || {
            user.prepare()?;
            let _gate = user.gate.write();
            let mut names = user.read_subscriptions()?;
            let most = user.environment.settings.get().folders_per_user as usize;
            let name = folder.clone();
            let changed = match subscription {
                // Names of folders that do not exist are kept too, but not without limit.
                Subscription::On if names.len() >= most && !names.contains(&folder) => {
                    return Err(Error::TooManyFolders(names.len()));
                }
                Subscription::On => names.insert(folder),
                Subscription::Off => names.remove(&folder),
            };
            if changed {
                user.write_subscriptions(&names)?;
                user.account.hub.tell(|| News::Subscription(name));
            }
            Ok(())
        })
        .await
    }

    /// Whether the user has ever subscribed to anything.
    pub(super) fn has_subscriptions(&self) -> Result<bool, Error> {
        Ok(is_there(&self.path.join(subscriptions::NAME))?)
    }

    pub(super) fn read_subscriptions(&self) -> Result<BTreeSet<FolderName>, Error> {
        let failed = self.failed("read the subscriptions");
        let root = directory::open(&self.path).map_err(&failed)?;
        subscriptions::read(root.as_fd()).map_err(&failed)
    }

    pub(super) fn write_subscriptions(&self, names: &BTreeSet<FolderName>) -> Result<(), Error> {
        let failed = self.failed("write the subscriptions");
        let root = self.own_root().map_err(&failed)?;
        subscriptions::write(root.as_fd(), names).map_err(&failed)
    }
}
