//! What this room needs from other modules.

use aws_lc_rs::hmac;

use super::DavSettings;
use super::door::Known;
use crate::foundations::clock::SharedClock;
use crate::foundations::random;
use crate::foundations::settings::Live;
use crate::foundations::tasks::Tasks;
use crate::protocols::web::Bodies;
use crate::protocols::web::turns::Turns;
use crate::services::dav::Contacts;
use crate::services::dav::scheduling::{Bounds, Scheduler};
use crate::services::login::Login;
use crate::storage::dav::{Collections, Limits};
use crate::storage::directory::Directory;
use crate::storage::journal::Journal;

/// Its dependencies; filled by `daemon::rooms`.
pub struct Needs {
    /// Its own settings.
    pub settings: Live<DavSettings>,
    /// Checks passwords, and counts failures with those of all protocols.
    pub login: Login,
    /// Knows accounts.
    pub directory: Directory,
    /// Calendars and address books.
    pub collections: Collections,
    /// People, in step with the webmail.
    pub contacts: Contacts,
    /// Memory for bodies of requests.
    pub bodies: Bodies,
    /// Sends and delivers invitations.
    pub scheduler: Scheduler,
    /// Runs what must not end with a connection.
    pub tasks: Tasks,
    /// Takes events.
    pub journal: Journal,
    /// The time.
    pub clock: SharedClock,
}

/// The room.
pub struct Room {
    pub(super) needs: Needs,
    pub(super) turns: Turns,
    /// Makes names of remembered logins that tell nothing. Nothing is remembered when the system gave no random key.
    pub(super) key: Option<hmac::Key>,
    pub(super) logins: moka::sync::Cache<[u8; 32], Known>,
}

impl Room {
    /// Makes the room. How many queries are made at once and how many logins remembered holds from now to the end of the process.
    pub fn new(needs: Needs) -> Self {
        let settings = needs.settings.get();
        let key = random::octets::<32>().ok().map(|key| hmac::Key::new(hmac::HMAC_SHA256, &key));
        let turns = Turns::new(settings.queries_at_once, settings.logins);
        Self { turns, key, logins: moka::sync::Cache::new(settings.logins.into()), needs }
    }

    pub(super) fn limits(&self) -> Limits {
        self.needs.settings.get().limits()
    }

    pub(super) fn bounds(&self) -> Bounds {
        self.needs.settings.get().bounds()
    }
}

impl DavSettings {
    /// How much an account may keep.
    pub fn limits(&self) -> Limits {
        Limits {
            collections: self.collections,
            objects: self.objects,
            octets: self.space.get(),
            removed: self.removed,
            properties: self.properties,
        }
    }

    /// The limits of events with guests.
    pub fn bounds(&self) -> Bounds {
        Bounds {
            limits: self.limits(),
            recurrences: self.recurrences as usize,
            object: self.object.len(),
            attendees: self.scheduling.attendees as usize,
            inbox: self.scheduling.inbox as usize,
        }
    }
}
