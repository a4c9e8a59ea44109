//! Which command is allowed when.

use super::profile::Mode;
use crate::foundations::wire::smtp::Verb;

/// A row of the command table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    /// The listeners that know the command.
    pub known: Known,
    /// What must have happened before it.
    pub after: After,
    /// Whether it may stand only at the end of a group of pipelined commands (RFC 2920 §3.1) and the client must
    /// read our answer before it goes on.
    pub ends_group: EndsGroup,
}

/// The listeners that know a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Everywhere,
    /// RFC 2033 §4.1: LHLO belongs to LMTP, HELO and EHLO do not.
    OnlyLmtp,
    NotLmtp,
}

/// What must have happened before a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Nothing,
    Greeting,
    /// On submission also a login (RFC 6409 §4.3).
    GreetingAndLogin,
}

/// Whether a command ends a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndsGroup {
    Yes,
    No,
}

impl Rule {
    #[rustfmt::skip]
    pub(super) const fn of(verb: Verb) -> Self {
        use {After::{Greeting, GreetingAndLogin, Nothing}, EndsGroup::{No, Yes}, Known::{Everywhere, NotLmtp, OnlyLmtp}};
        let (known, after, ends_group) = match verb {
            //                           known by    after             ends a group
            Verb::Auth               => (Everywhere, Greeting,         Yes),
            Verb::Bdat               => (Everywhere, GreetingAndLogin, No),
            Verb::Data               => (Everywhere, GreetingAndLogin, Yes),
            Verb::Ehlo | Verb::Helo  => (NotLmtp,    Nothing,          No),
            Verb::Lhlo               => (OnlyLmtp,   Nothing,          No),
            Verb::Mail | Verb::Rcpt  => (Everywhere, GreetingAndLogin, No),
            Verb::StartTls           => (Everywhere, Greeting,         Yes),
            Verb::Vrfy               => (Everywhere, GreetingAndLogin, No),
            Verb::Etrn | Verb::Expn | Verb::Turn | Verb::Help | Verb::Noop | Verb::Quit | Verb::Rset
                                     => (Everywhere, Nothing,          No),
        };
        Self { known, after, ends_group }
    }

    pub(super) fn is_known(self, mode: Mode) -> bool {
        match self.known {
            Known::Everywhere => true,
            Known::OnlyLmtp => mode == Mode::Lmtp,
            Known::NotLmtp => mode != Mode::Lmtp,
        }
    }
}
