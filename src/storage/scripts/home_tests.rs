use std::os::unix::fs::MetadataExt as _;

use super::*;
use crate::foundations::address::Address;
use crate::foundations::settings::{ByteSize, Live};
use crate::storage::scripts::Scripts;

struct World {
    directory: tempfile::TempDir,
    scripts: Scripts,
}

impl World {
    fn new(settings: ScriptSettings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let scripts = Scripts::new(directory.path(), Live::new(settings));
        Self { directory, scripts }
    }

    fn home(&self) -> Home {
        self.scripts.home(&"Ann@example.test".parse::<Address>().unwrap()).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("example.test/ann").join(name)
    }
}

fn name(text: &str) -> ScriptName {
    text.parse().unwrap()
}

fn listed(home: &Home) -> Vec<(String, bool)> {
    home.list().unwrap().into_iter().map(|entry| (entry.name.to_string(), entry.active)).collect()
}

#[test]
fn scripts_come_and_go_as_pigeonhole_keeps_them() {
    let world = World::new(ScriptSettings::default());
    let home = world.home();
    assert_eq!((listed(&home), home.active().unwrap(), home.stamp().unwrap()), (vec![], None, None));
    home.put(&name("main"), b"keep;").unwrap();
    home.put(&name("away"), b"discard;").unwrap();
    assert_eq!(home.stamp().unwrap(), None);
    home.activate(Some(&name("main"))).unwrap();
    assert_eq!(fs::read_link(world.path(".dovecot.sieve")).unwrap(), Path::new("sieve/main.sieve"));
    assert_eq!(listed(&home), [("away".to_owned(), false), ("main".to_owned(), true)]);
    assert_eq!(home.active().unwrap().unwrap(), Active { name: Some(name("main")), source: b"keep;".to_vec() });
    let before = home.stamp().unwrap();
    home.put(&name("main"), b"stop;").unwrap();
    assert_ne!(home.stamp().unwrap(), before);

    assert!(matches!(home.delete(&name("main")), Err(Error::IsActive(_))));
    home.rename(&name("main"), &name("first")).unwrap();
    assert_eq!(home.active().unwrap().unwrap().name, Some(name("first")));
    assert!(matches!(home.rename(&name("away"), &name("first")), Err(Error::Exists(_))));
    assert!(matches!(home.rename(&name("none"), &name("other")), Err(Error::NoScript(_))));
    assert!(matches!(home.activate(Some(&name("none"))), Err(Error::NoScript(_))));
    home.activate(None).unwrap();
    home.activate(None).unwrap();
    assert_eq!(home.active().unwrap(), None);
    home.delete(&name("first")).unwrap();
    assert!(matches!(home.delete(&name("first")), Err(Error::NoScript(_))));
    assert_eq!(listed(&home), [("away".to_owned(), false)]);
    let names: Vec<_> = fs::read_dir(world.path("sieve")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["away.sieve"]);
}

#[test]
fn a_plain_file_is_active_and_is_kept() {
    let world = World::new(ScriptSettings::default());
    let home = world.home();
    home.put(&name("main"), b"keep;").unwrap();
    fs::write(world.path(".dovecot.sieve"), "stop;").unwrap();
    assert_eq!(home.active().unwrap().unwrap(), Active { name: None, source: b"stop;".to_vec() });
    home.activate(Some(&name("main"))).unwrap();
    assert_eq!(home.read(&name("dovecot.orig")).unwrap(), b"stop;");
    fs::remove_file(world.path(".dovecot.sieve")).unwrap();
    fs::write(world.path(".dovecot.sieve"), "discard;").unwrap();
    home.activate(None).unwrap();
    assert_eq!(home.read(&name("dovecot.orig.2")).unwrap(), b"discard;");
}

#[test]
fn the_link_belongs_to_the_owner_of_the_mail() {
    let world = World::new(ScriptSettings::default());
    // Only root may give files away.
    if std::os::unix::fs::chown(world.directory.path(), Some(1001), Some(1001)).is_err() {
        return;
    }
    let home = world.home();
    home.put(&name("main"), b"keep;").unwrap();
    home.activate(Some(&name("main"))).unwrap();
    assert_eq!(fs::symlink_metadata(world.path(".dovecot.sieve")).unwrap().uid(), 1001);
}

