//! The verdict as the message itself carries it to whatever stores it later: the queue, or the process that owns the mailboxes;
//! and which user of ours has sent it.
//!
//! Fields for one recipient are above those for the whole message, so the first field of a name counts.

use super::{Decision, Folder};
use crate::foundations::address::Domain;
use crate::foundations::mail::{HeaderSection, Mail, Who};

const FLAG: &str = "X-Spam-Flag";
const QUARANTINE: &str = "X-Postrider-Quarantine";

/// Marks a message for the quarantine folder.
pub const QUARANTINED: &str = "X-Postrider-Quarantine: yes\r\n";

/// Fields to put before a message that in general belongs in `common`, for recipients for whom it belongs in `folder`.
pub const fn fields(folder: Folder, common: Folder) -> &'static str {
    match (folder, common) {
        (Folder::Inbox, Folder::Inbox) | (Folder::Junk, Folder::Junk) | (Folder::Quarantine, Folder::Quarantine) => "",
        (Folder::Inbox, Folder::Junk) => "X-Spam-Flag: NO\r\n",
        (Folder::Inbox, Folder::Quarantine) => "X-Postrider-Quarantine: no\r\nX-Spam-Flag: NO\r\n",
        (Folder::Junk, Folder::Inbox) => "X-Spam-Flag: YES\r\n",
        (Folder::Junk, Folder::Quarantine) => "X-Postrider-Quarantine: no\r\nX-Spam-Flag: YES\r\n",
        (Folder::Quarantine, _) => QUARANTINED,
    }
}

/// The field that says which user of ours has sent a message (RFC 8601 §2.7.4), for whatever stores it later; empty if none has.
/// Recipients see it, so it names no account behind another sender.
pub fn login(mail: &Mail, hostname: &Domain) -> String {
    let user = mail.origin.login.as_ref().filter(|login| login.who == Who::User).map(|login| login.address.key());
    let sender = mail.envelope.reverse_path.address().map(|sender| sender.key());
    // What would have to be quoted is not understood by every reader.
    let is_plain = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || "+-._@".contains(c));
    match user.filter(|user| sender.as_ref() == Some(user) && is_plain(user)) {
        Some(user) => format!("Authentication-Results: {hostname};\r\n\tauth=pass smtp.auth={user}\r\n"),
        None => String::new(),
    }
}

/// What the header says about an earlier verdict.
pub fn decision(header: &HeaderSection<'_>) -> Decision {
    let says_yes = |name: &str| header.first(name).is_some_and(|field| field.value().eq_ignore_ascii_case(b"yes"));
    if says_yes(QUARANTINE) {
        Decision::Quarantine
    } else if says_yes(FLAG) {
        Decision::Junk
    } else {
        Decision::Accept
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn what_is_written_for_a_recipient_is_read_again_whatever_stands_below() {
        let all = [Folder::Inbox, Folder::Junk, Folder::Quarantine];
        for common in all {
            let whole = match common {
                Folder::Inbox => "X-Spam-Flag: NO\r\n".to_owned(),
                Folder::Junk => "x-spam-flag: yes\r\n".to_owned(),
                Folder::Quarantine => format!("{QUARANTINED}X-Spam-Flag: YES\r\n"),
            };
            for folder in all {
                let message = format!("{}{whole}Subject: x\r\n\r\nX-Spam-Flag: YES\r\n", fields(folder, common));
                let verdict =
                    Verdict { decision: decision(&HeaderSection::of(message.as_bytes())), ..Verdict::accept() };
                assert_eq!(verdict.common_folder(), folder, "{message}");
            }
        }
    }
}
