use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use serde::Serialize;

use crate::cli::config_files::{NO_CONFIG_FILES, NO_SECRETS, declared, each_path};
use crate::cli::context::Context;
use crate::config::Config;
use crate::foundations::files::read_bounded;
use crate::foundations::settings::{Setting as _, Shape};
use crate::services::accounts::DeclaredFile;
use crate::services::backup::{Destination, Source};
use crate::storage::database::Database;

/// Files named in the configuration that are larger than this are not treated as configuration.
const LARGEST_FILE: u64 = 16 << 20;
/// The depth to which configuration directories are followed.
const DEPTH: usize = 8;
/// The most files in a configuration directory.
const MOST_FILES: usize = 20_000;
/// The text that marks a file with a private key, whatever setting names it.
const PRIVATE_KEY: &[u8] = b"PRIVATE KEY-----";

/// Whether a backup includes files with secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrets {
    Taken,
    LeftOut,
}

/// Something that the configuration names, or that is in a mailbox, and will not be in the backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct LeftOut {
    pub(super) path: PathBuf,
    pub(super) because: String,
}

impl LeftOut {
    /// Something in the mailboxes whose name is not text.
    pub(super) fn unnamed(path: &Path) -> Self {
        Self { path: readable(path), because: "its name is not UTF-8; rename it".to_owned() }
    }

    /// A message whose file cannot be read.
    pub(super) fn unreadable(path: &Path, why: &str) -> Self {
        let because = format!("it cannot be read ({why}); restore it from an earlier backup, or permit reading");
        Self { path: readable(path), because }
    }

    /// A message that was renamed every time before it could be read.
    pub(super) fn missed(path: &Path) -> Self {
        let because =
            "it was renamed each time before it could be read; take another backup when its folder is less busy";
        Self { path: readable(path), because: because.to_owned() }
    }
}

/// A path as readable text, even if it is not UTF-8.
fn readable(path: &Path) -> PathBuf {
    let mut readable = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        readable.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|octet| _ = write!(readable, "\\x{octet:02x}"));
    }
    readable.into()
}

/// What this server has, and which of its configuration files cannot be read.
pub(super) fn of(
    context: &Context,
    config: &Config,
    secrets: Secrets,
    database: Database,
) -> anyhow::Result<(Source, Vec<LeftOut>)> {
    let source = context.source();
    let mut found = Found {
        credentials: source.credentials.clone(),
        apart: vec![config.storage.mail_root.clone(), config.spool.directory.clone()],
        files: BTreeSet::new(),
        left_out: Vec::new(),
        secrets,
        secret: BTreeMap::new(),
    };
    if let Destination::Directory(path) = &config.backup.destination {
        found.apart.push(path.clone());
    }
    found.take(&source.path);
    if config.storage.database.has_password() {
        found.keeps_secret(&source.path, &source.path.display().to_string());
    }
    let table: toml::Table = std::fs::read_to_string(&source.path)?.parse()?;
    found.named(&Config::shape(), &toml::Value::Table(table));
    // It may be absent from the text, and the server creates it with its first certificate.
    if !config.tls.acme.is_empty() && config.tls.acme_state.exists() {
        let state = &config.tls.acme_state;
        match secrets {
            Secrets::Taken => found.take(state),
            Secrets::LeftOut => found.keeps_secret(state, &state.display().to_string()),
        }
    }
    if let Some(path) = &config.accounts.declared
        && let Err(because) = found.declared(path)
    {
        found.left_out.push(LeftOut { path: path.clone(), because });
    }
    found.sort_secrets_out();
    let mut left_out = found.left_out;
    left_out.dedup();
    let source = Source {
        hostname: config.hostname.to_string(),
        mail_root: config.storage.mail_root.clone(),
        spool: config.spool.directory.clone(),
        database,
        files: found.files.into_iter().collect(),
        secrets_left_out: found.secret.into_values().collect(),
        recipients: config.backup.age_recipients.clone(),
        may_be_empty: false,
    };
    Ok((source, left_out))
}

