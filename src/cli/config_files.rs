//! The files that a configuration names, found by the shape of its settings, so that new settings are not forgotten.

use std::path::{Path, PathBuf};

use crate::foundations::files::read_bounded;
use crate::foundations::settings::{Setting as _, Shape};

/// Settings with paths that are in a backup anyway, or belong to the running server.
pub(super) const NO_CONFIG_FILES: [&str; 8] = [
    "backup.drill_directory",
    "backup.s3.cache_directory",
    "guard.nftables.program",
    "server.control_directory",
    "spool.directory",
    "storage.mail_root",
    // Included if it exists.
    "tls.acme_state",
    "webmail.submission",
];

/// Settings with files that hold no secrets. All others count as secrets, so that a new setting gives none away.
pub(super) const NO_SECRETS: [&str; 9] = [
    "accounts.declared",
    "backup.s3.authorities",
    "delivery.sieve.after",
    "delivery.sieve.before",
    "delivery.sieve.global",
    "outbound.authorities",
    "spam.rules.files",
    "tls.acme.authority_root",
    "tls.certificates.cert",
];

/// The largest file of declared accounts.
const LARGEST_DECLARATION: u64 = 16 << 20;

/// Calls back with the dotted key and text of every path in a document of this shape.
pub(super) fn each_path(shape: &Shape, value: &toml::Value, key: &str, each: &mut dyn FnMut(&str, &str)) {
    match (shape, value) {
        (Shape::Value(_), toml::Value::String(text)) if *shape == PathBuf::shape() => each(key, text),
        (Shape::List(inner), toml::Value::Array(values)) => {
            values.iter().for_each(|value| each_path(inner, value, key, each));
        }
        (Shape::Map(inner), toml::Value::Table(table)) => {
            table.iter().for_each(|(name, value)| each_path(inner, value, &joined(key, name), each));
        }
        (Shape::Table { entries, .. }, toml::Value::Table(table)) => {
            for entry in entries {
                if let Some(value) = table.get(entry.name) {
                    each_path(&entry.shape, value, &joined(key, entry.name), each);
                }
            }
        }
        _ => {}
    }
}

/// The accounts that a file declares, as a document of the shape of `DeclaredFile`; `None` if there is no such file.
pub(super) fn declared(path: &Path) -> Result<Option<toml::Value>, String> {
    if !path.exists() {
        return Ok(None);
    }
    let octets = read_bounded(path, LARGEST_DECLARATION).map_err(|error| error.to_string())?;
    let text = String::from_utf8(octets).map_err(|error| error.to_string())?;
    let is_json = path.extension().is_some_and(|ending| ending == "json");
    let document: Result<toml::Value, String> = if is_json {
        let document = serde_json::from_str(&text).map_err(|error| error.to_string());
        document.and_then(|document| toml::Value::try_from(without_null(document)).map_err(|error| error.to_string()))
    } else {
        text.parse().map(toml::Value::Table).map_err(|error: toml::de::Error| error.to_string())
    };
    document.map(Some).map_err(|error| format!("the files it names are unknown: {error}"))
}

/// A null key means nothing, and TOML cannot express it.
fn without_null(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(entries) => {
            let entries = entries.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(entries.map(|(key, value)| (key, without_null(value))).collect())
        }
        other => other,
    }
}

/// A setting within another.
pub(super) fn joined(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}

/// Whether a setting names a file or directory, at the given path, that not everybody may read.
pub(super) fn is_secret(key: &str) -> bool {
    !NO_CONFIG_FILES.contains(&key) && !NO_SECRETS.contains(&key)
}
