use std::io::BufReader;
use std::path::PathBuf;

use super::super::context::Context;
use super::super::exit::{Exit, Outcome};
use crate::foundations::files;
use crate::services::filter::classifier::read_spamassassin;

/// Import SpamAssassin's training data.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Import {
    /// Output of `sa-learn --backup`; `-` for standard input.
    backup: PathBuf,
}

pub(super) async fn run(arguments: &Import, context: &Context) -> Outcome {
    let table = if arguments.backup.as_os_str() == "-" {
        read_spamassassin(std::io::stdin().lock())?
    } else {
        let failed = |source| files::Error { verb: "read", path: arguments.backup.clone(), source };
        let file = std::fs::File::open(&arguments.backup).map_err(failed)?;
        read_spamassassin(BufReader::new(file))?
    };
    let config = context.config()?;
    let (filter, database) = super::filter(&config).await?;
    let (ham, spam) = (table.ham, table.spam);
    let mut tokens = 0;
    if let Some(store) = filter.store() {
        tokens = store.import(table).await?;
    }
    database.close().await;
    if tokens > 0 {
        let counts = [("tokens", tokens as u64), ("ham", ham.into()), ("spam", spam.into())];
        super::record(None, &counts, context).await?;
    }
    let sentence = format!(
        "imported {tokens} words from {ham} wanted and {spam} unwanted messages; they are used until enough has been learned here"
    );
    context.output.done(&sentence, &serde_json::json!({ "tokens": tokens, "ham": ham, "spam": spam }));
    Ok(Exit::Done)
}
