//! The environment for scripts of the suite, and the folders and the outgoing mail they fill.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use postrider::foundations::address::{Address, ReversePath};
use postrider::foundations::mail::Message;
use postrider::services::sieve::{Action, Included, Location, Script, SieveSettings, World, compile};

/// A message that left, or one in a folder.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) from: ReversePath,
    pub(super) to: Address,
    pub(super) message: Message,
}

/// A message in a folder, with its flags.
type Stored = (Message, Vec<String>);

/// Folders in memory and scripts in files.
#[derive(Debug)]
pub(super) struct SuiteWorld {
    /// What is in each folder.
    pub(super) folders: Mutex<BTreeMap<String, Vec<Stored>>>,
    /// By folder, or the account's, and name.
    pub(super) annotations: Mutex<BTreeMap<(Option<String>, String), String>>,
    pub(super) sent: Mutex<Vec<Sent>>,
    pub(super) settings: Mutex<SieveSettings>,
    directory: PathBuf,
}

impl SuiteWorld {
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            folders: Mutex::new(BTreeMap::from([("INBOX".to_owned(), Vec::new())])),
            annotations: Mutex::default(),
            sent: Mutex::default(),
            // A debug build is slow, and one file of the suite uses up the whole allowance.
            settings: Mutex::new(SieveSettings { work: 2_000_000, ..SieveSettings::default() }),
            directory: directory.to_owned(),
        }
    }

    /// The file of a script to include.
    pub(super) fn path(&self, location: Location, name: &str) -> PathBuf {
        let folder = if location == Location::Global { "included-global" } else { "included" };
        self.directory.join(folder).join(format!("{name}.sieve"))
    }

    /// Whether every script that this one includes exists and has no mistakes, and none includes itself: Pigeonhole
    /// checks that when it compiles.
    pub(super) fn check_includes(&self, script: &Script, open: &mut Vec<(Location, String)>) -> Result<(), String> {
        for (location, name) in script.includes() {
            let key = (*location, name.clone());
            if open.contains(&key) {
                return Err(format!("circular include of '{name}'"));
            }
            let settings = self.settings.lock().unwrap().clone();
            if open.len() >= settings.include_depth as usize {
                return Err("cannot nest includes deeper".to_owned());
            }
            match self.included(*location, name) {
                Included::Script(script) => {
                    open.push(key);
                    self.check_includes(&script, open)?;
                    open.pop();
                }
                Included::Missing => return Err(format!("included script '{name}' does not exist")),
                Included::Broken(why) => return Err(why),
            }
        }
        Ok(())
    }

    /// Carries out a script's decisions; the error says what cannot be done.
    pub(super) fn perform(&self, actions: &[Action], from: &ReversePath) -> Result<(), String> {
        for action in actions {
            match action {
                Action::Keep { message, flags, .. } => self.store("INBOX", true, message, flags)?,
                Action::FileInto(into) => self.store(&into.folder, into.create, &into.message, &into.flags)?,
                Action::Redirect { to, message } => self.send(from, to, message),
                Action::Vacation(vacation) => self.send(&ReversePath::Null, &vacation.to, &vacation.reply),
                Action::Notify(notification) => {
                    for to in &notification.to {
                        self.send(&notification.from, to, &notification.message);
                    }
                }
                Action::Discard | Action::Reject { .. } => {}
            }
        }
        Ok(())
    }

    fn store(&self, folder: &str, create: bool, message: &Message, flags: &[String]) -> Result<(), String> {
        let mut folders = self.folders.lock().unwrap();
        let name = if folder.eq_ignore_ascii_case("inbox") { "INBOX" } else { folder };
        if create {
            folders.entry(name.to_owned()).or_default();
        }
        let messages =
            folders.get_mut(name).ok_or(format!("failed to store into mailbox '{name}': Mailbox doesn't exist"))?;
        messages.push((message.clone(), flags.to_vec()));
        Ok(())
    }

    fn send(&self, from: &ReversePath, to: &Address, message: &Message) {
        let sent = Sent { from: from.clone(), to: to.clone(), message: message.clone() };
        self.sent.lock().unwrap().push(sent);
    }
}

impl World for SuiteWorld {
    fn folder_exists(&self, name: &str) -> bool {
        let name = if name.eq_ignore_ascii_case("inbox") { "INBOX" } else { name };
        self.folders.lock().unwrap().contains_key(name)
    }

    fn special_use(&self, _: &str) -> Option<String> {
        None
    }

    fn metadata(&self, folder: Option<&str>, entry: &str) -> Option<String> {
        self.annotations.lock().unwrap().get(&(folder.map(str::to_owned), entry.to_owned())).cloned()
    }

    fn included(&self, location: Location, name: &str) -> Included {
        let Ok(source) = std::fs::read(self.path(location, name)) else { return Included::Missing };
        match compile(&source, &self.settings.lock().unwrap()) {
            Ok(compiled) => Included::Script(compiled.script),
            Err(mistakes) => Included::Broken(mistakes[0].to_string()),
        }
    }

    fn seen_before(&self, _: &str) -> bool {
        false
    }
}
