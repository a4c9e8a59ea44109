//! Importing mail and accounts from other servers.

mod mail;
mod remote;
mod seed;
mod stack;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::context::Context;
use super::exit::{Exit, Outcome};
use super::size::size;
use crate::foundations::address::Address;
use crate::foundations::counted::{are, counted};
use crate::foundations::settings::ByteSize;
use crate::services::moving::{FolderMoved, Importer, ScriptDone, ScriptMoved};
use crate::storage::database::DatabaseUrl;
use crate::storage::directory::{Error, Usage};
use crate::storage::mailbox::{FolderName, Layout, measure};

/// Where mail and accounts come from.
#[derive(Debug, Subcommand)]
pub(super) enum Import {
    /// Import the mail of a Dovecot server, with UIDs, flags, keywords, subscriptions and Sieve scripts. To use it in place,
    /// set `storage.mail_root` to its root instead: then nothing needs to be imported.
    Dovecot {
        /// The directory that contains `DOMAIN/USER`, with the mail there or in `mail` or `Maildir` below; with `--user`, that
        /// user's mail directory.
        path: PathBuf,
        /// The user, if the path is one user's mail directory.
        #[arg(long, value_name = "ADDRESS")]
        user: Option<Address>,
        /// The user's home with `sieve/` and `.dovecot.sieve`, if it is neither the mail directory nor its parent.
        #[arg(long, value_name = "DIRECTORY", requires = "user")]
        home: Option<PathBuf>,
        /// The folder layout.
        #[arg(long, value_enum, default_value_t = LayoutArgument::Maildirplusplus)]
        layout: LayoutArgument,
        #[command(flatten)]
        how: ImportOptions,
    },
    /// Import one Maildir into one folder.
    Maildir {
        /// The Maildir, which contains `cur` and `new`.
        path: PathBuf,
        #[command(flatten)]
        into: IntoFolder,
        #[command(flatten)]
        how: ImportOptions,
    },
    /// Import an mbox, or every mbox in a directory (from Thunderbird or Apple Mail) or archive (from Google Takeout).
    ///
    /// Files may be compressed with gzip or zstd. Flags and keywords that a mail program stored in the messages (Status,
    /// X-Keywords, X-Mozilla-Status and others) are imported, as are Gmail labels of accounts in English.
    Mbox {
        /// The file, archive (.zip) or directory.
        path: PathBuf,
        /// The user to import it for.
        #[arg(long, value_name = "ADDRESS")]
        user: Address,
        /// The folder, with `/` between levels; for a directory, the parent of its folders. By default those of a directory keep
        /// their names, and messages of a file go to INBOX or where their Gmail labels say.
        #[arg(long)]
        folder: Option<FolderName>,
        #[command(flatten)]
        how: ImportOptions,
    },
    /// Import all mailboxes of an account on another server over IMAP. May be run again at any time to continue.
    Imap(remote::Arguments),
    /// Import the accounts in the database of a Postfix and Dovecot stack (`virtual_domains`, `virtual_users`,
    /// `virtual_aliases`), with their passwords. To use that database itself, name it in `storage.database` instead.
    Seed {
        /// Its URL: `mysql://USER@HOST/NAME`. A password in it (`USER:PASSWORD@`) is visible in the process list.
        database: DatabaseUrl,
        /// File with the database password.
        #[arg(long, value_name = "PATH")]
        password_file: Option<PathBuf>,
        /// Only show what would be done.
        #[arg(long)]
        dry_run: bool,
    },
    /// Import accounts and mail from a backup of that stack, or from `backup export --format seed`.
    SeedBackup(stack::Arguments),
}

/// Which folder to import into.
#[derive(Debug, Args)]
pub(super) struct IntoFolder {
    /// The user to import it for.
    #[arg(long, value_name = "ADDRESS")]
    user: Address,
    /// The folder, with `/` between levels. It is created if it does not exist.
    #[arg(long, default_value = "INBOX")]
    folder: FolderName,
}

/// Options of every import.
#[derive(Debug, Args)]
pub(super) struct ImportOptions {
    /// Only show what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Largest message to import, such as 64M (units of 1024: K, M, G). Larger ones are skipped and reported, and the
    /// command exits with 7.
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = size)]
    largest: ByteSize,
}

/// Folder layouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LayoutArgument {
    /// `.Archive.2026`: Dovecot's default.
    #[value(name = "maildir++")]
    Maildirplusplus,
    /// `Archive/2026`: Dovecot's `LAYOUT=fs`.
    Fs,
}

