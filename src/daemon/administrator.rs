//! Who uses the command line, for the events of what they change.

use crate::foundations::system_users;

/// The value of `/proc/self/loginuid` for a process that belongs to no login.
const NO_LOGIN: u32 = u32::MAX;

/// The administrator who runs this process: the user who logged in to this machine, even if the command runs as another
/// one. Users without a name are told by their number. `None` in a unit of systemd, such as one that a timer starts: nobody
/// has asked for what it does.
#[expect(clippy::disallowed_methods, reason = "sudo and systemd tell only in the environment who has called")]
pub fn administrator() -> Option<String> {
    let login = std::fs::read_to_string("/proc/self/loginuid").ok().and_then(|text| text.trim().parse().ok());
    let sudo = std::env::var("SUDO_USER").ok();
    let is_unit = std::env::var_os("INVOCATION_ID").is_some();
    who(login, sudo, is_unit, rustix::process::getuid().as_raw(), system_users::name)
}

/// The login that the kernel knows survives `su` and `sudo`, and cannot be changed by its user. Where there is none (in
/// containers, without pam_loginuid(8)), what sudo says is believed if the command runs as root: others could say anything.
fn who(
    login: Option<u32>,
    sudo: Option<String>,
    is_unit: bool,
    real: u32,
    name: impl Fn(u32) -> Option<String>,
) -> Option<String> {
    let called = |number: u32| name(number).unwrap_or_else(|| format!("uid {number}"));
    match (login.filter(|login| *login != NO_LOGIN), sudo.filter(|user| real == 0 && !user.is_empty())) {
        (Some(login), _) => Some(called(login)),
        (None, Some(user)) => Some(user),
        (None, None) => (!is_unit).then(|| called(real)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_administrator_is_who_has_logged_in() {
        let name = |number: u32| match number {
            0 => Some("root".to_owned()),
            1000 => Some("alice".to_owned()),
            _ => None,
        };
        let sudo = || Some("bob".to_owned());
        for (login, sudo, is_unit, real, wanted) in [
            (Some(1000), sudo(), false, 0, Some("alice")),
            (Some(0), None, false, 0, Some("root")),
            (Some(1001), None, false, 1001, Some("uid 1001")),
            (Some(NO_LOGIN), sudo(), false, 0, Some("bob")),
            (None, Some(String::new()), false, 0, Some("root")),
            // Not root: the environment is the user's own.
            (None, sudo(), false, 1000, Some("alice")),
            // The desktop of somebody who has logged in is a unit as well.
            (Some(1000), None, true, 1000, Some("alice")),
            // A timer.
            (Some(NO_LOGIN), None, true, 0, None),
        ] {
            assert_eq!(who(login, sudo, is_unit, real, name).as_deref(), wanted);
        }
    }
}
