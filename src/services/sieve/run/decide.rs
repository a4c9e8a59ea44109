//! Adding actions: which go together, and how many there may be (RFC 5228 §2.10.4, §2.10.5; RFC 5429 §2.3).

use super::{Halt, Run};
use crate::services::sieve::outcome::{Action, FileInto};

impl Run<'_, '_> {
    /// Adds an action to what will be done. The same action twice is done once.
    pub(in crate::services::sieve) fn decide(&mut self, action: Action) -> Result<(), Halt> {
        self.check_conflicts(&action)?;
        if self.merged(&action) {
            return Ok(());
        }
        let most = self.settings.actions as usize;
        if self.actions.len() >= most {
            return Err(Halt::new(format!(
                "total number of actions exceeds policy limit: at most {most} are allowed for one message"
            )));
        }
        self.check_number(&action)?;
        self.actions.push(action);
        Ok(())
    }

    fn check_number(&self, action: &Action) -> Result<(), Halt> {
        let count = |is: fn(&Action) -> bool| self.actions.iter().filter(|action| is(action)).count();
        let (is, most, what): (fn(&Action) -> bool, u32, &str) = match action {
            Action::Redirect { .. } => (|a| matches!(a, Action::Redirect { .. }), self.settings.redirects, "redirect"),
            Action::Notify(_) => (|a| matches!(a, Action::Notify(_)), self.settings.notifications, "notify"),
            _ => return Ok(()),
        };
        if count(is) >= most as usize {
            return Err(Halt::new(format!(
                "the number of {what} actions exceeds policy limit: at most {most} are allowed for one message"
            )));
        }
        Ok(())
    }

    /// RFC 5429 §2.1.2, §2.3: a message that is refused must not be stored, passed on or answered as well.
    fn check_conflicts(&self, action: &Action) -> Result<(), Halt> {
        for other in &self.actions {
            let text = match (other, action) {
                (Action::Reject { .. }, Action::Reject { .. }) => "the message is rejected twice",
                (Action::Vacation(_), Action::Vacation(_)) => "the message is answered by 'vacation' twice",
                (Action::Reject { .. }, Action::Vacation(_)) | (Action::Vacation(_), Action::Reject { .. }) => {
                    "a message cannot be both rejected and answered by 'vacation'"
                }
                (Action::Reject { .. }, Action::Keep { .. } | Action::FileInto(_) | Action::Redirect { .. })
                | (Action::Keep { .. } | Action::FileInto(_) | Action::Redirect { .. }, Action::Reject { .. }) => {
                    "a message cannot be rejected and also kept, stored or redirected"
                }
                _ => continue,
            };
            return Err(Halt::new(text));
        }
        Ok(())
    }

    /// Whether the action is one that is there already.
    fn merged(&mut self, action: &Action) -> bool {
        let keeps_in_inbox = !self.situation.junk;
        self.actions.iter_mut().any(|other| match (other, action) {
            // The later flags count.
            (Action::Keep { flags, .. }, Action::Keep { flags: new, .. }) => {
                flags.clone_from(new);
                true
            }
            (Action::FileInto(other), Action::FileInto(new)) if is_same(other, new) => {
                other.flags.clone_from(&new.flags);
                true
            }
            // The inbox once is enough.
            (Action::Keep { flags, message, .. }, Action::FileInto(new))
                if keeps_in_inbox && is_inbox(&new.folder) && *message == new.message =>
            {
                flags.clone_from(&new.flags);
                true
            }
            (Action::FileInto(other), Action::Keep { flags: new, message, .. })
                if keeps_in_inbox && is_inbox(&other.folder) && *message == other.message =>
            {
                other.flags.clone_from(new);
                true
            }
            (Action::Redirect { to, message }, Action::Redirect { to: new, message: other }) => {
                to.key() == new.key() && message == other
            }
            _ => false,
        })
    }
}

fn is_same(one: &FileInto, other: &FileInto) -> bool {
    let is_same_folder = one.folder == other.folder || is_inbox(&one.folder) && is_inbox(&other.folder);
    is_same_folder && one.message == other.message
}

/// RFC 9051 §5.1: this name ignores case.
fn is_inbox(folder: &str) -> bool {
    folder.eq_ignore_ascii_case("inbox")
}
