use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use serde::Serialize;

use super::context::Context;
use super::exit::{Ended, Exit, Outcome};
use super::one_of::one_of;
use super::output::{Output, Shown, print};
use crate::config::Config;
use crate::daemon::administrator;
use crate::foundations::address::Domain;
use crate::foundations::clock::{SharedClock, SystemClock};
use crate::foundations::dns::SystemResolver;
use crate::foundations::files::write_durable;
use crate::foundations::settings::Live;
use crate::foundations::tasks::Tasks;
use crate::services::filter::authentication::dkim::{Algorithm, generate, is_selector};
use crate::services::filter::rotation::{KeyPairState, Phase, Rotation, RotationParts};
use crate::storage::journal::{Journal, JournalSettings};

/// DKIM keys.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Dkim {
    /// Create a key, write it to a file that only its owner can read, and print its DNS record.
    Generate {
        /// The domain whose mail it will sign.
        domain: Domain,
        /// The selector, which distinguishes the keys of a domain.
        #[arg(long, value_parser = selector)]
        selector: String,
        /// `rsa` (2048 bits), which every server understands, or `ed25519`, for use in addition to it.
        #[arg(long, default_value = "rsa", hide_possible_values = true)]
        #[arg(value_parser = one_of(Algorithm::ALL.iter().map(|algorithm| algorithm.word()), Algorithm::from_word))]
        algorithm: Algorithm,
        /// File for the private key. An existing file is never overwritten.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// List keys and their records: configured keys, and keys that are rotated automatically.
    List,
    /// Take the next step in rotating a domain's keys now: create a new pair, or start using it once it is in the DNS.
    Rotate {
        /// The domain, one of `spam.dkim.rotation.domains`.
        domain: Domain,
    },
}

fn selector(text: &str) -> Result<String, &'static str> {
    let wanted = "expected labels of letters, digits, `-` and `_`, separated by dots, such as mail or 2026.rsa";
    is_selector(text).then(|| text.to_owned()).ok_or(wanted)
}

/// A key, for output.
#[derive(Serialize)]
struct Line {
    domain: String,
    selector: String,
    state: String,
    since: Option<String>,
    name: String,
    record: Option<String>,
}

impl Shown for Line {
    const COLUMNS: &'static [&'static str] = &["DOMAIN", "SELECTOR", "STATE", "SINCE"];

    fn cells(&self) -> Vec<String> {
        let since = self.since.clone().unwrap_or_default();
        vec![self.domain.clone(), self.selector.clone(), self.state.clone(), since]
    }
}

pub(super) fn run(command: &Dkim, context: &Context) -> Outcome {
    match command {
        Dkim::Generate { domain, selector, algorithm, out } => make(domain, selector, *algorithm, out, context),
        Dkim::List => context.block_on(list(context)),
        Dkim::Rotate { domain } => context.block_on(rotate(domain, context)),
    }
}

fn make(domain: &Domain, selector: &str, algorithm: Algorithm, out: &PathBuf, context: &Context) -> Outcome {
    if out.exists() {
        let text = format!("`{}` already exists; a key is never overwritten", out.display());
        return Err(Ended::with(Exit::Exists, text));
    }
    let pair = generate(algorithm)?;
    write_durable(out, pair.private.expose().as_bytes(), 0o600)
        .with_context(|| format!("`{}` cannot be written", out.display()))?;
    let name = format!("{selector}._domainkey.{domain}");
    let value = serde_json::json!({ "name": name, "record": pair.record, "file": out });
    context.output.done(&zone_line(&name, &pair.record), &value);
    Ok(Exit::Done)
}

async fn list(context: &Context) -> Outcome {
    let config = context.config()?;
    let mut lines: Vec<Line> = Vec::new();
    for key in &config.spam.dkim.keys {
        let domain = key.domain.as_ref().map(ToString::to_string).unwrap_or_default();
        let name = format!("{}._domainkey.{domain}", key.selector);
        let state = "configured".to_owned();
        lines.push(Line { domain, selector: key.selector.clone(), state, since: None, name, record: None });
    }
    if config.spam.dkim.rotation.directory.is_some() {
        let (rotation, tasks) = rotation(context, &config).await?;
        for domain in &config.spam.dkim.rotation.domains {
            lines.extend(rotation.pairs(domain)?.iter().flat_map(|pair| shown(domain, pair)));
        }
        tasks.stop(std::time::Duration::from_secs(5)).await;
    }
    context.output.list_or(&lines, "there are no DKIM keys: neither `spam.dkim.keys` nor `spam.dkim.rotation` is set");
    if matches!(context.output, Output::People) {
        for line in lines.iter().filter(|line| line.state == Phase::Announced.word()) {
            if let Some(record) = &line.record {
                print(&format!("\nTo be published:\n{}\n", zone_line(&line.name, record)));
            }
        }
    }
    Ok(Exit::Done)
}

async fn rotate(domain: &Domain, context: &Context) -> Outcome {
    let config = context.config()?;
    if !config.spam.dkim.rotation.domains.contains(domain) {
        return Err(Ended::with(Exit::NotFound, format!("{domain} is not in `spam.dkim.rotation.domains`")));
    }
    let (rotation, tasks) = rotation(context, &config).await?;
    let before = rotation.pairs(domain)?;
    let after = rotation.rotate(domain).await?;
    tasks.stop(std::time::Duration::from_secs(5)).await;
    let lines: Vec<Line> = after.iter().flat_map(|pair| shown(domain, pair)).collect();
    if before == after && matches!(context.output, Output::People) {
        print("The records of the announced keys are not in the DNS yet; nothing was changed\n");
    }
    context.output.list(&lines);
    if matches!(context.output, Output::People) {
        for line in lines.iter().filter(|line| line.state == Phase::Announced.word()) {
            print(&format!(
                "\nTo be published:\n{}\n",
                zone_line(&line.name, line.record.as_deref().unwrap_or_default())
            ));
        }
    }
    Ok(Exit::Done)
}

/// The keys as the running server sees them; events go to the journal, which is flushed when the tasks are stopped.
async fn rotation(context: &Context, config: &Config) -> anyhow::Result<(Rotation, Tasks)> {
    let accounts = context.accounts().await?;
    let clock: SharedClock = Arc::new(SystemClock);
    let tasks = Tasks::new();
    let settings = Live::new(JournalSettings::default());
    let journal = Journal::start(accounts.database.clone(), settings, Arc::clone(&clock), &tasks);
    let journal = journal.on_behalf_of(administrator().as_deref());
    let parts = RotationParts {
        settings: Live::new(config.spam.clone()),
        resolver: Arc::new(SystemResolver::new(&config.dns)?),
        journal,
        clock,
    };
    Ok((Rotation::new(parts), tasks))
}

fn shown(domain: &Domain, pair: &KeyPairState) -> Vec<Line> {
    pair.keys
        .iter()
        .map(|key| Line {
            domain: domain.to_string(),
            selector: key.selector.clone(),
            state: pair.phase.word().to_owned(),
            since: Some(pair.since.to_string()),
            name: key.name(domain),
            record: Some(key.record.clone()),
        })
        .collect()
}

/// The record in zone file format: strings of at most 255 octets (RFC 1035 §3.3).
fn zone_line(name: &str, record: &str) -> String {
    let pieces: Vec<String> =
        record.as_bytes().chunks(255).map(|piece| format!("\"{}\"", String::from_utf8_lossy(piece))).collect();
    format!("{name}. IN TXT ( {} )", pieces.join(" "))
}
