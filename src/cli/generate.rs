use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;

use super::arguments::Arguments;
use super::exit::{Exit, HELP, Outcome};
use super::output::Output;

/// Prints the completions for a shell.
pub(super) fn completions(shell: Shell, output: Output) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "postrider", &mut text);
    output.text(&String::from_utf8_lossy(&text));
    Exit::Done
}

/// Writes one manual page for each command.
pub(super) fn manual(directory: &Path, output: Output) -> Outcome {
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    fs::create_dir_all(directory)
        .and_then(|()| write_pages(command, directory))
        .with_context(|| format!("the manual pages cannot be written into `{}`", directory.display()))?;
    let said = format!("The manual pages are in `{}`", directory.display());
    output.done(&said, &serde_json::json!({ "directory": directory.display().to_string() }));
    Ok(Exit::Done)
}

fn write_pages(command: clap::Command, directory: &Path) -> io::Result<()> {
    for one in command.get_subcommands().filter(|one| !one.is_hide_set()).cloned() {
        write_pages(one, directory)?;
    }
    let page = Man::new(command.clone());
    fs::write(directory.join(page.get_filename()), render(&page, &command)?)
}

/// A page. Its title is replaced here: the generator would use the command's own name for the program's, and the version
/// for the date.
fn render(page: &Man, command: &clap::Command) -> io::Result<String> {
    let mut raw = Vec::new();
    page.render(&mut raw)?;
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let title = format!(".TH \"{name}\" \"1\" \"\" \"Postrider {}\" \"Postrider\"", env!("CARGO_PKG_VERSION"));
    let (own, general) = (".SH NOTES", ".SH \"EXIT STATUS\"");
    let more = command.get_after_help().map(ToString::to_string);
    let mut text = String::new();
    for line in String::from_utf8_lossy(&raw).lines() {
        text.push_str(match line {
            _ if line.starts_with(".TH ") => &title,
            ".SH EXTRA" if more.as_deref() == Some(HELP) => general,
            ".SH EXTRA" => own,
            _ => line,
        });
        text.push('\n');
    }
    if more.is_none() {
        // It contains nothing special to roff.
        text.push_str(&format!("{general}\n{HELP}\n"));
    }
    if name != "postrider" {
        text.push_str(".SH \"SEE ALSO\"\npostrider(1)\n");
    }
    Ok(text)
}