#[test]
fn limits_hold() {
    let settings = ScriptSettings {
        scripts_per_user: 2,
        script_size: ByteSize::bytes(10),
        quota: ByteSize::bytes(15),
        ..ScriptSettings::default()
    };
    let world = World::new(settings);
    let home = world.home();
    assert!(matches!(home.put(&name("a"), &[b'#'; 11]), Err(Error::TooLarge(_))));
    home.put(&name("a"), &[b'#'; 10]).unwrap();
    assert!(matches!(home.put(&name("b"), &[b'#'; 6]), Err(Error::OverQuota(_))));
    home.put(&name("b"), &[b'#'; 5]).unwrap();
    home.put(&name("a"), &[b'#'; 9]).unwrap();
    assert!(matches!(home.put(&name("c"), b""), Err(Error::TooMany(2))));
    assert_eq!(home.read(&name("a")).unwrap().len(), 9);
}

#[test]
fn only_what_was_seen_is_replaced() {
    let world = World::new(ScriptSettings { scripts_per_user: 3, ..ScriptSettings::default() });
    let home = world.home();
    let main = name("main");
    assert_eq!(home.replace(&main, |old| old.is_none(), b"keep;", Old::Kept).unwrap(), None);
    let changed = home.replace(&main, |old| old.is_none(), b"stop;", Old::Dropped);
    assert!(matches!(changed, Err(Error::Changed(_))));
    let kept = home.replace(&main, |old| old == Some(b"keep;"), b"stop;", Old::Kept).unwrap();
    assert_eq!(kept, Some(name("main (old)")));
    assert_eq!(home.replace(&main, |_| true, b"discard;", Old::Dropped).unwrap(), None);
    assert_eq!(home.replace(&main, |_| true, b"keep;", Old::Kept).unwrap(), Some(name("main (old 2)")));
    assert!(matches!(home.replace(&main, |_| true, b"stop;", Old::Kept), Err(Error::TooMany(3))));
    for (script, text) in [("main", "keep;"), ("main (old)", "keep;"), ("main (old 2)", "discard;")] {
        assert_eq!(home.read(&name(script)).unwrap(), text.as_bytes(), "{script}");
    }
}

/// RFC 5804 §1.6: 128 characters, which may take 512 octets.
#[test]
fn names_may_be_longer_than_file_names() {
    let world = World::new(ScriptSettings::default());
    let home = world.home();
    let names = ["x".repeat(249), "x".repeat(250), "🏖".repeat(127) + "a", "🏖".repeat(127) + "b"];
    let [short, long, beach, other] = names.map(|text| name(&text));
    for script in [&short, &long, &beach] {
        home.put(script, script.as_str().as_bytes()).unwrap();
        home.activate(Some(script)).unwrap();
        assert_eq!(home.active().unwrap().unwrap().name.as_ref(), Some(script));
        assert_eq!(home.read(script).unwrap(), script.as_str().as_bytes());
    }
    home.rename(&beach, &other).unwrap();
    assert!(matches!(home.read(&beach), Err(Error::NoScript(_))));
    let found: Vec<ScriptName> = home.list().unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(found, [short.clone(), long.clone(), other.clone()]);
    let kept = home.replace(&other, |_| true, b"keep;", Old::Kept).unwrap().unwrap();
    assert_eq!(home.active().unwrap().unwrap(), Active { name: Some(other.clone()), source: b"keep;".to_vec() });
    home.activate(None).unwrap();
    for script in [&short, &long, &other, &kept] {
        home.delete(script).unwrap();
    }
    assert_eq!(fs::read_dir(world.path("sieve")).unwrap().count(), 0);
}

#[test]
fn a_link_to_nothing_is_no_active_script() {
    let world = World::new(ScriptSettings::default());
    let home = world.home();
    home.put(&name("main"), b"keep;").unwrap();
    symlink("sieve/gone.sieve", world.path(".dovecot.sieve")).unwrap();
    assert_eq!((home.active().unwrap(), home.stamp().unwrap(), home.active_name().unwrap()), (None, None, None));
}

/// Nobody could list or store scripts beside it.
#[test]
fn a_link_to_where_nobody_may_look_is_no_script_of_the_user() {
    let world = World::new(ScriptSettings::default());
    let home = world.home();
    home.put(&name("main"), b"keep;").unwrap();
    // Looked at, it gives an error to everybody, as a directory without rights does to this server.
    symlink(".dovecot.sieve", world.path(".dovecot.sieve")).unwrap();
    assert_eq!(home.active_name().unwrap(), None);
    home.put(&name("other"), b"keep;").unwrap();
    assert_eq!(home.list().unwrap().len(), 2);
    home.activate(Some(&name("main"))).unwrap();
    assert_eq!(home.active_name().unwrap(), Some(name("main")));
}
