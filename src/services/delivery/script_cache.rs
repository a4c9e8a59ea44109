//! Which scripts look at a message, kept compiled.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::settings::DeliverySettings;
use crate::foundations::address::Address;
use crate::foundations::files;
use crate::foundations::settings::Live;
use crate::services::sieve::{Included, Location, Mistake, Script, SieveSettings, compile};
use crate::storage::scripts::{Error, Home, ScriptName, Scripts, Stamp};

/// A script that may run.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// What it is called in events.
    pub(super) name: String,
    pub(super) script: Script,
}

/// The user's own script.
#[derive(Debug, Clone)]
pub(super) enum Own {
    None,
    Script(Program),
    /// There is one that cannot run, and why.
    Broken {
        name: String,
        why: String,
    },
}

/// The scripts for one user's message, in the order in which they run.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) before: Arc<[Program]>,
    pub(super) own: Own,
    pub(super) after: Arc<[Program]>,
}

impl Plan {
    pub(super) fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty() && matches!(self.own, Own::None)
    }

    /// Whether one of them may look for duplicates, those aside that they include.
    pub(super) fn looks_for_duplicates(&self) -> bool {
        let own = match &self.own {
            Own::Script(program) => Some(program),
            Own::None | Own::Broken { .. } => None,
        };
        let mut all = self.before.iter().chain(own).chain(self.after.iter());
        all.any(|program| program.script.looks_for_duplicates())
    }
}

/// Compiles scripts, and keeps them compiled until their files change. Everything blocks.
#[derive(Debug)]
pub(super) struct ScriptCache {
    scripts: Scripts,
    delivery: Live<DeliverySettings>,
    sieve: Live<SieveSettings>,
    site: Mutex<Option<Site>>,
    files: Mutex<CompiledFiles>,
}

/// The site's scripts that run before a user's, and those that run after it.
type BeforeAndAfter = (Arc<[Program]>, Arc<[Program]>);

/// The site's scripts, as these settings have them.
#[derive(Debug)]
struct Site {
    delivery: Arc<DeliverySettings>,
    sieve: Arc<SieveSettings>,
    before: Arc<[Program]>,
    after: Arc<[Program]>,
}

/// What files have been compiled to.
#[derive(Debug, Default)]
struct CompiledFiles {
    entries: HashMap<PathBuf, Entry>,
    /// A number larger than that of every use before.
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    stamp: Stamp,
    sieve: Arc<SieveSettings>,
    compiled: Result<Script, String>,
    used: u64,
}

/// Why a script does not run.
#[derive(Debug)]
enum Unusable {
    /// The disk did not give it this time.
    Now(Error),
    /// It will not run as it is.
    Broken(String),
}

impl ScriptCache {
    pub(super) fn new(scripts: Scripts, delivery: Live<DeliverySettings>, sieve: Live<SieveSettings>) -> Self {
        Self { scripts, delivery, sieve, site: Mutex::default(), files: Mutex::default() }
    }

    /// The scripts for a user's mail. For a user without one this is one look at the disk.
    pub(super) fn plan(&self, account: &Address) -> Result<Plan, Error> {
        let (before, after) = self.site()?;
        let home = self.scripts.home(account)?;
        Ok(Plan { before, own: self.own(&home)?, after })
    }

    /// A user's scripts, and what is remembered for them.
    pub(super) fn home(&self, account: &Address) -> Result<Home, Error> {
        self.scripts.home(account)
    }

    fn own(&self, home: &Home) -> Result<Own, Error> {
        let Some(stamp) = home.stamp()? else { return Ok(Own::None) };
        let name = home.active_name()?.map_or_else(|| ".dovecot.sieve".to_owned(), |name| name.to_string());
        let read = || Ok(home.active()?.map(|active| active.source).unwrap_or_default());
        match self.compiled(&home.path().join(".dovecot.sieve"), stamp, read) {
            Ok(script) => Ok(Own::Script(Program { name, script })),
            Err(Unusable::Now(error)) => Err(error),
            Err(Unusable::Broken(why)) => Ok(Own::Broken { name, why }),
        }
    }

