use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::check::{Places, check_files, check_rooms, check_scripts, check_secrets};
use super::values::{check_contents, check_values};
use super::{Config, Mistake, Role};
use crate::foundations::counted::counted;
use crate::foundations::files;
use crate::foundations::settings::{ALL_KEYS, Place, Problem, Problems, Setting, Shape, UNKNOWN_KEY};
use crate::services::accounts::{Declaration, DeclarationError, Secrets};

/// How much of a configuration is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checks {
    /// Only the file itself, where certificates and secrets do not exist (a build).
    Syntax,
    /// Also scripts and declared accounts it names that exist, but no secrets: for a build.
    Texts,
    /// Also the files it names.
    Files,
    /// Also the files it names, except those that only other roles read, which may be unreadable here.
    FilesOf(Role),
    /// Also secrets that only some roles may read, or that are only read when needed: for administrators who run a check.
    EveryFile,
}

impl Checks {
    /// Whether files are checked that not every role reads.
    pub(super) fn include(self, role: Role) -> bool {
        match self {
            Self::Syntax | Self::Texts => false,
            Self::FilesOf(one) => one == role,
            Self::Files | Self::EveryFile => true,
        }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The file is not UTF-8 text.
    #[error("`{0}` is not a text in UTF-8")]
    NotText(String),
    /// It has mistakes: all of them, in the order of the file.
    #[error("the configuration has {}:\n{}", counted(.0.len(), "mistake"), lines(.0))]
    Mistakes(Vec<Mistake>),
}

fn lines(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(Mistake::to_string).collect::<Vec<_>>().join("\n")
}

/// Reads and checks a configuration. `credentials` is the directory in which systemd puts this process's credentials.
/// Blocks for as long as it takes to read the files the configuration names.
///
/// # Errors
/// The file cannot be read, or it has mistakes.
pub fn load(path: &Path, checks: Checks, credentials: Option<&Path>) -> Result<Config, LoadError> {
    let text = String::from_utf8(files::read_bounded(path, LARGEST_FILE)?)
        .map_err(|_| LoadError::NotText(path.display().to_string()))?;
    understand(&text, path, checks, credentials)
}

/// Checks the text of a configuration that belongs to `path`, like [`load`].
///
/// # Errors
/// It has mistakes.
pub fn understand(text: &str, path: &Path, checks: Checks, credentials: Option<&Path>) -> Result<Config, LoadError> {
    let Reading { config, mut problems, declared_at } = read(text, checks, credentials);
    // Mistakes in the accounts are in another file, and are reported together with those in this one.
    let elsewhere = match check_declared(&config, checks, credentials) {
        Ok(()) => Vec::new(),
        Err(DeclarationError::File { path, because }) => {
            let found = format!("\"{}\"", path.display());
            let wanted = format!("the file of declared accounts: {because}");
            problems.push(Problem { key: "accounts.declared".to_owned(), at: declared_at, found, wanted });
            problems.sort_by_key(|problem| problem.at.start);
            Vec::new()
        }
        Err(error) => match declaration_mistakes(error) {
            LoadError::Mistakes(mistakes) => mistakes,
            other => return Err(other),
        },
    };
    let locate = |problem| Mistake::locate(problem, path, text);
    let mistakes: Vec<Mistake> = problems.into_iter().map(locate).chain(elsewhere).collect();
    if mistakes.is_empty() { Ok(config) } else { Err(LoadError::Mistakes(mistakes)) }
}

/// Checks the file of declared accounts, if there is one and it is to be checked.
fn check_declared(config: &Config, checks: Checks, credentials: Option<&Path>) -> Result<(), DeclarationError> {
    let Some(declared) = &config.accounts.declared else { return Ok(()) };
    if checks.include(Role::Access) {
        // A server starts even if a user's password is missing; a check by an administrator reports it.
        let secrets = if checks == Checks::EveryFile { Secrets::Read } else { Secrets::Usable };
        Declaration::load(declared, secrets, credentials)?;
    } else if checks == Checks::Texts && declared.exists() {
        Declaration::load(declared, Secrets::Skip, None)?;
    }
    Ok(())
}

/// The mistakes in a file of declared accounts, in the same form as those in the configuration.
pub fn declaration_mistakes(error: DeclarationError) -> LoadError {
    LoadError::Mistakes(match error {
        DeclarationError::Mistakes { path, text, problems } => {
            problems.into_iter().map(|problem| Mistake::locate(problem, &path, &text)).collect()
        }
        DeclarationError::File { path, because } => {
            let problem = Problem { key: String::new(), at: 0..0, found: String::new(), wanted: because };
            vec![Mistake::locate(problem, &path, "")]
        }
    })
}

/// A text, as far as it can be understood.
struct Reading {
    /// The settings, with defaults where something is wrong.
    config: Config,
    /// All mistakes, in the order of the text.
    problems: Vec<Problem>,
    /// Where the file of declared accounts is named.
    declared_at: Range<usize>,
}

fn read(text: &str, checks: Checks, credentials: Option<&Path>) -> Reading {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut problems = Problems::default();
    for error in &errors {
        problems.add(not_toml(text, error));
    }
    let span = document.span();
    let mut root = DeValue::Table(document.into_inner());
    put_credentials(&mut root, credentials, checks, &mut problems);
    let places = Places::new(&root);
    let config = Config::read(&Place::root(&root, span), &mut problems).unwrap_or_default();
    // Otherwise keys hidden by a syntax error would be reported as missing.
    if errors.is_empty() {
        check_rooms(&config, &places, &mut problems);
        check_values(&config, &places, &mut problems);
        if checks == Checks::Texts {
            check_scripts(&config, checks, &places, &mut problems);
        } else if checks != Checks::Syntax {
            check_files(&config, checks, &places, &mut problems);
        }
        if checks == Checks::EveryFile {
            check_secrets(&config, &places, &mut problems);
            check_contents(&config, &places, &mut problems);
        }
    }
    let declared_at = places.of("accounts.declared");
    // After the first syntax error, a key may appear in a different table than intended.
    let reliable = errors.iter().filter_map(|error| error.span()).map(|span| span.start).min().unwrap_or(usize::MAX);
    let mut problems = problems.into_sorted();
    problems.retain(|problem| problem.key.is_empty() || problem.at.start < reliable);
    problems.iter_mut().for_each(hint);
    Reading { config, problems, declared_at }
}

/// The problem for text that is not TOML, or that gives a key twice.
fn not_toml(text: &str, error: &toml::de::Error) -> Problem {
    let at = error.span().unwrap_or(0..0);
    let (found, wanted) = match (error.message(), text.get(at.clone())) {
        ("duplicate key", Some(key)) => {
            (format!("`{key}`"), "already exists: give each key only once, in one table of its name".to_owned())
        }
        (message, _) => (String::new(), message.to_owned()),
    };
    Problem { key: String::new(), at, found, wanted }
}

/// Replaces misleading suggestions: for a key that belongs to another table, and for names used by other mail servers.
fn hint(problem: &mut Problem) {
    let name = problem.key.rsplit('.').next().unwrap_or_default();
    let meant = match OTHERS_SETTINGS.iter().find(|(theirs, _)| *theirs == name) {
        Some((_, ours)) => Some(*ours),
        None => ACCOUNTS.contains(&problem.key.as_str()).then_some("accounts.declared"),
    };
    if let Some(ours) = meant.filter(|_| problem.found == UNKNOWN_KEY) {
        problem.wanted = format!("one that exists; did you mean `{ours}`?");
    } else if problem.found == UNKNOWN_KEY && problem.wanted.starts_with(ALL_KEYS) {
        let mut places = Vec::new();
        find_key(&Config::shape(), "", name, &mut places);
        if (1..=3).contains(&places.len()) {
            problem.wanted = format!("one that exists here; did you mean `{}`?", places.join("`, `"));
        }
    }
    if problem.key.ends_with(".protocol")
        && let Some((_, ours)) = OTHERS_PROTOCOLS.iter().find(|(theirs, _)| problem.found == format!("\"{theirs}\""))
    {
        let words = problem.wanted.split("; did you mean").next().unwrap_or_default();
        problem.wanted = format!("{words}; did you mean \"{ours}\"?");
    }
}

/// Collects the keys of this name in all tables.
fn find_key(shape: &Shape, table: &str, name: &str, found: &mut Vec<String>) {
    match shape {
        Shape::Table { entries, .. } => {
            for entry in entries {
                let key = if table.is_empty() { entry.name.to_owned() } else { format!("{table}.{}", entry.name) };
                find_key(&entry.shape, &key, name, found);
                if entry.name == name {
                    found.push(key);
                }
            }
        }
        Shape::List(inner) => find_key(inner, table, name, found),
        Shape::Map(_) | Shape::Value(_) | Shape::Words(_) => {}
    }
}

/// Postfix's and Dovecot's names for some listener protocols.
const OTHERS_PROTOCOLS: [(&str, &str); 3] = [("smtps", "submissions"), ("sieve", "managesieve"), ("lmtps", "lmtp")];

/// Tables that are in a file of their own here.
const ACCOUNTS: [&str; 3] = ["aliases", "domains", "users"];

/// Postfix's, Dovecot's and others' names for some settings, and where these are here.
const OTHERS_SETTINGS: [(&str, &str); 9] = [
    ("mail_location", "storage.mail_root"),
    ("message_size_limit", "smtp.message_size"),
    ("myhostname", "hostname"),
    ("mynetworks", "acceptance.relay_networks"),
    ("recipient_delimiter", "routing.tag_separator"),
    ("relayhost", "outbound.routes"),
    ("smarthost", "outbound.routes"),
    ("ssl_cert", "tls.certificates"),
    ("ssl_key", "tls.certificates"),
];

/// Replaces `credential:NAME` by the path of that credential, everywhere.
fn put_credentials(value: &mut DeValue<'_>, directory: Option<&Path>, checks: Checks, problems: &mut Problems) {
    let mut put = |value: &mut Spanned<DeValue<'_>>| {
        let at = value.span();
        let DeValue::String(text) = value.get_mut() else {
            put_credentials(value.get_mut(), directory, checks, problems);
            return;
        };
        let Some(name) = text.strip_prefix("credential:") else { return };
        let is_plain = !name.is_empty() && !name.contains('/') && name != "..";
        let wanted = match directory {
            _ if !is_plain => "the bare name of a credential after `credential:`",
            Some(directory) => {
                *text = Cow::Owned(directory.join(name).display().to_string());
                return;
            }
            None if matches!(checks, Checks::Syntax | Checks::Texts) => return,
            None => "a path, or a start by systemd with LoadCredential= (CREDENTIALS_DIRECTORY is not set)",
        };
        problems.add(Problem { key: String::new(), at, found: format!("\"{text}\""), wanted: wanted.to_owned() });
    };
    match value {
        DeValue::Array(items) => items.iter_mut().for_each(&mut put),
        DeValue::Table(table) => table.iter_mut().for_each(|(_, value)| put(value)),
        _ => {}
    }
}