/// Every file that a configuration names: certificates, keys, secrets, rules, scripts, declared accounts, and the
/// contents of the directories it names. Taken from the text rather than from the settings, so that new settings are
/// not forgotten here.
struct Found {
    credentials: Option<PathBuf>,
    /// Directories that are never included as part of another one.
    apart: Vec<PathBuf>,
    files: BTreeSet<PathBuf>,
    left_out: Vec<LeftOut>,
    secrets: Secrets,
    /// Files and directories left out because they hold secrets, and how the configuration names them.
    secret: BTreeMap<PathBuf, String>,
}

impl Found {
    /// Adds the files that a document of this shape names.
    fn named(&mut self, shape: &Shape, document: &toml::Value) {
        let mut paths = BTreeMap::new();
        each_path(shape, document, "", &mut |key, text| {
            if !text.is_empty() && !NO_CONFIG_FILES.contains(&key) {
                let is_secret = paths.entry(text.to_owned()).or_insert(false);
                *is_secret |= !NO_SECRETS.contains(&key);
            }
        });
        for (text, is_secret) in paths {
            let path = match (text.strip_prefix("credential:"), &self.credentials) {
                (None, _) => PathBuf::from(&text),
                (Some(name), Some(directory)) => directory.join(name),
                (Some(_), None) => {
                    self.leaves_out(Path::new(&text), "CREDENTIALS_DIRECTORY is not set");
                    continue;
                }
            };
            if is_secret && self.secrets == Secrets::LeftOut && path.exists() {
                self.keeps_secret(&path, &text);
            } else {
                self.take(&path);
            }
        }
        // Other paths, such as those in a command line.
        each_text(document, &mut |text| {
            let path = Path::new(text);
            if path.is_absolute() && is_configuration(path) {
                self.files.insert(plain(path));
            }
        });
    }

    /// Adds the password files that the declared accounts name.
    fn declared(&mut self, path: &Path) -> Result<(), String> {
        // A missing file has been reported already.
        let Some(document) = declared(path)? else { return Ok(()) };
        self.named(&DeclaredFile::shape(), &document);
        Ok(())
    }

    /// Adds a file, or all files in a directory.
    fn take(&mut self, path: &Path) {
        match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => self.take_directory(path, DEPTH),
            Ok(found) if !found.is_file() => self.leaves_out(path, "it is not a regular file"),
            Ok(found) if found.len() > LARGEST_FILE => {
                self.leaves_out(path, &format!("it has more than {} MiB", LARGEST_FILE >> 20));
            }
            Ok(_) => _ = self.files.insert(plain(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.leaves_out(path, "it does not exist"),
            Err(error) => self.leaves_out(path, &error.to_string()),
        }
    }

    /// Leaves out a file or directory with secrets, if secrets are to be left out.
    fn keeps_secret(&mut self, path: &Path, named: &str) {
        if self.secrets == Secrets::LeftOut {
            self.secret.insert(plain(path), named.to_owned());
        }
    }

    /// Removes secrets that another setting or a directory has brought in.
    fn sort_secrets_out(&mut self) {
        if self.secrets == Secrets::Taken {
            return;
        }
        for path in std::mem::take(&mut self.files) {
            if self.secret.keys().any(|secret| path.starts_with(secret)) {
                continue;
            }
            let content = read_bounded(&path, LARGEST_FILE).unwrap_or_default();
            if memchr::memmem::find(&content, PRIVATE_KEY).is_some() {
                let named = path.display().to_string();
                self.secret.insert(path, named);
            } else {
                self.files.insert(path);
            }
        }
    }

    fn take_directory(&mut self, path: &Path, depth: usize) {
        let entries = match std::fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            Err(error) => return self.leaves_out(path, &error.to_string()),
        };
        for path in entries.into_iter().map(|entry| entry.path()) {
            let Ok(found) = std::fs::metadata(&path) else { continue };
            if self.files.len() >= MOST_FILES {
                return self.leaves_out(&path, "its directory has too many files to be configuration");
            }
            if found.is_file() {
                self.take(&path);
            } else if found.is_dir() && !path.is_symlink() && depth > 0 && !self.apart.contains(&path) {
                self.take_directory(&path, depth - 1);
            }
        }
    }

