//! Notifies the page of changes as they happen, as server-sent events.
//!
//! An event says only "look again"; the page then fetches the changes by its usual requests. So a missed event loses nothing.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Room;
use super::answer::{Answer, Asked, Problem};
use super::door::{Reader, account};
use super::reasons;
use super::serve::Visit;
use crate::storage::mailbox::{self, Access, Expunges, FolderName, Update, View};

/// How many pages of each account are told of changes.
#[derive(Debug, Default)]
pub(super) struct Watchers(Arc<Mutex<HashMap<String, u32>>>);

/// A place among them, given back at the end.
struct Place {
    account: String,
    places: Arc<Mutex<HashMap<String, u32>>>,
}

impl Watchers {
    fn enter(&self, account: String, most: u32) -> Option<Place> {
        let mut places = self.0.lock();
        let count = places.entry(account.clone()).or_default();
        if *count >= most.max(1) {
            return None;
        }
        *count += 1;
        Some(Place { account, places: Arc::clone(&self.0) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.places.lock();
        if let Some(count) = places.get_mut(&self.account) {
            *count -= 1;
            if *count == 0 {
                places.remove(&self.account);
            }
        }
    }
}

/// Which folder is looked at.
#[derive(Deserialize)]
pub(super) struct Question {
    folder: String,
}

/// What a page is notified of.
struct Watch {
    room: Arc<Room>,
    /// Digest of the login's token.
    login: Arc<str>,
    /// The folder that is looked at, and the inbox unless it is that.
    views: [Option<View>; 2],
    until: Instant,
    /// Cancelled when the server stops, or this node lets go of the mailboxes.
    stop: CancellationToken,
    begun: bool,
    _kept: mailbox::Visit,
    _place: Place,
}

/// How often a connection shows that it lives, and a login is looked at.
const BREATH: Duration = Duration::from_secs(25);
/// How long changes are gathered, so that a hundred deliveries are not a hundred looks.
const GATHER: Duration = Duration::from_millis(150);

pub(super) async fn watch(
    State(room): State<Arc<Room>>,
    Extension(visit): Extension<Visit>,
    reader: Reader,
    Asked(asked): Asked<Question>,
) -> Answer<Response> {
    let settings = room.needs.settings.get();
    let place = room.watchers.enter(reader.login.address.key(), settings.watchers_per_user);
    let place = place.ok_or_else(|| Problem::of(&reasons::TOO_MANY_PAGES))?;
    let view = reader.open(&asked.folder, Access::ReadOnly).await?;
    let inbox = match view.folder().is_inbox() {
        true => None,
        false => Some(reader.user.open(&FolderName::inbox(), Access::ReadOnly).await?),
    };
    let stop = visit.stop.child_token();
    let watch = Watch {
        login: reader.digest,
        views: [Some(view), inbox],
        until: Instant::now() + settings.watch.duration(),
        _kept: reader.user.visit(stop.clone()),
        stop,
        begun: false,
        room,
        _place: place,
    };
    let events = futures_util::stream::unfold(watch, |mut watch| async move {
        let event = watch.next().await?;
        Some((Ok::<Event, Infallible>(event), watch))
    });
    Ok(Sse::new(events).into_response())
}

impl Watch {
    /// The next thing to tell; `None` when the page is to ask again.
    async fn next(&mut self) -> Option<Event> {
        if !self.begun {
            self.begun = true;
            // Browsers wait so many milliseconds before they ask again.
            return Some(Event::default().event("begun").data("").retry(Duration::from_secs(2)));
        }
        let breath = Instant::now() + BREATH;
        let [first, second] = &mut self.views;
        let changed = tokio::select! {
            () = changed(first) => true,
            () = changed(second) => true,
            () = self.stop.cancelled() => return None,
            () = tokio::time::sleep_until(breath.min(self.until)) => false,
        };
        if Instant::now() >= self.until || !self.may_stay().await {
            return None;
        }
        if !changed {
            // An event, since a page sees no comments: to one that hears nothing the connection is lost, though nobody has told it.
            return Some(Event::default().event("alive").data(""));
        }
        tokio::select! {
            () = tokio::time::sleep(GATHER) => {}
            () = self.stop.cancelled() => return None,
        }
        let mut folders = Vec::new();
        for slot in &mut self.views {
            let Some(view) = slot else { continue };
            let updates = view.sync(Expunges::Tell);
            if !updates.is_empty() {
                folders.push(view.folder().to_string());
            }
            if updates.iter().any(|update| matches!(update, Update::Gone)) {
                *slot = None;
            }
        }
        Some(Event::default().event("changed").data(serde_json::json!({ "folders": folders }).to_string()))
    }
}

impl Watch {
    /// Whether the login and its account are still good. When that cannot be found out, the page is to ask again.
    async fn may_stay(&self) -> bool {
        let (room, now) = (&self.room, self.room.needs.clock.now());
        let Ok(Some(session)) = room.logins.still(&self.login, now, &room.limits(), room.pace()).await else {
            return false;
        };
        matches!(account(room, &session).await, Ok(Some(_)))
    }
}

async fn changed(view: &mut Option<View>) {
    match view {
        Some(view) => view.changed().await,
        None => std::future::pending().await,
    }
}