impl From<LayoutArgument> for Layout {
    fn from(layout: LayoutArgument) -> Self {
        match layout {
            LayoutArgument::Maildirplusplus => Self::MaildirPlusPlus,
            LayoutArgument::Fs => Self::FileSystem,
        }
    }
}

/// The result for one user.
#[derive(Debug, serde::Serialize)]
struct UserMoved {
    user: Address,
    dry_run: bool,
    folders: Vec<FolderMoved>,
    /// Of a Dovecot server.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scripts: Vec<ScriptMoved>,
    /// Directories or mailboxes with mail that were skipped, since clients could not use their names here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unnamed: Vec<PathBuf>,
    /// Directories that were skipped, since they link to something their owner does not own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<PathBuf>,
    /// Why the rest was not imported.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl UserMoved {
    fn of(user: Address, folders: Vec<FolderMoved>, dry_run: bool) -> Self {
        let (scripts, unnamed, links) = (Vec::new(), Vec::new(), Vec::new());
        Self { user, dry_run, folders, scripts, unnamed, links, problem: None }
    }

    /// Links in place of folders and messages to something their owner does not own.
    fn all_links(&self) -> u64 {
        self.links.len() as u64 + self.folders.iter().map(|folder| folder.links).sum::<u64>()
    }

    /// Whether nothing was skipped that an administrator should look at.
    fn is_whole(&self) -> bool {
        let is_whole = |folder: &FolderMoved| folder.too_large == 0 && folder.unreadable == 0 && folder.withheld == 0;
        self.problem.is_none() && self.unnamed.is_empty() && self.all_links() == 0 && self.folders.iter().all(is_whole)
    }
}

pub(super) async fn run(command: Import, context: &Context) -> Outcome {
    match command {
        Import::Dovecot { path, user: Some(user), home, layout, how } => {
            mail::home(&path, user, home.as_deref(), layout.into(), &how, context).await
        }
        Import::Dovecot { path, user: None, home: _, layout, how } => {
            mail::root(&path, layout.into(), &how, context).await
        }
        Import::Maildir { path, into, how } => mail::maildir(&path, into, &how, context).await,
        Import::Mbox { path, user, folder, how } => mail::mbox(&path, user, folder, &how, context).await,
        Import::Imap(arguments) => remote::run(arguments, context).await,
        Import::SeedBackup(arguments) => Box::pin(stack::run(arguments, context)).await,
        Import::Seed { database, password_file, dry_run } => {
            Box::pin(seed::run(&database, password_file, dry_run, context)).await
        }
    }
}

/// Requires that the user exists: otherwise nobody would see the mail.
async fn existing(user: &Address, context: &Context) -> anyhow::Result<()> {
    let accounts = context.accounts().await?;
    let found = accounts.directory.account_now(user).await?;
    accounts.closed().await;
    found.ok_or_else(|| Error::NoUser(user.clone()))?;
    Ok(())
}

/// The importer for a command.
fn importer(how: &ImportOptions, context: &Context) -> anyhow::Result<Importer> {
    let mail_root = context.config()?.storage.mail_root;
    if !how.dry_run {
        crate::foundations::files::create_directory(&mail_root, 0o700)?;
    }
    Ok(Importer { mail_root, largest: how.largest.get(), dry_run: how.dry_run })
}

/// Reports the result for a folder as soon as it is done.
fn progress(user: &Address, moved: &FolderMoved) {
    // Of a folder to which nothing was added, the UIDs are what they were.
    let uids = match (moved.keeps_uids, moved.messages) {
        (true, _) => ", with its UIDs",
        (false, 0) => "",
        (false, _) => ", with new UIDs",
    };
    eprintln!(
        "{user}: {}: {}, {}{uids}; {} already there{}{}{}{}{}{}{}{}{}",
        moved.folder,
        counted(moved.messages, "message"),
        counted(moved.octets, "octet"),
        moved.present,
        match moved.recognised {
            0 => String::new(),
            recognised => format!(", {recognised} of them with other UIDs and recognised by their content"),
        },
        match moved.elsewhere {
            0 => String::new(),
            elsewhere => format!("; {elsewhere} in other folders skipped"),
        },
        match moved.empty {
            0 => String::new(),
            empty => format!("; {} skipped", counted(empty, "empty file")),
        },
        match moved.links {
            0 => String::new(),
            links => format!("; {} skipped", counted(links, "link")),
        },
        match moved.withheld {
            0 => String::new(),
            withheld => format!("; {} listed but not delivered by the server", counted(withheld, "message")),
        },
        match moved.too_large {
            0 => String::new(),
            large => format!("; {} larger than `--largest` skipped", counted(large, "message")),
        },
        match moved.unreadable {
            0 => String::new(),
            unreadable => format!("; {} skipped", counted(unreadable, "unreadable message")),
        },
        match moved.lost_keywords {
            0 => String::new(),
            lost => format!("; {} did not fit into file names", counted(lost, "keyword")),
        },
        moved.refused.as_ref().map_or_else(String::new, |why| format!("; incomplete: {why}"))
    );
}

