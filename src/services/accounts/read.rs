//! Reading the file of declared accounts, with every mistake in it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::compare::alias_loops;
use super::declaration::{Declaration, DeclaredAlias, DeclaredPassword, DeclaredUser, UnusablePassword};
use super::json;
use super::passwords;
use super::settings::{DeclaredDomain, DeclaredFile, UserEntry};
use crate::foundations::address::{Address, Domain};
use crate::foundations::counted::counted;
use crate::foundations::files;
use crate::foundations::settings::{Place, Problem, Problems, Setting};
use crate::services::routing::RoutingSettings;
use crate::storage::directory::Everything;
use crate::storage::directory::{Source, Standing};

/// More than anyone would declare; a wrong path must not fill the memory.
const LARGEST: u64 = 64 << 20;

/// Whether the files with passwords are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// Yes: they must be there and hold what can be used.
    Read,
    /// Yes, but one that cannot be used must not leave all others without their mail: its user gets no password, and it
    /// is listed in [`Declaration::unusable`].
    Usable,
    /// No: where the file is checked, perhaps on another machine, they do not exist. Users get no passwords.
    Skip,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeclarationError {
    /// It cannot be read.
    #[error("{path}: {because}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        because: String,
    },
    /// It holds mistakes: all of them, in the order of the text.
    #[error("{path}: {}; the first: {}", counted(problems.len(), "mistake"), first(problems))]
    Mistakes {
        /// The file.
        path: PathBuf,
        /// Its text, to find lines in.
        text: String,
        /// What is wrong, with places in the text.
        problems: Vec<Problem>,
    },
}

fn first(problems: &[Problem]) -> String {
    problems.first().map_or_else(String::new, |p| format!("`{}` is {}; wanted: {}", p.key, p.found, p.wanted))
}

impl Declaration {
    /// Aliases that would form a mail loop, a sentence for each. Considers the declaration only, not what else the
    /// directory holds.
    pub fn alias_loops(&self, routing: &RoutingSettings) -> Vec<String> {
        alias_loops(self, &Everything::default(), routing)
    }

    /// Reads a file: JSON when its name ends in `.json`, else TOML. A path in it may be written `credential:NAME` for a
    /// file in the directory `credentials`. Blocks: call it outside the async threads.
    pub fn load(path: &Path, secrets: Secrets, credentials: Option<&Path>) -> Result<Self, DeclarationError> {
        let failed = |because| DeclarationError::File { path: path.to_owned(), because };
        let text = read_text(path, LARGEST).map_err(failed)?;
        let format = if path.extension().is_some_and(|e| e == "json") { Format::Json } else { Format::Toml };
        Self::parse(&text, format, secrets, credentials).map_err(|problems| DeclarationError::Mistakes {
            path: path.to_owned(),
            text,
            problems,
        })
    }

    /// The same for a text.
    pub fn parse(
        text: &str,
        format: Format,
        secrets: Secrets,
        credentials: Option<&Path>,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let mut root = match format {
            Format::Json => json::parse(text, &mut problems),
            Format::Toml => {
                let (document, errors) = DeTable::parse_recoverable(text);
                for error in errors {
                    let at = error.span().unwrap_or(0..0);
                    let wanted = error.message().to_owned();
                    problems.add(Problem { key: String::new(), at, found: String::new(), wanted });
                }
                DeValue::Table(document.into_inner())
            }
        };
        if let Some(directory) = credentials {
            put_credentials(&mut root, directory);
        }
        let file = DeclaredFile::read(&Place::root(&root, 0..text.len()), &mut problems).unwrap_or_default();
        let own = BTreeMap::new();
        let mut reader = Reader { root: &root, problems, secrets, declaration: Self::default(), own };
        for (name, domain) in &file.domains {
            reader.domain(name, domain);
        }
        reader.check_names();
        reader.declaration.aliases.sort();
        reader.declaration.aliases.dedup();
        if reader.problems.is_empty() { Ok(reader.declaration) } else { Err(reader.problems.into_sorted()) }
    }
}

/// How the file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// TOML.
    Toml,
    /// JSON.
    Json,
}

pub(super) fn read_text(path: &Path, most: u64) -> Result<String, String> {
    let bytes = files::read_bounded(path, most).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

/// Replaces `credential:NAME` by the path of that credential.
fn put_credentials(value: &mut DeValue<'_>, directory: &Path) {
    match value {
        DeValue::String(text) => {
            let plain = |name: &&str| !name.is_empty() && !name.contains('/') && *name != "..";
            if let Some(name) = text.strip_prefix("credential:").filter(plain) {
                *text = Cow::Owned(directory.join(name).display().to_string());
            }
        }
        DeValue::Array(items) => items.iter_mut().for_each(|item| put_credentials(item.get_mut(), directory)),
        DeValue::Table(table) => table.iter_mut().for_each(|(_, item)| put_credentials(item.get_mut(), directory)),
        _ => {}
    }
}

struct Reader<'a> {
    root: &'a DeValue<'a>,
    problems: Problems,
    secrets: Secrets,
    declaration: Declaration,
    /// The names users have besides their own, each with its user and its place.
    own: BTreeMap<String, (String, Vec<String>)>,
}

