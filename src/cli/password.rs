use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Context as _, bail};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::foundations::counted::counted;
use crate::foundations::secret::Secret;
use crate::services::login;

/// A password: typed twice without echo on a terminal, or the first line of standard input. Never an argument, which
/// every process on the machine can read.
pub(super) fn ask(what: &str) -> anyhow::Result<Secret<String>> {
    if !std::io::stdin().is_terminal() {
        return read_line().context("expected a password on standard input");
    }
    let first = typed(what)?;
    if first != typed("Again")? {
        bail!("the two passwords differ");
    }
    Ok(first)
}

/// Says that a password is shorter than users may choose one; the administrator decides.
pub(super) fn tell_if_short(password: &Secret<String>, shortest: u32) {
    let length = password.expose().chars().count();
    if length < shortest as usize {
        let length = counted(length, "character");
        eprintln!(
            "postrider: the password has {length}, and users must choose at least {shortest} (`set_up.shortest_password`): it may soon be guessed"
        );
    }
}

/// A password that another server will check: typed once without echo, or the first line of standard input.
pub(super) fn ask_once(what: &str) -> anyhow::Result<Secret<String>> {
    if !std::io::stdin().is_terminal() {
        return read_line().context("expected a password on standard input");
    }
    typed(what)
}

fn typed(what: &str) -> anyhow::Result<Secret<String>> {
    eprint!("{what}: ");
    let _ = std::io::stderr().flush();
    let _echo_off = EchoOff::begin()?;
    let line = read_line();
    eprintln!();
    line
}

fn read_line() -> anyhow::Result<Secret<String>> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let password = line.strip_suffix('\n').unwrap_or(&line);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() {
        bail!("the password is empty");
    }
    Ok(Secret::new(password.to_owned()))
}

/// Turns off the terminal's echo until it is dropped.
struct EchoOff(Termios);

impl EchoOff {
    fn begin() -> anyhow::Result<Self> {
        let before = tcgetattr(std::io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for EchoOff {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.0);
    }
}

/// The hash of a password as the directory stores it.
pub(super) fn hash(password: &Secret<String>, cost: u32) -> anyhow::Result<Secret<String>> {
    Ok(login::hash(password, cost)?)
}
