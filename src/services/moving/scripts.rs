//! Sieve scripts from a Dovecot server.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Error, Importer};
use crate::foundations::address::Address;
use crate::foundations::files;
use crate::foundations::settings::Live;
use crate::services::sieve::{SieveSettings, compile};
use crate::storage::scripts::{self, ScriptName, ScriptSettings, Scripts, script_files};

/// The result for a script.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ScriptMoved {
    /// Its name here.
    pub name: String,
    /// What was done with it, or would be.
    pub done: ScriptDone,
    /// Whether it is the active one here now, or would be.
    pub active: bool,
    /// What is wrong with it: it does not run here until that is fixed.
    pub mistakes: Vec<String>,
}

/// What was done with a script.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScriptDone {
    /// It was put there.
    Moved,
    /// The same script is there already.
    Present,
    /// A different script of that name is there, and stays.
    Taken,
    /// It could not be put there.
    Refused(String),
}

/// Scripts from another program.
struct Found {
    scripts: Vec<(ScriptName, Vec<u8>)>,
    active: Option<ScriptName>,
}

/// Dovecot's link to the active script.
pub(super) const LINK: &str = ".dovecot.sieve";
/// The name for a script that had none.
const UNNAMED: &str = "imported";

impl Importer {
    /// Imports the scripts of a user: those in `sieve/` in the home directory, and the one that `.dovecot.sieve` is or links to, which
    /// becomes active unless another one already is or it has errors.
    ///
    /// # Errors
    /// Something there cannot be read, or the disk fails.
    pub fn scripts(
        &self,
        user: &Address,
        home: &Path,
        settings: &ScriptSettings,
        sieve: &SieveSettings,
    ) -> Result<Vec<ScriptMoved>, Error> {
        let found = read(home, settings.script_size.get())?;
        let ours = Scripts::new(self.mail_root.as_path(), Live::new(settings.clone())).home(user)?;
        let none_active = ours.stamp()?.is_none();
        let mut moved = Vec::new();
        for (name, source) in found.scripts {
            let mistakes: Vec<String> = match compile(&source, sieve) {
                Ok(_) => Vec::new(),
                Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
            };
            let done = match ours.read(&name) {
                Ok(there) if there == source => ScriptDone::Present,
                Ok(_) => ScriptDone::Taken,
                Err(scripts::Error::NoScript(_)) if self.dry_run => ScriptDone::Moved,
                Err(scripts::Error::NoScript(_)) => match ours.put(&name, &source) {
                    Ok(()) => ScriptDone::Moved,
                    Err(error @ (scripts::Error::File(_) | scripts::Error::BadUser(_))) => return Err(error.into()),
                    Err(error) => ScriptDone::Refused(error.to_string()),
                },
                Err(error) => return Err(error.into()),
            };
            let is_there = matches!(done, ScriptDone::Moved | ScriptDone::Present);
            let active = none_active && is_there && mistakes.is_empty() && found.active.as_ref() == Some(&name);
            if active && !self.dry_run {
                ours.activate(Some(&name))?;
            }
            moved.push(ScriptMoved { name: name.to_string(), done, active, mistakes });
        }
        Ok(moved)
    }
}

/// Where the scripts for a mail directory are: in it, or in the home directory around it, as with Dovecot's `mail = maildir:~/Maildir`.
pub fn script_home(mail: &Path) -> PathBuf {
    let is_within = mail
        .file_name()
        .is_some_and(|name| ["maildir", "mail"].iter().any(|usual| name.to_string_lossy().eq_ignore_ascii_case(usual)));
    match mail.parent() {
        Some(above) if is_within && !has_scripts(mail) && has_scripts(above) => above.to_owned(),
        _ => mail.to_owned(),
    }
}

/// Whether a directory is the home directory of a user with scripts.
pub(super) fn has_scripts(home: &Path) -> bool {
    home.join(LINK).exists() || home.join("sieve").is_dir()
}

fn read(home: &Path, most: u64) -> Result<Found, Error> {
    let directory = home.join("sieve");
    let mut scripts = Vec::new();
    let found = script_files(&directory)?;
    let is_own_directory = found.is_empty() || is_own(&directory)?;
    for (name, path) in found.into_iter().filter(|(_, path)| is_own_directory && path.is_file()) {
        let below = path.strip_prefix(home).unwrap_or(&path);
        match files::read_own(home, below, most)? {
            Some(source) => scripts.push((name, source)),
            None => pass_over(&path),
        }
    }
    scripts.sort_by(|a, b| a.0.cmp(&b.0));
    let active = active(home, most, &mut scripts)?;
    Ok(Found { scripts, active })
}

/// Whether a directory of scripts is the user's; a link to somebody else's files is skipped.
fn is_own(path: &Path) -> Result<bool, Error> {
    let own = files::leads_to_own(path)?;
    if !own {
        pass_over(path);
    }
    Ok(own)
}

fn pass_over(path: &Path) {
    log::warn!("`{}` is left out: it is a link to a file of somebody else, or to nothing", path.display());
}

