//! How to get no more letters of a list (RFC 2369 §3.2).

use serde::Serialize;

use crate::foundations::mail::HeaderSection;

/// What List-Unsubscribe names. The page asks before it does anything; the server itself asks nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Unsubscribing {
    /// A `mailto:` address to write to.
    mail: Option<String>,
    /// The address of a page.
    page: Option<String>,
}

/// Longest address that is offered, in octets.
const LONGEST: usize = 2_000;

impl Unsubscribing {
    /// Reads the field; `None` when it names nothing that can be used.
    pub(super) fn read(header: &HeaderSection<'_>) -> Option<Self> {
        let text = header.first("List-Unsubscribe")?.text();
        let mut found = Self::default();
        for address in text.split('<').skip(1).filter_map(|rest| rest.split_once('>')).map(|(address, _)| address) {
            // RFC 2369 §2: blanks within are of folding.
            let address: String = address.chars().filter(|c| !c.is_whitespace()).collect();
            if address.len() > LONGEST || address.contains(char::is_control) {
                continue;
            }
            let has =
                |scheme: &str| address.get(..scheme.len()).is_some_and(|given| given.eq_ignore_ascii_case(scheme));
            if has("mailto:") && address.contains('@') {
                found.mail.get_or_insert(address);
            } else if has("https://") && address.len() > "https://".len() {
                found.page.get_or_insert(address);
            }
        }
        (found != Self::default()).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_used_is_offered() {
        let read = |value: &str| {
            let message = format!("List-Unsubscribe: {value}\r\n\r\n");
            Unsubscribing::read(&HeaderSection::of(message.as_bytes())).map(|found| (found.mail, found.page))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            read("<HTTPS://list.test/u?x=1>,\r\n <mailto:off@list.test?subject=off>"),
            Some((some("mailto:off@list.test?subject=off"), some("HTTPS://list.test/u?x=1")))
        );
        assert_eq!(read("<https://list.test/\r\n long>"), Some((None, some("https://list.test/long"))));
        for useless in
            ["", "none", "<http://list.test/>", "<javascript:alert(1)>", "<mailto:nobody>", "<https://>", "<ü>"]
        {
            assert_eq!(read(useless), None, "{useless}");
        }
    }
}