/// More than anyone would write: a wrong path must not fill the memory.
const LARGEST_FILE: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, checks: Checks, credentials: Option<&Path>) -> Result<Config, Vec<Problem>> {
        let Reading { config, problems, .. } = super::read(text, checks, credentials);
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    fn problems(text: &str) -> Vec<Problem> {
        read(text, Checks::Syntax, None).err().unwrap_or_default()
    }

    const GOOD: &str = "hostname = \"mail.example.test\"\n[[listener]]\nprotocol = \"smtp\"\nbind = [\"[::]:25\"]\n";

    #[test]
    fn the_smallest_configuration_has_defaults() {
        let config = read(GOOD, Checks::Syntax, None).unwrap();
        assert_eq!(config.hostname.as_str(), "mail.example.test");
        assert_eq!(config.listener[0].connections, 20_000);
    }

    #[test]
    fn a_table_that_names_one_key_keeps_its_own_defaults_for_the_others() {
        let config = read(&format!("{GOOD}[guard.imap]\nper_minute = 7\n"), Checks::Syntax, None).unwrap();
        assert_eq!((config.guard.imap.per_minute, config.guard.imap.at_once), (7, 100));
        assert_eq!((config.guard.smtp.per_minute, config.guard.smtp.at_once), (30, 10));
    }

    #[test]
    fn places_are_lines_and_columns_in_characters() {
        let text = "# höhö\nhostname = \"ä\"  # ok\n\"näme\" = 1\n";
        let mistakes: Vec<Mistake> =
            problems(text).into_iter().map(|problem| Mistake::locate(problem, Path::new("x.toml"), text)).collect();
        let unknown = mistakes.iter().find(|mistake| mistake.key == "näme").unwrap();
        assert_eq!((unknown.line, unknown.column), (3, 1));
    }

    #[test]
    fn names_of_other_servers_are_understood() {
        for (text, ours) in [
            ("[outbound]\nsmarthost = \"smtp.relay.test\"\n", "did you mean `outbound.routes`"),
            ("[smtp]\nmynetworks = \"10.0.0.0/8\"\n", "did you mean `acceptance.relay_networks`"),
            ("[domains.\"example.test\".users.ann]\n", "did you mean `accounts.declared`"),
        ] {
            let found = problems(&format!("{GOOD}{text}"));
            assert!(found.len() == 1 && found[0].wanted.contains(ours), "{text}: {found:?}");
        }
        for (theirs, ours) in OTHERS_SETTINGS {
            let mut places = Vec::new();
            find_key(&Config::shape(), "", ours.rsplit('.').next().unwrap(), &mut places);
            assert!(places.iter().any(|place| place == ours), "{theirs}: {ours}");
        }
    }

    #[test]
    fn syntax_errors_are_all_told() {
        let found = problems("hostname = \n[smtp\nx = 'unclosed\n");
        assert!(found.len() >= 2, "{found:?}");
    }

    #[test]
    fn a_build_judges_the_texts_that_are_there() {
        let directory = tempfile::tempdir().unwrap();
        let (script, accounts) = (directory.path().join("a.sieve"), directory.path().join("accounts.json"));
        let file = directory.path().join("postrider.toml");
        let text = format!(
            "{GOOD}[delivery.sieve]\nbefore = [\"{}\", \"/nowhere/b.sieve\"]\nglobal = \"{}/global\"\n[accounts]\ndeclared = \"{}\"\n\
             [[spam.dkim.keys]]\ndomain = \"example.test\"\nselector = \"s1\"\nfile = \"credential:dkim\"\n",
            script.display(),
            directory.path().display(),
            accounts.display()
        );
        std::fs::write(&file, text).unwrap();
        let keys = || -> Vec<String> {
            match load(&file, Checks::Texts, None) {
                Err(LoadError::Mistakes(mistakes)) => mistakes.into_iter().map(|mistake| mistake.key).collect(),
                other => other.map(|_| Vec::new()).unwrap(),
            }
        };
        assert!(keys().is_empty());
        std::fs::write(&script, "fileinto \"Lists\";\n").unwrap();
        assert_eq!(keys(), ["delivery.sieve.before.1"]);
        assert!(load(&file, Checks::Syntax, None).is_ok());
        std::fs::write(&script, "keep;\n").unwrap();
        assert!(keys().is_empty());
        let global = directory.path().join("global");
        std::fs::create_dir(&global).unwrap();
        std::fs::write(global.join("good.sieve"), "keep;\n").unwrap();
        std::fs::write(global.join("no-script.txt"), "Lists of the house\n").unwrap();
        assert!(keys().is_empty());
        for (name, source, line) in
            [("bad.sieve", "keep;\nfileinto \"Lists\";\n", "line 2"), ("worse.sieve", "keep;\n\nfly;\n", "line 3")]
        {
            std::fs::write(global.join(name), source).unwrap();
            let Err(error) = load(&file, Checks::Texts, None) else { panic!("{name} is taken") };
            let told = error.to_string();
            let place = told.lines().find(|told| told.contains(&global.join(name).display().to_string()));
            assert!(place.is_some_and(|place| place.contains(line)), "{name}: {told}");
            assert!(load(&file, Checks::Syntax, None).is_ok());
        }
        std::fs::remove_dir_all(&global).unwrap();
        let declared = |quota| {
            let user = format!("\"quota\": \"{quota}\", \"hashed_password_file\": \"credential:password-ann\"");
            std::fs::write(
                &accounts,
                format!("{{\"domains\": {{\"example.test\": {{\"users\": {{\"ann\": {{{user}}}}}}}}}}}"),
            )
            .unwrap();
        };
        declared("5G");
        assert!(keys().is_empty());
        declared("many");
        assert_eq!(keys(), ["domains.example.test.users.ann.quota"]);
    }

    #[test]
    fn the_mistakes_of_both_files_are_told_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let accounts = directory.path().join("accounts.toml");
        std::fs::write(&accounts, "[domains.\"example.test\".users.ann]\nquota = \"many\"\n").unwrap();
        let text = format!("{GOOD}[accounts]\ndeclared = \"{}\"\n[smpt]\n", accounts.display());
        let Err(LoadError::Mistakes(mistakes)) = understand(&text, Path::new("x.toml"), Checks::Texts, None) else {
            panic!("it is taken");
        };
        let found: Vec<_> = mistakes.iter().map(|mistake| (mistake.line, mistake.key.as_str())).collect();
        assert_eq!(found, [(7, "smpt"), (2, "domains.example.test.users.ann.quota")]);
    }

    #[test]
    fn a_role_is_not_asked_for_files_that_only_another_one_reads() {
        let key = "[[spam.dkim.keys]]\ndomain = \"example.test\"\nselector = \"s1\"\nfile = \"/nowhere/key\"\n";
        let script = "[delivery.sieve]\nbefore = [\"/nowhere/a.sieve\"]\n";
        let keys = |text: &str, checks| -> Vec<String> {
            let found = read(&format!("{GOOD}{text}"), checks, None).err().unwrap_or_default();
            found.into_iter().map(|problem| problem.key).collect()
        };
        let of_mta = "spam.dkim.keys.1.file";
        assert_eq!(keys(key, Checks::FilesOf(Role::Mta)), [of_mta]);
        assert!(keys(key, Checks::FilesOf(Role::Access)).is_empty());
        let of_access = "delivery.sieve.before.1";
        assert_eq!(keys(script, Checks::FilesOf(Role::Access)), [of_access]);
        assert!(keys(script, Checks::FilesOf(Role::Mta)).is_empty());
        assert_eq!(keys(&format!("{key}{script}"), Checks::Files), [of_mta, of_access]);
    }

    #[test]
    fn credentials_become_paths() {
        let text = format!("{GOOD}[storage]\ndatabase_file = \"credential:database-url\"\n");
        let config = read(&text, Checks::Syntax, Some(Path::new("/run/credentials/x"))).unwrap();
        assert_eq!(config.storage.database_file.unwrap(), Path::new("/run/credentials/x/database-url"));
        assert!(read(&text, Checks::Syntax, None).is_ok());
        assert!(read(&text, Checks::Files, None).is_err());
        assert_eq!(problems(&text.replace("database-url", "../x")).len(), 1);
    }
}
