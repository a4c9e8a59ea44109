//! Messages about events (iMIP, RFC 6047), shown to who enters them into calendars.

use std::sync::Arc;
use std::time::Duration;

use memchr::memmem;

use super::identity::known_author;
use crate::foundations::address::{Address, Domain};
use crate::foundations::mail::{Mail, Message};
use crate::foundations::settings::Live;
use crate::services::handover::InvitationReading;

/// How long the answer to whoever has sent a message waits for that. What takes longer is left to a click.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who reads them.
#[derive(Clone)]
pub(super) struct Invitations {
    pub(super) reader: Arc<dyn InvitationReading>,
    pub(super) hostname: Live<Domain>,
}

impl Invitations {
    /// Whether a message may have a part of the type text/calendar. Few have the word in it.
    pub(super) fn may_be_in(message: &Message) -> bool {
        let [added, original] = message.pieces();
        let has =
            |text: &[u8]| memmem::find(text, b"/calendar").is_some() || memmem::find(text, b"/Calendar").is_some();
        has(original) || has(added)
    }

    /// Has a message read that its author is known to have written.
    pub(super) async fn read(&self, mail: &Mail, account: &Address) {
        let Some(author) = known_author(mail, &self.hostname.get()) else { return };
        if tokio::time::timeout(PATIENCE, self.reader.read(mail, &author, account)).await.is_err() {
            log::warn!(mail:% = mail.id, user:% = account; "A calendar message that came by mail was not entered in time");
        }
    }
}
