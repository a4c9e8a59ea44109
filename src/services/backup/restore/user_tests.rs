use std::collections::BTreeSet;
use std::path::PathBuf;

use super::super::write;
use super::*;
use crate::services::backup::repository::{Access, Block, Kind, ObjectId};
use crate::services::backup::{BackupSettings, Destination};

fn open(place: &Path, access: Access) -> Repository {
    let destination = Destination::Directory(place.join("repository"));
    Repository::open(&destination, access, &BackupSettings::default()).unwrap()
}

fn file(path: &str, content: FileContent) -> FileRecord {
    FileRecord { path: path.to_owned(), mode: 0o600, changed: 0, sealed: None, content }
}

fn folder(directory: &str) -> FolderRecord {
    FolderRecord { directory: directory.to_owned(), messages: 0, octets: 0, times: None, pages: vec![] }
}

/// Restores users of these records, from a backup that has these objects too, and returns how much of it was refused.
fn restored(place: &Path, objects: &[&[u8]], records: Vec<UserRecord>) -> u64 {
    let stored = stored(place, objects, records);
    restored_of(place, stored, &Selection::default()).lost
}

/// Stores these objects, each in a block of its own, and the records behind them.
fn stored(place: &Path, objects: &[&[u8]], records: Vec<UserRecord>) -> Vec<ObjectId> {
    let store = |block: &mut Block<'_>, record: &UserRecord| block.add(&serde_json::to_vec(record).unwrap()).unwrap();
    let repository = open(place, Access::Add);
    let mut block = Block::new(&repository, Kind::Content).unwrap();
    for object in objects {
        assert_eq!(block.add(object).unwrap(), ObjectId::of(object));
        block.flush().unwrap();
    }
    let stored: Vec<ObjectId> = records.iter().map(|record| store(&mut block, record)).collect();
    block.flush().unwrap();
    repository.finish_packs().unwrap();
    stored
}

/// Restores users of the records that are stored so.
fn restored_of(place: &Path, stored: Vec<ObjectId>, selection: &Selection) -> Restored {
    let (repository, mail_root) = (open(place, Access::Read), place.join("mail"));
    std::fs::create_dir_all(&mail_root).unwrap();
    let restoring = Restoring {
        repository: &repository,
        selection,
        mail_root: &mail_root,
        owner: Owner::of(&mail_root).unwrap(),
        progress: &Progress::default(),
        mark: "x".to_owned(),
    };
    let user = |(n, record): (usize, ObjectId)| UserEntry {
        domain: "example.test".to_owned(),
        local: format!("user{n}"),
        messages: 0,
        octets: 0,
        record,
    };
    let all = stored.into_iter().enumerate().map(user).map(|entry| restoring.user(&entry).unwrap());
    all.fold(Restored::default(), Restored::and)
}

fn message(name: &str, content: &[u8]) -> tree::MessageEntry {
    tree::MessageEntry {
        place: crate::storage::mailbox::Place::Cur,
        name: name.as_bytes().to_vec(),
        size: content.len() as u64,
        date: 0,
        objects: vec![ObjectId::of(content)],
    }
}

#[test]
fn nothing_is_written_outside_of_the_mailbox() {
    let place = tempfile::tempdir().unwrap();
    let outside = place.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let evil = || FileContent::Objects(vec![ObjectId::of(b"evil")]);
    let link = |to: &str| FileContent::Link(to.to_owned());
    let behind_a_link = UserRecord {
        folders: vec![folder("")],
        files: vec![
            file("sieve/main.sieve", evil()),
            file(".dovecot.sieve", link("sieve/main.sieve")),
            file("sieve/up", link("../subscriptions")),
            file("away", link(outside.to_str().unwrap())),
            file("away/one", evil()),
            file("near", link("sieve")),
            file("near/two", evil()),
            file("up", link("sieve/../../..")),
            file("up/three", evil()),
            file("round", link(".")),
            file("behind-round", link("round/../user1")),
        ],
    };
    // The parent of a folder's directory, whose name it is, is the mailbox.
    let beside = UserRecord { folders: vec![folder(""), folder("../../../outside/four")], files: vec![] };
    let lost = restored(place.path(), &[b"evil"], vec![behind_a_link, beside]);
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    let home = place.path().join("mail/example.test/user0");
    assert_eq!(std::fs::read(home.join(".dovecot.sieve")).unwrap(), b"evil");
    assert_eq!(std::fs::read_link(home.join("sieve/up")).unwrap(), Path::new("../subscriptions"));
    assert!(!home.join("sieve/two").exists(), "no link is gone through at all");
    assert!(home.join("behind-round").symlink_metadata().is_err(), "it would lead to another user");
    // `away`, `near/two`, `up`, `behind-round`, and all of the second user, of whom no message is counted.
    assert_eq!(lost, 4);
    // Where the links were not made, there are directories now.
    assert!(home.join("away/one").is_file() && home.join("up/three").is_file());
}

