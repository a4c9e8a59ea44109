//! What scripts would do with a message: run as in a delivery, and nothing is done.

use std::path::Path;

use serde::Serialize;

use super::client::Client;
use super::run_scripts::{Facts, Folders, ScriptWorld, existing_folder, folder_to_create, run_scripts};
use super::script_cache::{Own, Plan, Program, ScriptCache};
use super::settings::DeliverySettings;
use crate::foundations::address::{Address, Domain, ReversePath};
use crate::foundations::clock::Timestamp;
use crate::foundations::mail::Message;
use crate::foundations::settings::Live;
use crate::services::sieve::{Action, Script, SieveSettings};
use crate::storage::mailbox::{FolderName, MailboxSettings, SpecialUse, annotation};
use crate::storage::scripts::{Error, Scripts};

/// A trial.
#[derive(Debug)]
pub struct Trial {
    /// The users' scripts.
    pub scripts: Scripts,
    /// What scripts may do.
    pub sieve: SieveSettings,
    /// The site's scripts.
    pub delivery: DeliverySettings,
    /// The folders with special uses.
    pub mailbox: MailboxSettings,
    /// Our name.
    pub hostname: Domain,
    /// What separates tags.
    pub tag_separator: Option<char>,
    /// The time.
    pub now: Timestamp,
}

/// The message of a trial.
#[derive(Debug)]
pub struct Tried {
    /// Whose scripts.
    pub account: Address,
    /// The message.
    pub message: Message,
    /// The sender of the envelope.
    pub reverse_path: ReversePath,
    /// The recipient of the envelope.
    pub recipient: Address,
    /// In the place of the user's active script, by its name.
    pub instead: Option<(String, Script)>,
}

/// What scripts would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// The scripts that ran, in order.
    pub scripts: Vec<ExplainedScript>,
    /// What would be done with the message.
    pub actions: Vec<String>,
    /// Scripts that failed, and why.
    pub failures: Vec<String>,
}

/// One script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedScript {
    /// Its name.
    pub name: String,
    /// What it has tested and decided, with its lines.
    pub steps: Vec<String>,
}

impl Trial {
    /// Runs the scripts. Blocks.
    ///
    /// # Errors
    /// The user's directory cannot be read.
    pub fn explain(self, tried: Tried) -> Result<Explained, Error> {
        let Tried { account, message, reverse_path, recipient, instead } = tried;
        let (delivery, sieve) = (Live::new(self.delivery), Live::new(self.sieve));
        let cache = ScriptCache::new(self.scripts, delivery, sieve.clone());
        let mut plan: Plan = cache.plan(&account)?;
        if let Some((name, script)) = instead {
            plan.own = Own::Script(Program { name, script });
        }
        let home = cache.home(&account)?;
        let folders = OnDisk { home: home.path(), settings: &self.mailbox };
        let facts = Facts {
            own_addresses: vec![account.clone(), recipient.clone()],
            reverse_path,
            recipient,
            account,
            login: None,
            client: Client::noted(&message, &self.hostname),
            tag_separator: self.tag_separator,
            now: self.now,
            hostname: self.hostname,
            message,
            junk: false,
        };
        let world = ScriptWorld::new(&facts, &folders, &home, &cache);
        let decided = run_scripts(&plan, facts, &world, &sieve.get());
        let script = |(name, steps): (String, Vec<crate::services::sieve::Step>)| ExplainedScript {
            name,
            steps: steps.iter().map(ToString::to_string).collect(),
        };
        Ok(Explained {
            scripts: decided.traces.into_iter().map(script).collect(),
            actions: decided.acts.iter().map(|act| told(&act.action, &folders)).collect(),
            failures: decided.failures.into_iter().map(|(script, why)| format!("{script}: {why}")).collect(),
        })
    }
}

/// The folders as they lie in a user's directory.
struct OnDisk<'a> {
    home: &'a Path,
    settings: &'a MailboxSettings,
}

impl Folders for OnDisk<'_> {
    fn knows(&self, folder: &FolderName) -> bool {
        if folder.is_inbox() {
            return true;
        }
        let entries = std::fs::read_dir(self.home).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names
            .filter(|name| self.home.join(name).join("cur").is_dir())
            .any(|name| FolderName::from_directory(&name).is_some_and(|known| known == *folder))
    }

    fn special(&self, special: SpecialUse) -> Option<FolderName> {
        // Those of a new user are made before one of them is looked for.
        let is_new = !self.home.join("subscriptions").exists();
        self.special_name(special).filter(|folder| is_new || self.knows(folder))
    }

    fn special_name(&self, special: SpecialUse) -> Option<FolderName> {
        special.folder(self.settings)
    }

    fn annotation(&self, folder: Option<&FolderName>, entry: &str) -> Option<String> {
        annotation(self.home, folder, entry)
    }
}

/// An action in plain words.
fn told(action: &Action, folders: &dyn Folders) -> String {
    let marks = |flags: &[String]| match flags {
        [] => String::new(),
        flags => format!(", marked {}", flags.join(" ")),
    };
    match action {
        Action::Keep { flags, implicit: true, .. } => {
            format!("keep it in the inbox, as nothing else was decided{}", marks(flags))
        }
        Action::Keep { flags, .. } => format!("keep it in the inbox{}", marks(flags)),
        Action::FileInto(file) => {
            let there = existing_folder(folders, &file.folder);
            let name = there.clone().or_else(|| folder_to_create(folders, &file.folder));
            let name = name.map_or_else(|| file.folder.clone(), |name| name.to_string());
            let new = if there.is_none() { ", which does not exist yet" } else { "" };
            format!("file it in {name}{new}{}", marks(&file.flags))
        }
        Action::Redirect { to, .. } => format!("pass it on to {to}"),
        Action::Discard => "discard it".to_owned(),
        Action::Reject { reason, .. } => format!("refuse it: {reason}"),
        Action::Vacation(vacation) => format!("answer {}, unless that has been done lately", vacation.to),
        Action::Notify(notification) => {
            let to: Vec<String> = notification.to.iter().map(ToString::to_string).collect();
            format!("notify {}", to.join(", "))
        }
    }
}
