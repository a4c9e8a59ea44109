//! Parts of addresses (RFC 5228 §2.7.4), with `subaddress` (RFC 5233).

use crate::foundations::mail::addresses::{Entry, read};
use crate::foundations::said::said;
use crate::services::sieve::check::Arguments;

/// Which part of an address is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::services::sieve) enum AddressPart {
    All,
    Localpart,
    Domain,
    /// What stands before the separator (RFC 5233 §4).
    User,
    /// What stands after it; an address without a separator has none.
    Detail,
}

impl AddressPart {
    /// Takes the tag.
    pub(super) fn read(arguments: &mut Arguments<'_, '_>) -> Self {
        let mut found = Vec::new();
        for (tag, extension, part) in [
            ("all", "", Self::All),
            ("localpart", "", Self::Localpart),
            ("domain", "", Self::Domain),
            ("user", "subaddress", Self::User),
            ("detail", "subaddress", Self::Detail),
        ] {
            found.extend(arguments.tag(tag, extension).map(|at| (at, part)));
        }
        if let Some((at, _)) = found.get(1) {
            let said = said!(
                "sieve-address-parts",
                "unexpected second address part for {subject}; use only one of :all, :localpart, :domain",
                subject = arguments.subject()
            );
            arguments.wrong_at(*at, said);
        }
        found.first().map_or(Self::All, |(_, part)| *part)
    }

    /// The parts of all addresses in a field.
    pub(super) fn of_field(self, body: &[u8], separator: Option<char>) -> Vec<String> {
        let entries = read(body);
        let whole = || String::from_utf8_lossy(body.trim_ascii()).into_owned();
        let is_broken = entries.is_empty();
        if is_broken && self == Self::All && !body.trim_ascii().is_empty() {
            return vec![whole()];
        }
        entries
            .into_iter()
            .filter_map(|entry| match entry {
                Entry::Mailbox(mailbox) => {
                    let (local, domain) =
                        (String::from_utf8_lossy(&mailbox.local), String::from_utf8_lossy(&mailbox.domain));
                    self.of(&local, &domain, separator)
                }
                Entry::GroupStart(_) | Entry::GroupEnd => None,
            })
            .collect()
    }

    /// The part of one address.
    pub(super) fn of(self, local: &str, domain: &str, separator: Option<char>) -> Option<String> {
        let split = || separator.and_then(|separator| local.split_once(separator));
        Some(match self {
            Self::All if domain.is_empty() => local.to_owned(),
            Self::All => format!("{local}@{domain}"),
            // RFC 5228 §2.7.4: what is no address has no parts.
            _ if local.is_empty() || domain.is_empty() => return None,
            Self::Localpart => local.to_owned(),
            Self::Domain => domain.to_owned(),
            Self::User => split().map_or(local, |(user, _)| user).to_owned(),
            Self::Detail => split()?.1.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_has_no_parts() {
        let of = |part: AddressPart, body: &[u8]| part.of_field(body, Some('+'));
        for body in [b"root".as_slice(), b"Mailer <MAILER-DAEMON>", b"ann@", b"@b.test", b"<>"] {
            for part in [AddressPart::Localpart, AddressPart::Domain, AddressPart::User, AddressPart::Detail] {
                assert_eq!(of(part, body), [""; 0], "{part:?} of {}", body.escape_ascii());
            }
        }
        assert_eq!(of(AddressPart::All, b"root"), ["root"]);
        assert_eq!(of(AddressPart::User, b"Ann <ann+x@b.test>"), ["ann"]);
    }
}
