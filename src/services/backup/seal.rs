//! Encrypting configuration and keys with the program `age`, for those who may read them.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Error;
use super::create::Run;
use super::error::{Remedy, at};
use super::repository::{Block, FileContent, FileRecord, ObjectId, Snapshot};
use crate::foundations::files::read_bounded;

/// How files are encrypted.
pub struct Seal {
    recipients: Vec<String>,
    /// What the newest backup has, by path. Unchanged files are not encrypted again, since the result would differ
    /// each time.
    before: HashMap<String, FileRecord>,
}

/// Whether the text is something that `age` encrypts for: a public key of `age` or SSH. A secret key is not, and
/// must not become an argument of a program, which others can see, or part of a message.
pub fn is_recipient(text: &str) -> bool {
    let is_plain = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let is_ssh = ["ssh-ed25519 ", "ssh-rsa "].iter().any(|kind| text.starts_with(kind));
    is_ssh || text.strip_prefix("age1").is_some_and(is_plain)
}

/// Largest file that is encrypted.
const LARGEST: u64 = 16 << 20;

impl Seal {
    /// For these recipients; without any, nothing is encrypted.
    pub fn new(recipients: &[String], previous: Option<&Snapshot>) -> Self {
        let before = previous.iter().flat_map(|snapshot| &snapshot.files);
        Self { recipients: recipients.to_vec(), before: before.map(|file| (file.path.clone(), file.clone())).collect() }
    }

    /// Stores a configuration file; `None` when it does not exist.
    pub fn file(&self, run: &Run, path: &Path, block: &mut Block<'_>) -> Result<Option<FileRecord>, Error> {
        if self.recipients.is_empty() {
            return run.file(Path::new("/"), path, block);
        }
        if !self.recipients.iter().all(|recipient| is_recipient(recipient)) {
            let because = "one of `backup.age_recipients` is not a recipient: expected `age1…` or a public SSH key";
            return Err(Error::Program { program: "age", because: because.to_owned(), remedy: Remedy::Change });
        }
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at("read", path)(error)),
        };
        let changed = metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
        let name = path.to_string_lossy().into_owned();
        let mark = self.mark(path, &metadata);
        let known = self.before.get(&name).filter(|known| known.sealed == Some(mark) && known.changed == changed);
        if let Some(known) = known
            && let FileContent::Objects(objects) = &known.content
            && objects.iter().all(|object| run.repository.has(object))
        {
            return Ok(Some(known.clone()));
        }
        let mut arguments = Vec::new();
        for recipient in &self.recipients {
            arguments.extend(["-r", recipient]);
        }
        let sealed = age(&arguments, &read_bounded(path, LARGEST)?)?;
        let content = FileContent::Objects(vec![block.add(&sealed)?]);
        Ok(Some(FileRecord { path: name, mode: metadata.mode() & 0o7777, changed, sealed: Some(mark), content }))
    }

    /// Identifies the recipients and the file. Its date alone is not enough: in the Nix store all files have the same date,
    /// and a link points to another file when the content changes. A digest of the content would help to guess a secret.
    fn mark(&self, path: &Path, metadata: &fs::Metadata) -> ObjectId {
        let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let (number, length) = (metadata.ino(), metadata.len());
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        let recipients = self.recipients.join("\n");
        ObjectId::of(format!("{recipients}\n{}\n{number} {length} {changed:?}", place.display()).as_bytes())
    }
}

/// Decrypts something with the key in a file.
pub fn open(sealed: &[u8], identity: &Path) -> Result<Vec<u8>, Error> {
    age(&["-d", "-i", &identity.to_string_lossy()], sealed)
}

/// Runs `age` with some input.
fn age(arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, Error> {
    let failed = |because: String, remedy| Error::Program { program: "age", because, remedy };
    let mut command = Command::new("age");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let spawned = command.spawn();
    let mut child = spawned.map_err(|error| failed(format!("it cannot be started: {error}"), Remedy::of(&error)))?;
    let mut pipe = child.stdin.take();
    let output = std::thread::scope(|scope| {
        // It begins to write before it has read everything.
        scope.spawn(move || {
            // It reports itself if it stopped reading.
            let _ = pipe.as_mut().map(|pipe| pipe.write_all(input));
        });
        child.wait_with_output()
    });
    let output = output.map_err(|error| failed(error.to_string(), Remedy::Patience))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    // A refused key or input is refused again the next time; a signal came from outside.
    let remedy = if output.status.code().is_some() { Remedy::Change } else { Remedy::Patience };
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned(), remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_key_is_no_recipient() {
        for text in ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudjx5u9s0a4xyz", "ssh-ed25519 AAAAC3Nz a@b"] {
            assert!(is_recipient(text), "{text}");
        }
        for text in
            ["AGE-SECRET-KEY-1QQQ", "age1", "age1 x", "nonsense", "-o", "", "-----BEGIN OPENSSH PRIVATE KEY-----"]
        {
            assert!(!is_recipient(text), "{text}");
        }
    }

    #[test]
    fn a_file_of_the_same_date_is_not_taken_for_another() {
        let place = tempfile::tempdir().unwrap();
        let [one, other, link] = ["one", "other", "link"].map(|name| place.path().join(name));
        for (file, content) in [(&one, "a"), (&other, "b")] {
            fs::write(file, content).unwrap();
            let file = fs::File::options().write(true).open(file).unwrap();
            file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1)).unwrap();
        }
        let seal = |recipient: &str| Seal::new(&[recipient.to_owned()], None);
        let mark = |seal: &Seal| seal.mark(&link, &fs::metadata(&link).unwrap());
        std::os::unix::fs::symlink(&one, &link).unwrap();
        let before = mark(&seal("age1a"));
        assert_eq!(mark(&seal("age1a")), before);
        assert_ne!(mark(&seal("age1b")), before);
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&other, &link).unwrap();
        assert_ne!(mark(&seal("age1a")), before);
    }
}
