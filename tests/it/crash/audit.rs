//! Compares what the server shows, and what is on disk, with the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::ledger::{Copy, FOLDERS, Ledger, Place, Presence};
use super::letter;
use crate::faults::imap::Imap;
use crate::faults::server::{Server, USERS};

/// What must never change, across all restarts.
#[derive(Default)]
struct Memory {
    uid_validity: Option<u64>,
    uid_next: u64,
    mod_seq: u64,
    /// What each UID has ever stood for.
    uids: BTreeMap<u32, String>,
}

/// What a message looks like now.
struct Row {
    uid: u32,
    flags: BTreeSet<String>,
}

/// Everything shown in a folder, by Message-ID.
type Shown = BTreeMap<String, Row>;

/// How thorough an audit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Lists over IMAP, every file on disk.
    Lists,
    /// Also every message over IMAP.
    Bodies,
}

/// Keeps what it has seen, and the problems found.
#[derive(Default)]
pub(super) struct Auditor {
    memory: BTreeMap<Place, Memory>,
    faults: Vec<String>,
    /// Most files in `tmp/` directories after a restart.
    pub(super) temporary: usize,
    /// Messages on disk at the last look.
    pub(super) messages: usize,
}

impl Auditor {
    /// Checks everything. Doubtful copies are settled by what is there: from then on it must stay so.
    pub(super) fn look(&mut self, server: &Server, ledgers: &mut [&mut Ledger], depth: Depth) -> Result<(), String> {
        let mut shown = BTreeMap::new();
        (self.temporary, self.messages) = (0, 0);
        for user in USERS {
            let mut imap = server.imap(user).unwrap();
            for folder in FOLDERS {
                let place = (user, folder);
                let rows = self.list(&mut imap, place, depth);
                self.look_at_disk(&server.maildir(user), place, &rows);
                shown.insert(place, rows);
            }
        }
        let mut strange: BTreeSet<_> =
            shown.iter().flat_map(|(place, rows)| rows.keys().map(|id| (*place, id.clone()))).collect();
        for ledger in ledgers {
            self.compare(ledger, &shown, &mut strange);
        }
        self.faults.extend(strange.iter().map(|(place, id)| format!("{place:?} holds {id}, which nobody has sent")));
        if self.faults.is_empty() { Ok(()) } else { Err(self.faults.join("\n")) }
    }

    fn wrong(&mut self, place: Place, text: impl AsRef<str>) {
        self.faults.push(format!("{place:?}: {}", text.as_ref()));
    }

    fn list(&mut self, imap: &mut Imap, place: Place, depth: Depth) -> Shown {
        let answer = imap.select(place.1).unwrap();
        assert!(answer.is_ok(), "{place:?}: {answer:?}");
        let told = |code| answer.told(code).unwrap_or_else(|| panic!("{place:?}: no {code}: {answer:?}"));
        let (uid_validity, uid_next) = (told("UIDVALIDITY"), told("UIDNEXT"));
        let mod_seq = told("HIGHESTMODSEQ");
        let mut memory = self.memory.remove(&place).unwrap_or_default();
        if *memory.uid_validity.get_or_insert(uid_validity) != uid_validity {
            self.wrong(place, format!("UIDVALIDITY was {:?} and is {uid_validity}", memory.uid_validity));
        }
        if uid_next < memory.uid_next {
            self.wrong(place, format!("UIDNEXT was {} and is {uid_next}", memory.uid_next));
        }
        if mod_seq < memory.mod_seq {
            self.wrong(place, format!("HIGHESTMODSEQ was {} and is {mod_seq}", memory.mod_seq));
        }
        (memory.uid_next, memory.mod_seq) = (uid_next, mod_seq);
        let mut shown = Shown::new();
        let mut last = 0;
        for message in imap.fetch("1:*", "(UID FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])").unwrap() {
            let (uid, flags) = (message.uid(), message.flags());
            if uid <= last || u64::from(uid) >= uid_next {
                self.wrong(place, format!("UID {uid} comes after {last} while UIDNEXT is {uid_next}"));
            }
            last = uid;
            let Some(id) = letter::id_in(message.octets("BODY[HEADER.FIELDS")) else {
                self.wrong(place, format!("UID {uid} has no Message-ID: it is not whole"));
                continue;
            };
            let first = memory.uids.entry(uid).or_insert_with(|| id.clone());
            if *first != id {
                self.wrong(place, format!("UID {uid} stood for {first} and stands for {id}"));
            }
            if shown.insert(id.clone(), Row { uid, flags }).is_some() {
                self.wrong(place, format!("{id} is there twice"));
            }
        }
        self.memory.insert(place, memory);
        if depth == Depth::Bodies && !shown.is_empty() {
            for message in imap.fetch("1:*", "(UID BODY.PEEK[])").unwrap() {
                if !letter::is_whole(message.octets("BODY[]")) {
                    self.wrong(place, format!("UID {} is not whole over IMAP", message.uid()));
                }
            }
        }
        shown
    }

