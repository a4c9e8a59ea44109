use super::Exit;
use super::output::Output;
use crate::config;

/// Texts on the configuration.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Config {
    /// A starting configuration, with every default as a comment.
    Example {
        /// Only what is set, without the defaults: tables can be added below.
        #[arg(long)]
        short: bool,
    },
    /// The reference of all settings, in Markdown.
    Reference,
}

pub(super) fn run(command: &Config, output: Output) -> Exit {
    output.text(&match command {
        Config::Example { short: true } => config::short_example(),
        Config::Example { short: false } => config::example(),
        Config::Reference => config::reference(),
    });
    Exit::Done
}