    /// A script for `include`.
    ///
    /// # Errors
    /// The disk does not give it this time.
    pub(super) fn included(&self, home: &Home, location: Location, name: &str) -> Result<Included, Error> {
        let Ok(name) = name.parse::<ScriptName>() else { return Ok(Included::Missing) };
        let compiled = match location {
            Location::Personal => {
                // A script that cannot be looked at may exist nevertheless, so `:optional` does not allow to go on without it.
                let Some(stamp) = home.stamp_of(&name)? else { return Ok(Included::Missing) };
                self.compiled(&home.path_of(&name), stamp, || home.read(&name))
            }
            Location::Global => {
                let Some(directory) = self.delivery.get().sieve.global.clone() else { return Ok(Included::Missing) };
                let path = directory.join(name.file());
                let Some(stamp) = Stamp::of(&path)? else { return Ok(Included::Missing) };
                let most = self.sieve.get().script_size.get();
                self.compiled(&path, stamp, || Ok(files::read_bounded(&path, most)?))
            }
        };
        match compiled {
            Ok(script) => Ok(Included::Script(script)),
            Err(Unusable::Now(error)) => Err(error),
            Err(Unusable::Broken(why)) => Ok(Included::Broken(why)),
        }
    }

    /// What a file is compiled to, from memory where it has not changed.
    fn compiled(
        &self,
        path: &Path,
        stamp: Stamp,
        read: impl FnOnce() -> Result<Vec<u8>, Error>,
    ) -> Result<Script, Unusable> {
        let sieve = self.sieve.get();
        {
            let mut cache = self.files.lock();
            cache.uses += 1;
            let used = cache.uses;
            if let Some(entry) = cache.entries.get_mut(path)
                && entry.stamp == stamp
                && Arc::ptr_eq(&entry.sieve, &sieve)
            {
                entry.used = used;
                return entry.compiled.clone().map_err(Unusable::Broken);
            }
        }
        let compiled = match read() {
            // Not remembered, or else the script would not run until somebody changes it.
            Err(error) if error.is_passing() => return Err(Unusable::Now(error)),
            Err(error) => Err(error.to_string()),
            Ok(source) => compile(&source, &sieve).map(|compiled| compiled.script).map_err(|mistakes| told(&mistakes)),
        };
        // What was read may be another version already: if the first one came back, it would run as that one.
        if Stamp::of(path).ok().flatten() != Some(stamp) {
            return compiled.map_err(Unusable::Broken);
        }
        let delivery = self.delivery.get();
        let mut cache = self.files.lock();
        let used = cache.uses;
        cache.entries.insert(path.to_owned(), Entry { stamp, sieve, compiled: compiled.clone(), used });
        cache.shrink(delivery.sieve.cache.max(1) as usize, delivery.sieve.cache_memory.get());
        compiled.map_err(Unusable::Broken)
    }

    /// The site's scripts. Fails while one of them cannot be read: like with a user's, it is not known then what to do with a message.
    fn site(&self) -> Result<BeforeAndAfter, Error> {
        let (delivery, sieve) = (self.delivery.get(), self.sieve.get());
        let mut site = self.site.lock();
        if let Some(known) = &*site
            && Arc::ptr_eq(&known.delivery, &delivery)
            && Arc::ptr_eq(&known.sieve, &sieve)
        {
            return Ok((Arc::clone(&known.before), Arc::clone(&known.after)));
        }
        let load = |paths: &[PathBuf]| -> Result<Arc<[Program]>, Error> {
            let program = |path: &PathBuf| match read_site_script(path, &sieve) {
                Ok(script) => Some(Ok(Program { name: path.display().to_string(), script })),
                Err(Unusable::Now(error)) => Some(Err(error)),
                Err(Unusable::Broken(why)) => {
                    log::error!(file:% = path.display(); "A Sieve script of the site does not run: {why}");
                    None
                }
            };
            paths.iter().filter_map(program).collect()
        };
        let (before, after) = (load(&delivery.sieve.before)?, load(&delivery.sieve.after)?);
        *site = Some(Site { delivery, sieve, before: Arc::clone(&before), after: Arc::clone(&after) });
        Ok((before, after))
    }
}

impl Entry {
    fn size(&self) -> u64 {
        self.compiled.as_ref().map_or_else(|why| why.len() as u64, Script::size)
    }
}

impl CompiledFiles {
    /// Keeps at most so many entries, of so many octets in all. Those unused for longest are forgotten, a quarter at once, so that this
    /// is rare.
    fn shrink(&mut self, most: usize, octets: u64) {
        if self.entries.len() <= most && self.entries.values().map(Entry::size).sum::<u64>() <= octets {
            return;
        }
        let mut sizes: Vec<(u64, u64)> = self.entries.values().map(|entry| (entry.used, entry.size())).collect();
        sizes.sort_unstable_by(|one, other| other.cmp(one));
        let (most, octets) = (most - most / 4, octets - octets / 4);
        let mut taken = 0;
        let fits = |(_, size): &&(u64, u64)| {
            taken += size;
            taken <= octets
        };
        let oldest = sizes.iter().take(most).take_while(fits).last().map_or(u64::MAX, |(used, _)| *used);
        self.entries.retain(|_, entry| entry.used >= oldest);
    }
}

