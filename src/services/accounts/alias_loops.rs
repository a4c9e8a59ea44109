//! Aliases that would form a mail loop, found before any mail takes it.

use std::collections::{HashMap, HashSet};

use crate::foundations::address::Address;
use crate::services::routing::RoutingSettings;
use crate::storage::directory::{Source, listed};

/// Aliases that are followed from one to the next. Mail is refused long before.
const MOST_STEPS: usize = 100;

/// Where aliases lead.
pub(super) struct AliasGraph<'a> {
    routing: &'a RoutingSettings,
    accounts: HashSet<String>,
    aliases: HashMap<String, Vec<&'a str>>,
}

impl<'a> AliasGraph<'a> {
    /// Over accounts by their keys, and aliases with their destinations.
    pub(super) fn new(
        routing: &'a RoutingSettings,
        accounts: impl Iterator<Item = String>,
        aliases: impl Iterator<Item = (String, &'a str)>,
    ) -> Self {
        let mut by_source: HashMap<String, Vec<&str>> = HashMap::new();
        for (source, destination) in aliases {
            by_source.entry(source).or_default().push(destination);
        }
        Self { routing, accounts: accounts.collect(), aliases: by_source }
    }

    /// The loops that can be reached from these sources, each once, as the aliases on the way.
    pub(super) fn loops<'s>(&self, sources: impl Iterator<Item = &'s str>) -> Vec<Vec<String>> {
        let (mut loops, mut followed) = (Vec::new(), HashSet::new());
        for source in sources {
            self.follow(&mut vec![source.to_owned()], &mut followed, &mut loops);
        }
        loops
    }

    fn follow(&self, path: &mut Vec<String>, followed: &mut HashSet<String>, loops: &mut Vec<Vec<String>>) {
        let Some(source) = path.last().cloned() else { return };
        if path.len() > MOST_STEPS || !followed.insert(source.clone()) {
            return;
        }
        for destination in self.aliases.get(&source).into_iter().flatten().flat_map(|row| listed(row)) {
            let Some(Source::Address(address)) = Source::parse(destination) else { continue };
            let Some(next) = self.caught_by(&address) else { continue };
            if let Some(at) = path.iter().position(|known| *known == next) {
                // An alias that names a mailbox of its own name leaves a copy there.
                if !self.is_account(&address) {
                    loops.push(path[at..].to_vec());
                }
                continue;
            }
            path.push(next);
            self.follow(path, followed, loops);
            path.pop();
        }
    }

    /// The alias that mail for an address follows, if any does.
    fn caught_by(&self, address: &Address) -> Option<String> {
        let (base, _) = self.routing.untagged(address);
        for key in [address.key(), base.key()] {
            if self.aliases.contains_key(&key) {
                return Some(key);
            }
            if self.accounts.contains(&key) {
                return None;
            }
        }
        Some(Source::CatchAll(address.domain().clone()).key()).filter(|key| self.aliases.contains_key(key))
    }

    fn is_account(&self, address: &Address) -> bool {
        let (base, _) = self.routing.untagged(address);
        [address, &base].iter().any(|address| self.accounts.contains(&address.key()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alias_loops(accounts: &[&str], aliases: &[(&'static str, &'static str)]) -> Vec<String> {
        let routing = RoutingSettings::default();
        let accounts = accounts.iter().map(|account| format!("{account}@d.test"));
        let aliases: Vec<_> = aliases.iter().map(|(from, to)| (format!("{from}@d.test"), *to)).collect();
        let graph = AliasGraph::new(&routing, accounts, aliases.iter().cloned());
        let found = graph.loops(aliases.iter().map(|(source, _)| source.as_str()));
        found.iter().map(|cycle| cycle.join(" ").replace("@d.test", "@")).collect()
    }

    #[test]
    fn loops_are_found_once() {
        let none: [&str; 0] = [];
        assert_eq!(alias_loops(&["ann"], &[("a", "b@d.test"), ("b", "ann@d.test"), ("a", "x@elsewhere.test")]), none);
        assert_eq!(alias_loops(&[], &[("a", "b@d.test"), ("b", "c@d.test"), ("c", "b+tag@d.test")]), ["b@ c@"]);
        assert_eq!(alias_loops(&[], &[("z", "z@d.test")]), ["z@"]);
        // One row may list several.
        assert_eq!(alias_loops(&[], &[("a", "x@elsewhere.test, b@d.test"), ("b", "a@d.test")]), ["a@ b@"]);
        // A copy stays, and the rest goes on.
        assert_eq!(alias_loops(&["ann"], &[("ann", "ann@d.test"), ("ann", "x@elsewhere.test")]), none);
        assert_eq!(alias_loops(&["ann"], &[("ann", "bob@d.test"), ("bob", "ann@d.test")]), none);
        // Nobody has the name, so the catch-all catches it.
        assert_eq!(alias_loops(&[], &[("", "a@d.test"), ("a", "nobody@d.test")]), ["@ a@"]);
        assert_eq!(alias_loops(&["nobody"], &[("", "a@d.test"), ("a", "nobody@d.test")]), none);
    }
}
