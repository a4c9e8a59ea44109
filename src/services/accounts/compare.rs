//! What is, against what is declared.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::alias_loops::AliasGraph;
use super::change::{Change, Password, Plan, quota_text};
use super::passwords::{Compared, PasswordChange, password_change};
use super::{Declaration, DeclaredUser};
use crate::foundations::settings::ByteSize;
use crate::services::routing::RoutingSettings;
use crate::storage::directory::{Account, AliasEntry, DomainEntry, Everything, Owner, Source, Standing};

/// The steps that lead from one to the other. Pure; the same steps for the same input, in the same order.
pub(super) fn difference(
    declaration: &Declaration,
    now: &Everything,
    compared: &Compared,
    routing: &RoutingSettings,
) -> Plan {
    let mut plan = Plan::default();
    domains(declaration, now, &mut plan.changes);
    users(declaration, now, compared, &mut plan.changes);
    aliases(declaration, now, &mut plan.changes);
    vanished(declaration, now, &mut plan.changes);
    warn(declaration, now, routing, &mut plan.warnings);
    plan
}

fn domains(declaration: &Declaration, now: &Everything, changes: &mut Vec<Change>) {
    let known: HashMap<_, _> = now.domains.iter().map(|entry| (&entry.name, entry)).collect();
    for (name, wanted) in &declaration.domains {
        let domain = name.to_string();
        let standing = match known.get(name) {
            None => {
                changes.push(Change::AddDomain { domain: domain.clone() });
                Standing::Enabled
            }
            Some(entry) => {
                if entry.owner != Owner::Declared {
                    changes.push(Change::TakeDomain { domain: domain.clone() });
                }
                if entry.archived_at.is_some() {
                    changes.push(Change::RestoreDomain { domain: domain.clone() });
                    Standing::Enabled
                } else {
                    entry.standing
                }
            }
        };
        match (standing, wanted) {
            (Standing::Enabled, Standing::Disabled) => changes.push(Change::DisableDomain { domain }),
            (Standing::Disabled, Standing::Enabled) => changes.push(Change::EnableDomain { domain }),
            _ => {}
        }
    }
}

fn users(declaration: &Declaration, now: &Everything, compared: &Compared, changes: &mut Vec<Change>) {
    let known: HashMap<String, &Account> =
        now.accounts.iter().map(|account| (account.address.key(), account)).collect();
    for (key, user) in &declaration.users {
        let address = user.address.to_string();
        let standing = match known.get(key) {
            None => {
                let password = if user.password.is_some() { Password::Declared } else { Password::None };
                let (quota, display_name) = (quota_text(user.quota), user.display_name.clone());
                changes.push(Change::AddUser { address: address.clone(), quota, display_name, password });
                Standing::Enabled
            }
            Some(account) => {
                known_user(user, account, compared, changes);
                if account.archived_at.is_some() { Standing::Enabled } else { account.standing }
            }
        };
        match (standing, user.standing) {
            (Standing::Enabled, Standing::Disabled) => changes.push(Change::DisableUser { address }),
            (Standing::Disabled, Standing::Enabled) => changes.push(Change::EnableUser { address }),
            _ => {}
        }
    }
}

/// Everything but whether the user is enabled.
fn known_user(user: &DeclaredUser, account: &Account, compared: &Compared, changes: &mut Vec<Change>) {
    let address = || user.address.to_string();
    if account.owner != Owner::Declared {
        changes.push(Change::TakeUser { address: address() });
    }
    if account.archived_at.is_some() {
        changes.push(Change::RestoreUser { address: address() });
    }
    if stored(user.quota) != stored(account.quota) {
        let (from, to) = (quota_text(account.quota), quota_text(user.quota));
        changes.push(Change::SetQuota { address: address(), from, to });
    }
    if let Some(name) = &user.display_name
        && account.display_name.as_ref() != Some(name)
    {
        let from = account.display_name.clone();
        changes.push(Change::SetDisplayName { address: address(), from, to: name.clone() });
    }
    match password_change(user, account, compared) {
        PasswordChange::Set => changes.push(Change::SetPassword { address: address() }),
        PasswordChange::Note => changes.push(Change::KeepPassword { address: address() }),
        PasswordChange::Nothing => {}
    }
}

/// A quota as the table holds it: in whole mebibytes.
fn stored(quota: Option<ByteSize>) -> Option<u64> {
    quota.map(|size| size.get().div_ceil(1 << 20))
}

/// A destination in the form in which two are compared.
fn destination_key(text: &str) -> String {
    Source::parse(text).map_or_else(|| text.to_owned(), |destination| destination.key())
}

fn aliases(declaration: &Declaration, now: &Everything, changes: &mut Vec<Change>) {
    let key = |entry: &AliasEntry| (entry.source.clone(), destination_key(&entry.destination));
    let known: HashMap<(String, String), &AliasEntry> = now.aliases.iter().map(|(_, e)| (key(e), e)).collect();
    let mut wanted = HashSet::new();
    let mut enabled = BTreeSet::new();
    for alias in &declaration.aliases {
        let name = (alias.source.clone(), destination_key(&alias.destination));
        let (source, destination) = (alias.source.clone(), alias.destination.clone());
        match known.get(&name) {
            None => changes.push(Change::AddAlias { source, destination }),
            Some(entry) => {
                if entry.standing == Standing::Disabled && enabled.insert(source.clone()) {
                    let (source, destination) = (source.clone(), destination.clone());
                    changes.push(Change::EnableAlias { source, destination });
                }
                if entry.owner != Owner::Declared {
                    changes.push(Change::TakeAlias { source, destination, id: entry.id });
                }
            }
        }
        wanted.insert(name);
    }
    for (_, entry) in &now.aliases {
        if entry.owner == Owner::Declared && !wanted.contains(&key(entry)) {
            let (source, destination) = (entry.source.clone(), entry.destination.clone());
            changes.push(Change::RemoveAlias { source, destination });
        }
    }
}

