use std::path::PathBuf;

use super::context::Context;
use super::exit::{Exit, Outcome};
use crate::config::{Checks, load};

/// Check a configuration.
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// The file; the one of `--config` by default.
    file: Option<PathBuf>,
    /// Judge only what the file itself says, and the scripts and declared accounts it names that are there: for places
    /// where certificates, secrets and users do not exist.
    #[arg(long)]
    syntax_only: bool,
}

pub(super) fn run(arguments: &Check, context: &Context) -> Outcome {
    let source = context.source();
    let path = arguments.file.as_ref().unwrap_or(&source.path);
    let checks = if arguments.syntax_only { Checks::Texts } else { Checks::EveryFile };
    load(path, checks, source.credentials.as_deref())?;
    let value = serde_json::json!({ "file": path, "mistakes": [] });
    context.output.done(&format!("`{}` has no mistakes", path.display()), &value);
    Ok(Exit::Done)
}
