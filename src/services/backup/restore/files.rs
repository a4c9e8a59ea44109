//! Everything except mail: the database, the queue, configuration and keys.

use std::collections::HashSet;
use std::path::Path;

use super::user::safe;
use crate::foundations::files::{self, Owner, create_directory};
use crate::foundations::ids::QueueId;
use crate::services::backup::repository::{FileContent, FileRecord, Repository, Snapshot};
use crate::services::backup::{Error, rows, seal};
use crate::storage::database::{Database, Table, Val};
use crate::storage::spool;

/// What happens to restored messages in the queue. They may have been delivered since the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueFate {
    /// They wait until an administrator uses `postrider queue release`; messages in quarantine stay in quarantine.
    Held,
    /// They are tried at once.
    Released,
    /// They are left out.
    Dropped,
}

/// Restores the database into one whose tables exist and are empty except for the journal, and the bodies of queued messages.
/// Returns the number of rows.
///
/// # Errors
/// There are accounts already, an object is missing or damaged, or database or disk fail.
pub async fn restore_database(
    repository: &Repository,
    snapshot: &Snapshot,
    database: &Database,
    spool_directory: &Path,
    fate: QueueFate,
) -> Result<u64, Error> {
    let taken = tables_in_use(database).await?;
    if ["virtual_domains", "virtual_users", "queue_entries"].iter().any(|table| taken.contains(*table)) {
        return Err(Error::AccountsThere);
    }
    if fate != QueueFate::Dropped {
        restore_bodies(repository, snapshot, spool_directory)?;
    }
    let bodies: HashSet<&str> = snapshot.spool.iter().map(|body| body.path.as_str()).collect();
    let reason = format!("restored from the backup {}", snapshot.id);
    let keep = |table: &Table, row: &mut Vec<Val>| {
        if taken.contains(&table.name) {
            return false;
        }
        let at = |name: &str| table.columns.iter().position(|column| column.name == name);
        let entry = match table.name.as_str() {
            // Programs may know changes from after the backup: their numbers are no longer valid, and must not be used again.
            "dav_collections" => {
                if let (Some(token), Some(forgotten)) = (at("token"), at("forgotten"))
                    && let Val::Int(last) = row[token]
                {
                    row[token] = Val::Int(last.saturating_add(CHANGES_AFTER));
                    row[forgotten] = row[token].clone();
                }
                return true;
            }
            // A login that was ended since the backup must not come back.
            "browser_logins" | "remembered_browsers" => return false,
            // It was sent long ago, or is a draft.
            "held_letters" => return false,
            // Their marks are not in the backup.
            "queue_nodes" => return false,
            "queue_entries" => at("id"),
            "queue_recipients" => at("entry"),
            _ => return true,
        };
        // A message whose body is not in the backup was delivered while it was taken.
        let has_body = matches!(entry.map(|at| &row[at]), Some(Val::Text(id)) if bodies.contains(id.as_str()));
        if !has_body || fate == QueueFate::Dropped {
            return false;
        }
        for at in ["owner", "sending_since"].into_iter().filter_map(at) {
            row[at] = table.columns[at].kind.absent();
        }
        if fate == QueueFate::Held {
            // What was in quarantine stays there, so that releasing the queue does not release it.
            if let Some(at) = at("hold_reason").filter(|at| row[*at] != Val::from(spool::QUARANTINED)) {
                row[at] = Val::from(reason.as_str());
            }
            // What only waits for its report continues to wait.
            if let Some(at) = at("state").filter(|at| row[*at] == Val::Int(spool::RecipientState::Waiting.number())) {
                row[at] = Val::Int(spool::RecipientState::Held.number());
            }
        }
        true
    };
    rows::restore(repository, &snapshot.database, database, keep).await
}

/// More changes than a calendar or address book can have had between a backup and its restoration.
const CHANGES_AFTER: i64 = 1 << 32;

async fn tables_in_use(database: &Database) -> Result<HashSet<String>, Error> {
    let mut taken = HashSet::new();
    let mut transaction = database.begin_reading().await?;
    for table in database.tables_described().await? {
        if !transaction.is_empty(&table).await? {
            taken.insert(table.name);
        }
    }
    transaction.rollback().await?;
    Ok(taken)
}

fn restore_bodies(repository: &Repository, snapshot: &Snapshot, directory: &Path) -> Result<(), Error> {
    if snapshot.spool.is_empty() {
        return Ok(());
    }
    create_directory(directory, 0o700)?;
    let owner = Owner::of(directory)?;
    for body in &snapshot.spool {
        let Ok(id) = body.path.parse::<QueueId>() else { continue };
        let path = spool::body_path(directory, id);
        owner.make_directory(path.parent().unwrap_or(directory))?;
        write_unless_there(repository, body, &path, owner)?;
    }
    Ok(files::sync_file_system(directory)?)
}

/// Restores configuration, keys and certificates below a directory, each at its own path there. Encrypted ones
/// are decrypted with the `age` key in the file `identity`, or else stay encrypted, with `.age` after their names.
/// Returns their number.
///
/// # Errors
/// Another file is in the way, an object is missing or damaged, or the disk fails.
pub fn restore_files(
    repository: &Repository,
    snapshot: &Snapshot,
    directory: &Path,
    identity: Option<&Path>,
) -> Result<u64, Error> {
    create_directory(directory, 0o700)?;
    let owner = Owner::of(directory)?;
    for file in &snapshot.files {
        let path = directory.join(safe(&file.path, repository.root())?);
        owner.make_directory(path.parent().unwrap_or(directory))?;
        match (&file.sealed, identity) {
            (None, _) => write_unless_there(repository, file, &path, owner)?,
            (Some(_), Some(identity)) => {
                let FileContent::Objects(objects) = &file.content else { continue };
                let content = seal::open(&repository.read_all(objects)?, identity)?;
                put(&path, &content, file, owner)?;
            }
            // Anyone with the key can decrypt it with `age`.
            (Some(_), None) => {
                let mut name = path.into_os_string();
                name.push(".age");
                write_unless_there(repository, file, Path::new(&name), owner)?;
            }
        }
    }
    files::sync_file_system(directory)?;
    Ok(snapshot.files.len() as u64)
}

fn write_unless_there(repository: &Repository, file: &FileRecord, path: &Path, owner: Owner) -> Result<(), Error> {
    let FileContent::Objects(objects) = &file.content else { return Ok(()) };
    put(path, &repository.read_all(objects)?, file, owner)
}

fn put(path: &Path, content: &[u8], file: &FileRecord, owner: Owner) -> Result<(), Error> {
    match std::fs::read(path) {
        Ok(there) if there == content => Ok(()),
        Ok(_) => Err(Error::Exists { path: path.to_owned(), advice: "its content differs; name another directory" }),
        Err(_) => Ok(owner.write_new(path, content, file.mode, file.changed)?),
    }
}
