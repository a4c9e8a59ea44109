//! Moving in.

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
use crate::services::moving::{FolderMoved, Mover, ScriptDone, ScriptMoved};
use crate::storage::database::DatabaseUrl;
use crate::storage::directory::{Error, Usage};
use crate::storage::mailbox::{FolderName, Layout, measure};

/// Where mail and accounts come from.
#[derive(Debug, Subcommand)]
pub(super) enum Import {
    /// The mail of a Dovecot server, with UIDs, flags, keywords, subscriptions and Sieve scripts. To use it where it is, name its root in
    /// `storage.mail_root` instead: then nothing needs to be moved.
    Dovecot {
        /// The directory with `DOMAIN/USER` below it, where the mail is there or in its `mail` or `Maildir`; with `--user`, this user's
        /// mail directory.
        path: PathBuf,
        /// Whose mail it is, when the path is one user's.
        #[arg(long, value_name = "ADDRESS")]
        user: Option<Address>,
        /// The user's home with `sieve/` and `.dovecot.sieve`, where that is not the mail directory or the one around it.
        #[arg(long, value_name = "DIRECTORY", requires = "user")]
        home: Option<PathBuf>,
        /// How its folders are laid out.
        #[arg(long, value_enum, default_value_t = LayoutArgument::Maildirplusplus)]
        layout: LayoutArgument,
        #[command(flatten)]
        how: How,
    },
    /// One Maildir, into one folder.
    Maildir {
        /// The directory of the Maildir, with `cur` and `new` in it.
        path: PathBuf,
        #[command(flatten)]
        into: Into,
        #[command(flatten)]
        how: How,
    },
    /// An mbox, or every mbox in a directory (of Thunderbird or Apple Mail) or an archive (of Google Takeout).
    ///
    /// Files may be compressed with gzip or zstd. Flags and keywords come along where a mail program has noted them in the messages
    /// (Status, X-Keywords, X-Mozilla-Status and others), and so do the labels of Gmail, as English accounts have them.
    Mbox {
        /// The file, archive (.zip) or directory.
        path: PathBuf,
        /// The user whose mail it becomes.
        #[arg(long, value_name = "ADDRESS")]
        user: Address,
        /// The folder, with `/` between its levels; for a directory, the one above its folders. Without it those of a directory keep
        /// their names, and messages of a file go to INBOX, or where the labels of Gmail say.
        #[arg(long)]
        folder: Option<FolderName>,
        #[command(flatten)]
        how: How,
    },
    /// All mailboxes of an account on another server, over IMAP. May be run again at any time: it goes on where it was.
    Imap(remote::Arguments),
    /// The accounts in the database of a Postfix and Dovecot stack (`virtual_domains`, `virtual_users`,
    /// `virtual_aliases`), with their passwords. To use that database itself, name it in `storage.database` instead.
    Seed {
        /// Its address: `mysql://USER@HOST/NAME`. A password in it (`USER:PASSWORD@`) is seen by everybody who lists processes.
        database: DatabaseUrl,
        /// File with the password there.
        #[arg(long, value_name = "PATH")]
        password_file: Option<PathBuf>,
        /// Only say what would be done.
        #[arg(long)]
        dry_run: bool,
    },
    /// Accounts and mail out of a backup of that stack, or of `backup export --format seed`.
    SeedBackup(stack::Arguments),
}

/// Into which folder.
#[derive(Debug, Args)]
pub(super) struct Into {
    /// The user whose mail it becomes.
    #[arg(long, value_name = "ADDRESS")]
    user: Address,
    /// The folder, with `/` between its levels. It is made when it is not there.
    #[arg(long, default_value = "INBOX")]
    folder: FolderName,
}

/// How it is done.
#[derive(Debug, Args)]
pub(super) struct How {
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Largest message that is taken, such as 64M (units of 1024: K, M, G). Larger ones are named and left out, and the command ends with 1.
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = size)]
    largest: ByteSize,
}

/// Layouts by their names on the command line.
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

/// What became of a user.
#[derive(Debug, serde::Serialize)]
struct UserMoved {
    user: Address,
    dry_run: bool,
    folders: Vec<FolderMoved>,
    /// Of a Dovecot server.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scripts: Vec<ScriptMoved>,
    /// Directories or mailboxes with mail that were passed over, since no client could say their names here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unnamed: Vec<PathBuf>,
    /// Directories that were passed over, since they are links to what is not their owner's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<PathBuf>,
    /// Why the rest was not moved in.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl UserMoved {
    fn of(user: Address, folders: Vec<FolderMoved>, dry_run: bool) -> Self {
        let (scripts, unnamed, links) = (Vec::new(), Vec::new(), Vec::new());
        Self { user, dry_run, folders, scripts, unnamed, links, problem: None }
    }

    /// Links to what is not their owner's, in the place of folders and messages.
    fn all_links(&self) -> u64 {
        self.links.len() as u64 + self.folders.iter().map(|folder| folder.links).sum::<u64>()
    }

