use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use super::exit::{Ended, Exit};

/// Asks for confirmation on a terminal, unless `--yes` was given. `what` says what would be done.
///
/// # Errors
/// It was not confirmed.
pub(super) fn confirm(what: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Ended::with(Exit::Usage, format!("{what}; confirm with `--yes`")));
    }
    eprint!("{what}. Type `yes` to continue: ");
    let _ = io::stderr().flush();
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    if line.trim() == "yes" { Ok(()) } else { Err(Ended::with(Exit::Failed, "nothing was done")) }
}
