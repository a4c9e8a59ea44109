//! Replies the session gives on its own account.

use std::borrow::Cow;

use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::wire::smtp::{BodyFault, EnhancedStatus, Reply};
use crate::protocols::smtp::profile::Profile;

pub(super) fn ok(text: impl Into<Cow<'static, str>>) -> Reply {
    Reply::new(250, EnhancedStatus::new(2, 0, 0), text)
}

pub(super) fn sequence(text: impl Into<Cow<'static, str>>) -> Reply {
    Reply::new(503, EnhancedStatus::new(5, 5, 1), text)
}

pub(super) fn closing(class: u16, subject: u16, detail: u16, text: impl Into<Cow<'static, str>>) -> Reply {
    Reply::new(421, EnhancedStatus::new(class, subject, detail), text)
}

pub(super) fn too_large(profile: &Profile) -> Reply {
    let text = format!("This server takes messages of at most {} octets", profile.message_size);
    Reply::new(552, EnhancedStatus::new(5, 3, 4), text)
}

pub(super) fn header_too_large(profile: &Profile) -> Reply {
    let text = format!("This server takes headers of at most {} octets; an empty line ends them", profile.header_size);
    Reply::new(552, EnhancedStatus::new(5, 3, 4), text)
}

pub(super) fn fault_reply(fault: BodyFault, profile: &Profile) -> Reply {
    match fault {
        BodyFault::LoneControl => {
            let text = "The message contains a bare CR or LF; lines must end in CRLF";
            Reply::new(554, EnhancedStatus::new(5, 6, 0), text)
        }
        BodyFault::NoRoom => Reply::from(&no_memory()),
        BodyFault::TooLarge => too_large(profile),
    }
}

/// The refusal for lack of memory.
pub(in crate::protocols::smtp) fn no_memory() -> Refusal {
    Refusal::new(Kind::NoSpace, "This server is busy with other messages; try again later").smtp(452, "4.3.1")
}
