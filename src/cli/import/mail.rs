use std::path::{Path, PathBuf};

use super::super::context::Context;
use super::super::exit::{Exit, Outcome};
use super::{ImportOptions, IntoFolder, UserMoved, existing, importer, note_usage, progress, report, script_progress};
use crate::config::Config;
use crate::foundations::address::Address;
use crate::foundations::clock::{Clock as _, SystemClock};
use crate::foundations::counted::counted;
use crate::foundations::files;
use crate::services::moving::{
    self, DeclaredUser, Error, FolderMoved, Importer, LeftOut, Sort, SpecialFolders, declaration, script_home,
};
use crate::storage::mailbox::{FolderName, ForeignFolder, ForeignHome, Layout};

/// One user's mail directory.
pub(super) async fn home(
    path: &Path,
    user: Address,
    home: Option<&Path>,
    layout: Layout,
    how: &ImportOptions,
    context: &Context,
) -> Outcome {
    let config = context.config()?;
    existing(&user, context).await?;
    let importer = importer(how, context)?;
    let mut moved = UserMoved::of(user, Vec::new(), how.dry_run);
    if let Err(error) = move_home(&importer, path, &mut moved, home, layout, &config) {
        if !how.dry_run {
            note_usage(&[moved], context).await;
        }
        return Err(error.into());
    }
    report(&[moved], how.dry_run, context).await
}

/// Every user below a mail root, as `DOMAIN/USER` in the container stack; these may be homes that contain the mail.
pub(super) async fn root(path: &Path, layout: Layout, how: &ImportOptions, context: &Context) -> Outcome {
    let (importer, config) = (importer(how, context)?, context.config()?);
    let (mut homes, mut nobodys) = (Vec::new(), 0);
    for domain in directories(path)? {
        for local in directories(&domain)? {
            let names = [&local, &domain].map(|path| path.file_name().unwrap_or_default().to_string_lossy());
            let [local_part, domain] = names;
            let mail = ForeignHome::at(&local).or_else(|| ForeignHome::dbox(&local));
            match (format!("{local_part}@{domain}").parse::<Address>(), mail) {
                (Ok(user), Some(mail)) => homes.push((user, mail)),
                (Err(error), Some(_)) => {
                    eprintln!("`{}` was skipped: {error}", local.display());
                    nobodys += 1;
                }
                (_, None) => eprintln!("`{}` was skipped: it contains no Maildir", local.display()),
            }
        }
    }
    if homes.is_empty() {
        return Err(Error::NoMail(path.to_owned()).into());
    }
    tell_of_nobodys(homes.iter().map(|(user, _)| user), context).await?;
    let moved = homes.into_iter().map(|(user, mail)| one_of_many(&importer, &mail, user, layout, &config));
    let users: Vec<UserMoved> = moved.collect();
    let declared: Vec<_> =
        users.iter().map(|moved| DeclaredUser { address: moved.user.clone(), quota: None, enabled: true }).collect();
    eprintln!("\nTo declare these users in a NixOS configuration:\n\n{}", declaration(&[], &declared, &[]));
    let exit = report(&users, how.dry_run, context).await?;
    if nobodys == 0 {
        return Ok(exit);
    }
    eprintln!(
        "postrider: the mail in {} was skipped, since no address can have such a name: import it with `--user`",
        counted(nobodys, "directory")
    );
    Ok(Exit::Incomplete)
}

/// Warns of users without an account here before any mail is imported: nobody sees their mail until there is one.
pub(super) async fn tell_of_nobodys(users: impl Iterator<Item = &Address>, context: &Context) -> anyhow::Result<()> {
    let accounts = context.accounts().await?;
    let mut without = 0;
    for user in users {
        if accounts.directory.account_now(user).await?.is_none() {
            eprintln!("{user} has no account here");
            without += 1;
        }
    }
    accounts.closed().await;
    if without > 0 {
        eprintln!(
            "postrider: the mail of {} without an account is imported too, but nobody can read it: declare them, or add them with \
             `postrider user add`",
            counted(without, "user")
        );
    }
    Ok(())
}

/// Imports the mail of one of several users. Errors are reported, and do not affect other users.
pub(super) fn one_of_many(
    importer: &Importer,
    path: &Path,
    user: Address,
    layout: Layout,
    config: &Config,
) -> UserMoved {
    let mut moved = UserMoved::of(user, Vec::new(), importer.dry_run);
    if let Err(error) = move_home(importer, path, &mut moved, None, layout, config) {
        eprintln!("postrider: not everything of {} was imported: {error}", moved.user);
        moved.problem = Some(error.to_string());
    }
    moved
}

