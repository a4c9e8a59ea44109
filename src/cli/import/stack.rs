use std::path::{Path, PathBuf};

use clap::Args;

use super::super::context::Context;
use super::super::exit::{Exit, Outcome};
use super::{ImportOptions, importer, mail, note_usage, seed};
use crate::foundations::address::Address;
use crate::foundations::counted::counted;
use crate::foundations::files::create_directory;
use crate::services::moving::StackBackup;
use crate::storage::mailbox::Layout;

/// A backup of the container stack.
#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// The directory with `mysql_*.sql.gz`, `maildirs_*.tar.gz` and their checksums; the newest of each is used.
    directory: PathBuf,
    /// Directory in which the mail is unpacked before it is imported. It needs room for all of it.
    #[arg(long, value_name = "DIRECTORY", default_value = "/var/tmp")]
    work: PathBuf,
    #[command(flatten)]
    how: ImportOptions,
}

/// A directory that is removed when it is dropped.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The result.
#[derive(Debug, serde::Serialize)]
struct ImportShown {
    compared: usize,
    accounts: Option<serde_json::Value>,
    users: Vec<super::UserMoved>,
}

pub(super) async fn run(arguments: Arguments, context: &Context) -> Outcome {
    let Arguments { directory, work, how } = arguments;
    let backup = StackBackup::find(&directory)?;
    let files = [&backup.dump, &backup.mail].into_iter().flatten().count();
    if backup.compared < files {
        eprintln!("postrider: {} of {files} archives have no checksum to compare with", files - backup.compared);
    }
    let accounts = match backup.accounts()? {
        None => None,
        Some(found) => {
            seed::declare(&found);
            Some(Box::pin(seed::take_over(&found, how.dry_run, context)).await?)
        }
    };
    let scratch = Scratch(work.join(format!(".postrider-import-{}", std::process::id())));
    create_directory(&scratch.0, 0o700)?;
    let homes = backup.unpack(&scratch.0)?;
    let (importer, config) = (importer(&how, context)?, context.config()?);
    let mut owned = Vec::new();
    for home in homes {
        match owner(&home) {
            Ok(user) => owned.push((user, home)),
            Err(because) => eprintln!("`{}` was skipped: {because}", home.display()),
        }
    }
    // A dry run has not created them.
    if !how.dry_run || accounts.is_none() {
        mail::tell_of_nobodys(owned.iter().map(|(user, _)| user), context).await?;
    }
    let moved = owned
        .into_iter()
        .map(|(user, home)| mail::one_of_many(&importer, &home, user, Layout::MaildirPlusPlus, &config));
    let users: Vec<super::UserMoved> = moved.collect();
    let messages: u64 = users.iter().flat_map(|user| &user.folders).map(|folder| folder.messages).sum();
    let (verb, accounts) = match accounts {
        Some((said, value)) => (said, Some(value)),
        None => ("there is no dump of accounts".to_owned(), None),
    };
    let done = if how.dry_run { "would be imported; nothing was done" } else { "imported" };
    let failed = match users.iter().filter(|user| user.problem.is_some()).count() {
        0 => String::new(),
        failed => format!("; incomplete for {failed} of them: see the reasons above, and run the command again"),
    };
    let said = format!("{verb}; {} of {} {done}{failed}", counted(messages, "message"), counted(users.len(), "user"));
    if !how.dry_run {
        note_usage(&users, context).await;
    }
    let complete = users.iter().all(super::UserMoved::is_whole);
    context.output.done(&said, &ImportShown { compared: backup.compared, accounts, users });
    Ok(if complete { Exit::Done } else { Exit::Incomplete })
}

/// The owner of a directory: `DOMAIN/USER` at the end of its path.
fn owner(home: &Path) -> Result<Address, String> {
    let name = |path: Option<&Path>| path.and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    let (local, domain) = (name(Some(home)), name(home.parent()));
    format!("{local}@{domain}").parse().map_err(|error| format!("{error}"))
}
