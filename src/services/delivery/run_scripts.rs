//! Running the scripts of one message for one user.

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use parking_lot::Mutex;

use super::client::Client;
use super::script_cache::{Own, Plan, Program, ScriptCache};
use crate::foundations::address::{Address, Domain, ReversePath};
use crate::foundations::clock::Timestamp;
use crate::foundations::mail::{HeaderSection, Message};
use crate::services::sieve::{
    self, Action, FileCopy, Included, Location, Outcome, Remember, SieveSettings, Situation, Spam, Step, World, run,
};
use crate::storage::mailbox::{FolderName, SpecialUse};
use crate::storage::scripts::{Error, Home, Memory};

/// The user's folders, as a running server or the disk alone has them. Answers may wait for the disk.
pub(super) trait Folders: Sync {
    /// Whether there is one of this name.
    fn knows(&self, folder: &FolderName) -> bool;
    /// The name of the one with a special use, if there is one (RFC 8579 §3).
    fn special(&self, special: SpecialUse) -> Option<FolderName>;
    /// The name that the settings have for it, whether there is such a folder or not.
    fn special_name(&self, special: SpecialUse) -> Option<FolderName>;
    /// The value of an annotation of one of them, or of the account.
    fn annotation(&self, folder: Option<&FolderName>, entry: &str) -> Option<String>;
}

/// What scripts are told.
#[derive(Clone)]
pub(super) struct Facts {
    pub(super) message: Message,
    pub(super) reverse_path: ReversePath,
    pub(super) recipient: Address,
    pub(super) account: Address,
    pub(super) own_addresses: Vec<Address>,
    pub(super) login: Option<String>,
    pub(super) client: Option<Client>,
    pub(super) tag_separator: Option<char>,
    pub(super) now: Timestamp,
    pub(super) hostname: Domain,
    pub(super) junk: bool,
}

/// The result of all scripts together.
#[derive(Debug, Default)]
pub(super) struct Decided {
    pub(super) acts: Vec<Act>,
    pub(super) remember: Vec<Remember>,
    /// Scripts that could not do their work, and why.
    pub(super) failures: Vec<(String, String)>,
    /// The folders that the actions name, by these names; those that no folder can have are not in it.
    pub(super) folders: HashMap<String, FolderName>,
    /// Why an included script could not be read this time, if it may be readable the next time. Then nothing else here counts.
    pub(super) unread: Option<Error>,
    /// What each script has tested and decided.
    pub(super) traces: Vec<(String, Vec<Step>)>,
    /// Whether a script has looked for duplicates.
    pub(super) looked_for_duplicates: bool,
}

/// An action, and where it comes from.
#[derive(Debug)]
pub(super) struct Act {
    /// The script; `None` if no script has caused it.
    pub(super) script: Option<String>,
    pub(super) action: Action,
    /// What the script has tested and decided, to explain the result.
    pub(super) why: String,
}

impl Act {
    /// Keeps a message that no script has decided about.
    pub(super) fn implicit_keep(message: Message) -> Self {
        let action = Action::Keep { flags: Vec::new(), implicit: true, message };
        Self { script: None, action, why: String::new() }
    }

    /// Another action from the same place in the script.
    pub(super) fn with(&self, action: Action) -> Self {
        Self { script: self.script.clone(), action, why: self.why.clone() }
    }

    /// Whether it puts the message into a folder.
    pub(super) const fn stores(&self) -> bool {
        matches!(self.action, Action::Keep { .. } | Action::FileInto(_))
    }

    /// The flags of a message that is kept.
    fn flags(&self) -> &[String] {
        match &self.action {
            Action::Keep { flags, .. } => flags,
            _ => &[],
        }
    }

    /// What events call it.
    pub(super) const fn word(&self) -> &'static str {
        match self.action {
            Action::Discard => "discard",
            Action::FileInto(_) => "fileinto",
            Action::Keep { .. } => "keep",
            Action::Notify(_) => "notify",
            Action::Redirect { .. } => "redirect",
            Action::Reject { .. } => "reject",
            Action::Vacation(_) => "vacation",
        }
    }
}

