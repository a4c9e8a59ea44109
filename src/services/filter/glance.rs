//! What must be known about a message before external look-ups.

use std::ops::Range;

use super::settings::FilterSettings;
use super::view::{View, addresses_in};
use super::{authentication, dns_lists, headers};
use crate::foundations::mail::HeaderSection;
use crate::foundations::mail::addresses::{self, Entry};

/// The first facts about a message.
pub(super) struct Glance {
    /// The domains of its authors, in ASCII, each once.
    pub(super) authors: Vec<String>,
    /// The address of its author; empty when there is none or several.
    pub(super) author_address: String,
    /// Domains that DNS lists are asked about.
    pub(super) domains: Vec<String>,
}

impl Glance {
    /// The reverse-path is without brackets; empty when it is null.
    pub(super) fn of(bytes: &[u8], reverse_path: &str, settings: &FilterSettings) -> Self {
        let addresses = author_addresses(&HeaderSection::of(bytes));
        let mut authors: Vec<String> = addresses
            .iter()
            .filter_map(|address| address.rsplit_once('@'))
            .filter_map(|(_, domain)| idna::domain_to_ascii(domain).ok())
            .filter(|domain| !domain.is_empty())
            .collect();
        authors.sort_unstable();
        authors.dedup();
        let author_address = match addresses.as_slice() {
            [one] => one.clone(),
            _ => String::new(),
        };
        let domains = match settings.dns_lists.is_empty() {
            true => Vec::new(),
            false => dns_lists::domains_of(&View::new(bytes, &settings.limits), reverse_path),
        };
        Self { authors, author_address, domains }
    }
}

/// Everybody whom some mail program could take for the author, in lower case, each once. Programs differ in whether an invalid line
/// ends the header, how many fields they read, and what in a broken field is an address. So all are checked.
fn author_addresses(header: &HeaderSection<'_>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for field in header.all("From").take(MOST_FIELDS) {
        let listed = addresses::read(field.body).into_iter().filter_map(|entry| match entry {
            Entry::Mailbox(mailbox) if !mailbox.domain.is_empty() => Some(mailbox.address().to_lowercase()),
            _ => None,
        });
        for address in addresses_in(field.body).into_iter().chain(listed.take(MOST_ADDRESSES)) {
            if !found.contains(&address) {
                found.push(address);
            }
        }
    }
    found
}

/// Lines of a message that are ours, or claim to be, ascending and disjoint.
pub fn forged(bytes: &[u8], hostname: &str) -> Vec<Range<usize>> {
    let header = HeaderSection::of(bytes);
    let mut lines = authentication::forged(&header, hostname);
    lines.extend(headers::forged(&header));
    lines.sort_by_key(|range| range.start);
    lines
}

/// RFC 5322 §3.6 allows one; of further ones nobody shows so many.
const MOST_FIELDS: usize = 20;
const MOST_ADDRESSES: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn authors(message: &str) -> Vec<String> {
        Glance::of(message.as_bytes(), "", &FilterSettings::default()).authors
    }

    #[test]
    fn whoever_could_be_taken_for_the_author_is_one() {
        let padding = "X: y\r\n".repeat(5_000);
        for (message, wanted) in [
            ("From: Ann <Ann@Far.test>\r\n\r\n".to_owned(), vec!["far.test"]),
            ("no field\r\nFrom: boss@bank.test\r\n\r\n".to_owned(), vec!["bank.test"]),
            (format!("{padding}From: boss@bank.test\r\n\r\n"), vec!["bank.test"]),
            ("From: boss@bank.test\r\nFrom: x@far.test\r\n\r\n".to_owned(), vec!["bank.test", "far.test"]),
            ("From: x@far.test, boss@bank.test\r\n\r\n".to_owned(), vec!["bank.test", "far.test"]),
            ("Subject: x\r\n\r\nFrom: boss@bank.test\r\n".to_owned(), vec![]),
        ] {
            assert_eq!(authors(&message), wanted, "{}", message.chars().take(80).collect::<String>());
        }
    }

    #[test]
    fn forged_fields_are_found_wherever_a_reader_finds_them() {
        let field = "Authentication-Results: mx.test; dmarc=pass\r\nX-Spam-Flag: NO\r\n";
        for before in
            ["A: b\r\n".repeat(5_000), "no field\r\n".to_owned(), format!("A: {}\r\n", "x ".repeat(300 << 10))]
        {
            let message = format!("{before}{field}\r\nbody");
            let found: String =
                forged(message.as_bytes(), "mx.test").into_iter().map(|range| &message[range]).collect();
            assert_eq!(found, field);
        }
    }
}
