//! Programs of this machine, known by the system user they run as.

use super::Submission;
use crate::foundations::address::{Address, ReversePath};
use crate::foundations::mail::{Login, Who};
use crate::foundations::system_users;

impl Submission {
    /// Whom a program sends for that runs as the system user of this number: the user's account if the settings give one,
    /// and else the user themselves. Reads `/etc/passwd`, and therefore blocks for a moment.
    pub fn program(&self, number: u32) -> Login {
        let name = system_users::name(number);
        let settings = self.parts.settings.get();
        let is_user = |wanted: &str| Some(wanted) == name.as_deref() || wanted.parse() == Ok(number);
        let program = settings.programs.iter().find(|program| is_user(&program.user));
        match program.and_then(|program| program.account.clone()) {
            Some(address) => Login { address, who: Who::Program },
            None => Login { address: self.machine_address(name.as_deref(), number), who: Who::MachineUser },
        }
    }

    /// The reverse-path of a message. Programs give what their user is called or what they were once told: what a machine's
    /// user sends leaves under the user's own address, and notifications for a program's account go to the account.
    pub fn reverse_path(&self, path: ReversePath, login: &Login) -> ReversePath {
        match &path {
            ReversePath::Null => path,
            _ if login.who == Who::MachineUser => ReversePath::Address(login.address.clone()),
            ReversePath::Address(address) if self.is_machine_user(address, login) => {
                ReversePath::Address(login.address.clone())
            }
            ReversePath::Address(_) => path,
        }
    }

    /// Whether an address at this host is that of a system user who sends for this account.
    pub(super) fn is_machine_user(&self, address: &Address, login: &Login) -> bool {
        let is_user = |name: &str| name.eq_ignore_ascii_case(address.local().value());
        login.who == Who::Program
            && *address.domain() == *self.parts.hostname.get()
            && self.parts.settings.get().programs.iter().any(|program| {
                let account = program.account.as_ref();
                account.is_some_and(|account| account.key() == login.address.key()) && is_user(&program.user)
            })
    }

    fn machine_address(&self, name: Option<&str>, number: u32) -> Address {
        let hostname = self.parts.hostname.get();
        let at_host = |name: &str| format!("{name}@{hostname}").parse().ok();
        let numbered =
            || at_host(&format!("uid-{number}")).expect("a local part, and `hostname` is checked to leave room for it");
        name.and_then(at_host).unwrap_or_else(numbered)
    }
}