impl Reader<'_> {
    /// Records a mistake at the value with these keys.
    fn wrong(&mut self, keys: &[&str], found: &str, wanted: impl Into<String>) {
        let mut at = 0..0;
        let mut value = Some(self.root);
        for key in keys {
            let inner = value.and_then(|value| match key.parse::<usize>() {
                Ok(n) if value.is_array() => value.get(n.wrapping_sub(1)),
                _ => value.get(*key),
            });
            if let Some(inner) = inner {
                at = inner.span();
            }
            value = inner.map(toml::Spanned::get_ref);
        }
        let found = found.chars().take(60).collect();
        self.problems.add(Problem { key: keys.join("."), at, found, wanted: wanted.into() });
    }

    fn domain(&mut self, name: &str, entry: &DeclaredDomain) {
        let Ok(domain) = name.parse::<Domain>() else {
            return self.wrong(&["domains", name], name, "a domain such as \"example.com\"");
        };
        if self.declaration.domains.insert(domain.clone(), standing(entry.enabled)).is_some() {
            self.wrong(&["domains", name], name, "each domain once; upper and lower case are the same");
        }
        for (local, user) in &entry.users {
            self.user(name, &domain, local, user);
        }
        for (local, destinations) in &entry.aliases {
            let keys = ["domains", name, "aliases", local];
            let Some(source) = self.address(&keys, local, &domain) else { continue };
            if destinations.is_empty() {
                self.wrong(&keys, "an empty list", "at least one address; leave the alias out to have none");
            }
            for (n, destination) in destinations.iter().enumerate() {
                let n = (n + 1).to_string();
                self.alias(&[&keys[..], &[&n]].concat(), source.key(), destination, &domain);
            }
        }
        if let Some(destination) = &entry.catch_all {
            let source = Source::CatchAll(domain.clone()).key();
            self.alias(&["domains", name, "catch_all"], source, destination, &domain);
        }
    }

    fn user(&mut self, name: &str, domain: &Domain, local: &str, entry: &UserEntry) {
        let keys = ["domains", name, "users", local];
        let Some(address) = self.address(&keys, local, domain) else { return };
        if entry.quota.is_some_and(|quota| quota.get() == 0 || quota.get() >> 20 > i32::MAX as u64) {
            self.wrong(
                &[&keys[..], &["quota"]].concat(),
                "a quota",
                "from 1 octet to 2047T; leave it out for no limit",
            );
        }
        if let Some(text) = entry.display_name.as_deref()
            && (text.chars().count() > 255 || text.contains(char::is_control))
        {
            let keys = [&keys[..], &["display_name"]].concat();
            self.wrong(&keys, text, "at most 255 characters, without control characters");
        }
        for (n, alias) in entry.aliases.iter().enumerate() {
            let n = (n + 1).to_string();
            let keys = [&keys[..], &["aliases", &n]].concat();
            let Some(source) = self.address(&keys, alias, domain) else { continue };
            let (source, destination) = (source.key(), address.to_string());
            let place = keys.iter().map(|key| (*key).to_owned()).collect();
            let known = self.own.insert(source.clone(), (destination.clone(), place));
            if known.is_some_and(|(user, _)| user != destination) {
                let wanted = "a name of one user only; to reach several, declare it under `aliases` of the domain";
                self.wrong(&keys, alias, wanted);
            }
            self.declaration.aliases.push(DeclaredAlias { source, destination });
        }
        let password = self.password(&keys, &address, entry);
        let user = DeclaredUser {
            address: address.clone(),
            standing: standing(entry.enabled),
            quota: entry.quota,
            display_name: entry.display_name.clone(),
            password,
        };
        if self.declaration.users.insert(address.key(), user).is_some() {
            self.wrong(&keys, local, "each user once; upper and lower case are the same");
        }
    }

    /// A user's further name must not be another user's: it would take that user's mail.
    fn check_names(&mut self) {
        let own = std::mem::take(&mut self.own);
        for (source, (destination, place)) in &own {
            if self.declaration.users.contains_key(source) && source != destination {
                let keys: Vec<&str> = place.iter().map(String::as_str).collect();
                let wanted =
                    "another name: this one is a user; to send a user's mail elsewhere use `aliases` of the domain";
                self.wrong(&keys, source, wanted);
            }
        }
    }

    /// `name` or `name@domain`, in lower case, in this domain.
    fn address(&mut self, keys: &[&str], text: &str, domain: &Domain) -> Option<Address> {
        let full = if text.contains('@') { text.to_owned() } else { format!("{text}@{}", domain.as_str()) };
        match full.to_lowercase().parse::<Address>() {
            Ok(address) if address.domain() == domain && address.is_taken_everywhere() => Some(address),
            Ok(address) if address.domain() != domain => {
                self.wrong(keys, text, format!("a name of the domain {domain}"));
                None
            }
            _ => {
                self.wrong(keys, text, "the part of an address before the @, at most 64 octets, such as \"john.doe\"");
                None
            }
        }
    }

    fn alias(&mut self, keys: &[&str], source: String, text: &str, domain: &Domain) {
        let full = if text.contains('@') { text.to_owned() } else { format!("{text}@{}", domain.as_str()) };
        let destination = match (full.strip_prefix('@').map(str::parse::<Domain>), full.parse::<Address>()) {
            (Some(Ok(other)), _) => Source::CatchAll(other).key(),
            (None, Ok(address)) => address.to_string(),
            _ => return self.wrong(keys, text, "an address, a name of this domain, or \"@other.example\""),
        };
        self.declaration.aliases.push(DeclaredAlias { source, destination });
    }

    fn password(&mut self, keys: &[&str], address: &Address, entry: &UserEntry) -> Option<DeclaredPassword> {
        let (name, path) = match (&entry.password_file, &entry.hashed_password_file) {
            (Some(_), Some(_)) => {
                let keys = [keys, &["password_file"]].concat();
                self.wrong(&keys, "beside hashed_password_file", "one of password_file and hashed_password_file");
                return None;
            }
            (Some(path), None) => ("password_file", path),
            (None, Some(path)) => ("hashed_password_file", path),
            (None, None) => return None,
        };
        if self.secrets == Secrets::Skip {
            return None;
        }
        match passwords::usable(name, path) {
            Ok(password) => return Some(password),
            Err(because) if self.secrets == Secrets::Usable => {
                let (address, file) = (address.clone(), path.clone());
                self.declaration.unusable.push(UnusablePassword { address, file, because });
            }
            Err(because) => self.wrong(&[keys, &[name]].concat(), &path.display().to_string(), because.to_string()),
        }
        None
    }
}

