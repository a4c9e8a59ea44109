use std::path::PathBuf;
use std::sync::Arc;

use super::progress::ProgressBar;
use super::restore::{BackupPart, say_lost};
use super::{Outcome, Place};
use crate::cli::exit::Exit;
use crate::cli::one_of::one_of;
use crate::cli::output::Output;
use crate::foundations::counted::{amount, are, counted};
use crate::services::backup::{Access, Format, Progress, export};

/// Export.
#[derive(Debug, clap::Args)]
pub(super) struct Export {
    #[command(flatten)]
    what: BackupPart,
    /// The format: maildir, mbox, eml, or seed (the three archives of the earlier container stack).
    #[arg(long, hide_possible_values = true)]
    #[arg(value_parser = one_of(Format::ALL.iter().map(|format| format.word()), Format::from_word))]
    format: Format,
    /// Write into this directory, which must be empty.
    #[arg(long, value_name = "DIRECTORY")]
    to: PathBuf,
}

pub(super) async fn run(arguments: Export, place: &Place<'_>) -> Outcome {
    let repository = place.open(Access::Read).await?;
    let snapshot = arguments.what.snapshot(&repository, place)?;
    let (selection, format) = (arguments.what.selection(), arguments.format);
    let directory = std::path::absolute(&arguments.to)?;
    let progress = Arc::new(Progress::default());
    let expected = snapshot.users.iter().filter(|user| selection.takes(user)).map(|user| user.messages).sum();
    let bar = ProgressBar::start(place.output(), "export", &progress, Some(expected));
    let into = directory.clone();
    let work = move || export(&repository, &snapshot, &selection, format, &into, &progress);
    let exported = tokio::task::spawn_blocking(work).await??;
    drop(bar);
    let said = format!(
        "{} ({}) {} in `{}`",
        counted(exported.messages, "message"),
        amount(exported.octets),
        are(exported.messages),
        directory.display()
    );
    place.output().done(&said, &exported);
    if matches!(place.output(), Output::People) {
        say_lost(exported.lost, &exported.damage);
    }
    Ok(if exported.lost == 0 { Exit::Done } else { Exit::Damaged })
}
