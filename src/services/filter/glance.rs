//! What must be known about a message before external look-ups.

use std::collections::BTreeSet;
use std::ops::Range;

use super::settings::FilterSettings;
use super::view::{View, addresses_in};
use super::{authentication, dns_lists, headers};
use crate::foundations::mail::HeaderSection;
use crate::foundations::mail::addresses::{self, Entry};
use crate::foundations::mail::encoded_words;
use crate::foundations::mail::unseen::{is_joiner, is_unseen};

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
        let domains = match settings.dns_lists.is_empty() {
            true => Vec::new(),
            false => dns_lists::domains_of(&View::new(bytes, &settings.limits), reverse_path),
        };
        Self { domains, ..Self::of_header(bytes) }
    }

    /// The same without the domains: what decides on DMARC is all in the header.
    pub(super) fn of_header(bytes: &[u8]) -> Self {
        let (authors, author_address) = authors(&HeaderSection::of(bytes));
        Self { authors, author_address, domains: Vec::new() }
    }
}

/// The domains of everybody whom some mail program could take for the author, each once, and the address if there is only one. Programs
/// differ in whether an invalid line ends the header, which of several fields they show, and what in a broken field is an address. So
/// all are checked, in lower case.
fn authors(header: &HeaderSection<'_>) -> (Vec<String>, String) {
    let (mut domains, mut first, mut is_alone) = (BTreeSet::new(), None::<String>, true);
    for field in header.all("From") {
        // One that is all in quotes, or has its `@` after a backslash, is shown as an address all the same.
        let listed = addresses::read(field.body).into_iter().flat_map(shown).filter(|address| address.contains('@'));
        let mut is_found = false;
        for address in addresses_in(field.body).into_iter().chain(listed) {
            let domain = domain_of(&address);
            is_found |= domain.is_some();
            domains.extend(domain);
            match &first {
                Some(first) => is_alone &= *first == address,
                None => first = Some(address),
            }
        }
        // Where there is no address, programs show the text.
        if !is_found {
            domains.extend(domain_of(&field.text().to_lowercase()));
        }
        if domains.len() > MOST_DOMAINS {
            break;
        }
    }
    (domains.into_iter().collect(), first.filter(|_| is_alone).unwrap_or_default())
}

/// What programs show of an entry, in lower case. Many decode encoded words wherever they are.
fn shown(entry: Entry) -> Vec<String> {
    let decoded = |text: &[u8]| encoded_words::decode(text).to_lowercase();
    match entry {
        // In place of an address that is none they show the name.
        Entry::Mailbox(mailbox) if mailbox.domain.is_empty() => {
            [mailbox.name.as_deref().unwrap_or_default(), &mailbox.local].map(decoded).into()
        }
        Entry::Mailbox(mailbox) => vec![decoded(mailbox.address().as_bytes())],
        // Of a group, above all of an empty one, they show the name.
        Entry::GroupStart(name) => vec![decoded(&name)],
        Entry::GroupEnd => Vec::new(),
    }
}

/// The domain of an address as people read it, in ASCII: without characters that nobody sees, and without what no name holds and
/// all that follows. The policy of a domain would not be asked for if one such character made another name of it, or none.
fn domain_of(address: &str) -> Option<String> {
    let (_, domain) = address.rsplit_once('@')?;
    let seen: String = domain.chars().filter(|c| !is_unseen(*c)).collect();
    let is_foreign = |c: char| c.is_ascii() && !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    let name = match seen.starts_with('[') {
        // RFC 5321 §4.1.3: an address in place of a name.
        true => seen.as_str(),
        false => seen.split(is_foreign).next().unwrap_or_default(),
    };
    let ascii = |name: &str| {
        let name = idna::domain_to_ascii(name).ok()?;
        let name = name.trim_matches('.');
        (!name.is_empty()).then(|| name.to_owned())
    };
    // Some names need joiners (RFC 5892 appendix A), and all others must not have them.
    ascii(name).or_else(|| ascii(&name.chars().filter(|c| !is_joiner(*c)).collect::<String>()))
}

