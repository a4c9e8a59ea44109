//! What existed at one moment.

use std::fmt;
use std::io::{self, Read as _};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};

use super::{FORMAT, ObjectId};
use crate::foundations::clock::Timestamp;
use crate::services::backup::Error;
use crate::services::backup::error::damaged;
use crate::services::backup::tree::is_file_name;
use crate::storage::database::Table;

/// The name of a snapshot: its time to the second, in UTC: `20260131T020000Z`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId(String);

/// The text is not the name of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of a backup: expected its time in UTC, such as 20260131T020000Z")]
pub struct InvalidSnapshotId(String);

const FORM: &str = "%Y%m%dT%H%M%SZ";

impl SnapshotId {
    /// The name for a time.
    pub fn at(moment: Timestamp) -> Self {
        Self(moment.utc().format(FORM).to_string())
    }

    /// The time, to the second.
    pub fn moment(&self) -> Timestamp {
        let moment = NaiveDateTime::parse_from_str(&self.0, FORM).unwrap_or_default();
        Timestamp::from_unix_seconds(moment.and_utc().timestamp())
    }

    /// Whether its time is in the future by more than clocks differ: the clock was ahead when it was taken, or is behind now.
    pub fn is_ahead(&self, now: Timestamp) -> bool {
        self.moment() > now + DIFFERENCE_OF_CLOCKS
    }
}

/// How far a backup's time may be ahead of the clock.
const DIFFERENCE_OF_CLOCKS: Duration = Duration::from_hours(24);

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SnapshotId {
    type Err = InvalidSnapshotId;
    fn from_str(text: &str) -> Result<Self, InvalidSnapshotId> {
        match NaiveDateTime::parse_from_str(text, FORM) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(InvalidSnapshotId(text.chars().take(40).collect())),
        }
    }
}

impl Serialize for SnapshotId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SnapshotId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A backup: everything the server had at one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    /// The format of this document.
    pub format: u32,
    /// Its name.
    pub id: SnapshotId,
    /// When it was begun, which is the time of the database's content.
    pub at: Timestamp,
    /// When it was complete.
    pub finished: Timestamp,
    /// Whether every message was read, known or not.
    pub full: bool,
    /// The version of the program that took it.
    pub version: String,
    /// The server's name.
    pub hostname: String,
    /// How much it contains.
    pub totals: Totals,
    /// The SHA-256 of the names of all packs at that time, including this backup's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packs: Option<ObjectId>,
    /// Everybody with a mailbox, sorted.
    pub users: Vec<UserEntry>,
    /// The database.
    pub database: DatabaseRecord,
    /// Bodies of queued mail, by their queue ids.
    pub spool: Vec<FileRecord>,
    /// Configuration, keys and certificates, by their absolute paths.
    pub files: Vec<FileRecord>,
    /// Files and directories with secrets that were left out on purpose: a restored server needs them from elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets_left_out: Vec<String>,
}

/// How much a backup holds, and what it cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Messages in mailboxes.
    pub messages: u64,
    /// Their octets.
    pub octets: u64,
    /// Messages that were read for it.
    pub read: u64,
    /// Octets that no earlier backup had.
    pub new_octets: u64,
    /// Octets by which the repository grew.
    pub stored: u64,
}

/// A user of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserEntry {
    /// The directory of the domain.
    pub domain: String,
    /// The directory of the local part.
    pub local: String,
    /// Messages in all folders.
    pub messages: u64,
    /// Their octets.
    pub octets: u64,
    /// The object with the [`UserRecord`].
    pub record: ObjectId,
}

impl UserEntry {
    /// As an address.
    pub fn address(&self) -> String {
        format!("{}@{}", self.local, self.domain)
    }
}

/// A user's mail.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRecord {
    /// The folders, the inbox among them, sorted by directory.
    pub folders: Vec<FolderRecord>,
    /// Everything else in the user's directory: subscriptions, keywords, UIDVALIDITY, Sieve scripts.
    pub files: Vec<FileRecord>,
}

/// A folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderRecord {
    /// Its directory below the user's: `.Sent`; empty for the inbox.
    pub directory: String,
    /// Messages in it.
    pub messages: u64,
    /// Their octets.
    pub octets: u64,
    /// When the directories `new` and `cur` had last changed, in nanoseconds since 1970; `None` when they changed while
    /// they were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<[i64; 2]>,
    /// The objects that list its messages, [`crate::services::backup::tree`].
    pub pages: Vec<ObjectId>,
}

/// A file other than a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Where it belongs.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// When it was changed last, in nanoseconds since 1970.
    pub changed: i64,
    /// Set if `age` has encrypted it: a digest of the recipients and the file's metadata. `None` when it is not encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<ObjectId>,
    /// Its content.
    #[serde(flatten)]
    pub content: FileContent,
}

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileContent {
    /// These objects, one after the other.
    Objects(Vec<ObjectId>),
    /// It is a symbolic link with this target.
    Link(String),
}

/// The database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseRecord {
    /// Which engine it was taken from.
    pub engine: String,
    /// Its tables, each after those that its rows refer to.
    pub tables: Vec<TableRecord>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRecord {
    /// Name and columns.
    #[serde(flatten)]
    pub table: Table,
    /// Its rows.
    pub rows: u64,
    /// Objects with the rows: one JSON array per line.
    pub objects: Vec<ObjectId>,
}