#[test]
fn what_a_power_failure_has_left_is_made_right() {
    let place = tempfile::tempdir().unwrap();
    let (name, whole) = ("1.M1.h,U=7,S=5:2,S", ObjectId::of(b"whole"));
    let page = tree::pages(vec![message(name, b"whole")]).remove(0);
    let inbox = FolderRecord { messages: 1, octets: 5, pages: vec![ObjectId::of(&page)], ..folder("") };
    let files = vec![file("subscriptions", FileContent::Objects(vec![whole]))];
    let begun = place.path().join("mail/example.test/.restoring-user0");
    std::fs::create_dir_all(begun.join("cur")).unwrap();
    std::fs::write(begun.join(write::NOTE), "x").unwrap();
    let paths = [format!("cur/{name}"), "subscriptions".to_owned()];
    // As long as they should be.
    paths.iter().for_each(|path| std::fs::write(begun.join(path), [0; 5]).unwrap());
    let record = UserRecord { folders: vec![inbox], files };
    assert_eq!(restored(place.path(), &[b"whole", &page], vec![record]), 0);
    let home = place.path().join("mail/example.test/user0");
    for path in paths {
        assert_eq!(std::fs::read(home.join(&path)).unwrap(), b"whole", "{path}");
    }
}

#[test]
fn what_a_restore_of_another_backup_has_left_is_not_mixed_in() {
    let place = tempfile::tempdir().unwrap();
    let domain = place.path().join("mail/example.test");
    // Somebody who has gone, and a folder of somebody who is there.
    let begun = [domain.join(".restoring-user0"), domain.join("user1/..restoring.Old")];
    std::fs::create_dir_all(domain.join("user1/cur")).unwrap();
    for begun in &begun {
        std::fs::create_dir_all(begun.join("cur")).unwrap();
        std::fs::write(begun.join("cur/1.M1.h,U=7,S=5:2,"), "whole").unwrap();
        std::fs::write(begun.join(write::NOTE), "another").unwrap();
    }
    let page = tree::pages(vec![message("1.M1.h,U=7,S=5:2,S", b"whole")]).remove(0);
    let full = |directory| FolderRecord { messages: 1, pages: vec![ObjectId::of(&page)], ..folder(directory) };
    let records = [full(""), full(".Old")].map(|folder| UserRecord { folders: vec![folder], files: vec![] });
    assert_eq!(restored(place.path(), &[b"whole", &page], records.into()), 0);
    for folder in ["user0", "user1/.Old"] {
        let folder = domain.join(folder);
        let found = std::fs::read_dir(folder.join("cur")).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(found.collect::<Vec<_>>(), ["1.M1.h,U=7,S=5:2,S"], "{}", folder.display());
        assert!(!folder.join(write::NOTE).exists());
    }
    assert!(begun.iter().all(|begun| !begun.exists()));
}

#[test]
fn a_message_is_found_beside_damaged_ones() {
    let place = tempfile::tempdir().unwrap();
    let contents = ["a", "b"].map(|id| format!("Message-ID: <{id}@x>\r\n\r\n{id}"));
    let messages = ["1.M1.h,U=1", "2.M2.h,U=2"].iter().zip(&contents);
    let messages = messages.map(|(name, content)| message(&format!("{name}:2,"), content.as_bytes())).collect();
    let page = tree::pages(messages).remove(0);
    let inbox = FolderRecord { messages: 2, octets: 9, pages: vec![ObjectId::of(&page)], ..folder("") };
    let objects = [contents[0].as_bytes(), contents[1].as_bytes(), &page];
    let stored = stored(place.path(), &objects, vec![UserRecord { folders: vec![inbox], files: vec![] }]);
    let directories = std::fs::read_dir(place.path().join("repository/packs")).unwrap();
    let packs = directories.flat_map(|directory| std::fs::read_dir(directory.unwrap().path()).unwrap());
    let packs: Vec<PathBuf> = packs.map(|pack| pack.unwrap().path()).collect();
    assert_eq!(packs.len(), 1, "{packs:?}");
    let mut pack = std::fs::read(&packs[0]).unwrap();
    // In the block of the first message.
    pack[12] ^= 4;
    std::fs::write(&packs[0], pack).unwrap();
    for (id, messages) in [("b@x", 1), ("a@x", 0)] {
        let selection = Selection { message_id: Some(id.to_owned()), ..Selection::default() };
        let restored = restored_of(place.path(), stored.clone(), &selection);
        assert_eq!((restored.messages, restored.lost), (messages, 1), "{id}: {restored:?}");
    }
}

