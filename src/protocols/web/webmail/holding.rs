//! Letters that wait for some seconds before they are sent, so that they can be taken back.
//!
//! A waiting letter is in the database, so that it is sent even if the browser is closed or this process has ended meanwhile.
//! The page requests sending when the time is up, and shows the outcome; letters that no page has requested are sent by
//! [`Room::send_what_is_due`] a moment later, in the process that has the mailbox. Both go through [`fulfil`], which does one
//! thing at a time with a key and sends once. A letter that cannot be sent stays a draft, and is flagged.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Room;
use super::acts::change;
use super::answer::{Answer, Problem, Wish as Wished};
use super::door::Reader;
use super::drafts::special;
use super::reasons;
use super::send::{Occasion, Sending, fulfil, moment, name, ready};
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::foundations::ids::SessionId;
use crate::foundations::mail::{Login, Peer, Uid};
use crate::foundations::tasks::Tasks;
use crate::protocols::web::caller::Caller;
use crate::protocols::web::token::digest;
use crate::storage::database::Error;
use crate::storage::mailbox::{Access, FlagOperation, Flags, SpecialUse};
use crate::storage::personal::Held;

/// The longest time that a letter waits, in seconds.
pub(super) const LONGEST_HOLD: u32 = 60;

/// The stored form of a waiting letter: of a [`Sending`], or of a reference to one when it is written.
#[derive(Serialize, Deserialize)]
struct Waiting<S> {
    sending: S,
    client: Option<IpAddr>,
    encrypted: bool,
    /// When it was to be sent first, in milliseconds.
    due: i64,
}

/// Holds a letter, which could be sent now as far as anybody can tell.
pub(super) async fn hold(
    room: &Arc<Room>,
    caller: &Caller,
    reader: &Reader,
    sending: &Sending,
    seconds: u32,
) -> Answer<Value> {
    if seconds > LONGEST_HOLD {
        return Err(Problem::bad(format!("`hold` may be at most {LONGEST_HOLD} seconds.")));
    }
    if sending.letter.uploads().next().is_some() {
        return Err(Problem::bad("A letter that waits can have no uploads; store it as a draft first."));
    }
    let name = name(reader, &sending.key)?;
    drop(ready(room, reader, &sending.letter, &moment(room, &name, &sending.letter.digest())).await?);
    if room.needs.personal.held(&reader.account.address).await? >= MOST_HELD {
        return Err(Problem::of(&reasons::TOO_MANY_LETTERS));
    }
    let due = room.needs.clock.now() + Duration::from_secs(seconds.into());
    let (client, encrypted) = (caller.client.ip(), caller.is_encrypted);
    let waiting = serde_json::to_string(&Waiting { sending, client, encrypted, due: due.unix_millis() });
    let waiting = waiting.map_err(|error| Problem::ours(&error))?;
    room.needs.personal.hold(&reader.account.address, &digest(&name), &waiting, due).await?;
    Ok(json!({ "sent": false, "due": due.unix_millis(), "notes": [] }))
}

/// Whether a letter still waits.
pub(super) async fn is_held(room: &Room, reader: &Reader, sending: &Sending) -> Answer<bool> {
    let wish = digest(&name(reader, &sending.key)?);
    Ok(room.needs.personal.is_held(&reader.account.address, &wish).await?)
}

/// A letter was sent and waits no longer.
pub(super) async fn let_go(room: &Room, reader: &Reader, sending: &Sending) {
    let Ok(name) = name(reader, &sending.key) else { return };
    if let Err(error) = room.needs.personal.let_go(&reader.account.address, &digest(&name)).await {
        // It will be found among sent messages.
        log::warn!(user:% = reader.login.address, error:% = error; "A letter that was sent is still in the list of waiting letters");
    }
}

/// Which letter is taken back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Undoing {
    key: String,
}

/// Takes back a letter that waits. Its draft is as it was.
pub(super) async fn undo(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Wished(undoing): Wished<Undoing>,
) -> Answer<StatusCode> {
    let name = name(&reader, &undoing.key)?;
    let known = room.sendings.enter(name.clone(), room.needs.clock.now());
    let answer = known.lock().await;
    let is_undone = answer.is_none() && room.needs.personal.let_go(&reader.account.address, &digest(&name)).await?;
    drop(answer);
    if is_undone { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::of(&reasons::SENT_ALREADY)) }
}

