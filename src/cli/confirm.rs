use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use super::exit::{Ended, Exit};

/// Goes on only with `--yes`, or when somebody on a terminal says so.
///
/// # Errors
/// Nobody says so. `what` says what would be done.
pub(super) fn confirm(what: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Ended::with(Exit::Usage, format!("{what}; with `--yes` it is done")));
    }
    eprint!("{what}. Type `yes` to do it: ");
    let _ = io::stderr().flush();
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    if line.trim() == "yes" { Ok(()) } else { Err(Ended::with(Exit::Failed, "nothing was done")) }
}