    fn leaves_out(&mut self, path: &Path, because: &str) {
        self.left_out.push(LeftOut { path: plain(path), because: because.to_owned() });
    }
}

fn each_text(value: &toml::Value, each: &mut dyn FnMut(&str)) {
    match value {
        toml::Value::String(text) => each(text),
        toml::Value::Array(values) => values.iter().for_each(|value| each_text(value, each)),
        toml::Value::Table(table) => table.values().for_each(|value| each_text(value, each)),
        _ => {}
    }
}

/// The absolute path, without anything that a restore would refuse.
fn plain(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if !absolute.components().any(|part| part == Component::ParentDir) {
        return absolute;
    }
    let above = absolute.parent().and_then(|above| above.canonicalize().ok());
    match (above, absolute.file_name()) {
        (Some(above), Some(name)) => above.join(name),
        _ => absolute.canonicalize().unwrap_or(absolute),
    }
}

fn is_configuration(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() <= LARGEST_FILE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::config_files::joined;

    fn found(credentials: Option<&Path>) -> Found {
        let credentials = credentials.map(Path::to_owned);
        let (files, secret) = (BTreeSet::new(), BTreeMap::new());
        Found { credentials, apart: vec![], files, left_out: vec![], secrets: Secrets::Taken, secret }
    }

    #[test]
    fn every_file_and_directory_that_is_named_is_found() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        for directory in ["keys/old", "scripts", "mail"] {
            std::fs::create_dir_all(path(directory)).unwrap();
        }
        for file in ["keys/a.pem", "keys/old/b.pem", "scripts/one.sieve", "mail/x", "password", "secret", "listed"] {
            std::fs::write(path(file), "x").unwrap();
        }
        let shown = |name: &str| path(name).display().to_string();
        let text = format!(
            "[storage]\nmail_root = \"{}\"\n[spam.dkim.rotation]\ndirectory = \"{}\"\n[delivery.sieve]\nglobal = \"{}\"\n\
             [routing.srs]\nsecret_file = \"credential:secret\"\n[[spam.dkim.keys]]\nfile = \"{}\"\n[login]\nanything = \"{}\"\n",
            shown("mail"),
            shown("keys"),
            shown("scripts/../scripts"),
            shown("gone.pem"),
            shown("listed"),
        );
        let document = toml::Value::Table(text.parse().unwrap());
        let mut all = found(Some(place.path()));
        all.named(&Config::shape(), &document);
        let files: Vec<_> =
            all.files.iter().map(|file| file.strip_prefix(place.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(files, ["keys/a.pem", "keys/old/b.pem", "listed", "scripts/one.sieve", "secret"]);
        let gone = LeftOut { path: path("gone.pem"), because: "it does not exist".to_owned() };
        assert_eq!(all.left_out, [gone]);
        let mut without = found(None);
        without.named(&Config::shape(), &document);
        assert_eq!(without.left_out.len(), 2, "{:?}", without.left_out);
    }

    #[test]
    fn secrets_are_left_out_whoever_names_them() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        for directory in ["keys", "scripts"] {
            std::fs::create_dir_all(path(directory)).unwrap();
        }
        for (file, content) in [
            ("keys/a.pem", "x"),
            ("cert.pem", "-----BEGIN CERTIFICATE-----\n"),
            ("both.pem", "-----BEGIN CERTIFICATE-----\n-----BEGIN EC PRIVATE KEY-----\n"),
            ("scripts/one.sieve", "keep;"),
            ("scripts/password", "x"),
            ("secret", "x"),
            ("new", "x"),
        ] {
            std::fs::write(path(file), content).unwrap();
        }
        let shown = |name: &str| path(name).display().to_string();
        let text = format!(
            "[[tls.certificates]]\ncert = \"{0}/cert.pem\"\nkey = \"{0}/keys/a.pem\"\n\
             [[tls.certificates]]\ncert = \"{0}/both.pem\"\nkey = \"{0}/both.pem\"\n\
             [spam.dkim.rotation]\ndirectory = \"{0}/keys\"\n[delivery.sieve]\nglobal = \"{0}/scripts\"\n\
             [database]\npassword_file = \"{0}/scripts/password\"\n[routing.srs]\nsecret_file = \"credential:secret\"\n\
             [login]\ntwo_factor_key_file = \"{0}/gone\"\n",
            place.path().display()
        );
        let mut all = Found { secrets: Secrets::LeftOut, ..found(Some(place.path())) };
        all.named(&Config::shape(), &toml::Value::Table(text.parse().unwrap()));
        all.sort_secrets_out();
        assert_eq!(all.files.into_iter().collect::<Vec<_>>(), [path("cert.pem"), path("scripts/one.sieve")]);
        let mut named: Vec<String> = all.secret.into_values().collect();
        named.sort();
        let mut wanted = ["both.pem", "keys", "keys/a.pem", "scripts/password"].map(shown).to_vec();
        wanted.push("credential:secret".to_owned());
        wanted.sort();
        assert_eq!(named, wanted);
        assert_eq!(all.left_out, [LeftOut { path: path("gone"), because: "it does not exist".to_owned() }]);
    }

    #[test]
    fn what_is_public_is_a_setting() {
        let mut keys = BTreeSet::new();
        fn each(shape: &Shape, key: &str, keys: &mut BTreeSet<String>) {
            match shape {
                Shape::Table { entries, .. } => {
                    entries.iter().for_each(|entry| each(&entry.shape, &joined(key, entry.name), keys));
                }
                Shape::List(inner) | Shape::Map(inner) => each(inner, key, keys),
                _ => _ = keys.insert(key.to_owned()),
            }
        }
        each(&Config::shape(), "", &mut keys);
        for key in NO_SECRETS.iter().chain(&NO_CONFIG_FILES) {
            assert!(keys.contains(*key), "{key}");
        }
    }

    #[test]
    fn files_named_by_a_relative_path_are_found() {
        // Tests run in the package directory.
        let text = "[[spam.dkim.keys]]\nfile = \"Cargo.toml\"\n[spam.rules]\nfiles = [\"src/../build.rs\"]\n";
        let mut all = found(None);
        all.named(&Config::shape(), &toml::Value::Table(text.parse().unwrap()));
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(all.files.into_iter().collect::<Vec<_>>(), [here.join("Cargo.toml"), here.join("build.rs")]);
    }

    #[test]
    fn declared_accounts_name_files_of_passwords() {
        let place = tempfile::tempdir().unwrap();
        let password = place.path().join("password");
        std::fs::write(&password, "x").unwrap();
        let shown = password.display();
        let toml = format!("[domains.\"a.test\".users.ann]\npassword_file = \"{shown}\"\n");
        let json = format!(
            r#"{{"domains":{{"a.test":{{"users":{{"ann":{{"hashed_password_file":"{shown}","quota":null}}}}}}}}}}"#
        );
        for (name, content) in [("accounts.toml", toml), ("accounts.json", json)] {
            let declared = place.path().join(name);
            std::fs::write(&declared, content).unwrap();
            let mut all = found(None);
            all.declared(&declared).unwrap();
            assert_eq!(all.files.into_iter().collect::<Vec<_>>(), std::slice::from_ref(&password), "{name}");
        }
        std::fs::write(place.path().join("bad.toml"), "[").unwrap();
        assert!(found(None).declared(&place.path().join("bad.toml")).is_err());
    }
}
