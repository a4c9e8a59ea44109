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

crate::words! {
    /// Which messages about events that arrive by mail are entered into calendars without a click.
    pub enum EnteredByMail {
        /// None of them.
        Nothing = "nothing",
        /// Guests' answers, into the events of who has invited them.
        Answers = "answers",
        /// Also changes and cancellations, into events that the user already has.
        Everything = "everything",
    }
}

impl EnteredByMail {
    /// Whether guests' answers are.
    pub(super) const fn has_answers(self) -> bool {
        matches!(self, Self::Answers | Self::Everything)
    }

    /// Whether changes and cancellations are.
    pub(super) const fn has_changes(self) -> bool {
        matches!(self, Self::Everything)
    }
}

crate::settings! {
    /// Invitations that calendar programs leave to the server (RFC 6638). Storing an event with guests invites them,
    /// and changing or removing it notifies them: users of this server in their calendar if their programs have ever
    /// asked for one, everybody else by mail.
    pub struct SchedulingSettings {
        /// Whether the server does this. If not, calendar programs send invitations themselves.
        pub enabled: bool = true,
        /// Most guests of an event. An event with more is refused with 403.
        pub attendees: u32 = 100,
        /// Most messages in the scheduling inbox of an account. Beyond it, and beyond an eighth of `dav.space`, the oldest is removed.
        pub inbox: u32 = 500,
        /// Whose busy times users may ask for. Only the times are given, never what happens at them.
        pub free_busy: FreeBusyOf = FreeBusyOf::Domain,
        /// Which messages about events that arrive by mail are entered without a click, if DMARC, a signature of the author's
        /// domain or SPF shows that the guest or the organiser has written them. New invitations never are.
        pub by_mail: EnteredByMail = EnteredByMail::Everything,
    }
}