/// Imports a user's mail and scripts, and records the results.
fn move_home(
    importer: &Importer,
    path: &Path,
    moved: &mut UserMoved,
    scripts_in: Option<&Path>,
    layout: Layout,
    config: &Config,
) -> Result<(), Error> {
    let home = ForeignHome::read(path, layout)?;
    if home.folders.is_empty() {
        return Err(ForeignHome::dbox(path).map_or_else(|| Error::NoMail(path.to_owned()), Error::Dbox));
    }
    leave_out(moved, home.unnamed.clone(), home.links.clone(), "it links to something its owner does not own");
    let UserMoved { user, folders, .. } = moved;
    importer.home(user, &home, |folder| {
        progress(user, &folder);
        folders.push(folder);
    })?;
    let scripts_in = scripts_in.map_or_else(|| script_home(path), Path::to_owned);
    moved.scripts = importer.scripts(&moved.user, &scripts_in, &config.scripts, &config.sieve)?;
    moved.scripts.iter().for_each(|script| script_progress(&moved.user, script));
    Ok(())
}

/// Reports what is not imported; `because` is about the links.
fn leave_out(moved: &mut UserMoved, unnamed: Vec<PathBuf>, links: Vec<PathBuf>, because: &str) {
    for unnamed in &unnamed {
        eprintln!("`{}` was skipped: clients could not use its name", unnamed.display());
    }
    for link in &links {
        eprintln!("`{}` was skipped: {because}", link.display());
    }
    (moved.unnamed, moved.links) = (unnamed, links);
}

/// The subdirectories of a directory except hidden ones, sorted by name.
fn directories(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let failed = |source| files::Error { verb: "read", path: path.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.path().is_dir() && !entry.file_name().to_string_lossy().starts_with('.') {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// One Maildir, into one folder.
pub(super) async fn maildir(path: &Path, into: IntoFolder, how: &ImportOptions, context: &Context) -> Outcome {
    if !path.join("cur").is_dir() {
        return Err(Error::NoMail(path.to_owned()).into());
    }
    existing(&into.user, context).await?;
    let below = ForeignHome::folders_beside(path)?;
    if !below.is_empty() {
        eprintln!(
            "postrider: `{}` also contains {}, which `import maildir` does not import: `postrider import dovecot {} --user {}` imports \
             all of them",
            path.display(),
            counted(below.len(), "folder"),
            path.display(),
            into.user
        );
    }
    let folder = ForeignFolder::read(path, into.folder)?;
    let home = ForeignHome { folders: vec![folder], ..ForeignHome::default() };
    let mut folders = Vec::new();
    importer(how, context)?.home(&into.user, &home, |moved| folders.push(moved))?;
    finish(into.user, folders, how, context).await
}

/// An mbox, a directory of them, or an archive.
pub(super) async fn mbox(
    path: &Path,
    user: Address,
    folder: Option<FolderName>,
    how: &ImportOptions,
    context: &Context,
) -> Outcome {
    existing(&user, context).await?;
    let (importer, special_folders) = (importer(how, context)?, SpecialFolders::of(&context.config()?.mailbox));
    let (now, mut folders) = (SystemClock.now(), Vec::<FolderMoved>::new());
    let read = moving::mboxes(path, folder.as_ref(), importer.largest, |file, mut reading, sorting| {
        let sort = Sort { sorting, special_folders: &special_folders, now };
        for moved in importer.mbox(&user, (file, &mut reading), &sort)? {
            progress(&user, &moved);
            folders.push(moved);
        }
        Ok(())
    });
    let mut moved = UserMoved::of(user, folders, how.dry_run);
    match read {
        Ok(LeftOut { unnamed, links }) => leave_out(&mut moved, unnamed, links, "it is a link"),
        Err(error) => {
            note_usage(&[moved], context).await;
            return Err(error.into());
        }
    }
    report(&[moved], how.dry_run, context).await
}

async fn finish(user: Address, folders: Vec<FolderMoved>, how: &ImportOptions, context: &Context) -> Outcome {
    folders.iter().for_each(|moved| progress(&user, moved));
    report(&[UserMoved::of(user, folders, how.dry_run)], how.dry_run, context).await
}