/// Reports the result for a script.
fn script_progress(user: &Address, moved: &ScriptMoved) {
    let done = match &moved.done {
        ScriptDone::Moved => "imported".to_owned(),
        ScriptDone::Present => "already there".to_owned(),
        ScriptDone::Taken => "not imported: a different one with that name exists".to_owned(),
        ScriptDone::Refused(why) => format!("not imported: {why}"),
    };
    let active = if moved.active { ", active" } else { "" };
    eprintln!("{user}: Sieve script `{}`: {done}{active}", moved.name);
    for mistake in &moved.mistakes {
        eprintln!("{user}: Sieve script `{}` does not run here: {mistake}", moved.name);
    }
}

/// Records what the mailboxes now hold, which would otherwise not be counted before the next delivery.
async fn note_usage(users: &[UserMoved], context: &Context) {
    if let Err(error) = try_to_note_usage(users, context).await {
        eprintln!("postrider: the new usage of the mailboxes could not be recorded: {error:#}");
    }
}

async fn try_to_note_usage(users: &[UserMoved], context: &Context) -> anyhow::Result<()> {
    let accounts = context.accounts().await?;
    for moved in users.iter().filter(|moved| !moved.dry_run) {
        let held = measure(&accounts.config.storage.mail_root, &moved.user)?;
        let usage = Usage { bytes: held.octets, messages: held.messages };
        accounts.directory.set_usage(&moved.user, usage);
    }
    accounts.directory.flush_usage().await?;
    accounts.changed().await;
    Ok(())
}

/// Reports the result for all users.
async fn report(users: &[UserMoved], dry_run: bool, context: &Context) -> Outcome {
    if !dry_run {
        note_usage(users, context).await;
    }
    let all = |of: fn(&FolderMoved) -> u64| users.iter().flat_map(|user| &user.folders).map(of).sum::<u64>();
    let messages = all(|folder| folder.messages);
    let done = if dry_run { "would be imported; nothing was done" } else { "imported" };
    let left_out = match all(|folder| folder.empty) {
        0 => String::new(),
        empty => format!("; skipped: {} with no content; check whether a backup has them", counted(empty, "message")),
    };
    let withheld = match all(|folder| folder.withheld) {
        0 => String::new(),
        withheld => format!(
            "; {} the server lists but does not deliver: see the warnings, and run the command again",
            counted(withheld, "message")
        ),
    };
    let too_large = all(|folder| folder.too_large);
    let larger = match too_large {
        0 => String::new(),
        large => format!(
            "; {} {} larger than `--largest` allows: run the command again with a higher limit",
            counted(large, "message"),
            are(large)
        ),
    };
    let compressed = match all(|folder| folder.unreadable) {
        0 => String::new(),
        unreadable => format!(
            "; {} cannot be read: see the reasons above (permit reading, uncompress them, or get them from a backup), and run the command again",
            counted(unreadable, "message")
        ),
    };
    let unnamed = users.iter().map(|user| user.unnamed.len()).sum::<usize>();
    let passed_over = match unnamed {
        0 => String::new(),
        unnamed => format!(
            "; skipped: {} with unusable names; rename them on the other server, and run the command again",
            counted(unnamed, "folder")
        ),
    };
    let linked = match users.iter().map(UserMoved::all_links).sum::<u64>() {
        0 => String::new(),
        links => format!(
            "; skipped: {}; replace links by the files that belong there, and run the command again",
            counted(links, "link")
        ),
    };
    let failed = match users.iter().filter(|user| user.problem.is_some()).count() {
        0 => String::new(),
        failed => format!("; incomplete for {failed} of them: see the reasons above, and run the command again"),
    };
    let said = format!(
        "{} of {} {done}{failed}{left_out}{withheld}{larger}{compressed}{passed_over}{linked}",
        counted(messages, "message"),
        counted(users.len(), "user")
    );
    context.output.done(&said, &users);
    Ok(if users.iter().all(UserMoved::is_whole) { Exit::Done } else { Exit::Incomplete })
}
