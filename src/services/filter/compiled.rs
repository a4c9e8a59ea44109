//! The rules in force, compiled once for all messages.

use std::sync::Arc;

use parking_lot::Mutex;

use super::FilterSettings;
use super::rules::{BUILTIN, RuleSet};
use super::settings::RuleSettings;
use crate::foundations::processor;

/// The rules for the most recent settings. Cloning gives another handle.
#[derive(Debug, Clone, Default)]
pub(super) struct Compiled(Arc<Mutex<Option<Known>>>);

#[derive(Debug)]
struct Known {
    of: Arc<FilterSettings>,
    rules: Arc<RuleSet>,
}

impl Compiled {
    /// The rules for these settings. If they have changed, their files are read and compiled on a thread that may
    /// block, and unusable lines are logged.
    pub(super) async fn of(&self, settings: &Arc<FilterSettings>) -> Arc<RuleSet> {
        // Locked for long only while rules are compiled.
        if let Some(rules) = self.0.try_lock().and_then(|known| same(known.as_ref(), settings)) {
            return rules;
        }
        let (compiled, wanted) = (self.clone(), Arc::clone(settings));
        // Only a runtime that is ending has no such thread any more.
        processor::in_turn(move || compiled.compile(&wanted)).await.unwrap_or_else(|_| self.compile(settings))
    }

    fn compile(&self, settings: &Arc<FilterSettings>) -> Arc<RuleSet> {
        let mut known = self.0.lock();
        if let Some(rules) = same(known.as_ref(), settings) {
            return rules;
        }
        let rules = Arc::new(load_rules(&settings.rules));
        for complaint in rules.complaints() {
            log::warn!(file:% = complaint.file, line = complaint.line; "filter: {complaint}");
        }
        *known = Some(Known { of: Arc::clone(settings), rules: Arc::clone(&rules) });
        rules
    }
}

/// Compiles the rules of the settings; a file that cannot be read is logged and left out.
pub fn load_rules(settings: &RuleSettings) -> RuleSet {
    let mut texts: Vec<(String, String)> = Vec::new();
    if settings.builtin {
        texts.push(("builtin.cf".to_owned(), BUILTIN.to_owned()));
    }
    for path in &settings.files {
        match std::fs::read(path) {
            Ok(bytes) => texts.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) => {
                log::error!(file:% = path.display(); "filter: the rule file cannot be read and is left out: {error}")
            }
        }
    }
    RuleSet::compile(texts.iter().map(|(name, text)| (name.as_str(), text.as_str())))
}

fn same(known: Option<&Known>, settings: &Arc<FilterSettings>) -> Option<Arc<RuleSet>> {
    known.filter(|known| Arc::ptr_eq(&known.of, settings)).map(|known| Arc::clone(&known.rules))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rules_are_compiled_once_for_the_same_settings() {
        let compiled = Compiled::default();
        let settings = Arc::new(FilterSettings::default());
        let (one, two) = tokio::join!(compiled.of(&settings), compiled.of(&settings));
        assert!(Arc::ptr_eq(&one, &two));
        assert!(!Arc::ptr_eq(&one, &compiled.of(&Arc::new(FilterSettings::default())).await));
    }
}
