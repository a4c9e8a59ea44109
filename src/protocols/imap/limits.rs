//! How large a command may be.

use super::command_table::Phase;
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

/// Octets of messages in one command (RFC 3502): what an account's messages may have in memory, and one message in any case.
pub(super) fn most_appended(settings: &ImapSettings) -> u64 {
    let memory = settings.append_memory.get().min(settings.append_memory_per_user.get());
    memory.max(settings.append_limit.get())
}

/// A name and a password, and as many again for clients that get it wrong.
const LITERALS_BEFORE_LOGIN: usize = 4;
