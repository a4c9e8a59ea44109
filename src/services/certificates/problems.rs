//! Why certificates are not the intended ones: files that cannot be used, authorities that issue none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{CertificateFiles, Error, Loaded, TlsSettings};

/// Why the certificate in force is not the intended one, by the certificate's file.
type ByFile = BTreeMap<PathBuf, String>;

/// Kept until the next attempt, which may succeed.
#[derive(Debug, Default)]
pub(super) struct Problems {
    loading: ArcSwap<ByFile>,
    obtaining: ArcSwap<ByFile>,
}

impl Problems {
    /// Notes the result of reading the files, for the certificates in force. Since one unusable certificate keeps all of them
    /// from being exchanged, an error in a file that none of them is from is noted with the first.
    pub(super) fn loaded(&self, errors: &[Error], settings: &TlsSettings, in_force: &[Loaded]) {
        let mut found = ByFile::new();
        for error in errors {
            let file = in_force.iter().map(|loaded| loaded.file.as_path()).find(|file| concerns(error, file, settings));
            let Some(file) = file.or_else(|| in_force.first().map(|first| first.file.as_path())) else { continue };
            let told = found.entry(file.to_owned()).or_default();
            let words = error.to_string();
            *told = if told.is_empty() { words } else { format!("{told}; {words}") };
        }
        self.loading.store(Arc::new(found));
    }

    /// Notes the result of asking an authority.
    pub(super) fn obtained(&self, file: &Path, problem: Option<&str>) {
        self.obtaining.rcu(|known| {
            let mut known = ByFile::clone(known);
            match problem {
                Some(problem) => known.insert(file.to_owned(), problem.to_owned()),
                None => known.remove(file),
            };
            known
        });
    }

    /// What is wrong with the certificate of a file.
    pub(super) fn of(&self, file: &Path) -> Option<String> {
        let known = self.loading.load().get(file).cloned();
        known.or_else(|| self.obtaining.load().get(file).cloned())
    }
}

/// Whether an error is about a certificate's file, or about the key that belongs to it.
fn concerns(error: &Error, file: &Path, settings: &TlsSettings) -> bool {
    let is_key = |pair: &CertificateFiles| pair.cert == file && error.is_about(&pair.key);
    error.is_about(file) || settings.certificates.iter().any(is_key)
}
