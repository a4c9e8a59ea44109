//! Addresses and hosts with a good or a bad name: `welcomelist_from` and similar directives.

use std::net::IpAddr;

use crate::foundations::address::is_within;

/// What the lists know about one message.
#[derive(Debug, Clone, Copy)]
pub struct Parties<'p> {
    /// Senders in lower case: the From field and the reverse-path.
    pub senders: &'p [&'p str],
    /// Recipients in lower case: the envelope's, and those of To and Cc.
    pub recipients: &'p [String],
    /// Those among them whose own domain is verified to have sent the message.
    pub shown: &'p [&'p str],
    /// The verified name of the client, in lower case.
    pub client_name: Option<&'p str>,
    /// The client's address.
    pub client: Option<IpAddr>,
}

/// The lists of a rule set.
#[derive(Debug, Default, Clone)]
pub struct Lists {
    welcome_from: Vec<String>,
    welcome_to: Vec<String>,
    welcome_received: Vec<(String, String)>,
    welcome_authenticated: Vec<String>,
    default_received: Vec<(String, String)>,
    default_authenticated: Vec<String>,
    unwelcome_from: Vec<String>,
    block_from: Vec<String>,
    unblock_from: Vec<String>,
    block_to: Vec<String>,
    more_spam_to: Vec<String>,
    all_spam_to: Vec<String>,
}

impl Lists {
    /// Adds the entries of a directive; returns whether it is one of the lists' directives.
    pub fn add(&mut self, directive: &str, rest: &str) -> bool {
        let name = directive.replace("whitelist", "welcomelist").replace("blacklist", "blocklist");
        let list = match name.as_str() {
            "welcomelist_from" => &mut self.welcome_from,
            "unwelcomelist_from" | "unwelcomelist_auth" | "unwelcomelist_from_spf" | "unwelcomelist_from_dkim" => {
                &mut self.unwelcome_from
            }
            "welcomelist_to" => &mut self.welcome_to,
            "welcomelist_auth" | "welcomelist_from_spf" | "welcomelist_from_dkim" => &mut self.welcome_authenticated,
            "def_welcomelist_auth" | "def_welcomelist_from_spf" | "def_welcomelist_from_dkim" => {
                &mut self.default_authenticated
            }
            "blocklist_from" => &mut self.block_from,
            "unblocklist_from" => &mut self.unblock_from,
            "blocklist_to" => &mut self.block_to,
            "more_spam_to" => &mut self.more_spam_to,
            "all_spam_to" => &mut self.all_spam_to,
            "welcomelist_from_rcvd" | "def_welcomelist_from_rcvd" => {
                let mut words = rest.split_whitespace().map(str::to_lowercase);
                if let (Some(from), Some(host)) = (words.next(), words.next()) {
                    let list =
                        if name.starts_with("def_") { &mut self.default_received } else { &mut self.welcome_received };
                    list.push((from, host));
                }
                return true;
            }
            _ => return false,
        };
        let words = rest.split_whitespace();
        if name.ends_with("_dkim") {
            // The second word names the signing domain; alignment is checked instead.
            list.extend(words.take(1).map(str::to_lowercase));
        } else {
            list.extend(words.map(str::to_lowercase));
        }
        true
    }

    /// The names of the lists that the message is on, with the entry that matched.
    pub fn hits(&self, parties: &Parties<'_>) -> Vec<(&'static str, String)> {
        let one_of =
            |senders: &[&str], list: &[String]| list.iter().find(|p| senders.iter().any(|s| glob(p, s))).cloned();
        let sender = |list: &[String]| one_of(parties.senders, list);
        let shown = |list: &[String]| one_of(parties.shown, list);
        let recipient = |list: &[String]| list.iter().find(|p| parties.recipients.iter().any(|r| glob(p, r))).cloned();
        let received = |list: &[(String, String)]| {
            list.iter()
                .find(|(from, host)| parties.senders.iter().any(|s| glob(from, s)) && self.is_client(host, parties))
                .map(|(from, _)| from.clone())
        };
        let unwelcome = sender(&self.unwelcome_from).is_some();
        let mut hits = Vec::new();
        let mut add = |name: &'static str, entry: Option<String>| hits.extend(entry.map(|e| (name, e)));
        if !unwelcome {
            let named = sender(&self.welcome_from).or_else(|| received(&self.welcome_received));
            add("USER_IN_WELCOMELIST", named.or_else(|| shown(&self.welcome_authenticated)));
            let named = received(&self.default_received);
            add("USER_IN_DEF_WELCOMELIST", named.or_else(|| shown(&self.default_authenticated)));
        }
        // Anybody may write an address that is excepted into the envelope, or into the From field, beside his own: an exception
        // is for whom it names and for others of the same domain, such as those that bounces go to.
        let is_excepted = |sender: &str| {
            let mut excepted = parties.senders.iter().filter(|one| self.unblock_from.iter().any(|p| glob(p, one)));
            excepted.any(|one| *one == sender || share_a_domain(one, sender))
        };
        let left: Vec<&str> = parties.senders.iter().copied().filter(|sender| !is_excepted(sender)).collect();
        add("USER_IN_BLOCKLIST", one_of(&left, &self.block_from));
        add("USER_IN_WELCOMELIST_TO", recipient(&self.welcome_to));
        add("USER_IN_MORE_SPAM_TO", recipient(&self.more_spam_to));
        add("USER_IN_ALL_SPAM_TO", recipient(&self.all_spam_to));
        add("USER_IN_BLOCKLIST_TO", recipient(&self.block_to));
        hits
    }

    fn is_client(&self, host: &str, parties: &Parties<'_>) -> bool {
        if let Some(address) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            return parties.client.is_some_and(|client| {
                address.parse::<IpAddr>().is_ok_and(|a| a == client)
                    || address.parse::<ipnet::IpNet>().is_ok_and(|n| n.contains(&client))
            });
        }
        parties.client_name.is_some_and(|name| is_within(name, host))
    }
}

/// Whether the domain of one address is that of the other, or above or below it.
fn share_a_domain(one: &str, other: &str) -> bool {
    let (Some((_, one)), Some((_, other))) = (one.rsplit_once('@'), other.rsplit_once('@')) else { return false };
    is_within(one, other) || is_within(other, one)
}

/// Whether a text matches a pattern of `*` and `?`. Linear in pattern times text, without recursion.
pub fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((star, from)) => {
                    retry = Some((star, from + 1));
                    p = star + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}
