//! Telling users in time that their mailboxes fill up.

use std::sync::Arc;

use super::letters;
use super::scripting::Scripting;
use super::settings::DeliverySettings;
use super::store::{Delivery, Item, Target, append};
use crate::foundations::address::{Address, Domain};
use crate::foundations::clock::Timestamp;
use crate::foundations::event::EventKind;
use crate::foundations::mail::Message;
use crate::foundations::settings::Span;
use crate::storage::mailbox::User;
use crate::storage::scripts::{Error, Home, Known};

impl Delivery {
    /// Tells the user who has received this message when the mailbox has thereby reached a share of its quota. A failure
    /// is logged and makes no difference to the message.
    pub(super) async fn tell_nearly_full(&self, user: &Arc<User>, item: &Item<'_>) {
        let (Some(quota), Some(scripting)) = (item.recipient.quota, &self.scripting) else { return };
        if item.settings.nearly_full.is_empty() {
            return;
        }
        let account = &item.recipient.account;
        // The quota has just been kept, so that it is known.
        let Some(usage) = user.known_usage() else { return };
        let filling = Filling { stored: usage.octets, quota: quota.get() };
        let now = self.clock.now();
        match is_news(scripting, account, item.settings, filling, now).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                log::warn!(user:% = account, error:% = error; "whether {account} knows that the mailbox is nearly full cannot be read");
                return;
            }
        }
        let message = letter(account, filling, item.settings.nearly_full_again, &scripting.hostname(), now);
        match append(user, &message, Target::inbox(), item.recipient).await {
            Ok(_) => {
                let event = self.event(EventKind::NearlyFull, item).with("percent", filling.percent());
                self.record(event.with("stored", filling.stored).with("quota", filling.quota));
            }
            Err(error) => {
                log::warn!(user:% = account, error:% = error; "{account} cannot be told that the mailbox is nearly full: {error}");
            }
        }
    }
}

/// How full a mailbox is, in octets.
#[derive(Debug, Clone, Copy)]
struct Filling {
    stored: u64,
    quota: u64,
}

impl Filling {
    /// The share of the quota in per cent, rounded down.
    fn percent(self) -> u32 {
        let percent = (u128::from(self.stored) * 100).checked_div(u128::from(self.quota)).unwrap_or_default();
        u32::try_from(percent).unwrap_or(u32::MAX)
    }
}

/// Whether the user has not been told lately of the highest share that is reached. Those below it count as told with it.
async fn is_news(
    scripting: &Scripting,
    account: &Address,
    settings: &DeliverySettings,
    filling: Filling,
    now: Timestamp,
) -> Result<bool, Error> {
    let percent = filling.percent();
    let mut reached: Vec<u32> = settings.nearly_full.iter().copied().filter(|share| *share <= percent).collect();
    if reached.is_empty() {
        return Ok(false);
    }
    reached.sort_unstable();
    let until = now + settings.nearly_full_again.duration();
    let claim = move |home: &Home| {
        let mut news = false;
        for share in reached {
            news = home.claim(&format!("told of a mailbox {share} % full"), until, now)? == Known::New;
        }
        Ok(news)
    };
    scripting.home(account, claim).await
}

fn letter(account: &Address, filling: Filling, again: Span, hostname: &Domain, now: Timestamp) -> Message {
    let mebibytes = |octets: u64| octets.div_ceil(1 << 20);
    let text = format!(
        "Your mailbox {account} holds {} MiB of the {} MiB that it may hold.\n\n\
         When it is full, no message can be delivered to you until there is room again. Please delete what you no\n\
         longer need, and empty the folder for deleted messages, which counts too.\n\n\
         You are told this again in {again} at the earliest.\n",
        mebibytes(filling.stored),
        mebibytes(filling.quota),
    );
    let subject = format!("Your mailbox is {} % full", filling.percent());
    letters::to_user(account, ("Mail server", hostname), &subject, &text, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_the_quota() {
        for (stored, quota, wanted) in [(0, 10, 0), (79, 100, 79), (799, 1000, 79), (u64::MAX, 1, u32::MAX), (5, 0, 0)]
        {
            assert_eq!(Filling { stored, quota }.percent(), wanted, "{stored} of {quota}");
        }
    }
}
