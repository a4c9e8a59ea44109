use std::path::PathBuf;
use std::sync::Arc;

use super::super::context::Context;
use super::super::exit::{Exit, Outcome};
use super::super::output::{Output, print, told};
use super::{Experience, source};
use crate::config::Config;
use crate::foundations::address::Address;
use crate::foundations::dns::{SharedResolver, SystemResolver};
use crate::foundations::mail::crlf;
use crate::services::filter::Examined;

/// Explain what messages score.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Check {
    /// Message files, directories or Maildirs; `-` for standard input.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Leave the DNS out: no sender authentication, no DNS lists.
    #[arg(long)]
    no_network: bool,
    /// Count what this account has been taught and whom it knows, too, and judge by its thresholds.
    #[arg(long, value_name = "ADDRESS")]
    user: Option<Address>,
    /// Further rule files.
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
}

/// Files that are judged between two writes of the output.
const BATCH: usize = 512;

pub(super) fn run(arguments: &Check, context: &Context) -> Outcome {
    let config = super::configuration(context)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let user = arguments.user.as_ref();
    let experience = match &config {
        Some(config) => runtime.block_on(Experience::load(config, user))?,
        None => Experience::default(),
    };
    let examiner = experience.examiner(super::settings(config.as_ref(), &arguments.rules)?, user);
    let resolver = resolver(config.as_ref(), arguments)?;
    let hostname = config.as_ref().map_or_else(|| "localhost".to_owned(), |c| c.hostname.to_string());
    let mut files = Vec::new();
    for path in &arguments.files {
        files.extend(source::files(path)?);
    }
    let handle = runtime.handle().clone();
    let judge = |path: &PathBuf| -> anyhow::Result<Examined> {
        let bytes = source::read(path)?;
        let Some(resolver) = &resolver else {
            let inquiry = handle.block_on(examiner.recall(&bytes, &hostname));
            return Ok(examiner.examine_with(&bytes, &inquiry));
        };
        // Signatures are made over lines that end in CRLF.
        let wire = crlf(&bytes);
        let inquiry = handle.block_on(examiner.inquire(&wire, resolver, &hostname));
        Ok(examiner.examine_with(&wire, &inquiry))
    };
    let mut exit = Exit::Done;
    for batch in files.chunks(BATCH) {
        let mut text = String::new();
        for (path, result) in batch.iter().zip(source::on_all_cores(batch, judge)) {
            match result {
                Ok(examined) => write(context.output, path, &examined, &mut text),
                Err(error) => {
                    match context.output {
                        Output::Json => text.push_str(&failure(path, &error)),
                        Output::People => eprintln!("postrider: {}", told(&error)),
                    }
                    exit = Exit::of(&error);
                }
            }
        }
        print(&text);
    }
    runtime.block_on(experience.close());
    Ok(exit)
}

fn resolver(config: Option<&Config>, arguments: &Check) -> anyhow::Result<Option<SharedResolver>> {
    if arguments.no_network {
        return Ok(None);
    }
    let settings = config.map(|c| c.dns.clone()).unwrap_or_default();
    Ok(Some(Arc::new(SystemResolver::new(&settings)?)))
}

/// The line of a file that could not be read.
fn failure(path: &std::path::Path, error: &anyhow::Error) -> String {
    format!("{}\n", serde_json::json!({ "file": path.display().to_string(), "error": told(error) }))
}

fn write(output: Output, path: &std::path::Path, examined: &Examined, text: &mut String) {
    use std::fmt::Write as _;
    let name = path.display().to_string();
    // Writing to a text cannot fail.
    let _ = match output {
        Output::Json => {
            let value = serde_json::json!({
                "file": name, "score": examined.score, "verdict": examined.verdict, "language": examined.language,
                "signals": examined.signals,
            });
            writeln!(text, "{value}")
        }
        Output::People => {
            let _ = writeln!(text, "{name}: {:.1} ({})", examined.score, examined.verdict);
            for signal in &examined.signals {
                let _ = writeln!(text, "  {:+6.2}  {:24} {}", signal.weight, signal.name, signal.because);
            }
            Ok(())
        }
    };
}
