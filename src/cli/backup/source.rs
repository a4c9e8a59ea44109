use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::cli::context::Context;
use crate::config::Config;
use crate::services::backup::Source;
use crate::storage::database::Database;

/// Files that the configuration names and that are larger than this are no configuration.
const LARGEST_FILE: u64 = 16 << 20;

/// What this server has.
pub(super) fn of(context: &Context, config: &Config, database: Database) -> anyhow::Result<Source> {
    let source = context.source();
    let path = std::path::absolute(&source.path)?;
    let mut files = BTreeSet::from([path.clone()]);
    let text = std::fs::read_to_string(&path)?;
    let table: toml::Table = text.parse()?;
    named(&toml::Value::Table(table), source.credentials.as_deref(), &mut files);
    if let Some(directory) = &config.tls.self_signed {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        files.extend(entries.map(|entry| entry.path()).filter(|path| is_configuration(path)));
    }
    Ok(Source {
        hostname: config.hostname.to_string(),
        mail_root: config.storage.mail_root.clone(),
        spool: config.spool.directory.clone(),
        database,
        files: files.into_iter().collect(),
        recipients: config.backup.age_recipients.clone(),
    })
}

/// Every file that a configuration names: certificates, keys, secrets, rules, declared accounts. Taken from the text
/// rather than from the settings, so that a setting that is added is not forgotten here.
fn named(value: &toml::Value, credentials: Option<&Path>, files: &mut BTreeSet<PathBuf>) {
    match value {
        toml::Value::String(text) => {
            let path = match text.strip_prefix("credential:") {
                Some(name) => credentials.map(|directory| directory.join(name)),
                None => Some(PathBuf::from(text)),
            };
            files.extend(path.filter(|path| path.is_absolute() && is_configuration(path)));
        }
        toml::Value::Array(values) => values.iter().for_each(|value| named(value, credentials, files)),
        toml::Value::Table(table) => table.values().for_each(|value| named(value, credentials, files)),
        _ => {}
    }
}

fn is_configuration(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() <= LARGEST_FILE)
}