    /// Whether nothing was left out that an administrator should look at.
    fn is_whole(&self) -> bool {
        let is_whole = |folder: &FolderMoved| folder.too_large == 0 && folder.unreadable == 0;
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

/// Wants a user that there is: mail of a name that nobody has would be hidden from everybody.
async fn existing(user: &Address, context: &Context) -> anyhow::Result<()> {
    let accounts = context.accounts().await?;
    let found = accounts.directory.account_now(user).await?;
    accounts.closed().await;
    found.ok_or_else(|| Error::NoUser(user.clone()))?;
    Ok(())
}

/// What moves mail for a command.
fn mover(how: &How, context: &Context) -> anyhow::Result<Mover> {
    let mail_root = context.config()?.storage.mail_root;
    if !how.dry_run {
        crate::foundations::files::create_directory(&mail_root, 0o700)?;
    }
    Ok(Mover { mail_root, largest: how.largest.get(), dry_run: how.dry_run })
}

/// Says what became of a folder while others are still to come.
fn progress(user: &Address, moved: &FolderMoved) {
    let uids = if moved.keeps_uids { "with its UIDs" } else { "with new UIDs" };
    eprintln!(
        "{user}: {}: {}, {}, {uids}; {} there already{}{}{}{}{}{}{}{}",
        moved.folder,
        counted(moved.messages, "message"),
        counted(moved.octets, "octet"),
        moved.present,
        match moved.elsewhere {
            0 => String::new(),
            elsewhere => format!("; {elsewhere} in other folders left out"),
        },
        match moved.empty {
            0 => String::new(),
            empty => format!("; {} left out", counted(empty, "empty file")),
        },
        match moved.links {
            0 => String::new(),
            links => format!("; {} left out", counted(links, "link")),
        },
        match moved.withheld {
            0 => String::new(),
            withheld => format!("; {} that the server lists it does not give", counted(withheld, "message")),
        },
        match moved.too_large {
            0 => String::new(),
            large => format!("; {} larger than `--largest` left out", counted(large, "message")),
        },
        match moved.unreadable {
            0 => String::new(),
            unreadable => format!("; {} that nothing here can read left out", counted(unreadable, "message")),
        },
        match moved.lost_keywords {
            0 => String::new(),
            lost => format!("; {} had no room in names of files", counted(lost, "keyword")),
        },
        moved.refused.as_ref().map_or_else(String::new, |why| format!("; not everything: {why}"))
    );
}

/// Says what became of a script.
fn script_progress(user: &Address, moved: &ScriptMoved) {
    let done = match &moved.done {
        ScriptDone::Moved => "moved in".to_owned(),
        ScriptDone::Present => "there already".to_owned(),
        ScriptDone::Taken => "not moved in: another one of that name is there".to_owned(),
        ScriptDone::Refused(why) => format!("not moved in: {why}"),
    };
    let active = if moved.active { ", active" } else { "" };
    eprintln!("{user}: Sieve script `{}`: {done}{active}", moved.name);
    for mistake in &moved.mistakes {
        eprintln!("{user}: Sieve script `{}` does not run here: {mistake}", moved.name);
    }
}

/// Notes what mailboxes hold now, which nobody would count before the next delivery.
async fn note_usage(users: &[UserMoved], context: &Context) {
    if let Err(error) = try_to_note_usage(users, context).await {
        eprintln!("postrider: what the mailboxes hold now could not be noted: {error:#}");
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

/// Says what became of everybody.
async fn report(users: &[UserMoved], dry_run: bool, context: &Context) -> Outcome {
    if !dry_run {
        note_usage(users, context).await;
    }
    let all = |of: fn(&FolderMoved) -> u64| users.iter().flat_map(|user| &user.folders).map(of).sum::<u64>();
    let messages = all(|folder| folder.messages);
    let done = if dry_run { "would be moved in; nothing was done" } else { "moved in" };
    let left_out = match all(|folder| folder.empty) {
        0 => String::new(),
        empty => format!("; left out: {} without an octet; look whether a backup has them", counted(empty, "message")),
    };
    let withheld = match all(|folder| folder.withheld) {
        0 => String::new(),
        withheld => format!(
            "; {} the server lists but does not give: see the warnings, and say the same again",
            counted(withheld, "message")
        ),
    };
    let too_large = all(|folder| folder.too_large);
    let larger = match too_large {
        0 => String::new(),
        large => format!(
            "; {} {} larger than `--largest` allows: say the same with more",
            counted(large, "message"),
            are(large)
        ),
    };
    let compressed = match all(|folder| folder.unreadable) {
        0 => String::new(),
        unreadable => format!(
            "; {} cannot be read: see above why (uncompress it, or get it from a backup), and say the same again",
            counted(unreadable, "message")
        ),
    };
    let unnamed = users.iter().map(|user| user.unnamed.len()).sum::<usize>();
    let passed_over = match unnamed {
        0 => String::new(),
        unnamed => format!(
            "; passed over: {}; give each another name there, and say the same again",
            counted(unnamed, "folder")
        ),
    };
    let linked = match users.iter().map(UserMoved::all_links).sum::<u64>() {
        0 => String::new(),
        links => format!(
            "; passed over: {} to what is not its owner's; look where it leads, put what belongs there in its place, and say \
             the same again",
            counted(links, "link")
        ),
    };
    let failed = match users.iter().filter(|user| user.problem.is_some()).count() {
        0 => String::new(),
        failed => format!("; of {failed} of them not everything: see above why, and say the same again"),
    };
    let said = format!(
        "{} of {} {done}{failed}{left_out}{withheld}{larger}{compressed}{passed_over}{linked}",
        counted(messages, "message"),
        counted(users.len(), "user")
    );
    context.output.done(&said, &users);
    Ok(if users.iter().all(UserMoved::is_whole) { Exit::Done } else { Exit::Failed })
}
