//! Who reads what.

use super::Language;
use crate::services::filter::FilterSettings;
use crate::services::filter::addressee::Addressee;
use crate::services::filter::rules::RuleSet;

/// Which languages the recipients of a message read; none stands for all.
#[derive(Debug)]
pub struct Readers<'s> {
    /// Each recipient.
    pub each: Vec<(&'s str, &'s [Language])>,
    /// What at least one of them reads.
    pub together: Vec<Language>,
}

impl<'s> Readers<'s> {
    /// By the settings, and by the rule files where those say nothing.
    pub fn of(settings: &'s FilterSettings, rules: &'s RuleSet, addressees: &'s [Addressee]) -> Self {
        let of = |names: &[&str]| settings.languages(names).unwrap_or(&rules.options().ok_languages);
        let each: Vec<(&str, &[Language])> =
            addressees.iter().map(|who| (who.written.as_str(), of(&who.names()))).collect();
        let lists = if each.is_empty() { vec![of(&[])] } else { each.iter().map(|(_, list)| *list).collect() };
        let mut together: Vec<Language> = Vec::new();
        if lists.iter().all(|list| !list.is_empty()) {
            for language in lists.into_iter().flatten() {
                if !together.contains(language) {
                    together.push(*language);
                }
            }
        }
        Self { each, together }
    }
}