/// The active script, which is added if it is not one of the named ones.
fn active(home: &Path, most: u64, scripts: &mut Vec<(ScriptName, Vec<u8>)>) -> Result<Option<ScriptName>, Error> {
    let link = home.join(LINK);
    let source = match files::read_own(home, Path::new(LINK), most) {
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Ok(None) => {
            pass_over(&link);
            return Ok(None);
        }
        source => source?.unwrap_or_default(),
    };
    let target = fs::read_link(&link).ok().map(|target| home.join(target));
    let own = target.as_deref().and_then(|target| ScriptName::of_file(target.strip_prefix(home.join("sieve")).ok()?));
    let stem = own.or_else(|| target.as_deref()?.file_stem()?.to_str()?.parse().ok());
    // A script with the same text, under the link's target name or any other, is that script.
    let same = |name: &ScriptName| stem.as_ref().is_none_or(|stem| stem == name);
    if let Some((name, _)) = scripts.iter().find(|(name, text)| same(name) && *text == source) {
        return Ok(Some(name.clone()));
    }
    let is_free = |name: &ScriptName| !scripts.iter().any(|(known, _)| known == name);
    let numbered = (2u32..).map(|n| format!("{UNNAMED}-{n}"));
    let names = std::iter::once(UNNAMED.to_owned()).chain(numbered).filter_map(|name| name.parse().ok());
    let name = stem.into_iter().chain(names).find(is_free);
    scripts.extend(name.clone().map(|name| (name, source)));
    Ok(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct World {
        place: tempfile::TempDir,
        user: Address,
    }

    impl World {
        fn new() -> Self {
            let place = tempfile::tempdir().unwrap();
            fs::create_dir_all(place.path().join("there/sieve")).unwrap();
            fs::create_dir_all(place.path().join("here")).unwrap();
            Self { place, user: "ann@example.test".parse().unwrap() }
        }

        fn there(&self, name: &str) -> PathBuf {
            self.place.path().join("there").join(name)
        }

        fn move_in(&self, dry_run: bool) -> Vec<(String, ScriptDone, bool)> {
            let importer = Importer { mail_root: self.place.path().join("here"), largest: 1 << 20, dry_run };
            let (settings, sieve) = (ScriptSettings::default(), SieveSettings::default());
            let moved = importer.scripts(&self.user, &self.there(""), &settings, &sieve).unwrap();
            moved.into_iter().map(|script| (script.name, script.done, script.active)).collect()
        }
    }

    #[test]
    fn scripts_come_along_with_the_active_one() {
        let world = World::new();
        fs::write(world.there("sieve/main.sieve"), "keep;").unwrap();
        fs::write(world.there("sieve/main.svbin"), "no script").unwrap();
        fs::write(world.there("sieve/away.sieve"), "discard;").unwrap();
        fs::create_dir(world.there("sieve/tmp")).unwrap();
        fs::write(world.there("sieve/tmp/half.sieve"), "no script").unwrap();
        symlink("sieve/main.sieve", world.there(".dovecot.sieve")).unwrap();
        let wanted = [("away".to_owned(), ScriptDone::Moved, false), ("main".to_owned(), ScriptDone::Moved, true)];
        assert_eq!(world.move_in(true), wanted);
        assert!(!world.place.path().join("here/example.test").exists());
        assert_eq!(world.move_in(false), wanted);
        let home = world.place.path().join("here/example.test/ann");
        assert_eq!(fs::read_link(home.join(".dovecot.sieve")).unwrap(), Path::new("sieve/main.sieve"));
        fs::write(world.there("sieve/away.sieve"), "stop;").unwrap();
        let again = [("away".to_owned(), ScriptDone::Taken, false), ("main".to_owned(), ScriptDone::Present, false)];
        assert_eq!(world.move_in(false), again);
    }

    #[test]
    fn names_that_take_several_file_names_stay() {
        let world = World::new();
        let name: ScriptName = "x".repeat(300).parse().unwrap();
        let file = Path::new("sieve").join(name.file());
        fs::create_dir_all(world.place.path().join("there").join(&file).parent().unwrap()).unwrap();
        fs::write(world.place.path().join("there").join(&file), "keep;").unwrap();
        symlink(&file, world.there(".dovecot.sieve")).unwrap();
        assert_eq!(world.move_in(false), [(name.to_string(), ScriptDone::Moved, true)]);
        let home = world.place.path().join("here/example.test/ann");
        assert_eq!(fs::read_link(home.join(".dovecot.sieve")).unwrap(), file);
    }

    #[test]
    fn a_plain_file_and_a_link_to_elsewhere_get_names() {
        let world = World::new();
        fs::write(world.there(".dovecot.sieve"), "keep;").unwrap();
        assert_eq!(world.move_in(false), [("imported".to_owned(), ScriptDone::Moved, true)]);
        let world = World::new();
        fs::write(world.there("rules.sieve"), "keep;").unwrap();
        symlink(world.there("rules.sieve"), world.there(".dovecot.sieve")).unwrap();
        assert_eq!(world.move_in(false), [("rules".to_owned(), ScriptDone::Moved, true)]);
    }

    #[test]
    fn homes_around_the_mail_are_looked_into() {
        let world = World::new();
        fs::create_dir_all(world.there("Maildir/cur")).unwrap();
        assert_eq!(script_home(&world.there("Maildir")), world.place.path().join("there"));
        assert_eq!(script_home(&world.there("sieve")), world.there("sieve"));
        fs::create_dir_all(world.there("Maildir/sieve")).unwrap();
        assert_eq!(script_home(&world.there("Maildir")), world.there("Maildir"));
    }
}
