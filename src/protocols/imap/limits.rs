//! How large a command may be.

use super::session::Phase;
use super::settings::ImapSettings;
use crate::foundations::wire::imap::Limits;

/// The limits of a phase.
pub(super) fn limits(settings: &ImapSettings, phase: Phase) -> Limits {
    let skip = settings.skip.get();
    match phase {
        Phase::NotAuthenticated => Limits {
            line: settings.command_before_login.len(),
            literal: settings.literal_before_login.len(),
            literals: LITERALS_BEFORE_LOGIN,
            skip: skip.min(settings.command_before_login.get()),
        },
        Phase::Authenticated | Phase::Selected => {
            let (line, literal) = (settings.command.len(), settings.literal.len());
            Limits { line, literal, literals: settings.literals, skip }
        }
    }
}

/// A name and a password, and as many again for those who do not know what they do.
const LITERALS_BEFORE_LOGIN: usize = 4;
