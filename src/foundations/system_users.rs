//! The users in this machine's passwd file.

use std::path::Path;

/// The name of the user with this number. Users known only to other services (LDAP, systemd's dynamic ones) have none.
pub fn name(number: u32) -> Option<String> {
    let text = std::fs::read_to_string(Path::new("/etc/passwd")).ok()?;
    named(&text, number).map(str::to_owned)
}

/// passwd(5): name, password, number, and fields that do not matter here.
fn named(text: &str, number: u32) -> Option<&str> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(number)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_number() {
        let file =
            "root:x:0:0:root:/root:/bin/sh\nodd\n\ngit:x:998:998::/var/lib/git:/bin/sh\nalso:x:998:1::/:/bin/sh\n";
        assert_eq!((named(file, 0), named(file, 998), named(file, 1)), (Some("root"), Some("git"), None));
    }
}