const fn standing(enabled: bool) -> Standing {
    if enabled { Standing::Enabled } else { Standing::Disabled }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str, format: Format) -> Vec<(String, String)> {
        let found = Declaration::parse(text, format, Secrets::Read, None).unwrap_err();
        found
            .into_iter()
            .map(|p| {
                assert!(p.at.end <= text.len(), "{p:?}");
                (p.key, text[p.at].to_owned())
            })
            .collect()
    }

    #[test]
    fn toml_and_json_say_the_same() {
        let toml = r#"
            [domains."Example.com"]
            catch_all = "john"
            aliases.sales = ["john", "Partner@elsewhere.example", "john@example.com"]
            [domains."example.com".users.John]
            quota = "5G"
            aliases = ["info"]
            display_name = "John"
            [domains."example.com".users.jane]
            enabled = false
            [domains."other.example"]
            catch_all = "@example.com"
        "#
        .replace("\"example.com\".users", "\"Example.com\".users");
        let json = r#"{"domains": {
            "Example.com": {
                "catch_all": "john", "aliases": {"sales": ["john", "Partner@elsewhere.example", "john@example.com"]},
                "users": {"John": {"quota": 5368709120, "aliases": ["info"], "display_name": "\u004aohn", "password_file": null},
                          "jane": {"enabled": false}}},
            "other.example": {"catch_all": "@example.com", "users": {}}
        }}"#;
        for (text, format) in [(toml.as_str(), Format::Toml), (json, Format::Json)] {
            let declared = Declaration::parse(text, format, Secrets::Read, None).unwrap();
            assert_eq!(declared.domains.len(), 2);
            let john = &declared.users["john@example.com"];
            assert_eq!(john.address.to_string(), "john@example.com");
            assert_eq!(john.quota.map(|quota| quota.get()), Some(5 << 30));
            assert_eq!(john.display_name.as_deref(), Some("John"));
            assert_eq!(declared.users["jane@example.com"].standing, Standing::Disabled);
            let aliases: Vec<_> =
                declared.aliases.iter().map(|a| (a.source.as_str(), a.destination.as_str())).collect();
            assert_eq!(
                aliases,
                [
                    ("@example.com", "john@example.com"),
                    ("@other.example", "@example.com"),
                    ("info@example.com", "john@example.com"),
                    ("sales@example.com", "Partner@elsewhere.example"),
                    ("sales@example.com", "john@example.com"),
                ]
            );
        }
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let json = r#"{"domains": {
            "no domain": {},
            "a.test": {
                "catch_all": "two words",
                "users": {
                    "ann": {"quota": 0, "aliases": ["info", "bob", "x@b.test"], "colour": 1},
                    "bob": {"aliases": ["info"], "password_file": "/p", "hashed_password_file": "/h", "enabled": "yes"},
                    "a b": {},
                    "cy": {"hashed_password_file": "/nonexistent/cy"}
                },
                "aliases": {"empty": [], "bad": ["ok@a.test", "@"], "info": ["cy"]}
            },
            "A.test": {}
        }}"#;
        let found = problems(json, Format::Json);
        let expected = [
            ("domains.no domain", "{}"),
            ("domains.a.test.catch_all", "\"two words\""),
            ("domains.a.test.users.ann.quota", "0"),
            ("domains.a.test.users.ann.aliases.2", "\"bob\""),
            ("domains.a.test.users.ann.aliases.3", "\"x@b.test\""),
            ("domains.a.test.users.ann.colour", "1"),
            ("domains.a.test.users.bob.aliases.1", "\"info\""),
            ("domains.a.test.users.bob.password_file", "\"/p\""),
            ("domains.a.test.users.bob.enabled", "\"yes\""),
            ("domains.a.test.users.a b", "{}"),
            ("domains.a.test.users.cy.hashed_password_file", "\"/nonexistent/cy\""),
            ("domains.a.test.aliases.empty", "[]"),
            ("domains.a.test.aliases.bad.2", "\"@\""),
        ];
        for (key, text) in expected {
            assert!(found.contains(&(key.to_owned(), text.to_owned())), "{key} {text} not in {found:#?}");
        }
        // When a domain is spelled in two ways, the one that comes second in the alphabet is one too many.
        assert!(found.iter().any(|(key, _)| key == "domains.a.test"), "{found:#?}");
        assert_eq!(found.len(), expected.len() + 1, "{found:#?}");
    }

    #[test]
    fn broken_texts_are_mistakes_too() {
        for text in [
            "",
            "{",
            "[1]",
            "{\"domains\": 1}",
            "{\"domains\": {}, \"domains\": {}}",
            "nul",
            "{\"a\":[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]}",
        ] {
            let found = Declaration::parse(text, Format::Json, Secrets::Skip, None).unwrap_err();
            assert!(!found.is_empty(), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(Declaration::parse(&deep, Format::Json, Secrets::Skip, None).is_err());
        assert!(Declaration::parse("[domains\n", Format::Toml, Secrets::Skip, None).is_err());
        assert!(Declaration::parse("", Format::Toml, Secrets::Skip, None).unwrap().domains.is_empty());
        assert!(Declaration::parse("{}", Format::Json, Secrets::Skip, None).unwrap().domains.is_empty());
    }

    #[test]
    fn secrets_come_from_files() {
        let folder = tempfile::tempdir().unwrap();
        let hash = "$2y$04$1GTbYMv9PFxDip5WdCZI5eko6wt04WVxBj77fd0Xh3VHkloF.x0.u";
        for (name, content) in [
            ("hash", format!("{hash}\n")),
            ("plain", "pass word\n".to_owned()),
            ("bad", "{PLAIN}x".to_owned()),
            ("two", "a\nb".to_owned()),
        ] {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let text = r#"[domains."a.test".users]
            ann = { hashed_password_file = "credential:hash" }
            bob = { password_file = "credential:plain" }"#;
        let declared = Declaration::parse(text, Format::Toml, Secrets::Read, Some(folder.path())).unwrap();
        let wanted = format!("{{BLF-CRYPT}}{hash}");
        assert!(
            matches!(&declared.users["ann@a.test"].password, Some(DeclaredPassword::Hashed(h)) if *h.expose() == wanted)
        );
        assert!(
            matches!(&declared.users["bob@a.test"].password, Some(DeclaredPassword::Plain(p)) if p.expose() == "pass word")
        );
        assert!(!format!("{declared:?}").contains("pass word"));
        let skipped = Declaration::parse(text, Format::Toml, Secrets::Skip, None).unwrap();
        assert!(skipped.users["ann@a.test"].password.is_none());
        for wrong in [
            "hashed_password_file = \"credential:bad\"",
            "password_file = \"credential:two\"",
            "password_file = \"credential:../two\"",
        ] {
            let text = format!("[domains.\"a.test\".users]\nann = {{ {wrong} }}");
            assert!(Declaration::parse(&text, Format::Toml, Secrets::Read, Some(folder.path())).is_err(), "{wrong}");
            let without = Declaration::parse(&text, Format::Toml, Secrets::Usable, Some(folder.path())).unwrap();
            assert!(without.users["ann@a.test"].password.is_none() && without.unusable.len() == 1, "{wrong}");
        }
    }
}
