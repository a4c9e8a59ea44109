use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::context::Context;
use super::super::exit::{Exit, Outcome};
use super::super::output::{Output, print, told};
use super::{Experience, source};
use crate::config::Config;
use crate::foundations::address::Address;
use crate::foundations::dns::{SharedResolver, SystemResolver};
use crate::foundations::mail::{crlf, mbox};
use crate::services::filter::Examined;

/// Explain what messages score.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Check {
    /// Message files, mboxes, directories or Maildirs, optionally compressed with gzip or zstd; `-` for standard input.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Do not use the DNS: no sender authentication, no DNS lists.
    #[arg(long)]
    no_network: bool,
    /// Include what this account has taught the filter and whom it corresponds with, and use its thresholds.
    #[arg(long, value_name = "ADDRESS")]
    user: Option<Address>,
    /// Additional rule files.
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
}

/// The number of files examined between two writes of the output.
const BATCH: usize = 512;

pub(super) fn run(arguments: &Check, context: &Context) -> Outcome {
    let config = super::configuration(context)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Some(user) = &arguments.user {
        runtime.block_on(super::known(user, context))?;
    }
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
    let examine = |message: &[u8]| -> Examined {
        let Some(resolver) = &resolver else {
            let inquiry = handle.block_on(examiner.recall(message, &hostname));
            return examiner.examine_with(message, &inquiry);
        };
        // Signatures are computed over lines that end in CRLF.
        let wire = crlf(message);
        let inquiry = handle.block_on(examiner.inquire(&wire, resolver, &hostname));
        examiner.examine_with(&wire, &inquiry)
    };
    let judge = |path: &PathBuf| -> anyhow::Result<String> {
        let (bytes, mut text) = (source::read(path)?, String::new());
        let messages = mbox::messages(&bytes);
        if messages.len() < 2 {
            write(context.output, path, None, &examine(&bytes), &mut text);
            return Ok(text);
        }
        for (number, message) in (1..).zip(messages) {
            write(context.output, path, Some(number), &examine(&mbox::unwrap(message)), &mut text);
        }
        Ok(text)
    };
    let mut exit = Exit::Done;
    for batch in files.chunks(BATCH) {
        let mut text = String::new();
        for (path, result) in batch.iter().zip(source::on_all_cores(batch, judge)) {
            match result {
                Ok(judged) => text.push_str(&judged),
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

/// The output line for a file that could not be read.
fn failure(path: &Path, error: &anyhow::Error) -> String {
    format!("{}\n", serde_json::json!({ "file": path.display().to_string(), "error": told(error) }))
}

/// Writes the result for a file's message, or for the one with this number in an mbox.
fn write(output: Output, path: &Path, number: Option<usize>, examined: &Examined, text: &mut String) {
    use std::fmt::Write as _;
    let name = path.display().to_string();
    // Writing to a string cannot fail.
    let _ = match output {
        Output::Json => {
            let mut value = serde_json::json!({
                "file": name, "score": examined.score, "verdict": examined.verdict, "language": examined.language,
                "signals": examined.signals,
            });
            if let Some(number) = number {
                value["message"] = number.into();
            }
            writeln!(text, "{value}")
        }
        Output::People => {
            let name = number.map_or_else(|| name.clone(), |number| format!("{name}#{number}"));
            let _ = writeln!(text, "{name}: {:.1} ({})", examined.score, examined.verdict);
            for signal in &examined.signals {
                let _ = writeln!(text, "  {:+6.2}  {:24} {}", signal.weight, signal.name, signal.because);
            }
            Ok(())
        }
    };
}
