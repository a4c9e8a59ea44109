//! Sieve: the language, by Pigeonhole's own test suite; scripts over the network, at work in deliveries, on the command
//! line, and imported.

mod bench;
mod commands;
mod delivery;
mod managesieve;
mod onward;
mod suite;
mod world;

use std::path::{Path, PathBuf};

use crate::harness::Host;

/// Puts a script into a user's directory and makes it active, as another program would.
pub fn activate(host: &Host, user: &str, script: &str) {
    activate_in(&host.mail_root(), user, script);
}

pub fn activate_in(mail_root: &Path, user: &str, script: &str) {
    let (local, domain) = user.split_once('@').unwrap();
    let home = mail_root.join(domain).join(local);
    std::fs::create_dir_all(home.join("sieve")).unwrap();
    std::fs::write(home.join("sieve/main.sieve"), script).unwrap();
    let link = home.join(".dovecot.sieve");
    if std::fs::symlink_metadata(&link).is_err() {
        std::os::unix::fs::symlink("sieve/main.sieve", link).unwrap();
    }
}

/// A user's directory.
pub fn home(host: &Host, user: &str) -> PathBuf {
    let (local, domain) = user.split_once('@').unwrap();
    host.mail_root().join(domain).join(local)
}

pub fn letter(name: &str, subject: &str) -> String {
    format!(
        "From: eve@elsewhere.test\r\nTo: ann@example.test\r\nSubject: {subject}\r\nMessage-ID: <{name}@sieve.test>\r\n\r\nWords\r\n"
    )
}
