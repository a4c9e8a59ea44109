//! Which command may come when, and what it does to message numbers: the command table.

use crate::foundations::wire::imap::{Addressing, CommandBody, Messages, Search, SearchKey};

/// The states of RFC 9051 §3, without their data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The client has not logged in.
    NotAuthenticated,
    /// It has, and no mailbox is selected.
    Authenticated,
    /// A mailbox is selected.
    Selected,
}

/// Whether sequence numbers may change while a command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expunges {
    /// The command does not speak of sequence numbers: they may change before its tagged response.
    Tell,
    /// It does: no EXPUNGE before it is over (RFC 9051 §7.5.1).
    Hold,
    /// No mailbox's changes are told with this command at all.
    Silent,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    first: Phase,
    last: Phase,
    /// What may be told before the tagged response.
    pub expunges: Expunges,
}

/// The command came at the wrong time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutOfOrder {
    /// Login is wanted first.
    #[error("Log in first")]
    NotAuthenticated,
    /// A mailbox must be selected first.
    #[error("Select a mailbox first")]
    NotSelected,
    /// The client has logged in already.
    #[error("You have logged in already")]
    Authenticated,
}

/// Finds the command in the table and checks the phase.
pub fn admit(phase: Phase, body: &CommandBody) -> Result<Rule, OutOfOrder> {
    let rule = rule(body);
    let number = |phase| phase as u8;
    if number(phase) > number(rule.last) {
        return Err(OutOfOrder::Authenticated);
    }
    if number(phase) < number(rule.first) {
        return Err(match phase {
            Phase::NotAuthenticated => OutOfOrder::NotAuthenticated,
            Phase::Authenticated | Phase::Selected => OutOfOrder::NotSelected,
        });
    }
    Ok(rule)
}

fn rule(body: &CommandBody) -> Rule {
    use CommandBody as B;
    use Expunges::{Silent, Tell};
    use Phase::{Authenticated, NotAuthenticated, Selected};
    let (first, last, expunges) = match body {
        // RFC 9051 §6.1: in any state.
        B::Capability | B::Noop | B::Id(_) => (NotAuthenticated, Selected, Tell),
        B::Logout => (NotAuthenticated, Selected, Silent),
        // RFC 9051 §6.2: not authenticated.
        B::StartTls | B::Authenticate { .. } | B::Login { .. } => (NotAuthenticated, NotAuthenticated, Silent),
        // RFC 5161 §3.1: ENABLE before a mailbox is selected; afterwards it does no harm for what we enable.
        B::Enable(_) => (Authenticated, Selected, Tell),
        // RFC 9051 §6.3: authenticated or selected.
        B::Select(_) | B::Examine(_) => (Authenticated, Selected, Silent),
        B::Append(_)
        | B::Create(..)
        | B::Delete(_)
        | B::GetMetadata(_)
        | B::GetQuota(_)
        | B::GetQuotaRoot(_)
        | B::List(_)
        | B::Lsub(..)
        | B::Namespace
        | B::Notify(_)
        | B::Rename(..)
        | B::SetMetadata(_)
        | B::SetQuota(..)
        | B::Status(..)
        | B::Subscribe(_)
        | B::Unsubscribe(_) => (Authenticated, Selected, Tell),
        B::Idle => (Authenticated, Selected, Tell),
        // RFC 4978 §3: what follows the tagged response is compressed. RFC 8437 §4: nothing is selected any more.
        B::Compress(_) | B::Unauthenticate => (Authenticated, Selected, Silent),
        // RFC 9051 §6.4: selected.
        B::CancelUpdate(_) | B::Check | B::Expunge(_) => (Selected, Selected, Tell),
        // RFC 9051 §6.4.1: CLOSE sends no EXPUNGE. It tells changed flags itself, before it removes anything.
        B::Close | B::Unselect => (Selected, Selected, Silent),
        // RFC 6851 §3.3, RFC 8508 §3.1: MOVE and REPLACE themselves cause EXPUNGE; COPY speaks of no numbers in its answer.
        B::Copy(..) | B::Move(..) | B::Replace(_) => (Selected, Selected, Tell),
        B::Fetch(fetch) => (Selected, Selected, by_number(&fetch.messages)),
        B::Store(store) => (Selected, Selected, by_number(&store.messages)),
        B::Search(search) => (Selected, Selected, while_searching(search)),
        // RFC 5256 §3: as SEARCH.
        B::Sort(sort) => (Selected, Selected, while_searching(&sort.search)),
        B::Thread(thread) => (Selected, Selected, while_searching(&thread.search)),
    };
    Rule { first, last, expunges }
}

/// RFC 9051 §7.5.1: FETCH, STORE and SEARCH hold EXPUNGE back, their UID forms need not.
const fn by_number(messages: &Messages) -> Expunges {
    match messages.addressing() {
        Addressing::Sequence => Expunges::Hold,
        Addressing::Uid => Expunges::Tell,
    }
}

fn while_searching(search: &Search) -> Expunges {
    if uses_numbers(search) { Expunges::Hold } else { Expunges::Tell }
}

/// Whether a search speaks of sequence numbers, in its condition or in its answer.
fn uses_numbers(search: &Search) -> bool {
    search.addressing == Addressing::Sequence
        || search.key.any(&|key| matches!(key, SearchKey::Messages(Messages::Sequence(_))))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::foundations::wire::imap::Command;

    fn body(text: &str) -> CommandBody {
        Command::parse(&Bytes::from(format!("a {text}"))).expect(text).body
    }

    #[test]
    fn a_command_is_admitted_in_its_states_only() {
        use Phase::{Authenticated, NotAuthenticated, Selected};
        for (text, phases) in [
            ("NOOP", &[NotAuthenticated, Authenticated, Selected][..]),
            ("LOGIN a b", &[NotAuthenticated]),
            ("STARTTLS", &[NotAuthenticated]),
            ("SELECT a", &[Authenticated, Selected]),
            ("IDLE", &[Authenticated, Selected]),
            ("FETCH 1 UID", &[Selected]),
            ("CLOSE", &[Selected]),
        ] {
            for phase in [NotAuthenticated, Authenticated, Selected] {
                assert_eq!(admit(phase, &body(text)).is_ok(), phases.contains(&phase), "{text} in {phase:?}");
            }
        }
        assert_eq!(admit(Authenticated, &body("EXPUNGE")), Err(OutOfOrder::NotSelected));
        assert_eq!(admit(NotAuthenticated, &body("EXPUNGE")), Err(OutOfOrder::NotAuthenticated));
    }

    #[test]
    fn expunges_are_held_back_while_a_command_uses_sequence_numbers() {
        for (text, expunges) in [
            ("FETCH 1 UID", Expunges::Hold),
            ("UID FETCH 1 UID", Expunges::Tell),
            ("SEARCH ALL", Expunges::Hold),
            ("UID SEARCH 1:3", Expunges::Hold),
            ("UID SEARCH UID 1:3", Expunges::Tell),
            ("STORE 1 FLAGS ()", Expunges::Hold),
            ("SORT (SUBJECT) UTF-8 ALL", Expunges::Hold),
            ("UID SORT (SUBJECT) UTF-8 ALL", Expunges::Tell),
            ("THREAD REFERENCES UTF-8 ALL", Expunges::Hold),
            ("NOOP", Expunges::Tell),
            ("CLOSE", Expunges::Silent),
        ] {
            assert_eq!(admit(Phase::Selected, &body(text)).map(|rule| rule.expunges), Ok(expunges), "{text}");
        }
    }
}
