//! Telling users in time that their mailboxes fill up.

use std::sync::Arc;
use std::time::Duration;

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
        let account = &item.recipient.account;
        // Known, because the quota has just been looked at.
        let Some(usage) = user.known_usage() else { return };
        let filling = Filling { stored: usage.octets, quota: quota.get() };
        let (now, shares) = (self.clock.now(), reached(item.settings, filling));
        let Some(highest) = shares.last().copied() else { return };
        let again = item.settings.nearly_full_again;
        match is_news(scripting, account, highest, now + again.duration().min(TELLING), now).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                log::warn!(user:% = account, error:% = error; "cannot read whether {account} has been notified that the mailbox is nearly full");
                return;
            }
        }
        let message = letter(account, filling, again, &scripting.hostname(), now);
        match append(user, &message, Target::inbox(), item.recipient).await {
            Ok(_) => {
                if let Err(error) = told(scripting, account, shares, now + again.duration(), now).await {
                    log::warn!(user:% = account, error:% = error; "cannot record that {account} was notified that the mailbox is nearly full");
                }
                let event = self.event(EventKind::NearlyFull, item).with("percent", filling.percent());
                self.record(event.with("stored", filling.stored).with("quota", filling.quota));
            }
            Err(error) => {
                log::warn!(user:% = account, error:% = error; "{account} cannot be notified that the mailbox is nearly full: {error}");
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

/// How long a delivery has to tell the user before another one tries.
const TELLING: Duration = Duration::from_secs(600);

/// The shares that are reached, the highest last.
fn reached(settings: &DeliverySettings, filling: Filling) -> Vec<u32> {
    let percent = filling.percent();
    let mut reached: Vec<u32> = settings.nearly_full.iter().copied().filter(|share| *share <= percent).collect();
    reached.sort_unstable();
    reached
}

fn key(share: u32) -> String {
    format!("told of a mailbox {share} % full")
}

/// Whether the user has not been told lately of the highest share that is reached, and no other delivery is about to do so. Until
/// `until` that is left to the caller.
async fn is_news(
    scripting: &Scripting,
    account: &Address,
    highest: u32,
    until: Timestamp,
    now: Timestamp,
) -> Result<bool, Error> {
    scripting.home(account, move |home: &Home| Ok(home.claim(&key(highest), until, now)? == Known::New)).await
}

/// Remembers what the user has been told. The shares below the highest count as told with it.
async fn told(
    scripting: &Scripting,
    account: &Address,
    reached: Vec<u32>,
    until: Timestamp,
    now: Timestamp,
) -> Result<(), Error> {
    let remember = move |home: &Home| reached.iter().try_for_each(|share| home.remember(&key(*share), until, now));
    scripting.home(account, remember).await
}

fn letter(account: &Address, filling: Filling, again: Span, hostname: &Domain, now: Timestamp) -> Message {
    let mebibytes = |octets: u64| octets.div_ceil(1 << 20);
    let text = format!(
        "Your mailbox {account} holds {} MiB of the {} MiB it may hold.\n\n\
         When it is full, no message can be delivered to you until there is room again. Please delete what you no\n\
         longer need, and empty the folder for deleted messages, which counts too.\n\n\
         You will not be told again for at least {again}.\n",
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