/// Runs the scripts of a plan, one after the other as long as they keep the message. Blocks.
pub(super) fn run_scripts(plan: &Plan, facts: Facts, world: &ScriptWorld<'_>, settings: &SieveSettings) -> Decided {
    let folders = world.folders;
    let mut decided = run_all(plan, facts, world, settings);
    decided.acts.iter_mut().for_each(|act| create_with_special_use(folders, &mut act.action));
    let names = decided.acts.iter().filter_map(|act| match &act.action {
        Action::FileInto(file) => Some(&file.folder),
        Action::Vacation(vacation) => vacation.copy.as_ref().map(|copy| &copy.folder),
        Action::Notify(notification) => notification.copy.as_ref().map(|copy| &copy.folder),
        _ => None,
    });
    let found = names.filter_map(|name| {
        Some((name.clone(), existing_folder(folders, name).or_else(|| folder_to_create(folders, name))?))
    });
    decided.folders = found.collect();
    decided.looked_for_duplicates = world.memory.get().is_some();
    decided
}

/// RFC 8579 §4: a folder that is created for a special use gets it. The settings say which folder has it, so that one is created.
fn create_with_special_use(folders: &dyn Folders, action: &mut Action) {
    let wanted = match action {
        Action::FileInto(file) => Some((&mut file.folder, file.create, file.special_use.as_deref())),
        Action::Vacation(vacation) => vacation.copy.as_mut().map(of_copy),
        Action::Notify(notification) => notification.copy.as_mut().map(of_copy),
        _ => None,
    };
    let Some((folder, true, Some(attribute))) = wanted else { return };
    if existing_folder(folders, folder).is_some() {
        return;
    }
    if let Some(special) = special_use(attribute).and_then(|special| folders.special_name(special)) {
        *folder = special.to_string();
    }
}

fn of_copy(copy: &mut FileCopy) -> (&mut String, bool, Option<&str>) {
    (&mut copy.folder, copy.create, copy.special_use.as_deref())
}

/// The special use with this attribute, in any case.
fn special_use(attribute: &str) -> Option<SpecialUse> {
    SpecialUse::ALL.into_iter().find(|special| special.attribute().eq_ignore_ascii_case(attribute))
}

fn run_all(plan: &Plan, mut facts: Facts, world: &ScriptWorld<'_>, settings: &SieveSettings) -> Decided {
    let mut decided = Decided::default();
    let mut kept: Option<Act> = None;
    let own = match &plan.own {
        Own::Script(program) => Some(program),
        Own::None => None,
        Own::Broken { name, why } => {
            decided.failures.push((name.clone(), why.clone()));
            None
        }
    };
    let spam = spam(&facts.message);
    for program in plan.before.iter().chain(own).chain(plan.after.iter()) {
        let is_own = own.is_some_and(|own| std::ptr::eq(own, program));
        let name = is_own.then_some(program.name.as_str());
        let outcome = run(&program.script, &facts.situation(name, spam, world), settings);
        facts.message = outcome.message.clone();
        decided.unread = decided.unread.or_else(|| world.unread.lock().take());
        match decided.take(program, outcome, &mut kept) {
            Next::Script => {}
            Next::End => return decided,
            // RFC 5228 §2.10.6: the message is kept as if there had been no script. One of the site must not keep the user's
            // from running.
            Next::Failed if is_own => break,
            Next::Failed => {}
        }
    }
    // Nothing has kept it only if every script was left out.
    decided.acts.push(kept.unwrap_or_else(|| Act::implicit_keep(facts.message)));
    decided
}

enum Next {
    Script,
    End,
    Failed,
}