/// Lines of a message that are ours, or claim to be, ascending and disjoint.
pub fn forged(bytes: &[u8], hostname: &str) -> Vec<Range<usize>> {
    let header = HeaderSection::of(bytes);
    let mut lines = authentication::forged(&header, hostname);
    lines.extend(headers::forged(&header));
    lines.sort_by_key(|range| range.start);
    lines
}

/// Most domains that are looked for. So many authors nobody has.
const MOST_DOMAINS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn authors(message: &str) -> Vec<String> {
        Glance::of(message.as_bytes(), "", &FilterSettings::default()).authors
    }

    #[test]
    fn an_author_is_one_wherever_in_the_header() {
        let message = format!("From: x@far.test\r\n{}From: boss@bank.test\r\n\r\n", "X: y\r\n".repeat(50_000));
        assert_eq!(Glance::of_header(message.as_bytes()).authors, ["bank.test", "far.test"]);
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
            (
                format!("{}From: boss@bank.test\r\n\r\n", "From: x@far.test\r\n".repeat(100)),
                vec!["bank.test", "far.test"],
            ),
            (format!("From: {}boss@bank.test\r\n\r\n", "x@far.test, ".repeat(200)), vec!["bank.test", "far.test"]),
            ("From: boss@bank.test:;\r\n\r\n".to_owned(), vec!["bank.test"]),
            ("From: \"boss@bank.test\": x@far.test;\r\n\r\n".to_owned(), vec!["bank.test", "far.test"]),
            ("From: =?utf-8?q?boss=40bank.test?=:;\r\n\r\n".to_owned(), vec!["bank.test"]),
            ("From: Friends: x@far.test;\r\n\r\n".to_owned(), vec!["far.test"]),
            // What is shown where there is no address.
            ("From: \"boss@bank.test\" <>\r\n\r\n".to_owned(), vec!["bank.test"]),
            ("From: boss@bank.test <x>\r\n\r\n".to_owned(), vec!["bank.test"]),
            ("From: =?utf-8?q?boss=40bank.test?= <>\r\n\r\n".to_owned(), vec!["bank.test"]),
            ("From: =?utf-8?b?Ym9zc0BiYW5rLnRlc3Q=?=\r\n\r\n".to_owned(), vec!["bank.test"]),
            ("From: <boss@=?utf-8?q?bank.test?=>\r\n\r\n".to_owned(), vec!["bank.test"]),
            ("From: (boss@bank.test)\r\n\r\n".to_owned(), vec!["bank.test"]),
            ("From: \"boss@bank.test\" <x@far.test>\r\n\r\n".to_owned(), vec!["far.test"]),
            ("From: Boss <boss>\r\n\r\n".to_owned(), vec![]),
        ] {
            assert_eq!(authors(&message), wanted, "{}", message.chars().take(80).collect::<String>());
        }
    }

    #[test]
    fn a_domain_is_what_people_read() {
        for address in [
            "boss@bank.test",
            "boss@bank.test\u{202c}",
            "boss@bank.test\u{2800}",
            "boss@bank.test\u{200d}",
            "boss@ba\u{3164}nk.test\u{e0041}",
            "boss@ba\u{1}nk.test",
            "boss@bank.test)",
            "boss@bank.test .",
            "\"boss@bank.test\"",
            "boss\\@bank.test",
        ] {
            let found = authors(&format!("From: {address}\r\n\r\n"));
            assert_eq!(found, ["bank.test"], "{address:?}");
        }
        for (address, wanted) in [
            ("a@b\u{fc}cher.test", Some("xn--bcher-kva.test")),
            ("a@[192.0.2.1]", Some("[192.0.2.1]")),
            ("a@", None),
            ("a@\u{200b}", None),
        ] {
            assert_eq!(domain_of(address).as_deref(), wanted, "{address:?}");
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
