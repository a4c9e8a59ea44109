//! Senders who are asked to try again later.

use super::authentication::Authentication;
use super::greylist::{self, Answer};
use super::helpers::Helpers;
use super::pipeline::{Filter, Known, Weighed};
use super::{FilterSettings, Signal};
use crate::foundations::failure::{Kind, Refusal};

/// Why a sender must wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// The message is doubtful.
    Greylist,
    /// The sender is unknown here, and the message is not beyond doubt.
    FirstContact,
}

impl Wait {
    /// The reply to the client.
    pub fn refusal(self) -> Refusal {
        let text = match self {
            Self::Greylist => "We do not know you yet; try again in a few minutes",
            Self::FirstContact => "This is your first message to us; try again in a few minutes",
        };
        Refusal::new(Kind::Temporary, text).smtp(451, "4.7.1")
    }

    /// The reason in the event.
    pub fn signal(self) -> Signal {
        match self {
            Self::Greylist => Signal::new("GREYLISTED", 0.0, "A doubtful message from a stranger"),
            Self::FirstContact => Signal::new("FIRST_CONTACT", 0.0, "Nobody here has exchanged mail with the sender"),
        }
    }
}

impl Filter {
    /// Whether the sender must come back later, and why.
    pub(super) async fn must_wait(
        &self,
        settings: &FilterSettings,
        known: &Known,
        weighed: &Weighed,
        helpers: &Helpers,
    ) -> Option<Wait> {
        let (database, client) = (self.database.as_ref()?, known.client?);
        if helpers.is_final() {
            return None;
        }
        let score = weighed.assessment.score;
        let authentic = known.authentication.as_ref().is_some_and(Authentication::is_authentic);
        let (grey, first) = (&settings.greylist, &settings.first_contact);
        let is_doubtful = grey.enabled && score >= grey.from && score < settings.refuse;
        let is_new = first.enabled && known.standing.is_stranger;
        let until = first.to.unwrap_or(settings.threshold);
        let (wait, delay, name) = if is_doubtful && !authentic && !known.standing.is_good() {
            let recipient = known.recipients.first().map_or("", String::as_str);
            let name = format!("{} {} {recipient}", greylist::network(client), known.reverse_path);
            (Wait::Greylist, grey.delay, name)
        } else if is_new && score >= first.from && score < until {
            // An authenticated sender may come back from another machine.
            let from = if known.claims.is_shown() { String::new() } else { greylist::network(client) };
            (Wait::FirstContact, first.delay, format!("first {from} {}", known.author()))
        } else {
            return None;
        };
        let asked = greylist::ask(database, grey, delay.duration(), &name, self.now());
        match tokio::time::timeout(settings.deadline.duration(), asked).await {
            Ok(Ok(answer)) => (answer == Answer::Wait).then_some(wait),
            Ok(Err(error)) => {
                log::warn!(client:% = client; "filter: the greylist cannot be read, the message continues: {error}");
                None
            }
            Err(_) => None,
        }
    }
}