impl Decided {
    /// Takes over what one script has decided. A keep is set aside, because a later script may decide otherwise.
    fn take(&mut self, program: &Program, mut outcome: Outcome, kept: &mut Option<Act>) -> Next {
        let why = why(&outcome);
        self.traces.push((program.name.clone(), std::mem::take(&mut outcome.trace)));
        let act = |action| Act { script: Some(program.name.clone()), action, why: why.clone() };
        if let Some(failure) = &outcome.failure {
            self.failures.push((program.name.clone(), failure.to_string()));
            if kept.is_none() {
                *kept = outcome.actions.into_iter().next().map(act);
            }
            return Next::Failed;
        }
        let (keeps, others): (Vec<Action>, Vec<Action>) =
            outcome.actions.into_iter().partition(|action| matches!(action, Action::Keep { .. }));
        self.remember.extend(outcome.remember);
        self.acts.extend(others.into_iter().map(act));
        match keeps.into_iter().next() {
            Some(mut keep) => {
                if let Action::Keep { flags, .. } = &mut keep {
                    // What an earlier script has marked stays marked.
                    for flag in kept.as_ref().map(Act::flags).unwrap_or_default() {
                        if !flags.iter().any(|known| known.eq_ignore_ascii_case(flag)) {
                            flags.push(flag.clone());
                        }
                    }
                }
                *kept = Some(act(keep));
                Next::Script
            }
            None => Next::End,
        }
    }
}

/// The last steps of a script in one text.
fn why(outcome: &Outcome) -> String {
    let from = outcome.trace.len().saturating_sub(MOST_STEPS);
    let steps: Vec<String> = outcome.trace.iter().skip(from).map(ToString::to_string).collect();
    let text = steps.join("; ");
    text[..text.floor_char_boundary(LONGEST_WHY)].to_owned()
}

/// Most steps that an event tells.
const MOST_STEPS: usize = 12;
/// Most octets of them.
const LONGEST_WHY: usize = 1000;

impl Facts {
    fn situation<'a>(&'a self, script: Option<&'a str>, spam: Option<Spam>, world: &'a dyn World) -> Situation<'a> {
        Situation {
            script,
            message: &self.message,
            reverse_path: &self.reverse_path,
            recipient: &self.recipient,
            account: &self.account,
            own_addresses: &self.own_addresses,
            login: self.login.as_deref(),
            client: self
                .client
                .as_ref()
                .map(|client| sieve::Client { address: client.address, name: client.name.as_deref() }),
            tag_separator: self.tag_separator,
            now: self.now.local(),
            hostname: &self.hostname,
            spam,
            virus: None,
            junk: self.junk,
            world,
        }
    }
}

/// What the filter, here or in the process that took the message in, says in the fields that only it may write.
fn spam(message: &Message) -> Option<Spam> {
    let bytes = message.bytes();
    let field = HeaderSection::of(&bytes).first("X-Spam-Status")?.text();
    let number = |name: &str| -> Option<f32> {
        let rest = &field[field.find(name)? + name.len()..];
        rest.split([' ', ',', '\t']).next()?.parse().ok()
    };
    Some(Spam { score: number("score=")?, threshold: number("required=")? })
}

/// The user's mailboxes and scripts, as scripts see them.
pub(super) struct ScriptWorld<'a> {
    account: Address,
    folders: &'a dyn Folders,
    home: &'a Home,
    cache: &'a ScriptCache,
    memory: OnceLock<Memory>,
    unread: Mutex<Option<Error>>,
    now: Timestamp,
}

impl<'a> ScriptWorld<'a> {
    /// Those of the user of a message, at its time.
    pub(super) fn new(facts: &Facts, folders: &'a dyn Folders, home: &'a Home, cache: &'a ScriptCache) -> Self {
        let (account, now) = (facts.account.clone(), facts.now);
        Self { account, folders, home, cache, memory: OnceLock::new(), unread: Mutex::default(), now }
    }
}

impl fmt::Debug for ScriptWorld<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScriptWorld({})", self.account)
    }
}

