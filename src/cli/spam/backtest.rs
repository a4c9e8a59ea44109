use std::path::PathBuf;

use anyhow::Context as _;
use serde::Serialize;

use super::super::context::Context;
use super::super::exit::{Exit, Outcome};
use super::super::output::Shown;
use super::{Experience, source};
use crate::foundations::address::Address;
use crate::foundations::counted::counted;
use crate::services::filter::view::View;
use crate::services::filter::{Examiner, LimitSettings};

/// Try a changed configuration.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Backtest {
    /// The account whose mail to evaluate again.
    #[arg(long, value_name = "ADDRESS")]
    user: Address,
    /// The current configuration, to compare the one given with `--config` to.
    #[arg(long, value_name = "FILE", default_value = "/etc/postrider/postrider.toml")]
    current: PathBuf,
    /// Additional rule files for the changed configuration.
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
}

/// A message with a different verdict.
#[derive(Debug, Serialize)]
struct Change {
    file: PathBuf,
    subject: String,
    before: f64,
    after: f64,
    from: &'static str,
    to: &'static str,
    signals: Vec<String>,
}

impl Shown for Change {
    const COLUMNS: &'static [&'static str] = &["FROM", "TO", "BEFORE", "AFTER", "SUBJECT", "FILE"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.from.to_owned(),
            self.to.to_owned(),
            format!("{:.1}", self.before),
            format!("{:.1}", self.after),
            self.subject.clone(),
            self.file.display().to_string(),
        ]
    }
}

pub(super) fn run(arguments: &Backtest, context: &Context) -> Outcome {
    let changed = context.config()?;
    // Comparing the changed configuration with itself would show no changes.
    let current =
        super::configuration_at(&arguments.current).context("`--current` names the configuration to compare with")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let user = Some(&arguments.user);
    let experience = runtime.block_on(Experience::load(&current, user))?;
    let before = experience.examiner(super::settings(Some(&current), &[])?, user);
    let after = experience.examiner(super::settings(Some(&changed), &arguments.rules)?, user);
    let hostname = current.hostname.to_string();
    let handle = runtime.handle().clone();
    let key = arguments.user.key();
    let (local, domain) = key.rsplit_once('@').unwrap_or((&key, ""));
    let home = current.storage.mail_root.join(domain).join(local);
    let entries = std::fs::read_dir(&home)
        .with_context(|| format!("the mailboxes of {} cannot be read in `{}`", arguments.user, home.display()))?;
    let mut files = source::files(&home)?;
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() && entry.file_name().to_string_lossy().starts_with('.') {
            files.extend(source::files(&entry.path())?);
        }
    }
    let results = source::on_all_cores(&files, |path| -> anyhow::Result<Option<Change>> {
        let bytes = source::read(path)?;
        let judge =
            |examiner: &Examiner| examiner.examine_with(&bytes, &handle.block_on(examiner.recall(&bytes, &hostname)));
        let (old, new) = (judge(&before), judge(&after));
        if old.verdict == new.verdict {
            return Ok(None);
        }
        let known = |name: &str| old.signals.iter().any(|s| s.name == name);
        Ok(Some(Change {
            file: path.clone(),
            subject: View::new(&bytes, &LimitSettings::default()).value("Subject").chars().take(60).collect(),
            before: old.score,
            after: new.score,
            from: old.verdict,
            to: new.verdict,
            signals: new.signals.iter().filter(|s| !known(&s.name)).map(|s| s.name.to_string()).collect(),
        }))
    });
    let mut changes = Vec::new();
    for result in results {
        changes.extend(result?);
    }
    runtime.block_on(experience.close());
    context.output.list(&changes);
    eprintln!("{} of {} would get a different verdict", changes.len(), counted(files.len(), "message"));
    Ok(Exit::Done)
}
