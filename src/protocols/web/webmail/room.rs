//! What this room needs from other modules.

use std::sync::Arc;

use super::WebmailSettings;
use super::changes::Watchers;
use super::send::Sendings;
use super::uploads::Uploads;
use crate::foundations::address::Domain;
use crate::foundations::clock::SharedClock;
use crate::foundations::mail::Peer;
use crate::foundations::net::HttpSettings;
use crate::foundations::random::NoRandomness;
use crate::foundations::settings::Live;
use crate::foundations::tasks::Tasks;
use crate::protocols::web::dav::DavSettings;
use crate::protocols::web::logins::{Logins, Outage, Pace};
use crate::protocols::web::token::fresh;
use crate::protocols::web::turns::Turns;
use crate::protocols::web::{Bodies, Scheme};
use crate::services::autoconfig::{AutoconfigSettings, Offer};
use crate::services::cluster::Cluster;
use crate::services::conversations::Memory;
use crate::services::dav::{Calendars, Contacts};
use crate::services::guard::Guard;
use crate::services::handover::{ListLeaving, Submitting};
use crate::services::lessons::Lessons;
use crate::services::login::Login;
use crate::services::routing::Routing;
use crate::services::sieve::SieveSettings;
use crate::storage::directory::Directory;
use crate::storage::journal::Journal;
use crate::storage::logins::{BrowserLogins, Limits};
use crate::storage::mailbox::Mailboxes;
use crate::storage::personal::Personal;
use crate::storage::scripts::Scripts;

/// What other rooms serve on the webmail's listeners, for one connection of a peer. It comes first.
pub type Beside = Box<dyn Fn(Peer, Scheme) -> axum::Router + Send + Sync>;

/// The webmail's dependencies; filled by `daemon::rooms`.
pub struct Needs {
    /// Limits of HTTP.
    pub http: Live<HttpSettings>,
    /// Its own settings.
    pub settings: Live<WebmailSettings>,
    /// The server's name.
    pub hostname: Live<Domain>,
    /// Counts connections and logins.
    pub guard: Guard,
    /// Checks passwords.
    pub login: Login,
    /// Knows accounts and aliases.
    pub directory: Directory,
    /// Knows whose addresses are whose.
    pub routing: Routing,
    /// The mail.
    pub mailboxes: Mailboxes,
    /// Who has signed in.
    pub logins: BrowserLogins,
    /// Preferences.
    pub personal: Personal,
    /// The users' scripts.
    pub scripts: Scripts,
    /// What scripts may do.
    pub sieve: Live<SieveSettings>,
    /// People written to, in step with the address books.
    pub contacts: Contacts,
    /// The users' calendars.
    pub calendars: Calendars,
    /// How much calendars and address books may hold.
    pub dav: Live<DavSettings>,
    /// What this server calls itself in mail programs.
    pub autoconfig: Live<AutoconfigSettings>,
    /// Where mail programs find it.
    pub offer: Offer,
    /// What other rooms serve on the same listeners.
    pub beside: Option<Beside>,
    /// Who has which mailboxes, where this is one of several nodes.
    pub cluster: Option<Cluster>,
    /// Who takes messages to be sent.
    pub submitting: Arc<dyn Submitting>,
    /// Who asks the pages of lists to send no more.
    pub leaving: Arc<dyn ListLeaving>,
    /// Who learns from what users move.
    pub lessons: Arc<Lessons>,
    /// Memory for bodies of requests.
    pub bodies: Bodies,
    /// Takes events.
    pub journal: Journal,
    /// The time.
    pub clock: SharedClock,
    /// Tasks that must continue although a browser has disconnected.
    pub tasks: Tasks,
}

/// The room.
pub struct Room {
    pub(super) needs: Needs,
    pub(super) logins: Logins,
    pub(super) uploads: Uploads,
    pub(super) sendings: Sendings,
    /// The same for drafts that are stored.
    pub(super) drafts: Sendings,
    /// Tells this process from every other.
    pub(super) process: Result<String, NoRandomness>,
    pub(super) watchers: Watchers,
    pub(super) conversations: Memory,
    /// The rights to hold an opened message in memory.
    pub(super) opened: Turns,
    /// The rights to search.
    pub(super) searches: Turns,
    /// Permits for importing a message: two at a time could both find that it is missing.
    pub(super) imports: Turns,
}

impl Room {
    /// Makes the room. How many messages are opened and searches made at once holds from now to the end of the process.
    pub fn new(needs: Needs) -> Self {
        let settings = needs.settings.get();
        Self {
            logins: Logins::new(needs.logins.clone(), settings.sessions, Outage::NobodyIn),
            uploads: Uploads::default(),
            sendings: Sendings::default(),
            drafts: Sendings::default(),
            process: fresh(),
            watchers: Watchers::default(),
            conversations: Memory::default(),
            opened: Turns::new(settings.opened_at_once, settings.sessions),
            imports: Turns::new(settings.sessions, settings.sessions),
            searches: Turns::new(settings.searches_at_once, settings.sessions),
            needs,
        }
    }

    pub(super) fn limits(&self) -> Limits {
        let settings = self.needs.settings.get();
        Limits {
            idle: settings.idle.duration(),
            whole: settings.session.duration(),
            per_account: settings.sessions_per_user,
            all: settings.sessions,
        }
    }

    pub(super) fn pace(&self) -> Pace {
        Pace::of(&self.needs.login.settings(), self.needs.settings.get().idle.duration())
    }
}
