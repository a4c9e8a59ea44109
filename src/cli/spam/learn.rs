use std::path::PathBuf;

use super::super::context::Context;
use super::super::exit::{Exit, Outcome};
use super::source;
use crate::foundations::address::Address;
use crate::foundations::counted::counted;
use crate::foundations::mail::mbox;
use crate::services::filter::classifier::{Class, Learned, Owner, Token};
use crate::services::filter::{Filter, FilterSettings, lesson};

/// Train the filter.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub(in crate::cli) struct Learn {
    /// Wanted messages: files, mboxes, directories, Maildirs, optionally compressed with gzip or zstd; `-` for standard input.
    #[arg(long, group = "what", value_name = "PATH", num_args = 1..)]
    ham: Vec<PathBuf>,
    /// Unwanted messages, in the same forms.
    #[arg(long, group = "what", value_name = "PATH", num_args = 1..)]
    spam: Vec<PathBuf>,
    /// Messages to unlearn, in the same forms.
    #[arg(long, group = "what", value_name = "PATH", num_args = 1..)]
    forget: Vec<PathBuf>,
    /// Train the filter for this account only; by default, for everybody.
    #[arg(long, value_name = "ADDRESS")]
    user: Option<Address>,
}

/// Messages learned in one transaction.
const BATCH: usize = 500;

/// The results for the messages.
#[derive(Debug, Default, serde::Serialize)]
struct Tally {
    ham: usize,
    spam: usize,
    forgotten: usize,
    known: usize,
}

impl Tally {
    /// Whether nothing has changed.
    const fn is_empty(&self) -> bool {
        self.ham + self.spam + self.forgotten == 0
    }
}

pub(super) async fn run(arguments: &Learn, context: &Context) -> Outcome {
    if let Some(user) = &arguments.user {
        super::known(user, context).await?;
    }
    let config = context.config()?;
    let (filter, database) = super::filter(&config).await?;
    let owner = arguments.user.as_ref().map_or(Owner::Site, Filter::owner);
    let mut tally = Tally::default();
    let taught = teach_all(arguments, &filter, &config.spam, &owner, &mut tally).await;
    database.close().await;
    // What was learned before a failure remains.
    if !tally.is_empty() {
        let counts = [("ham", tally.ham), ("spam", tally.spam), ("forgotten", tally.forgotten)];
        let counts = counts.map(|(name, count)| (name, count as u64));
        super::record(arguments.user.as_ref(), &counts, context).await?;
    }
    taught?;
    let Tally { ham, spam, forgotten, known } = tally;
    let sentence = format!(
        "learned {} and {}, forgot {forgotten}; {known} {} already known",
        counted(ham, "wanted message"),
        counted(spam, "unwanted message"),
        if known == 1 { "was" } else { "were" }
    );
    context.output.done(&sentence, &tally);
    Ok(Exit::Done)
}

async fn teach_all(
    arguments: &Learn,
    filter: &Filter,
    settings: &FilterSettings,
    owner: &Owner,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    for (paths, class) in
        [(&arguments.forget, None), (&arguments.ham, Some(Class::Ham)), (&arguments.spam, Some(Class::Spam))]
    {
        teach(filter, settings, owner, paths, class, tally).await?;
    }
    // All in one piece, which is faster to load next time.
    if let Some(store) = filter.store() {
        store.fold(owner).await?;
    }
    Ok(())
}

async fn teach(
    filter: &Filter,
    settings: &FilterSettings,
    owner: &Owner,
    paths: &[PathBuf],
    class: Option<Class>,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let Some(store) = filter.store() else { return Ok(()) };
    let mut files = Vec::new();
    for path in paths {
        files.extend(source::files(path)?);
    }
    for batch in files.chunks(BATCH) {
        let read = source::on_all_cores(batch, |path| -> anyhow::Result<Vec<(String, Vec<Token>)>> {
            let bytes = source::read(path)?;
            Ok(mbox::messages(&bytes).into_iter().map(|m| lesson(m, settings)).collect())
        });
        let mut lessons = Vec::with_capacity(BATCH);
        for result in read {
            lessons.extend(result?);
        }
        for lessons in lessons.chunks(BATCH) {
            let results = match class {
                Some(class) => store.learn_many(owner, class, lessons).await?,
                None => store.forget(owner, lessons).await?,
            };
            let changed = results.iter().filter(|r| **r != Learned::Before).count();
            tally.known += results.len() - changed;
            match class {
                Some(Class::Ham) => tally.ham += changed,
                Some(Class::Spam) => tally.spam += changed,
                None => tally.forgotten += changed,
            }
        }
    }
    Ok(())
}