impl World for ScriptWorld<'_> {
    fn folder_exists(&self, name: &str) -> bool {
        existing_folder(self.folders, name).is_some()
    }

    fn special_use(&self, attribute: &str) -> Option<String> {
        self.folders.special(special_use(attribute)?).map(|folder| folder.to_string())
    }

    fn is_meant(&self, folder: &str, name: &str) -> bool {
        existing_folder(self.folders, name).is_some_and(|found| found.to_string() == folder)
    }

    fn metadata(&self, folder: Option<&str>, entry: &str) -> Option<String> {
        match folder {
            None => self.folders.annotation(None, entry),
            Some(name) => self.folders.annotation(Some(&existing_folder(self.folders, name)?), entry),
        }
    }

    fn included(&self, location: Location, name: &str) -> Included {
        self.cache.included(self.home, location, name).unwrap_or_else(|error| {
            let why = error.to_string();
            if error.is_passing() {
                *self.unread.lock() = Some(error);
            }
            Included::Broken(why)
        })
    }

    fn seen_before(&self, key: &str) -> bool {
        let memory = self.memory.get_or_init(|| {
            self.home.memory().unwrap_or_else(|error| {
                log::warn!(user:% = self.account, error:% = error; "The scripts' memory cannot be read");
                Memory::default()
            })
        });
        memory.has(&duplicate_key(key), self.now)
    }
}

/// What a key of the `duplicate` test is remembered as.
pub(super) fn duplicate_key(key: &str) -> String {
    format!("duplicate {key}")
}

/// The folder that a script means by a name, if there is one: by this very name, without the `INBOX` that other servers put
/// in front, or with the dots that they have between the levels.
pub(super) fn existing_folder(folders: &dyn Folders, name: &str) -> Option<FolderName> {
    let (name, bare) = (name.to_owned(), bare(name));
    let dotted = [name.replace('.', "/"), bare.replace('.', "/")];
    let [with, without] = dotted;
    [name, bare, with, without].iter().filter_map(|name| FolderName::parse(name).ok()).find(|name| folders.knows(name))
}

/// The folder to be made for a name that none has yet; `None` when none can have it.
pub(super) fn folder_to_create(folders: &dyn Folders, name: &str) -> Option<FolderName> {
    let bare = bare(name);
    let levels = bare.replace('.', "/");
    // Scripts from other servers use dots between levels. So do we after `INBOX.`, and if the upper level exists.
    let upper = levels.split_once('/').and_then(|(upper, _)| FolderName::parse(upper).ok());
    let is_dotted = !bare.contains('/') && (bare != name || upper.is_some_and(|upper| folders.knows(&upper)));
    FolderName::parse(if is_dotted { &levels } else { &bare }).ok()
}

/// The name without `INBOX.` or `INBOX/` in front.
fn bare(name: &str) -> String {
    // In octets: the sixth may be in the middle of a character.
    let front = name.as_bytes().first_chunk::<6>();
    let is_below = front.is_some_and(|front| front[..5].eq_ignore_ascii_case(b"INBOX") && b"./".contains(&front[5]));
    if is_below { name[6..].to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_filter_says() {
        let message =
            |status: &str| Message::new(format!("X-Spam-Status: {status}\r\nSubject: x\r\n\r\n").into_bytes());
        let found = spam(&message("Yes, score=7.5 required=5.0\r\n\ttests=[A=7.50]")).unwrap();
        assert_eq!((found.score, found.threshold), (7.5, 5.0));
        assert_eq!(spam(&message("who knows")), None);
        assert_eq!(spam(&Message::new("Subject: x\r\n\r\n")), None);
    }

    #[test]
    fn inbox_in_front_of_a_folder_name_is_left_out() {
        for (name, wanted) in [
            ("INBOX.Work", "Work"),
            ("inbox/Work", "Work"),
            ("INBOX", "INBOX"),
            ("Ünbox.x", "Ünbox.x"),
            ("Entwürfe", "Entwürfe"),
            ("工作", "工作"),
            ("INBOX.工作", "工作"),
        ] {
            assert_eq!(bare(name), wanted);
        }
    }
}
