//! Settings of calendars and contacts.

use crate::foundations::settings::{ByteSize, Span};
use crate::services::dav::scheduling::SchedulingSettings;

crate::settings! {
    /// Calendars and contacts for telephones and other programs (CalDAV, CardDAV), served under `/dav/` by the listeners of the
    /// webmail, whether that is switched on or not. `webmail.proxies` and `webmail.plain_http` hold for them too.
    pub struct DavSettings {
        /// Whether they are served.
        pub enabled: bool = true,
        /// Port at which programs elsewhere reach them over TLS, where that is a reverse proxy's; `postrider dns` prints records
        /// with it. Unset for the port of an `https` listener.
        pub public_port: Option<u16> = None,
        /// Largest event, task or contact. A larger one is refused with 413.
        pub object: ByteSize = ByteSize::mib(1),
        /// Most objects in one calendar or address book. Further ones are refused with 507.
        pub objects: u32 = 20_000,
        /// Most calendars of one account, and most address books. Further ones are refused with 507.
        pub collections: u32 = 50,
        /// What all objects of one account may take. What would take more is refused with 507.
        pub space: ByteSize = ByteSize::mib(256),
        /// Names of removed objects that a calendar or address book remembers for clients that synchronise. A client that was
        /// away for longer compares everything again.
        pub removed: u32 = 10_000,
        /// Most properties of a calendar or address book, such as its name and colour. Further ones are refused with 507.
        pub properties: u32 = 50,
        /// Largest of them. A larger one is refused with 507.
        pub property: ByteSize = ByteSize::kib(64),
        /// Largest request other than for storing an object. A larger one is refused with 413.
        pub request: ByteSize = ByteSize::mib(1),
        /// Most XML elements and attributes in such a request. One with more is refused with 413.
        pub elements: u32 = 50_000,
        /// Largest answer. Anything beyond is answered with 507 and must be requested in smaller pieces.
        pub answer: ByteSize = ByteSize::mib(64),
        /// Most changes in one answer; a client asks again for the rest (RFC 6578).
        pub changes: u32 = 5_000,
        /// Most recurrences of an event that are looked at. An event with more counts as happening at any later time.
        pub recurrences: u32 = 10_000,
        /// How long a query may take. Then it is refused with 507.
        pub query: Span = Span::seconds(20),
        /// Queries at the same time, for all users; further ones wait for their turn. Each user makes one at a time.
        pub queries_at_once: u32 = 2,
        /// For how long a password is not looked up again for the same client. A changed password or a disabled account
        /// counts at once (`directory.cache_for`).
        pub login: Span = Span::minutes(5),
        /// Most clients remembered for that. Beyond it the least used are looked up again.
        pub logins: u32 = 10_000,
        /// Invitations that calendar programs leave to the server.
        pub scheduling: SchedulingSettings = SchedulingSettings::default(),
    }
}
