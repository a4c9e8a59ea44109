use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::super::context::Context;
use super::super::exit::{Exit, Outcome};
use super::super::password;
use super::{ImportOptions, UserMoved, existing, importer, progress, report};
use crate::foundations::address::Address;
use crate::foundations::clock::{Clock as _, SystemClock};
use crate::foundations::files;
use crate::foundations::secret::Secret;
use crate::services::moving::Error;
use crate::services::moving::imap::{Listed, Remote, Security, Server};
use crate::services::outbound::Roots;
use crate::storage::mailbox::{Deposit, FolderName};

/// Another server, and an account on it.
#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// The other server's name, as in its certificate.
    host: String,
    /// The port it listens on.
    #[arg(long, default_value_t = 993)]
    port: u16,
    /// How the connection is encrypted; by default, TLS from the start on port 993 and STARTTLS on any other.
    #[arg(long, value_enum, conflicts_with = "insecure")]
    tls: Option<Tls>,
    /// The login name there; by default the user's address.
    #[arg(long)]
    login: Option<String>,
    /// File with the password there; without it, the password is asked for, or read from standard input.
    #[arg(long, value_name = "PATH")]
    password_file: Option<PathBuf>,
    /// The user here to import it for.
    #[arg(long, value_name = "ADDRESS")]
    user: Address,
    /// PEM file with the certificate authority of the other server, instead of the system's authorities.
    #[arg(long, value_name = "PATH")]
    authority: Option<PathBuf>,
    /// Connect without TLS: only to this machine.
    #[arg(long)]
    insecure: bool,
    #[command(flatten)]
    how: ImportOptions,
}

/// How the connection to another server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tls {
    /// From the start.
    Implicit,
    /// After STARTTLS.
    Starttls,
}

pub(super) async fn run(arguments: Arguments, context: &Context) -> Outcome {
    let Arguments { host, port, tls, login, password_file, user, authority, insecure, how } = arguments;
    existing(&user, context).await?;
    let importer = importer(&how, context)?;
    let password = match password_file {
        Some(path) => {
            let text = String::from_utf8_lossy(&files::read_bounded(&path, 1 << 16)?).into_owned();
            Secret::new(text.trim_end_matches(['\r', '\n']).to_owned())
        }
        None => password::ask_once(&format!("Password of {user} at {host}"))?,
    };
    let security = match (tls, port) {
        _ if insecure => Security::None,
        (Some(Tls::Implicit), _) | (None, 993) => Security::Implicit,
        (Some(Tls::Starttls), _) | (None, _) => Security::StartTls,
    };
    let login = login.unwrap_or_else(|| user.to_string());
    let roots = Roots::load(authority.as_deref())?;
    let largest = how.largest.get();
    let remote = Remote::log_in(Server { host, port, security }, &roots, &login, &password, largest).await;
    let mut remote = remote.map_err(Error::Imap)?;
    let (listed, subscribed) = remote.mailboxes(&context.config()?.mailbox).await.map_err(Error::Imap)?;

    let deposit = importer.deposit(&user)?;
    let mut moved = UserMoved::of(user, Vec::new(), how.dry_run);
    let ended = import_mailboxes(&mut remote, &listed, &deposit, &mut moved).await.map_err(anyhow::Error::from);
    let has_inbox = moved.folders.iter().any(|folder| folder.folder == FolderName::inbox().as_str());
    let exit = match ended {
        Ok(()) => {
            remote.log_out().await;
            None
        }
        // An inbox that clients see before it is complete loses its UIDs. The next run continues before they see it.
        Err(error) if !has_inbox => return Err(error),
        Err(error) => {
            eprintln!("postrider: not everything of {} was imported: {error:#}", moved.user);
            moved.problem = Some(format!("{error:#}"));
            Some(Exit::of(&error))
        }
    };
    let is_elsewhere = |name: &FolderName| {
        let mut folders = moved.folders.iter().filter(|folder| folder.folder == name.as_str());
        folders.any(|folder| folder.elsewhere > 0 && folder.messages + folder.present == 0)
    };
    let subscribed: BTreeSet<FolderName> = subscribed.into_iter().filter(|name| !is_elsewhere(name)).collect();
    deposit.subscribe(&subscribed)?;
    deposit.finish()?;
    let told = report(&[moved], how.dry_run, context).await?;
    Ok(exit.unwrap_or(told))
}

/// Imports one mailbox after the other, and records the results. What the server refuses does not affect the others.
async fn import_mailboxes(
    remote: &mut Remote,
    listed: &[Listed],
    deposit: &Deposit,
    moved: &mut UserMoved,
) -> Result<(), Error> {
    for listed in listed {
        let Some(name) = &listed.name else {
            eprintln!("the mailbox `{}` was skipped: its name is not possible here", listed.wire);
            moved.unnamed.push(PathBuf::from(&listed.wire));
            continue;
        };
        let folder = remote.import_mailbox(listed, name, deposit, SystemClock.now()).await?;
        progress(&moved.user, &folder);
        if folder.refused.is_some() {
            moved.problem.clone_from(&folder.refused);
        }
        moved.folders.push(folder);
    }
    Ok(())
}