impl Room {
    /// Sends what waits longer than any page would let it, until the group of tasks ends.
    pub async fn send_what_is_due(self: Arc<Self>, tasks: Tasks) {
        let mut is_told = false;
        loop {
            tokio::select! {
                () = tasks.stopping() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
            let now = self.needs.clock.now();
            let grace = now.unix_micros().saturating_sub(i64::try_from(GRACE.as_micros()).unwrap_or(i64::MAX));
            let latest = now + LONGEST_WAIT;
            match self.needs.personal.due_before(Timestamp::from_unix_micros(grace), latest, AT_ONCE).await {
                Ok(due) => {
                    is_told = false;
                    for held in due {
                        if tasks.is_stopping() {
                            return;
                        }
                        Arc::clone(&self).release(held).await;
                    }
                }
                Err(error) if !is_told => {
                    is_told = true;
                    log::warn!(error:% = error; "Letters waiting to be sent cannot be looked up; this is retried, and reported once");
                }
                Err(_) => {}
            }
        }
    }

    /// Sends one letter, or leaves it for later.
    async fn release(self: Arc<Self>, mut held: Held) {
        let Ok(address) = held.account.parse::<Address>() else { return };
        let account = match self.needs.directory.account_now(&address).await {
            Ok(account) => account,
            // It stays, and the next look tries it again.
            Err(error) => {
                log::warn!(user:% = address, error:% = error; "A waiting letter is kept until its account can be looked up");
                return;
            }
        };
        let Some(account) = account else { return self.give_up(&address, &held, "its account is gone").await };
        // Another node has the mailbox, and sends it; or nobody can be asked now.
        let Ok(user) = self.needs.mailboxes.user(&address).await else { return };
        let (now, login) = (self.needs.clock.now(), Login::user(account.address.clone()));
        let (session, account) = (SessionId::generate(now), Arc::new(account));
        let reader = Reader { login, session, digest: "".into(), account, user, is_named: false };
        let waiting = serde_json::from_str::<Waiting<Sending>>(&held.content).ok();
        let named = waiting.and_then(|waiting| Some((name(&reader, &waiting.sending.key).ok()?, waiting)));
        let Some((name, waiting)) = named else {
            // A later version may have held it, before somebody went back to this one. To leave out what is not understood
            // could send something else than was written.
            return self.leave(&reader, &address, &held, "it cannot be read").await;
        };
        let client = waiting.client.map_or(Peer::Internal, |ip| Peer::Tcp(SocketAddr::new(ip, 0)));
        let caller = Caller { client, is_local: false, is_private: true, is_encrypted: waiting.encrypted };
        let due = Timestamp::from_unix_millis(waiting.due);
        if let Err(error) = self.name_anew(&address, &mut held, digest(&name)).await {
            log::warn!(user:% = address, error:% = error; "A waiting letter is kept until it can be renamed");
            return;
        }
        if !reader.account.may_log_in() {
            return self.leave(&reader, &address, &held, "the account may not be used").await;
        }
        let sent = fulfil(Arc::clone(&self), caller, reader.clone(), waiting.sending, Occasion::Due).await;
        let problem = match sent {
            // Also when it was sent before, and this could not be written down.
            Ok(answer) if answer["sent"] == true => {
                if let Err(error) = self.needs.personal.let_go(&address, &held.wish).await {
                    log::warn!(user:% = address, error:% = error; "A letter that was sent is still in the list of waiting letters");
                }
                return;
            }
            // It was taken back meanwhile.
            Ok(_) => return,
            Err(problem) => problem,
        };
        if problem.is_passing() && now.since(due) < PATIENCE {
            let later = now + LATER;
            if let Err(error) = self.needs.personal.put_off(&address, &held.wish, later).await {
                log::warn!(user:% = address, error:% = error; "A waiting letter could not be deferred");
            }
            return;
        }
        self.leave(&reader, &address, &held, &problem.sentence()).await;
    }

    /// Holds a letter under the name that its wish has now: it is made from the address, and the account may have been
    /// given another one since.
    async fn name_anew(&self, address: &Address, held: &mut Held, wish: String) -> Result<(), Error> {
        if wish != held.wish {
            self.needs.personal.hold(address, &wish, &held.content, held.due).await?;
            self.needs.personal.let_go(address, &held.wish).await?;
            held.wish = wish;
        }
        Ok(())
    }

    /// Leaves a letter as a flagged draft. It waits until that is done, as the process may end in between.
    async fn leave(&self, reader: &Reader, address: &Address, held: &Held, why: &str) {
        flag(reader, draft_of(&held.content)).await;
        self.give_up(address, held, why).await;
    }

    async fn give_up(&self, address: &Address, held: &Held, why: &str) {
        log::warn!(user:% = address, why:% = why; "A letter that was to be sent stays a draft");
        if let Err(error) = self.needs.personal.let_go(address, &held.wish).await {
            log::warn!(user:% = address, error:% = error; "A letter that is not sent is still in the list of waiting letters");
        }
    }
}

/// The draft of a held letter, also of one that is not understood as a whole.
fn draft_of(content: &str) -> Option<u32> {
    let content: Value = serde_json::from_str(content).ok()?;
    content["sending"]["draft"].as_u64()?.try_into().ok()
}

/// Flags a draft, so that its author sees that it is still there.
async fn flag(reader: &Reader, draft: Option<u32>) {
    let (Some(uid), Ok(folder)) = (draft.and_then(Uid::new), special(reader, SpecialUse::Drafts)) else { return };
    if let Ok(view) = reader.open(folder.as_str(), Access::ReadWrite).await {
        let _ = change(&view, &[uid], FlagOperation::Add, Flags::FLAGGED).await;
    }
}

/// Letters of one account that wait at a time.
const MOST_HELD: i64 = 20;
/// How often due letters are looked for.
const PAUSE: Duration = Duration::from_secs(3);
/// How long a page is given to ask for it itself.
const GRACE: Duration = Duration::from_secs(3);
/// Letters of one look.
const AT_ONCE: u32 = 50;
/// How long until something that fails for the moment is tried again, and until when.
const LATER: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(3_600);
/// More than a letter ever waits, before it is sent first or after a failure.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_draft_of_a_letter_of_a_later_version_is_found() {
        let letter = json!({ "sending": { "key": "k", "of_later": true, "draft": 7 }, "of_later": [] });
        assert!(serde_json::from_str::<Waiting<Sending>>(&letter.to_string()).is_err());
        assert_eq!(draft_of(&letter.to_string()), Some(7));
        for none in ["", "[]", r#"{"sending": 1}"#, r#"{"sending": {"draft": -1}}"#] {
            assert_eq!(draft_of(none), None, "{none}");
        }
    }
}
