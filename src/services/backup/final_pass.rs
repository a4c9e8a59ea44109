//! The last passes over the folders of a user who keeps changing them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use super::Error;
use super::base_name::ByBaseName;
use super::collect::{Before, Content, Scanned, Seen};
use super::create::Run;
use super::repository::ObjectId;
use super::scan::{self, Identity};
use super::tree::MessageEntry;
use crate::foundations::files::is_there;

/// How often to look for folders that were somewhere else whenever they were to be read.
const MOST_TRIES: usize = 100;

impl Run {
    /// Adds what a pass has missed: folders that had been renamed when they were to be read, and messages that an earlier pass
    /// saw in a folder and that were moved into one that had been read already. So a message that was expunged meanwhile may
    /// be in the backup: it existed while the backup was taken.
    pub(super) fn final_pass(
        &self,
        user: &Path,
        mut scanned: Vec<Scanned>,
        mut before: Before,
    ) -> Result<Vec<Scanned>, Error> {
        let mut names = HashMap::new();
        for _ in 0..MOST_TRIES {
            let folders = match scan::folders(user) {
                Ok(folders) => folders,
                Err(_) if !is_there(user)? => break,
                Err(error) => return Err(error),
            };
            let all = folders.directories.len();
            names.clear();
            for name in folders.directories {
                names.extend(scan::identity(&user.join(&name))?.map(|identity| (identity, name)));
            }
            let missing: Vec<(&Identity, &String)> =
                names.iter().filter(|(identity, _)| scanned.iter().all(|known| known.identity != **identity)).collect();
            if missing.is_empty() && folders.is_stable && names.len() == all {
                break;
            }
            for (identity, name) in missing {
                let Some(pinned) = Pinned::open(&user.join(name)) else { continue };
                let found = self.folder(&pinned.path, name, &before)?;
                scanned.extend(found.filter(|found| found.identity == *identity));
            }
        }
        // A folder that was renamed while names were listed may have been listed under both names.
        let mut known = HashSet::new();
        scanned.retain(|folder| known.insert(folder.identity));
        give_back(&mut scanned, &mut before.seen);
        named(&mut scanned, &names);
        Ok(scanned)
    }
}

/// A path that keeps leading to the same directory, even when that is renamed.
struct Pinned {
    path: PathBuf,
    _directory: std::fs::File,
}

impl Pinned {
    fn open(path: &Path) -> Option<Self> {
        let directory = std::fs::File::open(path).ok()?;
        let pinned = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
        // Without `/proc`, it is read by its name.
        let path = if pinned.join("cur").is_dir() { pinned } else { path.to_owned() };
        Some(Self { path, _directory: directory })
    }
}

/// Gives each folder the name it was last seen under. One that was not seen again keeps its name, unless another has that now.
fn named(scanned: &mut [Scanned], names: &HashMap<Identity, String>) {
    let mut taken: BTreeSet<String> = names.values().cloned().collect();
    for folder in scanned.iter_mut() {
        match names.get(&folder.identity) {
            Some(name) => name.clone_into(&mut folder.directory),
            None => {
                while !taken.insert(folder.directory.clone()) {
                    folder.directory.push('_');
                }
            }
        }
    }
    scanned.sort_by(|a, b| a.directory.cmp(&b.directory));
}

/// Puts messages that earlier passes have seen and that are in no folder now back into the folder they were seen in, even if that
/// was removed. A message is recognised by its content, because it gets another name when it is moved.
fn give_back(scanned: &mut Vec<Scanned>, seen: &mut HashMap<Identity, Seen>) {
    let listed = scanned.iter().filter_map(|folder| match &folder.content {
        Content::Listed(messages, _) => Some(messages),
        Content::Same(_) => None,
    });
    let there: HashSet<Vec<ObjectId>> = listed.flatten().map(|message| message.objects.clone()).collect();
    let missed = |seen: &Seen| -> Vec<MessageEntry> {
        let messages = seen.messages.iter().map(|ByBaseName(message)| message);
        messages.filter(|message| !there.contains(&message.objects)).cloned().collect()
    };
    for folder in scanned.iter_mut() {
        let Some(seen) = seen.remove(&folder.identity) else { continue };
        let Content::Listed(messages, times) = &mut folder.content else { continue };
        let missed = missed(&seen);
        if !missed.is_empty() {
            // This is not the present state, and the next backup must not take it for that.
            *times = None;
            messages.extend(missed);
        }
    }
    for (identity, seen) in seen.drain() {
        let content = Content::Listed(missed(&seen), None);
        if matches!(&content, Content::Listed(missed, _) if !missed.is_empty()) {
            let Seen { directory, files, .. } = seen;
            scanned.push(Scanned { directory, identity, content, files, missed: Vec::new() });
        }
    }
}
