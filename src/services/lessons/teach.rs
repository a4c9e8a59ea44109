//! Giving lessons.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::waiting::Waiting;

use crate::foundations::mail::Uid;
use crate::foundations::settings::Live;
use crate::foundations::tasks::Tasks;
use crate::services::delivery::DeliverySettings;
use crate::services::filter::classifier::{Class, Owner};
use crate::services::filter::{Filter, FilterSettings, LearnFromMoves};
use crate::storage::mailbox::{Access, Content, FolderName, SpecialUse, User};

/// What lessons need.
pub struct LessonsParts {
    /// Who learns.
    pub filter: Arc<Filter>,
    /// Whether it does.
    pub settings: Live<FilterSettings>,
    /// Which folder is the quarantine.
    pub delivery: Live<DeliverySettings>,
    /// Learning goes on beside the session.
    pub tasks: Tasks,
}

/// Gives lessons, a few at a time.
pub struct Lessons {
    parts: LessonsParts,
    places: Arc<Semaphore>,
    waiting: Waiting,
}

/// Lessons given at the same time; others wait.
const AT_ONCE: usize = 8;

impl std::fmt::Debug for Lessons {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lessons")
    }
}

impl Lessons {
    /// Puts the parts together.
    pub fn new(parts: LessonsParts) -> Self {
        Self { parts, places: Arc::new(Semaphore::new(AT_ONCE)), waiting: Waiting::default() }
    }

    /// Messages have come from one folder into another, where they have these UIDs. Never waits: what they teach is learned
    /// beside the session, and a failure is a line in the log.
    pub fn moved(&self, user: &Arc<User>, from: &FolderName, to: &FolderName, mut uids: Vec<Uid>) {
        let settings = self.parts.settings.get();
        let moves = settings.classifier.moves;
        // What the classifier has learned by itself is corrected in any case.
        let correct = settings.autolearn.enabled && moves != LearnFromMoves::Everybody;
        if (moves == LearnFromMoves::Off && !correct) || !settings.classifier.enabled || uids.is_empty() {
            return;
        }
        let Some(class) = self.class(user, from, to) else { return };
        let mut room = self.waiting.take(user.account(), uids.len(), settings.classifier.moves_waiting);
        if room.count < uids.len() {
            let (account, left_out) = (user.account(), uids.len() - room.count);
            log::warn!(user:% = account, left_out; "{left_out} of the messages that {account} has moved are not learned from: too many are waiting already (spam.classifier.moves_waiting)");
            uids.truncate(room.count);
        }
        if uids.is_empty() {
            return;
        }
        let own = Filter::owner(user.account());
        let owners = match moves {
            LearnFromMoves::Off => Vec::new(),
            LearnFromMoves::Account => vec![own],
            LearnFromMoves::Everybody => vec![own, Owner::Site],
        };
        let (filter, user, to) = (Arc::clone(&self.parts.filter), Arc::clone(user), to.clone());
        let largest = settings.limits.message.len();
        let (places, tasks) = (Arc::clone(&self.places), self.parts.tasks.clone());
        self.parts.tasks.spawn(async move {
            let in_turn = async {
                // A move back is learned after the first one.
                room.turn().await;
                places.acquire_owned().await
            };
            let place = tokio::select! {
                place = in_turn => place,
                () = tasks.stopping() => {
                    let (account, left_out) = (user.account(), room.count);
                    log::info!(user:% = account, left_out; "{left_out} of the messages that {account} has moved are not learned from: the server is stopping");
                    return;
                }
            };
            let _in_force = (place, room);
            let account = user.account().clone();
            if let Err(error) = learn(&filter, &user, &to, (uids, class, largest), (&owners, correct)).await {
                log::warn!(user:% = account, cause:% = error; "The messages that a user has moved cannot be learned from");
            }
        });
    }

    /// What a move says about the messages, if anything. What is thrown away says nothing.
    fn class(&self, user: &User, from: &FolderName, to: &FolderName) -> Option<Class> {
        let quarantine = self.parts.delivery.get().quarantine_folder.parse::<FolderName>().ok();
        let junk = user.special(SpecialUse::Junk);
        let is_unwanted = |folder: &FolderName| Some(folder) == junk.as_ref() || Some(folder) == quarantine.as_ref();
        let is_thrown_away = user.special(SpecialUse::Trash).is_some_and(|trash| *to == trash);
        match (is_unwanted(from), Some(to) == junk.as_ref()) {
            (false, true) => Some(Class::Spam),
            (true, false) if !is_thrown_away && !is_unwanted(to) => Some(Class::Ham),
            _ => None,
        }
    }
}

async fn learn(
    filter: &Filter,
    user: &Arc<User>,
    folder: &FolderName,
    (uids, class, largest): (Vec<Uid>, Class, usize),
    (owners, correct): (&[Owner], bool),
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let view = user.open(folder, Access::ReadOnly).await?;
    let mut bodies = view.bodies(uids);
    while let Some((_, content)) = bodies.next().await {
        // Gone again in the meantime.
        let Ok(content) = content else { continue };
        let message = match content {
            Content::Whole(bytes) => bytes,
            Content::Large(mut body) => body.read(0, largest).await?,
        };
        for owner in owners {
            filter.learn(owner, class, &message).await?;
        }
        if correct {
            filter.correct(class, &message).await?;
        }
    }
    Ok(())
}
