use std::path::PathBuf;

use super::context::Context;
use super::exit::{Exit, Outcome};
use crate::config::{Checks, Config, LoadError, declaration_mistakes, load, warnings};
use crate::services::accounts::{Declaration, Secrets};

#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// The configuration file; the one given with `--config` by default.
    file: Option<PathBuf>,
    /// Check only the file itself and those of its scripts and declared accounts that exist: for machines without the
    /// certificates, secrets and users.
    #[arg(long)]
    syntax_only: bool,
}

pub(super) fn run(arguments: &Check, context: &Context) -> Outcome {
    let source = context.source();
    let path = arguments.file.as_ref().unwrap_or(&source.path);
    let checks = if arguments.syntax_only { Checks::Texts } else { Checks::EveryFile };
    let config = load(path, checks, source.credentials.as_deref())?;
    let mut warnings = warnings(&config, checks);
    warnings.extend(alias_loops(&config)?);
    let value = serde_json::json!({ "file": path, "mistakes": [], "warnings": warnings });
    let warned = warnings.iter().fold(String::new(), |told, warning| format!("{told}\nwarning: {warning}"));
    context.output.done(&format!("`{}` has no mistakes{warned}", path.display()), &value);
    Ok(Exit::Done)
}

/// Declared aliases that form a loop. Nothing is known of accounts that are declared elsewhere.
fn alias_loops(config: &Config) -> Result<Vec<String>, LoadError> {
    let Some(declared) = config.accounts.declared.as_ref().filter(|path| path.exists()) else { return Ok(Vec::new()) };
    let declaration = Declaration::load(declared, Secrets::Skip, None).map_err(declaration_mistakes)?;
    Ok(declaration.alias_loops(&config.routing))
}