/// The end of snapshot file names.
pub(super) const ENDING: &str = "snapshot";
/// Largest snapshot that is written or read, compressed or not.
pub(super) const LARGEST: u64 = 1 << 30;
const DIGEST: usize = 32;

impl Snapshot {
    /// The stored form: compressed JSON, then its SHA-256.
    pub(super) fn to_octets(&self) -> Result<Vec<u8>, Error> {
        let fault = |error: String| Error::Fault(error);
        let json = serde_json::to_vec(self).map_err(|error| fault(error.to_string()))?;
        if json.len() as u64 > LARGEST {
            return Err(fault(format!(
                "the backup's list would have {} octets, but at most {LARGEST} are read",
                json.len()
            )));
        }
        let mut content = zstd::bulk::compress(&json, 3).map_err(|error| fault(error.to_string()))?;
        content.extend_from_slice(&ObjectId::of(&content).0);
        Ok(content)
    }

    /// From the content stored under this path.
    pub(super) fn from_octets(path: &Path, content: &[u8]) -> Result<Self, Error> {
        let split = content.len().checked_sub(DIGEST).ok_or_else(|| damaged(path, "it is truncated"))?;
        let (compressed, digest) = content.split_at(split);
        if ObjectId::of(compressed).0 != digest {
            return Err(damaged(path, "its checksum does not match"));
        }
        let json = decompressed(compressed, LARGEST).map_err(|error| damaged(path, error))?;
        let head: Head = serde_json::from_slice(&json).map_err(|error| damaged(path, error))?;
        if head.format != FORMAT {
            return Err(Error::Format { path: path.to_owned(), format: head.format });
        }
        let snapshot: Self = serde_json::from_slice(&json).map_err(|error| damaged(path, error))?;
        let is_place = |user: &UserEntry| [&user.domain, &user.local].iter().all(|name| is_file_name(name.as_bytes()));
        match snapshot.users.iter().find(|user| !is_place(user)) {
            Some(user) => Err(damaged(path, format!("the mail of {} is outside the mail root", user.address()))),
            None => Ok(snapshot),
        }
    }
}

/// Decompressed content of at most this many octets: a few octets written by others may expand to more than fits in memory.
fn decompressed(compressed: &[u8], largest: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let read = zstd::Decoder::new(compressed)?.take(largest.saturating_add(1)).read_to_end(&mut content)?;
    if read as u64 > largest {
        return Err(io::Error::other(format!("it holds more than {largest} octets")));
    }
    Ok(content)
}

/// The part that every format has.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_moments() {
        let id = SnapshotId::at(Timestamp::from_unix_seconds(1_769_824_800));
        assert_eq!(id.to_string(), "20260131T020000Z");
        assert_eq!(id.moment(), Timestamp::from_unix_seconds(1_769_824_800));
        assert_eq!("20260131T020000Z".parse(), Ok(id));
        for text in ["", "latest", "20261331T020000Z", "../../x", "20260131T020000Z.snapshot"] {
            assert!(text.parse::<SnapshotId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_moment_may_not_have_come() {
        let id: SnapshotId = "20260131T020000Z".parse().unwrap();
        for (now, ahead) in [("20260130T015959Z", true), ("20260130T020000Z", false), ("20350101T000000Z", false)] {
            assert_eq!(id.is_ahead(now.parse::<SnapshotId>().unwrap().moment()), ahead, "{now}");
        }
    }

    #[test]
    fn users_have_directories_and_no_paths() {
        let snapshot = |domain: &str, local: &str| Snapshot {
            format: FORMAT,
            id: SnapshotId::at(Timestamp::EPOCH),
            at: Timestamp::EPOCH,
            finished: Timestamp::EPOCH,
            full: true,
            version: String::new(),
            hostname: String::new(),
            totals: Totals::default(),
            packs: None,
            users: vec![UserEntry {
                domain: domain.to_owned(),
                local: local.to_owned(),
                messages: 0,
                octets: 0,
                record: ObjectId::of(b""),
            }],
            database: DatabaseRecord { engine: String::new(), tables: vec![] },
            spool: vec![],
            files: vec![],
            secrets_left_out: vec![],
        };
        let read = |snapshot: Snapshot| Snapshot::from_octets(Path::new("x"), &snapshot.to_octets().unwrap());
        assert!(read(snapshot("example.test", "ann")).is_ok());
        for (domain, local) in [("..", "ann"), ("example.test", "../../etc"), ("/etc", "cron.d"), ("", "ann")] {
            assert!(read(snapshot(domain, local)).is_err(), "{domain} {local}");
        }
    }

    #[test]
    fn few_octets_do_not_stand_for_any_number() {
        let compressed = zstd::bulk::compress(&vec![b' '; 1 << 20], 3).unwrap();
        assert_eq!(decompressed(&compressed, 1 << 20).unwrap().len(), 1 << 20);
        let error = decompressed(&compressed, (1 << 20) - 1).unwrap_err();
        assert!(error.to_string().contains("more than 1048575 octets"), "{error}");
    }
}
