use super::Exit;
use super::output::print;
use crate::config;

/// Texts about the configuration.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Config {
    /// A configuration to begin with, every default in it as a comment.
    Example,
    /// The reference of every key, in Markdown.
    Reference,
}

pub(super) fn run(command: &Config) -> Exit {
    print(&match command {
        Config::Example => config::example(),
        Config::Reference => config::reference(),
    });
    Exit::Done
}