#[test]
fn lost_names_of_keywords_keep_no_message_from_a_living_folder() {
    let place = tempfile::tempdir().unwrap();
    let home = place.path().join("mail/example.test/user0");
    std::fs::create_dir_all(home.join("cur")).unwrap();
    let page = tree::pages(vec![message("1.M1.h,U=7,S=5:2,Sa", b"whole")]).remove(0);
    let inbox = FolderRecord { messages: 1, octets: 5, pages: vec![ObjectId::of(&page)], ..folder("") };
    let files = vec![file("dovecot-keywords", FileContent::Objects(vec![ObjectId::of(b"in no pack")]))];
    let stored = stored(place.path(), &[b"whole", &page], vec![UserRecord { folders: vec![inbox], files }]);
    let restored = restored_of(place.path(), stored, &Selection::default());
    assert_eq!((restored.messages, restored.lost, restored.keywords_dropped), (1, 1, 1), "{restored:?}");
    assert_eq!(std::fs::read(home.join("cur/1.M1.h,S=5:2,S")).unwrap(), b"whole");
}

#[test]
fn files_where_directories_belong_and_the_reverse_end_no_restore() {
    let place = tempfile::tempdir().unwrap();
    let domain = place.path().join("mail/example.test");
    let (home, content) = (domain.join("user0"), || FileContent::Objects(vec![ObjectId::of(b"whole")]));
    std::fs::create_dir_all(home.join("cur")).unwrap();
    std::fs::create_dir(home.join("subscriptions")).unwrap();
    std::fs::create_dir(home.join(".Empty")).unwrap();
    for file in ["sieve", ".Old", "../user1"] {
        std::fs::write(home.join(file), "in the way").unwrap();
    }
    let page = tree::pages(vec![message("1.M1.h,U=7,S=5:2,S", b"whole")]).remove(0);
    let full = |directory| FolderRecord { messages: 1, pages: vec![ObjectId::of(&page)], ..folder(directory) };
    let files = vec![file("sieve/main.sieve", content()), file("subscriptions", content())];
    let first = UserRecord { folders: vec![full(""), full(".Empty"), full(".Old")], files };
    let second = UserRecord { folders: vec![full("")], files: vec![] };
    let stored = stored(place.path(), &[b"whole", &page], vec![first, second]);
    for messages in [2, 0] {
        let restored = restored_of(place.path(), stored.clone(), &Selection::default());
        assert_eq!((restored.messages, restored.lost), (messages, 0), "{restored:?}");
        let shown = |paths: [PathBuf; 2]| paths.map(|path| path.display().to_string());
        assert_eq!(restored.in_the_way, BTreeSet::from(shown([home.join(".Old"), domain.join("user1")])));
        let beside = shown([home.join("sieve.restored-x/main.sieve"), home.join("subscriptions.restored-x")]);
        assert_eq!(restored.kept_beside, beside);
        for path in beside {
            assert_eq!(std::fs::read(&path).unwrap(), b"whole", "{path}");
        }
    }
    assert_eq!(std::fs::read(home.join(".Empty/cur/1.M1.h,S=5:2,S")).unwrap(), b"whole");
    for file in ["sieve", ".Old", "../user1"] {
        assert_eq!(std::fs::read(home.join(file)).unwrap(), b"in the way", "{file}");
    }
}

#[test]
fn what_an_interrupted_restore_has_left_goes_where_the_user_has_come_back() {
    let place = tempfile::tempdir().unwrap();
    let domain = place.path().join("mail/example.test");
    let begun = [domain.join(".restoring-user0"), domain.join("user0/..restoring.Old")];
    for directory in ["user0", "user0/.Old", ".restoring-user0", "user0/..restoring.Old"] {
        std::fs::create_dir_all(domain.join(directory).join("cur")).unwrap();
    }
    let page = tree::pages(vec![message("1.M1.h,U=7,S=5:2,S", b"whole")]).remove(0);
    let full = |directory, page| FolderRecord { messages: 1, pages: vec![page], ..folder(directory) };
    let record = |page| UserRecord { folders: vec![full("", page), full(".Old", page)], files: vec![] };
    // As long as something is lost, what an earlier run has brought is the last of it.
    let damaged = stored(place.path(), &[b"whole", &page], vec![record(ObjectId::of(b"in no pack"))]);
    assert_eq!(restored_of(place.path(), damaged, &Selection::default()).lost, 2);
    assert!(begun.iter().all(|begun| begun.exists()));
    let whole = stored(place.path(), &[], vec![record(ObjectId::of(&page))]);
    assert_eq!(restored_of(place.path(), whole, &Selection::default()).messages, 2);
    assert!(begun.iter().all(|begun| !begun.exists()));
}
