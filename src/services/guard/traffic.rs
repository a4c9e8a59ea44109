//! How much mail clients send and mailboxes receive.

use std::time::Duration;

use super::admission::{Failure, Guard};
use super::allowance::words;
use super::rate_limits::{Rate, Wanted};
use crate::foundations::address::Address;
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::mail::Peer;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// What a client sends us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// A message, at MAIL.
    Message,
    /// A recipient, at RCPT.
    Recipient,
}

/// A part of a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateShare {
    /// Of what, with the period in words.
    pub what: &'static str,
    /// How much.
    pub units: u32,
    /// How much there is in the period; 0 is no limit.
    pub count: u32,
    /// The period.
    pub period: Duration,
}

impl RateShare {
    /// Whether it is more than there ever is.
    pub const fn is_too_much(&self) -> bool {
        self.count > 0 && self.units > self.count
    }
}

impl Guard {
    /// Whether a client that is not one of our users may send one more message or recipient now.
    ///
    /// # Errors
    /// It or its network has sent too many: 450 4.7.1.
    pub fn may_send(&self, peer: &Peer, what: Traffic) -> Result<(), Refusal> {
        let settings = self.settings();
        let (limit, word) = match what {
            Traffic::Message => (settings.traffic.messages_per_minute, "messages"),
            Traffic::Recipient => (settings.traffic.recipients_per_minute, "recipients"),
        };
        let Some(client) = self.counted(peer, &settings).filter(|_| limit > 0) else { return Ok(()) };
        let wide = limit.saturating_mul(settings.network_factor);
        for (network, count) in [(client.host(), limit), (client.network(), wide)] {
            let rate = match what {
                Traffic::Message => Rate::Messages(network),
                Traffic::Recipient => Rate::Recipients(network),
            };
            let wanted = Wanted { units: 1, count, period: MINUTE };
            self.take_rate(rate, wanted).map_err(|wait| {
                let text = format!("Too many {word} from {network} in a minute (at most {count})");
                later("4.7.1", format!("{text}; try again in {}", words(wait)))
            })?;
        }
        Ok(())
    }

    /// A client has named a recipient that does not exist. Too many of them are a failure, which leads to a ban.
    pub fn unknown_recipient(&self, peer: &Peer) {
        let settings = self.settings();
        let count = settings.traffic.unknown_recipients_per_hour;
        let Some(client) = self.counted(peer, &settings) else { return };
        let wanted = Wanted { units: 1, count, period: HOUR };
        if self.take_rate(Rate::Unknown(client.host()), wanted).is_err() {
            self.failed(peer, Failure::Session);
        }
    }

    /// Whether a mailbox, named without a tag, may receive one more message from elsewhere now. Asking costs it nothing:
    /// otherwise a client that names it again and again without sending would keep everybody else's mail out.
    ///
    /// # Errors
    /// It receives too many: 450 4.2.1.
    pub fn may_receive(&self, peer: &Peer, mailbox: &Address) -> Result<(), Refusal> {
        let settings = self.settings();
        let count = settings.traffic.messages_per_mailbox_per_hour;
        if self.counted(peer, &settings).is_none() {
            return Ok(());
        }
        self.look_at_rate(&mailbox_rate(mailbox), Wanted { units: 1, count, period: HOUR }).map_err(|wait| {
            let text = "This mailbox is receiving too many messages";
            later("4.2.1", format!("{text}; try again in {}", words(wait)))
        })
    }

    /// A mailbox, named without a tag, has received a message from elsewhere that was accepted.
    pub fn received(&self, peer: &Peer, mailbox: &Address) {
        let settings = self.settings();
        let count = settings.traffic.messages_per_mailbox_per_hour;
        if self.counted(peer, &settings).is_some() {
            // Others may have been taken since it was asked for; then nothing is left to be counted.
            let _ = self.take_rate(mailbox_rate(mailbox), Wanted { units: 1, count, period: HOUR });
        }
    }

    /// Takes what is wanted of the rates of a name: all of it, or nothing.
    ///
    /// # Errors
    /// The first that does not have so much left now.
    pub fn take<'p>(&self, name: &str, parts: &'p [RateShare]) -> Result<(), &'p RateShare> {
        let wanted = |part: &RateShare| {
            let RateShare { what, units, count, period } = *part;
            (Rate::Named(format!("{what} {name}")), Wanted { units, count, period })
        };
        let wanted: Vec<(Rate, Wanted)> = parts.iter().map(wanted).collect();
        self.take_rates(&wanted).map_err(|place| &parts[place])
    }
}

fn mailbox_rate(mailbox: &Address) -> Rate {
    Rate::Named(format!("mailbox {}", mailbox.key()))
}

fn later(status: &'static str, text: String) -> Refusal {
    Refusal::new(Kind::TooMany, text).smtp(450, status)
}