/// What was declared once and no longer is.
fn vanished(declaration: &Declaration, now: &Everything, changes: &mut Vec<Change>) {
    let is_named = |entry: &DomainEntry| declaration.domains.contains_key(&entry.name);
    let by_hand = |entry: &DomainEntry| {
        let mut users = now.accounts.iter().filter(|account| account.domain_id == entry.id);
        let mut aliases = now.aliases.iter().filter(|(domain, _)| *domain == entry.id);
        users.any(|account| account.owner == Owner::Admin && account.archived_at.is_none())
            || aliases.any(|(_, alias)| alias.owner == Owner::Admin)
    };
    let gone: Vec<_> = now
        .domains
        .iter()
        .filter(|entry| entry.owner == Owner::Declared && entry.archived_at.is_none() && !is_named(entry))
        .map(|entry| (entry, by_hand(entry)))
        .collect();
    let archived = now.domains.iter().filter(|entry| entry.archived_at.is_some() && !is_named(entry));
    let without_mail: HashSet<i64> = archived
        .chain(gone.iter().filter(|(_, by_hand)| !by_hand).map(|(entry, _)| *entry))
        .map(|entry| entry.id)
        .collect();
    let mut users: BTreeMap<String, Change> = BTreeMap::new();
    for account in &now.accounts {
        let key = account.address.key();
        // Disabled users stay disabled, as when a domain is removed by hand, and do not come back with the domain.
        let stays = account.standing == Standing::Disabled && without_mail.contains(&account.domain_id);
        let is_declared = account.owner == Owner::Declared && account.archived_at.is_none();
        if is_declared && !stays && !declaration.users.contains_key(&key) {
            users.insert(key, Change::ArchiveUser { address: account.address.to_string() });
        }
    }
    changes.extend(users.into_values());
    changes.extend(gone.into_iter().map(|(entry, by_hand)| {
        let domain = entry.name.to_string();
        if by_hand { Change::ReleaseDomain { domain } } else { Change::ArchiveDomain { domain } }
    }));
}

/// Aliases that lead to nobody in a domain of ours, or form a loop.
fn warn(declaration: &Declaration, now: &Everything, routing: &RoutingSettings, warnings: &mut Vec<String>) {
    let mut known: HashSet<String> = declaration.users.keys().cloned().collect();
    known.extend(declaration.aliases.iter().map(|alias| alias.source.clone()));
    known.extend(now.accounts.iter().filter(|a| a.owner == Owner::Admin).map(|account| account.address.key()));
    known.extend(now.aliases.iter().filter(|(_, a)| a.owner == Owner::Admin).map(|(_, alias)| alias.source.clone()));
    for alias in &declaration.aliases {
        let Some(Source::Address(address)) = Source::parse(&alias.destination) else { continue };
        let (base, _) = routing.untagged(&address);
        let catch_all = Source::CatchAll(address.domain().clone()).key();
        let found = [address.key(), base.key(), catch_all].iter().any(|key| known.contains(key));
        if declaration.domains.contains_key(address.domain()) && !found {
            warnings.push(format!("alias {} leads to {address}, which does not exist", alias.source));
        }
    }
    warnings.extend(passed_over(declaration));
    warnings.extend(alias_loops(declaration, now, routing));
}

/// Users whose own address is an alias that leads only to others.
fn passed_over(declaration: &Declaration) -> impl Iterator<Item = String> {
    let mut keeps: HashMap<&str, bool> = HashMap::new();
    for alias in &declaration.aliases {
        *keeps.entry(&alias.source).or_default() |= destination_key(&alias.destination) == alias.source;
    }
    let users = declaration.users.iter().filter(move |(key, _)| keeps.get(key.as_str()) == Some(&false));
    users.map(|(_, user)| {
        let address = &user.address;
        format!("alias {address} leads only to others: the user {address} gets no mail unless it names {address} too")
    })
}

/// Declared aliases that would form a loop together with what else there is.
pub(super) fn alias_loops<'d>(
    declaration: &'d Declaration,
    now: &'d Everything,
    routing: &'d RoutingSettings,
) -> Vec<String> {
    let by_hand = || now.accounts.iter().filter(|account| account.owner == Owner::Admin);
    let accounts = declaration.users.keys().cloned().chain(by_hand().map(|account| account.address.key()));
    let of_hand = now.aliases.iter().filter(|(_, alias)| alias.owner == Owner::Admin);
    let of_hand = of_hand.map(|(_, alias)| (alias.source.clone(), alias.destination.as_str()));
    let declared = declaration.aliases.iter().map(|alias| (alias.source.clone(), alias.destination.as_str()));
    let graph = AliasGraph::new(routing, accounts, declared.chain(of_hand));
    let loops = graph.loops(declaration.aliases.iter().map(|alias| alias.source.as_str()));
    let told = |cycle: Vec<String>| format!("mail for alias {} loops and is refused", cycle.join(" to "));
    loops.into_iter().map(told).collect()
}