    /// Every file is a whole message with its own UID, and is shown.
    fn look_at_disk(&mut self, maildir: &Path, place: Place, shown: &Shown) {
        let directory = if place.1 == "INBOX" { maildir.to_owned() } else { maildir.join(format!(".{}", place.1)) };
        let mut uids = BTreeSet::new();
        for half in ["new", "cur"] {
            let Ok(entries) = fs::read_dir(directory.join(half)) else { continue };
            for entry in entries {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                let field = |key: &str| {
                    let fields = name.split(':').next().unwrap().split(',');
                    fields.filter_map(|field| field.strip_prefix(key)).find_map(|value| value.parse::<u64>().ok())
                };
                let octets = fs::read(entry.path()).unwrap();
                if field("S=") != Some(octets.len() as u64) || !letter::is_whole(&octets) {
                    self.wrong(place, format!("{half}/{name} is not whole: {} octets", octets.len()));
                }
                match field("U=") {
                    Some(uid) if uids.insert(uid) => {}
                    uid => self.wrong(place, format!("{half}/{name}: UID {uid:?} is missing or there twice")),
                }
            }
        }
        let listed: BTreeSet<u64> = shown.values().map(|row| u64::from(row.uid)).collect();
        if uids != listed {
            self.wrong(place, format!("shown and on disk differ in {:?}", uids.symmetric_difference(&listed)));
        }
        self.messages += uids.len();
        self.temporary += fs::read_dir(directory.join("tmp")).map_or(0, Iterator::count);
    }

    fn compare(
        &mut self,
        ledger: &mut Ledger,
        shown: &BTreeMap<Place, Shown>,
        strange: &mut BTreeSet<(Place, String)>,
    ) {
        let Ledger { letters, settled, .. } = ledger;
        for (id, entry) in letters {
            let places: BTreeSet<Place> = entry.copies.iter().map(|copy| copy.place).collect();
            let mut present = 0;
            for place in places {
                strange.remove(&(place, id.clone()));
                let row = shown[&place].get(id);
                present += usize::from(row.is_some());
                if let Some(row) = row
                    && let Some(old) = entry.copies.iter().find(|copy| is_past(copy, place, row.uid))
                {
                    self.wrong(place, format!("{id} was expunged and is there again with UID {:?}", old.uid));
                }
                let copy = entry.at(place).unwrap();
                if copy.presence == Presence::Doubtful {
                    settled[usize::from(row.is_none())] += 1;
                }
                let because = check(copy, row);
                self.faults.extend(because.map(|because| format!("{place:?}: {id} {because}")));
            }
            if std::mem::take(&mut entry.somewhere) && present == 0 {
                self.faults.push(format!("{id} was being moved and is nowhere"));
            }
        }
    }
}

/// Whether a copy that is gone had this UID.
fn is_past(copy: &Copy, place: Place, uid: u32) -> bool {
    copy.place == place && copy.presence == Presence::Gone && copy.uid == Some(uid)
}

/// Compares the latest copy in a folder with what is shown there, and settles doubts.
fn check(copy: &mut Copy, row: Option<&Row>) -> Option<String> {
    let Some(row) = row else {
        let lost = copy.presence == Presence::Here;
        copy.presence = Presence::Gone;
        return lost.then(|| format!("(UID {:?}) was acknowledged and is not there", copy.uid));
    };
    if copy.presence == Presence::Gone {
        return Some(format!("is gone (UID {:?}) and is there with UID {}", copy.uid, row.uid));
    }
    copy.presence = Presence::Here;
    if *copy.uid.get_or_insert(row.uid) != row.uid {
        return Some(format!("had UID {:?} and has {}", copy.uid, row.uid));
    }
    if !copy.flags.contains(&row.flags) {
        return Some(format!("(UID {}) has the flags {:?}; possible are {:?}", row.uid, row.flags, copy.flags));
    }
    copy.flags = vec![row.flags.clone()];
    None
}
