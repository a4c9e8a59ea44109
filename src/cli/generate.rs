use std::path::Path;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;

use super::arguments::Arguments;
use super::exit::{Exit, Outcome};

/// Prints the completions of a shell.
pub(super) fn completions(shell: Shell) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "postrider", &mut text);
    super::output::print(&String::from_utf8_lossy(&text));
    Exit::Done
}

/// Writes one manual page for each command.
pub(super) fn manual(directory: &Path) -> Outcome {
    std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(Arguments::command(), directory))
        .with_context(|| format!("the pages cannot be written into `{}`", directory.display()))?;
    Ok(Exit::Done)
}