/// Compiles a script of the site.
///
/// # Errors
/// It cannot be read, or has mistakes; all of them in one text.
pub fn site_script(path: &Path, settings: &SieveSettings) -> Result<Script, String> {
    read_site_script(path, settings).map_err(|unusable| match unusable {
        Unusable::Now(error) => error.to_string(),
        Unusable::Broken(why) => why,
    })
}

fn read_site_script(path: &Path, settings: &SieveSettings) -> Result<Script, Unusable> {
    let source = files::read_bounded(path, settings.script_size.get()).map_err(Error::from);
    let source = source.map_err(|error| match error {
        error if error.is_passing() => Unusable::Now(error),
        error => Unusable::Broken(error.to_string()),
    })?;
    compile(&source, settings).map(|compiled| compiled.script).map_err(|mistakes| Unusable::Broken(told(&mistakes)))
}

/// The scripts that users may `include :global`, in the order of their names.
///
/// # Errors
/// The directory cannot be read.
pub fn global_scripts(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut scripts = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".sieve"));
        if name.is_some_and(|name| name.parse::<ScriptName>().is_ok()) {
            scripts.push(path);
        }
    }
    scripts.sort();
    Ok(scripts)
}

fn told(mistakes: &[Mistake]) -> String {
    let mut told: Vec<String> = mistakes.iter().take(MOST_TOLD).map(ToString::to_string).collect();
    if mistakes.len() > MOST_TOLD {
        told.push(format!("and {} more", mistakes.len() - MOST_TOLD));
    }
    told.join("; ")
}

/// Most mistakes in one text.
const MOST_TOLD: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::scripts::ScriptSettings;

    #[test]
    fn what_was_read_while_another_script_was_active_is_not_kept() {
        let directory = tempfile::tempdir().unwrap();
        let scripts = Scripts::new(directory.path(), Live::new(ScriptSettings::default()));
        let cache =
            ScriptCache::new(scripts, Live::new(DeliverySettings::default()), Live::new(SieveSettings::default()));
        let home = cache.home(&"ann@example.test".parse().unwrap()).unwrap();
        let [main, other]: [ScriptName; 2] = ["main", "other"].map(|name| name.parse().unwrap());
        home.put(&main, b"keep;").unwrap();
        home.put(&other, b"discard; discard;").unwrap();
        home.activate(Some(&main)).unwrap();
        let read = || {
            home.activate(Some(&other))?;
            Ok(home.active()?.unwrap().source)
        };
        let stamp = home.stamp().unwrap().unwrap();
        let during = cache.compiled(&home.path().join(".dovecot.sieve"), stamp, read).unwrap();
        home.activate(Some(&main)).unwrap();
        assert_eq!(home.stamp().unwrap(), Some(stamp));
        let Own::Script(program) = cache.own(&home).unwrap() else { panic!("there is no script") };
        assert!(program.script.size() < during.size(), "the other script still runs");
        // What nobody has changed is kept.
        assert!(matches!(cache.included(&home, Location::Personal, "other"), Ok(Included::Script(_))));
        let kept = [home.path().join(".dovecot.sieve"), home.path_of(&other)];
        assert!(kept.iter().all(|path| cache.files.lock().entries.contains_key(path)));
    }

    #[test]
    fn what_ran_last_is_kept_within_number_and_memory() {
        let sieve = Arc::new(SieveSettings::default());
        let stamp = Stamp::of(&std::env::temp_dir()).unwrap().unwrap();
        let filled = |of_each: usize| {
            let entry =
                |used: u64| Entry { stamp, sieve: Arc::clone(&sieve), compiled: Err("x".repeat(of_each)), used };
            let entries = (0..100).map(|n: u64| (PathBuf::from(n.to_string()), entry(n))).collect();
            CompiledFiles { entries, uses: 100 }
        };
        for (of_each, most, octets, left) in
            [(10, 100, 1_000, 100), (10, 80, 1_000, 60), (100, 100, 4_000, 30), (9_000, 100, 4_000, 0)]
        {
            let mut cache = filled(of_each);
            cache.shrink(most, octets);
            assert_eq!(cache.entries.len(), left, "{of_each} {most} {octets}");
            assert!(cache.entries.values().all(|entry| entry.used >= 100 - left as u64), "the oldest are kept");
        }
    }
}
