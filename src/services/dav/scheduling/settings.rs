//! Settings of scheduling.

crate::words! {
    /// Whose busy times users may ask for.
    pub enum FreeBusyOf {
        /// Only their own.
        Themselves = "themselves",
        /// Those of everybody in their own domain.
        Domain = "domain",
        /// Those of every user of this server.
        Everybody = "everybody",
    }
}

crate::settings! {
    /// Invitations that calendar programs leave to the server, as in RFC 6638. Storing an event with guests invites them, and changing
    /// or removing it tells them: users here whose programs have asked for their calendars get it there, everybody else by mail.
    pub struct SchedulingSettings {
        /// Whether it is offered. Programs send invitations themselves where it is not.
        pub enabled: bool = true,
        /// Most guests of an event. One with more is refused with 403.
        pub attendees: u32 = 100,
        /// Most messages in the scheduling inbox of an account. Beyond it, the oldest is removed.
        pub inbox: u32 = 500,
        /// Whose busy times users may ask for. Times are given, never what happens then.
        pub free_busy: FreeBusyOf = FreeBusyOf::Domain,
    }
}
